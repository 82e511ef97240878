//! The quantities asked for, and their places.

pub const QUANTITIES: &[&str; 13] = &[
    "voltage",
    "voltage_l1",
    "voltage_l2",
    "voltage_l3",
    "current",
    "current_l1",
    "current_l2",
    "current_l3",
    "power",
    "reactive_power",
    "apparent_power",
    "power_factor",
    "frequency",
];
pub const VOLTAGE: usize = 0;
pub const VOLTAGE_L1: usize = 1;
pub const CURRENT: usize = 4;
pub const CURRENT_L1: usize = 5;
pub const POWER: usize = 8;
pub const REACTIVE_POWER: usize = 9;
pub const APPARENT_POWER: usize = 10;
pub const POWER_FACTOR: usize = 11;
pub const FREQUENCY: usize = 12;

/// The values of one reading, by these places. Its length is known, so that no place has to be checked.
pub type Values = [f64; QUANTITIES.len()];

/// Finite. A comparison of numbers, where `is_finite` looks at bits, which WebAssembly first has to make canonical.
#[inline(always)]
pub fn is_number(value: f64) -> bool {
    value.abs() <= f64::MAX
}
