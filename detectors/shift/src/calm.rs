//! Values on which nothing is to be said: nearly all.
//!
//! What is done with one is what `level`, `spread` and `course` do with it when no limit is passed and
//! nothing is open, by the same formulas, but all at once and without what tells of it: a loop without
//! calls, for the machine's registers, takes two thirds of the time in WebAssembly.

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

/// Readings from which on there is something to judge, at the interval of a sensor.
#[derive(Debug, Clone, Copy)]
pub struct Ripeness {
    known: u32,
    mature: u32,
}

impl Ripeness {
    pub fn of(parameters: &Parameters, interval_ms: f32) -> Self {
        const HOURS_PER_MS: f32 = 1.0 / 3_600_000.0;
        let known = u32::from(parameters.learn_readings);
        // Without an interval there are no hours, and no end of readings.
        let readings = parameters.learn_hours / (interval_ms * HOURS_PER_MS);
        Ripeness { known, mature: known.max(readings.ceil() as u32) }
    }

    #[inline(always)]
    pub fn after(self, readings: u32, kind: Kind) -> Ripe {
        let settled = if kind.is_supply { self.known } else { self.mature };
        Ripe { settled: readings >= settled, mature: readings >= self.mature }
    }
}

/// Differences are held to this, so that sums of absurd values do not become infinite.
const DIFFERENCE_MAX: f32 = 1e30;

/// The difference to the value before.
#[inline(always)]
pub fn difference(value: f64, before: f64) -> f32 {
    ((value - before) as f32).clamp(-DIFFERENCE_MAX, DIFFERENCE_MAX)
}

/// What has been done with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    All,
    /// Scale, spread and course have learnt of it and must be judged, with the level.
    Learnt,
    Nothing,
}

/// Takes in a value as far as it is no more than a value.
#[inline(always)]
pub fn take(
    parameters: &Parameters,
    margins: &Margins,
    kind: Kind,
    ripeness: Ripeness,
    value: f64,
    cell: &mut Cell,
) -> Done {
    let difference = (value - cell.last) as f32;
    let size = difference.abs();
    if cell.flags != KNOWN || cell.block >= BLOCK - 1 || cell.scale <= 0.0 || size > DIFFERENCE_MAX {
        return Done::Nothing;
    }
    let readings = peaks::readings(cell);
    // All is learnt before anything is judged: what is compared within a branch and stored behind it would be
    // computed twice by cranelift.
    scale::learn_at(1.0, size, readings, cell);
    spread::learn(parameters, size, cell);
    course::learn(parameters, difference, cell);
    let ripe = ripeness.after(readings, kind);
    let (deviation, sum) = (level::next(difference, cell), course::sum(cell));
    if (ripe.mature && deviation.abs() > level::limit(parameters, cell.scale, margins, cell))
        || (ripe.settled
            && (cell.excess.get() > spread::limit(parameters, kind.width, margins, cell)
                || sum > course::limit(parameters, kind.width, margins, cell)))
    {
        return Done::Learnt;
    }
    cell.last = value;
    cell.deviation = level::followed(parameters, deviation);
    cell.jump.see(deviation.abs());
    cell.excess_peak.running = cell.excess_peak.running.max(cell.excess);
    cell.course_peak.running = cell.course_peak.running.max(Fixed::of(sum));
    cell.block += 1;
    Done::All
}
