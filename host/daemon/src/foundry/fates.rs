//! How lanes fare with what they are to run: what some cannot run is taken back for all, and how shadows compare is
//! said now and then.

use gridwatch_core::roster::{Proposal, Roster, Shadow, Slot};
use gridwatch_engine::foundry::rosters::RosterLogError;
use gridwatch_engine::lane::{Comparison, Counts};
use gridwatch_engine::pipeline::Snapshot;

use super::{By, Foundry};

impl Foundry {
    /// What a lane cannot run is run by none. True where something was taken back.
    pub(super) fn take_back(&self, snapshot: &Snapshot) -> Result<bool, RosterLogError> {
        let mut took_back = false;
        for (name, slot) in &self.followed.slots {
            if let Some(shadow) = &slot.shadow
                && let Some(reason) = shadow_failure(name, shadow, snapshot)
            {
                let fingerprint = Some(shadow.plan.fingerprint());
                let back = Proposal::RollBack { name: name.clone(), fingerprint, reason: reason.clone() };
                let generation = shadow.generation;
                tracing::error!(detector = name, generation, "shadows no more, anywhere: {reason}");
                self.steps.note(name, "taken_back");
                took_back |= self.propose(back, By::Fault)?;
                continue;
            }
            let Some(plan) = &slot.plan else { continue };
            let Some(reason) = Self::failure(name, slot, snapshot) else { continue };
            let (name, fingerprint) = (name.clone(), plan.fingerprint());
            let back = match (&slot.previous, &slot.gone_back_from) {
                (Some(_), _) => {
                    Proposal::RollBack { name, fingerprint: Some(fingerprint), reason: reason.clone() }
                }
                (None, Some(_)) => Proposal::Return { name, fingerprint, reason: reason.clone() },
                (None, None) if slot.rejected.is_none() => Proposal::Remove { name },
                // Where it runs it goes on: what some lane cannot do is no reason to take it from all.
                (None, None) => continue,
            };
            tracing::error!(
                detector = back.name(),
                generation = slot.generation,
                "is taken back everywhere: {reason}"
            );
            self.steps.note(back.name(), "taken_back");
            took_back |= self.propose(back, By::Fault)?;
        }
        Ok(took_back)
    }

    /// Why some lane cannot run what it should. Where it has failed and what ran before was warm, that goes on there
    /// already.
    fn failure(name: &str, slot: &Slot, snapshot: &Snapshot) -> Option<String> {
        snapshot.lanes.iter().find_map(|lane| {
            let refused = lane.changes.refused.get(name)?;
            let reason = || format!("lane {}: {}", lane.lane, refused.fault);
            (refused.generation == slot.generation).then(reason)
        })
    }
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
