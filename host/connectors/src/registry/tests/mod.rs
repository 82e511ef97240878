#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod cache;
mod client;
mod compiled;
mod gate;
mod listener;
mod messages;
mod questions;

use std::time::{Duration, Instant};

use super::Settings;

fn settings(url: &str) -> Settings {
    Settings { url: url.to_owned(), credentials: None, timeout: Duration::from_millis(500) }
}

/// Waits for something that another thread brings about.
fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
