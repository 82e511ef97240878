//! Wrong input: a dead letter or a clear error, never a panic, never a silent loss, never another sensor's
//! readings spoilt.

use std::io::Write;

use gridwatch_tests::house::{House, errors, simulated};
use serde_json::json;

const GOOD: &str = r#"{"sensor_id":"m","timestamp":"2026-01-05T00:00:00Z","voltage":230.0}"#;

/// Awkward records, each with what becomes of it: None is judged.
fn awkward() -> Vec<(Vec<u8>, Option<&'static str>)> {
    let text = |record: &str, fate| (record.as_bytes().to_vec(), fate);
    vec![
        text("{", Some("not_json")),
        text("[1,2]", Some("not_json")),
        text(r#"{"timestamp":"2026-01-05T00:00:00Z","voltage":1}"#, Some("no_sensor_id")),
        text(r#"{"sensor_id":"","timestamp":"2026-01-05T00:00:00Z","voltage":1}"#, Some("no_sensor_id")),
        text(r#"{"sensor_id":"m","voltage":1}"#, Some("no_timestamp")),
        text(r#"{"sensor_id":"m","timestamp":"yesterday","voltage":1}"#, Some("bad_timestamp")),
        text(r#"{"sensor_id":"m","timestamp":-5,"voltage":1}"#, Some("bad_timestamp")),
        text(r#"{"sensor_id":"m","timestamp":"2026-01-05T00:00:00Z"}"#, Some("no_quantities")),
        text(r#"{"sensor_id":"future","timestamp":"2099-01-05T00:00:00Z","voltage":230}"#, None),
        text(r#"{"sensor_id":"odd","timestamp":"2026-01-05T00:00:00Z","voltage":"NaN"}"#, None),
        text(r#"{"sensor_id":"odd","timestamp":"2026-01-05T00:01:00Z","voltage":1e999}"#, None),
        text(
            r#"{"sensor_id":"odd","timestamp":"2026-01-05T00:02:00Z","voltage":"-Infinity","power":1}"#,
            None,
        ),
        text(r#"{"sensor_id":"odd","timestamp":"2026-01-05T00:03:00Z","voltage":1,"voltage":2}"#, None),
        (b"\xff\xfe\xfd".to_vec(), Some("not_json")),
        (format!("{}{}", "[".repeat(20_000), "]".repeat(20_000)).into_bytes(), Some("not_json")),
        (
            format!(r#"{{"sensor_id":"m","timestamp":1,"x":"{}"}}"#, "y".repeat(10 << 20)).into_bytes(),
            Some("too_large"),
        ),
    ]
}

#[test]
fn every_record_is_judged_or_a_dead_letter_and_nobody_else_suffers() {
    let detectors = ["limits", "physics", "shift", "vitals"];
    let clean: Vec<String> = simulated(9, 20_000).lines().map(str::to_owned).collect();
    let awkward = awkward();
    let mut mixed: Vec<u8> = Vec::new();
    for (at, line) in clean.iter().enumerate() {
        mixed.extend_from_slice(line.as_bytes());
        mixed.push(b'\n');
        if let Some((record, _)) = (at % 100 == 50).then(|| awkward.get(at / 100)).flatten() {
            mixed.extend_from_slice(record);
            mixed.push(b'\n');
        }
    }
    let run = |readings: Vec<u8>| {
        let house = House::with(&detectors);
        house.write("readings.jsonl", readings);
        house.configure("kind = \"file\"\npath = \"readings.jsonl\"", "");
        let account = house.run();
        (house, account)
    };
    let (undisturbed, _) = run((clean.join("\n") + "\n").into_bytes());
    let (disturbed, account) = run(mixed);

    let judged = awkward.iter().filter(|(_, fate)| fate.is_none()).count();
    assert_eq!(account["readings_in"], clean.len() + awkward.len());
    assert_eq!(account["judged"], clean.len() + judged);
    assert_eq!(account["adds_up"], true);
    let letters = disturbed.json_lines("dead-letters.jsonl");
    let reasons: Vec<_> = letters.iter().map(|letter| letter["reason"].as_str().unwrap()).collect();
    let expected: Vec<_> = awkward.iter().filter_map(|(_, fate)| *fate).collect();
    assert_eq!(reasons, expected);
    assert!(letters.iter().all(|letter| letter["line"].as_u64() > Some(1)), "a dead letter names its line");

    // What is said of the clean sensors: all but where in the file it stood.
    let of_meters = |house: &House| -> Vec<serde_json::Value> {
        let mut lines = house.json_lines("anomalies.jsonl");
        lines.retain(|line| !["m", "future", "odd"].contains(&line["sensor_id"].as_str().unwrap_or("")));
        lines.iter_mut().for_each(|line| line["source"] = json!(null));
        lines
    };
    assert_eq!(of_meters(&disturbed), of_meters(&undisturbed));
}

#[test]
fn broken_files_end_in_a_clear_error() {
    let house = House::with(&["limits"]);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    (0..5_000).for_each(|_| writeln!(packed, "{GOOD}").unwrap());
    let packed = packed.finish().unwrap();
    house.write("cut.jsonl.gz", &packed[..packed.len() / 2]);
    house.write("empty.csv", "");
    house.write("headless.csv", "time,power\n2026-01-05T00:00:00Z,1\n");
    house.write(
        "no-detectors.toml",
        "[source]\nkind = \"file\"\npath = \"good.jsonl\"\n[detectors]\ndir = \"nowhere\"\n",
    );
    house.write("good.jsonl", GOOD);
    let cases: [(&[&str], i32, &[&str]); 5] = [
        (&["replay", "cut.jsonl.gz"], 1, &["cut.jsonl.gz"]),
        (&["replay", "empty.csv"], 1, &["empty.csv", "names its columns"]),
        (&["replay", "headless.csv"], 1, &["headless.csv", "sensor_id"]),
        (&["replay", "missing.jsonl"], 1, &["missing.jsonl"]),
        (&["run", "-c", "no-detectors.toml"], 2, &["nowhere"]),
    ];
    for (arguments, status, words) in cases {
        let output = house.output(arguments);
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {}", errors(&output));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        for word in words {
            assert!(said.contains(word), "{arguments:?} does not say {word}: {said}");
        }
        assert!(!said.contains("panicked"), "{arguments:?}: {said}");
    }
}

#[test]
fn an_empty_file_is_no_reading() {
    let house = House::with(&["limits"]);
    house.write("readings.jsonl", "");
    house.configure("kind = \"file\"\npath = \"readings.jsonl\"", "");
    assert_eq!(house.run()["readings_in"], 0);
}
