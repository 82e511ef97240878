//! How lanes fare with what they are to run: what some cannot run is taken back for all, and how shadows compare is
//! said now and then.

use gridwatch_core::roster::{Proposal, Roster, Shadow, Slot, Which};
use gridwatch_engine::foundry::rosters::RosterLogError;
use gridwatch_engine::lane::{Comparison, Counts};
use gridwatch_engine::pipeline::Snapshot;

use super::{By, Foundry};

impl Foundry {
    /// What a lane cannot run is run by none.
    pub(super) fn take_back(&mut self, snapshot: &Snapshot) -> Result<(), RosterLogError> {
        let mut answers = Vec::new();
        for (name, slot) in &self.followed.slots {
            if let Some(shadow) = &slot.shadow
                && let Some(reason) = shadow_failure(name, shadow, snapshot)
            {
                let which = Which::Build(shadow.plan.fingerprint());
                tracing::error!(
                    detector = name,
                    generation = shadow.generation,
                    "shadows no more, anywhere: {reason}"
                );
                answers.push(Proposal::RollBack { name: name.clone(), which, reason });
                continue;
            }
            let Some(reason) = failure(name, slot, snapshot) else { continue };
            let generation = slot.generation;
            let Some(answer) = slot.way_out(name, &reason) else {
                if self.left.insert(name.clone(), generation) != Some(generation) {
                    tracing::error!(
                        detector = name,
                        generation,
                        "does not run everywhere, and there is nothing to go back to; where it does not, what ran goes \
                         on: {reason}"
                    );
                }
                continue;
            };
            let what = match answer {
                Proposal::GoForward { .. } => "cannot go back everywhere",
                _ => "is taken back everywhere",
            };
            tracing::error!(detector = name, generation, "{what}: {reason}");
            answers.push(answer);
        }
        for answer in answers {
            self.steps.note(answer.name(), "taken_back");
            self.propose(&answer, By::Fault)?;
        }
        Ok(())
    }
}

/// Why some lane cannot run what it should. Where it has failed and what ran before was warm, that goes on there
/// already; a quarantine alone takes nothing back.
fn failure(name: &str, slot: &Slot, snapshot: &Snapshot) -> Option<String> {
    slot.plan.as_ref()?;
    snapshot.lanes.iter().find_map(|lane| {
        let refused = lane.changes.refused.get(name)?;
        let reason = || format!("lane {}: {}", lane.lane, refused.fault);
        (refused.generation == slot.generation).then(reason)
    })
}

/// Why some lane cannot run a shadow any more. It hurts nobody there; the others need not find out by themselves.
fn shadow_failure(name: &str, shadow: &Shadow, snapshot: &Snapshot) -> Option<String> {
    snapshot.lanes.iter().find_map(|lane| {
        let refused = lane.changes.shadows_refused.get(name)?;
        let reason = || format!("as a shadow, lane {}: {}", lane.lane, refused.fault);
        (refused.generation == shadow.generation).then(reason)
    })
}

/// How each shadow compares, over all lanes.
pub fn say_comparisons(roster: &Roster, snapshot: &Snapshot) {
    for (detector, _) in roster.shadows() {
        let lanes = snapshot.lanes.iter().flat_map(|lane| &lane.detectors);
        let ours = lanes.filter(|here| here.detector == detector);
        let Some(all) = Comparison::over(ours.filter_map(|here| here.comparison.clone())) else { continue };
        let differs = |counts: &Counts| counts.differences() > 0;
        let kinds = all.by_kind.iter().filter(|of| differs(&of.counts));
        let sensors = all.by_sensor.iter().filter(|of| differs(&of.counts)).take(3);
        let mut differing: Vec<String> =
            kinds.map(|of| format!("{} +{} -{}", of.kind, of.counts.only_new, of.counts.only_old)).collect();
        differing.extend(
            sensors
                .map(|of| format!("{} +{} -{}", of.subject.name(), of.counts.only_new, of.counts.only_old)),
        );
        tracing::info!(
            detector,
            generation = all.candidate.generation,
            readings = all.readings,
            both = all.counts.both,
            only_new = all.counts.only_new,
            only_old = all.counts.only_old,
            differing = differing.join(", "),
            "its shadow compares so far"
        );
    }
}
