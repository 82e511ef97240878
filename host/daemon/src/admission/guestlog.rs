//! What a detector logs, among our own lines, under its name; and the last of it, to be looked at.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use gridwatch_core::Timestamp;
use gridwatch_core::judge::{GuestLog, LogLevel};

/// Of a detector, over all lanes; at most 2 KiB each.
const LINES_KEPT_MAX: usize = 500;

/// Lines are already limited in rate and length, and hold no control characters.
#[derive(Debug)]
pub struct GuestLines {
    detector: String,
    dropped: AtomicU64,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// The oldest first.
    lines: VecDeque<Line>,
    /// Of the last one, from 1.
    sequence: u64,
}

/// One line of a detector's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub sequence: u64,
    pub at: Timestamp,
    /// The thread that it was judged on, which is named after its lane.
    pub thread: String,
    pub level: LogLevel,
    pub message: String,
}

impl GuestLines {
    pub fn new(detector: &str) -> Self {
        GuestLines { detector: detector.to_owned(), dropped: AtomicU64::new(0), kept: Mutex::default() }
    }

    /// Lines beyond the rate since the start.
    pub fn lines_dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Lines since the start, those that are not kept any more, too.
    pub fn lines_total(&self) -> u64 {
        self.lock().sequence
    }

    pub fn newest_first(&self) -> Vec<Line> {
        self.lock().lines.iter().rev().cloned().collect()
    }

    fn keep(&self, level: LogLevel, message: &str) {
        let at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
        let thread = std::thread::current().name().unwrap_or("").to_owned();
        let mut kept = self.lock();
        kept.sequence += 1;
        if kept.lines.len() >= LINES_KEPT_MAX {
            kept.lines.pop_front();
        }
        let sequence = kept.sequence;
        kept.lines.push_back(Line { sequence, at, thread, level, message: message.to_owned() });
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl GuestLog for GuestLines {
    fn line(&self, level: LogLevel, message: &str) {
        self.keep(level, message);
        let detector = &self.detector;
        match level {
            LogLevel::Debug => tracing::debug!(detector, "{message}"),
            LogLevel::Info => tracing::info!(detector, "{message}"),
            LogLevel::Warn => tracing::warn!(detector, "{message}"),
            LogLevel::Error => tracing::error!(detector, "{message}"),
        }
    }

    fn dropped(&self, lines: u64) {
        self.dropped.fetch_add(lines, Ordering::Relaxed);
        tracing::warn!(detector = self.detector, lines, "log lines beyond the detector's rate were dropped");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept_and_all_are_counted() {
        let log = GuestLines::new("d");
        for number in 0..LINES_KEPT_MAX + 2 {
            log.line(LogLevel::Info, &number.to_string());
        }
        let lines = log.newest_first();
        assert_eq!((lines.len(), log.lines_total()), (LINES_KEPT_MAX, LINES_KEPT_MAX as u64 + 2));
        assert_eq!((lines[0].message.as_str(), lines[0].sequence), ("501", 502));
    }
}
