//! Wrong input: a dead letter or a clear error, never a panic, never a silent loss, never another sensor's
//! readings spoilt.

use std::io::{BufRead, BufReader, Write};

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
        (&["replay", "empty.csv"], 2, &["empty.csv", "names its columns"]),
        (&["replay", "headless.csv"], 2, &["headless.csv", "sensor_id"]),
        (&["replay", "missing.jsonl"], 2, &["missing.jsonl"]),
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

#[test]
fn a_mapping_that_never_matches_is_said_while_it_runs_and_at_the_end() {
    let house = House::with(&["limits"]);
    let reading = |minute: u32| {
        let (hour, minute) = (minute / 60, minute % 60);
        format!(
            "{{\"sensor_id\":\"m\",\"timestamp\":\"2026-01-05T{hour:02}:{minute:02}:00Z\",\
             \"data\":{{\"voltage\":230.0,\"current\":5}},\"frequency\":50.0}}\n"
        )
    };
    let mapped = "[decode.quantities]\nvoltage = \"/data/volts\"\ncurrent = \"/data/current\"\n";
    let said = |readings: u32, only_listed: bool| {
        house.write("readings.jsonl", (0..readings).map(reading).collect::<String>());
        house.write("gridwatch.toml", format!("[decode]\nonly_listed = {only_listed}\n{mapped}"));
        let output = house.output(&["replay", "-c", "gridwatch.toml", "readings.jsonl"]);
        assert!(output.status.success(), "{}", errors(&output));
        String::from_utf8(output.stderr).unwrap()
    };
    let words = "quantity `voltage` ([decode.quantities], `/data/volts`) in 5 records; nearest in a record: `/data/voltage`";
    for only_listed in [false, true] {
        let few = said(5, only_listed);
        assert!(few.contains(&format!("NEVER FOUND: {words}")), "{few}");
        assert!(!few.contains("`current`") && !few.contains("so far"), "{few}");
    }
    // A service says it as soon as it has read enough, and once.
    house.write("readings.jsonl", (0..1_400).map(reading).collect::<String>());
    house.configure("kind = \"file\"\npath = \"readings.jsonl\"\nfollow = true", mapped);
    let mut service = house.command(&["run", "-c", "gridwatch.toml", "--duration", "60s"]);
    let mut service = service.stderr(std::process::Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(service.stderr.take().unwrap()).lines().map(Result::unwrap);
    let warned = lines.any(|line| line.contains("WARN never found so far: quantity `voltage`"));
    service.kill().unwrap();
    service.wait().unwrap();
    assert!(warned, "it ended without a word");
    assert!(!lines.any(|line| line.contains("never found")), "it says so again");

    // Where no record has anything that is wanted, that is why.
    house.write("gridwatch.toml", "[decode]\nonly_listed = true\n[decode.quantities]\npower = \"/data/p\"\n");
    let output = house.output(&["replay", "-c", "gridwatch.toml", "readings.jsonl", "--json"]);
    let said = errors(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(r#""nearest":["/data/current""#) && said.contains(r#""path":"/data/p""#), "{said}");
}

#[test]
fn a_mapping_beside_which_the_quantity_comes_by_its_own_name_is_said_too() {
    let house = House::with(&["limits"]);
    house.write("readings.jsonl", GOOD);
    house.write("gridwatch.toml", "[decode.quantities]\nvoltage = { from = \"/data/u\", factor = 1000.0 }\n");
    let said = errors(&house.output(&["replay", "-c", "gridwatch.toml", "readings.jsonl"]));
    let words = "NEVER FOUND: quantity `voltage` ([decode.quantities], `/data/u`) in 1 records; nearest in a record: `voltage`";
    assert!(said.contains(words), "{said}");
}

/// What `replay` says of a file, as a person without a configuration meets it.
fn said_of(name: &str, content: &str) -> String {
    let house = House::with(&["vitals"]);
    house.write(name, content);
    errors(&house.output(&["replay", name]))
}

#[test]
fn files_of_another_shape_are_met_with_what_to_do() {
    let array = said_of("array.json", &format!("[{GOOD},{GOOD}]\n"));
    assert!(array.contains("line 1: not_json") && array.contains("`jq -c '.[]'`"), "{array}");
    let pretty = said_of("pretty.json", "{\n  \"sensor_id\": \"m\",\n  \"voltage\": 230.0\n}\n");
    assert!(pretty.contains("line 1: not_json") && pretty.contains("`jq -c .`"), "{pretty}");
    assert_eq!(pretty.matches("the first with this reason").count(), 1, "{pretty}");
    let time = said_of("time.csv", "sensor_id,timestamp,voltage\nm,05.01.2026 00:00,230\n");
    assert!(time.contains("bad_timestamp") && time.contains("[decode] timestamp_format"), "{time}");
    let semicolons = said_of("german.csv", "sensor_id;timestamp;voltage\nm;2026-01-05T00:00:00Z;230\n");
    assert!(semicolons.contains("set [source] delimiter = \";\""), "{semicolons}");

    let house = House::with(&["vitals"]);
    house.write("german.csv", "sensor_id;timestamp;voltage\nm;2026-01-05T00:00:00Z;230\n");
    house.configure("kind = \"file\"\npath = \"german.csv\"\ndelimiter = \";\"", "");
    assert_eq!(house.run()["judged"], 1);
}

#[test]
fn a_value_that_is_no_number_is_named_with_its_column() {
    let house = House::with(&["vitals"]);
    let rows =
        ["m,2026-01-05T00:00:00Z,230,5", "m,2026-01-05T00:01:00Z,n/a,5", "m,2026-01-05T00:02:00Z,230,--"];
    house.write("readings.csv", format!("sensor_id,timestamp,voltage,Amps\n{}\n", rows.join("\n")));
    let mapped = "[decode.quantities]\ncurrent = \"Amps\"\n[detectors]\ndir = \"detectors\"\n";
    house.write("gridwatch.toml", mapped);
    house.write("detectors/vitals.toml", "[parameters]\ncalm_readings = 1\n");
    let malformed = |file: &str| -> Vec<serde_json::Value> {
        let output = house.output(&["replay", "-c", "gridwatch.toml", file]);
        assert!(output.status.success(), "{}", errors(&output));
        let lines = String::from_utf8(output.stdout).unwrap();
        let all = lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        all.filter(|anomaly| anomaly["kind"] == "malformed" && anomaly["phase"] == "raised").collect()
    };
    let found = malformed("readings.csv");
    assert_eq!(found[0]["details"]["malformed"], "column \"voltage\" holds \"n/a\"");
    let json = GOOD.replace("230.0", "null");
    house.write("readings.jsonl", format!("{GOOD}\n{json}\n"));
    assert_eq!(malformed("readings.jsonl")[0]["details"]["malformed"], "voltage is no number");
    house.write("readings.csv", format!("sensor_id,timestamp,voltage,Amps\n{}\n{}\n", rows[0], rows[2]));
    let text = "column \"Amps\" (current) holds \"--\"";
    assert_eq!(malformed("readings.csv")[0]["details"]["malformed"], text);
}

#[test]
fn a_decimal_comma_is_named_in_what_is_malformed() {
    let house = House::with(&["vitals"]);
    house.write("german.csv", "sensor_id;timestamp;voltage;current\nm;2026-01-05T00:00:00Z;230,5;5\n");
    house.configure("kind = \"file\"\npath = \"german.csv\"\ndelimiter = \";\"", "");
    house.write("detectors/vitals.toml", "[parameters]\ncalm_readings = 1\n");
    assert_eq!(house.run()["judged"], 1);
    let anomalies = house.json_lines("anomalies.jsonl");
    let found = anomalies.iter().find(|anomaly| anomaly["kind"] == "malformed").expect("it is not found");
    let words = "column \"voltage\" holds \"230,5\", with a decimal comma: numbers have a decimal point";
    assert_eq!(found["details"]["malformed"], words);
}
