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
    Proposal::RollBack { name: "limits".into(), fingerprint, reason: "by hand".into() }
}

fn running(roster: &Roster) -> Vec<(&str, &str)> {
    roster.plans().map(|(name, plan)| (name, plan.digest.as_str())).collect()
}

#[test]
fn generations_follow_each_other_and_only_where_something_changes() {
    let first = Roster::default().follow(deploy("a")).unwrap();
    assert_eq!((first.generation, running(&first)), (1, vec![("limits", "sha256:a")]));
    assert_eq!(first.follow(deploy("a")), Err(Unmoved::Same { name: "limits".into() }));
    let second = first.follow(deploy("b")).unwrap();
    assert_eq!((second.generation, running(&second)), (2, vec![("limits", "sha256:b")]));
    let parameters = Plan { parameters: "{\"k\":1}".into(), ..plan("b") };
    let third = second.follow(Proposal::Deploy { name: "limits".into(), plan: parameters }).unwrap();
    assert_eq!(third.generation, 3, "parameters alone are a change, too");
}

#[test]
fn what_was_rolled_back_is_refused_until_something_else_came() {
    let second = Roster::default().follow(deploy("a")).unwrap().follow(deploy("b")).unwrap();
    let third = second.follow(back(None)).unwrap();
    assert_eq!((third.generation, running(&third)), (3, vec![("limits", "sha256:a")]));
    let refused = third.follow(deploy("b")).unwrap_err();
    assert!(refused.to_string().contains("by hand"), "{refused}");
    assert_eq!(third.follow(back(None)), Err(Unmoved::NothingBefore { name: "limits".into() }));
    let fourth = third.follow(deploy("c")).unwrap();
    assert_eq!(running(&fourth.follow(deploy("b")).unwrap()), [("limits", "sha256:b")]);
}

#[test]
fn a_fault_rolls_back_only_what_failed() {
    let second = Roster::default().follow(deploy("a")).unwrap().follow(deploy("b")).unwrap();
    let overtaken = Err(Unmoved::Overtaken { name: "limits".into() });
    assert_eq!(second.follow(back(Some(plan("a").fingerprint()))), overtaken);
    let third = second.follow(back(Some(plan("b").fingerprint()))).unwrap();
    assert_eq!(running(&third), [("limits", "sha256:a")]);
}

#[test]
fn what_is_taken_out_stops_and_may_come_again() {
    let first = Roster::default().follow(deploy("a")).unwrap();
    let none = first.follow(Proposal::Remove { name: "limits".into() }).unwrap();
    assert_eq!((none.generation, running(&none)), (2, Vec::new()));
    let again = Proposal::Remove { name: "limits".into() };
    assert_eq!(none.follow(again), Err(Unmoved::Same { name: "limits".into() }));
    assert_eq!(running(&none.follow(deploy("a")).unwrap()), [("limits", "sha256:a")]);
    let other = first.follow(Proposal::Remove { name: "limit".into() }).unwrap_err();
    assert!(other.to_string().contains("there are limits"), "{other}");
}

#[test]
fn what_cannot_go_back_goes_forward_again_and_is_never_taken_out() {
    let second = Roster::default().follow(deploy("a")).unwrap().follow(deploy("b")).unwrap();
    let third = second.follow(back(None)).unwrap();
    let forward = |of: &str| Proposal::Return {
        name: "limits".into(),
        fingerprint: plan(of).fingerprint(),
        reason: "lane 1: refuses the state".into(),
    };
    let overtaken = Err(Unmoved::Overtaken { name: "limits".into() });
    assert_eq!(second.follow(forward("b")), overtaken, "nothing went back");
    assert_eq!(third.follow(forward("b")), overtaken, "something else runs");
    let fourth = third.follow(forward("a")).unwrap();
    assert_eq!((fourth.generation, running(&fourth)), (4, vec![("limits", "sha256:b")]));
    assert_eq!(fourth.follow(forward("b")), overtaken, "once");
    let refused = fourth.follow(deploy("a")).unwrap_err();
    assert!(refused.to_string().contains("refuses the state"), "{refused}");
    assert_eq!(decode(&encode(&third).unwrap()).unwrap(), third);
}

#[test]
fn what_was_rolled_back_stays_so_when_it_is_taken_out_and_copied_in_again() {
    let second = Roster::default().follow(deploy("a")).unwrap().follow(deploy("b")).unwrap();
    let out = second.follow(back(None)).unwrap().follow(Proposal::Remove { name: "limits".into() }).unwrap();
    assert!(matches!(out.follow(deploy("b")), Err(Unmoved::RolledBack { .. })));
    assert_eq!(running(&out.follow(deploy("a")).unwrap()), [("limits", "sha256:a")]);
}

#[test]
fn a_release_runs_the_same_as_a_new_generation() {
    let second = Roster::default().follow(deploy("a")).unwrap().follow(deploy("b")).unwrap();
    let third = second.follow(Proposal::Release { name: "limits".into() }).unwrap();
    assert_eq!((third.generation, running(&third)), (3, vec![("limits", "sha256:b")]));
    assert_eq!(running(&third.follow(back(None)).unwrap()), [("limits", "sha256:a")], "the way back stays");
    let other = second.follow(Proposal::Release { name: "limit".into() }).unwrap_err();
    assert!(other.to_string().contains("there are limits"), "{other}");
}

#[test]
fn what_is_usual_is_not_written() {
    let other = Plan { faults_max: 7, ..plan("a") };
    let roster = Roster::default().follow(Proposal::Deploy { name: "limits".into(), plan: other }).unwrap();
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

fn set_mode(mode: Option<Mode>) -> Proposal {
    Proposal::SetMode { name: "limits".into(), mode }
}

#[test]
fn a_shadow_stands_beside_what_runs_until_it_is_promoted() {
    let second = Roster::default().follow(deploy("a")).unwrap().follow(shadow("b")).unwrap();
    assert_eq!(running(&second), [("limits", "sha256:a")]);
    assert_eq!(shadowing(&second), [("limits", "sha256:b", 2)]);
    assert_eq!(second.slots["limits"].generation, 1, "what runs is untouched");
    assert_eq!(second.follow(shadow("b")), Err(Unmoved::Same { name: "limits".into() }));
    for promotion in [deploy("b"), set_mode(Some(Mode::Live))] {
        let third = second.follow(promotion).unwrap();
        assert_eq!((running(&third), shadowing(&third)), (vec![("limits", "sha256:b")], vec![]));
        assert_eq!(third.slots["limits"].plan, Some(plan("b")));
        assert_eq!(running(&third.follow(back(None)).unwrap()), [("limits", "sha256:a")]);
    }
}

#[test]
fn what_runs_live_is_no_shadow_of_itself() {
    let first = Roster::default().follow(deploy("a")).unwrap();
    assert_eq!(first.follow(shadow("a")), Err(Unmoved::RunsLive { name: "limits".into() }));
    // By hand it is, and then nobody is heard.
    let second = first.follow(set_mode(Some(Mode::Shadow))).unwrap();
    assert_eq!((running(&second), shadowing(&second)), (vec![], vec![("limits", "sha256:a", 2)]));
    let third = second.follow(set_mode(Some(Mode::Live))).unwrap();
    assert_eq!((running(&third), shadowing(&third)), (vec![("limits", "sha256:a")], vec![]));
    assert_eq!(third.follow(back(None)), Err(Unmoved::NothingBefore { name: "limits".into() }));
}

#[test]
fn going_back_takes_out_the_shadow_first_and_refuses_it() {
    let second = Roster::default().follow(deploy("a")).unwrap().follow(shadow("b")).unwrap();
    assert_eq!(second.follow(back(None)), second.follow(back(Some(plan("b").fingerprint()))));
    let third = second.follow(back(None)).unwrap();
    assert_eq!((running(&third), shadowing(&third)), (vec![("limits", "sha256:a")], vec![]));
    assert_eq!(third.slots["limits"].generation, 1, "what runs is untouched");
    assert!(matches!(third.follow(shadow("b")), Err(Unmoved::RolledBack { .. })));
    assert!(matches!(third.follow(deploy("b")), Err(Unmoved::RolledBack { .. })));
}

#[test]
fn what_runs_goes_back_by_a_fault_and_its_shadow_stays() {
    let second = Roster::default().follow(deploy("a")).unwrap().follow(deploy("b")).unwrap();
    let third = second.follow(shadow("c")).unwrap();
    let fourth = third.follow(back(Some(plan("b").fingerprint()))).unwrap();
    assert_eq!(running(&fourth), [("limits", "sha256:a")]);
    assert_eq!(shadowing(&fourth), [("limits", "sha256:c", 3)]);
}

#[test]
fn what_was_switched_off_comes_again_as_it_is_asked_for() {
    let off = Roster::default().follow(shadow("a")).unwrap().follow(set_mode(None)).unwrap();
    assert_eq!((running(&off), shadowing(&off)), (vec![], vec![]));
    assert_eq!(off.follow(set_mode(None)), Err(Unmoved::Same { name: "limits".into() }));
    let not_live = Err(Unmoved::NotLive { name: "limits".into() });
    assert_eq!(off.follow(back(None)), not_live);
    assert_eq!(off.follow(Proposal::Release { name: "limits".into() }), not_live);
    let live = off.follow(set_mode(Some(Mode::Live))).unwrap();
    assert_eq!(live.slots["limits"].plan, Some(plan("a")));
    let shadow = off.follow(set_mode(Some(Mode::Shadow))).unwrap();
    assert_eq!((running(&shadow), shadowing(&shadow)), (vec![], vec![("limits", "sha256:a", 3)]));
}

#[test]
fn other_settings_of_what_runs_leave_the_way_back() {
    let second = Roster::default().follow(deploy("a")).unwrap().follow(deploy("b")).unwrap();
    let halting = Plan { on_fault: OnFault::Halt, ..plan("b") };
    let third = second.follow(Proposal::Deploy { name: "limits".into(), plan: halting }).unwrap();
    assert_eq!(running(&third.follow(back(None)).unwrap()), [("limits", "sha256:a")]);
}

/// Rosters as they were written when version 1, then shadows, and then the way forward again, were new: they must
/// load for ever.
const GOLDEN: &str = include_str!("../../tests/golden/roster-1.json");
const GOLDEN_BACK: &str = include_str!("../../tests/golden/roster-1-back.json");
const GOLDEN_SHADOW: &str = include_str!("../../tests/golden/roster-1-shadow.json");

#[test]
fn version_1_is_read_and_written() {
    let roster =
        Roster::default().follow(deploy("a")).unwrap().follow(deploy("b")).unwrap().follow(back(None));
    let roster = roster.unwrap();
    assert_eq!(String::from_utf8(encode(&roster).unwrap()).unwrap(), GOLDEN_BACK.trim_end());
    assert_eq!(decode(GOLDEN_BACK.as_bytes()).unwrap(), roster);
    let mut first = roster.clone();
    first.slots.values_mut().for_each(|slot| slot.gone_back_from = None);
    assert_eq!(String::from_utf8(encode(&first).unwrap()).unwrap(), GOLDEN.trim_end());
    assert_eq!(decode(GOLDEN.as_bytes()).unwrap(), first);
    let newer = GOLDEN.replace("\"version\": 1", "\"version\": 2");
    assert_eq!(decode(newer.as_bytes()), Err(RosterError::Version { version: 2 }));
    assert!(matches!(decode(b"{}"), Err(RosterError::Body { .. })));
}

#[test]
fn shadows_are_read_and_written() {
    let roster = Roster::default().follow(shadow("b")).unwrap();
    assert_eq!(String::from_utf8(encode(&roster).unwrap()).unwrap(), GOLDEN_SHADOW.trim_end());
    assert_eq!(decode(GOLDEN_SHADOW.as_bytes()).unwrap(), roster);
}
