//! Readings scatter from one to the next more than they did.
//!
//! Differences are measured in their own long mean, each cut to a few times that (after Huber), so that
//! one jump is not taken for noise, and averaged over about a dozen readings.

use gridwatch_sdk::prelude::*;

use crate::kinds::SPREAD;
use crate::level::At;
use crate::parameters::Parameters;
use crate::peaks;
use crate::state::{Cell, IN_SPREAD, Kept, Sensor};

/// Where a difference is cut, in usual ones.
const CUT: f32 = 6.0;
/// Spread below this part of the limit is calm.
const CALM: f32 = 0.5;

fn limit(parameters: &Parameters, at: At, cell: &Cell) -> f32 {
    let margin = parameters.spread_margin + peaks::young(parameters, cell) / 2.0;
    // It must stay reachable.
    (at.width * parameters.spread_min.max(margin * cell.spread_peak.usual.get())).min(0.9 * CUT)
}

pub fn judge(parameters: &Parameters, at: At, sensor: &mut Sensor, cell: &mut Cell, out: &mut Findings<'_>) {
    let steps = (at.difference.abs() / cell.scale).min(CUT);
    cell.spread += (steps - cell.spread) * parameters.spread_weight;
    let limit = limit(parameters, at, cell);
    if !cell.has(IN_SPREAD) {
        if !at.known || cell.spread <= limit {
            cell.spread_peak.see(cell.spread);
        } else {
            // The climb to the limit was part of it already.
            cell.spread_peak.unsee();
            cell.set(IN_SPREAD, true);
            (cell.spread_held, cell.spread_calm) = (0, 0);
            sensor.spread_cells = sensor.spread_cells.saturating_add(1);
            open(at, limit, sensor, cell, out);
        }
        return;
    }
    cell.spread_held = cell.spread_held.saturating_add(1);
    cell.spread_calm = if cell.spread < CALM * limit { cell.spread_calm + 1 } else { 0 };
    let relearnt = cell.spread_held >= parameters.relearn_readings;
    if relearnt {
        cell.scale = cell.scale_recent;
        cell.spread = 1.0;
    }
    if relearnt || cell.spread_calm >= parameters.spread_calm_readings {
        cell.set(IN_SPREAD, false);
        cell.spread_peak.see_some(limit);
        sensor.spread_cells = sensor.spread_cells.saturating_sub(1);
        if sensor.spread_cells == 0 {
            let quantity = usize::from(sensor.spread_quantity);
            let text = if relearnt { "taken as the new spread" } else { "as calm as usual again" };
            out.clear(&mut sensor.spread, || Finding::new(SPREAD).quantity(quantity).score(0.0).explain(text));
        }
    }
}

fn open(at: At, limit: f32, sensor: &mut Sensor, cell: &Cell, out: &mut Findings<'_>) {
    if sensor.spread.is_open() {
        return;
    }
    sensor.spread_quantity = at.quantity as u16;
    let (observed, usual) = (cell.spread * cell.scale, cell.scale);
    out.raise(&mut sensor.spread, Severity::Warning, || {
        Finding::new(SPREAD)
            .quantity(at.quantity)
            .score(f64::from((cell.spread - limit) / cell.spread * 0.5 + 0.5))
            .observed(f64::from(observed))
            .expected(f64::from(usual))
            .band(0.0, f64::from(limit * usual))
            .explain(format!(
                "readings differ by {observed:.4} on average from one to the next, {:.1} times the usual",
                cell.spread
            ))
    });
}
