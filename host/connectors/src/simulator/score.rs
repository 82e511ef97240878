//! What was found of what was injected, and what was raised where nothing was. Pure: times in, counts out.
//!
//! A fault is *found* if something is raised on its sensor, by whatever detector and of whatever kind, no
//! earlier than its start and within [`Settings::prompt_intervals`] reporting intervals after it
//! ([`Settings::slow_ms`] for drift and change of noise). A kind is found when 80 % of its faults are.
//!
//! An episode is *false* if it is raised (or single) on a sensor while none of its faults is on and
//! none has ended within [`Settings::recovery_intervals`]. The end of a fault is itself a change, and as large as the fault:
//! a detector that did its work must notice the way back, at the worst with a mean over the same span
//! it needs to notice anything; sixty intervals (an hour of minutes) is far below what it takes to learn a new level. What is
//! raised later than the time to find, but while the fault lasts or recovery runs, counts neither way. Updates and
//! clearings never count. A group (a feeder, an area) is excused by a fault of any of its members, and finds nothing by itself:
//! the wanted answer is the right sensor.
//!
//! Where the sensor's own clock is wrong, a finding may bear the wrong time (a row's) or the right one (the
//! lane's clock): both are accepted, for being found and for not being false.

use std::collections::BTreeMap;
use std::fmt;

use gridwatch_core::Timestamp;
use gridwatch_core::finding::Phase;
use serde::{Deserialize, Serialize};

use super::fault::{FaultKind, Label};
use super::scenario::{DAY_MS, Scenario};

/// At most so many false episodes and missed faults are listed; all are counted.
const LISTED_MAX: usize = 200;

/// A kind is found when this share of its faults is.
const KIND_SHARE: f64 = 0.8;

/// Of fourteen kinds, so many are to be found; of fewer kinds, the same share, rounded up.
const KINDS_SHARE: f64 = 12.0 / 14.0;

const FALSE_PER_TEN_DAYS_MAX: f64 = 1.0;

/// One finding made public.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// The sensor's id, or a group's name where `group` is set.
    pub subject: String,
    pub group: bool,
    /// The anomaly's timestamp.
    pub timestamp: Timestamp,
    pub phase: Phase,
    pub detector: String,
    /// The detector's own word for it.
    pub kind: String,
}

/// By what rules is scored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    pub interval_ms: i64,
    /// Sensors times days that were judged.
    pub sensor_days: f64,
    pub prompt_intervals: i64,
    pub slow_ms: i64,
    pub recovery_intervals: i64,
}

impl Settings {
    pub fn of(scenario: &Scenario) -> Self {
        Self {
            interval_ms: i64::from(scenario.interval_ms),
            sensor_days: scenario.sensor_days(),
            prompt_intervals: 10,
            slow_ms: 6 * 3_600_000,
            recovery_intervals: 60,
        }
    }

    fn time_to_find(&self, kind: FaultKind) -> i64 {
        if kind.is_slow() { self.slow_ms } else { self.prompt_intervals * self.interval_ms }
    }

    fn recovery_ms(&self) -> i64 {
        self.recovery_intervals * self.interval_ms
    }
}

/// One kind's line of the table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KindScore {
    pub kind: FaultKind,
    pub injected: u32,
    pub found: u32,
    /// From the start of the fault, of those found, ms; of an even number, the later of the middle two.
    pub median_delay_ms: Option<i64>,
    /// How many of the faults each detector found, alone or with others.
    pub by_detector: BTreeMap<String, u32>,
    /// At least 80 % found.
    pub passed: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Score {
    pub kinds: Vec<KindScore>,
    pub kinds_injected: u32,
    pub kinds_found: u32,
    pub sensor_days: f64,
    pub false_episodes: u32,
    pub false_per_10_sensor_days: f64,
    /// "detector/kind" -> false episodes.
    pub false_by: BTreeMap<String, u32>,
    /// 12 of 14 kinds, and at most one false episode in ten sensor-days.
    pub passed: bool,
    /// The first of each, for whoever wants to know why.
    pub missed: Vec<Label>,
    pub false_list: Vec<Found>,
}

/// Scores what was found in a run that was fed the whole scenario.
pub fn score(labels: &[Label], found: &[Found], settings: &Settings) -> Score {
    let mut by_sensor: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    let mut by_group: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (number, label) in labels.iter().enumerate() {
        by_sensor.entry(&label.sensor_id).or_default().push(number);
        by_group.entry(&label.feeder).or_default().push(number);
        by_group.entry(&label.area).or_default().push(number);
    }
    let mut firsts: Vec<Option<i64>> = vec![None; labels.len()];
    let mut finders: Vec<BTreeMap<&str, ()>> = vec![BTreeMap::new(); labels.len()];
    let mut false_by = BTreeMap::new();
    let mut false_list = Vec::new();
    let mut false_episodes = 0;
    for finding in found.iter().filter(|f| matches!(f.phase, Phase::Raised | Phase::Single)) {
        let near = if finding.group { &by_group } else { &by_sensor };
        let mut excused = false;
        for number in near.get(finding.subject.as_str()).into_iter().flatten() {
            let label = &labels[*number];
            excused |= is_excused(label, finding.timestamp, settings);
            if finding.group {
                continue;
            }
            if let Some(delay) = delay_of(label, finding.timestamp, settings) {
                firsts[*number] = Some(firsts[*number].map_or(delay, |first: i64| first.min(delay)));
                finders[*number].insert(&finding.detector, ());
            }
        }
        if !excused {
            false_episodes += 1;
            *false_by.entry(format!("{}/{}", finding.detector, finding.kind)).or_insert(0) += 1;
            if false_list.len() < LISTED_MAX {
                false_list.push(finding.clone());
            }
        }
    }
    let kinds = score_kinds(labels, &firsts, &finders);
    let missed = labels.iter().zip(&firsts).filter(|(_, first)| first.is_none());
    let kinds_found = kinds.iter().filter(|kind| kind.passed).count() as u32;
    let needed = (KINDS_SHARE * kinds.len() as f64 - 1e-9).ceil() as u32;
    let false_per_10_sensor_days =
        f64::from(false_episodes) * 10.0 / settings.sensor_days.max(f64::MIN_POSITIVE);
    Score {
        kinds_injected: kinds.len() as u32,
        kinds_found,
        sensor_days: settings.sensor_days,
        false_episodes,
        false_per_10_sensor_days,
        false_by,
        passed: kinds_found >= needed && false_per_10_sensor_days <= FALSE_PER_TEN_DAYS_MAX,
        missed: missed.take(LISTED_MAX).map(|(label, _)| label.clone()).collect(),
        false_list,
        kinds,
    }
}

/// The times that a finding at `timestamp` may mean: as it stands, and with the sensor's clock put right.
fn meant(label: &Label, timestamp: Timestamp) -> (Timestamp, Timestamp) {
    // Timestamps that repeat or step back are off by anything up to that much, a shifted clock by just that.
    match label.kind {
        FaultKind::ClockShift => (timestamp, timestamp - label.clock_off_ms),
        _ => (timestamp, timestamp.max(label.start.min(timestamp - label.clock_off_ms))),
    }
}

fn delay_of(label: &Label, timestamp: Timestamp, settings: &Settings) -> Option<i64> {
    let (stated, righted) = meant(label, timestamp);
    let most = settings.time_to_find(label.kind);
    [righted, stated].into_iter().map(|time| time - label.start).find(|delay| (0..=most).contains(delay))
}

fn is_excused(label: &Label, timestamp: Timestamp, settings: &Settings) -> bool {
    let (stated, righted) = meant(label, timestamp);
    let span = label.start..label.end + settings.recovery_ms();
    span.contains(&stated) || span.contains(&righted)
}

fn score_kinds(labels: &[Label], firsts: &[Option<i64>], finders: &[BTreeMap<&str, ()>]) -> Vec<KindScore> {
    let mut kinds = Vec::new();
    for kind in FaultKind::ALL {
        let mut delays: Vec<i64> = Vec::new();
        let mut by_detector = BTreeMap::new();
        let mut injected = 0;
        for (number, _) in labels.iter().enumerate().filter(|(_, label)| label.kind == kind) {
            injected += 1;
            delays.extend(firsts[number]);
            for detector in finders[number].keys() {
                *by_detector.entry((*detector).to_string()).or_insert(0) += 1;
            }
        }
        if injected == 0 {
            continue;
        }
        delays.sort_unstable();
        let found = delays.len() as u32;
        kinds.push(KindScore {
            kind,
            injected,
            found,
            median_delay_ms: delays.get(delays.len() / 2).copied(),
            by_detector,
            passed: f64::from(found) >= KIND_SHARE * f64::from(injected) - 1e-9,
        });
    }
    kinds
}

/// The table that a person reads.
impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<20} {:>8} {:>6} {:>13}  by", "fault", "injected", "found", "median delay")?;
        for kind in &self.kinds {
            let delay = kind.median_delay_ms.map_or("-".to_string(), words_of);
            let by: Vec<String> =
                kind.by_detector.iter().map(|(name, count)| format!("{name} {count}")).collect();
            let mark = if kind.passed { "" } else { "  (below 80 %)" };
            let name = kind.kind.name();
            writeln!(
                f,
                "{name:<20} {:>8} {:>6} {delay:>13}  {}{mark}",
                kind.injected,
                kind.found,
                by.join(", ")
            )?;
        }
        writeln!(f, "kinds found          {} of {}", self.kinds_found, self.kinds_injected)?;
        writeln!(
            f,
            "false episodes       {} in {:.1} sensor-days, {:.2} per 10",
            self.false_episodes, self.sensor_days, self.false_per_10_sensor_days
        )?;
        for (what, count) in &self.false_by {
            writeln!(f, "  {what:<30} {count}")?;
        }
        write!(f, "{}", if self.passed { "passed" } else { "not passed" })
    }
}

fn words_of(ms: i64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
    }
}

/// Sensor-days of a number of sensors over a span of event time, ms.
pub fn sensor_days(sensors: u32, span_ms: i64) -> f64 {
    f64::from(sensors) * span_ms as f64 / DAY_MS as f64
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    const MINUTE: i64 = 60_000;

    fn settings() -> Settings {
        Settings {
            interval_ms: MINUTE,
            sensor_days: 20.0,
            prompt_intervals: 10,
            slow_ms: 360 * MINUTE,
            recovery_intervals: 60,
        }
    }

    fn label(sensor: &str, kind: FaultKind, start: i64, end: i64) -> Label {
        Label {
            sensor_id: sensor.into(),
            kind,
            start,
            end,
            quantities: vec![],
            magnitude: 0.0,
            what: String::new(),
            feeder: "feeder-01".into(),
            area: "area-01".into(),
            clock_off_ms: 0,
        }
    }

    fn raised(sensor: &str, timestamp: i64) -> Found {
        Found {
            subject: sensor.into(),
            group: false,
            timestamp,
            phase: Phase::Raised,
            detector: "shift".into(),
            kind: "level".into(),
        }
    }

    #[test]
    fn found_means_right_sensor_and_in_time() {
        let start = 1000 * MINUTE;
        let labels = [label("a", FaultKind::Gain, start, start + 100 * MINUTE)];
        for (sensor, at, found, wrong) in [
            ("a", start, 1, 0),
            ("a", start + 10 * MINUTE, 1, 0),
            ("a", start + 10 * MINUTE + 1, 0, 0),
            ("a", start - 1, 0, 1),
            ("b", start, 0, 1),
            ("a", start + 160 * MINUTE - 1, 0, 0),
            ("a", start + 160 * MINUTE, 0, 1),
        ] {
            let score = score(&labels, &[raised(sensor, at)], &settings());
            assert_eq!((score.kinds[0].found, score.false_episodes), (found, wrong), "{sensor} {at}");
            assert_eq!(score.missed.len() as u32, 1 - found);
        }
    }

    #[test]
    fn drift_has_six_hours_and_updates_count_for_nothing() {
        let labels = [label("a", FaultKind::Drift, 0, 500 * MINUTE)];
        assert_eq!(score(&labels, &[raised("a", 360 * MINUTE)], &settings()).kinds[0].found, 1);
        assert_eq!(score(&labels, &[raised("a", 361 * MINUTE)], &settings()).kinds[0].found, 0);
        for phase in [Phase::Updated, Phase::Cleared] {
            let inside = Found { phase, ..raised("a", 5) };
            let outside = Found { phase, ..raised("b", 5) };
            let score = score(&labels, &[inside, outside], &settings());
            assert_eq!((score.kinds[0].found, score.false_episodes), (0, 0));
        }
    }

    #[test]
    fn a_shifted_clock_is_understood_in_its_own_time_and_in_ours() {
        let start = 1000 * MINUTE;
        let mut shifted = label("a", FaultKind::ClockShift, start, start + 200 * MINUTE);
        shifted.clock_off_ms = -60 * MINUTE;
        for (at, found, wrong) in [
            (start + MINUTE, 1, 0),
            (start - 59 * MINUTE, 1, 0),
            (start - 61 * MINUTE, 0, 1),
            (start + 30 * MINUTE, 0, 0),
        ] {
            let score = score(std::slice::from_ref(&shifted), &[raised("a", at)], &settings());
            assert_eq!((score.kinds[0].found, score.false_episodes), (found, wrong), "{at}");
        }
        let mut frozen = label("a", FaultKind::RepeatedTimestamps, start, start + 20 * MINUTE);
        frozen.clock_off_ms = -20 * MINUTE;
        let score = score(&[frozen], &[raised("a", start - MINUTE)], &settings());
        assert_eq!((score.kinds[0].found, score.false_episodes), (1, 0));
    }

    #[test]
    fn a_group_is_excused_by_its_members_but_finds_nothing() {
        let labels = [label("a", FaultKind::Gain, 0, 100 * MINUTE)];
        let group = |name: &str, at| Found { group: true, ..raised(name, at) };
        let score = score(
            &labels,
            &[
                group("feeder-01", 0),
                group("area-01", 0),
                group("feeder-02", 0),
                group("feeder-01", 500 * MINUTE),
            ],
            &settings(),
        );
        assert_eq!((score.kinds[0].found, score.false_episodes), (0, 2));
    }

    #[test]
    fn passing_takes_twelve_of_fourteen_and_few_false_episodes() {
        let mut labels = Vec::new();
        let mut found = Vec::new();
        for (n, kind) in FaultKind::ALL.into_iter().enumerate() {
            for m in 0..5 {
                let sensor = format!("{n}-{m}");
                labels.push(label(&sensor, kind, 0, 100 * MINUTE));
                // Of each kind four of five; of the last two kinds three.
                if m < if n < 12 { 4 } else { 3 } {
                    found.push(raised(&sensor, m * MINUTE));
                }
            }
        }
        let good = score(&labels, &found, &settings());
        assert!(good.passed);
        assert_eq!((good.kinds_found, good.kinds_injected, good.missed.len()), (12, 14, 16));
        assert_eq!(good.kinds[0].median_delay_ms, Some(2 * MINUTE));
        assert_eq!(good.kinds[0].by_detector["shift"], 4);
        assert!(good.to_string().contains("12 of 14"), "{good}");
        found.extend([raised("x", 0), raised("x", 1)]);
        assert!(score(&labels, &found, &settings()).passed, "two in twenty sensor-days are allowed");
        found.push(raised("x", 2));
        assert!(!score(&labels, &found, &settings()).passed);
        found.truncate(found.len() - 3);
        found.retain(|f| f.subject != "0-0");
        assert!(!score(&labels, &found, &settings()).passed, "eleven kinds are too few");
    }

    #[test]
    fn a_score_goes_through_json() {
        let labels = [label("a", FaultKind::Sqrt3, 0, 100 * MINUTE)];
        let score = score(&labels, &[raised("b", 7)], &settings());
        let json = serde_json::to_string(&score).unwrap();
        assert_eq!(serde_json::from_str::<Score>(&json).unwrap(), score);
    }
}
