//! Simulated readings as columns over all quantities: what a lane would hand to a detector.

use gridwatch_connectors::simulator::{QUANTITIES, Scenario, Simulation};
use gridwatch_core::assets::Assets;
use gridwatch_core::batch::{BatchView, Sensor, mark};
use gridwatch_core::judge::Judge;
use gridwatch_core::reading::Quantity;

pub struct Columns {
    pub sensors: Vec<Sensor>,
    pub quantities: Vec<Quantity>,
    pub numbers: Vec<u32>,
    pub timestamps: Vec<i64>,
    pub marks: Vec<u8>,
    /// By quantity.
    pub values: Vec<Vec<f64>>,
}

impl Columns {
    /// The first `readings` of a scenario, in the order of their arrival.
    pub fn simulated(scenario: Scenario, readings: usize) -> Columns {
        let simulation = Simulation::new(scenario).unwrap();
        let assets = Assets::parse(simulation.world().assets_csv().as_bytes(), "assets.csv").unwrap();
        let sensors = simulation.sensors().iter();
        let sensors = sensors
            .map(|sensor| Sensor { id: sensor.id.clone(), attributes: assets.get(&sensor.id).to_vec() });
        let sensors: Vec<Sensor> = sensors.collect();
        let mut last = vec![i64::MIN; sensors.len()];
        let mut columns = Columns {
            sensors,
            quantities: QUANTITIES.iter().map(|name| Quantity { name: (*name).into(), unit: None }).collect(),
            numbers: Vec::with_capacity(readings),
            timestamps: Vec::with_capacity(readings),
            marks: Vec::with_capacity(readings),
            values: vec![Vec::with_capacity(readings); QUANTITIES.len()],
        };
        for reading in simulation.take(readings) {
            let last = &mut last[reading.sensor as usize];
            let marks = match reading.timestamp.cmp(last) {
                std::cmp::Ordering::Less => mark::BACKWARD,
                std::cmp::Ordering::Equal => mark::REPEATED,
                std::cmp::Ordering::Greater => 0,
            };
            *last = (*last).max(reading.timestamp);
            columns.numbers.push(reading.sensor);
            columns.timestamps.push(reading.timestamp);
            columns.marks.push(marks);
            for (quantity, column) in columns.values.iter_mut().enumerate() {
                column.push(reading.value(quantity).unwrap_or(f64::NAN));
            }
        }
        assert_eq!(columns.rows(), readings, "the scenario is too short");
        columns
    }

    pub fn rows(&self) -> usize {
        self.numbers.len()
    }

    /// The chosen quantities of some rows, laid out for one call.
    pub fn gather(&self, chosen: &[u32], start: usize, rows: usize) -> Vec<f64> {
        chosen.iter().flat_map(|&q| self.values[q as usize][start..start + rows].iter().copied()).collect()
    }

    pub fn view<'a>(&'a self, values: &'a [f64], start: usize, rows: usize) -> BatchView<'a> {
        BatchView {
            sensors: &self.numbers[start..start + rows],
            timestamps: &self.timestamps[start..start + rows],
            values,
            marks: &self.marks[start..start + rows],
            malformed: &[],
        }
    }

    /// Readies a judge for these columns; the quantities that it chose.
    pub fn introduce(&self, judge: &mut dyn Judge, parameters: &str) -> Vec<u32> {
        let chosen = judge.configure(parameters, &self.quantities).unwrap();
        judge.set_sensors(0, &self.sensors).unwrap();
        chosen
    }
}
