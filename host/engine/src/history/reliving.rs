//! A lane as it goes through its past.

use std::time::Duration;

use gridwatch_core::checkpoint::Checkpoint;
use gridwatch_core::decision::Decision;
use gridwatch_core::record::{Chunk, Feed, FeedStatus, Header, Position, RecordMeta, SourceError};

use super::{History, HistoryError, Patience, Stretch};
use crate::lane::{Lane, LaneParts, Resume};
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
        name: &str,
        mut checkpoint: Checkpoint,
        mut decisions: Vec<Decision>,
        past: &Stretch<'_>,
    ) -> Result<Reliving, HistoryError> {
        let settings: Option<LaneSettings> = serde_json::from_str(&checkpoint.settings).ok();
        if settings.as_ref() != Some(&parts.settings) {
            return Err(HistoryError::Changed { lane: parts.name, name: name.to_owned() });
        }
        checkpoint.detectors.retain(|state| past.whom.contains(&state.name.as_str()));
        decisions.retain(|decision| decision.what.detector().is_none_or(|of| past.whom.contains(&of)));
        let deployments = parts.deployments.into_iter();
        let deployments = deployments.filter(|deployment| past.whom.contains(&deployment.name.as_str()));
        let parts = LaneParts { deployments: deployments.collect(), history: None, ..parts };
        let (lane, position) = (parts.name.clone(), checkpoint.position);
        let lane_again = Lane::resume(parts, Resume { checkpoint, committed: past.speaks_from, decisions })?;
        let feed = history.source.open(&lane, position)?;
        Ok(Reliving { lane: lane_again, feed, chunk: Chunk::default(), lived: 0, has_ended: false })
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
        }
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
