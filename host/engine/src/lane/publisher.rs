//! Findings become anomalies: names for numbers, derived ids, episodes kept in mind.

use std::borrow::Cow;
use std::collections::HashMap;

use gridwatch_core::Timestamp;
use gridwatch_core::account::AnomalyLabel;
use gridwatch_core::anomaly::{Anomaly, EpisodeKey, Ordinal, PublicSubject};
use gridwatch_core::checkpoint::{DetectorState, OpenEpisode};
use gridwatch_core::decode::{Mapping, has_decimal_comma};
use gridwatch_core::finding::{Finding, Phase, Severity, Subject};
use gridwatch_core::record::Position;
use gridwatch_core::sensors::Attributes;
use gridwatch_core::sink::Outgoing;

use sha2::{Digest, Sha256};

use super::Lane;
use super::builder::Builder;
use super::episodes::Open;
use super::seat::{Life, Noted};

/// What brought a finding about.
#[derive(Debug, Clone, Copy)]
pub struct Cause {
    /// The sensor of the row; None in `advance`.
    pub sensor: Option<u32>,
    /// In the batch; None in `advance`.
    pub row: Option<usize>,
    pub position: Position,
    /// Tells apart two rows of a sensor with the same time, or two ticks.
    pub occasion: u64,
    /// False in a replay: an earlier life has published it.
    pub live: bool,
}

/// What was said already on the occasion at hand, to tell apart what is said twice.
#[derive(Default)]
pub struct Said {
    row: Option<usize>,
    counts: HashMap<(usize, EpisodeKey, Phase, Timestamp), u32>,
}

impl Said {
    pub fn turn_to(&mut self, row: usize) {
        if self.row != Some(row) {
            self.row = Some(row);
            self.counts.clear();
        }
    }

    /// How many times the same was said before on this occasion.
    fn index(&mut self, seat: usize, key: &EpisodeKey, phase: Phase, timestamp: Timestamp) -> u32 {
        let count = self.counts.entry((seat, key.clone(), phase, timestamp)).or_default();
        *count += 1;
        *count - 1
    }
}

impl Lane {
    pub(super) fn publish(&mut self, at: usize, finding: &Finding, cause: Cause, said: &mut Said) {
        let quantities = self.decoder.quantities();
        let seat = &mut self.seats[at];
        let Some(noted) = seat.note(finding, cause.sensor, &self.sensors, quantities) else { return };
        let Noted { key, since, sensor } = noted;
        let descriptor = seat.deployment.module.descriptor();
        let index = said.index(at, &key, finding.phase, finding.timestamp);
        if !cause.live {
            return;
        }
        // Readings of several sensors may say the same of one subject at one time.
        let by_other = cause.sensor.filter(|_| finding.subject != Subject::Reading);
        let occasion =
            by_other.map_or(cause.occasion, |by| cause.occasion ^ fingerprint(self.sensors.id(by)));
        let none = Attributes::new();
        let mappings = &self.settings.decode.mappings;
        let malformed = malformed_of(finding, cause.row, &self.batch)
            .map(|(quantity, text)| in_words(mappings, &quantities[usize::from(quantity)].name, text));
        let details = match malformed {
            None => Cow::Borrowed(&finding.details[..]),
            Some(words) => {
                let first = [(MALFORMED.to_owned(), words)];
                Cow::Owned(first.into_iter().chain(finding.details.iter().cloned()).collect::<Vec<_>>())
            }
        };
        let anomaly = Anomaly {
            detector: &seat.deployment.name,
            detector_version: &descriptor.version,
            detector_digest: seat.deployment.module.digest(),
            lane: &self.name,
            key: &key,
            phase: finding.phase,
            severity: finding.severity,
            score: finding.score,
            timestamp: finding.timestamp,
            since,
            value: finding.observed,
            expected: finding.expected,
            lower: finding.lower,
            upper: finding.upper,
            explanation: finding.explanation.as_deref(),
            details: &details,
            attributes: sensor.map_or(&none, |sensor| self.sensors.attributes(sensor)),
            origin: &self.origin,
            position: cause.position,
            ordinal: Ordinal { occasion, index },
        };
        send(&mut self.output.messages, &mut self.account, &anomaly);
    }

    /// The detector's seat is empty from now on: its open episodes are cleared by the host, with the reason.
    /// What the detector knew is `kept`.
    pub(super) fn close(
        &mut self,
        at: usize,
        reason: String,
        kept: Option<DetectorState>,
        position: Position,
        live: bool,
    ) {
        let seat = &mut self.seats[at];
        let episodes = seat.episodes.take();
        let explanation =
            format!("closed by the host: detector {} is quarantined: {reason}", seat.deployment.name);
        seat.life = Life::Quarantined { reason, kept: kept.map(Box::new) };
        if live {
            let name = seat.deployment.name.clone();
            let (version, digest) = seat.identity();
            self.clear([&name, &version, &digest], &episodes, &explanation, position);
        }
    }

    /// The host clears open episodes in the name of a detector: its name, version and digest.
    pub(super) fn clear(&mut self, who: [&str; 3], episodes: &Open, explanation: &str, position: Position) {
        for (key, episode) in episodes {
            self.speak_for(who, key, *episode, Phase::Cleared, explanation, position);
        }
    }

    /// In the name of a detector: its name, version and digest.
    pub(super) fn speak_for(
        &mut self,
        [detector, version, digest]: [&str; 3],
        key: &EpisodeKey,
        episode: OpenEpisode,
        phase: Phase,
        explanation: &str,
        position: Position,
    ) {
        let sensor = match &key.subject {
            PublicSubject::Sensor(id) => self.sensors.find(id),
            PublicSubject::Group(_) => None,
        };
        let none = Attributes::new();
        let anomaly = Anomaly {
            detector,
            detector_version: version,
            detector_digest: digest,
            lane: &self.name,
            key,
            phase,
            severity: if phase == Phase::Cleared { Severity::Info } else { episode.severity },
            score: 0.0,
            timestamp: self.batch.clock_at(position).or(self.clock.time()).unwrap_or(episode.since),
            since: episode.since,
            value: None,
            expected: None,
            lower: None,
            upper: None,
            explanation: Some(explanation),
            details: &[],
            attributes: sensor.map_or(&none, |sensor| self.sensors.attributes(sensor)),
            origin: &self.origin,
            position,
            ordinal: Ordinal { occasion: position, index: 0 },
        };
        send(&mut self.output.messages, &mut self.account, &anomaly);
    }
}

/// What the host adds to the details of findings about a whole row.
const MALFORMED: &str = "malformed";

/// Detectors are told that a value was no number, not what stood in its place.
fn malformed_of<'b>(finding: &Finding, row: Option<usize>, batch: &'b Builder) -> Option<(u16, &'b str)> {
    let is_of_row = finding.subject == Subject::Reading && finding.quantity.is_none();
    let says_itself = finding.details.iter().any(|(key, _)| key == MALFORMED);
    row.filter(|_| is_of_row && !says_itself).and_then(|row| batch.malformed_at(row))
}

/// What stands where a number should be. `text` is known of CSV, where people look for the column.
fn in_words(mappings: &[Mapping], quantity: &str, text: &str) -> String {
    let mapped = mappings.iter().find(|mapping| mapping.name == quantity);
    match (mapped, text) {
        (_, "") => format!("{quantity} is no number"),
        (Some(mapping), text) => {
            format!("column \"{}\" ({quantity}) holds \"{text}\"{}", mapping.path, comma(text))
        }
        (None, text) => format!("column \"{quantity}\" holds \"{text}\"{}", comma(text)),
    }
}

/// 64 bits that stand for a sensor's id, the same on every machine.
fn fingerprint(id: &str) -> u64 {
    let digest = Sha256::digest(id.as_bytes());
    digest.iter().take(8).fold(0, |bits, byte| bits << 8 | u64::from(*byte))
}

fn send(messages: &mut Vec<Outgoing>, account: &mut gridwatch_core::account::Account, anomaly: &Anomaly<'_>) {
    let label = AnomalyLabel {
        detector: anomaly.detector.to_owned(),
        kind: anomaly.key.kind.clone(),
        severity: anomaly.severity,
        phase: anomaly.phase,
    };
    *account.anomalies.entry(label).or_default() += 1;
    messages.push(Outgoing::Anomaly(anomaly.to_message()));
}

fn comma(text: &str) -> &'static str {
    if has_decimal_comma(text) { ", with a decimal comma: numbers have a decimal point" } else { "" }
}
