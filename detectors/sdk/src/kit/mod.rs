//! Tests of a detector in plain `cargo test`: no WebAssembly, no host.
//!
//! ```
//! use gridwatch_sdk::kit::{Bench, row};
//! use gridwatch_sdk::prelude::*;
//!
//! gridwatch_sdk::parameters!(Limit { upper_v: f64 = 253.0 });
//! impl Rule for Limit {
//!     const INFO: Info = gridwatch_sdk::info!(["voltage"], overvoltage: "too much voltage");
//!     type State = Episode;
//!     fn judge(&self, reading: &Reading<'_>, episode: &mut Episode, out: &mut Findings<'_>) {
//!         let finding = || Finding::new(0).quantity(0).observed(reading.value(0));
//!         if reading.value(0) > self.upper_v {
//!             out.raise(episode, Severity::Warning, finding);
//!         } else {
//!             out.clear(episode, finding);
//!         }
//!     }
//! }
//!
//! let mut bench = Bench::<Limit>::new(r#"{"upper_v": 250}"#, &["voltage"]);
//! let meter = bench.sensor("meter-1", &[("location", "feeder-07")]);
//! bench.push(&[row(meter, 0, &[230.0]), row(meter, 1000, &[251.0]), row(meter, 2000, &[249.0])]);
//! let found: Vec<_> = bench.take().iter().map(|found| (found.timestamp, found.phase)).collect();
//! assert_eq!(found, [(1000, gridwatch_sdk::kit::Phase::Raised), (2000, gridwatch_sdk::kit::Phase::Cleared)]);
//! ```
//!
//! What is wrong in a test panics, as an assertion does.
#![allow(clippy::panic, clippy::expect_used, reason = "a test kit speaks through panics")]

mod bench;
mod clock;
mod property;

pub use crate::contract::{Phase, Severity};
pub use bench::{Bench, Found};
pub use clock::Clock;
pub use property::{Rng, check, check_cuts, check_restore};

use crate::detector::Timestamp;

/// A reading for a bench.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// As `Bench::sensor` answered.
    pub sensor: u32,
    pub timestamp: Timestamp,
    /// In the order of the bench's quantities; NaN, or left out at the end, is absent.
    pub values: Vec<f64>,
    /// Quantities (by position on the bench) that came with something that is no finite number.
    pub malformed: Vec<usize>,
    /// Marked as ahead of the lane's clock, and moves no clock.
    pub ahead: bool,
}

/// An ordinary reading.
pub fn row(sensor: u32, timestamp: Timestamp, values: &[f64]) -> Row {
    Row { sensor, timestamp, values: values.to_vec(), malformed: Vec::new(), ahead: false }
}

impl Row {
    /// The quantity came with something that is not a finite number.
    pub fn malformed(mut self, quantity: usize) -> Self {
        self.malformed.push(quantity);
        self
    }

    pub fn ahead(mut self) -> Self {
        self.ahead = true;
        self
    }
}
