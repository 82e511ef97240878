//! Messages into the topic of readings: what stands at each offset is known from what was sent.

use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::mutate::Random;
use super::shapes::{Members, framed, members_of, shape};
use crate::bench::root;

/// As many as a chaos stage's topic of readings has.
const PARTITIONS: usize = 4;
const TOPIC: &str = "readings";
const PATIENCE: Duration = Duration::from_secs(120);
/// Of a message that is far too long; a broker takes a megabyte.
const LONG_BYTES_MAX: usize = 200_000;

/// A message as it was sent.
#[derive(Clone, Debug, Default)]
pub struct Sent {
    pub key: Option<Vec<u8>>,
    /// None is a tombstone.
    pub payload: Option<Vec<u8>>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Sent {
    pub fn bytes(&self) -> &[u8] {
        self.payload.as_deref().unwrap_or_default()
    }
}

/// By partition, in the order of offsets, which begin at 0: nobody else writes there, and an idempotent producer
/// neither loses, doubles nor reorders.
pub fn send(bootstrap: &str, seed: u64, messages: usize, now_ms: i64) -> Vec<Vec<Sent>> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap).set("enable.idempotence", "true");
    // In each way that a topic may be.
    config.set("compression.type", ["none", "gzip", "snappy", "lz4", "zstd"][seed as usize % 5]);
    let producer: BaseProducer = config.create().unwrap();
    let real = real();
    let mut random = Random::new(seed);
    let mut sent = vec![Vec::new(); PARTITIONS];
    for _ in 0..messages {
        let partition = random.below(PARTITIONS);
        let message = message(&mut random, &real);
        give(&producer, partition, &message, now_ms);
        sent[partition].push(message);
    }
    producer.flush(PATIENCE).unwrap();
    sent
}

/// The simulator's, as the decoder is fuzzed with.
fn real() -> Vec<Members> {
    let path = root().join("host/core/tests/fuzz_decode/simulated.jsonl");
    std::fs::read_to_string(path).unwrap().lines().map(members_of).collect()
}

fn message(random: &mut Random, real: &[Members]) -> Sent {
    let members = random.pick(real);
    let (_, body) = shape(random, members);
    let payload = match random.below(64) {
        0 => None,
        1 => Some(Vec::new()),
        2 => {
            let mut long = body.repeat(1 + random.below(200));
            long.truncate(LONG_BYTES_MAX);
            Some(long)
        }
        3..16 => Some(framed(random, &body)),
        _ => Some(body),
    };
    let sensor = members[0].1.trim_matches('"').as_bytes();
    let key = match random.below(16) {
        0 => None,
        1 => Some(Vec::new()),
        2 => Some(bytes(random, 40)),
        3 if random.below(16) == 0 => Some(bytes(random, 4_000)),
        _ => Some(sensor.to_vec()),
    };
    let headers = if random.below(4) == 0 { 1 + random.below(4) } else { 0 };
    let headers = (0..headers).map(|_| header(random)).collect();
    Sent { key, payload, headers }
}

fn header(random: &mut Random) -> (String, Option<Vec<u8>>) {
    const NAMES: [&str; 6] = ["trace", "", "m\u{e9}t\u{e9}r", "gridwatch-reason", "gridwatch-offset", "a b"];
    let name = (*random.pick(&NAMES)).to_owned();
    (name, (random.below(8) > 0).then(|| bytes(random, 20)))
}

fn bytes(random: &mut Random, most: usize) -> Vec<u8> {
    (0..random.below(most)).map(|_| random.next() as u8).collect()
}

fn give(producer: &BaseProducer, partition: usize, message: &Sent, now_ms: i64) {
    loop {
        let headers = message.headers.iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
            headers.insert(Header { key, value: value.as_ref() })
        });
        let mut record: BaseRecord<'_, [u8], [u8]> =
            BaseRecord::to(TOPIC).partition(i32::try_from(partition).unwrap()).timestamp(now_ms);
        record = record.headers(headers);
        if let Some(key) = &message.key {
            record = record.key(key);
        }
        if let Some(payload) = &message.payload {
            record = record.payload(payload);
        }
        match producer.send(record) {
            Ok(()) => return,
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                producer.poll(Duration::from_millis(10));
            }
            Err((error, _)) => panic!("a message cannot be sent: {error}"),
        }
    }
}
