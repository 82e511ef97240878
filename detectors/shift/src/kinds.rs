//! What this detector can say.

use gridwatch_sdk::prelude::Kind;

pub const LEVEL: usize = 0;
pub const SPIKE: usize = 1;
pub const SPREAD: usize = 2;
pub const COURSE: usize = 3;

const fn kind(name: &'static str, description: &'static str) -> Kind {
    Kind { name, description }
}

/// The order is part of the contract with saved anomalies: append only.
pub const KINDS: [Kind; 4] = [
    kind("level_shift", "The level jumped farther than this quantity's jumps have gone, and stayed there."),
    kind("spike", "One or two values far from the level before and after them."),
    kind(
        "spread_change",
        "Readings scatter from one to the next far more than they did: noise, oscillation, a loose contact.",
    ),
    kind("course", "Movement in one direction that is too steady for this quantity: a ramp, a drift."),
];
