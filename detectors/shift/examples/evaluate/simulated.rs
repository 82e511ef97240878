//! Found of what was injected: right sensor, within ten reporting intervals (six hours for drift and noise).

use std::collections::BTreeMap;

use gridwatch_connectors::simulator::{FaultKind, QUANTITIES, Scenario, Simulation};
use gridwatch_sdk::contract::{Phase, SensorInfo};

use crate::panel::{Panel, Said};

const HOUR: i64 = 3_600_000;

#[derive(Default)]
struct Kind {
    injected: u32,
    found: u32,
    delays: Vec<f64>,
    by: BTreeMap<String, u32>,
    what_missed: Vec<String>,
}

pub fn run(seeds: &[u64], base: &Scenario, verbose: bool) {
    let mut total: BTreeMap<FaultKind, Kind> = BTreeMap::new();
    let mut falses: BTreeMap<String, u32> = BTreeMap::new();
    for &seed in seeds {
        let scenario = Scenario { seed, ..base.clone() };
        let (days, interval) = (scenario.sensor_days(), i64::from(scenario.interval_ms));
        let mut simulation = Simulation::new(scenario).unwrap();
        let world = simulation.world().clone();
        let mut panel = Panel::new(&QUANTITIES);
        panel.set_sensors(&sensors(&world.assets_csv()));
        let mut readings = 0_u64;
        for reading in &mut simulation {
            let values: Vec<f64> =
                (0..QUANTITIES.len()).map(|q| reading.value(q).unwrap_or(f64::NAN)).collect();
            panel.read(reading.sensor, reading.timestamp, reading.taken, &values);
            readings += 1;
        }
        panel.flush();
        let mut false_count = 0;
        let mut kinds: BTreeMap<FaultKind, Kind> = BTreeMap::new();
        let told: Vec<&Said> = panel
            .said
            .iter()
            .filter(|said| matches!(said.finding.phase, Phase::Raised | Phase::Single))
            .collect();
        let number_of: BTreeMap<&str, u32> =
            world.sensors().iter().enumerate().map(|(n, sensor)| (sensor.id.as_str(), n as u32)).collect();
        for label in world.labels() {
            let sensor = number_of[label.sensor_id.as_str()];
            let room = if label.kind.is_slow() { 6 * HOUR } else { 10 * interval };
            let kind = kinds.entry(label.kind).or_default();
            kind.injected += 1;
            let last = label.start + room;
            let hit = told
                .iter()
                .find(|said| said.sensor == Some(sensor) && said.taken >= label.start && said.taken <= last);
            match hit {
                Some(said) => {
                    kind.found += 1;
                    kind.delays.push((said.taken - label.start) as f64 / 1000.0);
                    *kind.by.entry(format!("{}/{}", said.detector, said.kind)).or_default() += 1;
                }
                None => {
                    kind.what_missed.push(format!(
                        "{} {} {}",
                        label.sensor_id,
                        clock(label.start),
                        label.what
                    ));
                }
            }
        }
        for said in &told {
            let known = world.labels().iter().any(|label| {
                let same = said.sensor.is_none_or(|sensor| number_of[label.sensor_id.as_str()] == sensor);
                same && said.taken >= label.start - interval && said.taken <= label.end + 10 * interval
            });
            if !known {
                false_count += 1;
                *falses.entry(format!("{}/{}", said.detector, said.kind)).or_default() += 1;
                if verbose {
                    let sensor = said.sensor.map_or("group", |n| world.sensors()[n as usize].id.as_str());
                    let quantity = said.finding.quantity.map_or(0, |q| q as usize);
                    println!(
                        "  false {}/{} {sensor} {} q{quantity} {}",
                        said.detector,
                        said.kind,
                        clock(said.taken),
                        said.finding.explanation.as_deref().unwrap_or("")
                    );
                }
            }
        }
        let well =
            kinds.values().filter(|kind| f64::from(kind.found) >= 0.8 * f64::from(kind.injected)).count();
        println!(
            "seed {seed}: {well} of {} kinds, {false_count} false in {days:.0} sensor-days ({:.2} per 10), {readings} readings",
            kinds.len(),
            f64::from(false_count) * 10.0 / days,
        );
        for (kind, one) in kinds {
            if verbose {
                one.what_missed.iter().for_each(|what| println!("  missed {} {what}", kind.name()));
            }
            let all = total.entry(kind).or_default();
            all.injected += one.injected;
            all.found += one.found;
            all.delays.extend(one.delays);
            for (by, count) in one.by {
                *all.by.entry(by).or_default() += count;
            }
        }
    }
    for (kind, mut one) in total {
        one.delays.sort_by(f64::total_cmp);
        let median = one.delays.get(one.delays.len() / 2).copied().unwrap_or(f64::NAN);
        println!(
            "{:22} {:4} of {:4}  median {median:7.0} s  {:?}",
            kind.name(),
            one.found,
            one.injected,
            one.by
        );
    }
    println!("false: {falses:?}");
}

fn sensors(assets: &str) -> Vec<SensorInfo> {
    let mut lines = assets.lines();
    let names: Vec<&str> = lines.next().unwrap().split(',').collect();
    lines
        .map(|line| {
            let fields: Vec<&str> = line.split(',').collect();
            let mut attributes: Vec<(String, String)> = names[1..]
                .iter()
                .zip(&fields[1..])
                .filter(|(_, value)| !value.is_empty())
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect();
            attributes.sort();
            SensorInfo { id: fields[0].to_owned(), attributes }
        })
        .collect()
}

fn clock(time: i64) -> String {
    jiff::Timestamp::from_millisecond(time).unwrap().strftime("%a %H:%M").to_string()
}
