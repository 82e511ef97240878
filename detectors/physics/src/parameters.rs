//! What an operator may set.

use gridwatch_sdk::prelude::*;

/// How far quantities that belong together may disagree.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Parameters {
    /// Least disagreement of power, relative to V·I, that one reading is told for: beyond what class 1
    /// meters (IEC 62053-21) differ by in one reading. A sensor that is noisier needs `reading_deviations`.
    pub reading_min: f64,
    /// The same in standard deviations of the sensor's usual disagreement.
    pub reading_deviations: f64,
    /// Least lasting change of disagreement, relative to V·I, as an exponential mean over some ten readings.
    pub lasting_min: f64,
    /// The same in standard deviations of that mean.
    pub lasting_deviations: f64,
    /// Step of current readings in A. A hundred such steps at the present voltage are added to V·I when
    /// disagreement is taken relative to it, so that rounding at low load is not seen as an error.
    pub current_step_a: f64,
    /// Readings from which a sensor's usual disagreement is learnt before any is told of.
    pub learning_readings: u16,
    /// Readings over which the usual disagreement is averaged thereafter.
    pub memory_readings: u16,
    /// An episode that lasts for so many readings is taken as the sensor's new usual.
    pub accept_readings: u16,
    /// |Power factor| above 1 by more than this is told of (rounding).
    pub power_factor_slack: f64,
    /// Unbalance of phase voltages in %, as an exponential mean over some ten readings, that is a warning
    /// (NEMA MG-1, commonly cited: motors must not run above 5).
    pub unbalance_percent: f64,
    /// The same, told as information; 0 turns this off. (ANSI C84.1, commonly cited: 3 without load, which single-phase
    /// customers on a long line exceed every evening.)
    pub unbalance_note_percent: f64,
    /// Fall of |power factor| below its usual that shows exchanged phases on a three-phase sensor.
    pub phase_swap_drop: f64,
    /// Distance in Hz from the other sensors of the area (attribute `area`) beyond which a sensor is broken.
    pub frequency_apart_hz: f64,
    /// The same in mean distances of the area's sensors from each other.
    pub frequency_apart_spreads: f64,
}

impl Default for Parameters {
    fn default() -> Self {
        Parameters {
            reading_min: 0.012,
            reading_deviations: 7.0,
            lasting_min: 0.006,
            lasting_deviations: 6.0,
            current_step_a: 0.01,
            learning_readings: 30,
            memory_readings: 1440,
            accept_readings: 2880,
            power_factor_slack: 0.005,
            unbalance_percent: 5.0,
            unbalance_note_percent: 0.0,
            phase_swap_drop: 0.35,
            frequency_apart_hz: 0.02,
            frequency_apart_spreads: 8.0,
        }
    }
}

impl Parameters {
    /// What does not fit together, in words for the person who set it.
    pub fn check(&self) -> Result<(), String> {
        let positive = [
            ("reading_min", self.reading_min),
            ("reading_deviations", self.reading_deviations),
            ("lasting_min", self.lasting_min),
            ("lasting_deviations", self.lasting_deviations),
            ("current_step_a", self.current_step_a),
            ("unbalance_percent", self.unbalance_percent),
            ("phase_swap_drop", self.phase_swap_drop),
            ("frequency_apart_hz", self.frequency_apart_hz),
            ("frequency_apart_spreads", self.frequency_apart_spreads),
        ];
        if let Some((name, _)) = positive.iter().find(|(_, value)| value.is_nan() || *value <= 0.0) {
            return Err(format!("`{name}` must be above 0"));
        }
        if self.learning_readings == 0 || self.memory_readings < self.learning_readings {
            return Err("`memory_readings` must be at least `learning_readings`, and that at least 1".into());
        }
        if self.accept_readings == 0 {
            return Err("`accept_readings` must be at least 1".into());
        }
        Ok(())
    }
}
