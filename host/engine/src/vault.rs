//! What is done in the checkpoint store, apart from the outlet: a store that is slow or away must not hold
//! up what is on its way.

use gridwatch_core::digest;
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

/// Where in its lane's course a checkpoint was made. A lane that has nothing to read makes one after the other at
/// the same position, as time goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub position: Position,
    pub sequence: u64,
}

/// In a name; what was written before there were any has none.
const SEQUENCE_DIGITS: usize = 10;

impl Place {
    /// The name of the lane's checkpoint that was made here. Unique by content: another process may have made
    /// another one at the same place.
    pub fn name(self, lane: &str, bytes: &[u8]) -> String {
        let Place { position, sequence } = self;
        let digest = digest::short(bytes);
        format!("{}{position:020}-{sequence:0SEQUENCE_DIGITS$}-{digest}", folder_of(lane))
    }

    /// As the checkpoint's name has it.
    pub fn of(name: &str) -> Option<Place> {
        let mut parts = name.rsplit('/').next()?.split('-');
        let position = parts.next()?.parse().ok()?;
        let sequence = parts.next().filter(|part| part.len() == SEQUENCE_DIGITS);
        Some(Place { position, sequence: sequence.and_then(|part| part.parse().ok()).unwrap_or(0) })
    }
}

/// By place alone: of two checkpoints at one place either may be the one that is named.
fn sweep(store: &dyn Store, folder: &str, keep: &[String]) -> Result<(), StoreError> {
    let Some(from) = keep.iter().filter_map(|name| Place::of(name)).min() else { return Ok(()) };
    for name in store.list(folder)?.iter().filter(|name| Place::of(name).is_some_and(|at| at < from)) {
        store.delete(name)?;
    }
    store.tidy(folder)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use gridwatch_connectors::memory::MemoryStore;

    use super::*;

    #[test]
    fn places_are_read_from_names_old_and_new() {
        let place = |name: &str| Place::of(name).map(|place| (place.position, place.sequence));
        assert_eq!(place("checkpoints/a-3/00000000000000000120-0000000007-ffaa840a47be1998"), Some((120, 7)));
        assert_eq!(
            place("checkpoints/a-3/00000000000000000120-0000000000-ffaa840a47be1998-first"),
            Some((120, 0))
        );
        assert_eq!(place("checkpoints/a-3/00000000000000000120-1234567890123456"), Some((120, 0)));
        assert_eq!(place("checkpoints/a-3/nonsense"), None);
    }

    /// A lane that stands still leaves no more behind than one that goes on.
    #[test]
    fn what_came_before_the_kept_ones_is_swept_also_at_the_same_position() {
        let store = MemoryStore::new();
        let name = |sequence: u64| {
            format!("checkpoints/a-3/00000000000000000120-{sequence:010}-00000000000000{sequence:02}")
        };
        for sequence in 0..6 {
            store.put(&name(sequence), Vec::new()).unwrap();
        }
        store.put("checkpoints/a-3/00000000000000000119-0000000009-0000000000000000", Vec::new()).unwrap();
        store.put("checkpoints/a-3/00000000000000000120-ffaa840a47be1998", Vec::new()).unwrap();
        sweep(&store, "checkpoints/a-3/", &[name(3), name(4)]).unwrap();
        assert_eq!(store.list("checkpoints/a-3/").unwrap(), [name(3), name(4), name(5)]);
    }
}
