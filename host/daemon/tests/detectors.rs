//! The commands that need detectors, as far as they can be tried without one that works: what lies in
//! the directory and is refused, and what is said of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::process::{Command, Output};

/// Runs in `dir`; status, standard output, standard error.
fn gridwatch(dir: &Path, arguments: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } =
        Command::new(env!("CARGO_BIN_EXE_gridwatch")).args(arguments).current_dir(dir).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code().expect("no signal"), text(stdout), text(stderr))
}

/// A folder with a detectors directory, readings and a configuration.
fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    std::fs::create_dir(dir.path().join("detectors")).unwrap();
    write("readings.jsonl", "{\"sensor_id\":\"m\",\"timestamp\":1767225600000,\"voltage\":230}\n");
    write(
        "gridwatch.toml",
        "[source]\nkind = \"file\"\npath = \"readings.jsonl\"\n\
         [api]\nlisten = \"127.0.0.1:0\"\n[metrics]\nlisten = \"127.0.0.1:0\"\n",
    );
    dir
}

#[test]
fn without_detectors_nothing_runs_and_it_is_said_how_to_make_some() {
    let dir = folder();
    for arguments in
        [&["run", "-c", "gridwatch.toml"] as &[&str], &["replay", "-c", "gridwatch.toml"], &["demo"]]
    {
        let (status, out, err) = gridwatch(dir.path(), arguments);
        assert_eq!((status, out.as_str()), (1, ""), "{arguments:?}: {err}");
        assert!(err.contains("detectors/build.sh all"), "{arguments:?}: {err}");
    }
}

#[test]
fn a_run_needs_a_source() {
    let dir = folder();
    std::fs::write(dir.path().join("gridwatch.toml"), "").unwrap();
    for command in ["run", "replay"] {
        let (status, _, err) = gridwatch(dir.path(), &[command, "-c", "gridwatch.toml"]);
        assert_eq!(status, 2, "{command}: {err}");
        assert!(err.contains("[source]"), "{command}: {err}");
    }
}

#[test]
fn what_is_refused_is_told_with_its_reason() {
    let dir = folder();
    let detectors = dir.path().join("detectors");
    std::fs::write(detectors.join("page.wasm"), "<html>not found</html>").unwrap();
    std::fs::write(detectors.join("slip.wasm"), "").unwrap();
    std::fs::write(detectors.join("slip.toml"), "enabeld = true\n").unwrap();
    std::fs::write(detectors.join("off.wasm"), "").unwrap();
    std::fs::write(detectors.join("off.toml"), "enabled = false\n").unwrap();

    let (status, out, err) = gridwatch(dir.path(), &["detectors"]);
    assert_eq!(status, 1, "{err}");
    assert!(err.contains("2 of 3 refused"), "{err}");
    for word in ["REFUSED (not_wasm)", "REFUSED (settings)", "disabled"] {
        assert!(out.contains(word), "{word}: {out}");
    }
    assert!(out.contains("did you mean \"enabled\"?"), "{out}");

    let (status, out, _) = gridwatch(dir.path(), &["detectors", "--json"]);
    assert_eq!(status, 1);
    let list: serde_json::Value = serde_json::from_str(&out).unwrap();
    let states: Vec<&str> =
        list.as_array().unwrap().iter().map(|detector| detector["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["disabled", "refused", "refused"]);
    assert_eq!(list[1]["refusal"], "not_wasm");
}

#[test]
fn an_empty_directory_is_no_mistake_to_list() {
    let dir = folder();
    let (status, out, _) = gridwatch(dir.path(), &["detectors"]);
    assert_eq!(status, 0);
    assert!(out.contains("no detectors in"), "{out}");
    let (status, _, err) = gridwatch(dir.path(), &["detectors", "--dir", "nowhere"]);
    assert_eq!(status, 1);
    assert!(err.contains("nowhere"), "{err}");
}

#[test]
fn a_detector_that_is_tried_and_refused_ends_the_replay() {
    let dir = folder();
    std::fs::write(dir.path().join("mine.wasm"), b"\0asm\x01\0\0\0").unwrap();
    let arguments = ["replay", "readings.jsonl", "--detector", "mine.wasm"];
    let (status, out, err) = gridwatch(dir.path(), &arguments);
    assert_eq!((status, out.as_str()), (1, ""), "{err}");
    assert!(err.contains("mine.wasm"), "{err}");
    assert!(err.contains("detector-module") || err.contains("wit/detector.wit"), "{err}");
}
