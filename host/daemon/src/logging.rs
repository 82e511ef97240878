//! Logs go to standard error: `GRIDWATCH_LOG=debug` or `GRIDWATCH_LOG=gridwatch_engine=trace` shows more.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

/// Colours only where a person looks.
pub fn start() {
    let filter = EnvFilter::try_from_env("GRIDWATCH_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    // A second start, in tests, keeps the first one.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        // Nobody reads the log any more: that must not end what it would tell of.
        .log_internal_errors(false)
        .try_init();
}
