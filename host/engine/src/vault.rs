//! What is done in the checkpoint store, apart from the outlet: a store that is slow or away must not hold
//! up what is on its way.

use gridwatch_core::record::Position;
use gridwatch_core::sink::{LaneId, Store, StoreError};

/// All checkpoints lie under this prefix of the store, by lane.
pub const CHECKPOINTS: &str = "checkpoints";

/// Something to do in the store. A lane has at most one `Put` under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chore {
    Put {
        lane: LaneId,
        name: String,
        bytes: Vec<u8>,
    },
    /// Deletes the lane's checkpoints that stand before all of these. Only an owner whose commit names one
    /// of them may ask for it.
    Sweep {
        lane: LaneId,
        keep: Vec<String>,
    },
}

/// How a `Put` ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    pub lane: LaneId,
    pub name: String,
    pub result: Result<(), StoreError>,
}

impl Chore {
    pub fn run(self, store: &dyn Store) -> Option<Stored> {
        match self {
            Chore::Put { lane, name, bytes } => {
                let result = store.put(&name, bytes);
                Some(Stored { lane, name, result })
            }
            Chore::Sweep { lane, keep } => {
                if let Err(error) = sweep(store, &folder_of(&lane.name), &keep) {
                    tracing::warn!(%lane, %error, "old checkpoints cannot be deleted; they do no harm");
                }
                None
            }
        }
    }
}

pub fn folder_of(lane: &str) -> String {
    format!("{CHECKPOINTS}/{lane}/")
}

/// The position in a checkpoint's name.
pub fn position_of(name: &str) -> Option<Position> {
    name.rsplit('/').next()?.split('-').next()?.parse().ok()
}

/// By position alone: of two checkpoints at one position either may be the one that is named.
fn sweep(store: &dyn Store, folder: &str, keep: &[String]) -> Result<(), StoreError> {
    let Some(from) = keep.iter().filter_map(|name| position_of(name)).min() else { return Ok(()) };
    for name in store.list(folder)?.iter().filter(|name| position_of(name).is_some_and(|at| at < from)) {
        store.delete(name)?;
    }
    store.tidy(folder)
}
