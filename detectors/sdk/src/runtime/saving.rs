//! State out and in, by sensor.

use crate::contract::{Saved, States};
use crate::detector::Detector;
use crate::state::{self, Part, Shared};

use super::Runtime;
use super::table::Stage;

/// Between `begin_restore` and the last `restore`.
pub(super) struct Restoring {
    /// Of the detector's state, if another than the present one.
    older: Option<u32>,
    /// For each quantity saved, its present index; none for those that have gone.
    index_of: Vec<Option<usize>>,
}

impl<D: Detector> Runtime<D> {
    /// One blob a sensor, empty for one without a reading.
    pub fn save(&self, sensors: &[u32]) -> Result<States, String> {
        let mut states = States { ends: Vec::with_capacity(sensors.len()), bytes: Vec::new() };
        let (mut sensor_part, mut cell_part) = (Part::<D::Sensor>::new()?, Part::<D::Cell>::new()?);
        for &number in sensors {
            let (entry, cells) = self.table.get(number)?;
            if entry.stage == Stage::Seen {
                sensor_part.encode(&entry.sensor, &mut states.bytes)?;
                for cell in cells {
                    cell_part.encode(cell, &mut states.bytes)?;
                }
            }
            let end = u32::try_from(states.bytes.len())
                .map_err(|_| "more than 4 GiB of state in one call of save")?;
            states.ends.push(end);
        }
        Ok(states)
    }

    /// The groups' states, and what the cells in sensors' blobs are of.
    pub fn save_shared(&self) -> Result<Vec<u8>, String> {
        let mut groups = Vec::new();
        for group in self.groups.seen() {
            groups.push((group.name.to_string(), state::encode(&group.state)?));
        }
        Shared { quantities: self.quantities.clone(), groups }.to_bytes()
    }

    /// Everything `Saved` needs: state version, names of the chosen quantities, shared part.
    pub fn saved(&self, parameters: &str) -> Result<Saved, String> {
        Ok(Saved {
            state_version: D::INFO.state_version,
            quantities: self.chosen_names(),
            parameters: parameters.to_owned(),
            shared: self.save_shared()?,
        })
    }

    /// Announces what `restore` brings, for sensors already set. Quantities are recognised by name:
    /// new ones start afresh, those that have gone are left out.
    pub fn begin_restore(&mut self, saved: &Saved) -> Result<(), String> {
        let shared = Shared::from_bytes(&saved.shared)?;
        let older = (saved.state_version != D::INFO.state_version).then_some(saved.state_version);
        for (name, bytes) in &shared.groups {
            // A group without a member among the sensors set has nothing to come back to.
            if let Some(group) = self.groups.named(name) {
                group.state = match older {
                    Some(version) if !bytes.is_empty() => D::migrate_group(version, bytes),
                    _ => state::decode(bytes),
                }
                .map_err(|error| format!("group {name:?}: {error}"))?;
            }
        }
        let present = |name: &String| self.quantities.iter().position(|present| present == name);
        self.restoring = Some(Restoring { older, index_of: shared.quantities.iter().map(present).collect() });
        Ok(())
    }

    /// States of sensors already set; an empty blob is a sensor without a reading.
    pub fn restore(&mut self, sensors: &[u32], states: &States) -> Result<(), String> {
        let restoring = self.restoring.as_ref().ok_or("restore comes after begin-restore")?;
        if states.ends.len() != sensors.len() {
            return Err(format!("{} sensors, but {} states", sensors.len(), states.ends.len()));
        }
        let (mut start, mut parts) = (0, Vec::new());
        for (&number, &end) in sensors.iter().zip(&states.ends) {
            let blob = states.bytes.get(start..end as usize).ok_or("states: an end is out of range")?;
            start = end as usize;
            let (entry, cells) = self.table.get_mut(number)?;
            if blob.is_empty() {
                continue;
            }
            let (sensor, restored) = restoring
                .read::<D>(blob, &mut parts)
                .map_err(|error| format!("state of sensor {number}: {error}"))?;
            entry.sensor = sensor;
            for (cell, index) in restored.into_iter().zip(&restoring.index_of) {
                if let Some(index) = index {
                    cells[*index] = cell;
                }
            }
            if entry.stage != Stage::Seen {
                entry.stage = Stage::Seen;
                self.groups.see(entry.group);
            }
        }
        Ok(())
    }

    fn chosen_names(&self) -> Vec<String> {
        self.gather.indices().iter().map(|&index| self.quantities[index].clone()).collect()
    }
}

impl Restoring {
    fn read<'a, D: Detector>(
        &self,
        blob: &'a [u8],
        parts: &mut Vec<&'a [u8]>,
    ) -> Result<(D::Sensor, Vec<D::Cell>), String> {
        state::split(blob, parts)?;
        let saved = self.index_of.len();
        let [sensor, cells @ ..] = parts.as_slice() else {
            return Err("it is empty".into());
        };
        if cells.len() != saved {
            return Err(format!("{} cells where {saved} quantities were saved", cells.len()));
        }
        let (sensor, cells) = match self.older {
            Some(version) => D::migrate(version, sensor, cells)?,
            None => {
                let cells: Result<Vec<D::Cell>, String> =
                    cells.iter().map(|bytes| state::decode(bytes)).collect();
                (state::decode(sensor)?, cells?)
            }
        };
        if cells.len() != saved {
            return Err(format!("the migration gave {} cells of {saved}", cells.len()));
        }
        Ok((sensor, cells))
    }
}
