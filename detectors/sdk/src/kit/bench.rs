//! A detector with a small host around it.

use std::collections::BTreeSet;

use crate::contract::{
    Columns, Finding, Phase, Quantity, Saved, SensorInfo, Severity, States, Subject, mark,
};
use crate::detector::{Detector, Timestamp};
use crate::runtime::Runtime;

use super::{Clock, Row};

/// What was found, in words.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// Which of the bench's readings brought it about, counted from 0; none for a tick.
    pub reading: Option<u64>,
    /// Id of the sensor; none if it speaks of a group.
    pub sensor: Option<String>,
    pub group: Option<String>,
    pub kind: &'static str,
    pub quantity: Option<String>,
    pub phase: Phase,
    pub severity: Severity,
    pub timestamp: Timestamp,
    pub since: Option<Timestamp>,
    pub score: f64,
    pub observed: Option<f64>,
    pub expected: Option<f64>,
    pub lower: Option<f64>,
    pub upper: Option<f64>,
    pub explanation: Option<String>,
    pub details: Vec<(String, String)>,
}

/// Ticks, marks, sensors and restarts as the host has them.
pub struct Bench<D: Detector> {
    runtime: Runtime<D>,
    parameters: String,
    quantities: Vec<Quantity>,
    sensors: Vec<SensorInfo>,
    removed: BTreeSet<u32>,
    clock: Clock,
    readings: u64,
    found: Vec<Found>,
    /// Sensors that the detector has been told of.
    announced: usize,
    /// Tell the detector of a sensor only when its first reading comes.
    announce_late: bool,
}

impl<D: Detector> Bench<D> {
    /// The clock has a lateness and a tick of a minute. Panics where the parameters are refused.
    pub fn new(parameters: &str, quantities: &[&str]) -> Self {
        let quantities: Vec<Quantity> =
            quantities.iter().map(|name| Quantity { name: (*name).to_owned(), unit: None }).collect();
        Bench {
            runtime: configured(parameters, &quantities),
            parameters: parameters.to_owned(),
            quantities,
            sensors: Vec::new(),
            removed: BTreeSet::new(),
            clock: Clock::new(60_000, 60_000),
            readings: 0,
            found: Vec::new(),
            announced: 0,
            announce_late: false,
        }
    }

    pub fn with_clock(mut self, lateness_ms: i64, tick_ms: i64) -> Self {
        self.clock = Clock::new(lateness_ms, tick_ms);
        self
    }

    /// A new sensor; its number.
    pub fn sensor(&mut self, id: &str, attributes: &[(&str, &str)]) -> u32 {
        self.sensors.push(sensor_info(id, attributes));
        self.announce();
        self.sensors.len() as u32 - 1
    }

    /// The sensor has other attributes from now on.
    pub fn attributes(&mut self, sensor: u32, attributes: &[(&str, &str)]) {
        let info = sensor_info(&self.sensors[sensor as usize].id, attributes);
        self.sensors[sensor as usize] = info;
        if (sensor as usize) < self.announced {
            self.set(sensor as usize, sensor as usize + 1);
        }
    }

    pub fn remove(&mut self, sensor: u32) {
        self.announce_all();
        self.runtime.remove_sensors(&[sensor]);
        self.clock.forget(sensor);
        self.removed.insert(sensor);
    }

    /// One reading.
    pub fn read(&mut self, sensor: u32, timestamp: Timestamp, values: &[f64]) {
        self.push(&[super::row(sensor, timestamp, values)]);
    }

    /// Readings in one batch, cut only where a tick is due.
    pub fn push(&mut self, rows: &[Row]) {
        self.push_cut(rows, |_| false);
    }

    /// Readings in batches that end before each row of which `cut` says so, and where a tick is due.
    pub fn push_cut(&mut self, rows: &[Row], mut cut: impl FnMut(usize) -> bool) {
        let (mut start, mut marks) = (0, Vec::new());
        for (index, row) in rows.iter().enumerate() {
            if index > start && cut(index) {
                self.observe(&rows[start..index], &marks);
                (start, marks) = (index, Vec::new());
            }
            let (mark, tick) = self.clock.read(row.sensor, row.timestamp, row.ahead);
            marks.push(mark);
            if let Some(watermark) = tick {
                self.observe(&rows[start..=index], &marks);
                (start, marks) = (index + 1, Vec::new());
                self.advance(watermark);
            }
        }
        self.observe(&rows[start..], &marks);
    }

    /// An idle tick, or one by hand.
    pub fn advance(&mut self, watermark: Timestamp) {
        let findings = self.runtime.advance(watermark).expect("advance");
        self.keep(findings, &[]);
    }

    /// What was found since the last call.
    pub fn take(&mut self) -> Vec<Found> {
        std::mem::take(&mut self.found)
    }

    /// Saves, and goes on with a new instance that was given the state.
    pub fn restart(&mut self) {
        self.move_to(self.parameters.clone(), self.quantities.clone());
    }

    /// As `restart`, with other parameters.
    pub fn reconfigure(&mut self, parameters: &str) {
        self.move_to(parameters.to_owned(), self.quantities.clone());
    }

    /// As `restart`, since a quantity has been seen that was not there before; it comes last.
    pub fn add_quantity(&mut self, name: &str) {
        let mut quantities = self.quantities.clone();
        quantities.push(Quantity { name: name.to_owned(), unit: None });
        self.move_to(self.parameters.clone(), quantities);
    }

    /// All that the host would keep: what was saved under, the sensors, their blobs.
    pub fn save(&self) -> (Saved, Vec<u32>, States) {
        let live = self.live();
        let saved = self.runtime.saved(&self.parameters).expect("save-shared");
        let states = self.runtime.save(&live).expect("save");
        (saved, live, states)
    }

    /// Gives the present instance what was saved by one with the same sensors.
    pub fn restore(&mut self, saved: &Saved, sensors: &[u32], states: &States) -> Result<(), String> {
        self.announce_all();
        self.runtime.begin_restore(saved)?;
        self.runtime.restore(sensors, states)
    }

    /// The detector at work, for what the bench does not offer.
    pub fn runtime(&mut self) -> &mut Runtime<D> {
        &mut self.runtime
    }

    /// The same before any reading, but the detector hears of sensors only with their first reading.
    pub(super) fn announced_late(self) -> Self {
        let runtime = configured(&self.parameters, &self.quantities);
        Bench { runtime, announced: 0, announce_late: true, ..self }
    }

    fn live(&self) -> Vec<u32> {
        (0..self.announced as u32).filter(|number| !self.removed.contains(number)).collect()
    }

    fn move_to(&mut self, parameters: String, quantities: Vec<Quantity>) {
        let (saved, live, states) = self.save();
        self.runtime = configured(&parameters, &quantities);
        (self.parameters, self.quantities) = (parameters, quantities);
        for &number in &live {
            self.set(number as usize, number as usize + 1);
        }
        self.runtime.begin_restore(&saved).expect("begin-restore");
        // In two chunks, as the host gives many sensors in several.
        let half = live.len() / 2;
        let half_bytes = if half == 0 { 0 } else { states.ends[half - 1] };
        let (first, second) = states.bytes.split_at(half_bytes as usize);
        let first = States { ends: states.ends[..half].to_vec(), bytes: first.to_vec() };
        let ends = states.ends[half..].iter().map(|end| end - half_bytes).collect();
        let second = States { ends, bytes: second.to_vec() };
        self.runtime.restore(&live[half..], &second).expect("restore");
        self.runtime.restore(&live[..half], &first).expect("restore");
    }

    fn announce(&mut self) {
        if !self.announce_late {
            self.announce_all();
        }
    }

    fn announce_all(&mut self) {
        self.set(self.announced, self.sensors.len());
        self.announced = self.sensors.len();
    }

    fn set(&mut self, start: usize, end: usize) {
        self.runtime.set_sensors(start as u32, &self.sensors[start..end]).expect("set-sensors");
    }

    fn observe(&mut self, rows: &[Row], marks: &[u8]) {
        if rows.is_empty() {
            return;
        }
        let known = rows.iter().map(|row| row.sensor as usize + 1).max().unwrap_or(0);
        if known > self.announced {
            self.set(self.announced, known);
            self.announced = known;
        }
        let count = rows.len();
        let (mut values, mut malformed, mut marks) = (Vec::new(), Vec::new(), marks.to_vec());
        for &chosen in self.runtime.chosen() {
            for (index, row) in rows.iter().enumerate() {
                let value = row.values.get(chosen as usize).copied().unwrap_or(f64::NAN);
                if row.malformed.contains(&(chosen as usize)) {
                    malformed.push(values.len() as u32);
                    marks[index] |= mark::MALFORMED;
                }
                let absent = row.malformed.contains(&(chosen as usize)) || !value.is_finite();
                values.push(if absent { f64::NAN } else { value });
            }
        }
        if marks.iter().all(|&mark| mark == 0) {
            marks.clear();
        }
        let sensors: Vec<u32> = rows.iter().map(|row| row.sensor).collect();
        let timestamps: Vec<Timestamp> = rows.iter().map(|row| row.timestamp).collect();
        let columns = Columns {
            sensors: &sensors,
            timestamps: &timestamps,
            values: &values,
            marks: &marks,
            malformed: &malformed,
        };
        let findings = self.runtime.observe(columns).expect("observe");
        self.keep(findings, &sensors);
        self.readings += count as u64;
    }

    /// `sensors`: of the rows; empty for a tick.
    fn keep(&mut self, findings: Vec<Finding>, sensors: &[u32]) {
        for finding in findings {
            let row = finding.row as usize;
            let name = |number: u32| Some(self.sensors[number as usize].id.clone());
            let (sensor, group) = match finding.subject {
                Subject::Reading => (name(sensors[row]), None),
                Subject::Sensor(number) => (name(number), None),
                Subject::Group(name) => (None, Some(name)),
            };
            let quantity = finding.quantity.map(|chosen| self.runtime.chosen()[chosen as usize]);
            self.found.push(Found {
                reading: (!sensors.is_empty()).then_some(self.readings + row as u64),
                sensor,
                group,
                kind: D::INFO.kinds[finding.kind as usize].name,
                quantity: quantity.map(|index| self.quantities[index as usize].name.clone()),
                phase: finding.phase,
                severity: finding.severity,
                timestamp: finding.timestamp,
                since: finding.since,
                score: finding.score,
                observed: finding.observed,
                expected: finding.expected,
                lower: finding.lower,
                upper: finding.upper,
                explanation: finding.explanation,
                details: finding.details,
            });
        }
    }
}

fn configured<D: Detector>(parameters: &str, quantities: &[Quantity]) -> Runtime<D> {
    match Runtime::configure(parameters, quantities) {
        Ok(runtime) => runtime,
        Err(error) => panic!("configure refused: {error}"),
    }
}

fn sensor_info(id: &str, attributes: &[(&str, &str)]) -> SensorInfo {
    let mut attributes: Vec<(String, String)> =
        attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    attributes.sort();
    SensorInfo { id: id.to_owned(), attributes }
}
