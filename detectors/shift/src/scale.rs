//! How large differences between readings usually are: the unit in which everything else is measured.

use gridwatch_sdk::math::{higher, lower};

use crate::state::{AWAY, Cell, IN_SPREAD};

/// Long and short memory of differences, in readings.
const SCALE_READINGS: f32 = 1024.0;
const RECENT_READINGS: f32 = 64.0;
/// A difference counts no more than this many usual ones, after Huber: one jump must not widen every limit.
const SCALE_CUT: f32 = 4.0;
/// Learning goes at this part of its speed while something is wrong.
const SLOWER: f32 = 1.0 / 16.0;

/// Of a new difference in the mean of `memory` readings: a plain mean until there are so many.
#[inline(always)]
fn weight(readings: u32, memory: f32) -> f32 {
    higher(1.0 / (readings as f32 + 2.0), 1.0 / memory)
}

/// Both memories take in a difference; the long one learns at `speed`.
#[inline(always)]
pub fn learn_at(speed: f32, size: f32, readings: u32, cell: &mut Cell) {
    let (scale, recent) = (cell.scale, cell.scale_recent);
    let (weight, weight_recent) = (weight(readings, SCALE_READINGS), weight(readings, RECENT_READINGS));
    let scale = scale + (lower(size, SCALE_CUT * scale) - scale) * (weight * speed);
    let recent = recent + (lower(size, SCALE_CUT * recent) - recent) * weight_recent;
    // Values that hardly ever change would take the scale to nothing, and then every change for an anomaly.
    cell.scale = higher(scale, 1e-30);
    cell.scale_recent = higher(recent, cell.scale / 4.0);
}

/// Usual differences. False as long as the value has never changed.
pub fn learn(size: f32, readings: u32, cell: &mut Cell) -> bool {
    if cell.scale == 0.0 {
        if size == 0.0 {
            return false;
        }
        (cell.scale, cell.scale_recent) = (size, size);
    }
    let speed = if cell.flags & (AWAY | IN_SPREAD) != 0 { SLOWER } else { 1.0 };
    learn_at(speed, size, readings, cell);
    true
}
