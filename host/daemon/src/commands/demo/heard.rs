//! Anomalies as they go out, beside what was injected.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gridwatch_connectors::simulator::score::{Found, Settings};
use gridwatch_connectors::simulator::{Label, World};
use gridwatch_core::Timestamp;
use gridwatch_core::decode::parse_rfc3339;
use gridwatch_core::finding::{Phase, Severity};
use gridwatch_core::sink::{LaneId, Outgoing};
use gridwatch_engine::outlet::Observer;
use serde::Deserialize;

/// Kept for the score. A healthy run has some thousands.
const FOUND_MAX: usize = 1_000_000;
/// Kept where nothing is scored.
const ANSWERED_MAX: usize = 1_000;
/// Kept until they are shown.
const LINES_MAX: usize = 64;

/// Handles are copies of one thing: the outlet's thread speaks into it, the main thread reads.
#[derive(Clone)]
pub struct Heard {
    world: Arc<World>,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    found: Vec<Found>,
    beyond: u64,
    /// Faults that something was raised for, and in which round.
    answered: BTreeSet<(i64, usize)>,
    lines: Vec<Line>,
    lines_beyond: u64,
}

/// In the outlet's thread.
struct Hearing {
    heard: Heard,
    truth: Truth,
}

impl Observer for Hearing {
    fn taken(&mut self, _lane: &LaneId, messages: &[Outgoing]) {
        messages.iter().for_each(|message| self.heard.hear(&self.truth, message));
    }
}

/// Something raised, in words.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line {
    /// Not the first answer to a fault; the first ones are shown first.
    pub is_repeat: bool,
    pub text: String,
}

/// The part of an anomaly that is looked at here.
#[derive(Deserialize)]
struct Message {
    phase: Phase,
    detector: String,
    sensor_id: Option<String>,
    group: Option<String>,
    quantity: Option<String>,
    kind: String,
    severity: Severity,
    timestamp: String,
}

impl Heard {
    pub fn new(world: Arc<World>) -> Self {
        Heard { world, shared: Arc::default() }
    }

    pub fn observer(&self) -> impl Observer + use<> {
        Hearing { heard: self.clone(), truth: Truth::new(&self.world) }
    }

    fn hear(&self, truth: &Truth, outgoing: &Outgoing) {
        let Outgoing::Anomaly(outgoing) = outgoing else { return };
        let parsed = serde_json::from_slice::<Message>(&outgoing.payload);
        let (message, timestamp) = match parsed.map(|m| (parse_rfc3339(&m.timestamp), m)) {
            Ok((Some(timestamp), message)) => (message, timestamp),
            _ => {
                tracing::error!("an anomaly cannot be read back (a fault of gridwatch itself)");
                return;
            }
        };
        // Updates and ends of episodes are neither found nor false.
        if !matches!(message.phase, Phase::Raised | Phase::Single) {
            return;
        }
        let group = message.sensor_id.is_none();
        let subject = message.sensor_id.clone().or(message.group.clone());
        let found = Found {
            subject: subject.unwrap_or_default(),
            group,
            timestamp,
            phase: message.phase,
            detector: message.detector.clone(),
            kind: message.kind.clone(),
        };
        let injected = truth.at(&found);
        let mut shared = self.lock();
        let is_first =
            injected.is_some_and(|injected| shared.answered.insert((injected.round, injected.number)));
        let line = Line {
            is_repeat: !is_first,
            text: words(
                &message,
                &found,
                injected.map(|injected| (&self.world.labels()[injected.number], injected.later_ms)),
            ),
        };
        if shared.lines.len() < LINES_MAX {
            shared.lines.push(line);
        } else {
            shared.lines_beyond += 1;
        }
        if shared.found.len() < FOUND_MAX {
            shared.found.push(found);
        } else {
            shared.beyond += 1;
        }
    }

    /// What was raised since this was last called, first answers first; and how many more there were.
    pub fn take_lines(&self) -> (Vec<Line>, u64) {
        let mut shared = self.lock();
        let mut lines = std::mem::take(&mut shared.lines);
        let beyond = std::mem::take(&mut shared.lines_beyond);
        drop(shared);
        lines.sort_by_key(|line| line.is_repeat);
        (lines, beyond)
    }

    /// All that was raised, and how many were too many to be kept.
    pub fn found(&self) -> (Vec<Found>, u64) {
        let shared = self.lock();
        (shared.found.clone(), shared.beyond)
    }

    /// Nothing is to be scored: what was shown needs not be kept.
    pub fn forget(&self) {
        let mut shared = self.lock();
        shared.found.clear();
        while shared.answered.len() > ANSWERED_MAX {
            shared.answered.pop_first();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn words(message: &Message, found: &Found, injected: Option<(&Label, i64)>) -> String {
    let what = format!(
        "{:8} {:6} {}/{} {} {}",
        message.severity.name(),
        match message.phase {
            Phase::Raised => "raised",
            _ => "single",
        },
        found.detector,
        found.kind,
        found.subject,
        message.quantity.as_deref().unwrap_or("")
    );
    let truth = match injected {
        Some((label, later_ms)) => {
            let since = minute(label.start + later_ms);
            format!("injected: {} since {since} ({})", label.kind.name(), label.what)
        }
        None => "nothing injected there".to_owned(),
    };
    format!("{what:<64} | {truth}")
}

/// `2026-01-07 12:30`
pub fn minute(timestamp: Timestamp) -> String {
    let text = gridwatch_core::time::rfc3339(timestamp).replace('T', " ");
    text.get(..16).map_or(text.clone(), str::to_owned)
}

/// A fault, and which coming of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Injected {
    number: usize,
    round: i64,
    /// After what its label says.
    later_ms: i64,
}

/// Faults by whom they befall.
struct Truth {
    /// The scenario's end, and after how long its faults come again, where they do.
    end: Timestamp,
    period: i64,
    by_sensor: BTreeMap<String, Vec<(usize, Timestamp, Timestamp)>>,
}

impl Truth {
    fn new(world: &World) -> Self {
        let settings = Settings::of(world.scenario());
        let after = settings.recovery_intervals * settings.interval_ms;
        let mut by_sensor: BTreeMap<String, Vec<_>> = BTreeMap::new();
        for (number, label) in world.labels().iter().enumerate() {
            // A clock that is wrong makes findings bear wrong times.
            let off = label.clock_off_ms;
            let span = (number, label.start + off.min(0), label.end + off.max(0) + after);
            for subject in [&label.sensor_id, &label.feeder, &label.area] {
                by_sensor.entry(subject.clone()).or_default().push(span);
            }
        }
        let scenario = world.scenario();
        let end = scenario.start + scenario.slots() as i64 * i64::from(scenario.interval_ms);
        Truth { end, period: scenario.recurrence_ms(), by_sensor }
    }

    /// The fault that a finding is most likely about: the one that began last.
    fn at(&self, found: &Found) -> Option<Injected> {
        // Of a fault that came again, its first coming tells all but the time; its end may lie in the next round.
        let rounds = (found.timestamp - self.end).div_euclid(self.period) + 1;
        let rounds = [rounds, rounds - 1].map(|round| round.max(0));
        let spans = self.by_sensor.get(&found.subject)?;
        let injected = rounds.iter().flat_map(|&round| {
            let later_ms = round * self.period;
            let at = found.timestamp - later_ms;
            let on = spans.iter().filter(move |(_, start, end)| (*start..*end).contains(&at));
            on.map(move |(number, start, _)| {
                (start + later_ms, Injected { number: *number, round, later_ms })
            })
        });
        injected.max_by_key(|(start, _)| *start).map(|(_, injected)| injected)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use gridwatch_connectors::simulator::Scenario;
    use gridwatch_core::dead_letter::DeadLetter;
    use gridwatch_core::reading::{Reason, Rejection};
    use gridwatch_core::record::{Record, RecordMeta};
    use gridwatch_core::sink::AnomalyMessage;
    use gridwatch_core::time::rfc3339;

    use super::*;

    fn heard() -> Heard {
        Heard::new(World::new(Scenario::default()).unwrap())
    }

    fn lane() -> LaneId {
        LaneId::only("simulator-0")
    }

    fn anomaly(sensor: &str, phase: &str, timestamp: Timestamp) -> Outgoing {
        let payload = serde_json::json!({
            "id": "x", "phase": phase, "detector": "limits", "sensor_id": sensor, "quantity": "voltage",
            "kind": "sag", "severity": "warning", "timestamp": rfc3339(timestamp),
        });
        Outgoing::Anomaly(AnomalyMessage {
            key: sensor.to_owned(),
            headers: Vec::new(),
            payload: payload.to_string().into_bytes(),
        })
    }

    #[test]
    fn what_is_raised_stands_beside_what_was_injected() {
        let heard = heard();
        let label = heard.world.labels()[0].clone();
        let mut observer = heard.observer();
        let start = heard.world.scenario().start;
        observer.taken(
            &lane(),
            &[
                anomaly(&label.sensor_id, "raised", start),
                anomaly(&label.sensor_id, "raised", label.start),
                anomaly(&label.sensor_id, "single", label.start + 1),
            ],
        );
        let (lines, beyond) = heard.take_lines();
        assert_eq!((lines.len(), beyond), (3, 0));
        let injected = format!("| injected: {} since", label.kind.name());
        assert!(lines[0].text.contains(&injected), "{}", lines[0].text);
        assert!(!lines[0].is_repeat, "the first answer comes first");
        assert!(lines[1].text.ends_with("| nothing injected there"));
        assert!(lines[2].is_repeat && lines[2].text.contains(&injected));
        assert_eq!(heard.found().0.len(), 3);
        assert!(heard.take_lines().0.is_empty(), "shown once");
    }

    #[test]
    fn what_comes_again_is_told_by_its_new_time() {
        let heard = heard();
        let label = heard.world.labels()[0].clone();
        let later = label.start + 3 * heard.world.scenario().recurrence_ms();
        let mut observer = heard.observer();
        for _ in 0..2 {
            observer.taken(
                &lane(),
                &[
                    anomaly(&label.sensor_id, "raised", label.start),
                    anomaly(&label.sensor_id, "raised", later),
                ],
            );
        }
        let (lines, _) = heard.take_lines();
        let since = format!("injected: {} since {} (", label.kind.name(), minute(later));
        let told: Vec<&Line> = lines.iter().filter(|line| line.text.contains(&since)).collect();
        assert_eq!(told.len(), 2, "{lines:?}");
        assert_eq!(lines.iter().filter(|line| !line.is_repeat).count(), 2, "the first answer to each");
    }

    #[test]
    fn updates_ends_and_dead_letters_are_nothing_new() {
        let heard = heard();
        let mut observer = heard.observer();
        let rejection = Rejection { reason: Reason::NotJson, detail: String::new() };
        let meta = RecordMeta { position: 0, next: 1, stored: None, line: 0, end: 0, truncated: false };
        let dead = DeadLetter::new(&rejection, "a", &Record::plain(meta, b"{"));
        let dead = Outgoing::DeadLetter(Box::new(dead));
        observer.taken(&lane(), &[anomaly("a", "updated", 0), anomaly("a", "cleared", 0), dead]);
        assert_eq!(heard.found(), (Vec::new(), 0));
    }

    #[test]
    fn lines_that_nobody_takes_are_counted_not_kept() {
        let heard = heard();
        let mut observer = heard.observer();
        for _ in 0..LINES_MAX + 7 {
            observer.taken(&lane(), &[anomaly("a", "raised", 0)]);
        }
        let (lines, beyond) = heard.take_lines();
        assert_eq!((lines.len(), beyond), (LINES_MAX, 7));
    }
}
