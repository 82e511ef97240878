//! The report at the end: how fast, the account, what was found of what was injected, and whether that
//! is enough.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use gridwatch_connectors::simulator::World;
use gridwatch_connectors::simulator::score::{Score, Settings, score};
use gridwatch_core::account::Account;
use gridwatch_engine::pipeline::Snapshot;
use serde_json::{Value, json};

use super::heard::{Heard, minute};
use crate::account::{self, grouped};
use crate::wiring;

/// False episodes and missed faults shown; `--json` has more.
const SHOWN: usize = 5;

pub struct Verdict {
    seed: u64,
    took: Duration,
    event_seconds: f64,
    account: Account,
    score: Score,
    cost_ns: BTreeMap<String, f64>,
    /// Detector -> why it was quarantined.
    quarantined: BTreeMap<String, String>,
    /// Raised, but too many to be scored.
    unscored: u64,
}

impl Verdict {
    pub fn new(world: &World, heard: &Heard, snapshot: &Snapshot, account: Account, took: Duration) -> Self {
        let scenario = world.scenario();
        let (found, unscored) = heard.found();
        let reached = snapshot.lanes.iter().filter_map(|lane| lane.event_time).max();
        let quarantined = snapshot
            .lanes
            .iter()
            .flat_map(|lane| &lane.detectors)
            .filter_map(|detector| Some((detector.detector.clone(), detector.quarantine.clone()?)));
        Verdict {
            seed: scenario.seed,
            took,
            event_seconds: reached.map_or(0.0, |time| (time - scenario.start) as f64 / 1000.0),
            account,
            score: score(world.labels(), &found, &Settings::of(scenario)),
            cost_ns: wiring::cost_ns(snapshot),
            quarantined: quarantined.collect(),
            unscored,
        }
    }

    /// Why it is not good enough; empty if it is.
    pub fn failures(&self) -> Vec<String> {
        let mut failures = Vec::new();
        let score = &self.score;
        if !score.passed {
            failures.push(format!(
                "{} of {} kinds of fault found, {:.2} false episodes in 10 sensor-days",
                score.kinds_found, score.kinds_injected, score.false_per_10_sensor_days
            ));
        }
        if !self.account.adds_up() || self.account.pending > 0 {
            failures.push("the account does not add up".to_owned());
        }
        for (detector, reason) in &self.quarantined {
            failures.push(format!("detector {detector} failed: {reason}"));
        }
        if self.unscored > 0 {
            failures.push(format!("{} anomalies too many to be scored", self.unscored));
        }
        failures
    }

    fn times_real_time(&self) -> f64 {
        self.event_seconds / self.took.as_secs_f64().max(1e-9)
    }

    fn readings_per_second(&self) -> f64 {
        self.account.received as f64 / self.took.as_secs_f64().max(1e-9)
    }

    pub fn text(&self) -> String {
        let mut text = format!(
            "{} × real time: {:.1} days in {:.1} s, {} readings/s\n\n",
            grouped(self.times_real_time() as u64),
            self.event_seconds / 86_400.0,
            self.took.as_secs_f64(),
            grouped(self.readings_per_second() as u64),
        );
        text.push_str(&account::text(&self.account));
        // Writing to a string cannot fail.
        let _ = writeln!(text, "\nns a reading");
        for (detector, ns) in &self.cost_ns {
            let _ = writeln!(text, "  {detector:<42}{ns:>16.0}");
        }
        let _ = writeln!(text);
        self.write_score(&mut text);
        let failures = self.failures();
        if failures.is_empty() {
            text.push_str("\nPASS");
        } else {
            let _ = write!(text, "\nFAIL: {}", failures.join("; "));
        }
        text
    }

    fn write_score(&self, text: &mut String) {
        let score = &self.score;
        let _ = writeln!(
            text,
            "{:<20} {:>8} {:>6} {:>13}  found by",
            "fault", "injected", "found", "median delay"
        );
        for kind in &score.kinds {
            let delay = kind.median_delay_ms.map_or("-".to_owned(), delay_words);
            let mark = if kind.passed { "" } else { "  (below 80 %)" };
            let _ = writeln!(
                text,
                "{:<20} {:>8} {:>6} {delay:>13}  {}{mark}",
                kind.kind.name(),
                kind.injected,
                kind.found,
                counted(&kind.by_detector)
            );
        }
        let _ = writeln!(
            text,
            "\n{} of {} kinds found; {} false episodes in {:.0} sensor-days: {:.2} in 10",
            score.kinds_found,
            score.kinds_injected,
            score.false_episodes,
            score.sensor_days,
            score.false_per_10_sensor_days
        );
        let mut worst: Vec<(&String, &u32)> = score.false_by.iter().collect();
        worst.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        for (what, count) in worst.iter().take(SHOWN) {
            let _ = writeln!(text, "  false  {count:>4}  {what}");
        }
        for label in score.missed.iter().take(SHOWN) {
            let _ = writeln!(
                text,
                "  missed       {} on {} at {}: {}",
                label.kind.name(),
                label.sensor_id,
                minute(label.start),
                label.what
            );
        }
    }

    pub fn json(&self) -> Value {
        let failures = self.failures();
        json!({
            "seed": self.seed,
            "passed": failures.is_empty(),
            "failures": failures,
            "seconds": self.took.as_secs_f64(),
            "event_seconds": self.event_seconds,
            "times_real_time": self.times_real_time(),
            "readings_per_second": self.readings_per_second(),
            "account": account::json(&self.account),
            "detector_ns_per_reading": self.cost_ns,
            "quarantined": self.quarantined,
            "score": self.score,
        })
    }
}

fn counted(by: &BTreeMap<String, u32>) -> String {
    let words: Vec<String> = by.iter().map(|(name, count)| format!("{name} {count}")).collect();
    words.join(", ")
}

fn delay_words(ms: i64) -> String {
    match ms / 1000 {
        seconds @ ..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        seconds => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use gridwatch_connectors::simulator::score::Found;
    use gridwatch_connectors::simulator::{Label, Scenario};
    use gridwatch_core::finding::Phase;

    use super::*;

    fn answer(label: &Label) -> Found {
        Found {
            subject: label.sensor_id.clone(),
            group: false,
            timestamp: label.start,
            phase: Phase::Raised,
            detector: "d".into(),
            kind: "k".into(),
        }
    }

    fn verdict(found: &[Found], account: Account) -> Verdict {
        let world = World::new(Scenario::default()).unwrap();
        Verdict {
            seed: 1,
            took: Duration::from_secs(20),
            event_seconds: 604_800.0,
            account,
            score: score(world.labels(), found, &Settings::of(world.scenario())),
            cost_ns: BTreeMap::from([("d".to_owned(), 123.4)]),
            quarantined: BTreeMap::new(),
            unscored: 0,
        }
    }

    fn all_found() -> Vec<Found> {
        let world = World::new(Scenario::default()).unwrap();
        world.labels().iter().map(answer).collect()
    }

    #[test]
    fn all_found_and_accounted_for_passes() {
        let verdict = verdict(&all_found(), Account::default());
        assert_eq!(verdict.failures(), Vec::<String>::new());
        let text = verdict.text();
        assert!(text.starts_with("30,240 × real time: 7.0 days in 20.0 s"), "{text}");
        assert!(text.ends_with("PASS"), "{text}");
        assert_eq!(verdict.json()["passed"], true);
        assert_eq!(verdict.json()["score"]["kinds_found"], 14);
    }

    #[test]
    fn nothing_found_fails() {
        let verdict = verdict(&[], Account::default());
        assert_eq!(verdict.failures().len(), 1);
        assert!(verdict.text().contains("FAIL: 0 of 14 kinds"));
    }

    #[test]
    fn an_account_that_does_not_add_up_fails() {
        let account = Account { received: 2, judged: 1, ..Account::default() };
        let verdict = verdict(&all_found(), account);
        assert_eq!(verdict.failures(), ["the account does not add up"]);
        assert_eq!(verdict.json()["passed"], false);
    }

    #[test]
    fn a_detector_that_failed_fails_the_demo() {
        let mut verdict = verdict(&all_found(), Account::default());
        verdict.quarantined.insert("d".into(), "observe: trapped".into());
        assert_eq!(verdict.failures(), ["detector d failed: observe: trapped"]);
    }
}
