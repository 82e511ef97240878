//! What a detector logs, among our own lines, under its name.

use std::sync::atomic::{AtomicU64, Ordering};

use gridwatch_core::judge::{GuestLog, LogLevel};

/// Lines are already limited in rate and length, and hold no control characters.
#[derive(Debug)]
pub struct GuestLines {
    detector: String,
    dropped: AtomicU64,
}

impl GuestLines {
    pub fn new(detector: &str) -> Self {
        GuestLines { detector: detector.to_owned(), dropped: AtomicU64::new(0) }
    }

    /// Lines beyond the rate since the start.
    pub fn lines_dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

impl GuestLog for GuestLines {
    fn line(&self, level: LogLevel, message: &str) {
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
