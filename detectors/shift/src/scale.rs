//! How large differences between readings usually are: the unit in which everything else is measured.

use crate::state::{AWAY, Cell, IN_SPREAD};

/// Long and short memory of differences, in readings.
const SCALE_READINGS: u32 = 1024;
const RECENT_READINGS: u32 = 64;
/// A difference counts no more than this many usual ones, after Huber: one jump must not widen every limit.
const SCALE_CUT: f32 = 4.0;
/// Learning goes at this part of its speed while something is wrong.
const SLOWER: f32 = 1.0 / 16.0;

/// Of a new difference in the mean of `memory` readings: a plain mean until there are so many.
fn weight(readings: u32, memory: u32) -> f32 {
    if readings >= memory { 1.0 / memory as f32 } else { 1.0 / (readings as f32 + 2.0) }
}

/// Usual differences. False as long as the value has never changed.
pub fn learn(size: f32, readings: u32, cell: &mut Cell) -> bool {
    if cell.scale == 0.0 {
        if size == 0.0 {
            return false;
        }
        (cell.scale, cell.scale_recent) = (size, size);
    }
    let slower = if cell.flags & (AWAY | IN_SPREAD) != 0 { SLOWER } else { 1.0 };
    let (weight, weight_recent) = (weight(readings, SCALE_READINGS), weight(readings, RECENT_READINGS));
    cell.scale += (size.min(SCALE_CUT * cell.scale) - cell.scale) * (weight * slower);
    cell.scale_recent += (size.min(SCALE_CUT * cell.scale_recent) - cell.scale_recent) * weight_recent;
    // Values that hardly ever change would take the scale to nothing, and then every change for an anomaly.
    cell.scale = cell.scale.max(1e-30);
    cell.scale_recent = cell.scale_recent.max(cell.scale / 4.0);
    true
}
