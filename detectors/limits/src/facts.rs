//! What the attributes say of a sensor.

use gridwatch_sdk::log;
use gridwatch_sdk::prelude::SensorInfo;

/// Nominal values; NaN where they are not known, so that no comparison with them holds.
#[derive(Debug, Clone, Copy)]
pub struct Facts {
    /// V, as the sensor reads it (phase to neutral or phase to phase).
    pub voltage: f64,
    /// Hz.
    pub frequency: f64,
    /// A.
    pub current: f64,
    pub is_transformer: bool,
}

impl Default for Facts {
    fn default() -> Self {
        Facts { voltage: f64::NAN, frequency: 50.0, current: f64::NAN, is_transformer: false }
    }
}

impl Facts {
    pub fn of(sensor: &SensorInfo) -> Self {
        let number = |name: &str| {
            let text = sensor.attribute(name)?.trim();
            let value = text.parse::<f64>().ok().filter(|value| value.is_finite() && *value > 0.0);
            if value.is_none() {
                // Such as "230 V": its limits would be missed, and nobody would know why.
                let id = &sensor.id;
                log::warn(format!(
                    "{id}: {name} is {text:?}, which is no number above 0: it counts as not given"
                ));
            }
            value
        };
        Facts {
            voltage: number("nominal_voltage").unwrap_or(f64::NAN),
            frequency: number("nominal_frequency").unwrap_or(50.0),
            current: number("nominal_current").unwrap_or(f64::NAN),
            is_transformer: sensor
                .attribute("role")
                .is_some_and(|role| role.eq_ignore_ascii_case("transformer")),
        }
    }
}
