//! Native cost of each detector: 10,000 sensors with five quantities, batches of 1024 rows.

#![allow(clippy::disallowed_types, reason = "it measures time; nothing that is judged depends on it")]

use std::time::Instant;

use gridwatch_sdk::contract::{Columns, Quantity, SensorInfo};
use gridwatch_sdk::detector::Detector;
use gridwatch_sdk::kit::Rng;
use gridwatch_sdk::runtime::Runtime;

const SENSORS: u32 = 10_000;
const ROWS: usize = 1024;
const BATCHES: usize = 1_500;

pub fn run() {
    one::<limits::Limits>();
    one::<physics::Physics>();
    one::<shift::Shift>();
    one::<vitals::Vitals>();
}

fn one<D: Detector>() {
    let names = ["voltage", "current", "power", "frequency", "power_factor"];
    let available: Vec<Quantity> =
        names.iter().map(|name| Quantity { name: (*name).to_owned(), unit: None }).collect();
    let mut runtime = Runtime::<D>::configure("{}", &available).unwrap();
    let sensors: Vec<SensorInfo> =
        (0..SENSORS).map(|n| SensorInfo { id: format!("meter-{n}"), attributes: vec![] }).collect();
    runtime.set_sensors(0, &sensors).unwrap();
    let chosen = runtime.chosen().to_vec();
    let (mut rng, mut row, mut spent, mut found) = (Rng::new(1), 0_u64, 0.0, 0);
    for _ in 0..BATCHES {
        let (mut numbers, mut times) = (Vec::new(), Vec::new());
        let mut all = vec![Vec::with_capacity(ROWS); names.len()];
        for _ in 0..ROWS {
            numbers.push((row % u64::from(SENSORS)) as u32);
            times.push((row / u64::from(SENSORS)) as i64 * 60_000 + (row % 1000) as i64);
            row += 1;
            let (volts, amperes, factor) =
                (rng.between(229.0, 231.0), rng.between(4.0, 6.0), rng.between(0.94, 0.96));
            for (column, value) in all.iter_mut().zip([
                volts,
                amperes,
                volts * amperes * factor,
                rng.between(49.98, 50.02),
                factor,
            ]) {
                column.push((value * 1000.0).round() / 1000.0);
            }
        }
        let values: Vec<f64> = chosen.iter().flat_map(|&q| all[q as usize].iter().copied()).collect();
        let columns =
            Columns { sensors: &numbers, timestamps: &times, values: &values, marks: &[], malformed: &[] };
        let start = Instant::now();
        found += runtime.observe(columns).unwrap().len();
        spent += start.elapsed().as_secs_f64();
    }
    println!(
        "{:8} {:6.1} ns a reading, {found} findings",
        D::INFO.name,
        spent * 1e9 / (BATCHES * ROWS) as f64
    );
}
