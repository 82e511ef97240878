//! Built-in detector `vitals`: is the sensor itself well? Faults of telemetry, as opposed to faults of the grid.
//!
//! | kind | told when | severity |
//! |---|---|---|
//! | `dropout` | silent for 5 of its intervals, and twice the longest gap that is usual; since the last reading | warning |
//! | `stuck` | a run of equal values twice as long as the longest before, at least 8: of whole readings, or of one quantity (after a day) | warning; info for one quantity |
//! | `repeated_timestamp`, `backward_timestamp` | at once; ends after 10 readings in order | info; warning from the third on |
//! | `clock_shift` | a jump by about a multiple of half an hour, or far ahead of the lane's clock, that the next reading confirms | warning |
//! | `reporting_rate` | 5 intervals agree on one 1.5 times longer or shorter than usual; learnt after 60 | warning |
//! | `malformed` | a value that is not a finite number | info; warning from the third on |
//! | `unit_jump` | two values a thousand times off, and 20 times outside the usual range otherwise | warning |
//!
//! Which faults field telemetry shows follows surveys of sensor faults (Ni et al., "Sensor Network Data Fault Types", ACM
//! TOSN 2009: stuck-at, spike, clipping, calibration, ...). No limit knows a second or a volt: each is a multiple of
//! what the sensor itself has shown. The exceptions are what clocks and units are made of: half hours
//! (zones and summer time differ by multiples) and the factor of a thousand between SI prefixes.
//!
//! Exact zeros are never stuck: idle loads, feeders out of service and solar inverters at night send them for hours.

mod kinds;
mod order;
mod parameters;
mod rate;
mod silence;
mod state;
mod stuck;
mod timing;
mod units;
mod values;
mod wellformed;

use gridwatch_sdk::detector::Timestamp;
use gridwatch_sdk::prelude::*;

pub use kinds::KINDS;
pub use parameters::Parameters;
pub use state::{Cell, Lane, Sensor};

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
    type Group = Lane;

    fn new(parameters: Parameters, _quantities: &[Quantity]) -> Result<Self, String> {
        parameters.check()?;
        Ok(Vitals { parameters })
    }

    /// All sensors of the lane.
    fn group_of(&self, _sensor: &SensorInfo) -> Option<String> {
        Some("lane".to_owned())
    }

    #[inline(always)]
    fn judge(&self, reading: &Reading<'_>, memory: Memory<'_, Self>, out: &mut Findings<'_>) {
        let Memory { sensor, cells, group, .. } = memory;
        let p = &self.parameters;
        // What is rarely needed stands in functions of its own: where it were inlined, it would take the
        // registers of what every reading needs.
        if !reading.malformed().is_empty() || sensor.malformed.is_open() {
            wellformed::judge(p, reading, sensor, out);
        }
        sensor.seen = sensor.seen.saturating_add(1);
        let order = if timing::usual(p, reading, sensor) {
            Order::Forward
        } else {
            timing::judge(p, reading, sensor, out)
        };
        if let Some(lane) = group {
            lane.hear(order, reading, sensor);
        }
        // A row that was sent again says nothing new about values.
        if order == Order::Forward {
            let row = values::learn(p, reading, cells);
            stuck::judge(p, reading, &row, sensor, cells, out);
            if row.may_be_far() {
                units::judge(p, reading, sensor, cells, out);
            }
        }
    }

    fn advance(&self, watermark: Timestamp, memory: Memory<'_, Self>, out: &mut Findings<'_>) {
        let now = memory.group.map_or(watermark, |lane| lane.now(watermark));
        silence::advance(&self.parameters, now, memory.sensor, out);
    }

    fn advance_group(&self, _watermark: Timestamp, _name: &str, lane: &mut Lane, _out: &mut Findings<'_>) {
        lane.heard = false;
    }
}

gridwatch_sdk::export!(Vitals);
