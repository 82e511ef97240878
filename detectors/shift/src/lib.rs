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
            // NaN where absent; what came as no number never gets here.
            if !value.is_nan() {
                self.value(quantity, value, gap, sensor, cell, out);
            }
        }
    }

    fn traced(&self) -> Vec<usize> {
        (0..self.supply.len()).collect()
    }

    /// The level and how far a jump may go from it.
    fn band(&self, reading: &Reading<'_>, memory: &Memory<'_, Self>, quantity: usize) -> Option<Band> {
        let (cell, value) = (memory.cells.get(quantity)?, reading.value(quantity));
        let limit = f64::from(level::limit(&self.parameters, young(&self.parameters, cell), cell));
        if !cell.has(KNOWN) || limit == 0.0 || value.is_nan() {
            return None;
        }
        let expected = cell.last - f64::from(cell.deviation);
        let score = ((value - expected).abs() / (2.0 * limit)).min(1.0);
        Some(Band { score, expected, lower: expected - limit, upper: expected + limit })
    }
}

/// What a short past adds to a margin.
fn young(parameters: &Parameters, cell: &Cell) -> f32 {
    parameters.margin_young / f32::from(cell.blocks.max(1)).sqrt()
}

/// What the grid keeps steady for everybody, whoever switches what.
fn is_supply(name: &str) -> bool {
    name == "frequency" || name == "voltage" || name.starts_with("voltage_")
}

/// Moves the sensor's time on: whether there was a gap, or nothing for a row that cannot be compared with the
/// one before it: repeated, late, or ahead of everybody's clock. When late rows go on and on it was
/// the latest time that was wrong.
fn step(parameters: &Parameters, reading: &Reading<'_>, sensor: &mut Sensor) -> Option<bool> {
    let passed = reading.timestamp.saturating_sub(sensor.last_ms) as f32;
    let first = sensor.interval_ms == 0.0 && sensor.last_ms == 0;
    if !first && passed <= 0.0 {
        sensor.late = sensor.late.saturating_add(1);
        if sensor.late >= LATE_READINGS {
            sensor.last_ms = reading.timestamp;
        }
        return None;
    }
    let gap = passed > parameters.gap_intervals * sensor.interval_ms;
    // The mark alone says little: of a few sensors that report every hour, the first one is always ahead.
    if reading.is_ahead() && gap && sensor.interval_ms > 0.0 {
        return None;
    }
    sensor.last_ms = reading.timestamp;
    sensor.late = 0;
    if first {
        return Some(false);
    }
    if sensor.interval_ms == 0.0 {
        sensor.interval_ms = passed;
        return Some(false);
    }
    // A tenth, so that a real change of rate is followed, and no more than double, so that gaps are not.
    sensor.interval_ms += (passed.min(2.0 * sensor.interval_ms) - sensor.interval_ms) / 10.0;
    Some(gap)
}

/// Late readings in a row after which their time is believed.
const LATE_READINGS: u16 = 120;
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
        let hours = readings as f32 * sensor.interval_ms / 3_600_000.0;
        let mature = known && hours >= parameters.learn_hours;
        let supply = self.supply.get(quantity).copied().unwrap_or(false);
        let width = if supply { 1.0 } else { parameters.load_margin };
        let settled = mature || (known && supply);
        let young = young(parameters, cell);
        let at = At { quantity, value, before, difference, settled, mature, width, young };
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
