//! Is the sensor itself well? Faults of telemetry, as opposed to faults of the grid: silence, stuck
//! values, timestamps that repeat or run backwards, clocks that are an hour off, values that are no
//! numbers, another reporting rate, another unit.
//!
//! Nothing here knows a second or a volt: every limit is a multiple of what the sensor itself has
//! shown (its reporting interval, its longest usual run of equal values, its usual magnitude).

mod kinds;
mod parameters;
mod silence;
mod state;
mod stuck;
mod timing;
mod units;
mod wellformed;

use gridwatch_sdk::detector::Timestamp;
use gridwatch_sdk::prelude::*;

pub use kinds::KINDS;
pub use parameters::Parameters;
pub use state::{Cell, Sensor};

use timing::Order;

pub struct Vitals {
    parameters: Parameters,
}

impl Detector for Vitals {
    const INFO: Info = Info {
        name: "vitals",
        version: env!("CARGO_PKG_VERSION"),
        state_version: 1,
        kinds: &KINDS,
        wanted: Wanted::Any,
    };
    const ADVANCES: bool = true;

    type Parameters = Parameters;
    type Facts = ();
    type Sensor = Sensor;
    type Cell = Cell;
    type Group = ();

    fn new(parameters: Parameters, _quantities: &[Quantity]) -> Result<Self, String> {
        parameters.check()?;
        Ok(Vitals { parameters })
    }

    fn judge(&self, reading: &Reading<'_>, memory: Memory<'_, Self>, out: &mut Findings<'_>) {
        let Memory { sensor, cells, .. } = memory;
        wellformed::judge(&self.parameters, reading, sensor, out);
        let order = timing::judge(&self.parameters, reading, sensor, out);
        // A row that was sent again says nothing new about values.
        if order == Order::Forward {
            stuck::judge(&self.parameters, reading, sensor, cells, out);
            units::judge(&self.parameters, reading, sensor, cells, out);
        }
    }

    fn advance(&self, watermark: Timestamp, memory: Memory<'_, Self>, out: &mut Findings<'_>) {
        silence::advance(&self.parameters, watermark, memory.sensor, out);
    }
}

gridwatch_sdk::export!(Vitals);
