//! What is remembered of a sensor and of each of its quantities. With one quantity 128 bytes in all.

use gridwatch_sdk::prelude::*;

use crate::timing::Order;

/// 104 bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Sensor {
    /// Timestamp of the reading before, as it was given, in ms.
    pub last: i64,
    /// By how much the sensor's clock is taken to be ahead, in ms.
    pub clock_ms: f32,
    /// A jump of the timestamps that the next reading must confirm, in ms.
    pub jump_ms: f32,
    /// Usual reporting interval, in ms; 0 until it is known.
    pub interval_ms: f32,
    /// Another interval that the last readings agree on.
    pub other_ms: f32,
    /// Longest gap that is usual.
    pub gap_ms: f32,
    pub dropout: Episode,
    /// Repeated or backward timestamps; `order_kind` says which.
    pub order: Episode,
    pub clock: Episode,
    pub rate: Episode,
    pub malformed: Episode,
    pub stuck: Episode,
    pub unit: Episode,
    /// Readings seen, up to the type's end.
    pub seen: u16,
    /// Readings in a row in which no value changed, and the longest such run seen.
    pub same_run: u16,
    pub same_longest: u16,
    /// Intervals in a row that agree on `other_ms`.
    pub other_count: u8,
    pub order_kind: u8,
    pub order_count: u8,
    pub order_calm: u8,
    pub malformed_count: u8,
    pub malformed_calm: u8,
    /// The quantity that is stuck, or `WHOLE`.
    pub stuck_quantity: u8,
    pub unit_quantity: u8,
    pub flags: u8,
}

/// `stuck_quantity` where the whole reading repeats.
pub const WHOLE: u8 = u8::MAX;

/// The last timestamp repeated or ran backwards: what follows it says nothing of the interval. `jump_ms` is how
/// far the timestamp is off.
pub const OUT_OF_ORDER: u8 = 1;
/// A jump waits for its confirmation.
pub const JUMPED: u8 = 2;

impl Sensor {
    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
    pub fn set(&mut self, flag: u8, on: bool) {
        self.flags = if on { self.flags | flag } else { self.flags & !flag };
    }
}

/// What is known of the time from all sensors of the lane.
///
/// The host's clock follows two sensors that agree, and two clocks that are both an hour ahead agree. Silence
/// is therefore measured against the latest time that a sensor in good order has shown, its clock's
/// known shift taken off.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Lane {
    pub latest: i64,
    /// A reading has come since the last tick. Without any it is the host's (idle) clock that counts.
    pub heard: bool,
}

impl Lane {
    #[inline(always)]
    pub fn hear(&mut self, order: Order, reading: &Reading<'_>, sensor: &Sensor) {
        let first = *self == Lane::default();
        self.heard = true;
        if order == Order::Forward && !sensor.has(JUMPED) {
            // A lag of the sensor's (below 0) is no reason to believe that it is later.
            let ahead = if sensor.clock_ms > 0.0 { sensor.clock_ms as i64 } else { 0 };
            let time = reading.timestamp.saturating_sub(ahead);
            self.latest = if first { time } else { self.latest.max(time) };
        }
    }

    pub fn now(&self, watermark: Timestamp) -> Timestamp {
        if self.heard { watermark.min(self.latest) } else { watermark }
    }
}

/// 24 bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    pub last: f64,
    /// Smallest and largest usual magnitude.
    pub least: f32,
    pub most: f32,
    /// Readings in a row with this very value, and the longest such run seen.
    pub run: u16,
    pub longest: u16,
    /// Readings of this quantity, up to the type's end.
    pub seen: u16,
    /// Readings in a row that look like another unit.
    pub other_unit: u8,
    /// Readings in a row that look like the usual unit again.
    pub usual_unit: u8,
}
