//! What is done in the checkpoint store, apart from the outlet: a store that is slow or away must not hold
//! up what is on its way.

use gridwatch_core::Timestamp;
use gridwatch_core::capsule;
use gridwatch_core::checkpoint::{Checkpoint, short_digest};
use gridwatch_core::record::Position;
use gridwatch_core::sink::{LaneId, Store, StoreError};

/// All checkpoints lie under this prefix of the store, by lane.
pub const CHECKPOINTS: &str = "checkpoints";

/// Something to do in the store. A lane has at most one `Put` under way.
#[derive(Debug, Clone, PartialEq)]
pub enum Chore {
    Put {
        lane: LaneId,
        place: Place,
        checkpoint: Box<Checkpoint>,
    },
    /// Puts what nobody waits for.
    Keep {
        name: String,
        bytes: Vec<u8>,
    },
    /// Deletes the lane's checkpoints that stand before all of these, but for some that its history is lived again
    /// from. Only an owner whose commit names one of them may ask for it.
    Sweep {
        lane: LaneId,
        keep: Vec<String>,
        history: Kept,
    },
}

/// What is kept of a lane's checkpoints beside the last ones: the first of each hour.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept {
    /// Event time, back from the newest of the last ones; zero: none is kept.
    pub window_ms: i64,
    /// Beyond this sequence number, which its present owner found, only `ours` are the lane's. What else is there was
    /// left by one whose commit did not come to be.
    pub found: u64,
    pub ours: Vec<String>,
}

/// How a `Put` ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    pub lane: LaneId,
    pub place: Place,
    pub result: Result<Named, StoreError>,
}

/// A checkpoint in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    pub name: String,
    pub bytes: u64,
}

impl Chore {
    pub fn run(self, store: &dyn Store) -> Option<Stored> {
        match self {
            Chore::Put { lane, place, checkpoint } => {
                let result = put(store, &lane.name, place, *checkpoint);
                Some(Stored { lane, place, result })
            }
            Chore::Keep { name, bytes } => {
                if let Err(error) = store.put(&name, bytes) {
                    tracing::warn!(name, %error, "a capsule cannot be stored");
                }
                None
            }
            Chore::Sweep { lane, keep, history } => {
                let capsules = sweep_capsules(store, &lane.name, &keep, &history);
                if let Err(error) = sweep(store, &folder_of(&lane.name), &keep, &history).and(capsules) {
                    tracing::warn!(%lane, %error, "old checkpoints cannot be deleted; they do no harm");
                }
                None
            }
        }
    }
}

/// Made bytes here, where no lane waits for that.
fn put(store: &dyn Store, lane: &str, place: Place, checkpoint: Checkpoint) -> Result<Named, StoreError> {
    let bytes = encoded(lane, checkpoint)?;
    let (name, size) = (place.name(lane, &short_digest(&bytes)), bytes.len() as u64);
    store.put(&name, bytes)?;
    Ok(Named { name, bytes: size })
}

pub fn encoded(lane: &str, checkpoint: Checkpoint) -> Result<Vec<u8>, StoreError> {
    let failed =
        |error| StoreError::Failed { name: folder_of(lane), what: format!("the checkpoint {error}") };
    checkpoint.encode().map_err(failed)
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
    /// Event time, where it has begun.
    pub time: Option<Timestamp>,
}

/// In a name; what was written before there were any has none.
const SEQUENCE_DIGITS: usize = 10;
const TIME_DIGITS: usize = 13;
/// One checkpoint of each is kept.
const HOUR_MS: i64 = 3_600_000;

impl Place {
    /// The name of the lane's checkpoint that was made here. Unique by content: another process may have made
    /// another one at the same place.
    pub fn name(self, lane: &str, digest: &str) -> String {
        let Place { position, sequence, time } = self;
        let (folder, time) = (folder_of(lane), time.unwrap_or(0).max(0));
        format!("{folder}{position:020}-{sequence:0SEQUENCE_DIGITS$}-{time:0TIME_DIGITS$}-{digest}")
    }

    /// As the checkpoint's name has it.
    pub fn of(name: &str) -> Option<Place> {
        let mut parts = name.rsplit('/').next()?.split('-');
        let position = parts.next()?.parse().ok()?;
        let sequence = parts.next().filter(|part| part.len() == SEQUENCE_DIGITS);
        let time = parts.next().filter(|part| part.len() == TIME_DIGITS);
        Some(Place {
            position,
            sequence: sequence.and_then(|part| part.parse().ok()).unwrap_or(0),
            time: time.and_then(|part| part.parse().ok()).filter(|time| *time > 0),
        })
    }
}

/// By place alone: of two checkpoints at one place either may be the one that is named.
fn sweep(store: &dyn Store, folder: &str, keep: &[String], history: &Kept) -> Result<(), StoreError> {
    let places = || keep.iter().filter_map(|name| Place::of(name));
    let (Some(from), Some(newest)) = (places().min(), places().max()) else { return Ok(()) };
    let before = store.list(folder)?.into_iter();
    let before: Vec<String> = before
        .filter(|name| {
            Place::of(name).is_some_and(|at| (at.position, at.sequence) < (from.position, from.sequence))
        })
        .collect();
    let thinned = history.thinned(&before, newest);
    for name in before.iter().filter(|name| !thinned.contains(*name)) {
        store.delete(name)?;
    }
    store.tidy(folder)
}

/// Capsules are kept for as long as what they were made of.
fn sweep_capsules(store: &dyn Store, lane: &str, keep: &[String], history: &Kept) -> Result<(), StoreError> {
    let newest = keep.iter().filter_map(|name| Place::of(name)).max();
    let Some(time) = newest.and_then(|newest| newest.time) else { return Ok(()) };
    let since = time - history.window_ms;
    let names = store.list(&capsule::folder_of(lane))?;
    let is_old = |name: &&String| capsule::parts_of(name).is_some_and(|(time, _)| time < since);
    names.iter().filter(is_old).try_for_each(|name| store.delete(name))
}

impl Kept {
    /// Those of `names` that stay, as seen from the `newest` checkpoint.
    pub fn thinned(&self, names: &[String], newest: Place) -> Vec<String> {
        let Some(newest) = newest.time else { return Vec::new() };
        let since = newest - self.window_ms;
        let mut placed: Vec<(Place, &String)> = names
            .iter()
            .filter_map(|name| Some((Place::of(name)?, name)))
            .filter(|(place, name)| place.sequence <= self.found || self.ours.contains(name))
            .collect();
        placed.sort();
        let is_kept = |time: Timestamp| self.window_ms > 0 && time >= since;
        let following = placed.iter().find_map(|(place, _)| place.time).unwrap_or(newest);
        let mut hour = None;
        let mut kept = Vec::new();
        for (at, (place, name)) in placed.iter().enumerate() {
            // The lane as it began, before any reading: with the one that follows, what it first heard is explained.
            let begins = at == 0 && place.time.is_none() && is_kept(following);
            let of_place = place.time.filter(|time| is_kept(*time)).map(|time| time / HOUR_MS);
            if begins || (of_place.is_some() && of_place != hour) {
                kept.push((*name).clone());
            }
            hour = of_place.or(hour);
        }
        kept
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use gridwatch_connectors::memory::MemoryStore;

    use super::*;

    #[test]
    fn places_are_read_from_names_old_and_new() {
        let place = |name: &str| Place::of(name).map(|place| (place.position, place.sequence));
        let timed = Place { position: 7, sequence: 2, time: Some(1_767_225_600_000) };
        assert_eq!(Place::of(&timed.name("a-3", "aa")), Some(timed));
        let timeless = Place { time: None, ..timed };
        assert_eq!(Place::of(&timeless.name("a-3", "aa")), Some(timeless));
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
        sweep(&store, "checkpoints/a-3/", &[name(3), name(4)], &Kept::default()).unwrap();
        assert_eq!(store.list("checkpoints/a-3/").unwrap(), [name(3), name(4), name(5)]);
    }

    /// What a lane heard first is explained from where it began, for as long as from what came next.
    #[test]
    fn where_a_lane_began_is_kept_with_what_follows() {
        const START: i64 = 1_767_225_600_000;
        let place = |sequence: u64, time: Option<Timestamp>| Place { position: sequence, sequence, time };
        let name = |sequence: u64| {
            let time = (sequence > 1).then(|| START + sequence as i64 * HOUR_MS);
            place(sequence, time).name("a", "aa")
        };
        let names: Vec<String> = (0..=3).map(name).collect();
        let kept = |newest: u64, names: &[String]| {
            let history = Kept { window_ms: 5 * HOUR_MS, found: 10, ours: Vec::new() };
            history.thinned(names, place(newest, Some(START + newest as i64 * HOUR_MS)))
        };
        assert_eq!(kept(5, &names), [0, 2, 3].map(name));
        assert_eq!(kept(5, &names[..2]), [name(0)], "what follows is one of the last");
        assert_eq!(kept(8, &names), [name(3)], "what follows is too old");
    }

    /// What explanations and plots begin at; and never one that its owner could not commit.
    #[test]
    fn one_an_hour_is_kept_of_the_window_and_none_that_is_not_the_lanes() {
        const START: i64 = 1_767_225_600_000;
        let place = |sequence: u64| Place {
            position: sequence * 100,
            sequence,
            time: Some(START + sequence as i64 * HOUR_MS / 4),
        };
        let name = |sequence: u64| place(sequence).name("a", "aa");
        let store = MemoryStore::new();
        (1..=40).for_each(|sequence| store.put(&name(sequence), Vec::new()).unwrap());
        let orphan = Place { position: 3_050, ..place(32) }.name("a", "bb");
        store.put(&orphan, Vec::new()).unwrap();
        let ours = (31..=40).map(name).collect();
        let history = Kept { window_ms: 5 * HOUR_MS, found: 30, ours };
        for _ in 0..2 {
            sweep(&store, "checkpoints/a/", &[name(39), name(40)], &history).unwrap();
            let kept = store.list("checkpoints/a/").unwrap();
            assert_eq!(kept, [20, 24, 28, 32, 36, 39, 40].map(name));
        }
    }
}
