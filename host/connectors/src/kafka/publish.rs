//! What tools send: records into one topic, each acknowledged or known to have failed.
//!
//! A tool has a person waiting, so nothing here waits for long: brokers out of reach, a topic that does not
//! exist and a login that is refused are errors within seconds, and so is a record that is not acknowledged.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use gridwatch_core::record::Header;
use rdkafka::ClientConfig;
use rdkafka::client::{Client, ClientContext};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};

use super::producer::{self, owned};
use super::refusal::is_no_entry;
use crate::locked;

/// How long brokers may be silent before it counts as a mistake in what they were said to be.
const CONNECT_WAIT: Duration = Duration::from_secs(6);
/// One look at what the brokers have.
const LOOK_WAIT: Duration = Duration::from_millis(1_500);
/// A record that is not acknowledged by then has failed.
const MESSAGE_TIMEOUT_MS: &str = "30000";
const ROOM_WAIT: Duration = Duration::from_millis(2);
const FLUSH_STEP: Duration = Duration::from_millis(250);

/// What goes wrong between a tool and the brokers, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ToolError {
    #[error("the Kafka properties do not hold: {what}")]
    Properties { what: String },
    #[error("{place}: no broker answers ({what}); is it up, and are address and security settings right?")]
    Unreachable { place: String, what: String },
    #[error("{place}: refused: {what}; look at the security settings, and at what this user may do")]
    Refused { place: String, what: String },
    #[error(
        "{place}: topic `{topic}` does not exist, or this user may not see it; make it first, or name another"
    )]
    NoTopic { place: String, topic: String },
    #[error("{place}: topic `{topic}`: {what}; {acknowledged} of {sent} records are acknowledged")]
    Send { place: String, topic: String, what: String, sent: u64, acknowledged: u64 },
    #[error("{place}: topic `{topic}`: {what}")]
    Read { place: String, topic: String, what: String },
    /// Of a run of several records that are sent together or not at all.
    #[error("{place}: {what}; what this run had not settled was taken back: run it again")]
    Settle { place: String, what: String },
}

/// What the brokers have said meanwhile.
#[derive(Default)]
pub struct Heard {
    acknowledged: AtomicU64,
    failed: Mutex<Option<RDKafkaErrorCode>>,
    /// The first that no waiting will mend.
    refused: Mutex<Option<String>>,
    /// The last about the way to them.
    transport: Mutex<Option<String>>,
}

impl Heard {
    pub(super) fn refused(&self) -> Option<String> {
        locked(&self.refused).clone()
    }

    fn transport(&self) -> Option<String> {
        locked(&self.transport).clone()
    }
}

impl ClientContext for Heard {
    /// A person gets one clear error at the end instead.
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(target: "librdkafka", facility, "{message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!("{error}: {reason}");
        let set = |place: &Mutex<Option<String>>, said: String| {
            *locked(place) = Some(said);
        };
        match error.rdkafka_error_code() {
            Some(code) if is_no_entry(code) || code == RDKafkaErrorCode::Fatal => {
                set(&self.refused, format!("{code}: {reason}"));
            }
            Some(RDKafkaErrorCode::AllBrokersDown | RDKafkaErrorCode::PartitionEOF) => {}
            _ => set(&self.transport, reason.to_owned()),
        }
    }
}

impl ConsumerContext for Heard {}

impl ProducerContext for Heard {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(_) => {
                self.acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            Err((error, _)) => {
                let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
                locked(&self.failed).get_or_insert(code);
            }
        }
    }
}

/// A record to be sent.
#[derive(Debug, Clone, Copy, Default)]
pub struct Outbound<'a> {
    pub key: Option<&'a [u8]>,
    pub payload: &'a [u8],
    /// `None`: by the key, as Java's clients do it.
    pub partition: Option<i32>,
    /// Milliseconds since 1970; `None`: now.
    pub time_ms: Option<i64>,
    pub headers: &'a [Header],
}

/// Sends records into one topic.
pub struct Publisher {
    pub(super) producer: ThreadedProducer<Heard>,
    pub(super) place: String,
    topic: String,
    partitions: i32,
    sent: AtomicU64,
}

impl Publisher {
    /// Reaches the brokers and finds the topic. `properties` are librdkafka's, `bootstrap.servers` among them.
    pub fn connect(properties: &BTreeMap<String, String>, topic: &str) -> Result<Self, ToolError> {
        Self::with(properties, topic, None)
    }

    /// The same, for records that are sent together or not at all, under a name that has one user at a time.
    pub(super) fn with(
        properties: &BTreeMap<String, String>,
        topic: &str,
        transactional_id: Option<&str>,
    ) -> Result<Self, ToolError> {
        let mut config = ClientConfig::new();
        config.set("linger.ms", "5").set("compression.type", "lz4").set("partitioner", "murmur2_random");
        config.set("message.timeout.ms", MESSAGE_TIMEOUT_MS).set("client.id", "gridwatch-tool");
        config.set("queue.buffering.max.kbytes", "32768");
        if transactional_id.is_some() {
            config.set("transaction.timeout.ms", MESSAGE_TIMEOUT_MS);
        }
        take(&mut config, properties);
        config.set("enable.idempotence", "true");
        if let Some(id) = transactional_id {
            config.set("transactional.id", id);
        }
        let producer: ThreadedProducer<Heard> =
            config.create_with_context(Heard::default()).map_err(|error| wrong(&error))?;
        let place = place_of(properties);
        let partitions = partitions_of(producer.client(), &place, topic, || {})?;
        let topic = topic.to_owned();
        Ok(Publisher { producer, place, topic, partitions, sent: AtomicU64::new(0) })
    }

    pub fn partitions(&self) -> i32 {
        self.partitions
    }

    /// So many records are with the brokers for good.
    pub fn acknowledged(&self) -> u64 {
        self.producer.context().acknowledged.load(Ordering::Relaxed)
    }

    /// Hands a record over, waiting while there is no room. An error may be an earlier record's.
    pub fn send(&self, record: &Outbound<'_>) -> Result<(), ToolError> {
        let mut message: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(&self.topic).payload(record.payload);
        if !record.headers.is_empty() {
            message = message.headers(owned(record.headers));
        }
        if let Some(key) = record.key {
            message = message.key(key);
        }
        if let Some(partition) = record.partition {
            message = message.partition(partition);
        }
        if let Some(time_ms) = record.time_ms {
            message = message.timestamp(time_ms);
        }
        loop {
            self.check()?;
            match self.producer.send(message) {
                Ok(()) => {
                    self.sent.fetch_add(1, Ordering::Relaxed);
                    return Ok(());
                }
                Err((error, back)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) => {
                    message = back;
                    std::thread::sleep(ROOM_WAIT);
                }
                Err((error, _)) => return Err(self.failed(error.to_string())),
            }
        }
    }

    /// Waits until all that was handed over is acknowledged; so many are, in all.
    pub fn flush(&self) -> Result<u64, ToolError> {
        loop {
            let flushed = producer::flush(&self.producer, FLUSH_STEP);
            self.check()?;
            if flushed && self.producer.in_flight_count() == 0 {
                return Ok(self.acknowledged());
            }
        }
    }

    pub(super) fn check(&self) -> Result<(), ToolError> {
        let heard = self.producer.context();
        if let Some(what) = heard.refused() {
            return Err(ToolError::Refused { place: self.place.clone(), what });
        }
        let failed = *locked(&heard.failed);
        match (failed, heard.transport()) {
            (None, _) => Ok(()),
            (Some(RDKafkaErrorCode::MessageTimedOut), None) => {
                Err(self.failed("records are not acknowledged in time".to_owned()))
            }
            (Some(RDKafkaErrorCode::MessageTimedOut), Some(why)) => {
                Err(self.failed(format!("records are not acknowledged in time ({why})")))
            }
            (Some(code), _) => Err(self.failed(code.to_string())),
        }
    }

    fn failed(&self, what: String) -> ToolError {
        ToolError::Send {
            place: self.place.clone(),
            topic: self.topic.clone(),
            what,
            sent: self.sent.load(Ordering::Relaxed),
            acknowledged: self.acknowledged(),
        }
    }
}

pub(super) fn take(config: &mut ClientConfig, properties: &BTreeMap<String, String>) {
    for (name, value) in properties {
        config.set(name, value);
    }
}

/// A consumer that is told which partitions to read, says where each ends, and commits nothing by itself; and how many
/// partitions the topic has. `properties` are librdkafka's,
/// `bootstrap.servers` among them; `more` goes over them.
pub(super) fn reader(
    properties: &BTreeMap<String, String>,
    topic: &str,
    group: &str,
    more: &[(&str, &str)],
) -> Result<(BaseConsumer<Heard>, i32), ToolError> {
    let mut config = ClientConfig::new();
    config.set("client.id", "gridwatch-tool");
    take(&mut config, properties);
    config.set("group.id", group).set("enable.auto.commit", "false").set("enable.partition.eof", "true");
    for (name, value) in more {
        config.set(*name, *value);
    }
    let consumer: BaseConsumer<Heard> =
        config.create_with_context(Heard::default()).map_err(|error| wrong(&error))?;
    let partitions = partitions_of(consumer.client(), &place_of(properties), topic, || {
        let _ = consumer.poll(Duration::ZERO);
    })?;
    Ok((consumer, partitions))
}

pub(super) fn wrong(error: &KafkaError) -> ToolError {
    let what = match error {
        KafkaError::ClientConfig(_, why, name, _) => format!("{name}: {why}"),
        other => other.to_string(),
    };
    ToolError::Properties { what }
}

pub(super) fn place_of(properties: &BTreeMap<String, String>) -> String {
    format!("Kafka at {}", properties.get("bootstrap.servers").map_or("?", String::as_str))
}

/// How many partitions a topic has. It is looked for among all there are, since asking for it by name would
/// have some brokers make it. `serve` lets what the brokers say be heard, where no thread does that.
pub(super) fn partitions_of(
    client: &Client<Heard>,
    place: &str,
    topic: &str,
    serve: impl Fn(),
) -> Result<i32, ToolError> {
    let place = || place.to_owned();
    let until = Instant::now() + CONNECT_WAIT;
    loop {
        let found = client.fetch_metadata(None, LOOK_WAIT);
        serve();
        let heard = client.context();
        if let Some(what) = heard.refused() {
            return Err(ToolError::Refused { place: place(), what });
        }
        match found {
            Ok(metadata) => {
                let found = metadata.topics().iter().find(|found| found.name() == topic);
                return match found.map(|found| found.partitions().len()) {
                    Some(partitions) if partitions > 0 => Ok(i32::try_from(partitions).unwrap_or(i32::MAX)),
                    _ => Err(ToolError::NoTopic { place: place(), topic: topic.to_owned() }),
                };
            }
            Err(error) if Instant::now() >= until => {
                let what = heard.transport().unwrap_or_else(|| error.to_string());
                return Err(ToolError::Unreachable { place: place(), what });
            }
            Err(error) => tracing::debug!("{error}"),
        }
    }
}
