//! What others have proposed.

use gridwatch_core::roster::Roster;

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
}
