//! The binary as a person calls it: status, standard output, standard error.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn gridwatch(arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gridwatch"));
    command.args(arguments.split_whitespace());
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/configs"));
    command
}

fn run(arguments: &str) -> (i32, String, String) {
    let Output { status, stdout, stderr } = gridwatch(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code().expect("no signal"), text(stdout), text(stderr))
}

#[test]
fn a_good_configuration_is_status_0_and_said_on_standard_output() {
    let (status, out, err) = run("config check good/files.toml");
    assert_eq!((status, err.as_str()), (0, ""));
    assert!(out.starts_with("good/files.toml: good"), "{out}");
}

#[test]
fn a_bad_configuration_is_status_2_and_said_on_standard_error() {
    let (status, out, err) = run("config check bad/unknown-keys.toml");
    assert_eq!((status, out.as_str()), (2, ""));
    let expected = std::fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/configs/bad/unknown-keys.expected"),
    );
    assert_eq!(err.replace("gridwatch: ", ""), expected.unwrap());
}

#[test]
fn wrong_arguments_are_status_2() {
    for arguments in ["", "rnu", "run", "simulate --areas 0", "config check nowhere.toml"] {
        let (status, out, err) = run(arguments);
        assert_eq!((status, out.as_str()), (2, ""), "{arguments}: {err}");
        assert!(!err.is_empty(), "{arguments}");
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_the_truth_about_them() {
    let dir = tempfile::tempdir().unwrap();
    let (labels, assets) = (dir.path().join("labels.jsonl"), dir.path().join("assets.csv"));
    let files = format!("--labels {} --assets {}", labels.display(), assets.display());
    let (status, first, err) = run(&format!("simulate --seed 7 --readings 500 {files}"));
    assert_eq!((status, err.as_str()), (0, ""));
    assert_eq!(first.lines().count(), 500);
    assert_eq!(run("simulate --seed 7 --readings 500").1, first);
    assert_ne!(run("simulate --seed 8 --readings 500").1, first);
    for line in first.lines() {
        let reading: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(reading["sensor_id"].is_string(), "{line}");
    }
    let labels = std::fs::read_to_string(labels).unwrap();
    assert_eq!(labels.lines().count(), 140, "ten faults of fourteen kinds");
    assert!(std::fs::read_to_string(assets).unwrap().starts_with("sensor_id,nominal_voltage"));
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let mut child = gridwatch("simulate --no-faults --readings 1000000000")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    // Standard output is closed once its one line is read.
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    assert!(line.starts_with("{\"sensor_id\""), "{line}");
}

/// Below a plain file nobody can make a folder, whatever rights they have.
#[test]
fn a_place_where_no_checkpoint_can_be_written_is_said_by_the_check() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("gridwatch.toml");
    let check = || run(&format!("config check {}", config.display()));
    std::fs::write(&config, "[checkpoints]\ninterval = \"1m\"\n").unwrap();
    assert_eq!(check().0, 0);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "the attempt is left");

    std::fs::write(folder.path().join(".gridwatch"), "").unwrap();
    let (status, out, err) = check();
    assert_eq!((status, out.as_str()), (2, ""));
    assert!(err.contains("[checkpoints] dir: nothing can be written in "), "{err}");
    assert!(err.contains(".gridwatch: "), "{err}");

    std::fs::write(&config, "[checkpoints]\ndir = \".gridwatch/below\"\n").unwrap();
    let (status, _, err) = check();
    assert_eq!(status, 2);
    assert!(err.contains("gridwatch.toml:2:7: dir: ") && err.contains("is a file, not a directory"), "{err}");
}
