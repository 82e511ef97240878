//! What passes between the host and a detector, in plain Rust: `wit/detector.wit` field by field.
//!
//! Authors of detectors need none of it. The glue to WebAssembly, the test kit and anything that
//! runs a detector natively speak these types.

use crate::detector::Timestamp;
pub use crate::detector::{Quantity, SensorInfo};
pub use crate::finding::{Phase, Severity};

/// Readings as columns, in the order in which the host accepted them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Columns<'a> {
    /// One a row; its length is the number of rows.
    pub sensors: &'a [u32],
    pub timestamps: &'a [Timestamp],
    /// Quantity q (of those that `configure` chose) of row r is `values[q * rows + r]`; NaN where absent.
    pub values: &'a [f64],
    /// See `mark`. Empty if no row is marked.
    pub marks: &'a [u8],
    /// Indices into `values` of those received that were not finite numbers, ascending.
    pub malformed: &'a [u32],
}

/// Bits of a row's mark.
pub mod mark {
    pub const MALFORMED: u8 = 1;
    pub const REPEATED: u8 = 2;
    pub const BACKWARD: u8 = 4;
    pub const AHEAD: u8 = 8;
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// The sensor of the finding's row.
    Reading,
    Sensor(u32),
    Group(String),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The row that brought it about; 0 in `advance`.
    pub row: u32,
    pub subject: Subject,
    pub timestamp: Timestamp,
    /// Index into the quantities that `configure` chose.
    pub quantity: Option<u32>,
    /// Index into `Descriptor::kinds`.
    pub kind: u32,
    pub phase: Phase,
    pub severity: Severity,
    pub score: f64,
    pub since: Option<Timestamp>,
    pub observed: Option<f64>,
    pub expected: Option<f64>,
    pub lower: Option<f64>,
    pub upper: Option<f64>,
    pub explanation: Option<String>,
    pub details: Vec<(String, String)>,
}

/// What a module says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    pub name: String,
    pub version: String,
    pub state_version: u32,
    /// Names and descriptions.
    pub kinds: Vec<(String, String)>,
    /// JSON Schema of the parameters.
    pub parameters: String,
    pub metadata: Vec<(String, String)>,
}

/// One blob a sensor: the i-th ends at `ends[i]` and starts where the one before ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct States {
    pub ends: Vec<u32>,
    pub bytes: Vec<u8>,
}

/// Under what the states that follow were saved, and what belongs to no one sensor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Saved {
    pub state_version: u32,
    pub quantities: Vec<String>,
    pub parameters: String,
    pub shared: Vec<u8>,
}

/// For each of `quantities` (indices into those chosen) 4 × rows: score, expected, lower, upper.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Traces {
    pub quantities: Vec<u32>,
    pub rows: Vec<f64>,
}
