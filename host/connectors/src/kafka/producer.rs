//! The producer: messages on their way, and what became of them.

use std::sync::Mutex;

use gridwatch_core::dead_letter::DeadLetter;
use gridwatch_core::sink::{AnomalyMessage, Outgoing};
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, ProducerContext, ThreadedProducer};

use super::refusal::is_no_entry;
use super::settings::KafkaSettings;
use crate::locked;

/// Headers that we add to a dead letter, beside its own.
pub const HEADER: &str = "gridwatch-";

pub type KafkaProducer = ThreadedProducer<Deliveries>;

/// What the brokers have refused since last asked.
#[derive(Default)]
pub struct Deliveries {
    failed: Mutex<Option<RDKafkaErrorCode>>,
    fatal: Mutex<Option<String>>,
}

impl Deliveries {
    /// The first failure since the last call.
    pub fn take_failure(&self) -> Option<RDKafkaErrorCode> {
        locked(&self.failed).take()
    }

    /// What no waiting will mend.
    pub fn fatal(&self) -> Option<String> {
        locked(&self.fatal).clone()
    }
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        match error.rdkafka_error_code() {
            Some(code) if is_no_entry(code) => {
                locked(&self.fatal).get_or_insert(format!("{code}: {reason}"));
            }
            _ => tracing::debug!("{error}: {reason}"),
        }
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
            locked(&self.failed).get_or_insert(code);
        }
    }
}

pub fn new(settings: &KafkaSettings) -> Result<KafkaProducer, KafkaError> {
    settings.producer().create_with_context(Deliveries::default())
}

/// What is left out of a dead letter that is too large for its topic. The order is that of trying.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    None,
    /// All but the beginning of the record.
    Record,
    /// That, the original's headers and its key.
    All,
}

/// Of a record that is cut, so much is kept.
const CUT_BYTES: usize = 64 << 10;

/// Hands one message over. False: the queue is full for now. What is too large for the producer is cut.
pub fn send(
    producer: &KafkaProducer,
    settings: &KafkaSettings,
    message: &Outgoing,
    cut: Cut,
) -> Result<bool, KafkaError> {
    let sent = match message {
        Outgoing::Anomaly(anomaly) => send_anomaly(producer, &settings.anomalies_topic, anomaly),
        Outgoing::DeadLetter(letter) => {
            let cuts = [Cut::None, Cut::Record, Cut::All].into_iter().skip_while(|c| *c != cut);
            let mut sent = Ok(());
            for cut in cuts {
                sent = send_letter(producer, settings, letter, cut);
                if code_of(&sent) != Some(RDKafkaErrorCode::MessageSizeTooLarge) {
                    break;
                }
            }
            sent
        }
    };
    match code_of(&sent) {
        Some(RDKafkaErrorCode::QueueFull) => Ok(false),
        _ => sent.map(|()| true),
    }
}

fn code_of(sent: &Result<(), KafkaError>) -> Option<RDKafkaErrorCode> {
    sent.as_ref().err().and_then(KafkaError::rdkafka_error_code)
}

fn send_anomaly(producer: &KafkaProducer, topic: &str, anomaly: &AnomalyMessage) -> Result<(), KafkaError> {
    let record =
        BaseRecord::to(topic).key(&anomaly.key).payload(&anomaly.payload).headers(owned(&anomaly.headers));
    producer.send(record).map_err(|(error, _)| error)
}

/// The original bytes under the original key, with the why in headers.
fn send_letter(
    producer: &KafkaProducer,
    settings: &KafkaSettings,
    letter: &DeadLetter,
    cut: Cut,
) -> Result<(), KafkaError> {
    let kept = if cut == Cut::None { letter.record.len() } else { letter.record.len().min(CUT_BYTES) };
    let originals = if cut == Cut::All { &[][..] } else { &letter.headers };
    let partition = letter.lane.rsplit('-').next().unwrap_or_default();
    let mut headers = owned(originals);
    let offset = letter.meta.position.to_string();
    let time = letter.meta.stored.map(|time| time.to_string());
    let truncated =
        (letter.meta.truncated || kept < letter.record.len() || cut == Cut::All).then_some("true");
    for (name, value) in [
        ("reason", Some(letter.reason.name())),
        ("detail", Some(letter.detail.as_str())),
        ("topic", Some(settings.topic.as_str())),
        ("partition", Some(partition)),
        ("offset", Some(offset.as_str())),
        ("time", time.as_deref()),
        ("truncated", truncated),
    ] {
        if let Some(value) = value {
            headers = headers.insert(Header { key: &format!("{HEADER}{name}"), value: Some(value) });
        }
    }
    let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(&settings.dead_letters_topic);
    record = record.payload(&letter.record[..kept]).headers(headers);
    if let Some(key) = letter.key.as_ref().filter(|_| cut != Cut::All) {
        record = record.key(key);
    }
    producer.send(record).map_err(|(error, _)| error)
}

/// As rdkafka wants them.
pub fn owned(headers: &[gridwatch_core::record::Header]) -> OwnedHeaders {
    headers
        .iter()
        .fold(OwnedHeaders::new(), |owned, (key, value)| owned.insert(Header { key, value: Some(value) }))
}

/// librdkafka's own lines, among ours.
pub fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg
        | RDKafkaLogLevel::Alert
        | RDKafkaLogLevel::Critical
        | RDKafkaLogLevel::Error => {
            tracing::warn!(target: "librdkafka", facility, "{message}");
        }
        _ => tracing::debug!(target: "librdkafka", facility, "{message}"),
    }
}
