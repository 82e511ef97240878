//! Built-in detector `physics`: quantities of one reading against each other, and the frequency of one
//! sensor against the others of its area.
//!
//! | kind | relation | told when | source |
//! |---|---|---|---|
//! | `power_balance` | P = V·I·PF, three phases summed; S instead of V·I where there is neither V nor I | departs from the sensor's usual disagreement by 1.2 % and 7 standard deviations in a reading, or 0.6 % and 6 in a mean over some ten | physics; accuracy classes of IEC 62053-21 (commonly cited) for the least departures |
//! | `apparent_power` | S² = P² + Q², S = V·I where it is not reported | same | same |
//! | `power_sign` | P and V·I·PF of a load are positive | 2 of 3 readings, unless usual or the role feeds in | physics |
//! | `power_factor_range` | abs(PF) <= 1 | 2 of 3 readings | physics |
//! | `voltage_unbalance` | 100 × max abs(Vi − mean) / mean | above 5 % as a mean over some ten readings; a note from ANSI C84.1's 3 % on is off by default | NEMA MG-1, read at industrialmonitordirect |
//! | `phase_swap` | PF of three phases near its usual | falls by 0.35 in 2 of 3 readings | V·I·cos(φ ± 120°) |
//! | `frequency_apart` | frequency of the area (attribute `area`) | 20 mHz and 8 mean distances from the median of the others in 2 of 3 readings, or twice that in one | one synchronous area has one frequency |
//!
//! Disagreements are relative to V·I plus a hundred steps of current, since rounding dominates at low
//! load. All are warnings.

pub mod area;
pub mod balance;
pub mod facts;
pub mod kinds;
pub mod parameters;
pub mod phases;
mod power;
mod quantities;
pub mod sign;
pub mod state;

use gridwatch_sdk::prelude::*;

use area::Area;
use balance::{Balance, Rules, Verdict};
use facts::Facts;
use parameters::Parameters;
use power::{Power, apparent_finding, balance_finding};
use quantities::*;
use sign::Flag;
use state::Sensor;

pub struct Physics {
    parameters: Parameters,
    rules: Rules,
}

impl Detector for Physics {
    const INFO: Info = Info {
        name: "physics",
        version: env!("CARGO_PKG_VERSION"),
        state_version: 2,
        kinds: kinds::KINDS,
        wanted: Wanted::Named(QUANTITIES),
    };

    type Parameters = Parameters;
    type Facts = Facts;
    type Sensor = Sensor;
    type Cell = ();
    type Group = Area;

    fn new(parameters: Parameters, _quantities: &[Quantity]) -> Result<Self, String> {
        parameters.check()?;
        let rules = Rules::of(&parameters);
        Ok(Physics { parameters, rules })
    }

    fn facts(&self, sensor: &SensorInfo) -> Facts {
        Facts::of(sensor)
    }

    fn group_of(&self, sensor: &SensorInfo) -> Option<String> {
        sensor.attribute("area").map(str::to_owned)
    }

    #[inline(always)]
    fn judge(&self, reading: &Reading<'_>, memory: Memory<'_, Self>, out: &mut Findings<'_>) {
        let p = &self.parameters;
        let Memory { facts, sensor, group, .. } = memory;
        // There are as many as were asked for, finite or NaN.
        let Some(values) = reading.values().first_chunk() else {
            return;
        };
        let power = Power::of(p, values);
        self.judge_power(facts, &power, sensor, out);
        if !(values[VOLTAGE_L1].is_nan()
            || values[VOLTAGE_L1 + 1].is_nan()
            || values[VOLTAGE_L1 + 2].is_nan())
        {
            sensor.phases.get_or_insert_default().judge(p, values, power.volt_amperes, out);
        }
        if let Some(area) = group {
            sensor.apart.judge(p, facts.who, reading, area, out);
        }
    }
}

gridwatch_sdk::export!(Physics);

impl Physics {
    /// What is told stands in functions of its own, and takes the power by value: inlined, or with a reference to it, it
    /// would take the registers of what every reading needs.
    #[inline(always)]
    fn judge_power(&self, facts: &Facts, power: &Power, sensor: &mut Sensor, out: &mut Findings<'_>) {
        if let Some(sides) = power.balance() {
            let balance = sensor.power.get_or_insert_default();
            if let Some(verdict) = balance.see(&self.rules, sides) {
                tell_balance(*power, balance, verdict, out);
            }
        }
        if let Some(sides) = power.hypotenuse() {
            let balance = sensor.apparent.get_or_insert_default();
            if let Some(verdict) = balance.see(&self.rules, sides) {
                tell_apparent(*power, balance, verdict, out);
            }
        }
        if let Some(is_against) = power.is_against()
            && !facts.is_producer
            && sensor.sign.is_worth_a_look(is_against)
        {
            tell_sign(*power, is_against, &mut sensor.sign, out);
        }
        if !power.factor.is_nan() {
            let is_beyond = power.factor.abs() > 1.0 + self.parameters.power_factor_slack;
            if sensor.range.is_worth_a_look(is_beyond) {
                tell_range(power.factor, is_beyond, &mut sensor.range, out);
            }
        }
    }
}

#[cold]
#[inline(never)]
fn tell_balance(power: Power, balance: &mut Balance, verdict: Verdict, out: &mut Findings<'_>) {
    balance.tell(verdict, Severity::Warning, out, |departure| balance_finding(&power, departure));
}

#[cold]
#[inline(never)]
fn tell_apparent(power: Power, balance: &mut Balance, verdict: Verdict, out: &mut Findings<'_>) {
    balance.tell(verdict, Severity::Warning, out, |departure| apparent_finding(&power, departure));
}

#[cold]
#[inline(never)]
fn tell_sign(power: Power, is_against: bool, flag: &mut Flag, out: &mut Findings<'_>) {
    flag.see(is_against, Severity::Warning, out, || {
        let expected = power.expected_power();
        Finding::new(kinds::POWER_SIGN)
            .quantity(POWER)
            .observed(power.power)
            .expected(expected)
            .explain(format!("P = {:.1} W, V·I·PF = {expected:.1} W: not the signs of a load", power.power))
    });
}

#[cold]
#[inline(never)]
fn tell_range(factor: f64, is_beyond: bool, flag: &mut Flag, out: &mut Findings<'_>) {
    flag.see(is_beyond, Severity::Warning, out, || {
        Finding::new(kinds::POWER_FACTOR_RANGE)
            .quantity(POWER_FACTOR)
            .observed(factor)
            .band(-1.0, 1.0)
            .explain(format!("power factor {factor:.3} is beyond ±1"))
    });
}
