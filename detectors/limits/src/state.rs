//! What is remembered. A quantity within its limits costs its window; episodes are allocated while something is open.

use gridwatch_sdk::prelude::*;

use crate::trend::Trend;
use crate::window::Window;

/// State a sensor and quantity: 24 bytes, and `Open` while an episode is open.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Cell {
    pub window: Window,
    pub open: Option<Box<Open>>,
}

/// Episodes of one quantity.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Open {
    /// Judged on readings.
    pub reading: Episode,
    /// Judged on means over windows.
    pub mean: Episode,
    /// Kind of `reading`, where there are several.
    pub kind: u8,
    /// `reading` has been critical: an episode is not talked down before it ends.
    pub was_critical: bool,
}

impl Open {
    /// What an episode on readings is told as, given how things stand now.
    pub fn severity(&mut self, is_critical: bool) -> Severity {
        self.was_critical |= is_critical;
        if self.was_critical { Severity::Critical } else { Severity::Warning }
    }
}

impl Cell {
    /// Gives the memory of ended episodes back.
    pub fn tidy(&mut self) {
        if self.open.as_ref().is_some_and(|open| !open.reading.is_open() && !open.mean.is_open()) {
            self.open = None;
        }
    }
}

/// State a sensor.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Sensor {
    /// Time of the latest voltage that the trend has seen, and of the latest frequency.
    pub voltage_at: i64,
    pub frequency_at: i64,
    /// Hz; 0 before the first.
    pub frequency: f32,
    /// Only where readings are close enough together for a rate.
    pub trend: Option<Box<Trend>>,
    /// Only while the frequency moves too fast.
    pub change: Option<Box<Change>>,
}

/// An episode of `frequency_change`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Change {
    pub episode: Episode,
    /// When it last moved too fast.
    pub last: i64,
}
