//! Simulated readings in a topic, gridwatch's configuration for it, and what came out.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use gridwatch_connectors::simulator::{FaultKind, Scenario, Simulation, World};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};
use serde::Deserialize;

use crate::house::House;
use crate::servers::Topics;

pub const PARTITIONS: u32 = 4;
pub const SENSORS: u64 = 1_000;
/// The three that the issue of speed names.
pub const DETECTORS: [&str; 3] = ["limits", "physics", "shift"];
/// Event time, milliseconds; gridwatch's default for both but for the lateness, written down for both sides.
pub const TICK_MS: i64 = 60_000;
pub const LATENESS_MS: i64 = 30_000;
const PATIENCE: Duration = Duration::from_secs(120);

/// A thousand meters on eight feeders; spikes here and there, so that there is something to find.
pub fn scenario(readings: u64, interval_ms: u32) -> Scenario {
    let slots = readings.div_ceil(SENSORS) + 1;
    let days = slots as f64 * f64::from(interval_ms) / 86_400_000.0;
    Scenario {
        seed: 7,
        areas: 2,
        feeders_per_area: 4,
        meters_per_feeder: 125,
        feeder_heads: false,
        three_phase_share: 0.0,
        days,
        interval_ms,
        lost_share: 0.0,
        // A spike wants half an hour to happen in.
        faults_per_kind: if days > 1.0 / 24.0 { 300 } else { 0 },
        kinds: vec![FaultKind::Spike],
        learning_days: days / 10.0,
        recovery_hours: 0.1,
        ..Scenario::default()
    }
}

/// Fills a topic: each partition has its feeders' readings in the order of their arrival, keyed by sensor,
/// stamped with their event time. Plain JSON, not compressed. Bytes of a reading on average.
pub fn fill(bootstrap: &str, topic: &str, scenario: Scenario, readings: u64) -> f64 {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap).set("compression.type", "none").set("linger.ms", "20");
    config.set("batch.size", "1000000").set("queue.buffering.max.messages", "500000");
    let producer: BaseProducer = config.create().unwrap();
    let world = World::new(scenario).unwrap();
    let lane = |lane| Simulation::lane(world.clone(), lane, PARTITIONS).unwrap();
    let mut lanes: Vec<Simulation> = (0..PARTITIONS).map(lane).collect();
    let (mut payload, mut bytes) = (Vec::new(), 0);
    for number in 0..readings {
        let at = (number % u64::from(PARTITIONS)) as usize;
        let reading = lanes[at].next().expect("a scenario that is long enough");
        payload.clear();
        world.write_json(&reading, &mut payload);
        bytes += payload.len();
        send(
            &producer,
            topic,
            Some(at as i32),
            &world.sensors()[reading.sensor as usize].id,
            &payload,
            reading.timestamp,
        );
    }
    producer.flush(PATIENCE).unwrap();
    bytes as f64 / readings as f64
}

/// Waits where the producer's queue is full.
pub fn send(
    producer: &BaseProducer,
    topic: &str,
    partition: Option<i32>,
    key: &str,
    payload: &[u8],
    time_ms: i64,
) {
    loop {
        let mut record = BaseRecord::to(topic).key(key).payload(payload).timestamp(time_ms);
        if let Some(partition) = partition {
            record = record.partition(partition);
        }
        match producer.send(record) {
            Ok(()) => return,
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                producer.poll(Duration::from_millis(10));
            }
            Err((error, _)) => panic!("{topic}: {error}"),
        }
    }
}

/// A folder to run gridwatch in over a topic, with the three detectors.
pub struct Station {
    pub house: House,
    pub api_port: u16,
    pub metrics_port: u16,
}

/// What one run differs by from another.
#[derive(Clone, Debug)]
pub struct Task<'a> {
    pub bootstrap: &'a str,
    pub readings: &'a str,
    pub anomalies: &'a str,
    pub group: &'a str,
    pub delivery: &'a str,
    pub start: &'a str,
    /// Further lines of `[engine]`, each ended.
    pub engine: &'a str,
    /// `[assets]` without its head.
    pub assets: &'a str,
}

impl Station {
    pub fn new(task: &Task<'_>, assets_csv: &str) -> Station {
        let house = House::with(&DETECTORS);
        house.write("assets.csv", assets_csv);
        let (api_port, metrics_port) = free_ports();
        house.write("gridwatch.toml", text(task, &house, api_port, metrics_port));
        Station { house, api_port, metrics_port }
    }

    /// A second process of the same group, on ports of its own: the name of its configuration.
    pub fn twin(&self, task: &Task<'_>) -> (&'static str, u16) {
        let (api_port, metrics_port) = free_ports();
        self.house.write("twin.toml", text(task, &self.house, api_port, metrics_port));
        ("twin.toml", api_port)
    }
}

fn text(task: &Task<'_>, house: &House, api_port: u16, metrics_port: u16) -> String {
    let mut text = String::new();
    let Task { bootstrap, readings, anomalies, group, delivery, start, engine, assets } = task;
    let checkpoints = house.path("checkpoints");
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        "[source]\nkind = \"kafka\"\nbrokers = \"{bootstrap}\"\ntopic = \"{readings}\"\ngroup = \"{group}\"\n\
         start = \"{start}\"\n[sink]\nkind = \"kafka\"\ntopic = \"{anomalies}\"\n\
         [dead_letters]\ntopic = \"{anomalies}.dlq\"\n[assets]\n{assets}[detectors]\ndir = \"detectors\"\n\
         [engine]\ndelivery = \"{delivery}\"\ntick = \"{TICK_MS}ms\"\nlateness = \"{LATENESS_MS}ms\"\n{engine}\
         [checkpoints]\ndir = \"{}\"\n\
         [api]\nlisten = \"127.0.0.1:{api_port}\"\n[metrics]\nlisten = \"127.0.0.1:{metrics_port}\"\n",
        checkpoints.display(),
    );
    text
}

/// Two ports that nobody listens on now.
fn free_ports() -> (u16, u16) {
    let free = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let (one, other) = (free(), free());
    (one.local_addr().unwrap().port(), other.local_addr().unwrap().port())
}

/// Topics for what comes out of a run: anomalies, and dead letters beside them.
pub fn create_outputs(topics: &Topics, anomalies: &str) {
    topics.create(anomalies, PARTITIONS as usize);
    topics.create(&format!("{anomalies}.dlq"), 1);
}

/// A consumer of all partitions from their beginning that sees what is committed.
pub fn reader(bootstrap: &str, topic: &str, partitions: u32) -> BaseConsumer {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "bench-reader")
        .set("enable.auto.commit", "false");
    config.set("isolation.level", "read_committed").set("enable.partition.eof", "true");
    config.set("fetch.wait.max.ms", "5");
    let consumer: BaseConsumer = config.create().unwrap();
    let mut list = TopicPartitionList::new();
    for partition in 0..partitions {
        list.add_partition_offset(topic, partition as i32, Offset::Beginning).unwrap();
    }
    consumer.assign(&list).unwrap();
    consumer
}

/// Committed anomalies of a topic that ends, by detector, kind and phase.
pub fn count(bootstrap: &str, topic: &str, partitions: u32) -> BTreeMap<String, u64> {
    #[derive(Deserialize)]
    struct Anomaly<'a> {
        detector: &'a str,
        kind: &'a str,
        phase: &'a str,
    }
    let consumer = reader(bootstrap, topic, partitions);
    let (mut ended, mut counts) = (BTreeSet::new(), BTreeMap::new());
    let deadline = Instant::now() + PATIENCE;
    while ended.len() < partitions as usize {
        assert!(Instant::now() < deadline, "{topic} does not come to its end");
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                let anomaly: Anomaly<'_> = serde_json::from_slice(message.payload().unwrap()).unwrap();
                let Anomaly { detector, kind, phase } = anomaly;
                *counts.entry(format!("{detector} {kind} {phase}")).or_default() += 1;
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                ended.insert(partition);
            }
            Some(Err(error)) => panic!("{topic}: {error}"),
            None => {}
        }
    }
    counts
}
