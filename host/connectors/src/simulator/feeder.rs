//! A radial feeder: loads along a line behind a transformer, and the voltage that is left for each.

use super::area::{Area, Calendar};
use super::load::{Customer, Load};
use super::random::{Purpose, Stream};
use super::scenario::Scenario;
use super::sensor::{Gauge, Role, Sensor};

/// Nominal voltage, phase to neutral, V.
pub(super) const VOLTAGE_NOMINAL: f64 = 230.0;

/// Standard deviation of a reading's voltage around its minute's, per unit: flicker that all of a phase see.
const FLICKER: f64 = 0.0012;

/// IEC 60076-7 has top oil some 45 K above the air at rated load, with hours of inertia.
const OIL_RISE_K: f64 = 45.0;
const OIL_MEMORY_S: f64 = 10_800.0;

/// What is true at a meter, before anybody measures it: by phase V, W, var. A single-phase meter's lie
/// at its own phase.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Truth {
    pub volts: [f64; 3],
    pub watts: [f64; 3],
    pub vars: [f64; 3],
    /// °C, at the transformer.
    pub temperature: f64,
}

/// One feeder with its state. Which lane it runs in changes nothing.
#[derive(Debug, Clone)]
pub(super) struct Feeder {
    pub area: u32,
    /// Index of its first sensor in the whole network.
    pub first_sensor: u32,
    pub stream: Stream,
    heads: usize,
    loads: Vec<Load>,
    /// Resistance of the line between a meter and the one before, ohms; reactance is `LINE_X_PER_R` of it.
    segments: Vec<f64>,
    transformer: (f64, f64),
    rated_va: f64,
    oil_keep: f64,
    oil_above: f64,
    level: [f64; 3],
    /// By sensor of the feeder, the transformer's first.
    pub truths: Vec<Truth>,
}

const LINE_X_PER_R: f64 = 0.35;

impl Feeder {
    /// Builds the feeder `number` and the sensors along it. `scenario` is checked.
    pub fn build(scenario: &Scenario, number: u32) -> (Feeder, Vec<Sensor>) {
        let mut stream = Stream::new(scenario.seed, Purpose::Layout(number));
        let heads = usize::from(scenario.feeder_heads);
        let meters = scenario.meters_per_feeder as usize;
        let first_sensor = number * (meters + heads) as u32;
        let area = number / scenario.feeders_per_area;
        let site = Site { scenario, number, area, first_sensor };
        let mut loads = Vec::new();
        let mut sensors = Vec::new();
        for meter in 0..meters {
            // Never by chance none: phase swaps need meters with three phases.
            let due = (meter as f64 + 1.0) * scenario.three_phase_share;
            let three = due.floor() > (meter as f64 * scenario.three_phase_share).floor();
            let before = loads.len();
            let role = site.loads_of(meter, three, &mut loads, &mut stream);
            sensors.push(site.sensor(heads + meter, role, &loads[before..], &mut stream));
        }
        if heads > 0 {
            sensors.insert(0, site.sensor(0, Role::FeederHead, &loads, &mut stream));
        }
        let feeder = site.wire(heads, meters, loads, &mut stream);
        (feeder, sensors)
    }

    /// Moves every load on by a slot and works out the truth at every meter.
    pub fn step(&mut self, area: &Area, calendar: Calendar) {
        let meters = self.segments.len();
        for truth in &mut self.truths {
            *truth = Truth::default();
        }
        let (mut watts, mut vars) = ([0.0; 3], [0.0; 3]);
        for load in &mut self.loads {
            let (p, q) = load.step(area, calendar, &mut self.stream);
            let truth = &mut self.truths[self.heads + load.meter];
            truth.watts[load.phase] += p;
            truth.vars[load.phase] += q;
            watts[load.phase] += p;
            vars[load.phase] += q;
        }
        for phase in 0..3 {
            let flicker = 1.0 + FLICKER * self.stream.normal();
            let supply = VOLTAGE_NOMINAL * area.supply_pu * self.level[phase] * flicker;
            let (r, x) = self.transformer;
            let mut volts = supply - (watts[phase] * r + vars[phase] * x) / VOLTAGE_NOMINAL;
            let head_volts = volts;
            let (mut p, mut q, mut lost) = (watts[phase], vars[phase], 0.0);
            for meter in 0..meters {
                let r = self.segments[meter];
                volts -= r * (p + q * LINE_X_PER_R) / VOLTAGE_NOMINAL;
                lost += r * (p * p + q * q) / (volts * volts);
                let truth = &mut self.truths[self.heads + meter];
                truth.volts[phase] = volts;
                p -= truth.watts[phase];
                q -= truth.vars[phase];
            }
            if self.heads > 0 {
                let head = &mut self.truths[0];
                head.volts[phase] = head_volts;
                head.watts[phase] = watts[phase] + lost;
                head.vars[phase] = vars[phase] + lost * LINE_X_PER_R;
            }
        }
        self.warm(area.outdoor, &watts, &vars);
    }

    fn warm(&mut self, outdoor: f64, watts: &[f64; 3], vars: &[f64; 3]) {
        let (p, q): (f64, f64) = (watts.iter().sum(), vars.iter().sum());
        let burden = (p * p + q * q) / (self.rated_va * self.rated_va);
        let target = 6.0 + OIL_RISE_K * burden;
        self.oil_above = target + (self.oil_above - target) * self.oil_keep;
        if self.heads > 0 {
            self.truths[0].temperature = outdoor + self.oil_above;
        }
    }
}

/// Where a feeder is being built.
struct Site<'a> {
    scenario: &'a Scenario,
    number: u32,
    area: u32,
    first_sensor: u32,
}

impl Site<'_> {
    fn step_s(&self) -> f64 {
        f64::from(self.scenario.interval_ms) / 1000.0
    }

    fn loads_of(&self, meter: usize, three: bool, loads: &mut Vec<Load>, stream: &mut Stream) -> Role {
        let step_s = self.step_s();
        if !three {
            let phase = stream.below(3);
            let commercial = stream.chance(0.12);
            let (customer, scale) = if commercial {
                (Customer::Commercial, stream.between(3_000.0, 9_000.0))
            } else {
                (Customer::Household, stream.between(2_000.0, 7_500.0))
            };
            loads.push(Load::new(meter, phase, customer, scale, step_s, stream));
            return Role::Meter { phase };
        }
        let commercial = stream.chance(0.6);
        let customer = if commercial { Customer::Commercial } else { Customer::Household };
        let total =
            if commercial { stream.between(12_000.0, 36_000.0) } else { stream.between(9_000.0, 18_000.0) };
        // Phases are never loaded evenly: one carries half as much again as another.
        let heavy = stream.below(3);
        for phase in 0..3 {
            let share = match (phase + 3 - heavy) % 3 {
                0 => stream.between(1.15, 1.5),
                1 => stream.between(0.85, 1.1),
                _ => stream.between(0.5, 0.8),
            };
            loads.push(Load::new(meter, phase, customer, total / 3.0 * share, step_s, stream));
        }
        Role::ThreePhaseMeter
    }

    fn sensor(&self, local: usize, role: Role, loads: &[Load], stream: &mut Stream) -> Sensor {
        let index = self.first_sensor + local as u32;
        let mut most = [0.0; 3];
        let mut mean_watts = 0.0;
        for load in loads {
            most[load.phase] += load.most_watts();
            mean_watts += load.mean_watts();
        }
        let most = most.into_iter().fold(0.0, f64::max) / VOLTAGE_NOMINAL;
        let rated = match role {
            // Not everybody draws his most at once.
            Role::FeederHead => (most * 0.8 / 50.0).ceil().max(1.0) * 50.0,
            _ => {
                [25.0, 32.0, 40.0, 63.0, 80.0, 100.0].into_iter().find(|r| *r >= most * 1.2).unwrap_or(160.0)
            }
        };
        let phases = if matches!(role, Role::Meter { .. }) { 1.0 } else { 3.0 };
        Sensor {
            id: match role {
                Role::FeederHead => format!("transformer-{:06}", index),
                _ => format!("meter-{:06}", index),
            },
            feeder: self.number,
            area: self.area,
            role,
            nominal_current: rated,
            usual_current: mean_watts / phases / 0.95 / VOLTAGE_NOMINAL,
            usual_power: mean_watts,
            gauge: Gauge::new(role, self.scenario.interval_ms, stream),
        }
    }

    fn wire(&self, heads: usize, meters: usize, loads: Vec<Load>, stream: &mut Stream) -> Feeder {
        let on_phase = |phase: usize| -> f64 {
            let loads = loads.iter().filter(|load| load.phase == phase);
            loads.map(Load::mean_watts).sum()
        };
        // The phase that carries most decides how the line is laid, or its end would fall out of EN 50160.
        let mean = (0..3).map(on_phase).fold(0.0, f64::max);
        // An evening's load of that phase; the line's end then lacks two to four per cent.
        let evening = 2.2 * mean + 1_000.0;
        let amperes = evening / VOLTAGE_NOMINAL;
        let drop = stream.between(0.02, 0.04) * VOLTAGE_NOMINAL;
        let line = drop / (0.5 * amperes);
        let per_segment = line / meters as f64;
        let segments = (0..meters).map(|_| per_segment * stream.between(0.5, 1.5)).collect();
        let base = stream.between(1.01, 1.025);
        let level = core::array::from_fn(|_| base + stream.between(-0.004, 0.004));
        let oil_keep = libm::exp(-self.step_s() / OIL_MEMORY_S);
        Feeder {
            area: self.area,
            first_sensor: self.first_sensor,
            stream: Stream::new(self.scenario.seed, Purpose::Feeder(self.number)),
            heads,
            loads,
            segments,
            transformer: (0.004 * VOLTAGE_NOMINAL / amperes, 0.012 * VOLTAGE_NOMINAL / amperes),
            rated_va: 3.0 * evening * 1.6,
            oil_keep,
            oil_above: 15.0,
            level,
            truths: vec![Truth::default(); heads + meters],
        }
    }
}
