//! A reader of committed records that takes the time: how long nothing new was to be seen.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::Offset;

use super::Deployment;
use super::output::reader;

pub struct Watch {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Vec<Instant>>>,
}

impl Watch {
    /// Dead letters come as steadily as readings.
    pub fn start(deployment: &Deployment, bootstrap: &str) -> Watch {
        let consumer = reader(bootstrap, &deployment.dead_letters(), Offset::Beginning);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut seen = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                if let Some(Ok(_)) = consumer.poll(Duration::from_millis(20)) {
                    seen.push(Instant::now());
                }
            }
            seen
        });
        Watch { stop, thread: Some(thread) }
    }

    /// The longest time without anything new, from the first record on.
    pub fn longest_gap(mut self) -> Duration {
        self.stop.store(true, Ordering::Relaxed);
        let seen = self.thread.take().unwrap().join().unwrap();
        seen.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
