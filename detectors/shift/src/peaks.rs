//! How large a statistic usually gets: the limit that no theory gives.
//!
//! Load, voltage and temperature are neither normal nor independent, so a limit from a table (Page's
//! run lengths assume both) would alarm all day on one sensor and never on another. Extreme value
//! theory looks at the largest value of each block of readings instead (Gumbel 1958; Siffer et al.,
//! "Anomaly Detection in Streams with Extreme Value Theory", KDD 2017). What is kept is an upper
//! envelope of those maxima: it follows a larger one at once by half the way, and forgets it over
//! some fifty blocks. A limit is a margin above the envelope, and larger while few blocks have been seen.

use crate::state::{Cell, Kept, Peak};

/// Readings a block.
pub const BLOCK: u8 = 64;
const RISE: f32 = 0.5;
const FORGET: f32 = 0.02;
/// ... but what happens once a day must not be forgotten within one.
const FORGET_PER_MS: f32 = 1.0 / (48.0 * 3_600_000.0);

impl<T: Kept> Peak<T> {
    pub fn see(&mut self, value: f32) {
        if value > self.running.get() {
            self.running = T::keep(value);
        }
    }

    /// The running block turned out to be part of an anomaly: it teaches nothing.
    pub fn unsee(&mut self) {
        self.running = T::keep(0.0);
    }

    /// After an anomaly that went up to `limit` and beyond: it teaches a little, so that one which keeps
    /// coming back is at last taken for usual.
    pub fn see_some(&mut self, limit: f32) {
        self.see((self.usual.get() + limit) / 2.0);
    }

    /// Ends a block. The first ones count in full.
    pub fn end_block(&mut self, blocks: u16, forget: f32) {
        let (usual, largest) = (self.usual.get(), self.running.get());
        let weight = match (largest > usual, blocks < 2) {
            (true, true) => 1.0,
            (true, false) => RISE,
            (false, _) => forget,
        };
        self.usual = T::keep(usual + (largest - usual) * weight);
        self.running = T::keep(0.0);
    }
}

/// One more reading of the running block.
pub fn count(cell: &mut Cell, interval_ms: f32) {
    cell.block += 1;
    if cell.block >= BLOCK {
        cell.block = 0;
        let blocks = cell.blocks;
        let forget = FORGET.min(f32::from(BLOCK) * interval_ms * FORGET_PER_MS);
        cell.jump.end_block(blocks, forget);
        cell.excess_peak.end_block(blocks, forget);
        cell.course_peak.end_block(blocks, forget);
        cell.blocks = cell.blocks.saturating_add(1);
    }
}

/// Readings that the cell has learnt from.
pub fn readings(cell: &Cell) -> u32 {
    u32::from(cell.blocks) * u32::from(BLOCK) + u32::from(cell.block)
}
