//! Frequency against nominal: readings by ENTSO-E, 10-second means by EN 50160, rate of change by grid codes.

use gridwatch_sdk::prelude::*;

use crate::kinds;
use crate::parameters::Parameters;
use crate::score;
use crate::state::{Cell, Sensor};
use crate::window::{Closed, TEN_SECONDS};

/// Hz by which a deviation must fall below its limit to end: the insensitivity of frequency control (ENTSO-E, ±20 mHz).
const HYSTERESIS_HZ: f64 = 0.02;
/// Readings farther apart than this, in ms, show no rate of change.
const GAP_MAX_MS: i64 = 10_000;
/// An episode of change ends after so long, in ms, without a fast one.
const QUIET_MS: i64 = 60_000;

#[derive(Clone, Copy)]
pub struct Seen<'a> {
    pub p: &'a Parameters,
    /// Hz.
    pub nominal: f64,
    pub quantity: usize,
    pub hertz: f64,
}

/// Judges the frequency, a finite number.
#[inline(always)]
pub fn judge(
    seen: Seen<'_>,
    reading: &Reading<'_>,
    sensor: &mut Sensor,
    cell: &mut Cell,
    out: &mut Findings<'_>,
) {
    let Seen { p, nominal, hertz, .. } = seen;
    if (hertz - nominal).abs() > p.frequency_deviation_hz || cell.open.is_some() {
        tell_deviation(seen, cell, out);
    }
    if reading.is_ahead() {
        return;
    }
    let now = reading.timestamp;
    let deviation = hertz / nominal - 1.0;
    if !cell.window.add_within(now, TEN_SECONDS, deviation) {
        leave_window(seen, now, deviation, cell, out);
    }
    // The change that the limit allows within its window is allowed between readings farther apart, too: a slower
    // series cannot show that it was slower than that.
    let step = now.saturating_sub(sensor.frequency_at);
    if sensor.frequency > 0.0 && step >= 0 && (step as f64) < p.frequency_rate_window_s * 1000.0 {
        return;
    }
    let before = f64::from(sensor.frequency);
    sensor.frequency_at = now;
    sensor.frequency = hertz.clamp(0.0, 1e6) as f32;
    let is_fresh = before > 0.0 && step > 0 && step <= GAP_MAX_MS;
    let moved = if is_fresh { hertz - before } else { 0.0 };
    if moved.abs() > p.frequency_rate_hz_per_s * p.frequency_rate_window_s || sensor.change.is_some() {
        tell_change(seen, Step { now, step, before, moved }, sensor, out);
    }
}

/// From one frequency to the next.
struct Step {
    now: i64,
    /// ms.
    step: i64,
    /// Hz; 0 before the first.
    before: f64,
    /// Hz; 0 where the reading before is too far away.
    moved: f64,
}

#[cold]
#[inline(never)]
fn tell_deviation(seen: Seen<'_>, cell: &mut Cell, out: &mut Findings<'_>) {
    let p = seen.p;
    let limit = p.frequency_deviation_hz;
    let off = seen.hertz - seen.nominal;
    let is_open = cell.open.as_ref().is_some_and(|open| open.reading.is_open());
    let finding = || {
        Finding::new(kinds::FREQUENCY_DEVIATION)
            .quantity(seen.quantity)
            .observed(seen.hertz)
            .expected(seen.nominal)
            .band(seen.nominal - limit, seen.nominal + limit)
            .score(score(off, limit))
    };
    if off.abs() > limit {
        let open = cell.open.get_or_insert_default();
        let severity = open.severity(off.abs() > p.frequency_deviation_critical_hz);
        out.raise(&mut open.reading, severity, || {
            finding().explain(format!(
                "{:.3} Hz is {:+.0} mHz off nominal, beyond ±{:.0} mHz (ENTSO-E)",
                seen.hertz,
                1000.0 * off,
                1000.0 * limit
            ))
        });
    } else if is_open && off.abs() <= limit - HYSTERESIS_HZ.min(limit / 2.0) {
        let open = cell.open.get_or_insert_default();
        open.was_critical = false;
        out.clear(&mut open.reading, || finding().explain(format!("{:.3} Hz", seen.hertz)));
    }
    cell.tidy();
}

/// The reading is of another window than the one before.
#[inline(never)]
fn leave_window(seen: Seen<'_>, now: i64, deviation: f64, cell: &mut Cell, out: &mut Findings<'_>) {
    if let Some(closed) = cell.window.add(now, TEN_SECONDS, deviation, seen.p.window_samples_min)
        && (closed.mean.abs() > seen.p.frequency_mean_band || cell.open.is_some())
    {
        tell_mean(seen, closed, cell, out);
    }
}

#[cold]
#[inline(never)]
fn tell_mean(seen: Seen<'_>, closed: Closed, cell: &mut Cell, out: &mut Findings<'_>) {
    let p = seen.p;
    let band = p.frequency_mean_band;
    let part = 1.0 + closed.mean;
    let is_open = cell.open.as_ref().is_some_and(|open| open.mean.is_open());
    let finding = || {
        Finding::new(kinds::FREQUENCY_MEAN)
            .quantity(seen.quantity)
            .observed(part * seen.nominal)
            .expected(seen.nominal)
            .band((1.0 - band) * seen.nominal, (1.0 + band) * seen.nominal)
            .score(score(closed.mean, band))
    };
    if closed.mean.abs() > band {
        let is_critical = part < p.frequency_low_always || part > p.frequency_high_always;
        let severity = if is_critical { Severity::Critical } else { Severity::Warning };
        let open = cell.open.get_or_insert_default();
        out.raise(&mut open.mean, severity, || {
            finding().since(closed.start).explain(format!(
                "10-s mean {:.3} Hz is {:+.2} % off nominal, beyond ±{:.0} % (EN 50160)",
                part * seen.nominal,
                100.0 * closed.mean,
                100.0 * band
            ))
        });
    } else if is_open {
        let open = cell.open.get_or_insert_default();
        out.clear(&mut open.mean, || finding().explain(format!("10-s mean {:.3} Hz", part * seen.nominal)));
    }
    cell.tidy();
}

#[cold]
#[inline(never)]
fn tell_change(seen: Seen<'_>, course: Step, sensor: &mut Sensor, out: &mut Findings<'_>) {
    let p = seen.p;
    let Step { now, step, before, moved } = course;
    let limit = p.frequency_rate_hz_per_s * p.frequency_rate_window_s;
    let finding = |rate: f64| {
        Finding::new(kinds::FREQUENCY_CHANGE)
            .quantity(seen.quantity)
            .observed(seen.hertz)
            .expected(before)
            .band(before - limit, before + limit)
            .score(score(moved, limit))
            .detail("rate_hz_per_s", format!("{rate:.3}"))
    };
    if moved.abs() > limit {
        let rate = moved * 1000.0 / step as f64;
        let change = sensor.change.get_or_insert_default();
        change.last = now;
        out.raise(&mut change.episode, Severity::Critical, || {
            finding(rate).explain(format!(
                "frequency moved {:+.0} mHz within {:.1} s ({rate:+.2} Hz/s)",
                1000.0 * moved,
                step as f64 / 1000.0
            ))
        });
    } else if let Some(change) = &mut sensor.change
        && !(0..QUIET_MS).contains(&now.saturating_sub(change.last))
    {
        out.clear(&mut change.episode, || {
            finding(moved * 1000.0 / (step.max(1)) as f64).explain("a minute without fast changes")
        });
        sensor.change = None;
    }
}
