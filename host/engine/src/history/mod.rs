//! A lane's past, lived once more: from a checkpoint on, with the readings that the source still has and the
//! decisions that stood there, in silence.
//!
//! What was rebuilt, explained or plotted is then what it was, since a lane's output is a function of just these.
//! Nothing of it is published or counted, and who reads the source now does not notice.
//!
//! - [`reliving`] a lane as it goes through its past
//! - [`window`] readings over a stretch of time, to be plotted
//! - [`found`] which checkpoint to begin at
//! - [`explain`] why an anomaly was found
//! - [`patience`] how long it may take

mod explain;
mod found;
mod patience;
mod reliving;
mod window;

use std::sync::Arc;
use std::time::Duration;

use gridwatch_core::checkpoint::{Checkpoint, CheckpointError};
use gridwatch_core::decision::Decision;
use gridwatch_core::record::{Past, Position, SourceError};
use gridwatch_core::sink::{Store, StoreError};

use crate::lane::{LaneError, LaneParts};

pub use explain::Explained;
pub use found::At;
pub use patience::Patience;
pub use reliving::{PastRecord, Reliving};
pub use window::{Seen, Series, Window};

/// Where the past of all lanes is.
#[derive(Clone)]
pub struct History {
    pub source: Arc<dyn Past>,
    pub store: Arc<dyn Store>,
    /// How long a lane stands still for a detector that is rebuilt.
    pub rebuild_max: Duration,
}

/// Why a stretch of the past cannot be lived again.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum HistoryError {
    #[error("lane {lane}: no checkpoint is kept from before {wanted}: so far back its past does not reach")]
    Beyond { lane: String, wanted: String },
    #[error("lane {lane}: what was decided since the checkpoint {name} is not known any more")]
    Forgotten { lane: String, name: String },
    #[error("lane {lane}: its settings or assets have changed since the checkpoint {name}")]
    Changed { lane: String, name: String },
    #[error("the checkpoint {name} {what}")]
    Damaged { name: String, what: CheckpointError },
    #[error("the checkpoint store cannot be asked: {0}")]
    Store(#[from] StoreError),
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Lane(#[from] LaneError),
    #[error("it takes longer than {max:?}")]
    TooLong { max: Duration },
    #[error("who is to be asked does not answer: {what}")]
    Unanswered { what: String },
    #[error("it is not wanted any more")]
    Cancelled,
    #[error("it comes out other than it was: {what}")]
    Differs { what: String },
}

impl History {
    pub fn checkpoint(&self, name: &str, patience: Patience<'_>) -> Result<Checkpoint, HistoryError> {
        let (store, name) = (self.store.clone(), name.to_owned());
        patience.wait(move || {
            let bytes = store.get(&name)?;
            Checkpoint::decode(&bytes).map_err(|what| HistoryError::Damaged { name, what })
        })
    }

    /// The lane as the checkpoint of that name has it, with those of its detectors that are in `whom` and nobody
    /// else, and told what was decided `since`. It is silent up to `speaks_from`. `parts` are of the lane as it is
    /// to be: its settings must not have changed since.
    pub fn relive(
        &self,
        parts: LaneParts,
        name: &str,
        past: Stretch<'_>,
        patience: Patience<'_>,
    ) -> Result<Reliving, HistoryError> {
        let checkpoint = self.checkpoint(name, patience)?;
        let decided = checkpoint.chronicle.decided();
        let decisions = (past.decisions)(decided)
            .ok_or_else(|| HistoryError::Forgotten { lane: parts.name.clone(), name: name.to_owned() })?;
        let Stretch { whom, speaks_from, .. } = past;
        Reliving::begin(self, parts, (name, checkpoint), decisions, (whom, speaks_from), patience)
    }
}

/// What of a lane's past is to be lived again.
pub struct Stretch<'a> {
    /// Names of detectors.
    pub whom: &'a [&'a str],
    /// What was decided after the first so many decisions.
    pub decisions: &'a dyn Fn(u64) -> Option<Vec<Decision>>,
    /// From here on it says what it finds, to whoever lives it again.
    pub speaks_from: Position,
}
