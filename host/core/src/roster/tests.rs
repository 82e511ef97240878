#![allow(clippy::unwrap_used, clippy::panic)]
use super::*;

fn plan(digest: &str) -> Plan {
    Plan {
        digest: format!("sha256:{digest}"),
        parameters: "{}".into(),
        limits: Limits::default(),
        on_fault: OnFault::default(),
        on_new_state: OnNewState::default(),
        mode: Mode::default(),
        rollback_window_ms: 3_600_000,
        faults_max: FAULTS_MAX_USUAL,
    }
}

fn deploy(digest: &str) -> Proposal {
    Proposal::Deploy { name: "limits".into(), plan: plan(digest) }
}

fn back(fingerprint: Option<String>) -> Proposal {
    let which = fingerprint.map_or(Which::Last, Which::Build);
    Proposal::RollBack { name: "limits".into(), which, reason: "by hand".into() }
}

fn remove(why: Removal) -> Proposal {
    Proposal::Remove { name: "limits".into(), why }
}

fn slot(roster: &Roster) -> &Slot {
    &roster.slots["limits"]
}

/// At a quarter past nothing, generation by generation a second later.
trait Then {
    fn then(&self, proposal: Proposal) -> Result<Roster, Unmoved>;
}

impl Then for Roster {
    fn then(&self, proposal: Proposal) -> Result<Roster, Unmoved> {
        self.follow(proposal, 900_000 + 1_000 * self.generation as i64)
    }
}

fn running(roster: &Roster) -> Vec<(&str, &str)> {
    roster.plans().map(|(name, plan)| (name, plan.digest.as_str())).collect()
}

#[test]
fn generations_follow_each_other_and_only_where_something_changes() {
    let first = Roster::default().then(deploy("a")).unwrap();
    assert_eq!((first.generation, running(&first)), (1, vec![("limits", "sha256:a")]));
    assert_eq!(first.then(deploy("a")), Err(Unmoved::Same { name: "limits".into() }));
    let second = first.then(deploy("b")).unwrap();
    assert_eq!((second.generation, running(&second)), (2, vec![("limits", "sha256:b")]));
    let parameters = Plan { parameters: "{\"k\":1}".into(), ..plan("b") };
    let third = second.then(Proposal::Deploy { name: "limits".into(), plan: parameters }).unwrap();
    assert_eq!(third.generation, 3, "parameters alone are a change, too");
}

#[test]
fn what_was_rolled_back_is_refused_until_something_else_came() {
    let second = Roster::default().then(deploy("a")).unwrap().then(deploy("b")).unwrap();
    let third = second.then(back(None)).unwrap();
    assert_eq!((third.generation, running(&third)), (3, vec![("limits", "sha256:a")]));
    let refused = third.then(deploy("b")).unwrap_err();
    assert!(refused.to_string().contains("by hand"), "{refused}");
    let again = third.then(back(None)).unwrap_err();
    assert!(again.to_string().contains("was rolled back already (by hand)"), "{again}");
    let fourth = third.then(deploy("c")).unwrap();
    assert_eq!(running(&fourth.then(deploy("b")).unwrap()), [("limits", "sha256:b")]);
}

#[test]
fn a_fault_rolls_back_only_what_failed() {
    let second = Roster::default().then(deploy("a")).unwrap().then(deploy("b")).unwrap();
    let overtaken = Err(Unmoved::Overtaken { name: "limits".into() });
    assert_eq!(second.then(back(Some(plan("a").fingerprint()))), overtaken);
    let third = second.then(back(Some(plan("b").fingerprint()))).unwrap();
    assert_eq!(running(&third), [("limits", "sha256:a")]);
}

#[test]
fn what_is_taken_out_stops_and_may_come_again() {
    let first = Roster::default().then(deploy("a")).unwrap();
    let none = first.then(remove(Removal::Gone)).unwrap();
    assert_eq!((none.generation, running(&none)), (2, Vec::new()));
    let again = remove(Removal::Gone);
    assert_eq!(none.then(again), Err(Unmoved::Same { name: "limits".into() }));
    assert_eq!(running(&none.then(deploy("a")).unwrap()), [("limits", "sha256:a")]);
    let other = first.then(Proposal::Remove { name: "limit".into(), why: Removal::Gone }).unwrap_err();
    assert!(other.to_string().contains("there are limits"), "{other}");
}

#[test]
fn a_release_runs_the_same_as_a_new_generation() {
    let second = Roster::default().then(deploy("a")).unwrap().then(deploy("b")).unwrap();
    let third = second.then(Proposal::Release { name: "limits".into() }).unwrap();
    assert_eq!((third.generation, running(&third)), (3, vec![("limits", "sha256:b")]));
    assert_eq!(running(&third.then(back(None)).unwrap()), [("limits", "sha256:a")], "the way back stays");
    let other = second.then(Proposal::Release { name: "limit".into() }).unwrap_err();
    assert!(other.to_string().contains("there are limits"), "{other}");
}

#[test]
fn what_is_usual_is_not_written() {
    let other = Plan { faults_max: 7, ..plan("a") };
    let roster = Roster::default().then(Proposal::Deploy { name: "limits".into(), plan: other }).unwrap();
    let bytes = encode(&roster).unwrap();
    assert!(String::from_utf8_lossy(&bytes).contains("\"faults_max\": 7"));
    assert_eq!(decode(&bytes).unwrap(), roster);
}

fn shadow(digest: &str) -> Proposal {
    Proposal::Deploy { name: "limits".into(), plan: Plan { mode: Mode::Shadow, ..plan(digest) } }
}

fn shadowing(roster: &Roster) -> Vec<(&str, &str, u64)> {
    let shadows = roster.shadows();
    shadows.map(|(name, shadow)| (name, shadow.plan.digest.as_str(), shadow.generation)).collect()
}

fn set_mode(mode: Mode) -> Proposal {
    Proposal::SetMode { name: "limits".into(), mode }
}

#[test]
fn a_shadow_stands_beside_what_runs_until_it_is_promoted() {
    let second = Roster::default().then(deploy("a")).unwrap().then(shadow("b")).unwrap();
    assert_eq!(running(&second), [("limits", "sha256:a")]);
    assert_eq!(shadowing(&second), [("limits", "sha256:b", 2)]);
    assert_eq!(second.slots["limits"].generation, 1, "what runs is untouched");
    assert_eq!(second.then(shadow("b")), Err(Unmoved::Same { name: "limits".into() }));
    for promotion in [deploy("b"), set_mode(Mode::Live)] {
        let third = second.then(promotion).unwrap();
        assert_eq!((running(&third), shadowing(&third)), (vec![("limits", "sha256:b")], vec![]));
        assert_eq!(third.slots["limits"].plan, Some(plan("b")));
        assert_eq!(running(&third.then(back(None)).unwrap()), [("limits", "sha256:a")]);
    }
}

#[test]
fn what_runs_live_is_no_shadow_of_itself() {
    let first = Roster::default().then(deploy("a")).unwrap();
    assert_eq!(first.then(shadow("a")), Err(Unmoved::RunsLive { name: "limits".into() }));
    // By hand it is, and then nobody is heard.
    let second = first.then(set_mode(Mode::Shadow)).unwrap();
    assert_eq!((running(&second), shadowing(&second)), (vec![], vec![("limits", "sha256:a", 2)]));
    let third = second.then(set_mode(Mode::Live)).unwrap();
    assert_eq!((running(&third), shadowing(&third)), (vec![("limits", "sha256:a")], vec![]));
    assert_eq!(third.then(back(None)), Err(Unmoved::NothingBefore { name: "limits".into() }));
}

#[test]
fn going_back_takes_out_the_shadow_first_and_refuses_it() {
    let second = Roster::default().then(deploy("a")).unwrap().then(shadow("b")).unwrap();
    assert_eq!(second.then(back(None)), second.then(back(Some(plan("b").fingerprint()))));
    let third = second.then(back(None)).unwrap();
    assert_eq!((running(&third), shadowing(&third)), (vec![("limits", "sha256:a")], vec![]));
    assert_eq!(third.slots["limits"].generation, 1, "what runs is untouched");
    assert!(matches!(third.then(shadow("b")), Err(Unmoved::RolledBack { .. })));
    assert!(matches!(third.then(deploy("b")), Err(Unmoved::RolledBack { .. })));
}

#[test]
fn what_runs_goes_back_by_a_fault_and_its_shadow_stays() {
    let second = Roster::default().then(deploy("a")).unwrap().then(deploy("b")).unwrap();
    let third = second.then(shadow("c")).unwrap();
    let fourth = third.then(back(Some(plan("b").fingerprint()))).unwrap();
    assert_eq!(running(&fourth), [("limits", "sha256:a")]);
    assert_eq!(shadowing(&fourth), [("limits", "sha256:c", 3)]);
}

#[test]
fn what_was_switched_off_comes_again_as_it_is_asked_for() {
    let off = Roster::default().then(shadow("a")).unwrap().then(remove(Removal::Off)).unwrap();
    assert_eq!((running(&off), shadowing(&off)), (vec![], vec![]));
    assert_eq!(off.then(remove(Removal::Off)), Err(Unmoved::Same { name: "limits".into() }));
    let not_live = Err(Unmoved::NotLive { name: "limits".into() });
    assert_eq!(off.then(back(None)), not_live, "nor is it gone");
    assert_eq!(off.then(Proposal::Release { name: "limits".into() }), not_live);
    let live = off.then(set_mode(Mode::Live)).unwrap();
    assert_eq!(live.slots["limits"].plan, Some(plan("a")));
    let shadow = off.then(set_mode(Mode::Shadow)).unwrap();
    assert_eq!((running(&shadow), shadowing(&shadow)), (vec![], vec![("limits", "sha256:a", 3)]));
}

#[test]
fn other_settings_of_what_runs_leave_the_way_back() {
    let second = Roster::default().then(deploy("a")).unwrap().then(deploy("b")).unwrap();
    let halting = Plan { on_fault: OnFault::Halt, ..plan("b") };
    let third = second.then(Proposal::Deploy { name: "limits".into(), plan: halting }).unwrap();
    assert_eq!(running(&third.then(back(None)).unwrap()), [("limits", "sha256:a")]);
}

/// A lane that cannot go back must not end in nobody judging: what it was gone back from runs again.
#[test]
fn what_cannot_go_back_goes_forward_and_is_never_taken_out() {
    let second = Roster::default().then(deploy("a")).unwrap().then(deploy("b")).unwrap();
    let third = second.then(back(None)).unwrap();
    let forward = slot(&third).way_out("limits", "lane 0: refused").unwrap();
    assert!(matches!(forward, Proposal::GoForward { .. }), "{forward}");
    let fourth = third.then(forward.clone()).unwrap();
    assert_eq!((running(&fourth), slot(&fourth).generation), (vec![("limits", "sha256:b")], 4));
    assert_eq!(fourth.then(forward), Err(Unmoved::Overtaken { name: "limits".into() }), "once");
    assert_eq!(slot(&fourth).way_out("limits", "lane 1: refused"), None, "each goes on with what it runs");
    let refused = fourth.then(deploy("a")).unwrap_err();
    assert!(refused.to_string().contains("lane 0: refused"), "{refused}");
    let back_again = fourth.then(back(None)).unwrap_err();
    assert!(back_again.to_string().contains("lane 0: refused"), "{back_again}");
    assert_eq!(
        running(&fourth.then(deploy("c")).unwrap().then(back(None)).unwrap()),
        [("limits", "sha256:b")]
    );
}

#[test]
fn only_the_first_of_its_name_is_taken_out_by_a_fault() {
    let first = Roster::default().then(deploy("a")).unwrap();
    let out = slot(&first).way_out("limits", "it traps").unwrap();
    let none = first.then(out.clone()).unwrap();
    assert!(running(&none).is_empty());
    let refused = none.then(deploy("a")).unwrap_err();
    assert!(refused.to_string().contains("it traps"), "{refused}");
    assert_eq!(none.then(back(None)), Err(Unmoved::Stopped { name: "limits".into() }));
    // What came meanwhile is not taken out for it.
    let second = first.then(deploy("b")).unwrap();
    assert_eq!(second.then(out), Err(Unmoved::Overtaken { name: "limits".into() }));
    assert!(matches!(slot(&second).way_out("limits", ""), Some(Proposal::RollBack { .. })));
    // Other settings of what runs, its release, and what was brought back are no first either.
    let halting =
        Proposal::Deploy { name: "limits".into(), plan: Plan { on_fault: OnFault::Halt, ..plan("a") } };
    let release = Proposal::Release { name: "limits".into() };
    let brought_back = first.then(remove(Removal::Gone)).unwrap().then(back(None)).unwrap();
    for roster in [first.then(halting).unwrap(), first.then(release).unwrap(), brought_back] {
        assert_eq!(running(&roster), [("limits", "sha256:a")]);
        assert_eq!(slot(&roster).way_out("limits", ""), None);
    }
    // What was taken out by hand does not come back because its successor fails.
    let after = first.then(remove(Removal::Gone)).unwrap().then(deploy("b")).unwrap();
    assert!(matches!(slot(&after).way_out("limits", ""), Some(Proposal::Remove { .. })));
}

#[test]
fn what_was_rolled_back_stays_so_when_its_file_goes_and_comes() {
    let second = Roster::default().then(deploy("a")).unwrap().then(deploy("b")).unwrap();
    let gone = second.then(back(None)).unwrap().then(remove(Removal::Gone)).unwrap();
    assert!(matches!(gone.then(deploy("b")), Err(Unmoved::RolledBack { .. })));
    let again = gone.then(back(None)).unwrap();
    assert_eq!(running(&again), [("limits", "sha256:a")], "a mistaken rm is taken back");
    assert!(matches!(again.then(deploy("b")), Err(Unmoved::RolledBack { .. })));
}

/// After a restart what has long been there is not new: when it came is a fact of the roster.
#[test]
fn a_build_is_young_by_when_it_came_whoever_releases_it() {
    let second = Roster::default().then(deploy("a")).unwrap().then(deploy("b")).unwrap();
    let (came, window) = (901_000, 3_600_000);
    let released = second.then(Proposal::Release { name: "limits".into() }).unwrap();
    for roster in [&second, &released] {
        assert!(slot(roster).is_in_window(came + window - 1));
        assert!(!slot(roster).is_in_window(came + window));
    }
    let none: Roster = decode(GOLDEN.as_bytes()).unwrap();
    assert!(!slot(&none).is_in_window(0), "nobody knows when that came");
}

#[test]
fn what_a_name_knew_is_kept_for_its_window_or_while_it_is_off() {
    let first = Roster::default().then(deploy("a")).unwrap();
    let (gone, off) = (first.then(remove(Removal::Gone)).unwrap(), first.then(remove(Removal::Off)).unwrap());
    let is_dormant =
        |roster: &Roster| [901_000, 901_000 + 3_600_000].map(|now_ms| slot(roster).is_dormant(now_ms));
    assert_eq!(
        (is_dormant(&first), is_dormant(&gone), is_dormant(&off)),
        ([false; 2], [true, false], [true; 2])
    );
    let off_and_gone = off.then(remove(Removal::Gone)).unwrap();
    assert_eq!(off_and_gone.then(remove(Removal::Gone)), Err(Unmoved::Same { name: "limits".into() }));
    assert!(!slot(&off_and_gone).is_dormant(902_000 + 3_600_000));
}

#[test]
fn what_is_live_goes_back_and_its_shadow_stays_where_that_is_asked() {
    let second = Roster::default().then(deploy("a")).unwrap().then(deploy("b")).unwrap();
    let of = |which| Proposal::RollBack { name: "limits".into(), which, reason: "by hand".into() };
    assert_eq!(second.then(of(Which::Shadow)), Err(Unmoved::NoShadow { name: "limits".into() }));
    let third = second.then(shadow("c")).unwrap();
    let live = third.then(of(Which::Live)).unwrap();
    assert_eq!(
        (running(&live), shadowing(&live)),
        (vec![("limits", "sha256:a")], vec![("limits", "sha256:c", 3)])
    );
    assert_eq!(third.then(of(Which::Shadow)), third.then(of(Which::Last)));
}

/// A thousand names of builds that came and went must not stop the next.
#[test]
fn names_that_are_gone_make_room_for_new_ones() {
    let named = |n: usize| Proposal::Deploy { name: format!("d{n}"), plan: plan("a") };
    let slots = (0..DETECTORS_MAX).map(|n| {
        let plan = (n != 7).then(|| plan("a"));
        (format!("d{n}"), Slot { plan, ..Slot::default() })
    });
    let full = Roster { generation: 5, slots: slots.collect() };
    let next = full.then(named(DETECTORS_MAX)).unwrap();
    assert!(next.slots.len() == DETECTORS_MAX && !next.slots.contains_key("d7"));
    let refused = next.then(named(DETECTORS_MAX + 1)).unwrap_err();
    assert!(refused.to_string().contains("take a file out"), "{refused}");
}

/// Rosters as they were written when version 1, then shadows, and then the ways back, were new: they must load for ever.
const GOLDEN: &str = include_str!("../../tests/golden/roster-1.json");
const GOLDEN_SHADOW: &str = include_str!("../../tests/golden/roster-1-shadow.json");
const GOLDEN_WAYS: &str = include_str!("../../tests/golden/roster-1-ways.json");

#[test]
fn version_1_is_read_and_written() {
    let roster =
        Roster::default().then(deploy("a")).unwrap().then(deploy("b")).unwrap().then(back(None)).unwrap();
    let known = Slot { retracted: None, came: None, ..slot(&roster).clone() };
    let roster = Roster { slots: BTreeMap::from([("limits".to_owned(), known)]), ..roster };
    assert_eq!(String::from_utf8(encode(&roster).unwrap()).unwrap(), GOLDEN.trim_end());
    assert_eq!(decode(GOLDEN.as_bytes()).unwrap(), roster);
    let newer = GOLDEN.replace("\"version\": 1", "\"version\": 2");
    assert_eq!(decode(newer.as_bytes()), Err(RosterError::Version { version: 2 }));
    assert!(matches!(decode(b"{}"), Err(RosterError::Body { .. })));
}

#[test]
fn shadows_are_read_and_written() {
    let roster = Roster::default().then(shadow("b")).unwrap();
    assert_eq!(String::from_utf8(encode(&roster).unwrap()).unwrap(), GOLDEN_SHADOW.trim_end());
    assert_eq!(decode(GOLDEN_SHADOW.as_bytes()).unwrap(), roster);
}

#[test]
fn ways_back_and_forward_are_read_and_written() {
    let second = Roster::default().then(deploy("a")).unwrap().then(deploy("b")).unwrap();
    let other = Proposal::Deploy { name: "shift".into(), plan: plan("c") };
    let off = Proposal::Remove { name: "shift".into(), why: Removal::Off };
    let roster = second.then(back(None)).unwrap().then(other).unwrap().then(off).unwrap();
    assert_eq!(String::from_utf8(encode(&roster).unwrap()).unwrap(), GOLDEN_WAYS.trim_end());
    assert_eq!(decode(GOLDEN_WAYS.as_bytes()).unwrap(), roster);
}
