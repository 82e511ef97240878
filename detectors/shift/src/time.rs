//! Which readings may be compared with the one before.

use gridwatch_sdk::prelude::*;

use crate::parameters::Parameters;
use crate::state::Sensor;

/// Moves the sensor's time on: whether there was a gap, or nothing for a row that cannot be compared with the
/// one before it: repeated, late, or ahead of everybody's clock. When late rows go on and on it was
/// the latest time that was wrong.
pub fn step(parameters: &Parameters, reading: &Reading<'_>, sensor: &mut Sensor) -> Option<bool> {
    let passed = reading.timestamp.saturating_sub(sensor.last_ms) as f32;
    let first = sensor.interval_ms == 0.0 && sensor.last_ms == 0;
    if !first && passed <= 0.0 {
        sensor.late = sensor.late.saturating_add(1);
        if sensor.late >= LATE_READINGS {
            sensor.last_ms = reading.timestamp;
        }
        return None;
    }
    let gap = passed > parameters.gap_intervals * sensor.interval_ms;
    // The mark alone says little: of a few sensors that report every hour, the first one is always ahead.
    if reading.is_ahead() && gap && sensor.interval_ms > 0.0 {
        return None;
    }
    sensor.last_ms = reading.timestamp;
    sensor.late = 0;
    if first {
        return Some(false);
    }
    if sensor.interval_ms == 0.0 {
        sensor.interval_ms = passed;
        return Some(false);
    }
    // A tenth, so that a real change of rate is followed, and no more than double, so that gaps are not.
    sensor.interval_ms += (passed.min(2.0 * sensor.interval_ms) - sensor.interval_ms) / 10.0;
    Some(gap)
}

/// Late readings in a row after which their time is believed.
const LATE_READINGS: u16 = 120;
