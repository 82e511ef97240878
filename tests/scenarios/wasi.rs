//! Guests whose toolchain drags in WASI: they run, and find no world behind it. Built by cargo-component with its
//! defaults.

use gridwatch_tests::bench::root;
use gridwatch_tests::house::{House, simulated};
use serde_json::Value;

const READINGS: usize = 8_000;
/// More than admission tries a module on.
const AFTER: usize = 5_000;

/// What the hostile detector said, having asked the world for something, and the run's account.
fn ask(sin: &str, batch_rows_max: usize) -> (String, Value) {
    let house = House::with(&[]);
    let toml = format!("[parameters]\nsin = \"{sin}\"\nafter = {AFTER}\n");
    house.detector("hostile", &root().join("target/examples/hostile-wasi.wasm"), &toml);
    house.write("readings.jsonl", simulated(5, READINGS));
    let engine = format!("[engine]\nbatch_rows_max = {batch_rows_max}\n");
    house.configure("kind = \"file\"\npath = \"readings.jsonl\"", &engine);
    let account = house.run();
    (house.anomalies_of("hostile"), account)
}

/// The one number that it learnt; the same however the readings were cut, and in every run.
fn answer(sin: &str) -> f64 {
    let (said, account) = ask(sin, 1024);
    assert!(account["skipped"]["hostile"].is_null(), "{sin}: {account}");
    for batch_rows_max in [1024, 7] {
        assert_eq!(ask(sin, batch_rows_max).0, said, "{sin}, batches of {batch_rows_max}");
    }
    let lines: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 1, "{sin}: {said}");
    lines[0]["value"].as_f64().unwrap_or_else(|| panic!("{sin}: {said}"))
}

#[test]
fn what_is_asked_of_the_world_is_answered_the_same_way_always() {
    assert_eq!(answer("files"), 0.0, "it could open a file");
    assert_eq!(answer("environment"), 0.0, "it sees the environment");
    assert_eq!(answer("sleep"), 0.0);
    assert_eq!(answer("print"), 0.0);
    assert!(answer("random") > 0.0);
    let clock = answer("clock");
    let readings = simulated(5, READINGS);
    let reading: Value = serde_json::from_str(readings.lines().nth(AFTER - 1).unwrap()).unwrap();
    let time = reading["timestamp"].as_str().unwrap();
    // The last tick: a multiple of a minute, some minutes before the reading.
    let minute: f64 = time[14..16].parse().unwrap();
    let behind = (minute - clock / 60.0 % 60.0).rem_euclid(60.0);
    assert!(clock % 60.0 == 0.0 && (1.0..=10.0).contains(&behind), "{clock} at {time}");
}

#[test]
fn an_exit_ends_the_detector_and_nothing_else() {
    let (said, account) = ask("exit", 1024);
    assert_eq!(said, "");
    assert_eq!(account["judged"], READINGS);
    let skipped = account["skipped"]["hostile"].as_u64().unwrap_or(0);
    assert!((1..=(READINGS - AFTER + 1024) as u64).contains(&skipped), "{account}");
}
