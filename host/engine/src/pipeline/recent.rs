//! What lanes have just read, for who asks. A lane answers between two steps; one that does not come to it in time is
//! left out.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::{LaneShared, lock};
use crate::foundry::Evidence;
use crate::lane::Lane;

const LOOK_INTERVAL: Duration = Duration::from_millis(2);

/// Between a lane's thread and who asks.
#[derive(Default)]
pub(super) struct Answer {
    wanted: AtomicBool,
    given: Mutex<Option<Given>>,
}

/// None: nothing was read yet.
type Given = Option<Evidence>;

impl Answer {
    /// The lane's own thread comes by.
    pub fn give(&self, lane: &Lane) {
        if self.wanted.swap(false, Ordering::AcqRel) {
            *lock(&self.given) = Some(lane.recent());
        }
    }
}

/// Lanes that were asked.
pub struct Asked {
    lanes: Vec<Arc<LaneShared>>,
}

impl Asked {
    pub(super) fn of(lanes: Vec<Arc<LaneShared>>) -> Asked {
        for lane in &lanes {
            *lock(&lane.recent.given) = None;
            lane.recent.wanted.store(true, Ordering::Release);
        }
        Asked { lanes }
    }

    /// What they have read, of `most` lanes: those that kept most.
    pub fn wait(self, patience: Duration, most: usize) -> Vec<Evidence> {
        let until = Instant::now() + patience;
        let mut silent = self.lanes;
        let mut given: Vec<Evidence> = Vec::new();
        while !silent.is_empty() && Instant::now() < until {
            silent.retain(|lane| match lock(&lane.recent.given).take() {
                None => true,
                Some(evidence) => {
                    given.extend(evidence);
                    false
                }
            });
            if !silent.is_empty() {
                std::thread::sleep(LOOK_INTERVAL);
            }
        }
        given.sort_by_key(|evidence| std::cmp::Reverse(evidence.rows()));
        given.truncate(most);
        given
    }
}
