//! Readings to try a candidate on.

use gridwatch_core::Timestamp;
use gridwatch_core::batch::{Sensor, mark};
use gridwatch_core::reading::Quantity;

/// Readings as a lane would judge them: already numbered, marked, and told apart by ticks.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// Which readings these are, as in "200 readings made up".
    pub of: String,
    pub quantities: Vec<Quantity>,
    pub sensors: Vec<Sensor>,
    pub stretches: Vec<Stretch>,
}

/// Readings up to a tick, and that tick.
#[derive(Debug, Clone, PartialEq)]
pub struct Stretch {
    pub rows: Vec<Row>,
    pub tick: Timestamp,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub sensor: u32,
    pub timestamp: Timestamp,
    /// One for each of the evidence's quantities; NaN where the reading has none.
    pub values: Vec<f64>,
    /// Received, but no finite number: indices of quantities. Their values are NaN.
    pub malformed: Vec<u32>,
    /// Bits of `gridwatch_core::batch::mark`.
    pub mark: u8,
}

/// 2026-01-01, a Thursday.
const START_MS: Timestamp = 1_767_225_600_000;
const TICK_MS: Timestamp = 60_000;
const FEEDERS: u32 = 4;

/// Names that the simulator and the built-in detectors know, units, a usual value and how far it strays.
const QUANTITIES: [(&str, Option<&str>, f64, f64); 14] = [
    ("voltage", Some("V"), 230.0, 4.0),
    ("voltage_l1", Some("V"), 231.0, 4.0),
    ("voltage_l2", Some("V"), 229.0, 4.0),
    ("voltage_l3", Some("V"), 230.5, 4.0),
    ("current", Some("A"), 12.0, 6.0),
    ("current_l1", Some("A"), 12.0, 6.0),
    ("current_l2", Some("A"), 11.0, 6.0),
    ("current_l3", Some("A"), 13.0, 6.0),
    ("power", Some("W"), 2700.0, 1300.0),
    ("reactive_power", Some("var"), 300.0, 200.0),
    ("apparent_power", Some("VA"), 2750.0, 1300.0),
    ("power_factor", None, 0.97, 0.02),
    ("frequency", Some("Hz"), 50.0, 0.03),
    ("temperature", Some("°C"), 45.0, 8.0),
];

impl Evidence {
    /// Made up: some ordinary, some as bad as a grid can send them (values missing, malformed, of any size,
    /// times that repeat, run back or ahead). `extra` are quantities that are known besides. The same for
    /// the same seed.
    pub fn synthetic(seed: u64, sensors: u32, stretches: usize, extra: &[Quantity]) -> Evidence {
        let mut quantities: Vec<Quantity> = QUANTITIES
            .iter()
            .map(|(name, unit, ..)| Quantity { name: (*name).to_owned(), unit: unit.map(str::to_owned) })
            .collect();
        for quantity in extra {
            if quantities.iter().all(|known| known.name != quantity.name) {
                quantities.push(quantity.clone());
            }
        }
        let mut draw = Draw(seed | 1);
        let stretch = |at: usize, draw: &mut Draw| {
            let from = START_MS + at as Timestamp * TICK_MS;
            // Not all sensors are there from the beginning.
            let here = (sensors * (at as u32 + 2) / (stretches as u32 + 1)).clamp(1, sensors);
            let rows = (0..here * 2).map(|n| row(n % here, from, n / here, quantities.len(), draw)).collect();
            Stretch { rows, tick: from }
        };
        let stretches = (0..stretches).map(|at| stretch(at, &mut draw)).collect();
        Evidence {
            of: "made up".to_owned(),
            sensors: (0..sensors).map(sensor).collect(),
            stretches,
            quantities,
        }
    }

    pub fn rows(&self) -> usize {
        self.stretches.iter().map(|stretch| stretch.rows.len()).sum()
    }
}

fn sensor(number: u32) -> Sensor {
    let role = if number.is_multiple_of(12) { "feeder" } else { "meter" };
    let attribute = |name: &str, value: String| (name.to_owned(), value);
    Sensor {
        id: format!("{role}-{number:04}"),
        attributes: vec![
            attribute("area", "area-1".to_owned()),
            attribute("feeder", format!("feeder-{:02}", number % FEEDERS)),
            attribute("location", format!("feeder-{:02}", number % FEEDERS)),
            attribute("nominal_voltage", "230".to_owned()),
            attribute("phase", format!("L{}", number % 3 + 1)),
            attribute("role", role.to_owned()),
        ],
    }
}

fn row(sensor: u32, from: Timestamp, round: u32, quantities: usize, draw: &mut Draw) -> Row {
    let mut row = Row {
        sensor,
        timestamp: from + Timestamp::from(round) * 30_000 + Timestamp::from(sensor) * 7,
        values: (0..quantities).map(|at| usual(at, draw)).collect(),
        malformed: Vec::new(),
        mark: 0,
    };
    let at = draw.below(quantities as u64) as usize;
    match draw.below(24) {
        0 => row.values[at] = f64::NAN,
        1 => row.values.fill(f64::NAN),
        2 => {
            row.values[at] = f64::NAN;
            row.malformed = vec![at as u32];
            row.mark |= mark::MALFORMED;
        }
        3 => {
            const EXTREMES: [f64; 8] = [0.0, -0.0, -1.0, 1e300, -1e300, f64::MIN_POSITIVE, f64::MAX, 5e-324];
            row.values[at] = EXTREMES[draw.below(8) as usize];
        }
        4 => row.values[at] *= 1.0 + draw.unit(),
        5 if round > 0 => {
            row.timestamp -= 30_000;
            row.mark |= mark::REPEATED;
        }
        6 if round > 0 => {
            row.timestamp -= 45_000;
            row.mark |= mark::BACKWARD;
        }
        7 => {
            row.timestamp += 3_600_000;
            row.mark |= mark::AHEAD;
        }
        _ => {}
    }
    row
}

fn usual(quantity: usize, draw: &mut Draw) -> f64 {
    match QUANTITIES.get(quantity) {
        Some((.., middle, spread)) => middle + spread * (2.0 * draw.unit() - 1.0),
        None => 100.0 * draw.unit(),
    }
}

/// xorshift64*: Vigna, "An experimental exploration of Marsaglia's xorshift generators, scrambled" (2016).
pub struct Draw(pub u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// From 0 to `end`, without it. Low ends are a little likelier, which nobody minds here.
    pub fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 11) % end.max(1)
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}
