//! A simulation once more: the same scenario gives the same readings.

use std::sync::Arc;

use gridwatch_core::record::{Feed, Past, Position, SourceError};

use super::feed::{Pace, SimulatorFeed};
use super::run::World;
use super::scenario::After;

/// All that a scenario's lanes have given.
pub struct SimulatorPast {
    world: Arc<World>,
    lanes: u32,
    after: After,
}

impl SimulatorPast {
    /// As the feeds are made.
    pub fn new(world: Arc<World>, lanes: u32, after: After) -> Self {
        SimulatorPast { world, lanes, after }
    }
}

impl Past for SimulatorPast {
    /// Lanes are told by the number that their name ends in.
    fn open(&self, lane: &str, position: Position) -> Result<Box<dyn Feed>, SourceError> {
        let failed = |what: String| SourceError::Read { place: "simulator".into(), what };
        let number = lane.rsplit('-').next().and_then(|number| number.parse().ok());
        let number = number.ok_or_else(|| failed(format!("lane {lane} has no number")))?;
        let feed = SimulatorFeed::new(self.world.clone(), number, self.lanes, self.after, Pace::Free);
        let mut feed = feed.map_err(|error| failed(error.to_string()))?;
        feed.seek(position)?;
        Ok(Box::new(feed))
    }
}
