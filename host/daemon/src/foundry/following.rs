//! What becomes of what is to run: what others have proposed, and what a lane cannot run.

use std::time::Duration;

use gridwatch_core::checkpoint::Role;
use gridwatch_core::roster::{Proposal, Roster, Slot};
use gridwatch_engine::foundry::rosters::RosterLogError;
use gridwatch_engine::pipeline::Snapshot;

use super::{By, Entry, Foundry, What};

impl Foundry {
    /// What somebody else has proposed is in nobody's history here yet.
    pub(super) fn note_of_others(&self, roster: &Roster) {
        for (name, slot) in &roster.slots {
            let is_new = self.followed.slots.get(name) != Some(slot);
            let known = self.history.of(name);
            let is_ours = known.iter().any(|entry| entry.generation == Some(roster.generation));
            if !is_new || is_ours || known.iter().any(|entry| entry.generation == Some(slot.generation)) {
                continue;
            }
            let digest = slot.plan.as_ref().map(|plan| plan.digest.clone());
            let detail = match (&slot.plan, &slot.rejected) {
                (_, Some(rejected)) => format!("went back: {}", rejected.reason),
                (Some(plan), None) => format!("{name} is to run as {}", plan.digest),
                (None, None) => format!("{name} is to run no more"),
            };
            let generation = Some(slot.generation);
            let entry = Entry::new(name, By::Roster, What::Proposed);
            self.history.note(Entry { generation, digest, detail: Some(detail), ..entry });
        }
    }

    /// What a lane cannot run is run by none. True where something was taken back.
    pub(super) fn take_back(&self, snapshot: &Snapshot) -> Result<bool, RosterLogError> {
        let mut took_back = false;
        for (name, slot) in &self.followed.slots {
            let Some(plan) = &slot.plan else { continue };
            let Some(reason) = self.failure(name, slot, snapshot) else { continue };
            let fingerprint = Some(plan.fingerprint());
            let back = Proposal::RollBack { name: name.clone(), fingerprint, reason: reason.clone() };
            tracing::error!(
                detector = name,
                generation = slot.generation,
                "is taken back everywhere: {reason}"
            );
            self.steps.note(name, "taken_back");
            took_back |= match slot.previous {
                Some(_) => self.propose(back, By::Fault)?,
                None => self.propose(Proposal::Remove { name: name.clone() }, By::Fault)?,
            };
        }
        Ok(took_back)
    }

    /// Why some lane cannot run what it should; a fault counts as long as there is a way back.
    fn failure(&self, name: &str, slot: &Slot, snapshot: &Snapshot) -> Option<String> {
        let window = slot.plan.as_ref().map_or(0, |plan| plan.rollback_window_ms);
        let is_young =
            self.since.get(name).is_some_and(|(_, since)| since.elapsed() < Duration::from_millis(window));
        snapshot.lanes.iter().find_map(|lane| {
            let refused =
                lane.changes.refused.get(name).filter(|refused| refused.generation == slot.generation);
            if let Some(refused) = refused {
                return Some(format!("lane {}: {}", lane.lane, refused.fault));
            }
            let seat = lane.detectors.iter().find(|seat| {
                seat.detector == *name && seat.role == Role::Live && seat.generation == slot.generation
            })?;
            let reason = seat.quarantine.as_ref().filter(|_| is_young && slot.previous.is_some())?;
            Some(format!("lane {}: {reason}", lane.lane))
        })
    }
}
