//! A sensor: what it is, how well it measures, how finely it says so, and when it reports.

use gridwatch_core::Timestamp;

use super::feeder::{Truth, VOLTAGE_NOMINAL};
use super::random::{Stream, hashed};
use super::reading::{
    APPARENT_POWER, CURRENT, CURRENT_L1, FREQUENCY, POWER, POWER_FACTOR, QUANTITIES, QuantitySet,
    REACTIVE_POWER, TEMPERATURE, VOLTAGE, VOLTAGE_L1,
};
use super::scenario::Scenario;

/// Noise of one reading, relative to the value (class 0.5 meters do better in the mean), or absolute.
pub(super) const VOLTAGE_NOISE: f64 = 0.001;
pub(super) const CURRENT_NOISE: f64 = 0.0015;
pub(super) const POWER_NOISE: f64 = 0.0015;
const POWER_FACTOR_NOISE: f64 = 0.0007;
/// Hz.
pub(super) const FREQUENCY_NOISE: f64 = 0.001;
/// K.
const TEMPERATURE_NOISE: f64 = 0.1;

/// cos and sin of the third of a turn between phases.
const THIRD_COS: f64 = -0.5;
const THIRD_SIN: f64 = 0.866_025_403_784_438_6;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// One phase (0, 1, 2 for L1, L2, L3).
    Meter {
        phase: usize,
    },
    ThreePhaseMeter,
    /// Three phases and a thermometer at the transformer that feeds the line.
    FeederHead,
}

impl Role {
    pub fn name(self) -> &'static str {
        match self {
            Role::Meter { .. } => "meter",
            Role::ThreePhaseMeter => "three-phase-meter",
            Role::FeederHead => "feeder-head",
        }
    }

    /// As an asset file says it: `L1`, or `L1L2L3`.
    pub fn phases(self) -> &'static str {
        match self {
            Role::Meter { phase } => ["L1", "L2", "L3"][phase.min(2)],
            _ => "L1L2L3",
        }
    }

    pub fn has_three_phases(self) -> bool {
        !matches!(self, Role::Meter { .. })
    }
}

/// One sensor of the network.
#[derive(Debug, Clone)]
pub struct Sensor {
    pub id: String,
    pub feeder: u32,
    pub area: u32,
    pub role: Role,
    /// Rating of the connection, A.
    pub nominal_current: f64,
    /// A week's rough mean, A a phase and W in all: what offsets are measured by.
    pub(super) usual_current: f64,
    pub(super) usual_power: f64,
    pub(super) gauge: Gauge,
}

impl Sensor {
    /// The feeder's name, which readings carry as `location`.
    pub fn location(&self) -> String {
        feeder_name(self.feeder)
    }

    pub fn area_name(&self) -> String {
        format!("area-{:02}", self.area + 1)
    }

    /// When its reading of a slot is taken.
    pub(super) fn taken(&self, scenario: &Scenario, index: u32, slot: u64) -> Timestamp {
        let interval = i64::from(scenario.interval_ms);
        let jitter = match self.gauge.jitter_ms {
            0 => 0,
            most => (2.0 * f64::from(most) * (hashed(scenario.seed, index, slot, 1) - 0.5)) as i64,
        };
        scenario.start + slot as i64 * interval + i64::from(self.gauge.offset_ms) + jitter
    }

    pub(super) fn reported(&self) -> QuantitySet {
        self.gauge.reported
    }
}

pub(super) fn feeder_name(number: u32) -> String {
    format!("feeder-{:02}", number + 1)
}

/// Two phases exchanged at the meter's terminals: its current transformers or its voltage taps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Swap {
    pub currents: bool,
    pub first: usize,
    pub second: usize,
}

/// The measuring device: constant errors, resolution, and what it reports.
#[derive(Debug, Clone)]
pub(super) struct Gauge {
    reported: QuantitySet,
    voltage_gain: f64,
    current_gain: f64,
    power_gain: f64,
    voltage_step: f64,
    current_step: f64,
    /// Where in the interval it reports, and by how much it may miss that.
    offset_ms: u32,
    jitter_ms: u32,
}

impl Gauge {
    pub fn new(role: Role, interval_ms: u32, stream: &mut Stream) -> Self {
        let voltage_gain = 1.0 + stream.between(-0.002, 0.002);
        let current_gain = 1.0 + stream.between(-0.002, 0.002);
        let head = role == Role::FeederHead;
        let full = head || stream.chance(0.35);
        let fine = stream.chance(0.5);
        let jitters = stream.chance(0.5);
        let mut reported: QuantitySet = (1 << POWER) | (1 << FREQUENCY) | (1 << POWER_FACTOR);
        reported |= match role {
            Role::Meter { .. } => (1 << VOLTAGE) | (1 << CURRENT),
            _ => (7 << VOLTAGE_L1) | (7 << CURRENT_L1),
        };
        if full {
            reported |= (1 << REACTIVE_POWER) | (1 << APPARENT_POWER);
        }
        if head {
            reported |= 1 << TEMPERATURE;
        }
        Self {
            reported,
            voltage_gain,
            current_gain,
            // The same transducers measure all three, so that their errors nearly agree.
            power_gain: voltage_gain * current_gain * (1.0 + stream.between(-0.001, 0.001)),
            voltage_step: if fine { 0.01 } else { 0.1 },
            current_step: if head { 0.1 } else { 0.01 },
            offset_ms: (f64::from(interval_ms) * stream.between(0.01, 0.9)) as u32,
            jitter_ms: if jitters { interval_ms / 200 } else { 0 },
        }
    }

    /// What the device makes of the truth, before rounding. Draws as many numbers whatever `swap` is.
    pub fn measure(
        &self,
        role: Role,
        truth: &Truth,
        frequency: f64,
        swap: Option<Swap>,
        stream: &mut Stream,
    ) -> [f64; QUANTITIES.len()] {
        let mut values = [0.0; QUANTITIES.len()];
        let phases = phases_of(truth, swap);
        let (mut watts, mut apparent) = (0.0, 0.0);
        let range = if let Role::Meter { phase } = role { phase..phase + 1 } else { 0..3 };
        for phase in range {
            let Phase { volts, amperes, watts: p } = phases[phase];
            watts += p;
            apparent += volts * amperes;
            let (voltage, current) = match role {
                Role::Meter { .. } => (VOLTAGE, CURRENT),
                _ => (VOLTAGE_L1 + phase, CURRENT_L1 + phase),
            };
            values[voltage] = volts * self.voltage_gain * (1.0 + VOLTAGE_NOISE * stream.normal());
            values[current] = amperes * self.current_gain * (1.0 + CURRENT_NOISE * stream.normal());
        }
        values[POWER] = watts * self.power_gain * (1.0 + POWER_NOISE * stream.normal());
        let factor = watts / apparent;
        values[POWER_FACTOR] = (factor + POWER_FACTOR_NOISE * stream.normal()).clamp(-1.0, 1.0);
        values[FREQUENCY] = frequency + FREQUENCY_NOISE * stream.normal();
        if self.reported & (1 << APPARENT_POWER) != 0 {
            let reactive = libm::sqrt((apparent * apparent - watts * watts).max(0.0));
            values[REACTIVE_POWER] = reactive * self.power_gain * (1.0 + POWER_NOISE * stream.normal());
            values[APPARENT_POWER] = apparent * self.power_gain * (1.0 + POWER_NOISE * stream.normal());
        }
        if self.reported & (1 << TEMPERATURE) != 0 {
            values[TEMPERATURE] = truth.temperature + TEMPERATURE_NOISE * stream.normal();
        }
        values
    }

    /// Rounds every reported quantity to the device's resolution.
    pub fn quantise(&self, values: &mut [f64; QUANTITIES.len()]) {
        for (quantity, value) in values.iter_mut().enumerate() {
            if self.reported & (1 << quantity) != 0 {
                // Dividing by a whole number gives the double nearest to the decimal that JSON shows.
                let per_unit = (1.0 / self.step(quantity)).round();
                // Adding 0 makes a negative zero positive.
                *value = (*value * per_unit).round() / per_unit + 0.0;
            }
        }
    }

    fn step(&self, quantity: usize) -> f64 {
        match quantity {
            CURRENT..POWER => self.current_step,
            VOLTAGE..CURRENT => self.voltage_step,
            FREQUENCY | POWER_FACTOR => 0.001,
            TEMPERATURE => 0.1,
            _ => 1.0,
        }
    }

    /// The constant part of how far P and V·I·PF disagree, relative: what tests allow for.
    #[cfg(test)]
    pub fn power_mismatch(&self) -> f64 {
        self.power_gain / (self.voltage_gain * self.current_gain) - 1.0
    }

    #[cfg(test)]
    pub fn steps(&self) -> (f64, f64) {
        (self.voltage_step, self.current_step)
    }
}

/// What one measuring element of a meter sees.
#[derive(Debug, Clone, Copy)]
struct Phase {
    volts: f64,
    amperes: f64,
    watts: f64,
}

fn phases_of(truth: &Truth, swap: Option<Swap>) -> [Phase; 3] {
    let plain = |phase: usize| {
        let (p, q) = (truth.watts[phase], truth.vars[phase]);
        let volts = if truth.volts[phase] > 0.0 { truth.volts[phase] } else { VOLTAGE_NOMINAL };
        Phase { volts, amperes: libm::sqrt(p * p + q * q) / volts, watts: p }
    };
    let mut phases = [plain(0), plain(1), plain(2)];
    let Some(swap) = swap else { return phases };
    // An element that has one phase's voltage and another's current measures V·I·cos(φ ± 120°), φ
    // being the load's own angle where the current flows.
    for (voltage_of, current_of) in [(swap.first, swap.second), (swap.second, swap.first)] {
        let element = if swap.currents { voltage_of } else { current_of };
        let (from, load) = (plain(voltage_of), plain(current_of));
        let apparent = load.volts * load.amperes;
        let (cos, sin) = (load.watts / apparent, truth.vars[current_of] / apparent);
        // The load's voltage lags the element's by a third of a turn for each step in L1, L2, L3.
        let lag = if (current_of + 3 - voltage_of) % 3 == 1 { THIRD_SIN } else { -THIRD_SIN };
        let shifted = cos * THIRD_COS - sin * lag;
        phases[element] =
            Phase { volts: from.volts, amperes: load.amperes, watts: from.volts * load.amperes * shifted };
    }
    phases
}
