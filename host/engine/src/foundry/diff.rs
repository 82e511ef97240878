//! What a process does about a file in its directory: found, against what runs and what it knew. Pure.

use gridwatch_core::roster::{Plan, Slot};

/// A name in the directory, as admission has left it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found<'a> {
    Admitted(&'a Plan),
    Refused,
    /// Switched off.
    Disabled,
    /// Not there any more.
    Gone,
}

/// What is known of the name besides.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// Its place in the roster.
    pub slot: Option<&'a Slot>,
    /// The very plan that is found was the last one that this process saw in its directory.
    pub is_seen: bool,
    /// The process remembers nothing at all, not even that there was nothing.
    pub is_blank: bool,
}

/// What is to be done; each has a name in log, metrics and tables.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// It is to run.
    Propose,
    /// It is to run no more.
    Remove,
    /// It may not run; the one before it goes on, where there is one.
    Refuse,
    /// It is what runs, or there was nothing to stop.
    Leave,
    /// It was here before, and what runs now has come since: from another process, or by going back.
    Overtaken,
    /// It was tried and taken back.
    RolledBack { reason: String },
    /// Something else runs, and nobody knows which of them is newer.
    Differs,
}

impl Step {
    pub const NAMES: [&'static str; 7] =
        ["proposed", "removed", "refused", "unchanged", "overtaken", "rolled_back", "differs"];

    pub fn name(&self) -> &'static str {
        let at = match self {
            Step::Propose => 0,
            Step::Remove => 1,
            Step::Refuse => 2,
            Step::Leave => 3,
            Step::Overtaken => 4,
            Step::RolledBack { .. } => 5,
            Step::Differs => 6,
        };
        Step::NAMES[at]
    }
}

/// Only what changed since this process last looked is its proposal, so that one that comes back with old files
/// takes nobody back.
pub fn step(found: Found<'_>, known: Known<'_>) -> Step {
    let is_taken = known.slot.is_some_and(Slot::is_taken);
    let plan = match found {
        Found::Admitted(plan) => plan,
        Found::Refused => return Step::Refuse,
        Found::Disabled | Found::Gone if is_taken => return Step::Remove,
        Found::Disabled | Found::Gone => return Step::Leave,
    };
    let rejected = known.slot.and_then(|slot| slot.rejected.as_ref());
    match rejected {
        Some(rejected) if rejected.fingerprint == plan.fingerprint() => {
            Step::RolledBack { reason: rejected.reason.clone() }
        }
        _ if known.slot.is_some_and(|slot| slot.holds(plan)) => Step::Leave,
        _ if known.is_seen => Step::Overtaken,
        _ if known.is_blank && is_taken => Step::Differs,
        _ => Step::Propose,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use gridwatch_core::judge::Limits;
    use gridwatch_core::roster::{Mode, OnFault, OnNewState, Proposal, Roster, Which};

    use super::*;

    fn plan(digest: &str) -> Plan {
        Plan {
            digest: format!("sha256:{digest}"),
            parameters: "{}".into(),
            limits: Limits::default(),
            on_fault: OnFault::default(),
            on_new_state: OnNewState::default(),
            mode: Mode::default(),
            rollback_window_ms: 0,
            faults_max: 5,
        }
    }

    /// `a` ran, then `b`; and then `b` was rolled back.
    fn rosters() -> [Roster; 4] {
        let deploy = |digest| Proposal::Deploy { name: "n".into(), plan: plan(digest) };
        let back = Proposal::RollBack { name: "n".into(), which: Which::Last, reason: "by hand".into() };
        let none = Roster::default();
        let first = none.follow(deploy("a"), 0).unwrap();
        let second = first.follow(deploy("b"), 0).unwrap();
        let third = second.follow(back, 0).unwrap();
        [none, first, second, third]
    }

    fn of(found: Found<'_>, roster: &Roster, is_seen: bool, is_blank: bool) -> Step {
        step(found, Known { slot: roster.slots.get("n"), is_seen, is_blank })
    }

    #[test]
    fn what_is_new_is_proposed_and_what_runs_is_left() {
        let [none, first, second, _] = rosters();
        let (a, b) = (plan("a"), plan("b"));
        assert_eq!(of(Found::Admitted(&a), &none, false, true), Step::Propose, "the first start of all");
        assert_eq!(of(Found::Admitted(&a), &first, true, false), Step::Leave);
        assert_eq!(of(Found::Admitted(&b), &first, false, false), Step::Propose);
        assert_eq!(of(Found::Admitted(&b), &second, false, true), Step::Leave, "from the same directory");
    }

    #[test]
    fn who_comes_back_with_old_files_takes_nobody_back() {
        let [_, _, second, _] = rosters();
        assert_eq!(of(Found::Admitted(&plan("a")), &second, true, false), Step::Overtaken);
        assert_eq!(
            of(Found::Admitted(&plan("a")), &second, false, true),
            Step::Differs,
            "nor who is new here"
        );
        assert_eq!(
            of(Found::Admitted(&plan("a")), &second, false, false),
            Step::Propose,
            "but who changed it does"
        );
    }

    #[test]
    fn what_was_rolled_back_stays_back_until_it_changes() {
        let [.., third] = rosters();
        let rolled_back = Step::RolledBack { reason: "by hand".into() };
        for (is_seen, is_blank) in [(true, false), (false, false), (false, true)] {
            assert_eq!(of(Found::Admitted(&plan("b")), &third, is_seen, is_blank), rolled_back);
        }
        assert_eq!(of(Found::Admitted(&plan("c")), &third, false, false), Step::Propose);
        let with_parameters = Plan { parameters: "{\"k\":1}".into(), ..plan("b") };
        assert_eq!(of(Found::Admitted(&with_parameters), &third, false, false), Step::Propose);
    }

    #[test]
    fn what_is_taken_out_or_switched_off_stops_once() {
        let [none, first, ..] = rosters();
        for found in [Found::Gone, Found::Disabled] {
            assert_eq!(of(found, &first, false, false), Step::Remove);
            assert_eq!(of(found, &none, false, false), Step::Leave);
        }
    }

    #[test]
    fn what_is_refused_leaves_what_runs_alone() {
        for roster in rosters() {
            assert_eq!(of(Found::Refused, &roster, false, false), Step::Refuse);
        }
    }
}
