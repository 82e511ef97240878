//! What became of every reading. The counters add up at any moment:
//! `received = judged + dead-lettered + pending + given up`.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::finding::{Phase, Severity};
use crate::reading::Reason;
use crate::unfound::Unfound;

/// One lane's account since the process started; replayed readings do not count a second time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Account {
    pub received: u64,
    /// Seen by every detector that is not quarantined.
    pub judged: u64,
    /// In a batch that is not judged yet.
    pub pending: u64,
    /// Read, but the lane was taken away before they were judged: its next owner reads them again.
    pub given_up: u64,
    pub dead_letters: BTreeMap<&'static str, u64>,
    /// Dead letters of readings that a detector fails on: others have judged them, so they are in `judged`.
    pub poison: u64,
    /// Read again in silence after a restart; not in `received`.
    pub replayed: u64,
    /// (detector, kind, severity, phase) -> anomalies published.
    pub anomalies: BTreeMap<AnomalyLabel, u64>,
    /// Readings that a detector did not see, by detector.
    pub skipped: BTreeMap<String, u64>,
    /// Numeric keys beyond `quantities_max` that were left out.
    pub quantities_left_out: u64,
    /// Mapped quantities that no record has carried, by name.
    pub unfound: BTreeMap<String, Unfound>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct AnomalyLabel {
    pub detector: String,
    pub kind: String,
    pub severity: Severity,
    pub phase: Phase,
}

impl Account {
    /// Counts one; how many have this reason now.
    pub fn dead_letter(&mut self, reason: Reason) -> u64 {
        let count = self.dead_letters.entry(reason.name()).or_default();
        *count += 1;
        *count
    }

    pub fn dead_lettered(&self) -> u64 {
        self.dead_letters.values().sum()
    }

    /// Anomalies of one phase: how many episodes were raised, or cleared.
    pub fn anomalies_of(&self, phase: Phase) -> u64 {
        self.anomalies.iter().filter(|(label, _)| label.phase == phase).map(|(_, count)| count).sum()
    }

    pub fn adds_up(&self) -> bool {
        self.received == self.judged + self.dead_lettered() + self.pending + self.given_up
    }

    /// The sum over lanes.
    pub fn add(&mut self, other: &Account) {
        self.add_unfound(other);
        self.received += other.received;
        self.judged += other.judged;
        self.pending += other.pending;
        self.given_up += other.given_up;
        self.replayed += other.replayed;
        self.poison += other.poison;
        self.quantities_left_out += other.quantities_left_out;
        for (reason, count) in &other.dead_letters {
            *self.dead_letters.entry(reason).or_default() += count;
        }
        for (label, count) in &other.anomalies {
            *self.anomalies.entry(label.clone()).or_default() += count;
        }
        for (detector, count) in &other.skipped {
            *self.skipped.entry(detector.clone()).or_default() += count;
        }
    }

    /// What one lane has found is found; a lane that has read nothing says nothing.
    fn add_unfound(&mut self, other: &Account) {
        let has_read = |account: &Account| account.received + account.replayed > 0;
        if !has_read(self) {
            self.unfound = other.unfound.clone();
        } else if has_read(other) {
            self.unfound.retain(|name, _| other.unfound.contains_key(name));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_any_lane_has_found_is_found() {
        let lane = |received, names: &[&str]| {
            let unfound = || Unfound { path: "/x".into(), nearest: Vec::new() };
            let unfound = names.iter().map(|name| ((*name).to_owned(), unfound())).collect();
            Account { received, unfound, ..Account::default() }
        };
        let mut sum = Account::default();
        for account in [lane(0, &[]), lane(5, &["a", "b"]), lane(0, &[]), lane(5, &["b", "c"])] {
            sum.add(&account);
        }
        assert_eq!(sum.unfound.keys().collect::<Vec<_>>(), ["b"]);
    }
}
