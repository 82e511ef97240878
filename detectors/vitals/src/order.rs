//! Timestamps that repeat or run backwards: one episode, whichever and however many.

use gridwatch_sdk::prelude::*;

use crate::kinds::REPEATED;
use crate::parameters::Parameters;
use crate::state::Sensor;

/// A repeated or backward timestamp.
pub fn disorder(
    parameters: &Parameters,
    kind: usize,
    step: f32,
    sensor: &mut Sensor,
    out: &mut Findings<'_>,
) {
    sensor.order_calm = 0;
    sensor.order_count = sensor.order_count.saturating_add(1);
    if !sensor.order.is_open() {
        sensor.order_kind = kind as u8;
    } else if usize::from(sensor.order_kind) != kind {
        // Both at once is one trouble; it keeps the name it began with.
        return;
    }
    let many = sensor.order_count >= parameters.warning_readings;
    let severity = if many { Severity::Warning } else { Severity::Info };
    out.raise(&mut sensor.order, severity, || {
        let text = if kind == REPEATED {
            "the timestamp is that of the reading before".to_owned()
        } else {
            format!("the timestamp is {:.1} s before that of the reading before", -step / 1000.0)
        };
        Finding::new(kind).observed(f64::from(step / 1000.0)).explain(text)
    });
}

pub fn calm(parameters: &Parameters, sensor: &mut Sensor, out: &mut Findings<'_>) {
    if !sensor.order.is_open() {
        return;
    }
    sensor.order_calm = sensor.order_calm.saturating_add(1);
    if sensor.order_calm >= parameters.calm_readings {
        let (kind, rows) = (usize::from(sensor.order_kind), sensor.order_count);
        sensor.order_count = 0;
        out.clear(&mut sensor.order, || {
            Finding::new(kind)
                .score(0.0)
                .explain(format!("timestamps are in order again after {rows} that were not"))
        });
    }
}
