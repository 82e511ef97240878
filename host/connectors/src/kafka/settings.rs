//! How this process takes part in the group, and what librdkafka is told of it.

use std::collections::BTreeMap;
use std::time::Duration;

use gridwatch_core::sink::Delivery;
use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaConfRes;

/// Where a lane without a commit begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    Earliest,
    Latest,
}

/// What to do where the position to go on from is not in the topic any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnLost {
    /// Stop and say so.
    Halt,
    /// Go on with what there is, and say how much is missing.
    Earliest,
    Latest,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaSettings {
    pub topic: String,
    pub anomalies_topic: String,
    pub dead_letters_topic: String,
    pub group: String,
    /// This process's own name in the group: a restarted one takes its lanes back at once.
    pub instance: String,
    pub start: Start,
    pub on_lost: OnLost,
    pub delivery: Delivery,
    /// Of the records that a lane keeps; more of one record is cut.
    pub record_bytes_max: usize,
    /// For librdkafka as they are: `bootstrap.servers`, security, and whatever else.
    pub properties: BTreeMap<String, String>,
}

/// A transaction that is not ended by then is aborted by the broker: how long readers may be held up by a
/// process that died.
pub const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(10);

/// How often librdkafka tells of itself, in ms.
const STATISTICS_MS: &str = "5000";

/// What is ours to decide, since the promises rest on it.
pub const RESERVED: [&str; 16] = [
    "group.id",
    "group.instance.id",
    "transactional.id",
    "enable.idempotence",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "auto.offset.reset",
    "isolation.level",
    "partition.assignment.strategy",
    "group.protocol",
    "enable.partition.eof",
    "acks",
    "request.required.acks",
    "max.in.flight.requests.per.connection",
    "max.in.flight",
    // Readiness rests on it.
    "statistics.interval.ms",
];

impl KafkaSettings {
    pub(super) fn consumer(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        // Small queues: what is fetched ahead is memory, and the broker is near.
        config.set("queued.min.messages", "20000").set("queued.max.messages.kbytes", "8192");
        // The default of a second stalls a catch-up read eightfold.
        config.set("fetch.queue.backoff.ms", "10");
        config.set("session.timeout.ms", "10000").set("heartbeat.interval.ms", "1000");
        self.common(&mut config, &PRODUCER_ONLY);
        config
            .set("group.id", &self.group)
            .set("group.instance.id", &self.instance)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error")
            .set("isolation.level", "read_committed")
            .set("partition.assignment.strategy", "cooperative-sticky");
        config
    }

    /// Of a consumer that is no member of anything.
    pub(super) fn reader(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("queued.min.messages", "20000").set("queued.max.messages.kbytes", "8192");
        config.set("fetch.queue.backoff.ms", "10");
        self.common(&mut config, &PRODUCER_ONLY);
        // Who does not subscribe does not join; it is the group's right to read that is used.
        config
            .set("client.id", format!("gridwatch-{}-past", self.instance))
            .set("group.id", &self.group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error")
            .set("enable.partition.eof", "true")
            .set("isolation.level", "read_committed");
        config
    }

    pub(super) fn producer(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("linger.ms", "2").set("queue.buffering.max.kbytes", "32768");
        config.set("compression.type", "lz4");
        let timeout = TRANSACTION_TIMEOUT.as_millis().to_string();
        if self.delivery == Delivery::ExactlyOnce {
            config.set("transaction.timeout.ms", &timeout);
            config.set("message.timeout.ms", &timeout);
        }
        self.common(&mut config, &CONSUMER_ONLY);
        config.set("enable.idempotence", "true");
        if self.delivery == Delivery::ExactlyOnce {
            // Instances have no slash in their names, so that no two groups share an id.
            config.set("transactional.id", format!("{}/{}", self.group, self.instance));
        }
        config
    }

    /// The user's properties come after our defaults and before what the promises rest on.
    fn common(&self, config: &mut ClientConfig, others: &[&str]) {
        config.set("client.id", format!("gridwatch-{}", self.instance));
        // Errors come as callbacks; librdkafka's own lines say the same again.
        config.set("log.connection.close", "false");
        config.set("statistics.interval.ms", STATISTICS_MS);
        for (name, value) in &self.properties {
            if !others.contains(&name.as_str()) {
                config.set(name, value);
            }
        }
    }

    /// What librdkafka has against a property, if anything; without a value only whether it knows the name.
    pub fn objection(name: &str, value: Option<&str>) -> Option<String> {
        match ClientConfig::new().set(name, value.unwrap_or_default()).create_native_config() {
            Ok(_) => None,
            Err(KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_INVALID, ..)) if value.is_none() => {
                None
            }
            Err(KafkaError::ClientConfig(_, why, ..)) => Some(why),
            Err(error) => Some(error.to_string()),
        }
    }

    /// Whether a property is librdkafka's but not the user's to set.
    pub fn is_reserved(name: &str) -> bool {
        RESERVED.contains(&name)
    }
}

/// librdkafka warns of properties that the other side knows.
const PRODUCER_ONLY: [&str; 8] = [
    "compression.type",
    "compression.codec",
    "linger.ms",
    "queue.buffering.max.ms",
    "queue.buffering.max.kbytes",
    "queue.buffering.max.messages",
    "batch.size",
    "transaction.timeout.ms",
];
const CONSUMER_ONLY: [&str; 10] = [
    "session.timeout.ms",
    "heartbeat.interval.ms",
    "max.poll.interval.ms",
    "fetch.min.bytes",
    "fetch.wait.max.ms",
    "fetch.message.max.bytes",
    "max.partition.fetch.bytes",
    "queued.min.messages",
    "queued.max.messages.kbytes",
    "fetch.queue.backoff.ms",
];
