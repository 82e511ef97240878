//! Silence, noticed as event time goes by without the sensor.

use gridwatch_sdk::detector::Timestamp;
use gridwatch_sdk::prelude::*;

use crate::kinds::DROPOUT;
use crate::parameters::Parameters;
use crate::state::{JUMPED, OUT_OF_ORDER, Sensor};

/// How long a silence must be before it is told, in ms. Before the interval is known there is no such length.
pub fn limit_ms(parameters: &Parameters, sensor: &Sensor) -> Option<f32> {
    (sensor.interval_ms > 0.0).then(|| {
        (parameters.silence_intervals * sensor.interval_ms).max(parameters.silence_gaps * sensor.gap_ms)
    })
}

pub fn advance(parameters: &Parameters, watermark: Timestamp, sensor: &mut Sensor, out: &mut Findings<'_>) {
    if sensor.dropout.is_open() {
        return;
    }
    let Some(limit) = limit_ms(parameters, sensor) else {
        return;
    };
    // A clock that is ahead makes the last reading look younger than it is, one that stands or ran back, older.
    let off = if sensor.has(JUMPED) || sensor.has(OUT_OF_ORDER) { sensor.jump_ms } else { 0.0 };
    let silent = watermark.saturating_sub(sensor.last) as f32 + sensor.clock_ms + off;
    if silent > limit {
        let (since, interval) = (sensor.last, sensor.interval_ms);
        out.raise(&mut sensor.dropout, Severity::Warning, || {
            Finding::new(DROPOUT)
                .since(since)
                .score(f64::from(1.0 - limit / (2.0 * silent)))
                .observed(f64::from(silent / 1000.0))
                .expected(f64::from(interval / 1000.0))
                .explain(format!(
                    "silent for {:.0} s; it usually reports every {:.1} s",
                    silent / 1000.0,
                    interval / 1000.0
                ))
        });
    }
}

/// The sensor is back. A gap that no tick saw is told at its end.
pub fn back(parameters: &Parameters, gap_ms: f32, sensor: &mut Sensor, out: &mut Findings<'_>) {
    let (last, interval) = (sensor.last, sensor.interval_ms);
    let found = || {
        Finding::new(DROPOUT)
            .observed(f64::from(gap_ms / 1000.0))
            .expected(f64::from(interval / 1000.0))
            .explain(format!("back after {:.0} s without a reading", gap_ms / 1000.0))
    };
    if sensor.dropout.is_open() {
        out.clear(&mut sensor.dropout, || found().score(0.0));
    } else if limit_ms(parameters, sensor).is_some_and(|limit| gap_ms > limit) {
        out.single(Severity::Warning, || found().since(last));
    }
}
