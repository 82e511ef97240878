//! A finding made public: JSON with derived ids.

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use sha2::{Digest, Sha256};

use crate::Timestamp;
use crate::finding::{Phase, Severity};
use crate::record::Position;
use crate::sensors::Attributes;
use crate::sink::AnomalyMessage;
use crate::time::rfc3339;

/// Where a lane's readings come from, as anomalies and dead letters name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(untagged)]
pub enum Origin {
    Topic { topic: String, partition: i32 },
    File { file: String },
    Simulator { simulator: String },
}

/// What an anomaly speaks of, by name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, serde::Deserialize)]
pub enum PublicSubject {
    Sensor(String),
    Group(String),
}

impl PublicSubject {
    pub fn name(&self) -> &str {
        match self {
            PublicSubject::Sensor(name) | PublicSubject::Group(name) => name,
        }
    }
}

/// What tells one kind of trouble of one detector on one subject from every other.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, serde::Deserialize)]
pub struct EpisodeKey {
    pub subject: PublicSubject,
    pub quantity: Option<String>,
    pub kind: String,
}

/// An anomaly before it is text. Field order is the JSON's.
#[derive(Debug, Clone, PartialEq)]
pub struct Anomaly<'a> {
    pub detector: &'a str,
    pub detector_version: &'a str,
    pub detector_digest: &'a str,
    pub lane: &'a str,
    pub key: &'a EpisodeKey,
    pub phase: Phase,
    pub severity: Severity,
    pub score: f64,
    pub timestamp: Timestamp,
    pub since: Timestamp,
    pub value: Option<f64>,
    pub expected: Option<f64>,
    pub lower: Option<f64>,
    pub upper: Option<f64>,
    pub explanation: Option<&'a str>,
    pub details: &'a [(String, String)],
    pub attributes: &'a Attributes,
    pub origin: &'a Origin,
    /// The reading that brought it about; for a silence, the one before which it was noticed.
    pub position: Position,
    /// Tells apart what would otherwise have the same id.
    pub ordinal: Ordinal,
}

/// Among anomalies that agree in all that an id is made of: which one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ordinal {
    /// Readings of the sensor so far that came out of order (two readings may share a time), or the
    /// watermark of the tick.
    pub occasion: u64,
    /// Which of equal ones on this occasion, from 0.
    pub index: u32,
}

/// 32 hexadecimal digits, from who speaks of what since when.
pub fn episode_id(detector: &str, lane: &str, key: &EpisodeKey, since: Timestamp) -> String {
    let mut hash = hash_of_key(b"episode", detector, lane, key);
    hash.update(since.to_be_bytes());
    hex16(&hash.finalize())
}

fn hash_of_key(domain: &[u8], detector: &str, lane: &str, key: &EpisodeKey) -> Sha256 {
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        // With the length before it, so that no two lists of parts run together.
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    part(domain);
    part(detector.as_bytes());
    match &key.subject {
        PublicSubject::Sensor(id) => {
            part(b"sensor");
            part(id.as_bytes());
        }
        PublicSubject::Group(name) => {
            part(b"group");
            part(name.as_bytes());
            // A group is its members within one lane.
            part(lane.as_bytes());
        }
    }
    part(key.quantity.as_deref().unwrap_or("").as_bytes());
    part(key.kind.as_bytes());
    hash
}

impl Anomaly<'_> {
    /// 32 hexadecimal digits: the same wherever and however often the anomaly is found.
    pub fn id(&self) -> String {
        let mut hash = hash_of_key(b"anomaly", self.detector, self.lane, self.key);
        hash.update([self.phase as u8]);
        hash.update(self.timestamp.to_be_bytes());
        hash.update(self.ordinal.occasion.to_be_bytes());
        hash.update(self.ordinal.index.to_be_bytes());
        hex16(&hash.finalize())
    }

    /// The same for all anomalies of one episode.
    pub fn episode_id(&self) -> String {
        episode_id(self.detector, self.lane, self.key, self.since)
    }

    /// Ready to go out.
    pub fn to_message(&self) -> AnomalyMessage {
        let header = |name: &str, value: &str| (name.to_owned(), value.as_bytes().to_vec());
        AnomalyMessage {
            key: self.key.subject.name().to_owned(),
            headers: vec![
                header("id", &self.id()),
                header("detector", self.detector),
                header("severity", self.severity.name()),
            ],
            payload: self.to_json(),
        }
    }

    /// One line of JSON, without the newline.
    pub fn to_json(&self) -> Vec<u8> {
        // Writing to memory cannot fail, and all keys are strings.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

impl Serialize for Anomaly<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &self.id())?;
        map.serialize_entry("episode", &self.episode_id())?;
        map.serialize_entry("phase", &self.phase)?;
        map.serialize_entry("detector", self.detector)?;
        map.serialize_entry("detector_version", self.detector_version)?;
        map.serialize_entry("detector_digest", self.detector_digest)?;
        match &self.key.subject {
            PublicSubject::Sensor(id) => map.serialize_entry("sensor_id", id)?,
            PublicSubject::Group(name) => map.serialize_entry("group", name)?,
        }
        if let Some(quantity) = &self.key.quantity {
            map.serialize_entry("quantity", quantity)?;
        }
        map.serialize_entry("kind", &self.key.kind)?;
        map.serialize_entry("severity", &self.severity)?;
        map.serialize_entry("score", &self.score)?;
        map.serialize_entry("timestamp", &rfc3339(self.timestamp))?;
        map.serialize_entry("since", &rfc3339(self.since))?;
        let numbers = [
            ("value", self.value),
            ("expected", self.expected),
            ("lower", self.lower),
            ("upper", self.upper),
        ];
        for (name, number) in numbers {
            // JSON has no NaN or infinity; a number that is none is left out.
            if let Some(number) = number.filter(|n| n.is_finite()) {
                map.serialize_entry(name, &number)?;
            }
        }
        if let Some(explanation) = self.explanation {
            map.serialize_entry("explanation", explanation)?;
        }
        if !self.details.is_empty() {
            map.serialize_entry("details", &Pairs(self.details))?;
        }
        map.serialize_entry("attributes", &Pairs(self.attributes))?;
        map.serialize_entry("source", &Source { origin: self.origin, offset: self.position })?;
        map.end()
    }
}

struct Pairs<'a>(&'a [(String, String)]);

impl Serialize for Pairs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

#[derive(Serialize)]
struct Source<'a> {
    #[serde(flatten)]
    origin: &'a Origin,
    offset: Position,
}

fn hex16(bytes: &[u8]) -> String {
    bytes.iter().take(16).fold(String::with_capacity(32), |mut text, byte| {
        for nibble in [byte >> 4, byte & 15] {
            text.push(char::from(b"0123456789abcdef"[usize::from(nibble)]));
        }
        text
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn the_json_is_what_the_schema_says() {
        let key = EpisodeKey {
            subject: PublicSubject::Sensor("meter-000123".into()),
            quantity: Some("voltage".into()),
            kind: "undervoltage".into(),
        };
        let anomaly = Anomaly {
            detector: "limits",
            detector_version: "1.2.0",
            detector_digest: "sha256:00",
            lane: "0",
            key: &key,
            phase: Phase::Raised,
            severity: Severity::Critical,
            score: 0.98,
            timestamp: 1_767_225_600_000,
            since: 1_767_225_000_000,
            value: Some(203.1),
            expected: Some(230.0),
            lower: Some(207.0),
            upper: Some(f64::INFINITY),
            explanation: Some("10-min mean 203.1 V, below 207 V (EN 50160)"),
            details: &[("window".into(), "10 min".into())],
            attributes: &vec![("location".into(), "feeder-07".into())],
            origin: &Origin::Topic { topic: "sensor-readings".into(), partition: 3 },
            position: 912,
            ordinal: Ordinal::default(),
        };
        expect![[r#"{"id":"bd8a745535f43e51066540c25a0e5001","episode":"4d23f6439a447106a9ffa43a215c1ccc","phase":"raised","detector":"limits","detector_version":"1.2.0","detector_digest":"sha256:00","sensor_id":"meter-000123","quantity":"voltage","kind":"undervoltage","severity":"critical","score":0.98,"timestamp":"2026-01-01T00:00:00.000Z","since":"2025-12-31T23:50:00.000Z","value":203.1,"expected":230.0,"lower":207.0,"explanation":"10-min mean 203.1 V, below 207 V (EN 50160)","details":{"window":"10 min"},"attributes":{"location":"feeder-07"},"source":{"topic":"sensor-readings","partition":3,"offset":912}}"#]]
            .assert_eq(&String::from_utf8(anomaly.to_json()).unwrap());
    }
}
