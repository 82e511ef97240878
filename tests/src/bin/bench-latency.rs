//! How soon an anomaly is read: from producing the reading to a `read_committed` consumer, at a steady rate, in
//! both modes; then from a kill to the first new anomaly, and how long a lane is silent when it moves.
//!
//! `DURATION` (seconds), `RATE` and `KILLS` come from the environment.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use std::fs::File;
use std::process::Stdio;
use std::time::{Duration, Instant};

use gridwatch_tests::bench::live::{Live, Seen};
use gridwatch_tests::bench::process::{Cores, Process, get};
use gridwatch_tests::bench::topic::{PARTITIONS, Station, Task, create_outputs};
use gridwatch_tests::bench::{median, write_result};
use gridwatch_tests::servers::Kafka;
use rustix::process::Signal;
use serde_json::{Value, json};

const MODES: [&str; 2] = ["at-least-once", "exactly-once"];
const SENSORS: u64 = 10_000;
/// For the lane that moves.
const SENSORS_MANY: u64 = 100_000;
/// Before it counts: every sensor has reported, code is warm.
const WARM_UP: Duration = Duration::from_secs(10);
/// Of running before a lane moves: half of a checkpoint's interval, as it comes on average.
const BEFORE_MOVE: Duration = Duration::from_secs(30);
const AFTER_MOVE: Duration = Duration::from_secs(25);
const LIMIT: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(2);
const ASSETS: &str = "[assets.all]\nnominal_voltage = 230\nnominal_frequency = 50\n";

fn asked(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |text| text.parse().unwrap_or_else(|e| panic!("{name}: {e}")))
}

fn ms(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e5).round() / 100.0
}

/// The topics of one scenario.
struct Stage<'a> {
    bootstrap: String,
    readings: String,
    anomalies: String,
    delivery: &'a str,
}

impl<'a> Stage<'a> {
    fn new(kafka: &Kafka, name: &str, delivery: &'a str) -> Stage<'a> {
        let (readings, anomalies) = (format!("{name}-readings"), format!("{name}-anomalies"));
        let topics = kafka.topics();
        topics.create(&readings, PARTITIONS as usize);
        create_outputs(&topics, &anomalies);
        Stage { bootstrap: kafka.bootstrap(), readings, anomalies, delivery }
    }

    fn task(&self, engine: &'a str) -> Task<'_> {
        Task {
            bootstrap: &self.bootstrap,
            readings: &self.readings,
            anomalies: &self.anomalies,
            group: &self.readings,
            delivery: self.delivery,
            start: "earliest",
            engine,
            assets: ASSETS,
        }
    }

    fn live(&self, sensors: u64, rate: u64) -> Live {
        Live::start(&self.bootstrap, &self.readings, &self.anomalies, sensors, rate)
    }
}

/// Starts gridwatch in the station's folder; its log is added to.
fn start(station: &Station, config: &str) -> Process {
    let mut command = station.house.command(&["run", "-c", config]);
    let log = File::options().create(true).append(true).open(station.house.path("log")).unwrap();
    Cores::all().spawn(command.stdout(Stdio::null()).stderr(log))
}

fn until_ready(process: &mut Process, station: &Station, port: u16) {
    until(process, station, "ready", || get(port, "/readyz"));
}

/// Waits for what is to come of a process that runs.
fn until<T>(process: &mut Process, station: &Station, what: &str, come: impl Fn() -> Option<T>) -> T {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(found) = come() {
            return found;
        }
        let ended = process.has_ended();
        if ended.is_some() || Instant::now() > deadline {
            panic!("no {what}: {ended:?}\n{}", station.house.text("log"));
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Percentiles over some seconds, then kills.
fn steady(kafka: &Kafka, delivery: &str, seconds: u64, rate: u64) -> Value {
    let stage = Stage::new(kafka, "steady", delivery);
    let station = Station::new(&stage.task("instance = \"one\"\n"), "");
    let mut process = start(&station, "gridwatch.toml");
    until_ready(&mut process, &station, station.api_port);
    let live = stage.live(SENSORS, rate);
    std::thread::sleep(WARM_UP);
    let (from, before) = (Instant::now(), live.readings());
    std::thread::sleep(Duration::from_secs(seconds));
    let (to, produced) = (Instant::now(), live.readings() - before);
    std::thread::sleep(Duration::from_secs(3));
    let seen: Vec<Seen> =
        live.seen().into_iter().filter(|seen| (from..to).contains(&seen.produced)).collect();
    let mut late: Vec<f64> = seen.iter().map(|seen| ms(seen.read - seen.produced)).collect();
    assert!(late.len() > 100, "only {} anomalies read\n{}", late.len(), station.house.text("log"));
    late.sort_by(f64::total_cmp);
    let at = |share: f64| late[((late.len() - 1) as f64 * share).round() as usize];
    let unseen = live.unseen(from, to);
    let per_s = produced as f64 / (to - from).as_secs_f64();
    println!(
        "{delivery}: p50 {:.1}, p90 {:.1}, p99 {:.1}, max {:.1} ms over {} anomalies at {per_s:.0} readings a second; \
         {unseen} unseen; {:.0} MiB",
        at(0.5),
        at(0.9),
        at(0.99),
        at(1.0),
        late.len(),
        process.peak_mib().unwrap()
    );
    let kills = kill(process, &station, &live, asked("KILLS", 5));
    println!("{delivery}: from kill -9 to the first new anomaly, restarted at once: {kills:.0?} ms");
    json!({"p50_ms": at(0.5), "p90_ms": at(0.9), "p99_ms": at(0.99), "max_ms": at(1.0), "anomalies": late.len(),
        "unseen": unseen, "readings_per_s": per_s, "kill_to_anomaly_ms": kills.clone(),
        "kill_to_anomaly_median_ms": median(kills)})
}

/// Milliseconds from each kill to the first anomaly of a reading that was produced after it.
fn kill(mut process: Process, station: &Station, live: &Live, kills: u64) -> Vec<f64> {
    let mut took = Vec::new();
    for _ in 0..kills.max(1) {
        let killed = Instant::now();
        process.signal(Signal::KILL);
        process.finish(LIMIT);
        process = start(station, "gridwatch.toml");
        let first = until(&mut process, station, "anomaly after a kill", || live.first_since(killed));
        took.push(ms(first.read - killed));
        std::thread::sleep(Duration::from_secs(3));
    }
    took
}

/// The longest time without an anomaly of a partition between two moments.
fn silence(seen: &[Seen], partition: u32, from: Instant, to: Instant) -> Duration {
    let mut times: Vec<Instant> = seen
        .iter()
        .filter(|seen| seen.partition == partition && (from..to).contains(&seen.read))
        .map(|seen| seen.read)
        .collect();
    times.extend([from, to]);
    times.sort_unstable();
    times.windows(2).map(|two| two[1] - two[0]).max().unwrap_or_default()
}

/// A second process joins: how long each lane says nothing, beside how long it does so anyhow.
fn moved(kafka: &Kafka, delivery: &str, rate: u64) -> Value {
    let stage = Stage::new(kafka, "move", delivery);
    let station = Station::new(&stage.task("instance = \"one\"\n"), "");
    let mut one = start(&station, "gridwatch.toml");
    until_ready(&mut one, &station, station.api_port);
    let live = stage.live(SENSORS_MANY, rate);
    std::thread::sleep(BEFORE_MOVE);
    let (config, port) = station.twin(&stage.task("instance = \"two\"\n"));
    let joins = Instant::now();
    let mut two = start(&station, config);
    until_ready(&mut two, &station, port);
    let ready_ms = ms(joins.elapsed());
    std::thread::sleep(AFTER_MOVE);
    let (seen, over) = (live.seen(), Instant::now() - Duration::from_secs(2));
    let of = |from, to| -> Vec<f64> {
        (0..PARTITIONS).map(|partition| ms(silence(&seen, partition, from, to))).collect()
    };
    let usual = of(joins - Duration::from_secs(10), joins);
    let pause = of(joins, over);
    println!(
        "{delivery}: a second process joins ({SENSORS_MANY} sensors; ready after {ready_ms:.0} ms): longest silence by lane \
         {pause:.0?} ms, before {usual:.0?} ms"
    );
    assert!(one.has_ended().is_none() && two.has_ended().is_none(), "{}", station.house.text("log"));
    json!({"sensors": SENSORS_MANY, "silence_ms_by_lane": pause, "usual_silence_ms_by_lane": usual,
        "second_ready_ms": ready_ms})
}

fn main() {
    let (seconds, rate) = (asked("DURATION", 60), asked("RATE", 50_000));
    let mut result = json!({"commit_interval_ms": 500});
    for delivery in MODES {
        // A broker each: what one mode leaves behind is not the other's to carry.
        let kafka = Kafka::setup().for_load().start();
        let mut figures = steady(&kafka, delivery, seconds, rate);
        figures["rebalance"] = moved(&kafka, delivery, rate);
        result[delivery.replace('-', "_")] = figures;
    }
    write_result("latency", &result);
}
