//! What an instance may use: memory, tables, and CPU time of the thread that calls it.

use std::time::Duration;

use gridwatch_core::judge::Limits;
use rustix::time::{ClockId, clock_gettime};
use wasmtime::{ResourceLimiter, UpdateDeadline};

use crate::ticker::TICK;

/// Elements in all tables of an instance: functions that can be called indirectly. Eight bytes each.
const TABLE_ELEMENTS_MAX: usize = 1 << 20;
/// Core instances, tables and memories of one component. One guest of the SDK takes three; toolchains
/// that link dynamically (Python's) take dozens.
const INSTANCES_MAX: usize = 200;
const TABLES_MAX: usize = 200;
const MEMORIES_MAX: usize = 8;

/// Which limit a call ran into. Recorded here, since wasmtime's error only says that there was one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breach {
    Memory { limit_bytes: usize },
    Deadline,
}

/// The limits of one instance and what it has used of them.
pub struct Guard {
    memory_bytes_max: usize,
    call_deadline: Duration,
    memory_bytes: usize,
    table_elements: usize,
    breach: Option<Breach>,
    /// The thread's CPU clock at the first tick of the current call.
    cpu_at_first_tick: Option<Duration>,
}

/// A limit refused the guest's wish; `breach` says which.
#[derive(Debug, thiserror::Error)]
#[error("a limit of the host")]
struct Refused;

impl Guard {
    pub fn new(limits: &Limits) -> Guard {
        Guard {
            memory_bytes_max: limits.memory_bytes_max,
            call_deadline: Duration::from_millis(limits.call_deadline_ms),
            memory_bytes: 0,
            table_elements: 0,
            breach: None,
            cpu_at_first_tick: None,
        }
    }

    /// A new call begins; the store's epoch deadline must be set to one tick.
    pub fn begin_call(&mut self) {
        self.cpu_at_first_tick = None;
        self.breach = None;
    }

    pub fn breach(&self) -> Option<Breach> {
        self.breach
    }

    /// Bytes of all linear memories.
    pub fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    /// The guest has run past the epoch that it was given. Time counts on the thread's CPU clock, so
    /// that a guest on a busy machine is not blamed for the time in which it did not run. The clock is
    /// read for the first time at the first tick, not at the start of the call: nearly all calls end
    /// before it and read no clock at all, and the others are given up to a tick more.
    pub fn on_tick(&mut self) -> UpdateDeadline {
        let now = thread_cpu_time();
        let start = *self.cpu_at_first_tick.get_or_insert(now);
        let left = self.call_deadline.saturating_sub(now.saturating_sub(start));
        if left.is_zero() {
            self.breach = Some(Breach::Deadline);
            return UpdateDeadline::Interrupt;
        }
        let ticks = left.as_nanos().div_ceil(TICK.as_nanos());
        UpdateDeadline::Continue(u64::try_from(ticks).unwrap_or(u64::MAX >> 1))
    }

    fn refuse_memory(&mut self, limit_bytes: usize) -> wasmtime::Result<bool> {
        self.breach = Some(Breach::Memory { limit_bytes });
        // An error traps at once. Answering the guest that there is no more (-1) would let its findings
        // depend on the host's limits.
        Err(Refused.into())
    }
}

impl ResourceLimiter for Guard {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            // The guest's own maximum: its own matter.
            return Ok(false);
        }
        let total = self.memory_bytes.saturating_add(desired.saturating_sub(current));
        if total > self.memory_bytes_max {
            return self.refuse_memory(self.memory_bytes_max);
        }
        self.memory_bytes = total;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        // The operating system has no more: not the guest's fault, but it must not see the difference.
        self.breach = Some(Breach::Memory { limit_bytes: self.memory_bytes_max });
        Err(error)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let total = self.table_elements.saturating_add(desired.saturating_sub(current));
        if total > TABLE_ELEMENTS_MAX {
            return self.refuse_memory(TABLE_ELEMENTS_MAX * size_of::<usize>());
        }
        self.table_elements = total;
        Ok(true)
    }

    fn instances(&self) -> usize {
        INSTANCES_MAX
    }

    fn tables(&self) -> usize {
        TABLES_MAX
    }

    fn memories(&self) -> usize {
        MEMORIES_MAX
    }
}

/// CPU time that the calling thread has used.
fn thread_cpu_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(now).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(call_deadline_ms: u64) -> Guard {
        Guard::new(&Limits { call_deadline_ms, ..Limits::default() })
    }

    #[test]
    fn ticks_while_the_thread_did_not_run_are_not_held_against_it() {
        let mut guard = guard(60_000);
        guard.begin_call();
        for _ in 0..10_000 {
            // Ten thousand ticks are more than a minute and a half of wall time.
            assert!(matches!(guard.on_tick(), UpdateDeadline::Continue(1..=6000)));
        }
        assert_eq!(guard.breach(), None);
    }

    #[test]
    fn cpu_time_is_held_against_it() {
        let mut guard = guard(5);
        guard.begin_call();
        let start = thread_cpu_time();
        assert!(matches!(guard.on_tick(), UpdateDeadline::Continue(1)));
        while thread_cpu_time() < start + Duration::from_millis(6) {
            std::hint::spin_loop();
        }
        assert!(matches!(guard.on_tick(), UpdateDeadline::Interrupt));
        assert_eq!(guard.breach(), Some(Breach::Deadline));
        guard.begin_call();
        assert_eq!(guard.breach(), None);
    }
}
