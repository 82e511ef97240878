//! What others want to know of a lane: it answers between two batches, so that nobody reads what it is changing, and
//! a little at a time, so that nobody holds it up.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::{Lane, lock};

/// Of a lane, at a time.
const QUESTIONS_MAX: usize = 64;

/// Looks at the lane for some tenths of a millisecond at most. Whoever asked keeps the other end of a channel, and
/// hears that it is hung up where the lane ends first.
pub type Question = Box<dyn FnMut(&Lane) -> Answered + Send>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered {
    Done,
    /// It is to be put again, after the next batch.
    InPart,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unasked {
    #[error("the lane is not open here")]
    Gone,
    #[error("{QUESTIONS_MAX} others wait for the lane's answer; ask again")]
    Busy,
}

/// Of a lane, that wait.
#[derive(Default)]
pub struct Questions {
    waiting: Mutex<VecDeque<Question>>,
    /// How many, to be looked at without a lock.
    count: AtomicUsize,
    closed: AtomicBool,
}

impl Questions {
    pub fn put(&self, question: Question) -> Result<(), Unasked> {
        let mut waiting = lock(&self.waiting);
        if self.closed.load(Ordering::Acquire) {
            return Err(Unasked::Gone);
        }
        if waiting.len() >= QUESTIONS_MAX {
            return Err(Unasked::Busy);
        }
        waiting.push_back(question);
        self.count.store(waiting.len(), Ordering::Release);
        Ok(())
    }

    pub fn is_empty(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }

    /// Between two batches: a part of one of them.
    pub fn answer(&self, lane: &Lane) {
        if self.is_empty() {
            return;
        }
        let Some(mut question) = lock(&self.waiting).pop_front() else { return };
        let answered = question(lane);
        let mut waiting = lock(&self.waiting);
        if answered == Answered::InPart {
            waiting.push_back(question);
        }
        self.count.store(waiting.len(), Ordering::Release);
    }

    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// The lane has ended; who waits hears so.
    pub fn close(&self) {
        let mut waiting = lock(&self.waiting);
        self.closed.store(true, Ordering::Release);
        waiting.clear();
        self.count.store(0, Ordering::Release);
    }
}
