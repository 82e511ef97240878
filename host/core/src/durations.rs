//! How long something took, counted by length: a plain array for whoever measures, without a lock.

use std::time::Duration;

use serde::Serialize;

/// Upper bounds of the classes in nanoseconds, each included; what is longer comes into one more class.
pub const BOUNDS_NS: [u64; 20] = [
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
    60_000_000_000,
];

/// Durations by class, and their sum.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Durations {
    classes: [u64; BOUNDS_NS.len() + 1],
    sum_ns: u64,
}

impl Durations {
    pub fn note(&mut self, duration: Duration) {
        self.note_ns(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    }

    pub fn note_ns(&mut self, ns: u64) {
        self.classes[BOUNDS_NS.partition_point(|&bound| bound < ns)] += 1;
        self.sum_ns = self.sum_ns.saturating_add(ns);
    }

    /// The sum over lanes.
    pub fn add(&mut self, other: &Durations) {
        for (ours, theirs) in self.classes.iter_mut().zip(other.classes) {
            *ours += theirs;
        }
        self.sum_ns = self.sum_ns.saturating_add(other.sum_ns);
    }

    pub fn count(&self) -> u64 {
        self.classes.iter().sum()
    }

    pub fn sum_seconds(&self) -> f64 {
        self.sum_ns as f64 / 1e9
    }

    /// Each bound in seconds, and how many were not longer.
    pub fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> {
        let mut count = 0;
        BOUNDS_NS.iter().zip(self.classes).map(move |(&bound, class)| {
            count += class;
            (bound as f64 / 1e9, count)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_length_comes_into_its_class_and_bounds_are_included() {
        let mut durations = Durations::default();
        for ns in [0, 10_000, 10_001, 60_000_000_000, u64::MAX] {
            durations.note_ns(ns);
        }
        let cumulative: Vec<(f64, u64)> = durations.cumulative().collect();
        assert_eq!(cumulative[0], (1e-5, 2));
        assert_eq!(cumulative[1], (2.5e-5, 3));
        assert_eq!(cumulative[19], (60.0, 4));
        assert_eq!(durations.count(), 5, "what is longer than all bounds is counted, too");
        let mut sum = durations;
        sum.add(&durations);
        assert_eq!((sum.count(), sum.cumulative().next()), (10, Some((1e-5, 4))));
    }
}
