//! The sensors of a lane: dense numbers for ids, what is known of each, attributes shared in sets.

use std::hash::BuildHasher;

use hashbrown::HashTable;
use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::batch::{Sensor, mark};

/// A sensor that reports less often is taken to report this often.
const INTERVAL_MS_MAX: u32 = 6 * 3_600_000;

pub type Attributes = Vec<(String, String)>;

/// Numbers sensors in the order of their first reading; never forgets one within a lane's life.
pub struct SensorTable {
    ids: Vec<Box<str>>,
    /// Index into `sets`.
    set_of: Vec<u32>,
    last: Vec<Timestamp>,
    interval_ms: Vec<u32>,
    disorder: Vec<u32>,
    /// Bits: which of the first 32 `[decode] attributes` its readings have given.
    given: Vec<u32>,
    by_id: HashTable<u32>,
    sets: AttributeSets,
    hasher: foldhash::quality::FixedState,
    sensors_max: usize,
}

/// The table without its indices, for a checkpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedSensors {
    pub ids: Vec<Box<str>>,
    pub set_of: Vec<u32>,
    pub last: Vec<Timestamp>,
    pub interval_ms: Vec<u32>,
    pub disorder: Vec<u32>,
    pub given: Vec<u32>,
    pub sets: Vec<Attributes>,
}

/// There are as many sensors as may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the lane has {sensors_max} sensors already ([engine] sensors_max)")]
pub struct TooManySensors {
    pub sensors_max: usize,
}

impl SensorTable {
    pub fn new(sensors_max: usize) -> Self {
        SensorTable {
            ids: Vec::new(),
            set_of: Vec::new(),
            last: Vec::new(),
            interval_ms: Vec::new(),
            disorder: Vec::new(),
            given: Vec::new(),
            by_id: HashTable::new(),
            sets: AttributeSets::default(),
            hasher: foldhash::quality::FixedState::with_seed(0),
            sensors_max,
        }
    }

    pub fn len(&self) -> usize {
        self.ids.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    pub fn id(&self, sensor: u32) -> &str {
        &self.ids[sensor as usize]
    }

    /// Of its latest reading; `None` where none of them counted as such.
    pub fn last_time(&self, sensor: u32) -> Option<Timestamp> {
        Some(self.last[sensor as usize]).filter(|last| *last != Timestamp::MIN)
    }

    pub fn attributes(&self, sensor: u32) -> &Attributes {
        self.sets.get(self.set_of[sensor as usize])
    }

    /// The sensor as detectors are told of it.
    pub fn sensor(&self, sensor: u32) -> Sensor {
        Sensor { id: self.id(sensor).to_owned(), attributes: self.attributes(sensor).clone() }
    }

    pub fn find(&self, id: &str) -> Option<u32> {
        let hash = self.hasher.hash_one(id);
        self.by_id.find(hash, |&n| &*self.ids[n as usize] == id).copied()
    }

    /// Gives a new sensor its number. The caller has looked with `find` first.
    pub fn add(&mut self, id: &str, attributes: Attributes) -> Result<u32, TooManySensors> {
        if self.ids.len() >= self.sensors_max {
            return Err(TooManySensors { sensors_max: self.sensors_max });
        }
        let sensor = self.ids.len() as u32;
        self.ids.push(id.into());
        self.set_of.push(self.sets.take(attributes));
        self.last.push(Timestamp::MIN);
        self.interval_ms.push(0);
        self.disorder.push(0);
        self.given.push(0);
        self.index(sensor);
        Ok(sensor)
    }

    pub fn set_attributes(&mut self, sensor: u32, attributes: Attributes) {
        self.sets.release(self.set_of[sensor as usize]);
        self.set_of[sensor as usize] = self.sets.take(attributes);
    }

    /// Notes a reading's time; answers the marks that follow from the sensor's latest one. A reading
    /// `ahead` of the lane's clock does not count as the latest, or all right ones after it would
    /// seem to run backwards.
    pub fn note_time(&mut self, sensor: u32, timestamp: Timestamp, ahead: bool) -> u8 {
        let last = &mut self.last[sensor as usize];
        let marks = match timestamp.cmp(last) {
            std::cmp::Ordering::Less => mark::BACKWARD,
            std::cmp::Ordering::Equal => mark::REPEATED,
            std::cmp::Ordering::Greater => 0,
        };
        if ahead {
            // Several may claim one time; each is an occasion of its own.
            self.disorder[sensor as usize] = self.disorder[sensor as usize].wrapping_add(1);
            return marks | mark::AHEAD;
        }
        if marks == 0 && *last != Timestamp::MIN {
            let interval = timestamp.abs_diff(*last).min(u64::from(INTERVAL_MS_MAX));
            self.interval_ms[sensor as usize] = interval as u32;
        }
        *last = (*last).max(timestamp);
        if marks != 0 {
            self.disorder[sensor as usize] = self.disorder[sensor as usize].wrapping_add(1);
        }
        marks
    }

    /// Notes that a reading gave attributes, by index.
    pub fn note_given(&mut self, sensor: u32, attributes: impl Iterator<Item = u16>) {
        for attribute in attributes.filter(|&attribute| attribute < 32) {
            self.given[sensor as usize] |= 1 << attribute;
        }
    }

    /// Whether the sensor has an attribute from its readings, and not only from the assets.
    pub fn is_given(&self, sensor: u32, attribute: u16) -> bool {
        attribute >= 32 || self.given[sensor as usize] & (1 << attribute) != 0
    }

    /// Milliseconds between the sensor's last two readings in order, at most 6 h; 0 before the second.
    pub fn interval_ms(&self, sensor: u32) -> i64 {
        i64::from(self.interval_ms[sensor as usize])
    }

    /// How many readings of the sensor were out of order so far: tells two readings of the same time
    /// apart in anomaly ids.
    pub fn disorder(&self, sensor: u32) -> u32 {
        self.disorder[sensor as usize]
    }

    pub fn save(&self) -> SavedSensors {
        let (sets, set_of) = self.sets.compacted(&self.set_of);
        SavedSensors {
            ids: self.ids.clone(),
            set_of,
            last: self.last.clone(),
            interval_ms: self.interval_ms.clone(),
            disorder: self.disorder.clone(),
            given: self.given.clone(),
            sets,
        }
    }

    /// The inverse of `save`; None if the parts do not fit together.
    pub fn restore(saved: SavedSensors, sensors_max: usize) -> Option<Self> {
        let n = saved.ids.len();
        let sets = saved.sets.len();
        if saved.set_of.len() != n
            || saved.last.len() != n
            || saved.interval_ms.len() != n
            || saved.disorder.len() != n
            || saved.given.len() != n
            || saved.set_of.iter().any(|&set| set as usize >= sets)
        {
            return None;
        }
        let mut table = SensorTable::new(sensors_max);
        for &set in &saved.set_of {
            // Equal sets become one again.
            let set = table.sets.take(saved.sets[set as usize].clone());
            table.set_of.push(set);
        }
        table.ids = saved.ids;
        table.last = saved.last;
        table.interval_ms = saved.interval_ms;
        table.disorder = saved.disorder;
        table.given = saved.given;
        for sensor in 0..n as u32 {
            table.index(sensor);
        }
        Some(table)
    }

    fn index(&mut self, sensor: u32) {
        let (ids, hasher) = (&self.ids, &self.hasher);
        let hash = hasher.hash_one(&*ids[sensor as usize]);
        self.by_id.insert_unique(hash, sensor, |&n| hasher.hash_one(&*ids[n as usize]));
    }
}

/// Sets of attributes, each stored once however many sensors share it.
#[derive(Default)]
struct AttributeSets {
    sets: Vec<(Attributes, u32)>,
    free: Vec<u32>,
    by_content: hashbrown::HashMap<Attributes, u32, foldhash::quality::FixedState>,
}

impl AttributeSets {
    fn get(&self, set: u32) -> &Attributes {
        &self.sets[set as usize].0
    }

    fn take(&mut self, attributes: Attributes) -> u32 {
        if let Some(&set) = self.by_content.get(&attributes) {
            self.sets[set as usize].1 += 1;
            return set;
        }
        let set = match self.free.pop() {
            Some(set) => {
                self.sets[set as usize] = (attributes.clone(), 1);
                set
            }
            None => {
                self.sets.push((attributes.clone(), 1));
                (self.sets.len() - 1) as u32
            }
        };
        self.by_content.insert(attributes, set);
        set
    }

    fn release(&mut self, set: u32) {
        let (attributes, users) = &mut self.sets[set as usize];
        *users -= 1;
        if *users == 0 {
            self.by_content.remove(attributes);
            attributes.clear();
            self.free.push(set);
        }
    }

    /// The sets in use, in the order of the first sensor that has each, and the sensors' indices into
    /// them: so that equal tables save to equal bytes, whatever came before.
    fn compacted(&self, set_of: &[u32]) -> (Vec<Attributes>, Vec<u32>) {
        let mut new_of_old = vec![u32::MAX; self.sets.len()];
        let mut sets = Vec::new();
        let set_of = set_of
            .iter()
            .map(|&old| {
                let new = &mut new_of_old[old as usize];
                if *new == u32::MAX {
                    *new = sets.len() as u32;
                    sets.push(self.get(old).clone());
                }
                *new
            })
            .collect();
        (sets, set_of)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn attributes(location: &str) -> Attributes {
        vec![("location".into(), location.into())]
    }

    #[test]
    fn numbers_are_dense_and_bounded() {
        let mut table = SensorTable::new(2);
        assert_eq!(table.add("a", attributes("x")), Ok(0));
        assert_eq!(table.add("b", attributes("x")), Ok(1));
        assert_eq!(table.add("c", attributes("x")), Err(TooManySensors { sensors_max: 2 }));
        assert_eq!(table.find("b"), Some(1));
        assert_eq!(table.find("c"), None);
    }

    #[test]
    fn times_are_marked_per_sensor() {
        let mut table = SensorTable::new(2);
        table.add("a", vec![]).unwrap();
        assert_eq!(table.note_time(0, 10, false), 0);
        assert_eq!(table.note_time(0, 10, false), mark::REPEATED);
        assert_eq!(table.note_time(0, 9, false), mark::BACKWARD);
        assert_eq!(table.note_time(0, 99, true), mark::AHEAD);
        assert_eq!(table.note_time(0, 11, false), 0);
        assert_eq!(table.disorder(0), 3);
    }

    #[test]
    fn saving_forgets_sets_that_nobody_has() {
        let mut table = SensorTable::new(10);
        table.add("a", attributes("x")).unwrap();
        table.add("b", attributes("y")).unwrap();
        table.set_attributes(0, attributes("z"));
        let saved = table.save();
        assert_eq!(saved.sets, [attributes("z"), attributes("y")]);
        let restored = SensorTable::restore(saved.clone(), 10).unwrap();
        assert_eq!(restored.save(), saved);
        assert_eq!(restored.find("b"), Some(1));
        assert_eq!(restored.attributes(0), &attributes("z"));
    }
}
