//! The seam between the pipeline and whatever judges: a module (proven bytes) makes judges
//! (instances alive in one lane). The sandbox implements both; tests have native ones beside it.

use std::sync::Arc;

use crate::Timestamp;
use crate::batch::{BatchView, Sensor};
use crate::finding::{Descriptor, Finding};
use crate::reading::Quantity;

/// One blob a sensor: the i-th ends at `ends[i]` and starts where the one before ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct States {
    pub ends: Vec<u32>,
    #[serde(with = "serde_bytes")]
    pub bytes: Vec<u8>,
}

impl States {
    /// The blob at this index; `None` where there is none, or the ends are no ends of these bytes.
    pub fn get(&self, at: usize) -> Option<&[u8]> {
        let start = if at == 0 { 0 } else { *self.ends.get(at - 1)? as usize };
        self.bytes.get(start..*self.ends.get(at)? as usize)
    }
}

/// Under what the states that follow were saved, and what belongs to no one sensor.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Saved {
    pub state_version: u32,
    /// Names of the quantities chosen, in the detector's order.
    pub quantities: Vec<String>,
    pub parameters: String,
    pub shared: Vec<u8>,
}

/// For each of `quantities` 4 × rows: score, expected, lower, upper.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Traces {
    pub quantities: Vec<u32>,
    pub rows: Vec<f64>,
}

/// Calls in the order of the contract: configure, set_sensors, begin_restore and restore (where there
/// is state), then the rest in any order. After a fault of any call but a refusal by `configure`,
/// `set_sensors` or `restore`, the judge is dead.
pub trait Judge: Send {
    fn configure(&mut self, parameters: &str, available: &[Quantity]) -> Result<Vec<u32>, Fault>;
    fn set_sensors(&mut self, first: u32, sensors: &[Sensor]) -> Result<(), Fault>;
    fn remove_sensors(&mut self, sensors: &[u32]) -> Result<(), Fault>;
    fn observe(&mut self, batch: BatchView<'_>) -> Result<Vec<Finding>, Fault>;
    fn advance(&mut self, watermark: Timestamp) -> Result<Vec<Finding>, Fault>;
    fn trace(&mut self, batch: BatchView<'_>) -> Result<Traces, Fault>;
    fn save(&mut self, sensors: &[u32]) -> Result<States, Fault>;
    fn save_shared(&mut self) -> Result<Vec<u8>, Fault>;
    fn begin_restore(&mut self, saved: &Saved) -> Result<(), Fault>;
    fn restore(&mut self, sensors: &[u32], states: &States) -> Result<(), Fault>;
    /// Event time as of the last tick, for an instance that takes over in the midst of a stream; `advance` tells
    /// it by itself. Guests whose toolchain gives them a clock read this on it.
    fn set_time(&mut self, _watermark: Timestamp) {}
    /// What it has used since it was made, if that is counted: about an instruction each.
    fn fuel_used(&mut self) -> Option<u64> {
        None
    }
    /// Bytes of linear memory the instance holds.
    fn memory_bytes(&self) -> usize;
}

/// Proven bytes that judges are made of.
pub trait Module: Send + Sync {
    fn descriptor(&self) -> &Descriptor;
    /// `sha256:` and 64 hexadecimal digits, of the file as it was dropped.
    fn digest(&self) -> &str;
    fn instantiate(&self, limits: Limits, log: Arc<dyn GuestLog>) -> Result<Box<dyn Judge>, Fault>;
}

/// What an instance may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Limits {
    pub memory_bytes_max: usize,
    /// CPU time of the calling thread within one call.
    pub call_deadline_ms: u64,
    pub findings_per_call_max: usize,
    /// What one call may hand the host: findings, states, strings.
    pub output_bytes_per_call_max: usize,
    pub log_lines_per_second_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            memory_bytes_max: 1 << 30,
            call_deadline_ms: 500,
            findings_per_call_max: 10_000,
            output_bytes_per_call_max: 16 << 20,
            log_lines_per_second_max: 20,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    Debug,
    Info,
    Warn,
    Error,
}

/// Where guests' log lines go, already limited in rate and length.
pub trait GuestLog: Send + Sync {
    fn line(&self, level: LogLevel, message: &str);
    /// Lines were dropped since the last line.
    fn dropped(&self, lines: u64);
}

/// Which call failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    Instantiate,
    Describe,
    Configure,
    SetSensors,
    RemoveSensors,
    Observe,
    Advance,
    Trace,
    Save,
    SaveShared,
    BeginRestore,
    Restore,
}

impl Call {
    pub fn name(self) -> &'static str {
        match self {
            Call::Instantiate => "instantiate",
            Call::Describe => "describe",
            Call::Configure => "configure",
            Call::SetSensors => "set-sensors",
            Call::RemoveSensors => "remove-sensors",
            Call::Observe => "observe",
            Call::Advance => "advance",
            Call::Trace => "trace",
            Call::Save => "save",
            Call::SaveShared => "save-shared",
            Call::BeginRestore => "begin-restore",
            Call::Restore => "restore",
        }
    }
}

/// How a detector failed. The same enum labels the metric (`Fault::label`).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, serde::Serialize, serde::Deserialize)]
pub enum Fault {
    /// The guest trapped: unreachable (a panic), out-of-bounds access, stack overflow, …
    #[error("{}: trapped: {what}", call.name())]
    Trap { call: Call, what: String },
    #[error("{}: used more than {limit_ms} ms of CPU time", call.name())]
    Deadline { call: Call, limit_ms: u64 },
    #[error("{}: wanted more than {limit_bytes} bytes of memory", call.name())]
    Memory { call: Call, limit_bytes: usize },
    #[error("{}: more output than allowed: {what}", call.name())]
    Output { call: Call, what: String },
    /// The guest answered with an error of its own.
    #[error("{}: the detector refused: {message}", call.name())]
    Refused { call: Call, message: String },
    /// The answer breaks the contract: a row out of range, a score that is no number, …
    #[error("{}: broke the contract: {what}", call.name())]
    Contract { call: Call, what: String },
    /// The call could not be made at all: the instance is dead, or its exports do not fit.
    #[error("{}: {what}", call.name())]
    Host { call: Call, what: String },
}

impl Fault {
    /// Which call failed.
    pub fn call(&self) -> Call {
        match self {
            Fault::Trap { call, .. }
            | Fault::Deadline { call, .. }
            | Fault::Memory { call, .. }
            | Fault::Output { call, .. }
            | Fault::Refused { call, .. }
            | Fault::Contract { call, .. }
            | Fault::Host { call, .. } => *call,
        }
    }

    pub fn label(&self) -> &'static str {
        match self {
            Fault::Trap { .. } => "trap",
            Fault::Deadline { .. } => "deadline",
            Fault::Memory { .. } => "memory",
            Fault::Output { .. } => "output",
            Fault::Refused { .. } => "refused",
            Fault::Contract { .. } => "contract",
            Fault::Host { .. } => "host",
        }
    }
}
