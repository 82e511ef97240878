//! Has this quantity changed? Jumps of level, spikes, changes of spread and steady movement, for any
//! quantity of any sensor, against nothing but what that sensor has shown before.
//!
//! Nothing here knows a volt or a second. Differences between readings are measured in their own usual
//! size, and limits follow the largest values that each statistic usually takes (`peaks`).

mod course;
mod kinds;
mod level;
mod parameters;
mod peaks;
mod spread;
mod state;

use gridwatch_sdk::prelude::*;

pub use kinds::KINDS;
pub use parameters::Parameters;
pub use state::{Cell, Sensor};

use level::At;
use state::{AWAY, IN_SPREAD, KNOWN};

pub struct Shift {
    parameters: Parameters,
    /// By quantity: it is the supply's, not a load's.
    supply: Vec<bool>,
}

impl Detector for Shift {
    const INFO: Info = Info {
        name: "shift",
        version: env!("CARGO_PKG_VERSION"),
        state_version: 1,
        kinds: &KINDS,
        wanted: Wanted::Any,
    };

    type Parameters = Parameters;
    type Facts = ();
    type Sensor = Sensor;
    type Cell = Cell;
    type Group = ();

    fn new(parameters: Parameters, quantities: &[Quantity]) -> Result<Self, String> {
        parameters.check()?;
        let supply = quantities.iter().map(|quantity| is_supply(&quantity.name)).collect();
        Ok(Shift { parameters, supply })
    }

    fn judge(&self, reading: &Reading<'_>, memory: Memory<'_, Self>, out: &mut Findings<'_>) {
        let Memory { sensor, cells, .. } = memory;
        let Some(gap) = step(&self.parameters, reading, sensor) else { return };
        for (quantity, (cell, &value)) in cells.iter_mut().zip(reading.values()).enumerate() {
            if value.is_finite() {
                self.value(quantity, value, gap, sensor, cell, out);
            }
        }
    }
}

/// What the grid keeps steady for everybody, whoever switches what.
fn is_supply(name: &str) -> bool {
    name == "frequency" || name == "voltage" || name.starts_with("voltage_")
}

/// Moves the sensor's time on: whether there was a gap, or nothing for a row that is out of order, which
/// cannot be compared with the one before it.
fn step(parameters: &Parameters, reading: &Reading<'_>, sensor: &mut Sensor) -> Option<bool> {
    let passed = reading.timestamp.saturating_sub(sensor.last_ms) as f32;
    let first = sensor.interval_ms == 0.0 && sensor.last_ms == 0;
    if reading.is_repeated() || passed == 0.0 {
        return None;
    }
    sensor.last_ms = reading.timestamp;
    if first {
        sensor.first_ms = reading.timestamp;
    }
    if first || passed < 0.0 {
        return Some(false);
    }
    if sensor.interval_ms == 0.0 {
        sensor.interval_ms = passed;
    }
    let gap = passed > parameters.gap_intervals * sensor.interval_ms;
    // A tenth, so that a real change of rate is followed, and no more than double, so that gaps are not.
    sensor.interval_ms += (passed.min(2.0 * sensor.interval_ms) - sensor.interval_ms) / 10.0;
    Some(gap)
}

/// Long and short memory of differences, in readings.
const SCALE_READINGS: f32 = 1024.0;
const RECENT_READINGS: f32 = 64.0;
/// A difference counts no more than this many usual ones, after Huber: one jump must not widen every limit.
const SCALE_CUT: f32 = 4.0;
/// Learning goes this much slower while something is wrong.
const SLOWER: f32 = 16.0;

impl Shift {
    fn value(&self, quantity: usize, value: f64, gap: bool, sensor: &mut Sensor, cell: &mut Cell, out: &mut Findings<'_>) {
        let parameters = &self.parameters;
        let before = cell.last;
        cell.last = value;
        if !cell.has(KNOWN) {
            cell.set(KNOWN, true);
            return;
        }
        let difference = (value - before).clamp(-1e30, 1e30) as f32;
        if gap {
            (cell.up, cell.down) = (0.0, 0.0);
            cell.deviation = if cell.has(AWAY) { cell.deviation + difference } else { 0.0 };
            return;
        }
        let readings = peaks::readings(cell);
        if !learn_scale(difference.abs(), readings, cell) {
            return;
        }
        let known = readings >= u32::from(parameters.learn_readings);
        let hours = sensor.last_ms.saturating_sub(sensor.first_ms) as f32 / 3_600_000.0;
        let mature = known && hours >= parameters.learn_hours;
        let supply = self.supply.get(quantity).copied().unwrap_or(false);
        let width = if supply { 1.0 } else { parameters.load_margin };
        let settled = mature || (known && supply);
        let at = At { quantity, value, before, difference, settled, mature, width };
        level::judge(parameters, at, cell, out);
        spread::judge(parameters, at, sensor, cell, out);
        course::judge(parameters, at, sensor, cell, out);
        peaks::count(cell);
    }
}

/// Usual differences. False as long as the value has never changed.
fn learn_scale(size: f32, readings: u32, cell: &mut Cell) -> bool {
    if cell.scale == 0.0 {
        if size == 0.0 {
            return false;
        }
        (cell.scale, cell.scale_recent) = (size, size);
    }
    let age = readings as f32 + 2.0;
    let slower = if cell.has(AWAY) || cell.has(IN_SPREAD) { SLOWER } else { 1.0 };
    cell.scale += (size.min(SCALE_CUT * cell.scale) - cell.scale) / (age.min(SCALE_READINGS) * slower);
    cell.scale_recent += (size.min(SCALE_CUT * cell.scale_recent) - cell.scale_recent) / age.min(RECENT_READINGS);
    // Values that hardly ever change would take the scale to nothing, and then every change for an anomaly.
    cell.scale = cell.scale.max(1e-30);
    cell.scale_recent = cell.scale_recent.max(cell.scale / 4.0);
    true
}

gridwatch_sdk::export!(Shift);
