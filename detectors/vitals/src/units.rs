//! A magnitude that is a thousand times larger or smaller than usual: kW sent for W, kV for V.

use gridwatch_sdk::math::{higher, lower};
use gridwatch_sdk::prelude::*;

use crate::kinds::UNIT;
use crate::parameters::Parameters;
use crate::state::{Cell, Sensor};

/// The step between SI prefixes.
const FACTOR: f32 = 1000.0;
/// A value must be this far outside the usual range before a change of unit is considered at all.
const FAR: f32 = 20.0;
/// How much wider than seen the usual range may be.
const SLACK: f32 = 2.0;
/// Readings over which a range is forgotten.
const FORGET: f32 = 4096.0;

/// Whether this quantity's unit may be in question.
/// The two products say at little cost what `factor` would divide for. Also of the first value of all, and of
/// one whose size is beyond `f32`.
#[inline(always)]
fn may_be_far(cell: &Cell, size: f32) -> bool {
    cell.other_unit != 0 || size > FAR * cell.most || size * 16.0 < cell.least
}

/// Learns the magnitude, unless the unit may be in question: then says false, and `judge` is to see the reading.
#[inline(always)]
pub fn learn_usual(cell: &mut Cell, value: f64) -> bool {
    let size = value.abs() as f32;
    let is_usual = !may_be_far(cell, size);
    if is_usual {
        learn(cell, size);
    }
    is_usual
}

/// Quantities whose unit may be in question; those of which `learn` has taken in the value are none.
#[cold]
#[inline(never)]
pub fn judge(
    parameters: &Parameters,
    reading: &Reading<'_>,
    sensor: &mut Sensor,
    cells: &mut [Cell],
    out: &mut Findings<'_>,
) {
    for (quantity, (cell, &value)) in cells.iter_mut().zip(reading.values()).enumerate() {
        let size = value.abs() as f32;
        if !(size > 0.0 && size.is_finite() && may_be_far(cell, size)) {
            continue;
        }
        let known = cell.seen >= parameters.learn_readings;
        match factor(cell, size).filter(|_| known) {
            Some(factor) => {
                cell.usual_unit = 0;
                cell.other_unit = cell.other_unit.saturating_add(1);
                if cell.other_unit >= parameters.unit_readings && !sensor.unit.is_open() {
                    sensor.unit_quantity = quantity as u8;
                    let (least, most) = (f64::from(cell.least), f64::from(cell.most));
                    out.raise(&mut sensor.unit, Severity::Warning, || {
                        Finding::new(UNIT)
                            .quantity(quantity)
                            .observed(value)
                            .band(least, most)
                            .explain(format!("about {factor} times its usual size: another unit?"))
                    });
                }
            }
            None => {
                usual(parameters, quantity, value, sensor, cell, out);
                if cell.most == 0.0 {
                    (cell.least, cell.most) = (size, size);
                } else {
                    learn(cell, size);
                }
            }
        }
    }
}

fn usual(
    parameters: &Parameters,
    quantity: usize,
    value: f64,
    sensor: &mut Sensor,
    cell: &mut Cell,
    out: &mut Findings<'_>,
) {
    if cell.other_unit == 0 {
        return;
    }
    cell.usual_unit = cell.usual_unit.saturating_add(1);
    if cell.usual_unit >= parameters.unit_readings {
        cell.other_unit = 0;
        if usize::from(sensor.unit_quantity) == quantity {
            out.clear(&mut sensor.unit, || {
                Finding::new(UNIT)
                    .score(0.0)
                    .quantity(quantity)
                    .observed(value)
                    .explain("back at its usual size")
            });
        }
    }
}

/// The factor that would bring the value back into its usual range, if it is far out of it.
#[inline(always)]
fn factor(cell: &Cell, size: f32) -> Option<&'static str> {
    let within = |size: f32| size >= cell.least / SLACK && size <= cell.most * SLACK;
    if size > FAR * cell.most && within(size / FACTOR) {
        Some("1000")
    } else if size < cell.least / FAR && within(size * FACTOR) {
        Some("1/1000")
    } else {
        None
    }
}

/// A range widens at once and is forgotten slowly.
#[inline(always)]
fn learn(cell: &mut Cell, size: f32) {
    cell.least = lower(size, cell.least + (size - cell.least) / FORGET);
    cell.most = higher(size, cell.most - (cell.most - size) / FORGET);
}
