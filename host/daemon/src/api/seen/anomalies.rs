//! The last anomalies that were delivered.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

use gridwatch_core::Timestamp;
use gridwatch_core::decode::parse_rfc3339;
use gridwatch_core::finding::{Phase, Severity};
use gridwatch_core::sink::LaneId;
use serde::Deserialize;

use super::{Shared, lock};

/// About 10 MB at most.
pub const ANOMALIES_MAX: usize = 10_000;

/// Handles are copies of one ring.
#[derive(Clone, Default)]
pub struct Anomalies {
    shared: Shared<Ring>,
}

#[derive(Default)]
struct Ring {
    /// The oldest first.
    entries: VecDeque<Arc<Entry>>,
    /// Of the last one, from 1.
    sequence: u64,
}

/// An anomaly as it was published. It is read only when somebody asks.
#[derive(Debug)]
pub struct Entry {
    /// In the order of delivery.
    pub sequence: u64,
    pub lane: Arc<str>,
    /// When it was acknowledged.
    pub received: Timestamp,
    payload: Box<[u8]>,
    index: OnceLock<Option<Index>>,
}

/// What entries are chosen by.
#[derive(Debug, Deserialize)]
pub struct Index {
    pub id: String,
    pub episode: String,
    pub phase: Phase,
    pub detector: String,
    pub sensor_id: Option<String>,
    pub group: Option<String>,
    pub kind: String,
    pub severity: Severity,
    #[serde(deserialize_with = "rfc3339")]
    pub timestamp: Timestamp,
    #[serde(deserialize_with = "rfc3339")]
    pub since: Timestamp,
    pub explanation: Option<String>,
}

impl Entry {
    /// JSON.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// `None` where it cannot be read back, which is a fault of gridwatch's own.
    pub fn index(&self) -> Option<&Index> {
        self.index.get_or_init(|| serde_json::from_slice(&self.payload).ok()).as_ref()
    }
}

fn rfc3339<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    let text = <std::borrow::Cow<'_, str>>::deserialize(deserializer)?;
    parse_rfc3339(&text).ok_or_else(|| serde::de::Error::custom("no time"))
}

impl Anomalies {
    pub fn newest_first(&self) -> Vec<Arc<Entry>> {
        lock(&self.shared).entries.iter().rev().cloned().collect()
    }

    /// Those that came after the one of this number, the oldest first.
    pub fn after(&self, sequence: u64) -> Vec<Arc<Entry>> {
        let ring = lock(&self.shared);
        let first = ring.entries.partition_point(|entry| entry.sequence <= sequence);
        ring.entries.range(first..).cloned().collect()
    }

    /// Of the last one.
    pub fn sequence(&self) -> u64 {
        lock(&self.shared).sequence
    }

    pub(super) fn add(&self, waiting: &mut Waiting, now: Timestamp) {
        if waiting.entries.is_empty() {
            waiting.beyond = 0;
            return;
        }
        let mut ring = lock(&self.shared);
        ring.sequence += std::mem::take(&mut waiting.beyond);
        for (lane, payload) in waiting.entries.drain(..) {
            ring.sequence += 1;
            let entry = Entry {
                sequence: ring.sequence,
                lane: lane.name,
                received: now,
                payload,
                index: OnceLock::new(),
            };
            if ring.entries.len() >= ANOMALIES_MAX {
                ring.entries.pop_front();
            }
            ring.entries.push_back(Arc::new(entry));
        }
    }
}

/// On their way: no commit covers them yet.
#[derive(Default)]
pub(super) struct Waiting {
    entries: VecDeque<(LaneId, Box<[u8]>)>,
    /// So many would have been pushed out of the ring at once.
    beyond: u64,
}

impl Waiting {
    pub fn take(&mut self, lane: &LaneId, payload: &[u8]) {
        if self.entries.len() >= ANOMALIES_MAX {
            self.entries.pop_front();
            self.beyond += 1;
        }
        self.entries.push_back((lane.clone(), payload.into()));
    }

    pub fn forget(&mut self, lane: &LaneId) {
        self.entries.retain(|(of, _)| of != lane);
    }
}
