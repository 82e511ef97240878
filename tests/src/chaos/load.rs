//! Readings that keep coming: the simulator's with faults, each sensor on one partition, at a given rate, and
//! now and then a record that is none.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use gridwatch_connectors::simulator::{After, FaultKind, Scenario, Simulation};
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::stage::{PARTITIONS, READINGS};

/// One of so many records is no reading: what readers see of dead letters is a clock.
const GARBAGE_EVERY: u64 = 101;
/// Over 60 days; there are sensors and time for more.
const FAULTS_PER_KIND: u32 = 150;
const PATIENCE: Duration = Duration::from_secs(120);

/// One record to send.
#[derive(Clone, Debug)]
pub struct Record {
    pub topic: String,
    pub partition: usize,
    pub key: String,
    pub payload: Vec<u8>,
}

pub struct Load {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Load {
    /// So many records a second until told to stop.
    pub fn start(bootstrap: &str, seed: u64, rate: u64) -> Load {
        Load::shaped(bootstrap, seed, rate, FaultKind::ALL.to_vec(), |_, record| vec![record])
    }

    /// With faults of these `kinds`. `shape` turns the reading of that number into the records that are sent.
    pub fn shaped(
        bootstrap: &str,
        seed: u64,
        rate: u64,
        kinds: Vec<FaultKind>,
        shape: impl FnMut(u64, Record) -> Vec<Record> + Send + 'static,
    ) -> Load {
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let producer = producer(bootstrap);
        let (stopped, counted) = (stop.clone(), sent.clone());
        let thread =
            std::thread::spawn(move || run(&producer, (seed, rate, kinds), shape, &stopped, &counted));
        Load { stop, sent, thread: Some(thread) }
    }

    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Everything that was sent is in the topic when this returns.
    pub fn stop(mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().unwrap();
        thread.join().unwrap_or_else(|_| panic!("the load ended early"));
        self.sent()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// None is lost, doubled or out of order, whatever happens to the broker.
fn producer(bootstrap: &str) -> BaseProducer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap).set("enable.idempotence", "true");
    config.set("message.timeout.ms", "0").set("reconnect.backoff.max.ms", "200").set("linger.ms", "5");
    config.create().unwrap()
}

fn run(
    producer: &BaseProducer,
    (seed, rate, kinds): (u64, u64, Vec<FaultKind>),
    mut shape: impl FnMut(u64, Record) -> Vec<Record>,
    stop: &AtomicBool,
    sent: &AtomicU64,
) {
    // Five minutes between a meter's readings: days pass quickly, and the first hours have no faults.
    let scenario = Scenario {
        seed,
        interval_ms: 300_000,
        days: 60.0,
        learning_days: 0.25,
        recovery_hours: 1.0,
        faults_per_kind: FAULTS_PER_KIND,
        kinds,
        ..Scenario::default()
    };
    let mut simulation = Simulation::new(scenario).unwrap().then(After::Quiet);
    let mut line = Vec::new();
    let (start, mut number) = (Instant::now(), 0);
    while !stop.load(Ordering::Relaxed) {
        let due = (start.elapsed().as_secs_f64() * rate as f64) as u64;
        while number < due && !stop.load(Ordering::Relaxed) {
            let reading = simulation.next().unwrap();
            line.clear();
            simulation.write_json(&reading, &mut line);
            let mut payload = line.clone();
            let key = std::str::from_utf8(&line).unwrap().split('"').nth(3).unwrap_or_default().to_owned();
            if number % GARBAGE_EVERY == 0 {
                payload.truncate(payload.len() / 2);
            }
            let record = Record { topic: READINGS.to_owned(), partition: partition_of(&key), key, payload };
            for record in shape(number, record) {
                send(producer, &record);
                sent.fetch_add(1, Ordering::Relaxed);
            }
            number += 1;
        }
        producer.poll(Duration::from_millis(5));
    }
    producer.flush(PATIENCE).unwrap();
}

fn send(producer: &BaseProducer, record: &Record) {
    loop {
        let partition = i32::try_from(record.partition).unwrap();
        let made =
            BaseRecord::to(&record.topic).key(&record.key).payload(&record.payload).partition(partition);
        match producer.send(made) {
            Ok(()) => return,
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                producer.poll(Duration::from_millis(10));
            }
            Err((error, _)) => panic!("the load cannot be sent: {error}"),
        }
    }
}

/// A sensor's partition, by FNV-1a of its name.
pub fn partition_of(key: &str) -> usize {
    let hash = key.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    usize::try_from(hash % PARTITIONS as u64).unwrap()
}
