//! Rates and the course of the last hour, from what lanes count: looked at once a second.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use gridwatch_core::Timestamp;
use gridwatch_core::account::Account;
use gridwatch_core::finding::{Phase, Severity};
use gridwatch_engine::pipeline::Snapshot;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Shared, lock, now_ms};
use crate::wiring;

const SECONDS_MAX: usize = 3_600;
const BUCKETS_MAX: u64 = 60;
/// Seconds of a bucket, the smallest that reaches back to the start, or for an hour.
const BUCKET_SECONDS: [u64; 4] = [1, 5, 15, 60];
/// Beyond these, detectors are counted together.
const DETECTORS_MAX: usize = 64;
const OTHERS: &str = "(others)";
/// Rates are means over about so many seconds.
const RATE_SECONDS: usize = 3;

/// Anomalies that began (raised, single) over the last hour, by when they were found.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Timeline {
    pub bucket_seconds: u64,
    /// Where the first bucket begins.
    pub start: String,
    pub detectors: Vec<String>,
    /// For each detector, for each bucket.
    pub counts: Vec<Vec<u64>>,
    pub by_severity: SeverityTimeline,
}

/// For each bucket.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct SeverityTimeline {
    pub info: Vec<u64>,
    pub warning: Vec<u64>,
    pub critical: Vec<u64>,
}

/// Handles are copies of one thing.
#[derive(Clone)]
pub struct Pulse {
    shared: Shared<Beat>,
}

/// A detector by its number, and how many of a severity it has begun.
type Begun = (usize, Severity, u64);

struct Beat {
    start: Instant,
    start_ms: Timestamp,
    /// By lane what was received, by second.
    received: VecDeque<(Instant, BTreeMap<String, u64>)>,
    /// What was begun so far, to see what is new.
    begun: BTreeMap<(String, Severity), u64>,
    detectors: Vec<String>,
    /// Seconds since the start, and what began in each; seconds in which nothing did are not there.
    seconds: VecDeque<(u64, Vec<Begun>)>,
}

impl Default for Pulse {
    fn default() -> Self {
        let beat = Beat {
            start: Instant::now(),
            start_ms: now_ms(),
            received: VecDeque::new(),
            begun: BTreeMap::new(),
            detectors: Vec::new(),
            seconds: VecDeque::new(),
        };
        Pulse { shared: Shared::new(beat.into()) }
    }
}

impl Pulse {
    pub fn started_at(&self) -> Timestamp {
        lock(&self.shared).start_ms
    }

    /// Once a second.
    pub fn look(&self, snapshot: &Snapshot) {
        let mut beat = lock(&self.shared);
        let received = snapshot.lanes.iter().map(|lane| (lane.lane.clone(), lane.account.received));
        let received = received.collect();
        beat.received.push_back((Instant::now(), received));
        if beat.received.len() > RATE_SECONDS + 1 {
            beat.received.pop_front();
        }
        beat.count(&wiring::account_of(snapshot));
    }

    /// Readings a second, by lane.
    pub fn rates(&self) -> BTreeMap<String, f64> {
        let beat = lock(&self.shared);
        let (Some((then, before)), Some((now, after))) = (beat.received.front(), beat.received.back()) else {
            return BTreeMap::new();
        };
        let seconds = now.duration_since(*then).as_secs_f64();
        let rate = |(lane, count): (&String, &u64)| {
            let before = before.get(lane).copied().unwrap_or(*count);
            (lane.clone(), if seconds > 0.0 { count.saturating_sub(before) as f64 / seconds } else { 0.0 })
        };
        after.iter().map(rate).collect()
    }

    pub fn timeline(&self) -> Timeline {
        let beat = lock(&self.shared);
        let now = beat.start.elapsed().as_secs();
        let reaches = |bucket: &&u64| **bucket * BUCKETS_MAX > now;
        let bucket_seconds = BUCKET_SECONDS.iter().find(reaches).copied().unwrap_or(60);
        let last = now / bucket_seconds;
        let first = (last + 1).saturating_sub(BUCKETS_MAX);
        let buckets = (last - first + 1) as usize;
        let mut counts = vec![vec![0; buckets]; beat.detectors.len()];
        let mut severities = [vec![0; buckets], vec![0; buckets], vec![0; buckets]];
        for (second, begun) in &beat.seconds {
            let Some(bucket) = (second / bucket_seconds).checked_sub(first) else { continue };
            for (detector, severity, count) in begun {
                counts[*detector][bucket as usize] += count;
                severities[*severity as usize][bucket as usize] += count;
            }
        }
        let start = beat.start_ms + (first * bucket_seconds * 1000) as i64;
        let [info, warning, critical] = severities;
        Timeline {
            bucket_seconds,
            start: gridwatch_core::time::rfc3339(start),
            detectors: beat.detectors.clone(),
            counts,
            by_severity: SeverityTimeline { info, warning, critical },
        }
    }
}

impl Beat {
    fn count(&mut self, account: &Account) {
        let mut begun: BTreeMap<(String, Severity), u64> = BTreeMap::new();
        for (label, count) in &account.anomalies {
            if matches!(label.phase, Phase::Raised | Phase::Single) {
                *begun.entry((label.detector.clone(), label.severity)).or_default() += count;
            }
        }
        let mut new = Vec::new();
        for ((detector, severity), count) in &begun {
            let before = self.begun.get(&(detector.clone(), *severity)).copied().unwrap_or(0);
            if *count > before {
                new.push((self.number_of(detector), *severity, count - before));
            }
        }
        self.begun = begun;
        if !new.is_empty() {
            self.seconds.push_back((self.start.elapsed().as_secs(), new));
        }
        let now = self.start.elapsed().as_secs();
        while self.seconds.front().is_some_and(|(second, _)| second + SECONDS_MAX as u64 <= now) {
            self.seconds.pop_front();
        }
    }

    fn number_of(&mut self, detector: &str) -> usize {
        let full = self.detectors.len() >= DETECTORS_MAX;
        let is_known = self.detectors.iter().any(|known| known == detector);
        let name = if is_known || !full { detector } else { OTHERS };
        match self.detectors.iter().position(|known| known == name) {
            Some(number) => number,
            None => {
                self.detectors.push(name.to_owned());
                self.detectors.len() - 1
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use gridwatch_core::account::AnomalyLabel;
    use gridwatch_engine::pipeline::LaneSnapshot;

    use super::*;

    fn snapshot(received: u64, raised: u64) -> Snapshot {
        let label = |phase| AnomalyLabel {
            detector: "limits".into(),
            kind: "sag".into(),
            severity: Severity::Critical,
            phase,
        };
        let anomalies = [(label(Phase::Raised), raised), (label(Phase::Cleared), 100)].into();
        let account = Account { received, anomalies, ..Account::default() };
        let lane = LaneSnapshot { lane: "0".into(), account, ..LaneSnapshot::default() };
        Snapshot { lanes: vec![lane], ..Snapshot::default() }
    }

    #[test]
    fn what_began_is_counted_once_in_its_bucket() {
        let pulse = Pulse::default();
        for (received, raised) in [(10, 0), (20, 2), (30, 2), (40, 3)] {
            pulse.look(&snapshot(received, raised));
        }
        let timeline = pulse.timeline();
        assert_eq!((timeline.bucket_seconds, timeline.detectors), (1, vec!["limits".to_owned()]));
        assert_eq!(timeline.counts[0].iter().sum::<u64>(), 3, "what ended is not counted");
        assert_eq!(timeline.by_severity.critical.iter().sum::<u64>(), 3);
        assert_eq!(timeline.by_severity.info.iter().sum::<u64>(), 0);
        assert!(pulse.rates()["0"] > 0.0);
    }

    #[test]
    fn detectors_beyond_the_most_are_counted_together() {
        let pulse = Pulse::default();
        let mut beat = lock(&pulse.shared);
        for number in 0..DETECTORS_MAX + 10 {
            beat.number_of(&format!("d{number}"));
        }
        assert_eq!(beat.detectors.len(), DETECTORS_MAX + 1);
        assert_eq!(beat.number_of("d0"), 0);
    }
}
