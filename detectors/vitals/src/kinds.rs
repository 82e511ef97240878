//! What this detector can say.

use gridwatch_sdk::prelude::Kind;

pub const DROPOUT: usize = 0;
pub const STUCK: usize = 1;
pub const REPEATED: usize = 2;
pub const BACKWARD: usize = 3;
pub const CLOCK: usize = 4;
pub const RATE: usize = 5;
pub const MALFORMED: usize = 6;
pub const UNIT: usize = 7;

const fn kind(name: &'static str, description: &'static str) -> Kind {
    Kind { name, description }
}

/// The order is part of the contract with saved anomalies: append only.
pub const KINDS: [Kind; 8] = [
    kind("dropout", "No reading for several of the sensor's own reporting intervals."),
    kind("stuck", "The same value over and over, longer than this sensor's values usually stay equal."),
    kind("repeated_timestamp", "A timestamp that the sensor has already used."),
    kind("backward_timestamp", "A timestamp before that of the reading before."),
    kind(
        "clock_shift",
        "The sensor's clock jumped by about a multiple of half an hour, or far ahead of its neighbours'.",
    ),
    kind("reporting_rate", "Readings come at another interval than usual."),
    kind("malformed", "A value that is not a finite number."),
    kind(
        "unit_jump",
        "A magnitude a thousand times larger or smaller than usual, as after a change of unit (kW for W).",
    ),
];
