//! A native detector that uses every part of the contract: state by sensor and quantity, shared state,
//! groups, episodes, ticks, marks, attributes. Small enough to be right, so that what differs is the engine's.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use gridwatch_core::Timestamp;
use gridwatch_core::batch::{BatchView, Sensor, mark};
use gridwatch_core::finding::{Descriptor, Finding, Kind, Phase, Severity, Subject};
use gridwatch_core::judge::{Call, Fault, GuestLog, Judge, Limits, LogLevel, Module, Saved, States, Traces};
use gridwatch_core::reading::Quantity;
use serde::{Deserialize, Serialize};

/// A value that makes the detector trap.
pub const POISON: f64 = 666.0;
/// The same of all versions but the first.
pub const POISON_OF_NEWER: f64 = 667.0;
/// A value that makes the detector trap at a later tick.
pub const BOMB: f64 = 777.0;
/// Which ticks these are.
const BOMB_TICKS: i64 = 5;
const HIGH: f64 = 100.0;
const SILENCE_MS: i64 = 60_000;

const KINDS: [&str; 5] = ["high", "silent", "disorder", "malformed", "crowd"];

pub struct NativeModule {
    descriptor: Descriptor,
    digest: String,
    /// Only quantities whose names begin so.
    prefix: &'static str,
    /// A later one finds lower values high, and other crowds.
    version: u32,
    /// So many calls of `observe` fail, whatever they are shown.
    pub hiccups: Arc<AtomicU32>,
    pub poison: Arc<Poison>,
    /// So long each batch takes.
    pub batch_ms: u64,
}

/// Of readings that make it trap.
#[derive(Default)]
pub struct Poison {
    /// So long it takes over each.
    pub lasts_ms: AtomicU32,
    /// So many were shown.
    pub shown: AtomicU32,
}

impl NativeModule {
    pub fn new(name: &str, prefix: &'static str) -> Self {
        NativeModule::versioned(name, prefix, 1)
    }

    pub fn versioned(name: &str, prefix: &'static str, version: u32) -> Self {
        let kinds = KINDS.iter().map(|kind| Kind { name: (*kind).into(), description: String::new() });
        let descriptor = Descriptor {
            name: name.into(),
            version: version.to_string(),
            state_version: 1,
            kinds: kinds.collect(),
            parameters: "{}".into(),
            metadata: vec![],
        };
        let digest = format!("sha256:{name}-{version}");
        NativeModule {
            descriptor,
            digest,
            prefix,
            version,
            hiccups: Arc::default(),
            poison: Arc::default(),
            batch_ms: 0,
        }
    }
}

impl Module for NativeModule {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }
    fn digest(&self) -> &str {
        &self.digest
    }
    fn instantiate(&self, _limits: Limits, _log: Arc<dyn GuestLog>) -> Result<Box<dyn Judge>, Fault> {
        let NativeModule { prefix, version, batch_ms, .. } = *self;
        let (hiccups, poison) = (self.hiccups.clone(), self.poison.clone());
        Ok(Box::new(NativeJudge { prefix, version, hiccups, poison, batch_ms, ..NativeJudge::default() }))
    }
}

#[derive(Default)]
struct NativeJudge {
    prefix: &'static str,
    version: u32,
    names: Vec<String>,
    locations: Vec<String>,
    states: BTreeMap<u32, State>,
    shared: BTreeMap<String, u64>,
    hiccups: Arc<AtomicU32>,
    poison: Arc<Poison>,
    batch_ms: u64,
    dead: bool,
}

#[derive(Default, Clone, Serialize, Deserialize)]
struct State {
    last: Timestamp,
    silent_since: Option<Timestamp>,
    /// By quantity's name: start of the episode.
    high: BTreeMap<String, Timestamp>,
    bomb: bool,
}

fn finding(row: u32, subject: Subject, kind: u32, phase: Phase, timestamp: Timestamp) -> Finding {
    Finding {
        row,
        subject,
        timestamp,
        quantity: None,
        kind,
        phase,
        severity: Severity::Warning,
        score: 0.5,
        since: None,
        observed: None,
        expected: None,
        lower: None,
        upper: None,
        explanation: None,
        details: vec![],
    }
}

impl NativeJudge {
    fn judge_row(&mut self, batch: &BatchView<'_>, row: usize, out: &mut Vec<Finding>) -> Result<(), Fault> {
        let (rows, sensor, time) = (batch.sensors.len(), batch.sensors[row], batch.timestamps[row]);
        let at = row as u32;
        let say = |kind, phase| finding(at, Subject::Reading, kind, phase, time);
        let state = self.states.entry(sensor).or_default();
        if let Some(since) = state.silent_since.take() {
            out.push(Finding { since: Some(since), ..say(1, Phase::Cleared) });
        }
        let marks = batch.marks.get(row).copied().unwrap_or(0);
        if marks & (mark::REPEATED | mark::BACKWARD | mark::AHEAD) != 0 {
            out.push(say(2, Phase::Single));
        } else {
            state.last = state.last.max(time);
        }
        for q in 0..self.names.len() {
            let value = batch.values[q * rows + row];
            if value == POISON || (value == POISON_OF_NEWER && self.version > 1) {
                self.dead = true;
                self.poison.shown.fetch_add(1, Ordering::Relaxed);
                let lasts_ms = self.poison.lasts_ms.load(Ordering::Relaxed);
                std::thread::sleep(std::time::Duration::from_millis(u64::from(lasts_ms)));
                return Err(Fault::Trap { call: Call::Observe, what: "poison".into() });
            }
            state.bomb |= value == BOMB;
            if batch.malformed.contains(&((q * rows + row) as u32)) {
                out.push(Finding { quantity: Some(q as u32), ..say(3, Phase::Single) });
            }
            let open = state.high.contains_key(&self.names[q]);
            let high = HIGH - 10.0 * f64::from(self.version - 1);
            if value > high && !open {
                state.high.insert(self.names[q].clone(), time);
                out.push(Finding {
                    quantity: Some(q as u32),
                    observed: Some(value),
                    ..say(0, Phase::Raised)
                });
            } else if value <= high && open {
                let since = state.high.remove(&self.names[q]);
                out.push(Finding { quantity: Some(q as u32), since, ..say(0, Phase::Cleared) });
            }
        }
        let location = self.locations[sensor as usize].clone();
        let count = self.shared.entry(location.clone()).or_default();
        *count += 1;
        if (*count).is_multiple_of(u64::from(8 - self.version)) && !location.is_empty() {
            out.push(finding(at, Subject::Group(location), 4, Phase::Single, time));
        }
        Ok(())
    }
}

fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_allocvec(value).unwrap()
}

impl Judge for NativeJudge {
    fn configure(&mut self, _parameters: &str, available: &[Quantity]) -> Result<Vec<u32>, Fault> {
        let chosen: Vec<u32> = (0..available.len() as u32)
            .filter(|&q| available[q as usize].name.starts_with(self.prefix))
            .collect();
        self.names = chosen.iter().map(|&q| available[q as usize].name.clone()).collect();
        Ok(chosen)
    }
    fn set_sensors(&mut self, first: u32, sensors: &[Sensor]) -> Result<(), Fault> {
        let end = first as usize + sensors.len();
        self.locations.resize(self.locations.len().max(end), String::new());
        for (sensor, location) in sensors.iter().zip(&mut self.locations[first as usize..]) {
            *location = sensor
                .attributes
                .iter()
                .find(|(k, _)| k == "location")
                .map_or(String::new(), |(_, v)| v.clone());
        }
        Ok(())
    }
    fn remove_sensors(&mut self, sensors: &[u32]) -> Result<(), Fault> {
        sensors.iter().for_each(|sensor| drop(self.states.remove(sensor)));
        Ok(())
    }
    fn observe(&mut self, batch: BatchView<'_>) -> Result<Vec<Finding>, Fault> {
        assert!(!self.dead, "a dead judge was called");
        let less = |hiccups: u32| hiccups.checked_sub(1);
        if self.hiccups.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok() {
            self.dead = true;
            return Err(Fault::Deadline { call: Call::Observe, limit_ms: 7 });
        }
        if self.batch_ms > 0 {
            std::thread::sleep(std::time::Duration::from_millis(self.batch_ms));
        }
        let mut out = Vec::new();
        for row in 0..batch.sensors.len() {
            self.judge_row(&batch, row, &mut out)?;
        }
        Ok(out)
    }
    fn advance(&mut self, watermark: Timestamp) -> Result<Vec<Finding>, Fault> {
        assert!(!self.dead, "a dead judge was called");
        let is_tick = (watermark / 10_000) % BOMB_TICKS == 0;
        if is_tick && self.states.values().any(|state| state.bomb) {
            self.dead = true;
            return Err(Fault::Trap { call: Call::Advance, what: "bomb".into() });
        }
        let mut out = Vec::new();
        for (&sensor, state) in &mut self.states {
            if state.silent_since.is_none() && state.last > 0 && watermark - state.last > SILENCE_MS {
                state.silent_since = Some(state.last);
                let said = finding(0, Subject::Sensor(sensor), 1, Phase::Raised, watermark);
                out.push(Finding { since: Some(state.last), ..said });
            }
        }
        Ok(out)
    }
    fn trace(&mut self, _batch: BatchView<'_>) -> Result<Traces, Fault> {
        Ok(Traces::default())
    }
    fn save(&mut self, sensors: &[u32]) -> Result<States, Fault> {
        let mut states = States::default();
        for sensor in sensors {
            if let Some(state) = self.states.get(sensor) {
                states.bytes.extend(encode(state));
            }
            states.ends.push(states.bytes.len() as u32);
        }
        Ok(states)
    }
    fn save_shared(&mut self) -> Result<Vec<u8>, Fault> {
        Ok(encode(&self.shared))
    }
    fn begin_restore(&mut self, saved: &Saved) -> Result<(), Fault> {
        self.shared = postcard::from_bytes(&saved.shared).unwrap();
        Ok(())
    }
    fn restore(&mut self, sensors: &[u32], states: &States) -> Result<(), Fault> {
        let mut start = 0;
        for (&sensor, &end) in sensors.iter().zip(&states.ends) {
            let bytes = &states.bytes[start..end as usize];
            start = end as usize;
            if !bytes.is_empty() {
                self.states.insert(sensor, postcard::from_bytes(bytes).unwrap());
            }
        }
        Ok(())
    }
    fn memory_bytes(&self) -> usize {
        0
    }
}

/// Keeps nothing: the tests here are about findings.
pub struct NoLog;

impl GuestLog for NoLog {
    fn line(&self, _level: LogLevel, _message: &str) {}
    fn dropped(&self, _lines: u64) {}
}
