//! How long something may take, also where somebody is asked who may never answer.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{RecvTimeoutError, bounded};

use super::HistoryError;

/// Threads of this process that ask a store or a source, and may hang there.
static ASKING: AtomicUsize = AtomicUsize::new(0);
const ASKING_MAX: usize = 16;
/// How soon it is seen that something is not wanted any more.
const CANCEL_WAIT: Duration = Duration::from_millis(20);

#[derive(Debug, Clone, Copy)]
pub struct Patience<'a> {
    since: Instant,
    max: Duration,
    cancel: Option<&'a AtomicBool>,
}

impl<'a> Patience<'a> {
    pub fn of(max: Duration) -> Self {
        Patience { since: Instant::now(), max, cancel: None }
    }

    /// And no longer than until this is set.
    pub fn unless(self, cancel: &'a AtomicBool) -> Self {
        Patience { cancel: Some(cancel), ..self }
    }

    pub fn check(&self) -> Result<(), HistoryError> {
        if self.cancel.is_some_and(|cancel| cancel.load(Ordering::Acquire)) {
            return Err(HistoryError::Cancelled);
        }
        if self.since.elapsed() > self.max {
            return Err(HistoryError::TooLong { max: self.max });
        }
        Ok(())
    }

    /// What the work comes to, which is done on a thread of its own. One that comes too late is dropped there.
    pub fn wait<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, HistoryError> + Send + 'static,
    ) -> Result<T, HistoryError> {
        self.check()?;
        let unanswered = |what: String| HistoryError::Unanswered { what };
        let asking = Asking::begin().ok_or_else(|| {
            unanswered(format!("{ASKING_MAX} who were asked earlier have not answered yet"))
        })?;
        let (answer, answered) = bounded(1);
        std::thread::Builder::new()
            .name("history".to_owned())
            .spawn(move || {
                let _asking = asking;
                // Nobody waits for what comes too late.
                let _ = answer.send(work());
            })
            .map_err(|error| unanswered(format!("no thread to ask: {error}")))?;
        loop {
            let left = self.max.saturating_sub(self.since.elapsed());
            let wait = if self.cancel.is_some() { left.min(CANCEL_WAIT) } else { left };
            match answered.recv_timeout(wait) {
                Ok(answer) => return answer,
                Err(RecvTimeoutError::Timeout) => {
                    self.check()?;
                    if left.is_zero() {
                        return Err(HistoryError::TooLong { max: self.max });
                    }
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(unanswered("the thread that asked has died; see the log".to_owned()));
                }
            }
        }
    }
}

/// One of the threads that ask.
struct Asking;

impl Asking {
    fn begin() -> Option<Asking> {
        let more = |asking: usize| (asking < ASKING_MAX).then_some(asking + 1);
        ASKING.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).ok().map(|_| Asking)
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        ASKING.fetch_sub(1, Ordering::AcqRel);
    }
}
