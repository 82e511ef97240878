//! What lanes have done about what they were to run, for the history: looked at once a second.

use std::collections::{BTreeMap, BTreeSet};

use gridwatch_core::checkpoint::Role;
use gridwatch_engine::pipeline::{Outcome, Snapshot};

use crate::foundry::{By, Entry, History, What};

#[derive(Default)]
pub struct Course {
    outcomes: BTreeMap<(String, Outcome), u64>,
    /// Detector and lane.
    quarantined: BTreeSet<(String, String)>,
}

impl Course {
    pub fn look(&mut self, snapshot: &Snapshot, history: &History) {
        self.look_at_outcomes(snapshot, history);
        self.look_at_quarantines(snapshot, history);
    }

    fn look_at_outcomes(&mut self, snapshot: &Snapshot, history: &History) {
        let mut outcomes = snapshot.changes_gone.clone();
        for (change, count) in snapshot.lanes.iter().flat_map(|lane| &lane.changes.outcomes) {
            *outcomes.entry(change.clone()).or_default() += count;
        }
        for ((detector, outcome), count) in &outcomes {
            let before = self.outcomes.get(&(detector.clone(), *outcome)).copied().unwrap_or(0);
            if *count <= before {
                continue;
            }
            let seats = || snapshot.lanes.iter().flat_map(|lane| &lane.detectors);
            let live = seats().find(|seat| seat.detector == *detector && seat.role == Role::Live);
            let lanes = count - before;
            let why = snapshot.lanes.iter().find_map(|lane| lane.changes.refused.get(detector));
            let detail = match (outcome, why) {
                (Outcome::Failed, Some(refused)) => format!("in {lanes} lanes: {}", refused.fault),
                _ => format!("in {lanes} lanes"),
            };
            history.note(Entry {
                generation: live.map(|seat| seat.generation),
                version: live.map(|seat| seat.version.clone()),
                digest: live.map(|seat| seat.digest.clone()),
                detail: Some(detail),
                ..Entry::new(detector, who(history, detector), what(*outcome))
            });
        }
        self.outcomes = outcomes;
    }

    fn look_at_quarantines(&mut self, snapshot: &Snapshot, history: &History) {
        let mut quarantined = BTreeSet::new();
        for lane in &snapshot.lanes {
            for seat in lane.detectors.iter().filter(|seat| seat.role == Role::Live) {
                let Some(reason) = &seat.quarantine else { continue };
                let key = (seat.detector.clone(), lane.lane.clone());
                if !self.quarantined.contains(&key) {
                    history.note(Entry {
                        generation: Some(seat.generation),
                        version: Some(seat.version.clone()),
                        digest: Some(seat.digest.clone()),
                        detail: Some(format!("lane {}: {reason}", lane.lane)),
                        ..Entry::new(&seat.detector, By::Fault, What::Quarantined)
                    });
                }
                quarantined.insert(key);
            }
        }
        self.quarantined = quarantined;
    }
}

fn what(outcome: Outcome) -> What {
    match outcome {
        Outcome::Swapped => What::Swapped,
        Outcome::WentBack => What::WentBack,
        Outcome::Removed => What::Removed,
        Outcome::Failed => What::Failed,
        Outcome::Shadows | Outcome::Promoted | Outcome::Unshaded => What::Mode,
    }
}

/// Whose proposal lanes have followed.
fn who(history: &History, detector: &str) -> By {
    let proposed = history.of(detector).into_iter().find(|entry| entry.what == What::Proposed);
    proposed.map_or(By::Start, |entry| entry.by)
}
