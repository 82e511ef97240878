//! `kill -9` at random: what the sink holds in the end is what an undisturbed run writes, byte for byte.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use gridwatch_tests::house::{House, simulated};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// More than three days: the first has no faults.
const READINGS: usize = 400_000;
const KILLS: usize = 8;

fn house(readings: &str) -> House {
    let house = House::with(&["limits", "physics", "shift", "vitals"]);
    house.write("readings.jsonl", readings);
    let often = "[engine]\ncommit_interval = \"20ms\"\n[checkpoints]\ninterval = \"100ms\"\n";
    house.configure("kind = \"file\"\npath = \"readings.jsonl\"", often);
    house
}

#[test]
fn killed_at_random_the_sink_is_the_undisturbed_one() {
    let seed = 20_260_101;
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut readings = simulated(3, READINGS);
    readings.push_str("{\"sensor_id\":\n");
    let undisturbed = house(&readings);
    undisturbed.run();
    let disturbed = house(&readings);
    let whole = undisturbed.text("anomalies.jsonl").len() as f64;
    let (mut kills, mut midway) = (0, 0);
    while kills < KILLS {
        // Killed once so much is written, wherever it then is: each time further on, never at the end.
        let share = (kills as f64 + random.random_range(0.0..1.0)) / (KILLS + 1) as f64;
        let mut process = disturbed.spawn();
        while (disturbed.length("anomalies.jsonl") as f64) < whole * share {
            if process.try_wait().unwrap().is_some() {
                break;
            }
            std::thread::yield_now();
        }
        let _ = process.kill();
        process.wait().unwrap();
        kills += 1;
        let written = disturbed.length("anomalies.jsonl");
        midway += usize::from(written > 0 && (written as f64) < whole);
    }
    assert!(midway > 0, "seed {seed}: no kill came in the middle");
    disturbed.run();
    for file in ["anomalies.jsonl", "dead-letters.jsonl"] {
        let (expected, seen) = (undisturbed.text(file), disturbed.text(file));
        assert!(!expected.is_empty(), "{file} is empty");
        let differs = expected.lines().zip(seen.lines()).find(|(a, b)| a != b);
        assert!(expected == seen, "seed {seed}, {file} after {kills} kills; first difference: {differs:#?}");
    }
}

/// `gridwatch run 2>&1 | head -1`: who reads the log is gone, and everything else goes on.
#[test]
fn a_log_that_nobody_reads_any_more_ends_nothing() {
    let house = House::with(&["limits"]);
    house.write("readings.jsonl", format!("{}no reading\n", simulated(3, 5_000)));
    house.configure("kind = \"file\"\npath = \"readings.jsonl\"", "");
    let mut command = house.command(&["run", "-c", "gridwatch.toml", "--json"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stderr.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", output.status);
    let account: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&account["judged"], &account["dead_lettered"]), (&5_000.into(), &1.into()), "{account}");
}

/// What a start waits for may never come, such as the first line of a pipe.
#[test]
fn asked_to_end_while_it_starts_it_ends() {
    let house = House::with(&["limits"]);
    house.configure("kind = \"file\"\npath = \"-\"\nformat = \"csv\"", "");
    let mut command = house.command(&["run", "-c", "gridwatch.toml"]);
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(log.any(|line| line.unwrap().contains("proposed: limits")), "it has ended by itself");
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let until = Instant::now() + Duration::from_secs(30);
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > until {
            child.kill().unwrap();
            panic!("it waits for its input all the same");
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    assert!(status.success(), "{status}: {:?}", log.map(Result::unwrap).collect::<Vec<_>>());
}
