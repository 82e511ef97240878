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

impl Severity {
    /// As messages, headers and labels have it.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Critical => "critical",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    Raised,
    Updated,
    Cleared,
    Single,
}

impl Phase {
    /// As metrics have it.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Raised => "raised",
            Phase::Updated => "updated",
            Phase::Cleared => "cleared",
            Phase::Single => "single",
        }
    }
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

/// Explanation and details of one finding.
const TEXT_BYTES_MAX: usize = 16 << 10;
const GROUP_BYTES_MAX: usize = 256;

/// What a detector's findings may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Rows of the batch; None in `advance`.
    pub rows: Option<u32>,
    /// Sensors announced: their numbers are below this.
    pub sensors: u32,
    pub quantities: u32,
    pub kinds: u32,
}

impl Bounds {
    /// Holds a finding against the contract; the error says what it breaks.
    pub fn check(&self, finding: &Finding) -> Result<(), String> {
        use crate::time::{TIMESTAMP_MAX, TIMESTAMP_MIN};
        let below = |what: &str, index: u32, count: u32| {
            if index < count { Ok(()) } else { Err(format!("a finding names {what} {index} of {count}")) }
        };
        match (&finding.subject, self.rows) {
            (Subject::Reading, None) => return Err("a finding of `advance` speaks of a reading".into()),
            (Subject::Sensor(sensor), _) => below("sensor", *sensor, self.sensors)?,
            (Subject::Group(name), _) if name.is_empty() || name.len() > GROUP_BYTES_MAX => {
                return Err(format!("a group's name has 1 to {GROUP_BYTES_MAX} bytes, not {}", name.len()));
            }
            _ => {}
        }
        if let Some(rows) = self.rows {
            below("row", finding.row, rows)?;
        }
        below("kind", finding.kind, self.kinds)?;
        if let Some(quantity) = finding.quantity {
            below("quantity", quantity, self.quantities)?;
        }
        let texts = finding.details.iter().map(|(name, value)| name.len() + value.len());
        let texts = texts.sum::<usize>() + finding.explanation.as_ref().map_or(0, String::len);
        if texts > TEXT_BYTES_MAX {
            return Err(format!("a finding has {texts} bytes of text, more than {TEXT_BYTES_MAX}"));
        }
        if !(0.0..=1.0).contains(&finding.score) {
            return Err(format!("a finding has the score {}, not one from 0 to 1", finding.score));
        }
        for time in [Some(finding.timestamp), finding.since].into_iter().flatten() {
            if !(TIMESTAMP_MIN..=TIMESTAMP_MAX).contains(&time) {
                return Err(format!("a finding has the time {time} ms, which is not between 1970 and 2200"));
            }
        }
        Ok(())
    }
}
