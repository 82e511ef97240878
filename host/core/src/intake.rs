//! A source as a whole: lanes that come, and for some sources go again.

use std::time::Duration;

use crate::anomaly::Origin;
use crate::checkpoint::SourcePart;
use crate::record::{Feed, RecordFormat, SourceError};
use crate::sink::LaneId;

/// A lane that is ours from now on.
pub struct Opening {
    pub lane: LaneId,
    pub origin: Origin,
    /// What the lane's positions count in.
    pub source: Vec<SourcePart>,
    pub format: RecordFormat,
    pub feed: Box<dyn Feed>,
}

/// How lanes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revocation {
    /// They are ours until we say that we gave them up: what was read is settled first.
    Asked,
    /// They were taken: nothing of them may be published or committed any more.
    Lost,
}

/// What has happened to a source's lanes.
pub enum Change {
    Opened(Opening),
    Revoked { lanes: Vec<LaneId>, how: Revocation },
}

/// Gives lanes and takes them. Owned by one thread, which asks often.
pub trait Intake: Send {
    /// Waits at most `wait` for something to happen. A fixed intake is asked once.
    fn poll(&mut self, wait: Duration) -> Result<Vec<Change>, SourceError>;

    /// The answer to `Revoked`, once nothing of these lanes will be published or committed any more.
    fn released(&mut self, lanes: &[LaneId]) -> Result<(), SourceError>;

    /// All lanes that are ours, anew, each to go on from its commit: the sink has lost what was on its way.
    fn reopen(&mut self) -> Result<Vec<Opening>, SourceError>;

    /// All lanes come with the first poll, none goes, and the run ends when all of them have ended.
    fn is_fixed(&self) -> bool;

    /// Gives everything up. All is settled.
    fn close(&mut self);
}

/// Lanes that are there from the beginning and stay.
pub struct FixedLanes {
    openings: Vec<Opening>,
}

impl FixedLanes {
    pub fn new(openings: Vec<Opening>) -> Self {
        FixedLanes { openings }
    }
}

impl Intake for FixedLanes {
    fn poll(&mut self, _wait: Duration) -> Result<Vec<Change>, SourceError> {
        Ok(std::mem::take(&mut self.openings).into_iter().map(Change::Opened).collect())
    }

    fn released(&mut self, _lanes: &[LaneId]) -> Result<(), SourceError> {
        Ok(())
    }

    fn reopen(&mut self) -> Result<Vec<Opening>, SourceError> {
        let what = "this source cannot be read a second time in one run; start again".to_owned();
        Err(SourceError::Read { place: "source".into(), what })
    }

    fn is_fixed(&self) -> bool {
        true
    }

    fn close(&mut self) {}
}
