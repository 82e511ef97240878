//! Three phases: unbalance of their voltages, and phases exchanged at the terminals.

use gridwatch_sdk::prelude::*;

use crate::kinds;
use crate::parameters::Parameters;
use crate::quantities::*;

/// Weight of a reading in the mean of the unbalance.
const WEIGHT: f64 = 0.2;
/// Readings over which the usual voltage and power factor are averaged.
const MEMORY: u8 = 200;
/// What a reading adds to them from then on.
const SHARE: f64 = 1.0 / MEMORY as f64;
/// Below this part of its usual the voltage is not there, and unbalance means nothing.
const LIVE: f64 = 0.5;
/// An unbalance must fall below this part of its limit to end.
const HYSTERESIS: f64 = 0.8;

/// What is remembered of a sensor with three phases; 40 bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Phases {
    /// Mean of the phases in V; 0 before the first.
    usual: f32,
    /// Exponential mean of the unbalance in %.
    unbalance: f32,
    /// Usual |power factor|; 0 before the first.
    factor: f32,
    /// Readings whose power factor was learnt, up to 255.
    learnt: u8,
    /// Latest readings with a fallen power factor, newest lowest.
    fallen: u8,
    unbalanced: Episode,
    swapped: Episode,
}

impl Phases {
    #[inline(never)]
    pub fn judge(&mut self, p: &Parameters, values: &Values, volt_amperes: f64, out: &mut Findings<'_>) {
        let volts = [0, 1, 2].map(|phase| values[VOLTAGE_L1 + phase].abs());
        let mean = (volts[0] + volts[1] + volts[2]) / 3.0;
        if is_number(mean) && mean > 0.0 {
            self.judge_unbalance(p, volts, mean, out);
        }
        self.judge_swap(p, values, volt_amperes, out);
    }

    fn judge_unbalance(&mut self, p: &Parameters, volts: [f64; 3], mean: f64, out: &mut Findings<'_>) {
        let mean = mean.min(1e9);
        let usual = f64::from(self.usual);
        if usual == 0.0 {
            self.usual = mean as f32;
        } else if mean < LIVE * usual {
            self.usual = (usual + SHARE / 50.0 * (mean - usual)) as f32;
            return;
        } else {
            self.usual = (usual + SHARE * (mean - usual)) as f32;
        }
        // NEMA MG-1: largest distance from the mean, in % of the mean.
        let farthest = volts.iter().map(|v| (v - mean).abs()).fold(0.0, |a, b| if b > a { b } else { a });
        let unbalance = f64::from(self.unbalance)
            + WEIGHT * ((100.0 * farthest / mean).min(100.0) - f64::from(self.unbalance));
        self.unbalance = unbalance as f32;
        let is_far = unbalance > p.unbalance_percent
            || p.unbalance_note_percent > 0.0 && unbalance > p.unbalance_note_percent;
        if is_far || self.unbalanced.is_open() {
            self.tell_unbalance(p, volts, unbalance, out);
        }
    }

    #[cold]
    #[inline(never)]
    fn tell_unbalance(&mut self, p: &Parameters, volts: [f64; 3], unbalance: f64, out: &mut Findings<'_>) {
        let is_noted = p.unbalance_note_percent > 0.0;
        let limit =
            if is_noted { p.unbalance_note_percent.min(p.unbalance_percent) } else { p.unbalance_percent };
        let finding = || {
            Finding::new(kinds::VOLTAGE_UNBALANCE)
                .observed(unbalance)
                .band(0.0, limit)
                .score((1.0 - 0.5 * limit / unbalance).clamp(0.0, 1.0))
                .explain(format!(
                    "{unbalance:.1} % between {:.1}, {:.1} and {:.1} V (limit {limit:.0} %)",
                    volts[0], volts[1], volts[2]
                ))
        };
        if unbalance > p.unbalance_percent {
            out.raise(&mut self.unbalanced, Severity::Warning, finding);
        } else if is_noted && unbalance > limit && !self.unbalanced.is_open() {
            out.raise(&mut self.unbalanced, Severity::Info, finding);
        } else if unbalance < HYSTERESIS * limit {
            out.clear(&mut self.unbalanced, finding);
        }
    }

    /// An element with one phase's voltage and another's current measures V·I·cos(φ ± 120°), so that two exchanged
    /// phases take most of the power away while the currents stay: the power factor falls at once.
    fn judge_swap(&mut self, p: &Parameters, values: &Values, volt_amperes: f64, out: &mut Findings<'_>) {
        let factor = (values[POWER] / volt_amperes).abs();
        let shown = if values[POWER_FACTOR].is_nan() { factor } else { values[POWER_FACTOR].abs() };
        if !(is_number(shown) && is_number(factor)) {
            return;
        }
        let usual = f64::from(self.factor);
        // Both must have fallen: a wrong power factor alone, or a wrong power, is a matter of the balance.
        let has_fallen = self.learnt >= 30 && shown.max(factor) < usual - p.phase_swap_drop;
        self.fallen = (self.fallen << 1) | u8::from(has_fallen);
        if self.fallen != 0 || self.swapped.is_open() {
            self.tell_swap(p, values[POWER_FACTOR], shown, out);
        }
        if !has_fallen {
            self.learnt = self.learnt.saturating_add(1);
            let share = if self.learnt < MEMORY { 1.0 / f64::from(self.learnt) } else { SHARE };
            self.factor = (usual + share * (shown.min(1.0) - usual)) as f32;
        }
    }

    #[cold]
    #[inline(never)]
    fn tell_swap(&mut self, p: &Parameters, observed: f64, shown: f64, out: &mut Findings<'_>) {
        let usual = f64::from(self.factor);
        let finding = || {
            Finding::new(kinds::PHASE_SWAP)
                .quantity(POWER_FACTOR)
                .observed(observed)
                .expected(usual)
                .band(usual - p.phase_swap_drop, 1.0)
                .explain(format!(
                    "|power factor| {shown:.3}, usually {usual:.3}: two phases seem to be exchanged"
                ))
        };
        if (self.fallen & 0b111).count_ones() >= 2 {
            out.raise(&mut self.swapped, Severity::Warning, finding);
        } else if self.fallen & 0b1_1111 == 0 {
            out.clear(&mut self.swapped, finding);
        }
    }
}
