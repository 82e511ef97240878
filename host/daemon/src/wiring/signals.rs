//! SIGTERM and SIGINT: the first asks for an end in good order, a second one ends at once (a reader of
//! standard output that has stopped reading would hold up a good end for ever). While a service starts the first one
//! ends it: nothing is under way, and what it waits for (a broker, the first line of its input) may never come.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};

/// What comes so soon after the first is the same wish: `timeout` and terminals signal a process and its group.
const SAME_WISH: Duration = Duration::from_millis(200);

#[derive(Debug, Clone, Default)]
pub struct Signals {
    asked: Arc<OnceLock<Instant>>,
    is_starting: Arc<AtomicBool>,
}

impl Signals {
    /// From here on signals do not end the process by themselves.
    pub fn watch(runtime: &Handle) -> io::Result<Signals> {
        let signals = Signals::default();
        let _context = runtime.enter();
        for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
            let mut arrivals = signal(kind)?;
            let Signals { asked, is_starting } = signals.clone();
            runtime.spawn(async move {
                while arrivals.recv().await.is_some() {
                    if is_starting.load(Ordering::Acquire) {
                        tracing::info!("asked to end before anything was under way");
                        std::process::exit(0);
                    }
                    if asked.set(Instant::now()).is_ok() {
                        tracing::info!("asked to end: what is under way is finished first");
                    } else if asked.get().is_some_and(|first| first.elapsed() >= SAME_WISH) {
                        tracing::warn!(
                            "asked twice; ending at once, what is not committed will be read again"
                        );
                        // As shells tell it: 128 and the signal's number.
                        std::process::exit(128 + kind.as_raw_value());
                    }
                }
            });
        }
        Ok(signals)
    }

    /// Whether a start is under way, and nothing else.
    pub fn starts(&self, is_starting: bool) {
        self.is_starting.store(is_starting, Ordering::Release);
    }

    pub fn asked(&self) -> bool {
        self.asked.get().is_some()
    }
}
