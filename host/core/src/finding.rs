//! What a detector says. Mirrors `wit/detector.wit` field by field.

use serde::{Deserialize, Serialize};

use crate::Timestamp;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Info,
    Warning,
    Critical,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    Raised,
    Updated,
    Cleared,
    Single,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Subject {
    /// The sensor of the finding's row.
    Reading,
    Sensor(u32),
    Group(String),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kind {
    pub name: String,
    pub description: String,
}

/// What a module says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Descriptor {
    pub name: String,
    pub version: String,
    pub state_version: u32,
    pub kinds: Vec<Kind>,
    /// JSON Schema of the parameters.
    pub parameters: String,
    pub metadata: Vec<(String, String)>,
}
