//! What may be set. The defaults serve sensors from seconds to hours.

use gridwatch_sdk::prelude::*;

/// Parameters of `vitals`; counts are readings of the sensor concerned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Parameters {
    /// Silence is told after this many of the sensor's usual intervals.
    pub silence_intervals: f32,
    /// ... and not before this many times the longest gap that is usual for it.
    pub silence_gaps: f32,
    /// Readings in good order that end an episode of bad timestamps or malformed values.
    pub calm_readings: u8,
    /// Repeated, backward or malformed readings from which on an episode is a warning; before, it is for information.
    pub warning_readings: u8,
    /// Readings of a quantity from which its usual longest run of equal values and its usual magnitude are learnt first.
    pub learn_readings: u16,
    /// Hours after which a single quantity may be called stuck: at night a quantised load stands still for longer than by day.
    pub learn_hours: f32,
    /// Equal values in a row below which nothing is called stuck.
    pub stuck_readings_min: u16,
    /// Stuck is a run this many times longer than the longest seen before.
    pub stuck_runs: f32,
    /// Another reporting rate is an interval this many times longer or shorter than usual.
    pub rate_ratio: f32,
    /// Intervals in a row that must agree before another rate is told.
    pub rate_readings: u8,
    /// Intervals in a row after which the other rate is the usual one.
    pub rate_learn_readings: u8,
    /// A clock shift is a jump by about a multiple of this, in minutes: zones and summer time differ by multiples of a half hour.
    pub clock_step_min: f32,
    /// Readings in a row that must agree before a change of unit is told or ends.
    pub unit_readings: u8,
}

impl Default for Parameters {
    fn default() -> Self {
        Parameters {
            silence_intervals: 5.0,
            silence_gaps: 2.0,
            calm_readings: 10,
            warning_readings: 3,
            learn_readings: 100,
            learn_hours: 24.0,
            stuck_readings_min: 8,
            stuck_runs: 2.0,
            rate_ratio: 1.5,
            rate_readings: 5,
            rate_learn_readings: 60,
            clock_step_min: 30.0,
            unit_readings: 2,
        }
    }
}

impl Parameters {
    /// What the schema cannot say.
    pub fn check(&self) -> Result<(), String> {
        let above = |name: &str, value: f32, least: f32| {
            if value >= least {
                Ok(())
            } else {
                Err(format!("{name} is {value}; it must be at least {least}"))
            }
        };
        above("silence_intervals", self.silence_intervals, 2.0)?;
        above("silence_gaps", self.silence_gaps, 1.0)?;
        above("learn_hours", self.learn_hours, 0.0)?;
        above("stuck_runs", self.stuck_runs, 1.0)?;
        above("rate_ratio", self.rate_ratio, 1.2)?;
        above("clock_step_min", self.clock_step_min, 1.0)?;
        above("stuck_readings_min", f32::from(self.stuck_readings_min), 3.0)?;
        above("calm_readings", f32::from(self.calm_readings), 1.0)?;
        above("rate_readings", f32::from(self.rate_readings), 2.0)?;
        above("unit_readings", f32::from(self.unit_readings), 1.0)
    }
}
