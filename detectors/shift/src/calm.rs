//! Values on which nothing is to be said: nearly all.
//!
//! What is done with one is what `level`, `spread` and `course` do with it when no limit is passed and
//! nothing is open, by the same formulas, but all at once and without what tells of it: a loop that is
//! short enough for the machine's registers takes a third of the time.

use gridwatch_sdk::math::higher;

use crate::margins::Margins;
use crate::parameters::Parameters;
use crate::peaks::{self, BLOCK};
use crate::state::{Cell, Fixed, KNOWN, Kept};
use crate::{course, level, scale, spread};

/// What is known of a quantity whatever its cell has seen.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// It is the supply's, not a load's.
    pub is_supply: bool,
    /// By how much limits of spread and course are wider.
    pub width: f32,
}

/// What may be judged after so many readings.
#[derive(Debug, Clone, Copy)]
pub struct Ripe {
    /// Spread and course.
    pub settled: bool,
    /// The level.
    pub mature: bool,
}

#[inline(always)]
pub fn ripe(parameters: &Parameters, kind: Kind, readings: u32, interval_ms: f32) -> Ripe {
    const HOURS_PER_MS: f32 = 1.0 / 3_600_000.0;
    let known = readings >= u32::from(parameters.learn_readings);
    let hours = readings as f32 * interval_ms * HOURS_PER_MS;
    let mature = known && hours >= parameters.learn_hours;
    Ripe { settled: mature || (known && kind.is_supply), mature }
}

/// The difference to the value before.
#[inline(always)]
pub fn difference(value: f64, before: f64) -> f32 {
    (value - before).clamp(-1e30, 1e30) as f32
}

/// Takes in a value that is no more than a value. Says whether it was one; otherwise nothing has changed.
#[inline(always)]
pub fn take(
    parameters: &Parameters,
    margins: &Margins,
    kind: Kind,
    interval_ms: f32,
    value: f64,
    cell: &mut Cell,
) -> bool {
    if cell.flags != KNOWN || cell.block >= BLOCK - 1 || cell.scale == 0.0 {
        return false;
    }
    let difference = difference(value, cell.last);
    let (size, readings) = (difference.abs(), peaks::readings(cell));
    let (scale, scale_recent) = scale::next(size, readings, 1.0, cell);
    let deviation = level::next(difference, cell);
    let (spread, excess) = spread::next(parameters, size, scale, cell);
    let (up, down) = course::next(parameters, difference, scale_recent, cell);
    let (far, sum) = (deviation.abs(), higher(up, down));
    let ripe = ripe(parameters, kind, readings, interval_ms);
    let is_odd = (ripe.mature && far > level::limit(parameters, scale, margins, cell))
        || (ripe.settled
            && (excess > spread::limit(parameters, kind.width, margins, cell)
                || sum > course::limit(parameters, kind.width, margins, cell)));
    if is_odd {
        return false;
    }
    cell.last = value;
    (cell.scale, cell.scale_recent) = (scale, scale_recent);
    cell.deviation = level::followed(parameters, deviation);
    cell.jump.running = higher(far, cell.jump.running);
    (cell.spread, cell.excess) = (Fixed::keep(spread), Fixed::keep(excess));
    cell.excess_peak.running = cell.excess_peak.running.max(cell.excess);
    (cell.up, cell.down) = (up, down);
    cell.course_peak.running = cell.course_peak.running.max(Fixed::keep(sum));
    cell.block += 1;
    true
}
