//! Files that change between two runs, and files that nobody could read: said, never passed over.

use std::fs::File;
use std::io::Write;
use std::process::Stdio;

use gridwatch_tests::house::{House, errors};

const HEADER: &str = "sensor_id,timestamp,voltage\n";

/// Rows of a minute each.
fn rows(minutes: std::ops::Range<u32>) -> String {
    minutes.map(|minute| format!("m,2026-01-05T{:02}:{:02}:00Z,230.4\n", minute / 60, minute % 60)).collect()
}

fn house(source: &str, rest: &str) -> House {
    let house = House::with(&["vitals"]);
    house.configure(&format!("kind = \"file\"\n{source}"), rest);
    house
}

/// What `run` says on standard error, and its status.
fn run(house: &House) -> (String, Option<i32>) {
    let output = house.output(&["run", "-c", "gridwatch.toml"]);
    (errors(&output), output.status.code())
}

#[test]
fn a_half_written_last_line_is_not_lost_when_the_rest_of_it_comes() {
    let house = house("path = \"readings.csv\"", "");
    let before = format!("{HEADER}{}m,2026-01-05T00:02:00Z,23", rows(0..2));
    house.write("readings.csv", &before);
    let (said, status) = run(&house);
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains("line 4, the last, has no line end"), "{said}");
    house.write("readings.csv", format!("{before}0.4\n{}", rows(3..5)));
    let (said, status) = run(&house);
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("readings.csv: line 4: its first 25 bytes"), "{said}");
    let at = format!("(at byte {} of the file)", before.len());
    assert!(said.contains(&at) && said.contains("follow = true"), "{at}: {said}");
    // As it says.
    house.write("readings.csv", format!("{before}\nm,2026-01-05T00:02:00Z,230.4\n{}", rows(3..5)));
    assert_eq!(house.run()["judged"], 3);
}

#[test]
fn a_file_that_ends_without_a_line_end_goes_on_where_it_ended() {
    let house = house("path = \"readings.csv\"", "");
    let before = format!("{HEADER}{}", rows(0..3));
    house.write("readings.csv", before.trim_end());
    assert_eq!(house.run()["judged"], 3);
    assert_eq!(house.run()["readings_in"], 0);
    house.write("readings.csv", format!("{before}{}", rows(3..5)));
    assert_eq!(house.run()["judged"], 2);
}

#[test]
fn another_file_in_the_old_ones_place_is_refused_with_new_checkpoints_and_a_cold_start_too() {
    let house = house("path = \"readings.csv\"", "");
    house.write("readings.csv", format!("{HEADER}{}", rows(0..3)));
    house.run();
    house.write("readings.csv", format!("{HEADER}{}", rows(0..20).replace("m,", "other,")));
    let cold = "[checkpoints]\ndir = \"elsewhere\"\non_missing = \"cold\"\n";
    house.configure("kind = \"file\"\npath = \"readings.csv\"", cold);
    let (said, status) = run(&house);
    assert_eq!(status, Some(1), "{said}");
    for word in
        ["another source", "`readings.csv` is another one now", "[sink], [dead_letters] and [checkpoints]"]
    {
        assert!(said.contains(word), "it does not say {word}: {said}");
    }
    // With nothing left of before it begins anew.
    for name in ["anomalies.jsonl", "anomalies.jsonl.commit", "dead-letters.jsonl"] {
        std::fs::remove_file(house.path(name)).unwrap();
    }
    assert_eq!(house.run()["judged"], 20);
}

/// What came over standard input is gone: the next stream is not taken to be the same one once more.
#[test]
fn standard_input_is_not_gone_on_with() {
    let house = house("path = \"-\"\nformat = \"csv\"", "");
    let run = |rows: String| {
        let mut command = house.command(&["run", "-c", "gridwatch.toml"]);
        let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // One that has ended by then has said why.
        let _ = child.stdin.take().unwrap().write_all(rows.as_bytes());
        child.wait_with_output().unwrap()
    };
    let first = run(format!("{HEADER}{}", rows(0..3)));
    assert!(first.status.success(), "{}", errors(&first));
    for more in [rows(3..9), rows(0..3)] {
        let output = run(format!("{HEADER}{more}"));
        assert_eq!(output.status.code(), Some(1), "{}", errors(&output));
        let said = errors(&output);
        assert!(said.contains("an earlier run has read standard input up to there"), "{said}");
    }
}

/// A replay's dead letters are written anew: not over what it reads, and not over what another process writes.
#[test]
fn a_replay_empties_no_file_that_is_somebody_elses() {
    let house = house("path = \"-\"", "");
    let readings = "no reading\n".repeat(3);
    house.write("readings.jsonl", &readings);
    std::os::unix::fs::symlink(house.path("readings.jsonl"), house.path("link")).unwrap();
    for letters in ["readings.jsonl", "./readings.jsonl", "link"] {
        let output = house.output(&["replay", "readings.jsonl", "--dead-letters", letters]);
        assert_eq!(output.status.code(), Some(2), "{}", errors(&output));
        assert!(errors(&output).contains("is a file that is read (readings.jsonl)"), "{}", errors(&output));
        assert_eq!(house.text("readings.jsonl"), readings);
    }
    house.write("letters", "somebody's\n");
    let held = File::options().write(true).open(house.path("letters")).unwrap();
    held.lock().unwrap();
    let replay = ["replay", "readings.jsonl", "--dead-letters", "letters"];
    let output = house.output(&replay);
    assert!(errors(&output).contains("another process writes it"), "{}", errors(&output));
    assert_eq!(house.text("letters"), "somebody's\n");
    drop(held);
    house.output(&replay);
    assert_eq!(house.json_lines("letters").len(), 3);
}

#[test]
fn a_run_that_judged_nothing_fails_and_says_why() {
    let house = house("path = \"readings.jsonl\"", "");
    house.write("readings.jsonl", "{\"sensorid\":\"m\",\"timestamp\":1767571200,\"voltage\":230}\n");
    let (said, status) = run(&house);
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("not one of 1 records could be judged (no_sensor_id 1)"), "{said}");
    let detail = house.json_lines("dead-letters.jsonl")[0]["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("did you mean `sensorid`?"), "{detail}");
}

#[test]
fn a_check_looks_at_the_columns_and_at_the_place_of_checkpoints() {
    let decode = "[decode]\nid = \"sensor\"\n[decode.quantities]\nvoltage = \"volts\"\n";
    let house = house("path = \"readings.csv\"", decode);
    house.write("readings.csv", format!("{HEADER}{}", rows(0..3)));
    for command in [&["config", "check", "gridwatch.toml"][..], &["run", "-c", "gridwatch.toml"]] {
        let output = house.output(command);
        let said = errors(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        for word in
            ["gridwatch.toml:16:1: id: there is no column `sensor`", "gridwatch.toml:18:1: voltage: there"]
        {
            assert!(said.contains(word), "it does not say {word}: {said}");
        }
        assert!(said.contains("did you mean `sensor_id`?"), "{said}");
    }
    house.configure(
        "kind = \"file\"\npath = \"readings.csv\"",
        "[checkpoints]\ndir = \"readings.csv/below\"\n",
    );
    let output = house.output(&["config", "check", "gridwatch.toml"]);
    assert_eq!(output.status.code(), Some(2), "{}", errors(&output));
    assert!(errors(&output).contains("is a file, not a directory"), "{}", errors(&output));
}
