//! The producer: messages on their way, and what became of them.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use gridwatch_core::dead_letter::DeadLetter;
use gridwatch_core::sink::{AnomalyMessage, Outgoing};
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use rdkafka::statistics::Statistics;
use serde_json::{Value, json};

use super::figures::Figures;
use super::refusal::is_no_entry;
use super::settings::KafkaSettings;
use crate::locked;

/// Headers that we add to a dead letter, beside its own.
pub const HEADER: &str = "gridwatch-";

const FLUSH_STEP: Duration = Duration::from_millis(1);

pub type KafkaProducer = ThreadedProducer<Deliveries>;

/// What the brokers have refused since last asked.
#[derive(Default)]
pub struct Deliveries {
    failed: Mutex<Option<RDKafkaErrorCode>>,
    fatal: Mutex<Option<String>>,
    figures: Figures,
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

    fn stats(&self, statistics: Statistics) {
        self.figures.set(&statistics);
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

pub fn new(settings: &KafkaSettings, figures: Figures) -> Result<KafkaProducer, KafkaError> {
    settings.producer().create_with_context(Deliveries { figures, ..Deliveries::default() })
}

/// What is left out of a message that is too large for its topic. The order is that of trying.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    None,
    /// Nothing: brokers hold a batch against what a topic takes of a message, so a few are sent at a time.
    Batch,
    /// Of a dead letter all but the beginning of the record.
    Record,
    /// Of the record no more than so many bytes, and neither the original's headers nor its key; of a long anomaly all
    /// that can be of any length.
    All {
        record_bytes: usize,
    },
}

impl Cut {
    /// The next to be tried; none where nothing is left to be left out.
    pub fn further(self) -> Option<Cut> {
        match self {
            Cut::None => Some(Cut::Batch),
            Cut::Batch => Some(Cut::Record),
            Cut::Record => Some(Cut::All { record_bytes: CUT_BYTES }),
            Cut::All { record_bytes } if record_bytes > CUT_BYTES_MIN => {
                Some(Cut::All { record_bytes: record_bytes / 2 })
            }
            Cut::All { .. } => None,
        }
    }

    /// A message no longer than this is not what was too large: nothing is left out of it.
    fn is_for(self, bytes: usize) -> bool {
        match self {
            Cut::None | Cut::Batch => false,
            Cut::Record => bytes > CUT_BYTES,
            Cut::All { record_bytes } => bytes > record_bytes / 4,
        }
    }
}

/// Messages that are sent together, once a batch was too large.
pub const BATCH_BYTES: usize = 4 << 10;
/// Of a record that is cut, so much is kept; …
const CUT_BYTES: usize = 64 << 10;
/// … at least.
const CUT_BYTES_MIN: usize = 256;
/// Of an explanation that is cut.
const EXPLANATION_CHARS: usize = 200;

/// Hands one message over. False: the queue is full for now. What is too large for the producer is cut.
pub fn send(
    producer: &KafkaProducer,
    settings: &KafkaSettings,
    message: &Outgoing,
    cut: Cut,
) -> Result<bool, KafkaError> {
    let mut cut = cut;
    loop {
        let sent = match message {
            Outgoing::Anomaly(anomaly) => send_anomaly(producer, &settings.anomalies_topic, anomaly, cut),
            Outgoing::DeadLetter(letter) => send_letter(producer, settings, letter, cut),
        };
        match (code_of(&sent), cut.further()) {
            (Some(RDKafkaErrorCode::MessageSizeTooLarge), Some(further)) => cut = further,
            (Some(RDKafkaErrorCode::QueueFull), _) => return Ok(false),
            _ => return sent.map(|()| true),
        }
    }
}

/// Waits until all that was handed over is acknowledged or has failed; false if that takes longer.
///
/// rdkafka's own flush waits 100 ms for an event, which the producer's thread takes away from it: too long for
/// readers to wait behind.
pub fn flush<C: ProducerContext + 'static>(producer: &ThreadedProducer<C>, wait: Duration) -> bool {
    let until = Instant::now() + wait;
    while producer.flush(Duration::ZERO).is_err() {
        if Instant::now() >= until {
            return false;
        }
        producer.poll(FLUSH_STEP);
    }
    true
}

fn code_of(sent: &Result<(), KafkaError>) -> Option<RDKafkaErrorCode> {
    sent.as_ref().err().and_then(KafkaError::rdkafka_error_code)
}

fn send_anomaly(
    producer: &KafkaProducer,
    topic: &str,
    anomaly: &AnomalyMessage,
    cut: Cut,
) -> Result<(), KafkaError> {
    let is_cut = matches!(cut, Cut::All { .. }) && cut.is_for(anomaly.payload.len());
    let bare = is_cut.then(|| bare(&anomaly.payload)).flatten();
    let payload = bare.as_ref().unwrap_or(&anomaly.payload);
    let record = BaseRecord::to(topic).key(&anomaly.key).payload(payload).headers(owned(&anomaly.headers));
    producer.send(record).map_err(|(error, _)| error)
}

/// A long anomaly without what can be of any length, and with a mark that says so. None: it is none.
fn bare(payload: &[u8]) -> Option<Vec<u8>> {
    let mut anomaly: serde_json::Map<String, Value> = serde_json::from_slice(payload).ok()?;
    let mark = format!("details and attributes: {} bytes are more than the topic takes", payload.len());
    anomaly.insert("details".into(), json!({ "left_out": mark }));
    anomaly.insert("attributes".into(), json!({}));
    if let Some(Value::String(text)) = anomaly.get_mut("explanation") {
        *text = text.chars().take(EXPLANATION_CHARS).collect();
    }
    serde_json::to_vec(&anomaly).ok()
}

/// The original bytes under the original key, with the why in headers.
fn send_letter(
    producer: &KafkaProducer,
    settings: &KafkaSettings,
    letter: &DeadLetter,
    cut: Cut,
) -> Result<(), KafkaError> {
    let cut = if cut.is_for(letter.size_bytes()) { cut } else { Cut::None };
    let (kept_max, is_bare) = match cut {
        Cut::None | Cut::Batch => (usize::MAX, false),
        Cut::Record => (CUT_BYTES, false),
        Cut::All { record_bytes } => (record_bytes, true),
    };
    let kept = letter.record.len().min(kept_max);
    let originals = if is_bare { &[][..] } else { &letter.headers };
    let partition = letter.lane.rsplit('-').next().unwrap_or_default();
    let mut headers = owned(originals);
    let offset = letter.meta.position.to_string();
    let time = letter.meta.stored.map(|time| time.to_string());
    let is_bared = is_bare && (letter.key.is_some() || !letter.headers.is_empty());
    let truncated = (letter.meta.truncated || kept < letter.record.len() || is_bared).then_some("true");
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
    if let Some(key) = letter.key.as_ref().filter(|_| !is_bare) {
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
        // Each rebalance has a window of these, and the sink tries again; it says so where that does not help.
        _ if message.contains("Current transaction failed in state") => {
            tracing::debug!(target: "librdkafka", facility, "{message}");
        }
        RDKafkaLogLevel::Emerg
        | RDKafkaLogLevel::Alert
        | RDKafkaLogLevel::Critical
        | RDKafkaLogLevel::Error => {
            tracing::warn!(target: "librdkafka", facility, "{message}");
        }
        _ => tracing::debug!(target: "librdkafka", facility, "{message}"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Who it is of, what it is and how bad it is stay; it is a valid anomaly still.
    #[test]
    fn of_an_anomaly_that_is_too_large_the_essentials_are_left() {
        let anomaly = |details: &str| {
            json!({
                "id": "0".repeat(32), "episode": "1".repeat(32), "phase": "raised", "detector": "limits",
                "detector_version": "1.0.0", "detector_digest": format!("sha256:{}", "a".repeat(64)),
                "sensor_id": "s-1", "kind": "overvoltage", "severity": "critical", "score": 1.0,
                "timestamp": "2026-01-01T00:00:00.000Z", "since": "2026-01-01T00:00:00.000Z",
                "explanation": "é".repeat(9_000), "details": { "why": details },
                "attributes": { "location": details },
                "source": { "topic": "readings", "partition": 0, "offset": 7 },
            })
        };
        let long = anomaly(&"x".repeat(1 << 20));
        let cut: Value = serde_json::from_slice(&bare(&serde_json::to_vec(&long).unwrap()).unwrap()).unwrap();
        let text = gridwatch_core::schema::ANOMALY;
        let schema = jsonschema::validator_for(&serde_json::from_str(text).unwrap()).unwrap();
        assert!(schema.is_valid(&cut), "{cut}");
        assert!(cut.to_string().len() < 2_000, "{cut}");
        assert!(cut["details"]["left_out"].as_str().unwrap().contains("more than the topic takes"));
        for field in ["id", "episode", "sensor_id", "kind", "severity", "score", "timestamp", "source"] {
            assert_eq!(cut[field], long[field], "{field}");
        }
        assert_eq!(bare(b"[]"), None);
    }

    /// Less and less is left of what is too large, and all of what is not.
    #[test]
    fn what_is_cut_is_what_is_too_large() {
        let cuts: Vec<Cut> = std::iter::successors(Some(Cut::None), |cut| cut.further()).collect();
        assert_eq!(cuts[..3], [Cut::None, Cut::Batch, Cut::Record]);
        assert_eq!(cuts.last(), Some(&Cut::All { record_bytes: CUT_BYTES_MIN }));
        let first = Cut::All { record_bytes: CUT_BYTES };
        assert!(!first.is_for(16 << 10) && first.is_for(100_000));
        assert!(!Cut::Record.is_for(CUT_BYTES) && !Cut::None.is_for(usize::MAX));
    }
}
