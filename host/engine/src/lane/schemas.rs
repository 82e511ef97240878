//! Records that name a schema: checked before they are decoded.
//!
//! What a schema says of a record never changes; whether the registry has it does, and readings do not
//! imply it. So the lane keeps in mind which ids it refuses, and each change of that is a decision at the
//! record that brought it about. In a replay nobody is asked whether an id is known.

use std::collections::VecDeque;
use std::sync::{Arc, Once};

use gridwatch_core::decision::{Decision, What};
use gridwatch_core::reading::{Reason, Rejection};
use gridwatch_core::record::{Position, RecordFormat, RecordMeta};
use gridwatch_core::schema::{Framing, ID_MAX, Schema, Schemas, unframe};

use super::{Lane, LaneError};

/// Ids that a lane remembers to refuse. Beyond that it forgets the longest known, and decides anew where
/// one of those comes again.
const UNKNOWN_MAX: usize = 1_000;

/// Where schemas are, and what to do without one.
#[derive(Clone)]
pub struct SchemaSource {
    pub schemas: Arc<dyn Schemas>,
    pub on_unknown: OnUnknown,
}

/// What becomes of a record whose schema the registry does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnUnknown {
    DeadLetter,
    /// The process stops.
    Halt,
}

/// What a lane knows of schemas.
#[derive(Default)]
pub(super) struct Schooling {
    source: Option<SchemaSource>,
    /// Of the record before: producers change their schema once in a while.
    last: Option<(u32, Arc<dyn Schema>)>,
    /// The longest refused first.
    unknown: VecDeque<u32>,
    /// Decisions of an earlier life, ascending.
    relived: VecDeque<Decision>,
}

impl Schooling {
    pub fn new(source: Option<SchemaSource>) -> Self {
        Schooling { source, ..Schooling::default() }
    }

    /// Decisions of an earlier life that were not come to yet.
    pub fn ahead(&self) -> impl Iterator<Item = &Decision> {
        self.relived.iter()
    }

    /// As a checkpoint has it. Takes those of the decisions that are about schemas.
    pub fn restore(&mut self, unknown: Vec<u32>, decisions: &mut Vec<Decision>) {
        self.unknown = unknown.into();
        let is_ours = |what: &What| matches!(what, What::SchemaUnknown { .. } | What::SchemaKnown { .. });
        self.relived = decisions.extract_if(.., |decision| is_ours(&decision.what)).collect();
        // One may have been decided again, behind others.
        self.relived.make_contiguous().sort_by_key(|decision| decision.position);
    }

    pub fn unknown(&self) -> Vec<u32> {
        self.unknown.iter().copied().collect()
    }

    fn apply(&mut self, what: &What) {
        match what {
            What::SchemaUnknown { id } if !self.unknown.contains(id) => {
                self.last.take_if(|(last, _)| last == id);
                if self.unknown.len() >= UNKNOWN_MAX {
                    self.unknown.pop_front();
                }
                self.unknown.push_back(*id);
            }
            What::SchemaKnown { id } => self.unknown.retain(|unknown| unknown != id),
            _ => {}
        }
    }

    /// The schema, or why there is none to check with.
    fn find(&self, id: u32) -> Option<Result<Arc<dyn Schema>, String>> {
        let source = self.source.as_ref()?;
        Some(match source.schemas.find(id) {
            None => Err("the registry does not have it".to_owned()),
            Some(schema) => match schema.unusable() {
                Some(why) => Err(why.to_owned()),
                None => Ok(schema),
            },
        })
    }

    fn halts(&self) -> bool {
        self.source.as_ref().is_some_and(|source| source.on_unknown == OnUnknown::Halt)
    }
}

impl Lane {
    /// The message in a record. The outer result: the lane cannot go on. The inner one: it is refused.
    #[inline]
    pub(super) fn unframe<'r>(
        &mut self,
        meta: &RecordMeta,
        record: &'r [u8],
    ) -> Result<Result<&'r [u8], Rejection>, LaneError> {
        match unframe(record) {
            Framing::Plain => Ok(Ok(record)),
            framing => self.unframe_other(meta, record, framing),
        }
    }

    #[cold]
    fn unframe_other<'r>(
        &mut self,
        meta: &RecordMeta,
        record: &'r [u8],
        framing: Framing<'r>,
    ) -> Result<Result<&'r [u8], Rejection>, LaneError> {
        if self.settings.format != RecordFormat::Json {
            return Ok(Ok(record));
        }
        match framing {
            Framing::Framed { id, body } if self.settings.checks_schemas => {
                Ok(self.check(meta.position, id, body)?.map_or(Ok(body), Err))
            }
            Framing::Framed { body, .. } => {
                warn_unchecked();
                Ok(Ok(body))
            }
            _ => {
                let detail =
                    format!("a frame is a zero byte and four bytes of id; {} bytes are here", record.len());
                Ok(Err(Rejection { reason: Reason::TruncatedFrame, detail }))
            }
        }
    }

    /// Why a message of this schema is refused, if it is.
    fn check(&mut self, position: Position, id: u32, body: &[u8]) -> Result<Option<Rejection>, LaneError> {
        self.relive_schemas(position);
        if self.schooling.last.as_ref().is_none_or(|(last, _)| *last != id) {
            match self.look_up(position, id)? {
                Ok(schema) => self.schooling.last = Some((id, schema)),
                Err(why) => {
                    let detail = format!("schema {id}: {why}");
                    return Ok(Some(Rejection { reason: Reason::UnknownSchema, detail }));
                }
            }
        }
        let schema = self.schooling.last.as_ref().map(|(_, schema)| schema);
        Ok(schema.and_then(|schema| schema.violation(body)).map(|violation| {
            let detail = format!("schema {id}: {violation}");
            Rejection { reason: Reason::SchemaViolation, detail }
        }))
    }

    /// The schema, or why its records are refused. A change is a decision, and takes effect with the
    /// record in hand.
    fn look_up(&mut self, position: Position, id: u32) -> Result<Result<Arc<dyn Schema>, String>, LaneError> {
        if id > ID_MAX {
            let why = "registries have none with so great an id".to_owned();
            return if self.is_live(position) && self.schooling.halts() {
                Err(self.unknown_schema(position, id, why))
            } else {
                Ok(Err(why))
            };
        }
        let refused = self.schooling.unknown.contains(&id);
        if !self.is_live(position) && refused {
            return Ok(Err("the registry did not have it".to_owned()));
        }
        let Some(found) = self.schooling.find(id) else {
            let why = "there is no [registry] any more".to_owned();
            return Err(LaneError::SchemaGone { lane: self.name.clone(), id, position, why });
        };
        match (found, refused) {
            (Ok(schema), true) => {
                self.decide_schema(What::SchemaKnown { id })?;
                Ok(Ok(schema))
            }
            (Ok(schema), false) => Ok(Ok(schema)),
            (Err(why), _) if !self.is_live(position) => {
                Err(LaneError::SchemaGone { lane: self.name.clone(), id, position, why })
            }
            (Err(why), _) if self.schooling.halts() => Err(self.unknown_schema(position, id, why)),
            (Err(why), true) => Ok(Err(why)),
            (Err(why), false) => {
                tracing::warn!(lane = self.name, id, position, "records of this schema are refused: {why}");
                self.decide_schema(What::SchemaUnknown { id })?;
                Ok(Err(why))
            }
        }
    }

    fn unknown_schema(&self, position: Position, id: u32, why: String) -> LaneError {
        LaneError::UnknownSchema { lane: self.name.clone(), position, id, why }
    }

    /// It stands where the output does: between the records before and the one in hand, which may be a
    /// few positions on.
    fn decide_schema(&mut self, what: What) -> Result<(), LaneError> {
        self.flush()?;
        self.schooling.apply(&what);
        self.decide(what);
        Ok(())
    }

    /// Applies what an earlier life decided at or before `position`.
    pub(super) fn relive_schemas(&mut self, position: Position) {
        while let Some(decision) =
            self.schooling.relived.pop_front_if(|decision| decision.position <= position)
        {
            self.schooling.apply(&decision.what);
            self.chronicle.note(decision);
        }
    }
}

fn warn_unchecked() {
    static WARNED: Once = Once::new();
    WARNED.call_once(|| {
        tracing::warn!(
            "records name a schema, but there is no [registry] to ask for it: they are judged unchecked"
        );
    });
}
