//! Samples of what was no reading.

use std::collections::VecDeque;

use gridwatch_core::Timestamp;
use gridwatch_core::dead_letter::DeadLetter;
use gridwatch_core::sink::LaneId;

use super::{Shared, lock};

/// Kept, and of each commit's letters so many are looked at: a flood of them costs nothing.
const SAMPLES_MAX: usize = 100;
const OF_A_COMMIT_MAX: usize = 10;
/// Of a record.
const BYTES_MAX: usize = 4096;

/// One of the dead letters.
#[derive(Debug, Clone)]
pub struct Sample {
    pub at: Timestamp,
    pub reason: &'static str,
    pub detail: String,
    pub lane: String,
    pub position: u64,
    /// The record's first ones.
    pub bytes: Vec<u8>,
    pub bytes_total: usize,
}

/// Handles are copies of one ring.
#[derive(Clone, Default)]
pub struct Letters {
    shared: Shared<VecDeque<Sample>>,
}

impl Letters {
    pub fn newest_first(&self) -> Vec<Sample> {
        lock(&self.shared).iter().rev().cloned().collect()
    }

    pub(super) fn add(&self, waiting: &mut Waiting, now: Timestamp) {
        if waiting.samples.is_empty() {
            return;
        }
        let mut ring = lock(&self.shared);
        for (_, sample) in waiting.samples.drain(..) {
            if ring.len() >= SAMPLES_MAX {
                ring.pop_front();
            }
            ring.push_back(Sample { at: now, ..sample });
        }
    }
}

/// No commit covers them yet.
#[derive(Default)]
pub(super) struct Waiting {
    samples: Vec<(LaneId, Sample)>,
}

impl Waiting {
    pub fn take(&mut self, lane: &LaneId, letter: &DeadLetter) {
        let reason = letter.reason.name();
        // Some of each reason: one that floods must not hide the others.
        let same = self.samples.iter().filter(|(_, sample)| sample.reason == reason).count();
        if same >= OF_A_COMMIT_MAX {
            return;
        }
        let sample = Sample {
            at: 0,
            reason,
            detail: letter.detail.clone(),
            lane: letter.lane.clone(),
            position: letter.meta.position,
            bytes: letter.record[..letter.record.len().min(BYTES_MAX)].to_vec(),
            bytes_total: letter.record.len(),
        };
        self.samples.push((lane.clone(), sample));
    }

    pub fn forget(&mut self, lane: &LaneId) {
        self.samples.retain(|(of, _)| of != lane);
    }
}
