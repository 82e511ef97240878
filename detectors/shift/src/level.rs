//! A jump from the level: back at once it was a spike, otherwise a shift.
//!
//! The level is an exponentially weighted mean (Roberts, "Control chart tests based on geometric
//! moving averages", Technometrics 1959). It stands still from the first value that is too far away until
//! the value is back or the shift has been accepted, so that it does not learn the anomaly.

use gridwatch_sdk::math::{higher, lower};
use gridwatch_sdk::prelude::*;

use crate::kinds::{LEVEL, SPIKE};
use crate::margins::Margins;
use crate::parameters::Parameters;
use crate::state::{AWAY, Cell};

/// A value is back when it has come this part of the limit near.
const BACK: f32 = 0.5;
/// A difference of this part of the limit is a jump.
const JUMP: f32 = 0.35;
/// Readings in a row that must be back before a shift ends.
const BACK_READINGS: u8 = 3;
/// A shift this many limits wide is a warning; a smaller one is for information.
const WARNING: f32 = 1.5;

/// Farthest that a value may be from its level.
#[inline(always)]
pub fn limit(parameters: &Parameters, scale: f32, margins: &Margins, cell: &Cell) -> f32 {
    higher(parameters.level_min * scale, margins.level * cell.jump.usual)
}

/// How far the value is from its level now.
#[inline(always)]
pub fn next(difference: f32, cell: &Cell) -> f32 {
    // A sum of absurd values must not become infinite.
    lower(higher(cell.deviation + difference, -1e32), 1e32)
}

/// What of a deviation is left when the level has followed.
#[inline(always)]
pub fn followed(parameters: &Parameters, deviation: f32) -> f32 {
    deviation - deviation * parameters.level_weight
}

pub fn judge(parameters: &Parameters, at: &At<'_>, cell: &mut Cell, out: &mut Findings<'_>) {
    let limit = limit(parameters, cell.scale, at.margins, cell);
    // In a shift of hours the level goes on moving as it does every day: only what looks like a jump counts.
    if !cell.level.is_open() || at.difference.abs() > JUMP * limit {
        cell.deviation = next(at.difference, cell);
    }
    let far = cell.deviation.abs();
    if !cell.has(AWAY) {
        if at.mature && limit > 0.0 && far > limit {
            cell.set(AWAY, true);
            (cell.away, cell.back) = (1, 0);
        } else {
            cell.jump.see(far);
            cell.deviation = followed(parameters, cell.deviation);
        }
    } else if cell.level.is_open() {
        shifted(parameters, at, limit, cell, out);
    } else {
        jumped(parameters, at, limit, cell, out);
    }
}

/// Away, but not yet long enough.
fn jumped(parameters: &Parameters, at: &At<'_>, limit: f32, cell: &mut Cell, out: &mut Findings<'_>) {
    let far = cell.deviation.abs();
    if far < BACK * limit {
        cell.set(AWAY, false);
        cell.jump.see_some(limit);
        let before = at.before;
        out.single(Severity::Info, || {
            Finding::new(SPIKE).quantity(at.quantity).observed(before).expected(at.value).explain(format!(
                "{before:.6} was {:.1} limits away from the values around it",
                (before - at.value).abs() / f64::from(limit)
            ))
        });
        return;
    }
    cell.away += 1;
    if cell.away >= parameters.level_readings {
        cell.away = 0;
        let severity = if far > WARNING * limit { Severity::Warning } else { Severity::Info };
        let level = at.value - f64::from(cell.deviation);
        out.raise(&mut cell.level, severity, || {
            Finding::new(LEVEL)
                .quantity(at.quantity)
                .score(f64::from(1.0 - limit / (2.0 * far)))
                .observed(at.value)
                .expected(level)
                .band(level - f64::from(limit), level + f64::from(limit))
                .explain(format!(
                    "{far:.4} away from its level; it usually does not jump farther than {limit:.4}"
                ))
        });
    }
}

fn shifted(parameters: &Parameters, at: &At<'_>, limit: f32, cell: &mut Cell, out: &mut Findings<'_>) {
    cell.away = cell.away.saturating_add(quarter(cell));
    cell.back = if cell.deviation.abs() < BACK * limit { cell.back + 1 } else { 0 };
    let text = if cell.back >= BACK_READINGS {
        "back at its level"
    } else if u16::from(cell.away) * 4 >= parameters.relearn_readings {
        cell.deviation = 0.0;
        "taken as the new level"
    } else {
        return;
    };
    cell.set(AWAY, false);
    cell.jump.see_some(limit);
    out.clear(&mut cell.level, || {
        Finding::new(LEVEL).quantity(at.quantity).score(0.0).observed(at.value).explain(text)
    });
}

/// 1 at every fourth reading: long episodes are counted in fours, so that a byte is enough.
pub fn quarter(cell: &Cell) -> u8 {
    u8::from(cell.block.is_multiple_of(4))
}

/// One value of a reading, compared with the one before.
#[derive(Debug, Clone, Copy)]
pub struct At<'a> {
    pub quantity: usize,
    pub name: &'a str,
    pub value: f64,
    pub before: f64,
    pub difference: f32,
    /// Enough has been learnt to judge spread and course, and to judge the level.
    pub settled: bool,
    pub mature: bool,
    /// By how much limits of spread and course are wider.
    pub width: f32,
    pub margins: &'a Margins,
}
