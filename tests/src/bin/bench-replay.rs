//! The whole way of a reading against the least that anybody could do by hand, on one pinned core.
//!
//! gridwatch: JSON lines from memory, decode, lane, four detectors in WebAssembly, anomalies, sink and
//! commits. The floor: a loop that parses each line with typed serde_json, finds the sensor in a hash map
//! and hands columns of 1,024 rows to the same four detectors, native; findings are counted and dropped.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use gridwatch_connectors::memory::{MemoryFeed, MemorySink, MemoryStore};
use gridwatch_connectors::simulator::{Scenario, Simulation};
use gridwatch_core::anomaly::Origin;
use gridwatch_core::assets::Assets;
use gridwatch_core::batch::{BatchView, Sensor};
use gridwatch_core::decode::DecodeSettings;
use gridwatch_core::judge::{Judge, Limits, Module};
use gridwatch_core::reading::Quantity;
use gridwatch_core::record::RecordFormat;
use gridwatch_core::sink::{Delivery, LaneCommit, LaneId};
use gridwatch_engine::deployment::{Deployment, OnFault, OnNewState};
use gridwatch_engine::lane::{Lane, LaneParts};
use gridwatch_engine::outlet::Outlet;
use gridwatch_engine::settings::{LaneSettings, PaceSettings};
use gridwatch_engine::worker::{Parcel, Step, Worker};
use gridwatch_tests::bench::{
    NoLog, cpu_of, median, native_modules, pin_to_one_core, spread, wasm_modules, write_result,
};
use serde::Deserialize;
use serde_json::json;

const READINGS: usize = 500_000;
const RUNS: usize = 5;
const ROWS: usize = 1024;

/// What somebody would write down who knows the messages.
#[derive(Deserialize)]
struct Message<'a> {
    sensor_id: &'a str,
    timestamp: &'a str,
    voltage: Option<f64>,
    current: Option<f64>,
    power: Option<f64>,
    frequency: Option<f64>,
    power_factor: Option<f64>,
    #[serde(default)]
    #[allow(dead_code, reason = "parsed, as a hand-written job would")]
    location: Option<&'a str>,
}

const NAMES: [&str; 5] = ["voltage", "current", "power", "frequency", "power_factor"];

struct Input {
    records: Vec<Vec<u8>>,
    assets: Arc<Assets>,
}

impl Input {
    fn simulated() -> Input {
        let scenario = Scenario {
            seed: 7,
            three_phase_share: 0.0,
            feeder_heads: false,
            meters_per_feeder: 100,
            days: 2.0,
            ..Scenario::default()
        };
        let mut simulation = Simulation::new(scenario.without_faults()).unwrap();
        let assets = Assets::parse(simulation.world().assets_csv().as_bytes(), "assets.csv").unwrap();
        let mut records = Vec::with_capacity(READINGS);
        while records.len() < READINGS {
            let reading = simulation.next().unwrap();
            let mut record = Vec::with_capacity(192);
            simulation.write_json(&reading, &mut record);
            records.push(record);
        }
        Input { records, assets: Arc::new(assets) }
    }
}

fn gridwatch(input: &Input, feed: &MemoryFeed, modules: &[Arc<dyn Module>]) -> u64 {
    let deployments = modules.iter().map(|module| {
        Arc::new(Deployment {
            name: module.descriptor().name.clone(),
            module: module.clone(),
            parameters: "{}".into(),
            limits: Limits::default(),
            on_fault: OnFault::Halt,
            on_new_state: OnNewState::Refuse,
            faults_max: 5,
            generation: 0,
            mode: gridwatch_engine::deployment::Mode::Live,
            came_ms: None,
            rollback_window: Duration::ZERO,
            log: Arc::new(NoLog),
        })
    });
    let parts = LaneParts {
        name: "0".into(),
        origin: Origin::File { file: "memory".into() },
        settings: LaneSettings {
            decode: DecodeSettings::default(),
            format: RecordFormat::Json,
            assets_digest: String::new(),
            tick_ms: 60_000,
            lateness_ms: 60_000,
            time_ahead_max_ms: 300_000,
            time_ahead_reject_max_ms: 172_800_000,
            sensors_max: 1_000_000,
            checks_schemas: false,
        },
        assets: input.assets.clone(),
        source: Vec::new(),
        delivery: Delivery::ExactlyOnce,
        dormant: Vec::new(),
        deployments: deployments.collect(),
        batch_rows_max: ROWS,
        schemas: None,
        past: None,
        history: None,
    };
    let pace = PaceSettings { batch_delay: Duration::from_secs(1), ..PaceSettings::default() };
    let (id, store) = (LaneId::only("0"), MemoryStore::new());
    let mut outlet = Outlet::new(Box::new(MemorySink::new()), Vec::new());
    let lane = Lane::cold(parts, 0).unwrap();
    let mut worker = Worker::new(lane, Box::new(feed.clone()), pace, Duration::ZERO).unwrap();
    let commit = LaneCommit { position: 0, checkpoint: "of the beginning".into(), decisions: vec![] };
    outlet.receive(&id, Parcel::Opened { commit, is_new: true }).unwrap();
    let mut steps = 0u64;
    loop {
        let step = worker.step(Duration::ZERO, Duration::ZERO, false, &mut |parcel| {
            outlet.receive(&id, parcel).unwrap();
        });
        steps += 1;
        // About what a commit every half second at a million readings a second comes to.
        if steps.is_multiple_of(500) {
            outlet.do_chores(&store);
            outlet.settle().unwrap();
        }
        if step.unwrap() == Step::Ended {
            break;
        }
    }
    outlet.settle().unwrap();
    let account = worker.lane().account();
    assert_eq!(account.judged, READINGS as u64);
    account.anomalies.values().sum()
}

/// A detector of the floor, with what it chose.
struct Floor {
    judge: Box<dyn Judge>,
    chosen: Vec<u32>,
    values: Vec<f64>,
}

fn floor(input: &Input, modules: &[Arc<dyn Module>]) -> u64 {
    let quantities: Vec<Quantity> =
        NAMES.iter().map(|name| Quantity { name: (*name).into(), unit: None }).collect();
    let mut detectors: Vec<Floor> = modules
        .iter()
        .map(|module| {
            let mut judge = module.instantiate(Limits::default(), Arc::new(NoLog)).unwrap();
            let chosen = judge.configure("{}", &quantities).unwrap();
            Floor { judge, chosen, values: Vec::new() }
        })
        .collect();
    let mut sensors: HashMap<String, u32> = HashMap::new();
    let (mut numbers, mut timestamps) = (Vec::with_capacity(ROWS), Vec::with_capacity(ROWS));
    let mut columns: [Vec<f64>; 5] = Default::default();
    let (mut found, mut tick) = (0u64, 0i64);
    for (at, record) in input.records.iter().enumerate() {
        let message: Message<'_> = serde_json::from_slice(record).unwrap();
        let number = match sensors.get(message.sensor_id) {
            Some(&number) => number,
            None => {
                let number = sensors.len() as u32;
                let attributes = input.assets.get(message.sensor_id).to_vec();
                let sensor = Sensor { id: message.sensor_id.to_owned(), attributes };
                for detector in &mut detectors {
                    detector.judge.set_sensors(number, std::slice::from_ref(&sensor)).unwrap();
                }
                sensors.insert(message.sensor_id.to_owned(), number);
                number
            }
        };
        let timestamp = gridwatch_core::decode::parse_rfc3339(message.timestamp).unwrap();
        numbers.push(number);
        timestamps.push(timestamp);
        let values =
            [message.voltage, message.current, message.power, message.frequency, message.power_factor];
        for (column, value) in columns.iter_mut().zip(values) {
            column.push(value.unwrap_or(f64::NAN));
        }
        let ticked = (timestamp - 60_000).div_euclid(60_000) * 60_000;
        if numbers.len() == ROWS || ticked > tick || at + 1 == input.records.len() {
            for Floor { judge, chosen, values } in &mut detectors {
                values.clear();
                chosen.iter().for_each(|&q| values.extend_from_slice(&columns[q as usize]));
                let view = BatchView {
                    sensors: &numbers,
                    timestamps: &timestamps,
                    values,
                    marks: &[],
                    malformed: &[],
                };
                found += judge.observe(view).unwrap().len() as u64;
                if ticked > tick {
                    found += judge.advance(ticked).unwrap().len() as u64;
                }
            }
            tick = tick.max(ticked);
            numbers.clear();
            timestamps.clear();
            columns.iter_mut().for_each(Vec::clear);
        }
    }
    found
}

fn main() {
    pin_to_one_core();
    let input = Input::simulated();
    let bytes = input.records.iter().map(Vec::len).sum::<usize>() / input.records.len();
    // Copies of a feed share the records.
    let feed = MemoryFeed::new(input.records.clone());
    let (native, wasm) = (native_modules(), wasm_modules());
    println!("{READINGS} readings of {bytes} bytes, four detectors, {RUNS} alternating runs, one core");
    let per_million = 1e6 / READINGS as f64;
    let (mut floors, mut ours, mut natives, mut ratios) = (vec![], vec![], vec![], vec![]);
    for _ in 0..RUNS {
        let (floor_s, floor_found) = cpu_of(|| floor(&input, &native));
        let (ours_s, ours_found) = cpu_of(|| gridwatch(&input, &feed, &wasm));
        let (native_s, native_found) = cpu_of(|| gridwatch(&input, &feed, &native));
        assert_eq!(ours_found, native_found, "WebAssembly and native find different things");
        println!(
            "floor {:.3} s, gridwatch {:.3} s, its engine with native detectors {:.3} s a million; findings {floor_found}, {ours_found}",
            floor_s * per_million,
            ours_s * per_million,
            native_s * per_million
        );
        floors.push(floor_s * per_million);
        ours.push(ours_s * per_million);
        natives.push(native_s * per_million);
        ratios.push(ours_s / floor_s);
    }
    let (ratio, noise) = (median(ratios.clone()), spread(ratios));
    println!("ratio {ratio:.3} (noise {:.1} %)", noise * 100.0);
    write_result(
        "replay",
        &json!({"ratio": ratio, "noise": noise, "floor_cpu_s_per_million": median(floors),
        "gridwatch_cpu_s_per_million": median(ours), "gridwatch_native_cpu_s_per_million": median(natives)}),
    );
}
