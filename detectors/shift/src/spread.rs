//! Readings scatter from one to the next more than they did.
//!
//! Page's cumulative sum (Biometrika 1954) for an increase of scale: differences between readings, in units of their own long
//! mean, are summed as far as they exceed an allowance. Each is cut to a few times the usual (after
//! Huber), so that one jump is not taken for noise.

use gridwatch_sdk::math::{higher, lower};
use gridwatch_sdk::prelude::*;

use crate::kinds::SPREAD;
use crate::level::{At, quarter};
use crate::margins::Margins;
use crate::parameters::Parameters;
use crate::state::{Cell, Fixed, IN_SPREAD, Kept, Sensor};

/// Where a difference is cut, in usual ones.
const CUT: f32 = 6.0;
/// Weight of a difference in the running mean that tells how large the spread is now.
const WEIGHT: f32 = 1.0 / 12.0;
/// Spread below this many usual differences is calm.
const CALM: f32 = 1.35;
/// Sums are cut here. A quantity whose sums usually come near this is too restless to be judged.
const SUM_MAX: f32 = 60.0;

/// Highest that the sum may get.
#[inline(always)]
pub fn limit(parameters: &Parameters, width: f32, margins: &Margins, cell: &Cell) -> f32 {
    width * higher(margins.spread * cell.excess_peak.usual.get(), parameters.spread_min)
}

/// The running mean and the sum of what is too much take in a difference.
#[inline(always)]
pub fn learn(parameters: &Parameters, size: f32, cell: &mut Cell) {
    let steps = lower(size / cell.scale, CUT);
    let spread = cell.spread.get() + (steps - cell.spread.get()) * WEIGHT;
    let excess = cell.excess.get() + steps - parameters.spread_allowance;
    cell.spread = Fixed::of(spread);
    cell.excess = Fixed::of(lower(higher(excess, 0.0), SUM_MAX));
}

/// After `learn`.
pub fn judge(
    parameters: &Parameters,
    at: &At<'_>,
    sensor: &mut Sensor,
    cell: &mut Cell,
    out: &mut Findings<'_>,
) {
    if cell.has(IN_SPREAD) {
        go_on(parameters, at, sensor, cell, out);
        return;
    }
    let (spread, excess) = (cell.spread.get(), cell.excess.get());
    let limit = limit(parameters, at.width, at.margins, cell);
    if !at.settled || excess <= limit {
        cell.excess_peak.see(excess);
        return;
    }
    // The climb to the limit was part of it already.
    cell.excess_peak.unsee();
    cell.set(IN_SPREAD, true);
    (cell.spread_held, cell.spread_calm) = (0, 0);
    sensor.spread_cells = sensor.spread_cells.saturating_add(1);
    if !sensor.spread.is_open() {
        sensor.spread_quantity = at.quantity as u16;
        let (usual, now) = (cell.scale, cell.scale * spread);
        out.raise(&mut sensor.spread, Severity::Warning, || {
            Finding::new(SPREAD)
                .quantity(at.quantity)
                .score(f64::from(1.0 - limit / (2.0 * excess)))
                .observed(f64::from(now))
                .expected(f64::from(usual))
                .explain(format!("readings differ by {now:.4} from one to the next, {spread:.1} times the usual, in the mean of a dozen"))
        });
    }
}

fn go_on(parameters: &Parameters, at: &At<'_>, sensor: &mut Sensor, cell: &mut Cell, out: &mut Findings<'_>) {
    cell.spread_held = cell.spread_held.saturating_add(quarter(cell));
    cell.spread_calm = if cell.spread.get() < CALM { cell.spread_calm + 1 } else { 0 };
    let relearnt = u16::from(cell.spread_held) * 4 >= parameters.relearn_readings;
    if !relearnt && cell.spread_calm < parameters.spread_calm_readings {
        return;
    }
    if relearnt {
        cell.scale = cell.scale_recent;
    }
    cell.excess = Fixed::default();
    cell.excess_peak.see_some(limit(parameters, at.width, at.margins, cell));
    cell.set(IN_SPREAD, false);
    sensor.spread_cells = sensor.spread_cells.saturating_sub(1);
    if sensor.spread_cells == 0 {
        let quantity = usize::from(sensor.spread_quantity);
        let text = if relearnt { "taken as the new spread" } else { "as calm as usual again" };
        out.clear(&mut sensor.spread, || Finding::new(SPREAD).quantity(quantity).score(0.0).explain(text));
    }
}
