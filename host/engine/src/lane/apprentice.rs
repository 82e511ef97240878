//! A detector that is to take a seat: it begins with what the one in the seat knows, and lives in silence what the
//! lane has lived since, so that it can be done on another thread while the lane goes on.

use std::sync::Arc;

use gridwatch_core::Timestamp;
use gridwatch_core::anomaly::EpisodeKey;
use gridwatch_core::checkpoint::DetectorState;
use gridwatch_core::judge::{Call, Fault};
use gridwatch_core::reading::Quantity;
use gridwatch_core::sensors::{Attributes, SavedSensors, SensorTable};
use gridwatch_core::shared::Shared;

use super::builder::Builder;
use super::episodes::{Moment, Turned};
use super::seat::Seat;
use crate::deployment::Deployment;

/// What a lane has lived, as those who sit in it did.
pub enum Event {
    /// There are more of them now.
    Quantities(Vec<Quantity>),
    /// It gets the next number.
    Sensor(String, Attributes),
    Attributes(u32, Attributes),
    Batch(Builder),
    Advance(Timestamp),
    /// Episodes that the one in the seat has opened or closed meanwhile.
    Turned(Turned),
}

impl Event {
    /// A sensor that is new to the lane.
    pub(super) fn of_sensor(sensors: &SensorTable, sensor: u32) -> Event {
        Event::Sensor(sensors.id(sensor).to_owned(), sensors.attributes(sensor).clone())
    }

    pub fn rows(&self) -> u64 {
        match self {
            Event::Batch(batch) => batch.rows() as u64,
            _ => 0,
        }
    }

    /// About what it takes to keep it.
    pub fn bytes(&self) -> usize {
        let attributes_bytes = |attributes: &Attributes| {
            attributes
                .iter()
                .map(|(name, value)| name.len() + value.len() + 2 * size_of::<String>())
                .sum::<usize>()
        };
        let more = match self {
            Event::Quantities(quantities) => quantities.iter().map(|quantity| quantity.name.len()).sum(),
            Event::Sensor(id, attributes) => id.len() + attributes_bytes(attributes),
            Event::Attributes(_, attributes) => attributes_bytes(attributes),
            Event::Batch(batch) => batch.bytes(),
            Event::Advance(_) => 0,
            Event::Turned(turned) => turned.len() * size_of::<EpisodeKey>(),
        };
        size_of::<Event>() + more
    }
}

/// Where an apprentice begins.
pub struct Base {
    pub(super) quantities: Vec<Quantity>,
    pub(super) sensors: Shared<SavedSensors>,
    pub(super) sensors_max: usize,
    /// None: nobody sits there, or has left anything.
    pub(super) state: Option<DetectorState>,
    /// When the one in the seat had open what is open in that state.
    pub(super) episodes_since: Option<Moment>,
    /// The last tick.
    pub(super) time: Option<Timestamp>,
}

pub struct Apprentice {
    seat: Seat,
    quantities: Vec<Quantity>,
    sensors: SensorTable,
    time: Option<Timestamp>,
}

impl Apprentice {
    pub fn new(deployment: Arc<Deployment>, base: Base) -> Result<Self, Fault> {
        let Base { quantities, sensors, sensors_max, state, episodes_since, time } = base;
        let sensors = SensorTable::restore(sensors.into_inner(), sensors_max).ok_or_else(|| Fault::Host {
            call: Call::SetSensors,
            what: "the lane's table of sensors is torn".to_owned(),
        })?;
        let mut seat = Seat::candidate(deployment, &quantities, &sensors, state, time)?;
        // One that had to begin cold has none of them open.
        if let Some(since) = episodes_since.filter(|_| seat.orphans.is_empty()) {
            seat.episodes.same_since(since);
        }
        Ok(Apprentice { seat, quantities, sensors, time })
    }

    /// What comes next on the lane's tape.
    pub fn live(&mut self, event: Event) -> Result<(), Fault> {
        let Apprentice { seat, quantities, sensors, time } = self;
        match event {
            Event::Quantities(more) => {
                *quantities = more;
                seat.requantify(quantities, sensors, *time)
            }
            Event::Sensor(id, attributes) => {
                // The lane refuses one too many by itself, and its reading with it.
                let _ = sensors.add(&id, attributes);
                Ok(())
            }
            Event::Attributes(sensor, attributes) => {
                sensors.set_attributes(sensor, attributes);
                seat.change(sensors, sensor)
            }
            Event::Batch(batch) => seat.observe_silently(&batch, None, sensors, quantities).map(drop),
            Event::Advance(watermark) => {
                *time = Some(watermark);
                seat.advance_silently(watermark, sensors, quantities).map(drop)
            }
            Event::Turned(turned) => {
                seat.episodes.learn(turned);
                Ok(())
            }
        }
    }

    /// And the table of sensors, which it had of its own.
    pub(super) fn into_seat(self) -> (Seat, SensorTable) {
        (self.seat, self.sensors)
    }
}
