//! The outlet where the sink or the store do not do at once what they are asked.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use gridwatch_connectors::memory::{MemorySink, MemoryStore};
use gridwatch_core::checkpoint::Checkpoint;
use gridwatch_core::clock::LaneClock;
use gridwatch_core::decision::{self, Chronicle, Decision, What};
use gridwatch_core::shared::Shared;
use gridwatch_core::sink::{AnomalyMessage, LaneCommit, LaneId, Outgoing, SinkError, Store, StoreError};
use gridwatch_engine::lane::Output;
use gridwatch_engine::outlet::{Outlet, Settled};
use gridwatch_engine::worker::Parcel;

fn lane() -> LaneId {
    LaneId::only("0")
}

fn opened(sink: &MemorySink) -> Outlet {
    let mut outlet = Outlet::new(Box::new(sink.clone()), Vec::new());
    let commit = LaneCommit { position: 0, checkpoint: name(0, "aa"), decisions: vec![] };
    outlet.receive(&lane(), Parcel::Opened { commit, is_new: false }).unwrap();
    outlet
}

fn name(position: u64, digest: &str) -> String {
    format!("checkpoints/0/{position:020}-{digest}")
}

fn output(position: u64, text: &str, decisions: usize) -> Parcel {
    let message = AnomalyMessage { key: String::new(), headers: vec![], payload: text.into() };
    let decision = |at| Decision { position, what: What::IdleTick { time: 1_000_000_000_000 + at as i64 } };
    let decisions = (0..decisions).map(decision).collect();
    Parcel::Output {
        output: Output { messages: vec![Outgoing::Anomaly(message)], decisions, position },
        received: None,
    }
}

/// Of a lane that knows nothing.
fn checkpoint(position: u64) -> Checkpoint {
    Checkpoint {
        lane: "0".into(),
        position,
        source: vec![],
        settings: String::new(),
        quantities: vec![],
        sensors: Shared::default(),
        clock: LaneClock::default(),
        tick: None,
        detectors: vec![],
        schemas_unknown: vec![],
        chronicle: Chronicle::default(),
    }
}

fn saved(position: u64, ahead: Vec<Decision>) -> Parcel {
    Parcel::Checkpoint { checkpoint: Box::new(checkpoint(position)), ahead }
}

fn texts(messages: &[Outgoing]) -> Vec<String> {
    messages.iter().map(|message| String::from_utf8_lossy(&message.json()).into_owned()).collect()
}

fn busy() -> SinkError {
    SinkError::Busy { place: "memory".into(), what: "told so".into() }
}

/// At least once, what follows from a decision waits until that is committed; so does all that came later,
/// in its order, however long it takes.
#[test]
fn nothing_overtakes_a_decision_that_is_not_committed() {
    let sink = MemorySink::at_least_once();
    let mut outlet = opened(&sink);
    sink.fail(busy());
    outlet.receive(&lane(), output(10, "after the first decision", 1)).unwrap();
    assert!(outlet.is_waiting());
    outlet.receive(&lane(), output(20, "plain", 0)).unwrap();
    outlet.receive(&lane(), output(30, "after the second", 1)).unwrap();
    outlet.receive(&lane(), saved(30, vec![])).unwrap();
    assert_eq!(sink.messages(), [], "before its decision is committed");
    sink.fail(busy());
    assert_eq!(outlet.settle().unwrap(), Settled::Later);
    assert_eq!(sink.messages(), []);
    assert_eq!(outlet.settle().unwrap(), Settled::Done);
    assert_eq!(texts(&sink.committed()), ["after the first decision", "plain", "after the second"]);
    assert_eq!(sink.last_commit().unwrap().lanes[&lane()].position, 30);
}

/// More decisions than a commit can hold: it waits for a checkpoint, and goes on as soon as there is one,
/// also where the store was away when it was asked first.
#[test]
fn decisions_that_fill_a_commit_wait_for_a_checkpoint_and_no_longer() {
    let (sink, store) = (MemorySink::new(), MemoryStore::new());
    let mut outlet = opened(&sink);
    assert!(outlet.receive(&lane(), output(10, "1", 600)).unwrap(), "a checkpoint is asked for");
    assert_eq!(outlet.settle().unwrap(), Settled::Full);
    assert!(!outlet.is_full(), "the checkpoint has to come through");
    store.fail(StoreError::Failed { name: "x".into(), what: "away".into() });
    outlet.receive(&lane(), saved(10, vec![])).unwrap();
    assert!(outlet.is_full(), "nothing more before it is stored");
    outlet.do_chores(&store);
    assert_eq!(outlet.settle().unwrap(), Settled::Full);
    assert!(!outlet.is_full(), "the next checkpoint has to come through");
    assert!(outlet.receive(&lane(), output(20, "2", 0)).unwrap(), "it is asked for again");
    outlet.receive(&lane(), saved(20, vec![])).unwrap();
    outlet.do_chores(&store);
    assert_eq!(outlet.settle().unwrap(), Settled::Done);
    assert_eq!(texts(&sink.committed()), ["1", "2"]);
}

/// Two checkpoints at one position sort by their digests: whichever is named stays.
#[test]
fn a_checkpoint_that_is_named_is_never_swept() {
    for at in 0..64u8 {
        let (sink, store) = (MemorySink::new(), MemoryStore::new());
        store.put(&name(0, "aa"), vec![0]).unwrap();
        let mut outlet = opened(&sink);
        for (position, tick) in [(5, 0), (5, 1), (5, 2), (9, 3)] {
            let tick = i64::from(at) * 4 + tick;
            let checkpoint = Box::new(Checkpoint { tick: Some(tick), ..checkpoint(position) });
            outlet.receive(&lane(), Parcel::Checkpoint { checkpoint, ahead: vec![] }).unwrap();
            outlet.do_chores(&store);
            assert_eq!(outlet.settle().unwrap(), Settled::Done);
            outlet.do_chores(&store);
            let named = sink.last_commit().unwrap().lanes[&lane()].checkpoint.clone();
            assert!(store.get(&named).is_ok(), "{named} is gone");
        }
        assert!(store.get(&name(0, "aa")).is_err(), "what is older than both is swept");
    }
}

/// At least once, what follows from a decision may be out before its position is committed. A life that saves
/// itself before it has come that far must leave the decision in the commit: the next one is to decide the same.
#[test]
fn a_decision_that_is_still_ahead_outlives_a_checkpoint() {
    let (sink, store) = (MemorySink::at_least_once(), MemoryStore::new());
    let ahead = vec![Decision { position: 50, what: What::IdleTick { time: 7 } }];
    let mut outlet = Outlet::new(Box::new(sink.clone()), Vec::new());
    let commit =
        LaneCommit { position: 0, checkpoint: name(0, "aa"), decisions: decision::encode(&ahead).unwrap() };
    outlet.receive(&lane(), Parcel::Opened { commit, is_new: false }).unwrap();
    let committed = |outlet: &mut Outlet| {
        outlet.do_chores(&store);
        assert_eq!(outlet.settle().unwrap(), Settled::Done);
        let commit = sink.last_commit().unwrap().lanes[&lane()].clone();
        (commit.position, decision::decode(&commit.decisions).unwrap())
    };
    outlet.receive(&lane(), output(10, "with a decision of its own", 1)).unwrap();
    outlet.receive(&lane(), saved(20, ahead.clone())).unwrap();
    // Another on its way behind it counts what the first has left.
    outlet.receive(&lane(), saved(30, ahead.clone())).unwrap();
    assert_eq!(committed(&mut outlet), (30, ahead));
    outlet.receive(&lane(), saved(60, vec![])).unwrap();
    assert_eq!(committed(&mut outlet), (60, vec![]));
}
