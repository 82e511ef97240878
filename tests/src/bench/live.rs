//! Readings at a steady rate with a swell here and there, and when the anomaly that it causes is read.

use std::collections::HashMap;
use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use gridwatch_core::time::rfc3339;
use rdkafka::config::ClientConfig;
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, Producer};
use serde::Deserialize;

use super::topic::{PARTITIONS, reader, send};

/// One reading in so many is a swell; no sensor has two within this many rounds over all sensors. A prime, so
/// that every round has some in each partition.
const READINGS_PER_SWELL: u64 = 499;
const STEP: Duration = Duration::from_millis(1);
const POLL: Duration = Duration::from_millis(20);

/// A swell whose anomaly was read.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    pub partition: u32,
    /// Handed to the producer.
    pub produced: Instant,
    /// In the hands of a `read_committed` consumer.
    pub read: Instant,
}

#[derive(Default)]
struct Shared {
    is_over: AtomicBool,
    readings: AtomicU64,
    /// By sensor: produced, and not read yet.
    open: Mutex<HashMap<u64, Instant>>,
    seen: Mutex<Vec<Seen>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The rate's two ends; both stop when this is dropped.
pub struct Live {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Live {
    /// Readings of so many sensors in turn, so many a second.
    pub fn start(bootstrap: &str, readings: &str, anomalies: &str, sensors: u64, per_s: u64) -> Live {
        let shared = Arc::new(Shared::default());
        let consumer = reader(bootstrap, anomalies, PARTITIONS);
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", bootstrap).set("linger.ms", "1");
        let producer: BaseProducer = config.create().unwrap();
        let (topic, to, from) = (readings.to_owned(), shared.clone(), shared.clone());
        let threads = vec![
            std::thread::spawn(move || produce(&producer, &topic, sensors, per_s, &to)),
            std::thread::spawn(move || {
                while !from.is_over.load(Ordering::Relaxed) {
                    // What is no message is an end of a partition, or trouble that librdkafka mends by itself.
                    if let Some(Ok(message)) = consumer.poll(POLL) {
                        note(&from, message.payload().unwrap_or_default());
                    }
                }
            }),
        ];
        Live { shared, threads }
    }

    /// Readings produced so far.
    pub fn readings(&self) -> u64 {
        self.shared.readings.load(Ordering::Relaxed)
    }

    pub fn seen(&self) -> Vec<Seen> {
        lock(&self.shared.seen).clone()
    }

    /// Swells produced in that time whose anomaly was not read.
    pub fn unseen(&self, from: Instant, to: Instant) -> usize {
        lock(&self.shared.open).values().filter(|produced| (from..to).contains(produced)).count()
    }

    /// The first anomaly read of a swell that was produced after `since`.
    pub fn first_since(&self, since: Instant) -> Option<Seen> {
        let seen = lock(&self.shared.seen);
        seen.iter().filter(|seen| seen.produced > since).min_by_key(|seen| seen.read).copied()
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn produce(producer: &BaseProducer, topic: &str, sensors: u64, per_s: u64, shared: &Shared) {
    let start = Instant::now();
    let mut payload = Vec::new();
    let mut sent = 0;
    while !shared.is_over.load(Ordering::Relaxed) {
        let due = (start.elapsed().as_secs_f64() * per_s as f64) as u64;
        for number in sent..due {
            let (round, sensor) = (number / sensors, number % sensors);
            let is_swell = round > 0 && sensor % READINGS_PER_SWELL == round % READINGS_PER_SWELL;
            let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
            let key = write_reading(&mut payload, sensor, number, is_swell, now_ms);
            if is_swell {
                lock(&shared.open).insert(sensor, Instant::now());
            }
            let partition = (sensor % u64::from(PARTITIONS)) as i32;
            send(producer, topic, Some(partition), &key, &payload, now_ms);
        }
        sent = due;
        shared.readings.store(sent, Ordering::Relaxed);
        producer.poll(Duration::ZERO);
        std::thread::sleep(STEP);
    }
    producer.flush(Duration::from_secs(10)).unwrap();
}

/// A reading that obeys physics, at 230 V or at 1.2 of it; its sensor's id.
fn write_reading(out: &mut Vec<u8>, sensor: u64, number: u64, is_swell: bool, now_ms: i64) -> String {
    let id = format!("meter-{sensor:06}");
    let volts = if is_swell { 276.0 } else { 230.0 + (number % 7) as f64 / 10.0 };
    let amperes = 4.0 + (number % 11) as f64 / 100.0;
    let watts = volts * amperes * 0.95;
    let hertz = 50.0 + (number % 5) as f64 / 1000.0;
    out.clear();
    write!(
        out,
        "{{\"sensor_id\":\"{id}\",\"timestamp\":\"{}\",\"voltage\":{volts:.1},\"current\":{amperes:.2},\
         \"power\":{watts:.1},\"frequency\":{hertz:.3},\"power_factor\":0.95,\"location\":\"feeder-{:02}\"}}",
        rfc3339(now_ms),
        sensor / 250,
    )
    .unwrap();
    id
}

/// Notes the beginning of a swell; whatever else is told is nobody's business here.
fn note(shared: &Shared, payload: &[u8]) {
    #[derive(Deserialize)]
    struct Anomaly<'a> {
        kind: &'a str,
        phase: &'a str,
        sensor_id: Option<&'a str>,
    }
    let read = Instant::now();
    let anomaly: Anomaly<'_> = serde_json::from_slice(payload).unwrap();
    if (anomaly.kind, anomaly.phase) != ("swell", "raised") {
        return;
    }
    let number = anomaly.sensor_id.and_then(|id| id.rsplit('-').next()?.parse::<u64>().ok());
    let sensor = number.expect("one of our sensors");
    // A repeat finds nothing any more.
    if let Some(produced) = lock(&shared.open).remove(&sensor) {
        let partition = (sensor % u64::from(PARTITIONS)) as u32;
        lock(&shared.seen).push(Seen { partition, produced, read });
    }
}
