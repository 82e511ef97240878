//! What lanes have done about what they were to run, for the history: looked at once a second.

use std::collections::BTreeMap;

use gridwatch_core::checkpoint::Role;
use gridwatch_engine::lane::DetectorSnapshot;
use gridwatch_engine::pipeline::{Outcome, Snapshot};

use crate::foundry::{By, Entry, History, What};

#[derive(Default)]
pub struct Course {
    outcomes: BTreeMap<(String, Outcome), u64>,
    /// By detector and lane: the generation.
    quarantined: BTreeMap<(String, String), u64>,
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
            let seat = |role| {
                let all = snapshot.lanes.iter().flat_map(|lane| &lane.detectors);
                all.into_iter().find(|seat| seat.detector == *detector && seat.role == role)
            };
            let live = seat(Role::Live);
            let whom = match outcome {
                Outcome::Shadows => seat(Role::Shadow),
                Outcome::Unshaded | Outcome::Removed => None,
                _ => live,
            };
            let detail = match (outcome, failure(snapshot, detector)) {
                (Outcome::Failed, Some(why)) => format!("{}: {why}", in_lanes(count - before)),
                _ => format!("{} {}", words(*outcome, live), in_lanes(count - before)),
            };
            let entry = Entry::new(detector, who(history, detector), what(*outcome));
            history.note(of_seat(whom, Entry { detail: Some(detail), ..entry }));
        }
        self.outcomes = outcomes;
    }

    fn look_at_quarantines(&mut self, snapshot: &Snapshot, history: &History) {
        let mut quarantined = BTreeMap::new();
        for lane in &snapshot.lanes {
            for seat in lane.detectors.iter().filter(|seat| seat.role == Role::Live) {
                let key = (seat.detector.clone(), lane.lane.clone());
                let before = self.quarantined.get(&key).copied();
                match (&seat.quarantine, before) {
                    (Some(reason), None) => {
                        let detail = Some(format!("lane {}: {reason}", lane.lane));
                        let entry = Entry::new(&seat.detector, By::Fault, What::Quarantined);
                        history.note(of_seat(Some(seat), Entry { detail, ..entry }));
                    }
                    (None, Some(generation)) => {
                        // Somebody's proposal is another generation.
                        let by = if generation == seat.generation {
                            By::Time
                        } else {
                            who(history, &seat.detector)
                        };
                        let detail = Some(format!("lane {}: it judges again", lane.lane));
                        let entry = Entry::new(&seat.detector, by, What::Released);
                        history.note(of_seat(Some(seat), Entry { detail, ..entry }));
                    }
                    _ => {}
                }
                if seat.quarantine.is_some() {
                    quarantined.insert(key, seat.generation);
                }
            }
        }
        self.quarantined = quarantined;
    }
}

fn of_seat(seat: Option<&DetectorSnapshot>, entry: Entry) -> Entry {
    Entry {
        generation: seat.map(|seat| seat.generation),
        version: seat.map(|seat| seat.version.clone()),
        digest: seat.map(|seat| seat.digest.clone()),
        ..entry
    }
}

/// Why the newest that a lane could not run does not run there.
fn failure(snapshot: &Snapshot, detector: &str) -> Option<String> {
    let of_lanes = snapshot.lanes.iter().map(|lane| &lane.changes);
    let refused = of_lanes.flat_map(|changes| {
        [changes.refused.get(detector), changes.shadows_refused.get(detector)].into_iter().flatten()
    });
    refused.max_by_key(|refused| refused.generation).map(|refused| refused.fault.to_string())
}

fn in_lanes(count: u64) -> String {
    if count == 1 { "in 1 lane".to_owned() } else { format!("in {count} lanes") }
}

fn what(outcome: Outcome) -> What {
    match outcome {
        Outcome::Swapped | Outcome::Renamed => What::Swapped,
        Outcome::WentBack => What::WentBack,
        Outcome::Shadows => What::Shadowed,
        Outcome::Promoted => What::Promoted,
        Outcome::Unshaded => What::TakenOut,
        Outcome::Removed => What::Removed,
        Outcome::Failed => What::Failed,
    }
}

/// What is so from then on.
fn words(outcome: Outcome, live: Option<&DetectorSnapshot>) -> &'static str {
    match (outcome, live) {
        (Outcome::Swapped, _) => "judges",
        (Outcome::Renamed, _) => "goes on under other settings,",
        (Outcome::WentBack, _) => "what ran before judges again",
        (Outcome::Shadows, Some(_)) => "judges beside what is live, and is not heard,",
        (Outcome::Shadows, None) => "judges alone, and is not heard,",
        (Outcome::Promoted, _) => "what shadowed is live",
        (Outcome::Unshaded, Some(_)) => "what shadowed is gone, and what is live goes on,",
        (Outcome::Unshaded, None) => "what shadowed is gone",
        (Outcome::Removed, _) => "is live no more, and what it held open is cleared,",
        (Outcome::Failed, _) => "what was to come cannot run",
    }
}

/// Whose proposal lanes have followed.
fn who(history: &History, detector: &str) -> By {
    let proposed = history.of(detector).into_iter().find(|entry| entry.what == What::Proposed);
    proposed.map_or(By::Start, |entry| entry.by)
}
