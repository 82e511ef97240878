//! A reading that one detector fails on: all others judge it, that one goes on without it, and what it failed on can be
//! looked into, anywhere. So can every anomaly.

use std::path::Path;

use gridwatch_tests::house::{House, errors, simulated};
use serde_json::Value;

use crate::wat_guest::Wat;

/// A day in which detectors learn, and half of one with faults.
const READINGS: usize = 180_000;
const NEIGHBOURS: [&str; 2] = ["limits", "vitals"];
/// A voltage that the detector here fails on.
const POISON: &str = "666.25";
/// Rows of these are poison.
const ROWS: [usize; 3] = [20_003, 141_007, 141_008];

/// Fails on rows with that value, and finds nothing in others.
fn poisoned() -> Vec<u8> {
    let body = format!(
        "(local $row i32)
         (block $done (loop $next
           (br_if $done (i32.ge_u (local.get $row) (local.get 5)))
           (if (f64.eq (f64.load (i32.add (local.get 4) (i32.shl (local.get $row) (i32.const 3)))) (f64.const {POISON}))
             (then (unreachable)))
           (local.set $row (i32.add (local.get $row) (i32.const 1)))
           (br $next)))
         (global.set $heap (i32.const 8192)) (i32.const 1024)"
    );
    wat::parse_str(Wat::new().body("observe", &body).text()).unwrap()
}

/// The same readings, some of which have a voltage that no meter has.
fn readings(rows: &[usize]) -> String {
    let readings = simulated(5, READINGS);
    let mut lines: Vec<String> = readings.lines().map(str::to_owned).collect();
    for row in rows {
        let mut reading: Value = serde_json::from_str(&lines[*row]).unwrap();
        reading["voltage"] = serde_json::from_str(POISON).unwrap();
        lines[*row] = reading.to_string();
    }
    lines.join("\n") + "\n"
}

fn house(rows: &[usize], with: bool, rest: &str) -> House {
    let house = House::with(&NEIGHBOURS);
    house.write("readings.jsonl", readings(rows));
    if with {
        house.write("detectors/poisoned.wasm", poisoned());
    }
    house.configure("kind = \"file\"\npath = \"readings.jsonl\"", rest);
    house
}

fn neighbours(house: &House) -> Vec<String> {
    let all: Vec<String> = NEIGHBOURS.iter().map(|name| house.anomalies_of(name)).collect();
    assert!(all.iter().all(|lines| !lines.is_empty()), "they say nothing that could be spoilt");
    all
}

/// Their records, and what is said of them but for the capsule, which depends on where batches end.
fn letters(house: &House) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let letters = house.json_lines("dead-letters.jsonl").into_iter();
    letters
        .map(|letter| {
            assert_eq!(letter["reason"], "poison", "{letter}");
            let detail = text(&letter["detail"]);
            let (said, capsule) = detail.rsplit_once("; capsule ").unwrap_or_else(|| panic!("{letter}"));
            assert_eq!(capsule.len(), 64, "{letter}");
            (text(&letter["record"]), said.to_owned())
        })
        .collect()
}

fn json_of(house: &House, arguments: &[&str]) -> Value {
    let output = house.output(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", errors(&output));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", errors(&output)))
}

#[test]
fn one_detector_is_not_shown_it_and_it_can_be_looked_into() {
    let quiet = house(&ROWS, false, "");
    quiet.run();
    let house = house(&ROWS, true, "");
    let account = house.run();
    assert_eq!((&account["judged"], &account["adds_up"]), (&READINGS.into(), &true.into()), "{account}");
    assert_eq!(account["skipped"]["poisoned"], ROWS.len(), "{account}");
    assert_eq!(account["poison"], ROWS.len(), "{account}");
    assert_eq!(neighbours(&house), neighbours(&quiet), "the neighbours' output differs");
    let lines = readings(&ROWS);
    let lines: Vec<&str> = lines.lines().collect();
    let letters = letters(&house);
    assert_eq!(letters.len(), ROWS.len());
    for (row, (record, said)) in ROWS.iter().zip(&letters) {
        assert_eq!(record, lines[*row]);
        assert!(said.starts_with("detector poisoned: observe: trapped:"), "{said}");
    }
    let last = house.json_lines("dead-letters.jsonl").pop().unwrap();
    let capsule = last["detail"].as_str().unwrap().rsplit(' ').next().unwrap().to_owned();
    let again = json_of(&house, &["capsule", "replay", &capsule, "-c", "gridwatch.toml", "--json"]);
    assert_eq!(again["reproduced"], true, "{again}");
    // Elsewhere, by the file and the module alone; and not with another module.
    let stored = find(&house.path(".gridwatch/capsules"), &capsule);
    let stored = stored.to_str().unwrap();
    let again =
        json_of(&house, &["capsule", "replay", stored, "--module", "detectors/poisoned.wasm", "--json"]);
    assert_eq!(again["reproduced"], true, "{again}");
    let other = house.output(&["capsule", "replay", stored, "--module", "detectors/limits.wasm"]);
    assert_eq!(other.status.code(), Some(2), "{}", errors(&other));
    let none = house.output(&["capsule", "replay", stored]);
    assert!(errors(&none).contains("--module"), "{}", errors(&none));
}

fn find(folder: &Path, digest: &str) -> std::path::PathBuf {
    let lanes = std::fs::read_dir(folder).unwrap().map(|lane| lane.unwrap().path());
    let mut files = lanes.flat_map(|lane| std::fs::read_dir(lane).unwrap()).map(|file| file.unwrap().path());
    files.find(|file| file.to_string_lossy().ends_with(digest)).unwrap()
}

#[test]
fn killed_around_a_poison_reading_it_is_skipped_once() {
    let often = "[engine]\ncommit_interval = \"20ms\"\n[checkpoints]\ninterval = \"100ms\"\n";
    let rows: Vec<usize> = (1..20).map(|at| at * 9_000).collect();
    let undisturbed = house(&rows, true, often);
    undisturbed.run();
    let disturbed = house(&rows, true, often);
    for part in 1..5 {
        let mut process = disturbed.spawn();
        // Killed as soon as so many are out, which is in the midst of things.
        while disturbed.text("dead-letters.jsonl").lines().count() < part * 4 {
            if process.try_wait().unwrap().is_some() {
                break;
            }
            std::thread::yield_now();
        }
        let _ = process.kill();
        process.wait().unwrap();
    }
    disturbed.run();
    assert_eq!(letters(&undisturbed).len(), rows.len());
    assert_eq!(letters(&disturbed), letters(&undisturbed));
    assert_eq!(neighbours(&disturbed), neighbours(&undisturbed));
}

/// More than it may within ten minutes of event time.
#[test]
fn who_fails_too_often_is_quarantined_and_released_by_hand() {
    let rows: Vec<usize> = (0..20).map(|at| 30_000 + at * 2).collect();
    let house = house(&rows, true, "");
    house.write("detectors/poisoned.toml", "[limits]\nfaults_max = 2\n");
    let account = house.run();
    assert_eq!(account["judged"], READINGS);
    assert_eq!(account["poison"], 2, "{account}");
    assert_eq!(account["skipped"]["poisoned"], READINGS - (30_000 + 4) + 2, "{account}");
    let released = json_of(&house, &["release", "poisoned", "-c", "gridwatch.toml", "--json"]);
    assert_eq!(released["detector"], "poisoned");
    let unknown = house.output(&["release", "poison", "-c", "gridwatch.toml"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(errors(&unknown).contains("poisoned"), "{}", errors(&unknown));
}

#[test]
fn an_anomaly_is_explained_by_a_capsule_that_finds_it_again() {
    let house = house(&[], false, "");
    house.run();
    let anomalies = house.json_lines("anomalies.jsonl");
    for detector in NEIGHBOURS {
        let anomaly = anomalies.iter().rev().find(|anomaly| anomaly["detector"] == detector).unwrap();
        let id = anomaly["id"].as_str().unwrap();
        let explained =
            json_of(&house, &["explain", id, "-c", "gridwatch.toml", "-o", "it.capsule", "--json"]);
        assert_eq!(explained["anomaly"], *anomaly);
        // Nothing but the file.
        let elsewhere = House::with(&[]);
        std::fs::copy(house.path("it.capsule"), elsewhere.path("it.capsule")).unwrap();
        let again = json_of(&elsewhere, &["capsule", "replay", "it.capsule", "--json"]);
        assert_eq!(again["reproduced"], true, "{again}");
        let ids = again["anomalies"].as_array().unwrap();
        assert!(ids.contains(&id.into()), "{again}");
    }
    let unknown = house.output(&["explain", "0000", "-c", "gridwatch.toml"]);
    assert_eq!(unknown.status.code(), Some(2), "{}", errors(&unknown));
    let line = anomalies.last().unwrap().to_string();
    house.write("anomaly.json", &line);
    let by_line = house.output(&["explain", "anomaly.json", "-c", "gridwatch.toml"]);
    assert!(by_line.status.success(), "{}", errors(&by_line));
    assert!(String::from_utf8_lossy(&by_line.stdout).contains("\"call\":\"observe\""));
}
