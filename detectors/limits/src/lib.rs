//! Built-in detector `limits`: readings and their means against the limits that standards set, relative
//! to the nominal values that a sensor's attributes name. It learns nothing.
//!
//! | kind | judged on | limit | severity | source |
//! |---|---|---|---|---|
//! | `interruption` | a reading | < 0.1 of nominal | critical | IEEE 1159, read in 1426-UM001 table 14 |
//! | `sag`, then `undervoltage` after 1 min | readings | < 0.9 of nominal | warning; critical beyond 15 % | same |
//! | `swell`, then `overvoltage` after 1 min | readings | >= 1.1 of nominal | warning; critical beyond 15 % | same |
//! | `voltage_mean` | 10-min mean, windows of the clock | ±10 % | warning; critical beyond 15 % | EN 50160, read in the PowerMonitor 5000 manual |
//! | `voltage_trend` | rate over 10 s, readings at most 2.5 s apart | more than a third of the way to ±10 %, leaves it within 2 min | critical | the limit is EN 50160's, the horizon ours |
//! | `frequency_deviation` | a reading | ±200 mHz; ±800 mHz | warning; critical | ENTSO-E, read in mainsfrequency, DCC 2016/1388 |
//! | `frequency_mean` | 10-s mean | ±1 %; +4/-6 % | warning; critical | EN 50160, read in the PowerMonitor 5000 manual |
//! | `frequency_change` | readings up to 10 s apart | 1 Hz/s over 500 ms | critical | grid codes of GB and IE, read in ENTSO-E's IGD |
//! | `overload` | 10-min mean | nominal current; 1.5 of it | warning; critical | IEC 60076-7 (cyclic), read in Alliander's docs |
//! | `oil_temperature` | a reading, role `transformer` | 105 °C; 115 °C | warning; critical | same |
//! | `power_factor_low` | 10-min mean | off by default | info | none |
//!
//! Means are of contiguous windows aligned to the readings' clock, told when a reading begins the next
//! one; late readings do not change a mean, and readings ahead of the lane's clock are in none.

pub mod facts;
mod frequency;
pub mod kinds;
mod load;
pub mod parameters;
pub mod state;
pub mod trend;
mod voltage;
pub mod window;

use std::cell::Cell;

use gridwatch_sdk::log;
use gridwatch_sdk::prelude::*;

use facts::Facts;
use parameters::Parameters;
use state::Sensor;

const QUANTITIES: &[&str; 11] = &[
    "voltage",
    "voltage_l1",
    "voltage_l2",
    "voltage_l3",
    "current",
    "current_l1",
    "current_l2",
    "current_l3",
    "frequency",
    "temperature",
    "power_factor",
];
const VOLTAGES: std::ops::Range<usize> = 0..4;
const CURRENTS: std::ops::Range<usize> = 4..8;
const FREQUENCY: usize = 8;
const TEMPERATURE: usize = 9;
const POWER_FACTOR: usize = 10;
const COUNT: usize = QUANTITIES.len();

pub struct Limits {
    parameters: Parameters,
    /// Said once, and not for each of a hundred thousand sensors.
    has_told_unjudged: Cell<bool>,
}

impl Detector for Limits {
    const INFO: Info = Info {
        name: "limits",
        version: env!("CARGO_PKG_VERSION"),
        state_version: 1,
        kinds: kinds::KINDS,
        wanted: Wanted::Named(QUANTITIES),
    };

    type Parameters = Parameters;
    type Facts = Facts;
    type Sensor = Sensor;
    type Cell = state::Cell;
    type Group = ();

    fn new(parameters: Parameters, _quantities: &[Quantity]) -> Result<Self, String> {
        parameters.check()?;
        Ok(Limits { parameters, has_told_unjudged: Cell::new(false) })
    }

    fn facts(&self, sensor: &SensorInfo) -> Facts {
        Facts::of(sensor)
    }

    #[inline(always)]
    fn judge(&self, reading: &Reading<'_>, memory: Memory<'_, Self>, out: &mut Findings<'_>) {
        let p = &self.parameters;
        let Memory { facts, sensor, cells, .. } = memory;
        // There are as many as were asked for, finite or NaN. Their number is known, so that no index has to be checked.
        let (Some(values), Some(cells)) =
            (reading.values().first_chunk::<COUNT>(), cells.first_chunk_mut::<COUNT>())
        else {
            return;
        };
        let nominal = facts.voltage;
        if nominal > 0.0 {
            let (mut sum, mut count) = (0.0, 0.0);
            for quantity in VOLTAGES {
                if !values[quantity].is_nan() {
                    let cell = &mut cells[quantity];
                    sum += voltage::judge(p, nominal, quantity, reading, values[quantity], cell, out);
                    count += 1.0;
                }
            }
            if count > 0.0 {
                let mean = if count > 1.0 { sum / count } else { sum };
                trend::judge(p, nominal, mean, reading, sensor, out);
            }
        } else if !self.has_told_unjudged.get() && values[VOLTAGES].iter().any(|value| !value.is_nan()) {
            self.tell_unjudged();
        }
        if !values[FREQUENCY].is_nan() {
            let (nominal, hertz) = (facts.frequency, values[FREQUENCY]);
            let seen = frequency::Seen { p, nominal, quantity: FREQUENCY, hertz };
            frequency::judge(seen, reading, sensor, &mut cells[FREQUENCY], out);
        }
        if facts.current > 0.0 {
            for quantity in CURRENTS {
                if !values[quantity].is_nan() {
                    let (nominal, cell) = (facts.current, &mut cells[quantity]);
                    load::judge_current(p, nominal, quantity, reading, values[quantity], cell, out);
                }
            }
        }
        if facts.is_transformer {
            load::judge_oil(p, TEMPERATURE, values[TEMPERATURE], &mut cells[TEMPERATURE], out);
        }
        if p.power_factor_low > 0.0 && !reading.is_ahead() {
            let (factor, cell) = (values[POWER_FACTOR], &mut cells[POWER_FACTOR]);
            load::judge_power_factor(p, POWER_FACTOR, factor, reading.timestamp, cell, out);
        }
    }
}

impl Limits {
    #[cold]
    #[inline(never)]
    fn tell_unjudged(&self) {
        self.has_told_unjudged.set(true);
        log::warn(
            "a sensor has voltages and no attribute nominal_voltage: voltages of such sensors are not judged (said once)",
        );
    }
}

gridwatch_sdk::export!(Limits);

/// 0.5 at the limit, towards 1 far beyond it.
fn score(deviation: f64, limit: f64) -> f64 {
    (1.0 - 0.5 * limit / deviation.abs()).clamp(0.0, 1.0)
}
