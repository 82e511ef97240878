//! Timestamps: tells a step forward from a repeat, a step back and a jump of the clock.

use gridwatch_sdk::prelude::*;

use crate::kinds::{BACKWARD, CLOCK, REPEATED};
use crate::order::{calm, disorder};
use crate::parameters::Parameters;
use crate::rate;
use crate::silence;
use crate::state::{JUMPED, OUT_OF_ORDER, Sensor};

/// A gap at a sensor that reports more seldom than this cannot be told from a shifted clock, ms.
const CLOCK_INTERVAL_MAX_MS: f32 = 600_000.0;
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Later than the reading before.
    Forward,
    /// A repeat, or out of order.
    Again,
}

/// Takes in a reading that comes as its sensor's readings mostly come: in order, at the usual interval,
/// nothing open, nothing waiting. Says whether it was one; otherwise nothing has changed, and `judge` is to
/// see it. What it does is what `judge` would do, down to the bit; the comments say why the rest is idle.
#[inline(always)]
pub fn usual(parameters: &Parameters, reading: &Reading<'_>, sensor: &mut Sensor) -> bool {
    let step = reading.timestamp.saturating_sub(sensor.last) as f32;
    let interval = sensor.interval_ms;
    let jump = step - interval;
    let is_usual = sensor.seen > 1
        && step > 0.0
        && interval > 0.0
        && sensor.flags == 0
        && !sensor.order.is_open()
        && !sensor.dropout.is_open()
        && !sensor.rate.is_open()
        && jump.abs() <= rate::SAME_INTERVAL * interval
        // Rounds to no clock's step; a reading marked as ahead is no jump without being two intervals late.
        && jump.abs() < 0.49 * clock_unit(parameters);
    if is_usual {
        // Silence begins at two intervals at least (`Parameters::check`), before and after this one is learnt.
        sensor.other_count = 0;
        sensor.interval_ms = interval + jump / 16.0;
        rate::learn_gap(step, sensor);
        sensor.last = reading.timestamp;
    }
    is_usual
}

/// Any reading; `seen` counts it already.
#[cold]
#[inline(never)]
pub fn judge(
    parameters: &Parameters,
    reading: &Reading<'_>,
    sensor: &mut Sensor,
    out: &mut Findings<'_>,
) -> Order {
    if sensor.seen == 1 {
        sensor.last = reading.timestamp;
        return Order::Forward;
    }
    let step = reading.timestamp.saturating_sub(sensor.last) as f32;
    if step == 0.0 {
        // Time has gone on by an interval although the clock has not.
        let before = if sensor.has(JUMPED) || sensor.has(OUT_OF_ORDER) { sensor.jump_ms } else { 0.0 };
        sensor.jump_ms = before - sensor.interval_ms;
        sensor.set(OUT_OF_ORDER, !sensor.has(JUMPED));
        disorder(parameters, REPEATED, step, sensor, out);
        return Order::Again;
    }
    let order = if looks_like_clock(parameters, reading, step, sensor) {
        jumped(parameters, step, sensor, out);
        Order::Forward
    } else if step < 0.0 {
        silence::back(parameters, 0.0, sensor, out);
        drop_jump(parameters, sensor, out);
        disorder(parameters, BACKWARD, step, sensor, out);
        sensor.jump_ms = step - sensor.interval_ms;
        sensor.set(OUT_OF_ORDER, true);
        Order::Again
    } else {
        forward(parameters, reading, step, sensor, out);
        Order::Forward
    };
    sensor.last = reading.timestamp;
    order
}

/// By how much the step is not what this sensor's next one should be.
fn unexpected(step: f32, sensor: &Sensor) -> f32 {
    let off = if sensor.has(OUT_OF_ORDER) { sensor.jump_ms } else { 0.0 };
    step - sensor.interval_ms + off
}

/// A step that differs from the usual one by about a multiple of a half hour, or that the host
/// marked as ahead of everybody else. A gap that a tick has already told is a gap.
fn looks_like_clock(parameters: &Parameters, reading: &Reading<'_>, step: f32, sensor: &Sensor) -> bool {
    let (jump, usual) = (unexpected(step, sensor), sensor.interval_ms);
    if usual <= 0.0 || usual > 2.0 * CLOCK_INTERVAL_MAX_MS {
        return false;
    }
    if reading.is_ahead() && jump > 2.0 * usual {
        return true;
    }
    if jump > 0.0 && (sensor.dropout.is_open() || usual > CLOCK_INTERVAL_MAX_MS) {
        return false;
    }
    let unit = clock_unit(parameters);
    let whole = (jump / unit).round();
    let slack = (1.5 * usual).min(unit / 4.0);
    // Fifteen hours: the farthest that two zones are apart in practice.
    whole != 0.0 && jump.abs() < 15.0 * 3_600_000.0 && (jump - whole * unit).abs() <= slack
}

/// What clocks jump by multiples of, in ms.
fn clock_unit(parameters: &Parameters) -> f32 {
    parameters.clock_step_min * 60_000.0
}

/// The first reading after a jump: the next one decides whether the clock stays there.
fn jumped(parameters: &Parameters, step: f32, sensor: &mut Sensor, out: &mut Findings<'_>) {
    silence::back(parameters, 0.0, sensor, out);
    let jump = unexpected(step, sensor);
    if sensor.has(JUMPED) && (sensor.jump_ms + jump).abs() <= 3.0 * sensor.interval_ms {
        // Out and straight back: one stray timestamp, no shift.
        sensor.set(JUMPED, false);
        sensor.set(OUT_OF_ORDER, true);
        sensor.jump_ms = 0.0;
        disorder(parameters, BACKWARD, -jump.abs(), sensor, out);
        return;
    }
    drop_jump(parameters, sensor, out);
    sensor.jump_ms = jump;
    sensor.set(JUMPED, true);
    sensor.set(OUT_OF_ORDER, false);
}

/// A jump that was not confirmed: backwards it was a timestamp out of order.
fn drop_jump(parameters: &Parameters, sensor: &mut Sensor, out: &mut Findings<'_>) {
    if sensor.has(JUMPED) {
        sensor.set(JUMPED, false);
        if sensor.jump_ms < 0.0 {
            disorder(parameters, BACKWARD, sensor.jump_ms, sensor, out);
        }
    }
}

fn forward(
    parameters: &Parameters,
    reading: &Reading<'_>,
    step: f32,
    sensor: &mut Sensor,
    out: &mut Findings<'_>,
) {
    let confirmed = sensor.has(JUMPED) && step <= 2.5 * sensor.interval_ms;
    if confirmed {
        sensor.set(JUMPED, false);
        shifted(reading, sensor, out);
    } else {
        drop_jump(parameters, sensor, out);
    }
    calm(parameters, sensor, out);
    if sensor.has(OUT_OF_ORDER) {
        sensor.set(OUT_OF_ORDER, false);
        silence::back(parameters, 0.0, sensor, out);
        return;
    }
    lag(parameters, step, sensor, out);
    silence::back(parameters, step, sensor, out);
    rate::learn(parameters, step, sensor, out);
}

/// A sensor that seemed silent and comes at its usual step was not silent: its readings take their time, or
/// its clock is not where it was thought to be. From now on its silence is measured from there.
fn lag(parameters: &Parameters, step: f32, sensor: &mut Sensor, out: &mut Findings<'_>) {
    let Some(limit) = silence::limit_ms(parameters, sensor) else {
        return;
    };
    if step > limit {
        // It has caught up.
        if !sensor.clock.is_open() {
            sensor.clock_ms = (sensor.clock_ms + step - sensor.interval_ms).min(0.0);
        }
    } else if sensor.dropout.is_open() && sensor.clock.is_open() {
        sensor.clock_ms = 0.0;
        out.clear(&mut sensor.clock, || Finding::new(CLOCK).score(0.0).explain("the clock is back"));
    } else if sensor.dropout.is_open() {
        sensor.clock_ms -= limit;
    }
}

/// Two readings in a row agree: the clock stands elsewhere now.
fn shifted(reading: &Reading<'_>, sensor: &mut Sensor, out: &mut Findings<'_>) {
    sensor.clock_ms += sensor.jump_ms;
    let (offset, interval) = (sensor.clock_ms, sensor.interval_ms);
    let since = reading.timestamp.saturating_sub(interval as i64);
    let found =
        |text: String| Finding::new(CLOCK).observed(f64::from(offset / 1000.0)).expected(0.0).explain(text);
    if offset.abs() <= 3.0 * interval {
        sensor.clock_ms = 0.0;
        out.clear(&mut sensor.clock, || found("the clock is back".to_owned()).score(0.0));
    } else {
        let way = if offset > 0.0 { "ahead" } else { "behind" };
        out.raise(&mut sensor.clock, Severity::Warning, || {
            found(format!("the clock jumped and is now {:.0} s {way}", offset.abs() / 1000.0)).since(since)
        });
    }
}
