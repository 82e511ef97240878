//! Whether what was said is what an undisturbed run says, lane by lane.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use super::Stage;
use super::output::{Output, Said};

/// What the delivery promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// The same, once, in the same order.
    ExactlyOnce,
    /// What is seen for the first time is the same in the same order; what is seen again is a repeat of it.
    AtLeastOnce,
}

/// One scenario's line.
#[derive(Clone, Debug)]
pub struct Verdict {
    pub scenario: &'static str,
    pub seed: u64,
    pub disturbances: String,
    pub readings: i64,
    pub expected: usize,
    pub seen: usize,
    pub lost: usize,
    /// Under at-least-once they are allowed.
    pub doubled: usize,
    promise: Promise,
    /// Neither expected nor a repeat.
    foreign: usize,
    dead_letters: usize,
    /// The first difference in order, or of a repeat from what it repeats.
    pub wrong: Vec<String>,
    /// Figures beside.
    pub notes: Vec<String>,
}

impl Verdict {
    pub fn of(
        scenario: &'static str,
        seed: u64,
        promise: Promise,
        expected: &Output,
        seen: &Output,
    ) -> Verdict {
        let mut verdict = Verdict {
            scenario,
            seed,
            disturbances: String::new(),
            readings: 0,
            expected: expected.count(),
            seen: seen.count(),
            lost: 0,
            doubled: 0,
            promise,
            foreign: 0,
            dead_letters: expected.dead_letters.values().map(Vec::len).sum(),
            wrong: Vec::new(),
            notes: Vec::new(),
        };
        verdict.compare("anomaly", &expected.anomalies, &seen.anomalies);
        verdict.compare("dead letter", &expected.dead_letters, &seen.dead_letters);
        if expected.count() == 0 || verdict.dead_letters == 0 {
            verdict.wrong.push("nothing was expected: the scenario shows nothing".to_owned());
        }
        verdict
    }

    fn compare(&mut self, what: &str, expected: &BTreeMap<i64, Vec<Said>>, seen: &BTreeMap<i64, Vec<Said>>) {
        let lanes: HashSet<&i64> = expected.keys().chain(seen.keys()).collect();
        for lane in lanes {
            let of = |all: &BTreeMap<i64, Vec<Said>>| all.get(lane).cloned().unwrap_or_default();
            let (expected, seen) = (of(expected), of(seen));
            let mut first: HashMap<&str, &Said> = HashMap::new();
            let mut once = Vec::new();
            for said in &seen {
                match first.insert(&said.id, said) {
                    None => once.push(said.clone()),
                    Some(before) => {
                        self.doubled += 1;
                        if before != said {
                            self.wrong.push(format!("{what}: a repeat differs: {before:?} {said:?}"));
                        }
                    }
                }
            }
            let known: HashSet<&str> = expected.iter().map(|said| said.id.as_str()).collect();
            self.lost += expected.iter().filter(|said| !first.contains_key(said.id.as_str())).count();
            self.foreign += once.iter().filter(|said| !known.contains(said.id.as_str())).count();
            let differs = expected.iter().zip(&once).find(|(expected, seen)| expected != seen);
            if let Some((expected, seen)) = differs {
                self.wrong.push(format!("{what} of lane {lane}: expected {expected:?}, seen {seen:?}"));
            }
        }
    }

    pub fn disturbed(mut self, disturbances: impl Into<String>, readings: i64) -> Verdict {
        (self.disturbances, self.readings) = (disturbances.into(), readings);
        self
    }

    pub fn note(mut self, note: impl Into<String>) -> Verdict {
        self.notes.push(note.into());
        self
    }

    pub fn require(mut self, is: bool, what: &str) -> Verdict {
        if !is {
            self.wrong.push(what.to_owned());
        }
        self
    }

    /// The last word: what went well leaves nothing behind.
    pub fn end(self, stage: &Stage) -> Verdict {
        if self.is_good() {
            stage.clear();
        }
        self
    }

    pub fn is_good(&self) -> bool {
        let doubled = if self.promise == Promise::AtLeastOnce { 0 } else { self.doubled };
        self.lost + self.foreign + doubled == 0 && self.wrong.is_empty()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Verdict { scenario, seed, disturbances, readings, expected, seen, lost, doubled, .. } = self;
        write!(
            f,
            "{:4} {scenario:14} seed {seed}: {disturbances}; {readings} readings, {expected} anomalies expected, \
             {seen} seen, {} dead letters; {lost} lost, {doubled} doubled, {} else",
            if self.is_good() { "ok" } else { "FAIL" },
            self.dead_letters,
            self.foreign,
        )?;
        for note in &self.notes {
            write!(f, "; {note}")?;
        }
        for wrong in self.wrong.iter().take(3) {
            write!(f, "\n     {wrong}")?;
        }
        Ok(())
    }
}
