//! The relations of power: P = V·I·PF, S² = P² + Q², signs, |PF| <= 1.

use gridwatch_sdk::prelude::Finding;

use crate::balance::{Departure, Sides};
use crate::kinds;
use crate::parameters::Parameters;
use crate::quantities::*;

/// Steps of current that are added to V·I where a disagreement is taken relative to it.
const STEPS: f64 = 100.0;
/// Apparent powers below this many VA are as good as none.
const APPARENT_MIN: f64 = 1e-6;

/// What one reading says of power; NaN where it does not. Magnitudes, but for `power` and `factor`.
#[derive(Debug, Clone, Copy)]
pub struct Power {
    /// W.
    pub power: f64,
    /// var.
    pub reactive: f64,
    pub factor: f64,
    /// V·I in VA, summed over the phases where there are three; apparent power where there is no V or I.
    pub volt_amperes: f64,
    /// VA as reported, else V·I.
    pub apparent: f64,
    /// The current is negative.
    pub is_reversed: bool,
    /// What disagreements are relative to, in VA.
    scale: f64,
}

impl Power {
    #[inline(always)]
    pub fn of(p: &Parameters, values: &Values) -> Self {
        let (product, volts) = product(values);
        let reported = values[APPARENT_POWER].abs();
        let volt_amperes = if product.is_nan() { reported } else { product.abs() };
        let low = if volts.is_nan() { 0.0 } else { volts.abs() * p.current_step_a * STEPS };
        Power {
            power: values[POWER],
            reactive: values[REACTIVE_POWER],
            factor: values[POWER_FACTOR],
            volt_amperes,
            apparent: if reported.is_nan() { volt_amperes } else { reported },
            is_reversed: product < 0.0,
            scale: low,
        }
    }

    /// P against V·I·PF, signs aside, relative to V·I; `None` where something is missing.
    #[inline(always)]
    pub fn balance(&self) -> Option<Sides> {
        sides(self.power.abs(), self.expected_power().abs(), self.volt_amperes, self.scale)
    }

    pub fn expected_power(&self) -> f64 {
        let sign = if self.is_reversed { -1.0 } else { 1.0 };
        sign * self.volt_amperes * self.factor
    }

    /// S against the hypotenuse of P and Q, relative to S.
    #[inline(always)]
    pub fn hypotenuse(&self) -> Option<Sides> {
        sides(self.apparent, self.expected_apparent(), self.apparent, self.scale)
    }

    pub fn expected_apparent(&self) -> f64 {
        (self.power * self.power + self.reactive * self.reactive).sqrt()
    }

    /// Whether power flows out of what takes it in, or against what power factor and current say; `None` where
    /// there is too little of it to say.
    #[inline(always)]
    pub fn is_against(&self) -> Option<bool> {
        let enough = 0.1 * self.scale;
        if self.power.is_nan() || self.power.abs() <= enough {
            return None;
        }
        let expected = self.expected_power();
        Some(self.power < 0.0 || expected < -enough)
    }
}

#[inline(always)]
fn sides(observed: f64, expected: f64, size: f64, scale: f64) -> Option<Sides> {
    let full = size + scale;
    let is_there = size > APPARENT_MIN && is_number(observed + expected + full);
    is_there.then_some(Sides { observed, expected, full })
}

/// V·I in VA, signed, over three phases where a reading has their currents, and the voltages' sum.
#[inline(always)]
fn product(values: &Values) -> (f64, f64) {
    // A glance at one current spares most sensors the phases.
    if !values[CURRENT_L1].is_nan() {
        let (mut sum, mut volts) = (0.0, 0.0);
        for phase in 0..3 {
            let own = values[VOLTAGE_L1 + phase];
            let voltage = if own.is_nan() { values[VOLTAGE] } else { own };
            sum += voltage * values[CURRENT_L1 + phase];
            volts += voltage;
        }
        if !sum.is_nan() {
            return (sum, volts);
        }
    }
    (values[VOLTAGE] * values[CURRENT], values[VOLTAGE])
}

pub fn balance_finding(power: &Power, departure: Departure) -> Finding {
    let expected = power.expected_power();
    let width = departure.limit * (power.volt_amperes + power.scale);
    let middle = expected.abs() + departure.usual * (power.volt_amperes + power.scale);
    Finding::new(kinds::POWER_BALANCE)
        .quantity(POWER)
        .observed(power.power)
        .expected(expected)
        .band(middle - width, middle + width)
        .explain(explanation("P", power.power, "V·I·PF", expected, "W", departure))
}

pub fn apparent_finding(power: &Power, departure: Departure) -> Finding {
    let expected = power.expected_apparent();
    let width = departure.limit * (power.apparent + power.scale);
    let middle = expected + departure.usual * (power.apparent + power.scale);
    Finding::new(kinds::APPARENT_POWER)
        .quantity(APPARENT_POWER)
        .observed(power.apparent)
        .expected(expected)
        .band(middle - width, middle + width)
        .explain(explanation("S", power.apparent, "√(P²+Q²)", expected, "VA", departure))
}

fn explanation(
    name: &str,
    observed: f64,
    rule: &str,
    expected: f64,
    unit: &str,
    departure: Departure,
) -> String {
    format!(
        "{name} = {observed:.1} {unit}, {rule} = {expected:.1} {unit}: {:+.2} % of full, usually {:+.2} % (±{:.2} %){}",
        100.0 * departure.apart,
        100.0 * departure.usual,
        100.0 * departure.limit,
        if departure.is_lasting { ", lasting" } else { "" }
    )
}
