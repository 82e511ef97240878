//! What others have proposed.

use gridwatch_core::roster::{Plan, Roster, Slot};

use super::{By, Entry, Foundry, What};

impl Foundry {
    /// What is to run already.
    pub(super) fn note_beginning(&self, roster: &Roster) {
        let note = |name: &str, plan: &Plan, generation, detail: Option<String>| {
            let (generation, digest) = (Some(generation), Some(plan.digest.clone()));
            let entry = Entry::new(name, By::Start, What::Proposed);
            self.history.note(Entry { generation, digest, detail, ..entry });
        };
        for (name, slot) in &roster.slots {
            if let Some(plan) = &slot.plan {
                note(name, plan, slot.generation, None);
            }
            if let Some(shadow) = &slot.shadow {
                note(name, &shadow.plan, shadow.generation, Some(format!("{name} is to have a shadow")));
            }
        }
    }

    /// What somebody else has proposed since is in nobody's history here yet.
    pub(super) fn note_of_others(&self, roster: &Roster) {
        for (name, slot) in &roster.slots {
            let before = self.followed.slots.get(name);
            let is_ours = || {
                let newer = Some(self.followed.generation);
                let known = self.history.of(name);
                known.iter().any(|entry| entry.what == What::Proposed && entry.generation > newer)
            };
            if before == Some(slot) || is_ours() {
                continue;
            }
            let (detail, plan) = words(before, slot);
            let entry = Entry::new(name, By::Roster, What::Proposed);
            self.history.note(Entry {
                generation: Some(roster.generation),
                digest: plan.map(|plan| plan.digest.clone()),
                detail: Some(format!("{name} {detail}")),
                ..entry
            });
        }
    }
}

/// What is to become of the name, and the plan that it is about.
fn words<'a>(before: Option<&Slot>, now: &'a Slot) -> (String, Option<&'a Plan>) {
    let (shadow, live) = (now.shadow.as_ref().map(|shadow| &shadow.plan), now.plan.as_ref());
    let shadow_before = before.and_then(|slot| slot.shadow.as_ref()).map(|shadow| &shadow.plan);
    let live_before = before.and_then(|slot| slot.plan.as_ref());
    let is_taken_back = now.rejected.is_some() && before.is_none_or(|slot| slot.rejected != now.rejected);
    let reason = now.rejected.as_ref().filter(|_| is_taken_back).map(|rejected| &rejected.reason);
    let is_promoted = shadow_before.map(Plan::fingerprint) == live.map(Plan::fingerprint);
    match (reason, shadow, live) {
        (Some(reason), None, _) if shadow_before.is_some() => {
            (format!("is to have its shadow taken out: {reason}"), None)
        }
        (Some(reason), _, None) => (format!("is to run no more: {reason}"), None),
        (Some(reason), _, Some(_)) if before.is_some_and(|slot| slot.retracted.as_ref() == live) => {
            (format!("cannot go back and is to go forward again: {reason}"), live)
        }
        (Some(reason), _, Some(_)) => (format!("is to go back: {reason}"), live),
        (None, Some(shadow), Some(_)) if shadow_before != Some(shadow) => {
            (format!("is to have {} as its shadow", shadow.digest), Some(shadow))
        }
        (None, Some(shadow), None) => ("is to be a shadow".to_owned(), Some(shadow)),
        (None, _, None) => ("is to run no more".to_owned(), None),
        (None, _, Some(plan)) if shadow_before.is_some() && is_promoted => {
            (format!("is to be live as {}, which shadowed it", plan.digest), live)
        }
        (None, _, Some(plan)) if live_before == Some(plan) => {
            ("is to judge again where it is quarantined".to_owned(), live)
        }
        (None, _, Some(plan)) => (format!("is to run as {}", plan.digest), live),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use gridwatch_core::judge::Limits;
    use gridwatch_core::roster::{Mode, OnFault, OnNewState, Proposal, Removal, Which};

    use super::*;

    fn deploy(digest: &str, mode: Mode) -> Proposal {
        let plan = Plan {
            digest: digest.into(),
            parameters: "{}".into(),
            limits: Limits::default(),
            on_fault: OnFault::default(),
            on_new_state: OnNewState::default(),
            mode,
            rollback_window_ms: 0,
            faults_max: 5,
        };
        Proposal::Deploy { name: "n".into(), plan }
    }

    #[test]
    fn what_others_did_is_told_in_words() {
        let name = || "n".to_owned();
        let back = || Proposal::RollBack { name: name(), which: Which::Last, reason: "by hand".into() };
        let mode = |mode| Proposal::SetMode { name: name(), mode };
        let off = Proposal::Remove { name: name(), why: Removal::Off };
        let way_out = |roster: &Roster| roster.slots["n"].way_out("n", "lane 1").unwrap();
        let steps = [
            (deploy("a", Mode::Live), "is to run as a"),
            (deploy("b", Mode::Shadow), "is to have b as its shadow"),
            (back(), "is to have its shadow taken out: by hand"),
            (deploy("c", Mode::Shadow), "is to have c as its shadow"),
            (mode(Mode::Live), "is to be live as c, which shadowed it"),
            (Proposal::Release { name: name() }, "is to judge again where it is quarantined"),
            (back(), "is to go back: by hand"),
            (mode(Mode::Shadow), "is to be a shadow"),
            (mode(Mode::Live), "is to be live as a, which shadowed it"),
            (off, "is to run no more"),
            (deploy("d", Mode::Live), "is to run as d"),
        ];
        let mut roster = Roster::default();
        let mut follow = |proposal: Proposal, expected: &str| {
            let next = roster.follow(proposal, 0).unwrap();
            assert_eq!(words(roster.slots.get("n"), &next.slots["n"]).0, expected);
            roster = next;
            roster.clone()
        };
        for (proposal, expected) in steps {
            follow(proposal, expected);
        }
        let forward = way_out(&follow(back(), "is to go back: by hand"));
        follow(forward, "cannot go back and is to go forward again: lane 1");
        let none = Roster::default();
        let first = none.follow(deploy("a", Mode::Live), 0).unwrap();
        let out = first.follow(way_out(&first), 0).unwrap();
        let told = words(first.slots.get("n"), &out.slots["n"]).0;
        assert_eq!(told, "is to run no more: lane 1");
    }
}
