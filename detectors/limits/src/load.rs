//! Means of current and power factor over 10 minutes, and the oil of transformers.

use gridwatch_sdk::prelude::*;

use crate::kinds;
use crate::parameters::Parameters;
use crate::score;
use crate::state::Cell;
use crate::window::{Closed, TEN_MINUTES};

/// °C by which the oil must cool below its limit to end an episode.
const OIL_HYSTERESIS_C: f64 = 2.0;

/// A current, a finite number, against the nominal one.
#[inline(always)]
pub fn judge_current(
    p: &Parameters,
    nominal: f64,
    quantity: usize,
    reading: &Reading<'_>,
    amperes: f64,
    cell: &mut Cell,
    out: &mut Findings<'_>,
) {
    if reading.is_ahead() {
        return;
    }
    let part = (amperes / nominal).abs();
    if !cell.window.add_within(reading.timestamp, TEN_MINUTES, part) {
        leave_window(p, nominal, quantity, reading.timestamp, part, cell, out);
    }
}

/// The reading is of another window than the one before.
#[cold]
#[inline(never)]
fn leave_window(
    p: &Parameters,
    nominal: f64,
    quantity: usize,
    timestamp: i64,
    part: f64,
    cell: &mut Cell,
    out: &mut Findings<'_>,
) {
    if let Some(closed) = cell.window.add(timestamp, TEN_MINUTES, part, p.window_samples_min)
        && (closed.mean > p.load || cell.open.is_some())
    {
        tell_overload(p, nominal, quantity, closed, cell, out);
    }
}

fn tell_overload(
    p: &Parameters,
    nominal: f64,
    quantity: usize,
    closed: Closed,
    cell: &mut Cell,
    out: &mut Findings<'_>,
) {
    let finding = || {
        Finding::new(kinds::OVERLOAD)
            .quantity(quantity)
            .observed(closed.mean * nominal)
            .expected(nominal)
            .band(0.0, p.load * nominal)
            .score(score(closed.mean, p.load))
            .explain(format!(
                "10-min mean {:.1} A is {:.0} % of nominal {nominal:.0} A",
                closed.mean * nominal,
                100.0 * closed.mean
            ))
    };
    if closed.mean > p.load {
        let severity = if closed.mean > p.load_critical { Severity::Critical } else { Severity::Warning };
        out.raise(&mut cell.open.get_or_insert_default().mean, severity, || finding().since(closed.start));
    } else if let Some(open) = &mut cell.open {
        out.clear(&mut open.mean, finding);
    }
    cell.tidy();
}

/// |Power factor| as a mean; off by default, since a light load has a poor one by nature.
#[inline(never)]
pub fn judge_power_factor(
    p: &Parameters,
    quantity: usize,
    factor: f64,
    timestamp: i64,
    cell: &mut Cell,
    out: &mut Findings<'_>,
) {
    let factor = factor.abs();
    if !factor.is_finite() {
        return;
    }
    let Some(closed) = cell.window.add(timestamp, TEN_MINUTES, factor, p.window_samples_min) else {
        return;
    };
    let finding = || {
        Finding::new(kinds::POWER_FACTOR_LOW)
            .quantity(quantity)
            .observed(closed.mean)
            .band(p.power_factor_low, 1.0)
            .score(((1.0 - closed.mean / p.power_factor_low) * 0.5 + 0.5).clamp(0.0, 1.0))
            .explain(format!("10-min mean of |power factor| is {:.3}", closed.mean))
    };
    if closed.mean < p.power_factor_low {
        out.raise(&mut cell.open.get_or_insert_default().mean, Severity::Info, || {
            finding().since(closed.start)
        });
    } else if let Some(open) = &mut cell.open {
        out.clear(&mut open.mean, finding);
    }
    cell.tidy();
}

/// Top oil; only for sensors whose role is `transformer`.
#[inline(never)]
pub fn judge_oil(p: &Parameters, quantity: usize, degrees: f64, cell: &mut Cell, out: &mut Findings<'_>) {
    if !degrees.is_finite() {
        return;
    }
    let finding = || {
        Finding::new(kinds::OIL_TEMPERATURE)
            .quantity(quantity)
            .observed(degrees)
            .band(-273.15, p.oil_c)
            .score(score(degrees, p.oil_c))
            .explain(format!("top oil at {degrees:.1} °C (limit {:.0} °C, IEC 60076-7)", p.oil_c))
    };
    if degrees >= p.oil_c {
        let open = cell.open.get_or_insert_default();
        let severity = open.severity(degrees >= p.oil_critical_c);
        out.raise(&mut open.reading, severity, finding);
    } else if degrees < p.oil_c - OIL_HYSTERESIS_C
        && let Some(open) = &mut cell.open
    {
        open.was_critical = false;
        out.clear(&mut open.reading, finding);
    }
    cell.tidy();
}
