//! What a detector says, and episodes.

use serde::{Deserialize, Serialize};

use crate::detector::Timestamp;
use crate::runtime::Outbox;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Info = 1,
    Warning = 2,
    Critical = 3,
}

/// One kind of trouble on one subject, from raised to cleared. Kept in the detector's state; 8 bytes,
/// because there is one for every kind, sensor and often quantity: the two lowest bits are the severity
/// last told (0 while closed), the rest the start in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Episode(i64);

impl Episode {
    pub fn is_open(&self) -> bool {
        self.told() != 0
    }

    pub fn since(&self) -> Option<Timestamp> {
        self.is_open().then_some(self.start())
    }

    fn start(&self) -> Timestamp {
        self.0 >> 2
    }

    fn told(&self) -> u8 {
        (self.0 & 3) as u8
    }

    /// Starts beyond 70 million years are cut to that.
    fn open(since: Timestamp, severity: Severity) -> Self {
        let since = since.clamp(i64::MIN >> 2, i64::MAX >> 2);
        Episode((since << 2) | severity as i64)
    }
}

/// A finding in the making: `Finding::new(KIND).quantity(0).observed(203.1).band(207.0, 253.0)`.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    pub kind: u32,
    pub quantity: Option<u32>,
    /// The reading's time, or the watermark, if left out.
    pub timestamp: Option<Timestamp>,
    /// 0 (ordinary) to 1 (certain); held within that range.
    pub score: f64,
    /// Start of the episode, if earlier than the finding.
    pub since: Option<Timestamp>,
    pub observed: Option<f64>,
    pub expected: Option<f64>,
    pub lower: Option<f64>,
    pub upper: Option<f64>,
    pub explanation: Option<String>,
    pub details: Vec<(String, String)>,
    /// A group instead of the sensor.
    pub group: Option<String>,
    /// The sensor's own group instead of the sensor.
    pub own_group: bool,
}

impl Finding {
    pub fn new(kind: usize) -> Self {
        Finding {
            kind: kind as u32,
            quantity: None,
            timestamp: None,
            score: 1.0,
            since: None,
            observed: None,
            expected: None,
            lower: None,
            upper: None,
            explanation: None,
            details: Vec::new(),
            group: None,
            own_group: false,
        }
    }
    pub fn quantity(mut self, index: usize) -> Self {
        self.quantity = Some(index as u32);
        self
    }
    pub fn timestamp(mut self, timestamp: Timestamp) -> Self {
        self.timestamp = Some(timestamp);
        self
    }
    pub fn since(mut self, since: Timestamp) -> Self {
        self.since = Some(since);
        self
    }
    pub fn score(mut self, score: f64) -> Self {
        self.score = score;
        self
    }
    pub fn observed(mut self, value: f64) -> Self {
        self.observed = Some(value);
        self
    }
    pub fn expected(mut self, value: f64) -> Self {
        self.expected = Some(value);
        self
    }
    pub fn band(mut self, lower: f64, upper: f64) -> Self {
        self.lower = Some(lower);
        self.upper = Some(upper);
        self
    }
    pub fn explain(mut self, text: impl Into<String>) -> Self {
        self.explanation = Some(text.into());
        self
    }
    pub fn detail(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.details.push((name.into(), value.into()));
        self
    }
    /// Speaks of the sensor's group instead of the sensor (of the sensor, if it has none).
    pub fn own_group(mut self) -> Self {
        self.own_group = true;
        self
    }
    /// Speaks of a group instead of the sensor.
    pub fn group(mut self, name: impl Into<String>) -> Self {
        self.group = Some(name.into());
        self
    }
}

/// Where `judge` and `advance` put what they find. Closures are only called when something is said.
pub struct Findings<'a> {
    pub(crate) now: Timestamp,
    pub(crate) group: Option<&'a str>,
    pub(crate) outbox: &'a mut Outbox,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Raised,
    Updated,
    Cleared,
    Single,
}

impl Findings<'_> {
    fn tell(&mut self, phase: Phase, severity: Severity, finding: Finding) {
        self.outbox.put(phase, severity, finding, self.now, self.group);
    }

    /// An event without length.
    pub fn single(&mut self, severity: Severity, finding: impl FnOnce() -> Finding) {
        self.tell(Phase::Single, severity, finding());
    }

    /// Opens the episode, or tells of it again when the severity differs from what was told last;
    /// otherwise says nothing. The episode starts at the finding's `since`, or its time.
    pub fn raise(&mut self, episode: &mut Episode, severity: Severity, finding: impl FnOnce() -> Finding) {
        if !episode.is_open() {
            let finding = finding();
            let since = finding.since.or(finding.timestamp).unwrap_or(self.now);
            *episode = Episode::open(since, severity);
            self.tell(Phase::Raised, severity, finding);
        } else if episode.told() != severity as u8 {
            let mut finding = finding();
            finding.since = Some(episode.start());
            *episode = Episode::open(episode.start(), severity);
            self.tell(Phase::Updated, severity, finding);
        }
    }

    /// Ends the episode, if it is open; the finding says how things stand now.
    pub fn clear(&mut self, episode: &mut Episode, finding: impl FnOnce() -> Finding) {
        if !episode.is_open() {
            return;
        }
        let mut finding = finding();
        finding.since = Some(episode.start());
        *episode = Episode::default();
        self.tell(Phase::Cleared, Severity::Info, finding);
    }
}
