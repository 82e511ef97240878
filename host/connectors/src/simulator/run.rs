//! The simulation itself: slot by slot, all feeders of a lane, merged in the order of arrival.

use std::sync::Arc;

use gridwatch_core::Timestamp;

use super::area::{Area, Calendar};
use super::fault::{Fault, Label};
use super::feeder::{Feeder, VOLTAGE_NOMINAL};
use super::inject::{Fate, Injector};
use super::plan::plan;
use super::random::hashed;
use super::reading::{QUANTITIES, SimReading};
use super::scenario::{After, Scenario, ScenarioError};
use super::sensor::{Sensor, feeder_name};

/// A message is on its way for between these shares of an interval, plus a millisecond.
const LATENCY_LEAST: f64 = 0.0005;
const LATENCY_MOST: f64 = 0.03;

/// A scenario worked out: sensors, faults, truth. Shared by the lanes that simulate it.
#[derive(Debug)]
pub struct World {
    scenario: Scenario,
    sensors: Vec<Sensor>,
    feeder_names: Vec<String>,
    labels: Vec<Label>,
    faults: Vec<Fault>,
}

impl World {
    pub fn new(scenario: Scenario) -> Result<Arc<World>, ScenarioError> {
        scenario.check()?;
        let mut sensors = Vec::with_capacity(scenario.sensors() as usize);
        for number in 0..scenario.feeders() {
            sensors.extend(Feeder::build(&scenario, number).1);
        }
        let (labels, faults) = plan(&scenario, &sensors)?;
        let feeder_names = (0..scenario.feeders()).map(feeder_name).collect();
        Ok(Arc::new(World { scenario, sensors, feeder_names, labels, faults }))
    }

    pub fn scenario(&self) -> &Scenario {
        &self.scenario
    }

    /// Every sensor of the network, by `SimReading::sensor`.
    pub fn sensors(&self) -> &[Sensor] {
        &self.sensors
    }

    /// The truth about every fault, by start.
    pub fn labels(&self) -> &[Label] {
        &self.labels
    }

    /// The asset file that a utility would have: nominal values in V, Hz and A, and each sensor's place.
    pub fn assets_csv(&self) -> String {
        let mut csv = String::from(
            "sensor_id,nominal_voltage,nominal_frequency,nominal_current,feeder,phase,area,role\n",
        );
        for sensor in &self.sensors {
            let fields = [
                sensor.id.as_str(),
                &format!("{VOLTAGE_NOMINAL}"),
                &format!("{}", super::area::FREQUENCY_NOMINAL),
                &format!("{}", sensor.nominal_current),
                &self.feeder_names[sensor.feeder as usize],
                sensor.role.phases(),
                &sensor.area_name(),
                sensor.role.name(),
            ];
            csv.push_str(&fields.join(","));
            csv.push('\n');
        }
        csv
    }

    /// Appends the reading's message as JSON, without a line end.
    pub fn write_json(&self, reading: &SimReading, out: &mut Vec<u8>) {
        let sensor = &self.sensors[reading.sensor as usize];
        reading.write_json(&sensor.id, &self.feeder_names[sensor.feeder as usize], out);
    }
}

impl Scenario {
    /// The truth about every fault, known before any reading.
    pub fn labels(&self) -> Result<Vec<Label>, ScenarioError> {
        World::new(self.clone()).map(|world| world.labels.clone())
    }

    /// See [`World::assets_csv`].
    pub fn assets_csv(&self) -> Result<String, ScenarioError> {
        World::new(self.clone()).map(|world| world.assets_csv())
    }
}

/// Readings in the order of their arrival. Memory is that of the sensors and one reading of each; it
/// does not grow with time.
#[derive(Debug, Clone)]
pub struct Simulation {
    world: Arc<World>,
    /// `None` where no feeder of this lane lies.
    areas: Vec<Option<Area>>,
    feeders: Vec<Feeder>,
    /// By sensor of the lane, in the order of `feeders`.
    injectors: Vec<Option<Box<Injector>>>,
    slot: u64,
    /// Slots to simulate; `None` for no end.
    slots: Option<u64>,
    ready: Vec<SimReading>,
    /// (arrival, index in `ready`), ascending.
    order: Vec<(Timestamp, u32)>,
    at: usize,
}

impl Simulation {
    /// The whole network in one lane, for the scenario's time.
    pub fn new(scenario: Scenario) -> Result<Self, ScenarioError> {
        Self::lane(World::new(scenario)?, 0, 1)
    }

    /// The feeders whose number leaves `lane` when divided by `lanes`: a feeder is never torn apart.
    pub fn lane(world: Arc<World>, lane: u32, lanes: u32) -> Result<Self, ScenarioError> {
        if lane >= lanes {
            return Err(ScenarioError::Lane { lane, lanes });
        }
        let scenario = &world.scenario;
        let mut areas: Vec<Option<Area>> = (0..scenario.areas).map(|_| None).collect();
        let mut feeders = Vec::new();
        let mut injectors = Vec::new();
        let mut by_sensor: std::collections::BTreeMap<u32, Vec<Fault>> = std::collections::BTreeMap::new();
        for fault in &world.faults {
            by_sensor.entry(fault.sensor).or_default().push(fault.clone());
        }
        for number in (0..scenario.feeders()).filter(|number| number % lanes == lane) {
            let (feeder, _) = Feeder::build(scenario, number);
            areas[feeder.area as usize]
                .get_or_insert_with(|| Area::new(scenario.seed, feeder.area, scenario.interval_ms));
            for local in 0..feeder.truths.len() as u32 {
                let faults = by_sensor.remove(&(feeder.first_sensor + local));
                injectors
                    .push(faults.map(|f| Box::new(Injector::new(scenario.seed, scenario.interval_ms, f))));
            }
            feeders.push(feeder);
        }
        let slots = Some(scenario.slots());
        Ok(Self {
            world,
            areas,
            feeders,
            injectors,
            slot: 0,
            slots,
            ready: Vec::new(),
            order: Vec::new(),
            at: 0,
        })
    }

    pub fn then(mut self, after: After) -> Self {
        if after != After::End {
            self.slots = None;
        }
        if after == After::Recurring {
            let period = self.world.scenario.recurrence_slots();
            self.injectors.iter_mut().flatten().for_each(|injector| injector.recur(period));
        }
        self
    }

    pub fn world(&self) -> &Arc<World> {
        &self.world
    }

    pub fn sensors(&self) -> &[Sensor] {
        &self.world.sensors
    }

    pub fn labels(&self) -> &[Label] {
        &self.world.labels
    }

    /// See [`World::write_json`].
    pub fn write_json(&self, reading: &SimReading, out: &mut Vec<u8>) {
        self.world.write_json(reading, out);
    }

    /// Simulates the next slot. A message always arrives within the slot it was taken in, so slots follow
    /// one another without a merge.
    fn fill(&mut self) {
        self.ready.clear();
        self.order.clear();
        self.at = 0;
        let scenario = &self.world.scenario;
        let slot_start = scenario.start + self.slot as i64 * i64::from(scenario.interval_ms);
        let calendar = Calendar::at(slot_start);
        for area in self.areas.iter_mut().flatten() {
            area.step(calendar);
        }
        let mut injectors = self.injectors.iter_mut();
        for feeder in &mut self.feeders {
            let Some(area) = &self.areas[feeder.area as usize] else {
                continue;
            };
            feeder.step(area, calendar);
            for local in 0..feeder.truths.len() {
                let injector = injectors.next().and_then(|i| i.as_deref_mut());
                report(&self.world, feeder, local, area, self.slot, injector, &mut self.ready);
            }
        }
        for (index, reading) in self.ready.iter().enumerate() {
            self.order.push((reading.arrived, index as u32));
        }
        self.order.sort_unstable();
        self.slot += 1;
    }
}

/// Takes one sensor's reading of a slot and appends what is sent: one message, two, or none.
fn report(
    world: &World,
    feeder: &mut Feeder,
    local: usize,
    area: &Area,
    slot: u64,
    mut injector: Option<&mut Injector>,
    ready: &mut Vec<SimReading>,
) {
    let scenario = &world.scenario;
    let index = feeder.first_sensor + local as u32;
    let sensor = &world.sensors[index as usize];
    let taken = sensor.taken(scenario, index, slot);
    let into_slot = taken - scenario.start - slot as i64 * i64::from(scenario.interval_ms);
    let swap = injector.as_deref_mut().and_then(|i| if i.enter(slot) { i.swap(slot) } else { None });
    let mut values = sensor.gauge.measure(
        sensor.role,
        &feeder.truths[local],
        area.frequency(into_slot as f64),
        swap,
        &mut feeder.stream,
    );
    if let Some(injector) = injector.as_deref_mut() {
        injector.bend(slot, &mut values);
    }
    sensor.gauge.quantise(&mut values);
    let latency = f64::from(scenario.interval_ms)
        * (LATENCY_LEAST + (LATENCY_MOST - LATENCY_LEAST) * hashed(scenario.seed, index, slot, 2));
    let mut reading = SimReading {
        sensor: index,
        timestamp: taken,
        taken,
        arrived: taken + 1 + latency as i64,
        slot,
        fault: None,
        present: sensor.reported(),
        values,
    };
    let fate = injector.map_or(Fate::Sent, |i| i.finish(&mut reading));
    if fate == Fate::Lost || hashed(scenario.seed, index, slot, 3) < scenario.lost_share {
        return;
    }
    ready.push(reading);
    if fate == Fate::SentTwice {
        reading.arrived += 1;
        ready.push(reading);
    }
}

impl Iterator for Simulation {
    type Item = SimReading;

    fn next(&mut self) -> Option<SimReading> {
        while self.at == self.order.len() {
            if self.slots.is_some_and(|slots| self.slot >= slots) {
                return None;
            }
            self.fill();
        }
        let (_, index) = self.order[self.at];
        self.at += 1;
        self.ready.get(index as usize).copied()
    }
}

const _: () = assert!(QUANTITIES.len() <= 16, "a QuantitySet has 16 bits");
