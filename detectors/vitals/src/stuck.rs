//! The same value over and over.
//!
//! Quantised quantities repeat (a power factor of 0.97, a frequency of 50.00 Hz), so each one's longest
//! run is learnt, and only a run well beyond it counts. A reading that repeats as a whole, all
//! quantities at once, is rarer, and known by a run of its own. Exact zeros are no evidence: an
//! idle load, a feeder out of service and a solar inverter at night all send them for hours.

use gridwatch_sdk::prelude::*;

use crate::kinds::STUCK;
use crate::parameters::Parameters;
use crate::state::{Cell, Sensor, WHOLE};
use crate::values::{Row, is_there};

/// What the values of one reading are, each held against the one before.
#[inline(always)]
pub fn judge(
    parameters: &Parameters,
    reading: &Reading<'_>,
    row: &Row,
    sensor: &mut Sensor,
    cells: &[Cell],
    out: &mut Findings<'_>,
) {
    let whole = row.present >= 2 && !row.has_changed();
    if row.has_changed() {
        if teaches(sensor.same_longest, sensor.same_run) {
            learn_whole(parameters, sensor);
        }
        sensor.same_run = 1;
    }
    if whole || row.may_be_long() || sensor.stuck.is_open() {
        tell(parameters, reading, whole, sensor, cells, out);
    }
}

#[cold]
#[inline(never)]
fn learn_whole(parameters: &Parameters, sensor: &mut Sensor) {
    // A whole reading that repeats far beyond the limit is never usual.
    if sensor.same_run < limit(parameters, sensor.same_longest).saturating_mul(2) {
        sensor.same_longest = learnt(parameters, sensor.same_longest, sensor.same_run);
    }
}

#[cold]
#[inline(never)]
fn tell(
    parameters: &Parameters,
    reading: &Reading<'_>,
    whole: bool,
    sensor: &mut Sensor,
    cells: &[Cell],
    out: &mut Findings<'_>,
) {
    let worst = if whole {
        sensor.same_run = sensor.same_run.saturating_add(1);
        let long = sensor.same_run >= limit(parameters, sensor.same_longest)
            && sensor.seen >= parameters.learn_readings;
        long.then_some((WHOLE, sensor.same_run, f64::NAN))
    } else {
        let hours = f32::from(sensor.seen) * sensor.interval_ms / 3_600_000.0;
        // The type's end counts as long enough.
        let mature = hours >= parameters.learn_hours || sensor.seen == u16::MAX;
        let is_long = |cell: &Cell, value: f64| {
            is_there(value)
                && cell.run >= limit(parameters, cell.longest)
                && cell.seen >= parameters.learn_readings
        };
        cells
            .iter()
            .zip(reading.values())
            .position(|(cell, &value)| is_long(cell, value))
            .filter(|_| mature)
            .and_then(|quantity| Some((quantity, cells.get(quantity)?)))
            .map(|(quantity, cell)| (quantity as u8, cell.run, cell.last))
    };
    if sensor.stuck.is_open() {
        end(sensor, cells, out);
    } else if let Some((quantity, run, value)) = worst {
        sensor.stuck_quantity = quantity;
        let since = reading.timestamp.saturating_sub((f32::from(run - 1) * sensor.interval_ms) as i64);
        // One quantity alone may be a load that stands still.
        let severity = if quantity == WHOLE { Severity::Warning } else { Severity::Info };
        out.raise(&mut sensor.stuck, severity, || found(quantity, run, value).since(since));
    }
}

/// Runs from which on a value is stuck: never below `stuck_readings_min`, and beyond `longest`, but for the type's end.
fn limit(parameters: &Parameters, longest: u16) -> u16 {
    let runs = f32::from(longest) * parameters.stuck_runs + 2.0;
    (runs as u16).max(parameters.stuck_readings_min)
}

/// Whether a run that has ended may change the longest one: mostly it is no longer than that, which teaches nothing.
#[inline(always)]
pub fn teaches(longest: u16, run: u16) -> bool {
    run > longest || longest == u16::MAX
}

/// A run that was called stuck teaches little, but if it keeps coming back (an inverter that repeats its
/// last values all night) it is usual in the end.
#[cold]
#[inline(never)]
pub fn learnt(parameters: &Parameters, longest: u16, run: u16) -> u16 {
    let limit = limit(parameters, longest);
    if run < limit { longest.max(run) } else { longest + ((limit - longest) / 8).max(1) }
}

fn end(sensor: &mut Sensor, cells: &[Cell], out: &mut Findings<'_>) {
    let quantity = sensor.stuck_quantity;
    let run = cells.get(usize::from(quantity)).map_or(sensor.same_run, |cell| cell.run);
    if run <= 1 {
        out.clear(&mut sensor.stuck, || {
            let finding = Finding::new(STUCK).score(0.0).explain("values change again");
            if quantity == WHOLE { finding } else { finding.quantity(usize::from(quantity)) }
        });
    }
}

fn found(quantity: u8, run: u16, value: f64) -> Finding {
    let score = 1.0 - 1.0 / f64::from(run);
    if quantity == WHOLE {
        Finding::new(STUCK)
            .score(score)
            .explain(format!("{run} readings in a row are equal in every quantity"))
    } else {
        Finding::new(STUCK)
            .score(score)
            .quantity(usize::from(quantity))
            .observed(value)
            .explain(format!("{run} readings in a row carry exactly {value}"))
    }
}
