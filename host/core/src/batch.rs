//! Readings as columns: what a detector is given.

use crate::Timestamp;

/// Bits of a row's mark.
pub mod mark {
    /// A value was received that is not a finite number.
    pub const MALFORMED: u8 = 1;
    /// The sensor's timestamp repeats.
    pub const REPEATED: u8 = 2;
    /// The sensor's timestamp runs backwards.
    pub const BACKWARD: u8 = 4;
    /// The timestamp is ahead of the lane's clock.
    pub const AHEAD: u8 = 8;
}

/// A sensor as detectors are told of it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Sensor {
    pub id: String,
    /// Sorted by name.
    pub attributes: Vec<(String, String)>,
}

/// Columns over `rows` readings, for the quantities that one detector chose. See `wit/detector.wit`
/// for the meaning of each.
#[derive(Debug, Clone, Copy)]
pub struct BatchView<'a> {
    pub sensors: &'a [u32],
    pub timestamps: &'a [Timestamp],
    /// Quantity q of row r is `values[q * rows + r]`; NaN where absent.
    pub values: &'a [f64],
    /// Empty if no row is marked.
    pub marks: &'a [u8],
    /// Indices into `values` of those received that were not finite numbers, ascending.
    pub malformed: &'a [u32],
}
