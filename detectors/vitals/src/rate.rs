//! The reporting interval: what is usual, and another one where several readings agree on it.

use gridwatch_sdk::prelude::*;

use crate::kinds::RATE;
use crate::parameters::Parameters;
use crate::silence;
use crate::state::Sensor;

/// How far an interval may differ from another and still be called the same: clocks of field devices
/// and queues jitter, and a lost reading doubles an interval.
pub const SAME_INTERVAL: f32 = 0.3;
/// Intervals that must agree before the first one is believed.
const FIRST_INTERVALS: u8 = 3;

/// The usual interval, the longest usual gap, and another rate where several intervals agree on it.
pub fn learn(parameters: &Parameters, step: f32, sensor: &mut Sensor, out: &mut Findings<'_>) {
    let usual = sensor.interval_ms;
    if usual > 0.0 && (step - usual).abs() <= SAME_INTERVAL * usual {
        sensor.other_count = 0;
        sensor.interval_ms += (step - usual) / 16.0;
        out.clear(&mut sensor.rate, || {
            Finding::new(RATE)
                .score(0.0)
                .observed(f64::from(step / 1000.0))
                .explain("back at its usual interval")
        });
    } else {
        other_interval(parameters, step, sensor, out);
    }
    let longest = silence::limit_ms(parameters, sensor).map_or(step, |limit| step.min(limit));
    learn_gap(longest, sensor);
}

/// The longest usual gap grows fast and shrinks slowly.
#[inline(always)]
pub fn learn_gap(longest: f32, sensor: &mut Sensor) {
    if longest > sensor.gap_ms {
        sensor.gap_ms += (longest - sensor.gap_ms) / 2.0;
    } else {
        sensor.gap_ms += (longest - sensor.gap_ms) / 512.0;
    }
}

fn other_interval(parameters: &Parameters, step: f32, sensor: &mut Sensor, out: &mut Findings<'_>) {
    if sensor.other_count > 0 && (step - sensor.other_ms).abs() <= SAME_INTERVAL * sensor.other_ms {
        sensor.other_count = sensor.other_count.saturating_add(1);
    } else {
        sensor.other_count = 1;
        sensor.other_ms = step;
    }
    let (usual, other) = (sensor.interval_ms, sensor.other_ms);
    if usual <= 0.0 {
        if sensor.other_count >= FIRST_INTERVALS {
            sensor.interval_ms = other;
        }
        return;
    }
    if sensor.other_count >= parameters.rate_learn_readings {
        sensor.interval_ms = other;
        sensor.other_count = 0;
        out.clear(&mut sensor.rate, || {
            Finding::new(RATE)
                .score(0.0)
                .observed(f64::from(other / 1000.0))
                .explain("taken as its usual interval from now on")
        });
    } else if sensor.other_count >= parameters.rate_readings
        && (other > usual * parameters.rate_ratio || other * parameters.rate_ratio < usual)
    {
        out.raise(&mut sensor.rate, Severity::Warning, || {
            Finding::new(RATE)
                .observed(f64::from(other / 1000.0))
                .expected(f64::from(usual / 1000.0))
                .explain(format!(
                    "reports every {:.1} s instead of every {:.1} s",
                    other / 1000.0,
                    usual / 1000.0
                ))
        });
    }
}
