//! The job that somebody would write by hand for the same topic: librdkafka's batch call, typed serde_json,
//! a hash map of sensors, columns of 1,024 rows for the three detectors, compiled in; findings go to a topic
//! as JSON. One thread. Each partition has its own sensors, clock and columns, since partitions are read
//! unevenly: so it finds exactly what gridwatch finds. Offsets are committed by librdkafka every few seconds.
//!
//! Why the `unsafe` in here is sound: the queue comes from a client that outlives it; each message is ours
//! until it is destroyed, just once, and its bytes are not looked at later.
#![allow(unsafe_code)]

use std::collections::HashMap;
use std::ffi::CString;
use std::sync::Arc;
use std::time::Duration;

use gridwatch_core::assets::Assets;
use gridwatch_core::batch::{BatchView, Sensor, mark};
use gridwatch_core::finding::{Finding, Phase, Severity, Subject};
use gridwatch_core::judge::{Judge, Limits, Module};
use gridwatch_core::reading::Quantity;
use gridwatch_core::time::rfc3339;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};
use rdkafka_sys as sys;
use serde::{Deserialize, Serialize};
use sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;

use super::topic::{DETECTORS, LATENESS_MS, PARTITIONS, TICK_MS};
use super::{NoLog, native_modules};

const ROWS: usize = 1024;
const MESSAGES: usize = 1024;
const QUANTITIES: usize = 7;
const NAMES: [&str; QUANTITIES] =
    ["voltage", "current", "power", "reactive_power", "apparent_power", "frequency", "power_factor"];
const PATIENCE: Duration = Duration::from_secs(60);

/// What somebody would write down who knows the messages.
#[derive(Deserialize)]
struct Message<'a> {
    sensor_id: &'a str,
    timestamp: &'a str,
    voltage: Option<f64>,
    current: Option<f64>,
    power: Option<f64>,
    reactive_power: Option<f64>,
    apparent_power: Option<f64>,
    frequency: Option<f64>,
    power_factor: Option<f64>,
    #[serde(default)]
    #[allow(dead_code, reason = "parsed, as a hand-written job would")]
    location: Option<&'a str>,
}

#[derive(Serialize)]
struct Anomaly<'a> {
    detector: &'a str,
    kind: &'a str,
    subject: &'a str,
    quantity: Option<&'a str>,
    phase: Phase,
    severity: Severity,
    score: f64,
    timestamp: String,
    since: Option<String>,
    value: Option<f64>,
    expected: Option<f64>,
    lower: Option<f64>,
    upper: Option<f64>,
    explanation: Option<&'a str>,
}

/// What the job is to read and where it writes.
#[derive(Debug)]
pub struct Job<'a> {
    pub bootstrap: &'a str,
    pub readings: &'a str,
    pub anomalies: &'a str,
    pub group: &'a str,
    pub assets: &'a Assets,
    /// It ends after so many.
    pub readings_max: u64,
}

/// What it did.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Report {
    pub readings: u64,
    pub findings: u64,
    /// CPU seconds in the detectors' calls.
    pub detectors_cpu_s: f64,
}

/// Findings on their way out.
struct Outlet<'a> {
    producer: BaseProducer,
    topic: &'a str,
    sent: u64,
    /// CPU seconds in the detectors.
    judging_s: f64,
}

/// A detector of one partition, with what it chose.
struct Floor {
    module: Arc<dyn Module>,
    judge: Box<dyn Judge>,
    chosen: Vec<u32>,
    values: Vec<f64>,
}

#[derive(Default)]
struct Partition {
    detectors: Vec<Floor>,
    sensors: HashMap<String, u32>,
    ids: Vec<String>,
    last: Vec<i64>,
    numbers: Vec<u32>,
    timestamps: Vec<i64>,
    marks: Vec<u8>,
    columns: [Vec<f64>; QUANTITIES],
    greatest: i64,
    tick: Option<i64>,
}

impl Partition {
    fn new(modules: &[Arc<dyn Module>]) -> Partition {
        let quantity = |name: &&str| Quantity { name: (*name).into(), unit: None };
        let quantities: Vec<Quantity> = NAMES.iter().map(quantity).collect();
        let detector = |module: &Arc<dyn Module>| {
            let mut judge = module.instantiate(Limits::default(), Arc::new(NoLog)).unwrap();
            let chosen = judge.configure("{}", &quantities).unwrap();
            Floor { module: module.clone(), judge, chosen, values: Vec::new() }
        };
        Partition { detectors: modules.iter().map(detector).collect(), ..Partition::default() }
    }

    fn number(&mut self, id: &str, assets: &Assets) -> u32 {
        if let Some(&number) = self.sensors.get(id) {
            return number;
        }
        let number = self.ids.len() as u32;
        let sensor = Sensor { id: id.to_owned(), attributes: assets.get(id).to_vec() };
        for detector in &mut self.detectors {
            detector.judge.set_sensors(number, std::slice::from_ref(&sensor)).unwrap();
        }
        self.sensors.insert(id.to_owned(), number);
        self.ids.push(id.to_owned());
        self.last.push(i64::MIN);
        number
    }

    fn take(&mut self, payload: &[u8], assets: &Assets, out: &mut Outlet<'_>) {
        let message: Message<'_> = serde_json::from_slice(payload).unwrap();
        let number = self.number(message.sensor_id, assets);
        let timestamp = gridwatch_core::decode::parse_rfc3339(message.timestamp).unwrap();
        let last = &mut self.last[number as usize];
        self.marks.push(match timestamp.cmp(last) {
            std::cmp::Ordering::Less => mark::BACKWARD,
            std::cmp::Ordering::Equal => mark::REPEATED,
            std::cmp::Ordering::Greater => 0,
        });
        *last = timestamp.max(*last);
        self.numbers.push(number);
        self.timestamps.push(timestamp);
        let values = [
            message.voltage,
            message.current,
            message.power,
            message.reactive_power,
            message.apparent_power,
            message.frequency,
            message.power_factor,
        ];
        for (column, value) in self.columns.iter_mut().zip(values) {
            column.push(value.unwrap_or(f64::NAN));
        }
        self.greatest = self.greatest.max(timestamp);
        let ticked = (self.greatest - LATENESS_MS).div_euclid(TICK_MS) * TICK_MS;
        // The first reading only says where time begins.
        let is_ticked = ticked > *self.tick.get_or_insert(ticked);
        if self.numbers.len() == ROWS || is_ticked {
            self.judge(out, is_ticked.then_some(ticked));
            self.tick = Some(ticked);
        }
    }

    /// Judges what is gathered; then the detectors are told of time, where it has passed a tick.
    fn judge(&mut self, out: &mut Outlet<'_>, ticked: Option<i64>) {
        for Floor { module, judge, chosen, values } in &mut self.detectors {
            let start = thread_cpu_s();
            values.clear();
            chosen.iter().for_each(|&q| values.extend_from_slice(&self.columns[q as usize]));
            let view = BatchView {
                sensors: &self.numbers,
                timestamps: &self.timestamps,
                values,
                marks: &self.marks,
                malformed: &[],
            };
            let mut findings = judge.observe(view).unwrap();
            if let Some(watermark) = ticked {
                findings.extend(judge.advance(watermark).unwrap());
            }
            out.judging_s += thread_cpu_s() - start;
            for finding in &findings {
                out.send(&**module, chosen, &self.numbers, &self.ids, finding);
            }
        }
        self.numbers.clear();
        self.timestamps.clear();
        self.marks.clear();
        self.columns.iter_mut().for_each(Vec::clear);
        out.producer.poll(Duration::ZERO);
    }
}

impl Outlet<'_> {
    fn send(&mut self, module: &dyn Module, chosen: &[u32], rows: &[u32], ids: &[String], found: &Finding) {
        let descriptor = module.descriptor();
        let subject = match &found.subject {
            Subject::Reading => &ids[rows[found.row as usize] as usize],
            Subject::Sensor(sensor) => &ids[*sensor as usize],
            Subject::Group(name) => name,
        };
        let anomaly = Anomaly {
            detector: &descriptor.name,
            kind: &descriptor.kinds[found.kind as usize].name,
            subject,
            quantity: found.quantity.map(|at| NAMES[chosen[at as usize] as usize]),
            phase: found.phase,
            severity: found.severity,
            score: found.score,
            timestamp: rfc3339(found.timestamp),
            since: found.since.map(rfc3339),
            value: found.observed,
            expected: found.expected,
            lower: found.lower,
            upper: found.upper,
            explanation: found.explanation.as_deref(),
        };
        let payload = serde_json::to_vec(&anomaly).unwrap();
        let mut record = BaseRecord::to(self.topic).key(subject.as_str()).payload(&payload);
        while let Err((error, again)) = self.producer.send(record) {
            assert_eq!(error.rdkafka_error_code(), Some(rdkafka::error::RDKafkaErrorCode::QueueFull));
            self.producer.poll(Duration::from_millis(10));
            record = again;
        }
        self.sent += 1;
    }
}

/// Runs the job to its end.
pub fn run(job: &Job<'_>) -> Report {
    let consumer = consumer(job);
    let queue = queue(job, &consumer);
    let modules = native_modules();
    let chosen = |module: &Arc<dyn Module>| DETECTORS.contains(&module.descriptor().name.as_str());
    let modules: Vec<Arc<dyn Module>> = modules.into_iter().filter(chosen).collect();
    let mut partitions: Vec<Partition> = (0..PARTITIONS).map(|_| Partition::new(&modules)).collect();
    let mut producing = ClientConfig::new();
    producing.set("bootstrap.servers", job.bootstrap).set("linger.ms", "5").set("compression.type", "lz4");
    let producer = producing.create().unwrap();
    let mut out = Outlet { producer, topic: job.anomalies, sent: 0, judging_s: 0.0 };
    let mut messages: Vec<*mut sys::rd_kafka_message_t> = Vec::with_capacity(MESSAGES);
    let mut report = Report::default();
    while report.readings < job.readings_max {
        messages.clear();
        // SAFETY: there is room for so many pointers, and as many as returned are set.
        unsafe {
            let count = sys::rd_kafka_consume_batch_queue(queue, 100, messages.as_mut_ptr(), MESSAGES);
            messages.set_len(usize::try_from(count).unwrap());
        }
        for message in messages.drain(..) {
            // SAFETY: see above; a message without error has a payload of `len` bytes.
            unsafe {
                let whole = &*message;
                assert_eq!(whole.err, RD_KAFKA_RESP_ERR_NO_ERROR, "a message is an error");
                let payload = std::slice::from_raw_parts(whole.payload.cast::<u8>(), whole.len);
                partitions[whole.partition as usize].take(payload, job.assets, &mut out);
                sys::rd_kafka_message_destroy(message);
            }
            report.readings += 1;
        }
        // What is no message: answers to commits.
        assert!(consumer.poll(Duration::ZERO).is_none(), "a message beside the queue");
    }
    partitions.iter_mut().for_each(|partition| partition.judge(&mut out, None));
    out.producer.flush(PATIENCE).unwrap();
    // SAFETY: ours, once; the client goes after it.
    unsafe { sys::rd_kafka_queue_destroy(queue) };
    report.findings = out.sent;
    report.detectors_cpu_s = out.judging_s;
    report
}

/// With the same small queues as gridwatch's, which cost no time, and none of librdkafka's pause of a second
/// where they are full.
fn consumer(job: &Job<'_>) -> BaseConsumer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", job.bootstrap).set("group.id", job.group);
    config.set("fetch.queue.backoff.ms", "10").set("auto.offset.reset", "error");
    config.set("queued.min.messages", "20000").set("queued.max.messages.kbytes", "8192");
    config.create().unwrap()
}

/// One queue of all partitions' messages, and of nothing else. Ours to give back.
fn queue(job: &Job<'_>, consumer: &BaseConsumer) -> *mut sys::rd_kafka_queue_t {
    let client = consumer.client().native_ptr();
    let topic = CString::new(job.readings).unwrap();
    let mut list = TopicPartitionList::new();
    // SAFETY: the client lives until after the queue; a partition's queue is given back once it is forwarded.
    let queue = unsafe {
        let merged = sys::rd_kafka_queue_new(client);
        for partition in 0..PARTITIONS {
            let one = sys::rd_kafka_queue_get_partition(client, topic.as_ptr(), partition as i32);
            sys::rd_kafka_queue_forward(one, merged);
            sys::rd_kafka_queue_destroy(one);
        }
        merged
    };
    for partition in 0..PARTITIONS {
        list.add_partition_offset(job.readings, partition as i32, Offset::Beginning).unwrap();
    }
    consumer.assign(&list).unwrap();
    queue
}

fn thread_cpu_s() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}
