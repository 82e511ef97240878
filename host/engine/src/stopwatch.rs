//! The one place where the engine looks at a clock for the sake of statistics.

use std::time::Instant;

/// Runs `work` and adds the nanoseconds it took to `total_ns`.
pub fn timed<T>(total_ns: &mut u64, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = work();
    *total_ns += start.elapsed().as_nanos() as u64;
    result
}

/// When something happened, for who counts how long ago that is.
pub fn now() -> Instant {
    Instant::now()
}
