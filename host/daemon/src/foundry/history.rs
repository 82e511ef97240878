//! What became of each detector, the last of it: when, by whom, and why.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use gridwatch_core::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

/// Of a detector.
const ENTRIES_MAX: usize = 200;
const DETECTORS_MAX: usize = 1024;

/// Who brought it about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// What lies there was changed.
    Directory,
    /// Somebody by `gridwatch rollback` or the like, or another process whose lane failed.
    Roster,
    /// The detector itself.
    Fault,
    Api,
    /// It was so when this process began.
    Start,
    /// After a while, by itself.
    Time,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum What {
    Admitted,
    Refused,
    /// The roster has a new generation.
    Proposed,
    /// In lanes, as all that follows.
    Swapped,
    WentBack,
    /// A build judges beside what is live, or alone, and is not heard.
    Shadowed,
    /// What shadowed is heard.
    Promoted,
    /// What shadowed is there no more.
    TakenOut,
    Removed,
    Failed,
    Quarantined,
    /// It judges again, with what it knew.
    Released,
}

/// Something that became of a detector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Over all detectors, from 1.
    pub sequence: u64,
    pub at: Timestamp,
    pub detector: String,
    pub by: By,
    pub what: What,
    pub generation: Option<u64>,
    pub version: Option<String>,
    pub digest: Option<String>,
    pub detail: Option<String>,
}

impl Entry {
    pub fn new(detector: &str, by: By, what: What) -> Entry {
        Entry {
            sequence: 0,
            at: 0,
            detector: detector.to_owned(),
            by,
            what,
            generation: None,
            version: None,
            digest: None,
            detail: None,
        }
    }
}

/// Handles are copies of one thing.
#[derive(Clone, Default)]
pub struct History {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    sequence: u64,
    by_detector: BTreeMap<String, VecDeque<Entry>>,
}

impl History {
    pub fn note(&self, entry: Entry) {
        let at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
        let mut shared = self.lock();
        if !shared.by_detector.contains_key(&entry.detector) && shared.by_detector.len() >= DETECTORS_MAX {
            return;
        }
        shared.sequence += 1;
        let sequence = shared.sequence;
        let entries = shared.by_detector.entry(entry.detector.clone()).or_default();
        if entries.len() >= ENTRIES_MAX {
            entries.pop_front();
        }
        entries.push_back(Entry { sequence, at, ..entry });
    }

    /// Of a detector, the newest first.
    pub fn of(&self, detector: &str) -> Vec<Entry> {
        let shared = self.lock();
        shared.by_detector.get(detector).into_iter().flatten().rev().cloned().collect()
    }

    /// Of all of them, those that came after the one of this number.
    pub fn after(&self, sequence: u64) -> Vec<Entry> {
        let shared = self.lock();
        if shared.sequence == sequence {
            return Vec::new();
        }
        let all = shared.by_detector.values().flatten();
        let mut new: Vec<Entry> = all.filter(|entry| entry.sequence > sequence).cloned().collect();
        new.sort_by_key(|entry| entry.sequence);
        new
    }

    pub fn sequence(&self) -> u64 {
        self.lock().sequence
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_each_detector_is_kept() {
        let history = History::default();
        history.note(Entry::new("quiet", By::Start, What::Admitted));
        for _ in 0..ENTRIES_MAX + 5 {
            history.note(Entry::new("busy", By::Directory, What::Refused));
        }
        assert_eq!((history.of("quiet").len(), history.of("busy").len()), (1, ENTRIES_MAX));
        assert_eq!(history.after(history.sequence() - 2).len(), 2);
        assert!(history.after(history.sequence()).is_empty() && history.of("none").is_empty());
    }
}
