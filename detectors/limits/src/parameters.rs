//! What an operator may set. The defaults are the standards' figures.

use gridwatch_sdk::prelude::*;

/// Limits against nominal values, which come from the sensors' attributes `nominal_voltage` (V, as the
/// sensor reads it), `nominal_frequency` (Hz, 50 where there is none), `nominal_current` (A) and
/// `role` (`transformer`). A quantity whose nominal value is not known has no limit.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Parameters {
    /// Below this part of nominal a voltage is an interruption (IEEE 1159: 0.1).
    pub interruption: f64,
    /// Below this part of nominal a voltage is a sag (IEEE 1159: 0.9).
    pub sag: f64,
    /// From this part of nominal on a voltage is a swell (IEEE 1159: 1.1).
    pub swell: f64,
    /// A sag or swell that lasts longer, in seconds, is an under- or overvoltage (IEEE 1159: 60).
    pub sustained_s: f64,
    /// How far, in parts of nominal, a voltage must come back to end an episode (IEC 61000-4-30, commonly cited: 0.02).
    pub voltage_hysteresis: f64,
    /// Band of 10-minute means, in parts of nominal either side (EN 50160: 0.10).
    pub voltage_mean_band: f64,
    /// Beyond this part of nominal either side a voltage is critical (EN 50160: 0.15, the lower limit for all time).
    pub voltage_critical: f64,
    /// A voltage that will leave `voltage_mean_band` within so many seconds at its present rate is
    /// told of; 0 turns this off. It needs at least four readings a time constant.
    pub trend_horizon_s: f64,
    /// Time constant, in seconds, over which the rate is taken.
    pub trend_time_constant_s: f64,
    /// A trend counts once so much of the band is used up; nearer to nominal there is room for it to end by itself.
    pub trend_band_used: f64,
    /// Slower rates, in parts of nominal a minute, are no trend.
    pub trend_rate_min: f64,
    /// Band of 10-second means of frequency, in parts of nominal either side (EN 50160: 0.01).
    pub frequency_mean_band: f64,
    /// Below this part of nominal a 10-second mean is critical (EN 50160: 0.94).
    pub frequency_low_always: f64,
    /// Above this part of nominal a 10-second mean is critical (EN 50160: 1.04).
    pub frequency_high_always: f64,
    /// Deviation in Hz at which all frequency reserves are in use (ENTSO-E, Continental Europe: 0.2).
    pub frequency_deviation_hz: f64,
    /// Largest transient deviation in Hz that the system is planned for (ENTSO-E, Continental Europe: 0.8).
    pub frequency_deviation_critical_hz: f64,
    /// Rate of change of frequency in Hz/s (grid codes of GB and IE: 1.0).
    pub frequency_rate_hz_per_s: f64,
    /// The window of that rate in seconds (0.5). Readings farther apart show the same change, in Hz, over their own distance.
    pub frequency_rate_window_s: f64,
    /// 10-minute mean of the current, in parts of nominal, above which there is an overload.
    pub load: f64,
    /// The same, critical (IEC 60076-7, cyclic loading below 100 MVA: 1.5).
    pub load_critical: f64,
    /// Top oil in °C (IEC 60076-7, cyclic loading: 105).
    pub oil_c: f64,
    /// Top oil in °C, critical (IEC 60076-7, emergency loading: 115).
    pub oil_critical_c: f64,
    /// 10-minute mean of |power factor| below which to tell of it, as information; 0 turns this off.
    pub power_factor_low: f64,
    /// A mean over a window counts if it holds at least so many readings.
    pub window_samples_min: u16,
}

impl Default for Parameters {
    fn default() -> Self {
        Parameters {
            interruption: 0.1,
            sag: 0.9,
            swell: 1.1,
            sustained_s: 60.0,
            voltage_hysteresis: 0.02,
            voltage_mean_band: 0.10,
            voltage_critical: 0.15,
            trend_horizon_s: 120.0,
            trend_time_constant_s: 10.0,
            trend_band_used: 1.0 / 3.0,
            trend_rate_min: 0.01,
            frequency_mean_band: 0.01,
            frequency_low_always: 0.94,
            frequency_high_always: 1.04,
            frequency_deviation_hz: 0.2,
            frequency_deviation_critical_hz: 0.8,
            frequency_rate_hz_per_s: 1.0,
            frequency_rate_window_s: 0.5,
            load: 1.0,
            load_critical: 1.5,
            oil_c: 105.0,
            oil_critical_c: 115.0,
            power_factor_low: 0.0,
            window_samples_min: 3,
        }
    }
}

impl Parameters {
    /// What does not fit together, in words for the person who set it.
    pub fn check(&self) -> Result<(), String> {
        let ordered = [
            ("interruption < sag < swell", self.interruption < self.sag && self.sag < self.swell),
            ("voltage_mean_band <= voltage_critical", self.voltage_mean_band <= self.voltage_critical),
            (
                "0 < frequency_deviation_hz <= frequency_deviation_critical_hz",
                0.0 < self.frequency_deviation_hz
                    && self.frequency_deviation_hz <= self.frequency_deviation_critical_hz,
            ),
            (
                "frequency_low_always < 1 < frequency_high_always",
                self.frequency_low_always < 1.0 && 1.0 < self.frequency_high_always,
            ),
            ("load <= load_critical", self.load <= self.load_critical),
            ("oil_c <= oil_critical_c", self.oil_c <= self.oil_critical_c),
            ("trend_time_constant_s > 0", self.trend_time_constant_s > 0.0),
            ("trend_rate_min > 0", self.trend_rate_min > 0.0),
            ("frequency_rate_hz_per_s > 0", self.frequency_rate_hz_per_s > 0.0),
            ("frequency_rate_window_s > 0", self.frequency_rate_window_s > 0.0),
            ("window_samples_min >= 1", self.window_samples_min >= 1),
        ];
        match ordered.iter().find(|(_, holds)| !holds) {
            Some((rule, _)) => Err(format!("parameters must satisfy {rule}")),
            None => Ok(()),
        }
    }
}
