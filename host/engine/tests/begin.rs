//! Where a lane begins, and what it says when it cannot: never cold in silence.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use gridwatch_connectors::memory::{MemoryFeed, MemorySink, MemoryStore};
use gridwatch_core::decision::{self, Decision, What};
use gridwatch_core::record::{Record, RecordMeta};
use gridwatch_core::sink::{Delivery, LaneCommit, Outgoing, Store, Stream};
use gridwatch_engine::lane::{Lane, LaneParts, Resume};
use gridwatch_engine::settings::{OnMissing, PaceSettings};
use gridwatch_engine::start::{Begun, StartError, begin};
use gridwatch_engine::worker::{Parcel, Step, Worker};
use support::judge::POISON;
use support::{lane, open, parts, save_first};

fn reading(sensor: &str, seconds: i64, volts: f64) -> Vec<u8> {
    let time = 1_767_225_600_000 + seconds * 1_000;
    format!(r#"{{"sensor_id":"{sensor}","timestamp":{time},"voltage":{volts}}}"#).into_bytes()
}

/// Runs a lane over records to the end and commits; what the store and the sink then hold.
fn run(parts: LaneParts, records: Vec<Vec<u8>>, store: &MemoryStore, sink: &MemorySink) {
    let feed = Box::new(MemoryFeed::new(records));
    let (mut worker, mut outlet) = open(parts, sink, store, feed, PaceSettings::default());
    let mut hand_on = |parcel: Parcel| assert!(!outlet.receive(&lane(), parcel).unwrap());
    while worker.step(Duration::ZERO, Duration::ZERO, false, &mut hand_on).unwrap() == Step::Again {}
    outlet.do_chores(store);
    outlet.settle().unwrap();
}

fn lane_commit(sink: &MemorySink) -> LaneCommit {
    sink.last_commit().unwrap().lanes[&lane()].clone()
}

fn anomalies(sink: &MemorySink) -> Vec<String> {
    let of_stream = sink.committed().into_iter().filter(|m: &Outgoing| m.stream() == Stream::Anomalies);
    of_stream.map(|message| String::from_utf8_lossy(&message.json()).into_owned()).collect()
}

fn begin_at(commit: Option<&LaneCommit>, store: &MemoryStore, on: OnMissing) -> Result<Begun, StartError> {
    begin(parts(8), commit.cloned(), store, on, || Ok(0))
}

fn ran() -> (MemoryStore, MemorySink) {
    let (store, sink) = (MemoryStore::new(), MemorySink::new());
    let records = (0..50).map(|at| reading("a", at * 10, 120.0)).collect();
    run(parts(8), records, &store, &sink);
    (store, sink)
}

fn begin_error(commit: Option<&LaneCommit>, store: &MemoryStore) -> StartError {
    match begin_at(commit, store, OnMissing::Halt) {
        Err(error) => error,
        Ok(_) => panic!("it begins"),
    }
}

#[test]
fn a_missing_checkpoint_halts_with_the_choices_or_starts_cold_as_told() {
    let (store, sink) = ran();
    let commit = lane_commit(&sink);
    store.delete(&commit.checkpoint).unwrap();
    let error = begin_error(Some(&commit), &store);
    assert!(matches!(error, StartError::Missing { .. }), "{error}");
    assert!(error.to_string().contains("on_missing = \"cold\""), "{error}");
    let begun = begin_at(Some(&commit), &store, OnMissing::Cold).unwrap();
    assert_eq!(begun.lane.next(), commit.position);
    assert!(begun.commit.is_none());
}

#[test]
fn a_damaged_checkpoint_is_never_trusted() {
    let (store, sink) = ran();
    let commit = lane_commit(&sink);
    let good = store.get(&commit.checkpoint).unwrap();
    for at in (0..good.len()).step_by(7) {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        store.put(&commit.checkpoint, bad).unwrap();
        let error = begin_error(Some(&commit), &store);
        assert!(matches!(error, StartError::Damaged { .. }), "byte {at}: {error}");
    }
    for length in [0, 3, 40, good.len() - 1] {
        store.put(&commit.checkpoint, good[..length].to_vec()).unwrap();
        assert!(matches!(begin_error(Some(&commit), &store), StartError::Damaged { .. }), "cut to {length}");
    }
}

#[test]
fn checkpoints_that_no_commit_names_halt() {
    let (store, _) = ran();
    let error = begin_error(None, &store);
    assert!(matches!(error, StartError::Unnamed { .. }), "{error}");
}

#[test]
fn a_start_that_was_cut_short_is_no_loss() {
    let store = MemoryStore::new();
    let lane = begin_at(None, &store, OnMissing::Halt).unwrap().lane;
    let pace = PaceSettings::default();
    let mut worker = Worker::new(lane, Box::new(MemoryFeed::new(vec![])), pace, Duration::ZERO).unwrap();
    save_first(&mut worker, &store);
    // Killed here: the checkpoint of the beginning is stored, and no commit names it.
    assert_eq!(store.list("checkpoints/0").unwrap().len(), 1);
    assert!(begin_at(None, &store, OnMissing::Halt).unwrap().commit.is_none());
}

/// Both the fault and its episodes' end are told once, and the detector stays out after a restart.
#[test]
fn a_quarantine_outlives_the_process() {
    let (store, sink) = (MemoryStore::new(), MemorySink::new());
    let mut records = vec![reading("a", 0, 120.0), reading("b", 1, 90.0), reading("a", 2, POISON)];
    run(parts(1), records.clone(), &store, &sink);
    let cleared = |sink: &MemorySink| {
        let lines = anomalies(sink);
        lines.iter().filter(|line| line.contains("closed by the host") && line.contains("poison")).count()
    };
    // Both detectors look at voltages, and each had one open episode.
    assert_eq!(cleared(&sink), 2, "{:#?}", anomalies(&sink));
    let said = anomalies(&sink).len();
    records.extend((0..20).map(|at| reading("a", 10 + at, 130.0)));
    run(parts(1), records, &store, &sink);
    assert_eq!(anomalies(&sink).len(), said, "a quarantined detector speaks");
}

fn meta(at: usize) -> RecordMeta {
    RecordMeta { position: at as u64, next: at as u64 + 1, stored: None, line: 0, end: 0, truncated: false }
}

fn cold() -> Lane {
    begin(parts(1), None, &MemoryStore::new(), OnMissing::Halt, || Ok(0)).unwrap().lane
}

fn accept(lane: &mut Lane, records: &[Vec<u8>], range: std::ops::Range<usize>) {
    range.for_each(|at| lane.accept(&Record::plain(meta(at), &records[at])).unwrap());
    lane.flush().unwrap();
}

fn texts(output: &gridwatch_engine::lane::Output) -> Vec<String> {
    output.messages.iter().map(|m| String::from_utf8_lossy(&m.json()).into_owned()).collect()
}

/// Killed after the fault was committed and before a checkpoint; then the parameters are mended.
#[test]
fn a_mended_detector_judges_again() {
    let records: Vec<Vec<u8>> =
        [90.0, POISON, 130.0].iter().enumerate().map(|(at, volts)| reading("a", at as i64, *volts)).collect();
    let mut lane = cold();
    let checkpoint = lane.checkpoint().unwrap();
    accept(&mut lane, &records, 0..2);
    let output = lane.take_output().unwrap();
    assert_eq!(output.decisions.len(), 2, "both detectors are out");

    let mut mended = parts(1);
    mended.deployments = mended
        .deployments
        .iter()
        .map(|deployment| {
            let mut deployment = gridwatch_engine::deployment::Deployment::clone(deployment);
            if deployment.name == "voltage" {
                deployment.parameters = "{ }".into();
            }
            Arc::new(deployment)
        })
        .collect();
    let resume = Resume { checkpoint, committed: output.position, decisions: output.decisions };
    // The native detector fails at the same reading again, whatever its parameters: from here on, then, it
    // is out by a decision of its own, and "every" by the old one.
    let mut lane = Lane::resume(mended, resume).unwrap();
    let in_quarantine = |lane: &Lane| lane.detectors().filter(|d| d.quarantine.is_some()).count();
    accept(&mut lane, &records, 0..1);
    assert_eq!(in_quarantine(&lane), 1, "the old decision is not about the mended detector");
}

/// Its open episodes are cleared by the host, once, however often the process is killed.
#[test]
fn a_removed_detector_leaves_nothing_open() {
    let records: Vec<Vec<u8>> = (0..4).map(|at| reading("a", at, 120.0)).collect();
    let mut lane = cold();
    accept(&mut lane, &records, 0..2);
    let checkpoint = lane.checkpoint().unwrap();
    let committed = lane.take_output().unwrap().position;

    let mut fewer = parts(1);
    fewer.deployments.retain(|deployment| deployment.name == "every");
    let resume = Resume { checkpoint: checkpoint.clone(), committed, decisions: vec![] };
    let mut lane = Lane::resume(fewer.clone(), resume).unwrap();
    accept(&mut lane, &records, 2..3);
    let output = lane.take_output().unwrap();
    let said = texts(&output);
    assert_eq!(said.iter().filter(|text| text.contains("runs no more")).count(), 1, "{said:#?}");

    let resume = Resume { checkpoint, committed: output.position, decisions: output.decisions };
    let mut lane = Lane::resume(fewer, resume).unwrap();
    accept(&mut lane, &records, 2..4);
    let said = lane.take_output().map(|output| texts(&output)).unwrap_or_default();
    assert_eq!(said, Vec::<String>::new(), "it is said again");
}

/// A lane without readings notices silence, and a later life does not say it again.
#[test]
fn an_idle_tick_is_a_decision() {
    let mut lane = cold();
    let records: Vec<Vec<u8>> = vec![reading("a", 0, 90.0), reading("b", 1, 90.0), reading("a", 2, 90.0)];
    let checkpoint = lane.checkpoint().unwrap();
    accept(&mut lane, &records, 0..3);
    lane.idle(1_767_225_600_000 + 3_600_000).unwrap();
    let output = lane.take_output().unwrap();
    let silent = output.messages.iter().filter(|m| String::from_utf8_lossy(&m.json()).contains("\"silent\""));
    assert_eq!(silent.count(), 4, "two sensors, two detectors");
    assert_eq!(output.decisions.len(), 1);

    let resume = Resume { checkpoint, committed: output.position, decisions: output.decisions.clone() };
    let mut again = Lane::resume(parts(8), resume).unwrap();
    accept(&mut again, &records, 0..3);
    assert_eq!(again.take_output().map(|output| output.messages), None, "it says it again");
    assert_eq!(again.watermark(), lane.watermark());
    again.idle(1_767_225_600_000 + 3_600_000).unwrap();
    assert_eq!(again.take_output(), None);
}

/// Somebody has set the group's offset by hand: a bare position, without a checkpoint.
#[test]
fn a_position_set_by_hand_halts_where_knowledge_would_be_lost() {
    let bare = LaneCommit { position: 7, checkpoint: String::new(), decisions: vec![] };
    let begun = begin_at(Some(&bare), &MemoryStore::new(), OnMissing::Halt).unwrap();
    assert_eq!(begun.lane.next(), 7, "a group's first start may be set");
    let (store, _) = ran();
    let error = begin_error(Some(&bare), &store);
    assert!(matches!(error, StartError::SetByHand { position: 7, .. }), "{error}");
    assert_eq!(begin_at(Some(&bare), &store, OnMissing::Cold).unwrap().lane.next(), 7);
}

/// A lane says which decisions of an earlier life it has not come to: what it saves then knows nothing of them.
#[test]
fn what_is_saved_before_a_decision_says_that_it_is_ahead() {
    let (store, sink) = ran();
    let mut commit = lane_commit(&sink);
    let time = 1_767_225_600_000 + 3_600_000;
    let ahead = vec![Decision { position: commit.position + 2, what: What::IdleTick { time } }];
    commit.decisions = decision::encode(&ahead).unwrap();
    let parts = LaneParts { delivery: Delivery::AtLeastOnce, ..parts(8) };
    let begun = begin(parts, Some(commit.clone()), &store, OnMissing::Halt, || Ok(0)).unwrap();
    let records = (0..54).map(|at| reading("a", at * 10, 120.0)).collect();
    let feed = Box::new(MemoryFeed::new(records).chunks_of(1));
    let mut worker = Worker::new(begun.lane, feed, PaceSettings::default(), Duration::ZERO).unwrap();
    let mut saved = Vec::new();
    for _ in 0..4 {
        let mut hand_on = |parcel| {
            if let Parcel::Checkpoint { checkpoint, ahead } = parcel {
                let position = checkpoint.position;
                saved.push((position - commit.position, ahead));
            }
        };
        worker.step(Duration::ZERO, Duration::ZERO, true, &mut hand_on).unwrap();
    }
    assert_eq!(saved[0], (1, ahead));
    assert_eq!(saved[1..], [(2, vec![]), (3, vec![]), (4, vec![])]);
}
