//! A decoded reading, and the table of quantities that its values index.

use crate::Timestamp;

/// A measured quantity as detectors are told of it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Quantity {
    pub name: String,
    pub unit: Option<String>,
}

/// One reading, as the decoder gives it: buffers are reused from record to record.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Reading {
    pub sensor_id: String,
    pub timestamp: Timestamp,
    /// (index in the lane's quantities, finite value), each index at most once.
    pub values: Vec<(u16, f64)>,
    /// Indices of quantities that came with something that is not a finite number.
    pub malformed: Vec<u16>,
    /// How the first of these stands in a CSV row, or its beginning; empty for JSON.
    pub malformed_text: String,
    /// (index in `[decode] attributes`, value), each index at most once. Only the first
    /// `attributes_len` are of this reading; the rest are spare buffers.
    pub attributes: Vec<(u16, String)>,
    pub attributes_len: usize,
}

/// Why a record is no reading. The name is what dead letters and metrics say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    NotJson,
    /// The CSV row has another number of fields than the header, or bytes that are not UTF-8.
    NotCsv,
    NoSensorId,
    NoTimestamp,
    BadTimestamp,
    TimeAhead,
    NoQuantities,
    TooLarge,
    TooManySensors,
    /// It begins like a frame, and ends before the schema's id does.
    TruncatedFrame,
    /// It does not fit the schema that it names.
    SchemaViolation,
    /// The registry does not have the schema that it names, or none that can be checked with.
    UnknownSchema,
    /// It is a reading that one detector fails on; all others have judged it.
    Poison,
}

impl Reason {
    pub const ALL: [Reason; 13] = [
        Reason::NotJson,
        Reason::NotCsv,
        Reason::NoSensorId,
        Reason::NoTimestamp,
        Reason::BadTimestamp,
        Reason::TimeAhead,
        Reason::NoQuantities,
        Reason::TooLarge,
        Reason::TooManySensors,
        Reason::TruncatedFrame,
        Reason::SchemaViolation,
        Reason::UnknownSchema,
        Reason::Poison,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Reason::NotJson => "not_json",
            Reason::NotCsv => "not_csv",
            Reason::NoSensorId => "no_sensor_id",
            Reason::NoTimestamp => "no_timestamp",
            Reason::BadTimestamp => "bad_timestamp",
            Reason::TimeAhead => "time_ahead",
            Reason::NoQuantities => "no_quantities",
            Reason::TooLarge => "too_large",
            Reason::TooManySensors => "too_many_sensors",
            Reason::TruncatedFrame => "truncated_frame",
            Reason::SchemaViolation => "schema_violation",
            Reason::UnknownSchema => "unknown_schema",
            Reason::Poison => "poison",
        }
    }
}

/// A record that is no reading: why, and in words what was found where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {detail}", reason.name())]
pub struct Rejection {
    pub reason: Reason,
    pub detail: String,
}
