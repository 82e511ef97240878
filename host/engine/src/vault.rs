//! What is done in the checkpoint store, apart from the outlet: a store that is slow or away must not hold
//! up what is on its way.

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
    /// Deletes the lane's checkpoints that are older than this one. Only an owner whose commit names that
    /// one or a later one may ask for it.
    Sweep {
        lane: LaneId,
        keep_from: String,
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
            Chore::Sweep { lane, keep_from } => {
                if let Err(error) = sweep(store, &folder_of(&lane.name), &keep_from) {
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

/// Names begin with the position, so that they sort by age.
fn sweep(store: &dyn Store, folder: &str, keep_from: &str) -> Result<(), StoreError> {
    for name in store.list(folder)?.iter().take_while(|name| name.as_str() < keep_from) {
        store.delete(name)?;
    }
    Ok(())
}
