//! The roster in a store that several processes share.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::{Arc, Barrier};

use gridwatch_connectors::memory::MemoryStore;
use gridwatch_connectors::stores::Objects;
use gridwatch_core::judge::Limits;
use gridwatch_core::roster::{Mode, OnFault, OnNewState, Plan, Proposal};
use gridwatch_core::sink::{Store, StoreError};
use gridwatch_engine::foundry::rosters::{RosterLogError, Rosters};

fn deploy(name: &str, digest: &str) -> Proposal {
    let plan = Plan {
        digest: format!("sha256:{digest}"),
        parameters: "{}".into(),
        limits: Limits::default(),
        on_fault: OnFault::Quarantine,
        on_new_state: OnNewState::Refuse,
        mode: Mode::Live,
        rollback_window_ms: 0,
        faults_max: 5,
    };
    Proposal::Deploy { name: name.into(), plan }
}

/// Both kinds of store, each empty.
fn stores(folder: &tempfile::TempDir) -> [Arc<dyn Store>; 2] {
    [Arc::new(MemoryStore::new()), Arc::new(Objects::local(folder.path()).unwrap())]
}

#[test]
fn who_proposes_at_once_is_heard_one_after_the_other() {
    let folder = tempfile::TempDir::new().unwrap();
    for store in stores(&folder) {
        let (count, barrier) = (8, Arc::new(Barrier::new(8)));
        let threads: Vec<_> = (0..count)
            .map(|n| {
                let (rosters, barrier) = (Rosters::new(store.clone()), barrier.clone());
                std::thread::spawn(move || {
                    barrier.wait();
                    rosters.propose(&deploy(&format!("d{n}"), "a")).unwrap().generation
                })
            })
            .collect();
        let mut generations: Vec<u64> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        generations.sort_unstable();
        assert_eq!(generations, (1..=count).collect::<Vec<_>>(), "each has a generation of its own");
        let latest = Rosters::new(store).latest().unwrap();
        assert_eq!((latest.generation, latest.plans().count()), (count, 8), "nobody's was lost");
    }
}

#[test]
fn only_the_last_generations_are_kept() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let rosters = Rosters::new(store.clone());
    for n in 0..1_020 {
        rosters.propose(&deploy("a", &n.to_string())).unwrap();
    }
    assert_eq!(store.list("rosters/").unwrap().len(), 1_000);
    assert_eq!(rosters.latest().unwrap().generation, 1_020);
    assert!(rosters.of_generation(20).unwrap().is_none());
}

/// A store that was emptied, or is another one, may count on to the same numbers.
#[test]
fn what_comes_of_another_roster_is_told_from_what_comes_of_ours() {
    let rosters = || Rosters::new(Arc::new(MemoryStore::new()));
    let (ours, theirs) = (rosters(), rosters());
    let of = |rosters: &Rosters, count: u64| {
        for _ in 0..count {
            let name = format!("after-{}", rosters.latest().unwrap().generation);
            rosters.propose(&deploy(&name, "a")).unwrap();
        }
        rosters.latest().unwrap()
    };
    let (first, begun) = (of(&ours, 1), of(&theirs, 0));
    theirs.propose(&deploy("d", "b")).unwrap();
    assert!(ours.comes_of(&first, &first).unwrap() && ours.comes_of(&first, &begun).unwrap());
    assert!(!theirs.comes_of(&begun, &first).unwrap(), "it was emptied");
    assert!(!theirs.comes_of(&theirs.latest().unwrap(), &first).unwrap(), "as many, and others");
    let later = of(&ours, 3);
    assert!(ours.comes_of(&later, &first).unwrap());
    assert!(!theirs.comes_of(&of(&theirs, 3), &first).unwrap(), "more, and others");
    (0..1_010).for_each(|n| drop(ours.propose(&deploy("d", &n.to_string())).unwrap()));
    assert!(ours.comes_of(&ours.latest().unwrap(), &first).unwrap(), "that long ago nothing is kept");
}

/// Who was deployed a thousand changes ago still runs, and is asked for by its generation after a restart.
#[test]
fn generations_that_brought_what_runs_are_kept() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let rosters = Rosters::new(store.clone());
    for digest in ["before", "quiet"] {
        rosters.propose(&deploy("quiet", digest)).unwrap();
    }
    for n in 0..1_020 {
        rosters.propose(&deploy("busy", &n.to_string())).unwrap();
    }
    let digest = |generation| {
        let roster = rosters.of_generation(generation).unwrap()?;
        Some(roster.slots["quiet"].plan.clone()?.digest)
    };
    let kept = [1, 2, 3].map(digest);
    assert_eq!(kept, [Some("sha256:before".into()), Some("sha256:quiet".into()), None]);
    assert_eq!(store.list("rosters/").unwrap().len(), 1_002);
}

#[test]
fn modules_are_what_their_digest_says() {
    let folder = tempfile::TempDir::new().unwrap();
    for store in stores(&folder) {
        let rosters = Rosters::new(store.clone());
        let digest = rosters.keep_module(b"a module").unwrap();
        assert_eq!(rosters.keep_module(b"a module").unwrap(), digest);
        assert_eq!(rosters.module(&digest).unwrap(), b"a module");
        let name = store.list("modules/").unwrap().pop().unwrap();
        store.put(&name, b"forged".to_vec()).unwrap();
        assert_eq!(rosters.module(&digest), Err(RosterLogError::Forged { digest, bytes: 6 }));
        let none = rosters.module("sha256:00");
        assert!(matches!(none, Err(RosterLogError::Store(StoreError::Missing { .. }))));
    }
}
