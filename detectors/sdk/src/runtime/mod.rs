//! A detector at work: everything between the contract's columns and blobs, and the author's `judge`
//! on one reading. Plain Rust: the glue to WebAssembly, the test kit and native runs all drive this.

mod gather;
mod groups;
mod judging;
mod outbox;
mod parameters;
mod saving;
mod table;

use crate::contract::{Descriptor, Quantity, SensorInfo};
use crate::detector::{Detector, Wanted};

use gather::Gather;
use groups::Groups;
pub(crate) use outbox::Outbox;
use saving::Restoring;
use table::{NO_GROUP, Stage, Table};

/// What the detector says of itself.
pub fn descriptor<D: Detector>() -> Descriptor {
    Descriptor {
        name: D::INFO.name.to_owned(),
        version: D::INFO.version.to_owned(),
        state_version: D::INFO.state_version,
        kinds: D::INFO.kinds.iter().map(|kind| (kind.name.to_owned(), kind.description.to_owned())).collect(),
        parameters: parameters::schema::<D::Parameters>().to_string(),
        metadata: vec![("sdk".to_owned(), concat!("rust ", env!("CARGO_PKG_VERSION")).to_owned())],
    }
}

/// One configured detector with the state of its sensors. Calls in the contract's order: `configure`,
/// `set_sensors`, `begin_restore` and `restore` (where there is state), then the rest in any order.
/// After an error of any but these the state is half-way and the runtime is to be thrown away.
pub struct Runtime<D: Detector> {
    detector: D,
    /// Indices of the available quantities that the detector wants, in its order.
    chosen: Vec<u32>,
    /// Names of the detector's quantities, by its own indices, there or not.
    quantities: Vec<String>,
    table: Table<D>,
    groups: Groups<D::Group>,
    outbox: Outbox,
    gather: Gather,
    restoring: Option<Restoring>,
}

impl<D: Detector> Runtime<D> {
    /// Takes the place of the contract's `configure`; `chosen` has the rest of its answer.
    ///
    /// An error says what is wrong with the parameters, by path.
    pub fn configure(parameters: &str, available: &[Quantity]) -> Result<Self, String> {
        let parameters = parameters::parse::<D::Parameters>(parameters)?;
        let position = |name: &str| available.iter().position(|quantity| quantity.name == name);
        // One entry an index of the detector's: where it is among those available.
        let wanted: Vec<(Quantity, Option<usize>)> = match D::INFO.wanted {
            Wanted::Any => available
                .iter()
                .cloned()
                .enumerate()
                .map(|(index, quantity)| (quantity, Some(index)))
                .collect(),
            Wanted::Named(names) => names
                .iter()
                .map(|name| match position(name) {
                    Some(index) => (available[index].clone(), Some(index)),
                    None => (Quantity { name: (*name).to_owned(), unit: None }, None),
                })
                .collect(),
        };
        let (quantities, positions): (Vec<Quantity>, Vec<Option<usize>>) = wanted.into_iter().unzip();
        let chosen: Vec<u32> = positions.iter().flatten().map(|&index| index as u32).collect();
        let mut next = 0..;
        let chosen_of: Vec<Option<u32>> =
            positions.iter().map(|position| position.and_then(|_| next.next())).collect();
        Ok(Runtime {
            detector: D::new(parameters, &quantities)?,
            table: Table::new(quantities.len()),
            groups: Groups::new(),
            gather: Gather::new(&chosen_of),
            outbox: Outbox::new(&D::INFO, chosen_of),
            quantities: quantities.into_iter().map(|quantity| quantity.name).collect(),
            chosen,
            restoring: None,
        })
    }

    /// Indices of the available quantities that the detector wants, in its order.
    pub fn chosen(&self) -> &[u32] {
        &self.chosen
    }

    pub fn detector(&self) -> &D {
        &self.detector
    }

    /// New sensors from `first` on, or changed attributes of known ones, whose state stays.
    pub fn set_sensors(&mut self, first: u32, sensors: &[SensorInfo]) -> Result<(), String> {
        for (index, sensor) in sensors.iter().enumerate() {
            let number = u32::try_from(index).ok().and_then(|index| first.checked_add(index));
            let number = number.ok_or("sensor numbers end at 4294967295")?;
            // An attribute that is there but empty names nothing.
            let group = self.detector.group_of(sensor).filter(|name| !name.is_empty());
            let entry = self.table.entry_for(number);
            if entry.stage == Stage::Unknown {
                entry.stage = Stage::Known;
            }
            entry.facts = self.detector.facts(sensor);
            let (before, seen) = (entry.group, entry.stage == Stage::Seen);
            if self.groups.is_named(before, group.as_deref()) {
                continue;
            }
            let now = group.map_or(NO_GROUP, |name| self.groups.join(&name));
            entry.group = now;
            if seen {
                self.groups.see(now);
            }
            self.groups.leave(before, seen);
        }
        Ok(())
    }

    /// Forgets sensors and their state. Their numbers do not come back.
    pub fn remove_sensors(&mut self, sensors: &[u32]) {
        for &number in sensors {
            if let Ok((entry, _)) = self.table.get(number) {
                self.groups.leave(entry.group, entry.stage == Stage::Seen);
                self.table.forget(number);
            }
        }
    }
}

#[cfg(test)]
mod tests;
