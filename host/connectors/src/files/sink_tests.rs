#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::path::Path;

use gridwatch_core::dead_letter::DeadLetter;
use gridwatch_core::reading::{Reason, Rejection};
use gridwatch_core::record::RecordMeta;
use gridwatch_core::sink::{AnomalyMessage, Commit, LaneCommit, LaneId, Outgoing, Sink, SinkError};
use tempfile::TempDir;

use super::*;

fn sink_in(folder: &Path) -> Result<FileSink, SinkError> {
    FileSink::open(FileSinkOptions {
        anomalies: Output::File(folder.join("anomalies.jsonl")),
        dead_letters: Output::File(folder.join("dead.jsonl")),
        commit: Some(folder.join("commit.json")),
        sources: BTreeMap::new(),
    })
}

fn anomaly(text: &str) -> Outgoing {
    Outgoing::Anomaly(AnomalyMessage { key: "k".into(), headers: vec![], payload: text.into() })
}

fn dead_letter(text: &str) -> Outgoing {
    let rejection = Rejection { reason: Reason::NotJson, detail: String::new() };
    let meta = RecordMeta { position: 0, next: 1, stored: None, line: 0, end: 0, truncated: false };
    Outgoing::DeadLetter(Box::new(DeadLetter::new(
        &rejection,
        "a",
        &gridwatch_core::record::Record::plain(meta, text.as_bytes()),
    )))
}

/// The records in a file of dead letters.
fn records(folder: &Path, name: &str) -> Vec<String> {
    let lines = content(folder, name);
    let record = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["record"].clone();
    lines.lines().map(|line| record(line).as_str().unwrap().to_owned()).collect()
}

/// What is committed of the lane.
fn recovered(sink: &mut FileSink) -> Option<LaneCommit> {
    sink.recover().unwrap().last(&lane()).unwrap()
}

fn lane() -> LaneId {
    LaneId::only("a")
}

fn lane_commit(position: u64) -> LaneCommit {
    LaneCommit { position, checkpoint: "checkpoints/a-1".into(), decisions: vec![0, 255, 7] }
}

fn commit(position: u64) -> Commit {
    Commit { lanes: [(lane(), lane_commit(position))].into() }
}

fn content(folder: &Path, name: &str) -> String {
    std::fs::read_to_string(folder.join(name)).unwrap()
}

#[test]
fn after_a_crash_the_files_hold_what_was_committed() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let mut sink = sink_in(folder).unwrap();
    assert_eq!(recovered(&mut sink), None);
    sink.append(&lane(), vec![anomaly("1"), dead_letter("2")]).unwrap();
    drop(sink);
    // Nothing was committed yet: all of that run's output goes, and nothing else.
    let mut sink = sink_in(folder).unwrap();
    assert_eq!(recovered(&mut sink), None);
    assert_eq!(content(folder, "anomalies.jsonl"), "");
    sink.append(&lane(), vec![anomaly("3"), dead_letter("4")]).unwrap();
    sink.commit(&commit(17)).unwrap();
    sink.append(&lane(), vec![anomaly(&"5".repeat(200_000))]).unwrap();
    drop(sink);
    assert!(content(folder, "anomalies.jsonl").len() > 200_000);
    let mut sink = sink_in(folder).unwrap();
    assert_eq!(recovered(&mut sink), Some(lane_commit(17)));
    sink.append(&lane(), vec![anomaly("6")]).unwrap();
    sink.commit(&commit(18)).unwrap();
    assert_eq!(content(folder, "anomalies.jsonl"), "3\n6\n");
    assert_eq!(records(folder, "dead.jsonl"), ["4"]);
}

/// The commit file was lost, or somebody else's file is named: nothing says how much of it counts.
#[test]
fn output_without_a_commit_is_refused_and_kept() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("anomalies.jsonl"), "from before\n").unwrap();
    let error = sink_in(folder).unwrap().recover().err().unwrap().to_string();
    assert!(error.contains("anomalies.jsonl") && error.contains("commit file"), "{error}");
    assert_eq!(content(folder, "anomalies.jsonl"), "from before\n");
}

#[test]
fn two_sinks_on_the_same_files_are_refused() {
    let folder = TempDir::new().unwrap();
    let _first = sink_in(folder.path()).unwrap();
    let error = sink_in(folder.path()).unwrap_err().to_string();
    assert!(error.contains("another process writes it"), "{error}");
    let same = Output::File(folder.path().join("x"));
    let options = FileSinkOptions {
        anomalies: same.clone(),
        dead_letters: same,
        commit: None,
        sources: BTreeMap::new(),
    };
    assert!(FileSink::open(options).unwrap_err().to_string().contains("different names"));
}

#[test]
fn damage_is_said_and_nothing_is_cut() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let mut sink = sink_in(folder).unwrap();
    sink.recover().unwrap();
    sink.append(&lane(), vec![anomaly("1"), dead_letter("2")]).unwrap();
    sink.commit(&commit(1)).unwrap();
    sink.append(&lane(), vec![dead_letter("more")]).unwrap();
    drop(sink);
    let good = content(folder, "commit.json");
    for (bad, what) in [
        (good.replace("\"position\":1", "\"position\":2"), "digest"),
        (good[..good.len() / 2].to_owned(), "damaged"),
        (String::new(), "damaged"),
        (good.replace("\"version\":2", "\"version\":3"), "it has version 3"),
    ] {
        std::fs::write(folder.join("commit.json"), bad).unwrap();
        let error = sink_in(folder).unwrap().recover().err().unwrap().to_string();
        assert!(error.contains(what) && error.contains("commit.json"), "{error}");
    }
    std::fs::write(folder.join("commit.json"), &good).unwrap();
    std::fs::write(folder.join("anomalies.jsonl"), "").unwrap();
    let error = sink_in(folder).unwrap().recover().err().unwrap().to_string();
    assert!(error.contains("it has 0 bytes, and 2 were committed"), "{error}");
    assert_eq!(records(folder, "dead.jsonl"), ["2", "more"], "no file is cut when one is refused");
}

/// Bytes written by earlier versions. They are never changed; a new version adds a file beside them.
#[test]
fn earlier_versions_are_still_read_and_the_last_is_written() {
    let first = commit::decode(include_bytes!("golden/commit-v1.json")).unwrap();
    assert_eq!(first.lanes["a"], lane_commit(912));
    assert_eq!(first.lengths["anomalies.jsonl"], 1234);
    assert!(first.sources["a"].is_empty());
    let golden = include_bytes!("golden/commit-v2.json");
    let second = commit::decode(golden).unwrap();
    assert_eq!((&second.lanes, &second.lengths), (&first.lanes, &first.lengths));
    let parts = &second.sources["a"];
    assert_eq!((parts[0].name.as_str(), parts[0].beginning_bytes, parts[0].length), ("1.csv", 3, Some(700)));
    assert_eq!((parts[1].name.as_str(), parts[1].length), ("2.csv", None));
    assert_eq!(String::from_utf8(commit::encode(&second).unwrap()).unwrap(), String::from_utf8_lossy(golden));
}

/// A sink whose lane reads these files.
fn sink_of(folder: &Path, files: &[&str]) -> FileSink {
    let parts = files.iter().map(|name| Part::of_file((*name).to_owned(), &folder.join(name))).collect();
    FileSink::open(FileSinkOptions {
        anomalies: Output::File(folder.join("anomalies.jsonl")),
        dead_letters: Output::File(folder.join("dead.jsonl")),
        commit: Some(folder.join("commit.json")),
        sources: [("a".to_owned(), parts)].into(),
    })
    .unwrap()
}

#[test]
fn a_commit_knows_the_files_it_speaks_of() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
    let refused = |files: &[&str]| match sink_of(folder, files).recover() {
        Ok(_) => String::new(),
        Err(error) => error.to_string(),
    };
    write("1", &"long".repeat(100));
    write("2", "");
    let mut sink = sink_of(folder, &["1", "2"]);
    sink.recover().unwrap();
    // It was empty when the run began.
    write("2", "short");
    sink.commit(&commit(500)).unwrap();
    drop(sink);
    assert_eq!(refused(&["1", "2"]), "");
    write("2", "short, but it grows");
    write("3", "new");
    assert_eq!(refused(&["1", "2", "3"]), "");
    write("2", "shor");
    assert!(refused(&["1", "2"]).contains("`2` is another one now"), "{}", refused(&["1", "2"]));
    write("2", "other and long enough");
    assert!(refused(&["1", "2"]).contains("`2` is another one now"));
    assert!(refused(&["1", "2"]).contains("[checkpoints] of its own"));
    write("2", "short");
    assert!(refused(&["1"]).contains("`2` is not named any more"));
    assert!(refused(&["1", "3", "2"]).contains("`3` stands where `2` was"));
    write("1", &"long".repeat(101));
    assert!(refused(&["1", "2"]).contains("only the last one may grow"), "{}", refused(&["1", "2"]));
    // Nothing was read yet: nothing can be amiss.
    sink_of(folder, &["1", "2"]).commit(&commit(0)).unwrap();
    write("2", "another");
    assert_eq!(refused(&["1", "2"]), "");
}

/// After a restart lanes open one after the other, and commits come in between: a kill then takes nothing from those
/// that were not open yet.
#[test]
fn lanes_that_are_not_open_yet_keep_their_commits() {
    let folder = TempDir::new().unwrap();
    let both = |first, second| {
        let lanes = [("a", first), ("b", second)];
        Commit { lanes: lanes.map(|(name, position)| (LaneId::only(name), lane_commit(position))).into() }
    };
    let mut sink = sink_in(folder.path()).unwrap();
    sink.recover().unwrap();
    sink.commit(&both(7, 8)).unwrap();
    for position in [17, 27] {
        drop(sink);
        sink = sink_in(folder.path()).unwrap();
        let commits = sink.recover().unwrap();
        assert_eq!(commits.last(&LaneId::only("b")).unwrap(), Some(lane_commit(8)));
        sink.commit(&commit(position)).unwrap();
    }
    drop(sink);
    let commits = sink_in(folder.path()).unwrap().recover().unwrap();
    let positions =
        ["a", "b"].map(|name| commits.last(&LaneId::only(name)).unwrap().map(|commit| commit.position));
    assert_eq!(positions, [Some(27), Some(8)]);
}
