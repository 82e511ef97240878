//! A detector that fails hurts nobody but itself: every limit bites, and the neighbours' output stays the
//! same, byte for byte.

use gridwatch_tests::house::{House, simulated};

/// A day in which detectors learn, and most of one with faults.
const READINGS: usize = 200_000;
const NEIGHBOURS: [&str; 4] = ["limits", "physics", "shift", "vitals"];

/// A run with the hostile detector; what the neighbours wrote, and the account.
fn run(sin: &str, limits: &str) -> (House, serde_json::Value) {
    let house = House::with(&NEIGHBOURS);
    house.hostile(sin, 5_000, limits);
    house.write("readings.jsonl", simulated(5, READINGS));
    house.configure("kind = \"file\"\npath = \"readings.jsonl\"", "");
    let account = house.run();
    (house, account)
}

fn neighbours(house: &House) -> Vec<String> {
    NEIGHBOURS.iter().map(|name| house.anomalies_of(name)).collect()
}

#[test]
fn each_sin_is_contained() {
    let (peaceful, account) = run("none", "");
    let expected = neighbours(&peaceful);
    assert_eq!(account["judged"], READINGS);
    assert!(
        expected.iter().any(|lines| !lines.is_empty()),
        "the neighbours say nothing that could be spoilt"
    );

    let limits = "[limits]\nmemory_max = \"32MiB\"\ncall_deadline = \"200ms\"\n";
    for sin in ["loop", "memory", "findings", "trap", "stack"] {
        let (house, account) = run(sin, limits);
        assert_eq!(account["judged"], READINGS, "{sin}");
        assert_eq!(account["adds_up"], true, "{sin}");
        let skipped = account["skipped"]["hostile"].as_u64().unwrap_or(0);
        assert!(skipped > 0 && skipped <= READINGS as u64 - 3_900, "{sin}: {account}");
        assert_eq!(neighbours(&house), expected, "{sin}: the neighbours' output differs");
    }
}

/// Noise is dropped, not punished.
#[test]
fn a_flood_of_log_lines_drowns_nobody() {
    let (peaceful, _) = run("none", "");
    let (house, account) = run("log", "");
    assert_eq!(account["judged"], READINGS);
    assert!(account["skipped"]["hostile"].is_null(), "{account}");
    assert_eq!(neighbours(&house), neighbours(&peaceful));
}
