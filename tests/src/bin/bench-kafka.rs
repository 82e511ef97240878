//! A topic through gridwatch, and through the least that anybody could write by hand: CPU seconds per million
//! readings, both on one pinned core (the broker on the others), alternating, medians; then on all cores.
//!
//! `READINGS`, `RUNS` and `INTERVAL_MS` (each sensor's reporting interval) come from the environment.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use std::collections::BTreeMap;
use std::fs::File;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use gridwatch_core::assets::Assets;
use gridwatch_tests::bench::floor::{self, Job, Report};
use gridwatch_tests::bench::process::{Cores, Process, get, metric};
use gridwatch_tests::bench::topic::{
    PARTITIONS, SENSORS, Station, Task, count, create_outputs, fill, scenario,
};
use gridwatch_tests::bench::{median, spread, write_result};
use gridwatch_tests::servers::{Kafka, Topics};
use rustix::process::Signal;
use serde_json::{Value, json};

const TOPIC: &str = "sensor-readings";
const MODES: [&str; 2] = ["at-least-once", "exactly-once"];
const LOOK_EVERY: Duration = Duration::from_millis(100);
const LIMIT: Duration = Duration::from_secs(600);

/// A number from the environment.
fn asked(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |text| text.parse().unwrap_or_else(|e| panic!("{name}: {e}")))
}

/// One process over the whole topic.
#[derive(Debug, Default)]
struct Run {
    cpu_s: f64,
    /// From the moment when it could read to the last reading judged.
    wall_s: f64,
    peak_mib: f64,
    /// By detector, kind and phase.
    anomalies: BTreeMap<String, u64>,
    /// In the detectors' calls: CPU seconds of the floor, wall seconds of gridwatch.
    detectors_s: f64,
}

struct Bench {
    kafka: Kafka,
    topics: Topics,
    readings: u64,
    assets: String,
    runs: u64,
}

impl Bench {
    /// A topic of its own for each run's anomalies; the name serves as the group's, too.
    fn fresh(&mut self) -> String {
        self.runs += 1;
        let name = format!("run-{}", self.runs);
        create_outputs(&self.topics, &name);
        name
    }

    fn floor(&mut self, cores: &Cores) -> Run {
        let name = self.fresh();
        let folder = tempfile::tempdir().unwrap();
        let assets = folder.path().join("assets.csv");
        std::fs::write(&assets, &self.assets).unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg("floor").args([&self.kafka.bootstrap(), &name, assets.to_str().unwrap()]);
        command.arg(self.readings.to_string()).stdin(Stdio::null()).stdout(Stdio::piped());
        let start = Instant::now();
        let mut process = cores.spawn(&mut command);
        let output = process.child.stdout.take().unwrap();
        let (status, cpu_s, peak_mib) = process.finish(LIMIT);
        let wall_s = start.elapsed().as_secs_f64();
        assert!(status.success(), "the floor: {status}");
        let report: Report = serde_json::from_reader(output).unwrap();
        assert_eq!(report.readings, self.readings);
        let anomalies = count(&self.kafka.bootstrap(), &name, PARTITIONS);
        assert_eq!(
            anomalies.values().sum::<u64>(),
            report.findings,
            "not all that was found is in the topic"
        );
        Run { cpu_s, wall_s, peak_mib, anomalies, detectors_s: report.detectors_cpu_s }
    }

    fn gridwatch(&mut self, mode: &str, topic: &str, cores: &Cores) -> Run {
        let name = self.fresh();
        let bootstrap = self.kafka.bootstrap();
        let task = Task {
            bootstrap: &bootstrap,
            readings: topic,
            anomalies: &name,
            group: &name,
            delivery: mode,
            start: "earliest",
            engine: "instance = \"bench\"\n",
            assets: "path = \"assets.csv\"\n",
        };
        let station = Station::new(&task, &self.assets);
        let mut command = station.house.command(&["run", "-c", "gridwatch.toml", "--json"]);
        let log = station.house.path("log");
        command.stdout(Stdio::piped()).stderr(File::create(&log).unwrap());
        let mut process = cores.spawn(&mut command);
        let is_ready = |_: &Process| get(station.api_port, "/readyz").is_some();
        until(&mut process, &log, "ready", is_ready, Duration::from_millis(5));
        let start = Instant::now();
        if topic == TOPIC {
            let all = self.readings as f64;
            let is_over = |_: &Process| metric(station.metrics_port, "gridwatch_judged_total") >= Some(all);
            until(&mut process, &log, "through the topic", is_over, LOOK_EVERY);
        }
        let wall_s = start.elapsed().as_secs_f64();
        let detectors_s = metric(station.metrics_port, "gridwatch_detector_seconds_total").unwrap_or(0.0);
        let peak = process.peak_mib().unwrap();
        if topic != TOPIC {
            // Started, and nothing read: that is all that is wanted.
            return Run {
                cpu_s: process.cpu_seconds(),
                wall_s,
                peak_mib: peak,
                anomalies: BTreeMap::new(),
                detectors_s,
            };
        }
        process.signal(Signal::TERM);
        let output = process.child.stdout.take().unwrap();
        let (status, cpu_s, peak_mib) = process.finish(LIMIT);
        let said = std::fs::read_to_string(&log).unwrap();
        assert!(status.success(), "gridwatch: {status}\n{said}");
        let account: Value = serde_json::from_reader(output).unwrap();
        assert_eq!(account["judged"], self.readings, "{account}\n{said}");
        let counts = account["anomalies"].as_array().unwrap().iter().map(|entry| entry["count"].as_u64());
        let anomalies = count(&bootstrap, &name, PARTITIONS);
        assert_eq!(
            Some(anomalies.values().sum::<u64>()),
            counts.sum::<Option<u64>>(),
            "not all that was found is in the topic\n{account}\n{said}"
        );
        Run { cpu_s, wall_s, peak_mib: peak.max(peak_mib), anomalies, detectors_s }
    }
}

/// Waits for what is to become true of a process that runs.
fn until(
    process: &mut Process,
    log: &std::path::Path,
    what: &str,
    is_so: impl Fn(&Process) -> bool,
    every: Duration,
) {
    let deadline = Instant::now() + LIMIT;
    while !is_so(process) {
        let said = || std::fs::read_to_string(log).unwrap();
        if let Some(status) = process.has_ended() {
            panic!("gridwatch has ended before it was {what}: {status}\n{}", said());
        }
        assert!(Instant::now() < deadline, "not {what} in time\n{}", said());
        std::thread::sleep(every);
    }
}

fn column(runs: &[Run], of: impl Fn(&Run) -> f64) -> Vec<f64> {
    runs.iter().map(of).collect()
}

fn middle(runs: &[Run], of: impl Fn(&Run) -> f64) -> f64 {
    median(column(runs, of))
}

/// The hand-written job, as a process of its own.
fn be_the_floor(arguments: &[String]) {
    let [bootstrap, name, assets, readings] = arguments else {
        panic!("bench-kafka floor BOOTSTRAP NAME ASSETS READINGS");
    };
    let csv = std::fs::read(assets).unwrap();
    let report = floor::run(&Job {
        bootstrap,
        readings: TOPIC,
        anomalies: name,
        group: name,
        assets: &Assets::parse(&csv, assets).unwrap(),
        readings_max: readings.parse().unwrap(),
    });
    println!("{}", serde_json::to_string(&report).unwrap());
}

fn prepare(readings: u64) -> Bench {
    let interval_ms = u32::try_from(asked("INTERVAL_MS", 1_000)).unwrap();
    let kafka = Kafka::setup().for_load().start();
    let topics = kafka.topics();
    topics.create(TOPIC, PARTITIONS as usize);
    topics.create("empty", PARTITIONS as usize);
    let scenario = scenario(readings, interval_ms);
    let assets = scenario.assets_csv().unwrap();
    let start = Instant::now();
    let bytes = fill(&kafka.bootstrap(), TOPIC, scenario, readings);
    println!(
        "{readings} readings of {bytes:.0} bytes from {SENSORS} sensors, one each {interval_ms} ms, in {PARTITIONS} \
         partitions, plain JSON, not compressed (filled in {:.0} s)",
        start.elapsed().as_secs_f64()
    );
    Bench { kafka, topics, readings, assets, runs: 0 }
}

/// Alternating runs on one core: floor, then both modes.
fn pinned(bench: &mut Bench, cores: &Cores, runs: u64) -> (Vec<Run>, [Vec<Run>; 2]) {
    cores.others().take_process(bench.kafka.pid().unwrap());
    cores.others().take();
    let per_million = 1e6 / bench.readings as f64;
    let (mut floors, mut ours) = (vec![], [vec![], vec![]]);
    for _ in 0..runs {
        let floor = bench.floor(&cores.measured());
        print!(
            "floor {:.3} ({:.3} of it detectors)",
            floor.cpu_s * per_million,
            floor.detectors_s * per_million
        );
        for (mode, ours) in MODES.iter().zip(&mut ours) {
            let run = bench.gridwatch(mode, TOPIC, &cores.measured());
            print!(
                ", {mode} {:.3} ({:.3}, {:.0} MiB)",
                run.cpu_s * per_million,
                run.detectors_s * per_million,
                run.peak_mib
            );
            assert_eq!(run.anomalies, floor.anomalies, "{mode} finds something else than the floor");
            ours.push(run);
        }
        println!(" CPU s a million; {} anomalies each", floor.anomalies.values().sum::<u64>());
        floors.push(floor);
    }
    (floors, ours)
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|word| word == "floor") {
        return be_the_floor(&arguments[1..]);
    }
    let (readings, runs) = (asked("READINGS", 6_000_000), asked("RUNS", 5));
    let cores = Cores::all();
    let mut bench = prepare(readings);
    // The first start compiles the detectors.
    bench.gridwatch(MODES[0], "empty", &cores);
    let starts: Vec<Run> = (0..runs).map(|_| bench.gridwatch(MODES[0], "empty", &cores.measured())).collect();
    let start_cpu_s = middle(&starts, |run| run.cpu_s);
    println!("start-up to ready, contained in the figures below: {start_cpu_s:.2} CPU s");
    let (floors, ours) = pinned(&mut bench, &cores, runs);
    cores.take();
    cores.take_process(bench.kafka.pid().unwrap());
    let rate = |run: &Run| readings as f64 / run.wall_s;
    let free_floor = rate(&bench.floor(&cores));
    let free = MODES.map(|mode| rate(&bench.gridwatch(mode, TOPIC, &cores)));
    report(readings, start_cpu_s, &floors, &ours, (free_floor, free));
}

fn report(readings: u64, start_cpu_s: f64, floors: &[Run], ours: &[Vec<Run>; 2], rates: (f64, [f64; 2])) {
    let per_million = 1e6 / readings as f64;
    let floor_s = middle(floors, |run| run.cpu_s);
    let native_s = middle(floors, |run| run.detectors_s);
    let share = native_s / floor_s;
    println!("\nthe detectors' native share of the floor: {:.1} %", share * 100.0);
    let mut result = json!({
        "readings": readings,
        "anomalies": floors[0].anomalies.values().sum::<u64>(),
        "floor_cpu_s_per_million": floor_s * per_million,
        "floor_detectors_cpu_s_per_million": native_s * per_million,
        "floor_detectors_share": share,
        "floor_rss_mib": middle(floors, |run| run.peak_mib),
        "floor_readings_per_s_unpinned": rates.0,
        "start_cpu_s": start_cpu_s,
    });
    let mut rss_mib: f64 = 0.0;
    for ((mode, runs), rate) in MODES.iter().zip(ours).zip(rates.1) {
        let ratios: Vec<f64> = runs.iter().zip(floors).map(|(run, floor)| run.cpu_s / floor.cpu_s).collect();
        let without: Vec<f64> = runs
            .iter()
            .zip(floors)
            .map(|(run, floor)| (run.cpu_s - floor.detectors_s) / (floor.cpu_s - floor.detectors_s))
            .collect();
        let (noise, ratio, without) = (spread(ratios.clone()), median(ratios), median(without));
        let name = mode.replace('-', "_");
        println!(
            "{mode}: {ratio:.3} of the floor (noise {:.1} %), {:.3} CPU s a million, {rate:.0} readings a second unpinned \
             (floor {:.0})",
            noise * 100.0,
            middle(runs, |run| run.cpu_s) * per_million,
            rates.0
        );
        result[format!("{name}_ratio")] = json!(ratio);
        result[format!("{name}_noise")] = json!(noise);
        result[format!("{name}_cpu_s_per_million")] = json!(middle(runs, |run| run.cpu_s) * per_million);
        result[format!("{name}_detectors_s_per_million")] =
            json!(middle(runs, |run| run.detectors_s) * per_million);
        result[format!("{name}_readings_per_s_unpinned")] = json!(rate);
        if share > 0.25 {
            println!("  without the native detectors' time on both sides: {without:.3}");
            result[format!("{name}_ratio_without_detectors")] = json!(without);
        }
        rss_mib = column(runs, |run| run.peak_mib).into_iter().fold(rss_mib, f64::max);
    }
    println!("peak resident memory: {rss_mib:.0} MiB (floor {:.0})", middle(floors, |run| run.peak_mib));
    result["rss_mib"] = json!(rss_mib);
    write_result("kafka", &result);
}
