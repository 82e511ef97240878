//! What is remembered of a sensor (40 bytes) and of each of its quantities (64 bytes).

use gridwatch_sdk::prelude::*;

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Sensor {
    /// Latest timestamp that was believed.
    pub last_ms: i64,
    /// Usual reporting interval.
    pub interval_ms: f32,
    /// How many quantities are in each of the episodes, and which one opened it (quantities that turn up later are
    /// appended, so that its index stays).
    /// Readings in a row that were older than `last_ms`.
    pub late: u16,
    pub spread_cells: u16,
    pub course_cells: u16,
    pub spread_quantity: u16,
    pub course_quantity: u16,
    pub spread: Episode,
    pub course: Episode,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    pub last: f64,
    pub level: Episode,
    /// The last value less the level: an exponentially weighted mean, standing still while the value is away from it.
    pub deviation: f32,
    /// Usual difference between readings, mean absolute, over a thousand readings and over about sixty.
    pub scale: f32,
    pub scale_recent: f32,
    /// Sums of movement up and down, in standard deviations of a difference.
    pub up: f32,
    pub down: f32,
    /// Usual largest jump in a block of readings, and the largest in the running one, in the quantity's unit.
    pub jump: Peak<f32>,
    /// Mean of the last dozen differences, in `scale`, and the sum of what such differences had too much.
    pub spread: Fixed,
    pub excess: Fixed,
    pub excess_peak: Peak<Fixed>,
    pub course_peak: Peak<Fixed>,
    /// Blocks seen, and readings of the running one.
    pub blocks: u16,
    pub block: u8,
    pub flags: u8,
    /// Readings that the level has been away, up to `level_readings`, then every fourth reading of the shift.
    pub away: u8,
    /// Readings in a row back at the level.
    pub back: u8,
    /// Every fourth reading of the spread's episode, and calm ones in a row.
    pub spread_held: u8,
    pub spread_calm: u8,
}

/// The value has been away from the level and is not back.
pub const AWAY: u8 = 1;
/// This cell takes part in its sensor's episode.
pub const IN_SPREAD: u8 = 2;
pub const IN_COURSE: u8 = 4;
/// There is a value to compare with.
pub const KNOWN: u8 = 8;

impl Cell {
    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
    pub fn set(&mut self, flag: u8, on: bool) {
        self.flags = if on { self.flags | flag } else { self.flags & !flag };
    }
}

/// Largest value of the running block and what is usual for a block.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Peak<T> {
    pub usual: T,
    pub running: T,
}

/// A number from 0 to 63 in steps of 1/1024, for statistics that are bounded anyway.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Fixed(u16);

impl Fixed {
    /// Of a number that is from 0 to 63 for certain.
    #[inline(always)]
    pub fn of(value: f32) -> Self {
        // By way of `i32`, to which a float is converted at once.
        Fixed((value * 1024.0 + 0.5) as i32 as u16)
    }
}

/// What a peak can be kept as.
pub trait Kept: Copy {
    fn get(self) -> f32;
    fn keep(value: f32) -> Self;
}

impl Kept for f32 {
    fn get(self) -> f32 {
        self
    }
    fn keep(value: f32) -> Self {
        value
    }
}

impl Kept for Fixed {
    fn get(self) -> f32 {
        f32::from(self.0) / 1024.0
    }
    fn keep(value: f32) -> Self {
        Fixed((value * 1024.0 + 0.5) as u16)
    }
}
