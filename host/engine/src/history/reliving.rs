//! A lane as it goes through its past.

use std::time::Duration;

use gridwatch_core::checkpoint::{Checkpoint, DetectorState, Role};
use gridwatch_core::decision::{Decision, What};
use gridwatch_core::record::{Chunk, Feed, FeedStatus, Header, Position, RecordMeta, SourceError};

use super::{History, HistoryError, Patience};
use crate::lane::{Lane, LaneParts, Resume, is_of_the_live_one, may_need_warm};
use crate::settings::LaneSettings;

/// How long the source may take to give something before it is looked whether to go on.
const WAIT: Duration = Duration::from_millis(20);

/// Somewhere in the past.
pub struct Reliving {
    lane: Lane,
    feed: Box<dyn Feed>,
    chunk: Chunk,
    /// So many records of the chunk were lived.
    lived: usize,
    has_ended: bool,
}

/// A record as the source gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastRecord {
    pub meta: RecordMeta,
    pub bytes: Vec<u8>,
    pub key: Option<Vec<u8>>,
    pub headers: Vec<Header>,
}

impl Reliving {
    pub(super) fn begin(
        history: &History,
        parts: LaneParts,
        (name, mut checkpoint): (&str, Checkpoint),
        mut decisions: Vec<Decision>,
        (whom, speaks_from): (&[&str], Position),
        patience: Patience<'_>,
    ) -> Result<Reliving, HistoryError> {
        let settings: Option<LaneSettings> = serde_json::from_str(&checkpoint.settings).ok();
        if settings.as_ref() != Some(&parts.settings) {
            return Err(HistoryError::Changed { lane: parts.name, name: name.to_owned() });
        }
        checkpoint.detectors.retain(|state| whom.contains(&state.name.as_str()));
        decisions.retain(|decision| decision.what.detector().is_none_or(|of| whom.contains(&of)));
        leave_out_idlers(&mut checkpoint.detectors, &mut decisions);
        let deployments = parts.deployments.into_iter();
        let deployments = deployments.filter(|deployment| whom.contains(&deployment.name.as_str()));
        let parts = LaneParts { deployments: deployments.collect(), history: None, ..parts };
        let (source, committed) = (history.source.clone(), speaks_from);
        // States are restored there, what ran then may have to be fetched, and the source to be asked.
        let (lane, feed) = patience.wait(move || {
            let (name, position) = (parts.name.clone(), checkpoint.position);
            let lane = Lane::resume(parts, Resume { checkpoint, committed, decisions })?;
            Ok((lane, source.open(&name, position)?))
        })?;
        Ok(Reliving { lane, feed, chunk: Chunk::default(), lived: 0, has_ended: false })
    }

    pub fn lane(&self) -> &Lane {
        &self.lane
    }

    pub fn lane_mut(&mut self) -> &mut Lane {
        &mut self.lane
    }

    pub fn into_lane(self) -> Lane {
        self.lane
    }

    /// Lives all that stood before `position`, or as much of it as the source has.
    pub fn until(&mut self, position: Position, patience: Patience<'_>) -> Result<(), HistoryError> {
        while self.some_until(position, patience)? {}
        Ok(())
    }

    /// Some of it; false once that was all.
    pub fn some_until(&mut self, position: Position, patience: Patience<'_>) -> Result<bool, HistoryError> {
        let Reliving { lane, chunk, lived, .. } = self;
        for record in chunk.iter().skip(*lived) {
            if record.meta.position >= position {
                break;
            }
            lane.accept(&record)?;
            *lived += 1;
            // A batch was judged just now, or there is nothing to judge.
            if lane.pending() == 0 {
                patience.check()?;
            }
        }
        lane.let_go_idlers();
        if self.lane.next() >= position || self.lived < self.chunk.records.len() || self.has_ended {
            self.lane.relive_up_to(position)?;
            return Ok(false);
        }
        self.read(patience)?;
        Ok(true)
    }

    /// The record at `position`, which was not lived yet, if the source has it.
    pub fn record_at(
        &mut self,
        position: Position,
        patience: Patience<'_>,
    ) -> Result<Option<PastRecord>, HistoryError> {
        loop {
            let found = self.chunk.iter().find(|record| record.meta.position >= position);
            if let Some(record) = found {
                return Ok((record.meta.position == position).then(|| PastRecord {
                    meta: record.meta,
                    bytes: record.bytes.to_vec(),
                    key: record.key.map(<[u8]>::to_vec),
                    headers: record.headers.to_vec(),
                }));
            }
            if self.has_ended {
                return Ok(None);
            }
            self.read(patience)?;
        }
    }

    /// The next records take the place of those in hand.
    fn read(&mut self, patience: Patience<'_>) -> Result<(), HistoryError> {
        self.chunk.clear();
        self.lived = 0;
        while self.chunk.records.is_empty() && !self.has_ended {
            patience.check()?;
            let polled = self.feed.poll(&mut self.chunk, WAIT);
            self.has_ended = match polled {
                Ok(status) => status == FeedStatus::End,
                // What was read before an error counts; the error comes again.
                Err(_) if !self.chunk.records.is_empty() => false,
                Err(SourceError::Away { .. }) => false,
                Err(error) => return Err(error.into()),
            };
        }
        Ok(())
    }
}

/// Without those who judge in silence, and in this stretch never take the seat: nobody hears them, and a rebuild has
/// little time.
fn leave_out_idlers(states: &mut Vec<DetectorState>, decisions: &mut Vec<Decision>) {
    let all = decisions.clone();
    let any = |name: &str, is_it: &dyn Fn(&What) -> bool| {
        all.iter().any(|decision| decision.what.detector() == Some(name) && is_it(&decision.what))
    };
    let live: Vec<String> = states
        .iter()
        .filter(|state| state.place.role == Role::Live)
        .map(|state| state.name.clone())
        .collect();
    states.retain(|state| match state.place.role {
        Role::Live | Role::Dormant => true,
        Role::Warm => any(&state.name, &may_need_warm),
        // Where nobody is live, what a shadow knows is what the next one begins with.
        Role::Shadow => !live.contains(&state.name) || any(&state.name, &may_need_shadow),
    });
    let is_of = |what: &What, as_of: u64| match what {
        What::Swap { generation, .. } | What::Shadow { generation, .. } => *generation == as_of,
        _ => false,
    };
    decisions.retain(|decision| match &decision.what {
        What::Prepare { detector, generation } => any(detector, &|what| is_of(what, *generation)),
        _ => true,
    });
}

fn may_need_shadow(what: &What) -> bool {
    !is_of_the_live_one(what) && !matches!(what, What::Back { .. })
}
