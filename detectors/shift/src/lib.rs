//! Built-in detector `shift`: has this quantity changed? Any quantity of any sensor, against nothing but what that
//! sensor has shown before.
//!
//! | kind | judged on | limit | severity | source |
//! |---|---|---|---|---|
//! | `level_shift` | three readings away from the level, an exponential mean | 8 usual differences, and twice the largest jumps that are usual; judged from a day on | info; warning from 1.5 limits on | Roberts, Technometrics 1959 |
//! | `spike` | one or two such readings | same | info | same |
//! | `spread_change` | cumulative sum of differences beyond 1.5 usual ones | 28, and 1.5 times its usual peaks | warning | Page, Biometrika 1954 |
//! | `course` | cumulative sums of differences, up and down | 8 standard deviations, and 1.25 times their usual peaks | warning; critical from 1.1 limits on | same |
//!
//! Differences between readings are measured in their own mean size, each cut to a few times that (Huber, "Robust
//! Statistics", 1981). What is usual for a sum or a jump is learnt from the largest value of each block of
//! readings (`peaks`; Gumbel 1958, Siffer et al., KDD 2017), so that limits hold for loads as for
//! voltages, and for readings of every second as of every hour: nothing here knows a volt, and of time only
//! the day. An anomaly is not learnt: the level stands still, the scale nearly so, and the block counts
//! little; only after `relearn_readings` is the new state the normal one.
//!
//! Loads are switched by people: all but voltages and frequency have limits of spread and course twice as wide, and
//! from a day on only. Of a sensor, `spread_change` and `course` are one episode for all quantities, named
//! after the first.

mod calm;
mod course;
mod kinds;
mod level;
mod margins;
mod parameters;
mod peaks;
mod scale;
mod spread;
mod state;
mod time;

use gridwatch_sdk::prelude::*;

pub use kinds::KINDS;
pub use parameters::Parameters;
pub use state::{Cell, Sensor};

use calm::{Done, Kind, Ripe, Ripeness};
use level::At;
use state::{AWAY, KNOWN};

pub struct Shift {
    parameters: Parameters,
    /// By quantity.
    kinds: Vec<Kind>,
    names: Vec<String>,
    margins: margins::Table,
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
        let kind = |quantity: &Quantity| {
            let is_supply = is_supply(&quantity.name);
            Kind { is_supply, width: if is_supply { 1.0 } else { parameters.load_margin } }
        };
        let kinds = quantities.iter().map(kind).collect();
        let names = quantities.iter().map(|quantity| quantity.name.clone()).collect();
        let margins = margins::Table::new(&parameters);
        Ok(Shift { parameters, kinds, names, margins })
    }

    #[inline(always)]
    fn judge(&self, reading: &Reading<'_>, memory: Memory<'_, Self>, out: &mut Findings<'_>) {
        let Memory { sensor, cells, .. } = memory;
        let Some(gap) = time::step(&self.parameters, reading, sensor) else {
            return;
        };
        if gap {
            after_gap(reading, cells);
            return;
        }
        let (values, ripeness) = (reading.values(), Ripeness::of(&self.parameters, sensor.interval_ms));
        let pieces =
            reading.present().zip(values.chunks(64)).zip(cells.chunks_mut(64)).zip(self.kinds.chunks(64));
        for (piece, (((present, values), cells), kinds)) in pieces.enumerate() {
            // As many as there are values, which spares the loop to look at all lengths.
            let (Some(cells), Some(kinds)) = (cells.get_mut(..values.len()), kinds.get(..values.len()))
            else {
                break;
            };
            let (mut odd, mut learnt) = (Bits::default(), Bits::default());
            let mut places = present;
            'values: loop {
                // Two in a turn: where a loop turns WebAssembly asks whether to go on, and what the machine's registers
                // lose by that costs as much as the rest of a value.
                macro_rules! take_one {
                    () => {
                        let Some(place) = places.next() else { break 'values };
                        let (Some(&value), Some(cell), Some(&kind)) =
                            (values.get(place), cells.get_mut(place), kinds.get(place))
                        else {
                            break 'values;
                        };
                        let margins = self.margins.of(cell);
                        match calm::take(&self.parameters, margins, kind, ripeness, value, cell) {
                            Done::All => {}
                            Done::Learnt => {
                                odd.add(place);
                                learnt.add(place);
                            }
                            Done::Nothing => odd.add(place),
                        }
                    };
                }
                take_one!();
                take_one!();
            }
            if !odd.is_empty() {
                self.values(Odd { first: 64 * piece, values, odd, learnt }, sensor, cells, out);
            }
        }
    }

    fn traced(&self) -> Vec<usize> {
        (0..self.kinds.len()).collect()
    }

    /// The level and how far a jump may go from it.
    fn band(&self, reading: &Reading<'_>, memory: &Memory<'_, Self>, quantity: usize) -> Option<Band> {
        let (cell, value) = (memory.cells.get(quantity)?, reading.value(quantity));
        let limit = f64::from(level::limit(&self.parameters, cell.scale, self.margins.of(cell), cell));
        if !cell.has(KNOWN) || limit == 0.0 || value.is_nan() {
            return None;
        }
        let expected = cell.last - f64::from(cell.deviation);
        let score = ((value - expected).abs() / (2.0 * limit)).min(1.0);
        Some(Band { score, expected, lower: expected - limit, upper: expected + limit })
    }
}

/// What the grid keeps steady for everybody, whoever switches what.
fn is_supply(name: &str) -> bool {
    name == "frequency" || name == "voltage" || name.starts_with("voltage_")
}

/// The value before is too long ago to compare with.
#[cold]
#[inline(never)]
fn after_gap(reading: &Reading<'_>, cells: &mut [Cell]) {
    for (cell, &value) in cells.iter_mut().zip(reading.values()) {
        // NaN where absent; what came as no number never gets here.
        if value.is_nan() {
            continue;
        }
        if cell.has(KNOWN) {
            let difference = calm::difference(value, cell.last);
            (cell.up, cell.down) = (0.0, 0.0);
            cell.deviation = if cell.has(AWAY) { cell.deviation + difference } else { 0.0 };
        }
        cell.last = value;
        cell.set(KNOWN, true);
    }
}

/// Values that are more than values, of 64 quantities from `first` on.
struct Odd<'a> {
    first: usize,
    values: &'a [f64],
    /// Those concerned, and which of them have been learnt and are to be judged.
    odd: Bits,
    learnt: Bits,
}

impl Shift {
    /// They are seen to apart from the others: a call, or all this inlined, would take the registers of what every
    /// value needs.
    #[cold]
    #[inline(never)]
    fn values(&self, odd: Odd<'_>, sensor: &mut Sensor, cells: &mut [Cell], out: &mut Findings<'_>) {
        for place in odd.odd {
            let (Some(cell), Some(&value)) = (cells.get_mut(place), odd.values.get(place)) else { break };
            self.value(odd.first + place, value, odd.learnt.has(place), sensor, cell, out);
        }
    }

    fn value(
        &self,
        quantity: usize,
        value: f64,
        is_learnt: bool,
        sensor: &mut Sensor,
        cell: &mut Cell,
        out: &mut Findings<'_>,
    ) {
        let parameters = &self.parameters;
        let before = cell.last;
        cell.last = value;
        if !cell.has(KNOWN) {
            cell.set(KNOWN, true);
            return;
        }
        let (difference, readings) = (calm::difference(value, before), peaks::readings(cell));
        if !is_learnt {
            if !scale::learn(difference.abs(), readings, cell) {
                return;
            }
            spread::learn(parameters, difference.abs(), cell);
            course::learn(parameters, difference, cell);
        }
        let unknown = Kind { is_supply: false, width: parameters.load_margin };
        let kind = self.kinds.get(quantity).copied().unwrap_or(unknown);
        let Ripe { settled, mature } = Ripeness::of(parameters, sensor.interval_ms).after(readings, kind);
        let (width, margins) = (kind.width, self.margins.of(cell));
        let name = self.names.get(quantity).map_or("", String::as_str);
        let at = At { quantity, name, value, before, difference, settled, mature, width, margins };
        level::judge(parameters, &at, cell, out);
        spread::judge(parameters, &at, sensor, cell, out);
        course::judge(parameters, &at, sensor, cell, out);
        peaks::count(cell, sensor.interval_ms);
    }
}

gridwatch_sdk::export!(Shift);
