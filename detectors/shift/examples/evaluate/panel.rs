//! The four detectors side by side, fed row by row as a lane feeds them: clock, marks, ticks.

use gridwatch_core::clock::{LaneClock, Seen};
use gridwatch_core::sensors::SensorTable;
use gridwatch_sdk::contract::{Columns, Finding, Quantity, SensorInfo, Subject};
use gridwatch_sdk::runtime::Runtime;

/// As the host has them by default, in ms.
const TICK: i64 = 10_000;
const LATENESS: i64 = 5_000;
const AHEAD_MAX: i64 = 300_000;
const ROWS: usize = 1024;

trait Any {
    fn set(&mut self, first: u32, sensors: &[SensorInfo]);
    fn observe(&mut self, rows: &Rows) -> Vec<Finding>;
    fn advance(&mut self, watermark: i64) -> Vec<Finding>;
}

struct Seat<D: gridwatch_sdk::detector::Detector> {
    runtime: Runtime<D>,
}

impl<D: gridwatch_sdk::detector::Detector> Any for Seat<D> {
    fn set(&mut self, first: u32, sensors: &[SensorInfo]) {
        self.runtime.set_sensors(first, sensors).unwrap();
    }
    fn observe(&mut self, rows: &Rows) -> Vec<Finding> {
        let count = rows.sensors.len();
        let chosen: Vec<usize> = self.runtime.chosen().iter().map(|&q| q as usize).collect();
        let mut values = Vec::with_capacity(count * chosen.len());
        let mut malformed = Vec::new();
        for &q in &chosen {
            for row in 0..count {
                let value = rows.values[row * rows.width + q];
                if value.is_infinite() {
                    malformed.push(values.len() as u32);
                    values.push(f64::NAN);
                } else {
                    values.push(value);
                }
            }
        }
        let columns = Columns {
            sensors: &rows.sensors,
            timestamps: &rows.times,
            values: &values,
            marks: &rows.marks,
            malformed: &malformed,
        };
        self.runtime.observe(columns).unwrap()
    }
    fn advance(&mut self, watermark: i64) -> Vec<Finding> {
        self.runtime.advance(watermark).unwrap()
    }
}

#[derive(Default)]
struct Rows {
    width: usize,
    sensors: Vec<u32>,
    times: Vec<i64>,
    /// When each was really taken.
    taken: Vec<i64>,
    marks: Vec<u8>,
    /// Row by row; NaN absent, infinite malformed.
    values: Vec<f64>,
}

/// What was said.
#[derive(Debug, Clone)]
pub struct Said {
    pub detector: &'static str,
    /// None: of a group.
    pub sensor: Option<u32>,
    /// When the reading that brought it about was taken, or the watermark.
    pub taken: i64,
    pub kind: String,
    pub finding: Finding,
}

struct Named {
    name: &'static str,
    kinds: Vec<String>,
    seat: Box<dyn Any>,
}

pub struct Panel {
    seats: Vec<Named>,
    clock: LaneClock,
    sensors: SensorTable,
    tick: Option<i64>,
    rows: Rows,
    pub said: Vec<Said>,
}

fn seat<D: gridwatch_sdk::detector::Detector>(available: &[Quantity]) -> Named {
    let runtime = Runtime::<D>::configure("{}", available).unwrap();
    let kinds = D::INFO.kinds.iter().map(|kind| kind.name.to_owned()).collect();
    Named { name: D::INFO.name, kinds, seat: Box::new(Seat { runtime }) }
}

impl Panel {
    pub fn new(quantities: &[&str]) -> Self {
        let available: Vec<Quantity> =
            quantities.iter().map(|name| Quantity { name: (*name).to_owned(), unit: None }).collect();
        Panel {
            seats: vec![
                seat::<limits::Limits>(&available),
                seat::<physics::Physics>(&available),
                seat::<shift::Shift>(&available),
                seat::<vitals::Vitals>(&available),
            ],
            clock: LaneClock::default(),
            sensors: SensorTable::new(1 << 20),
            tick: None,
            rows: Rows { width: quantities.len(), ..Rows::default() },
            said: Vec::new(),
        }
    }

    pub fn set_sensors(&mut self, sensors: &[SensorInfo]) {
        for sensor in sensors {
            self.sensors.add(&sensor.id, sensor.attributes.clone()).unwrap();
        }
        for named in &mut self.seats {
            named.seat.set(0, sensors);
        }
    }

    pub fn read(&mut self, sensor: u32, time: i64, taken: i64, values: &[f64]) {
        let ahead = self.clock.observe(sensor, time, self.sensors.len(), AHEAD_MAX);
        let malformed = u8::from(values.iter().any(|value| value.is_infinite()));
        self.rows.marks.push(self.sensors.note_time(sensor, time, ahead == Seen::Ahead) | malformed);
        self.rows.sensors.push(sensor);
        self.rows.times.push(time);
        self.rows.taken.push(taken);
        self.rows.values.extend_from_slice(values);
        let Some(clock) = self.clock.time() else {
            return;
        };
        let tick = (clock - LATENESS).div_euclid(TICK) * TICK;
        let before = *self.tick.get_or_insert(tick);
        if tick > before {
            self.tick = Some(tick);
            self.flush();
            for at in 0..self.seats.len() {
                let found = self.seats[at].seat.advance(tick);
                self.keep(at, found, tick);
            }
        } else if self.rows.sensors.len() >= ROWS {
            self.flush();
        }
    }

    pub fn flush(&mut self) {
        for at in 0..self.seats.len() {
            let found = self.seats[at].seat.observe(&self.rows);
            self.keep(at, found, i64::MIN);
        }
        self.rows = Rows { width: self.rows.width, ..Rows::default() };
    }

    fn keep(&mut self, at: usize, found: Vec<Finding>, watermark: i64) {
        for finding in found {
            let row = finding.row as usize;
            let observed = watermark == i64::MIN;
            let sensor = match &finding.subject {
                Subject::Reading => Some(self.rows.sensors[row]),
                Subject::Sensor(number) => Some(*number),
                Subject::Group(_) => None,
            };
            let (detector, kinds) = (self.seats[at].name, &self.seats[at].kinds);
            self.said.push(Said {
                detector,
                sensor,
                taken: if observed { self.rows.taken[row] } else { watermark },
                kind: kinds[finding.kind as usize].clone(),
                finding,
            });
        }
    }
}
