//! Memory: flat over ten million simulated readings, and what a million sensors of five quantities take with
//! the four built-in detectors.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use std::io::{BufWriter, Write};
use std::process::{Child, Stdio};
use std::time::Duration;

use gridwatch_tests::bench::{DETECTORS, write_result};
use gridwatch_tests::house::House;
use serde_json::json;

const READINGS: u64 = 10_000_000;
const SENSORS: u32 = 1_000_000;
const ROUNDS: u32 = 4;

/// A field of the process's status, in MiB.
fn status_mib(process: &Child, field: &str) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).ok()?;
    let line = status.lines().find(|line| line.starts_with(field))?;
    Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? / 1024.0)
}

/// Resident memory while `process` runs: at a fifth of the samples, at the end, and the greatest.
fn watch(mut process: Child) -> (f64, f64, f64) {
    let (mut samples, mut peak) = (Vec::new(), 0.0);
    while process.try_wait().unwrap().is_none() {
        if let Some(resident) = status_mib(&process, "VmRSS") {
            samples.push(resident);
        }
        peak = status_mib(&process, "VmHWM").unwrap_or(peak);
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(process.wait().unwrap().success(), "it failed; run it by hand to see why");
    (samples[samples.len() / 5], samples[samples.len() * 9 / 10], peak)
}

fn flat() -> serde_json::Value {
    let house = House::with(&DETECTORS);
    // 84 sensors, a reading a minute.
    let days = READINGS / (84 * 1_440) + 1;
    let source = format!("kind = \"simulator\"\nseed = 3\nduration = \"{days}d\"\nfaults_per_kind = 100");
    house.configure(&source, "[checkpoints]\ninterval = \"2s\"\n");
    let (early, late, peak) = watch(house.spawn());
    println!(
        "{READINGS} readings of 84 sensors: {early:.0} MiB early, {late:.0} MiB late, peak {peak:.0} MiB"
    );
    json!({"readings": READINGS, "early_mib": early, "late_mib": late, "peak_mib": peak})
}

fn many() -> serde_json::Value {
    let house = House::with(&DETECTORS);
    house.configure(
        "kind = \"file\"\npath = \"-\"\nformat = \"json-lines\"",
        "[checkpoints]\ninterval = \"1h\"\n",
    );
    let mut command = house.command(&["run", "-c", "gridwatch.toml"]);
    let mut process =
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut input = BufWriter::new(process.stdin.take().unwrap());
    for round in 0..ROUNDS {
        for sensor in 0..SENSORS {
            let volts = 230.0 + f64::from((sensor + round * 7) % 50) / 10.0;
            writeln!(
                input,
                "{{\"sensor_id\":\"meter-{sensor:07}\",\"timestamp\":\"2026-01-05T00:{round:02}:{:02}.{:03}Z\",\
                 \"voltage\":{volts:.1},\"current\":{:.2},\"power\":{:.0},\"frequency\":50.0{},\
                 \"power_factor\":0.95,\"location\":\"feeder-{:04}\"}}",
                sensor / 16_667,
                sensor % 1000,
                volts / 23.0,
                volts * volts / 23.0 * 0.95,
                sensor % 5,
                sensor / 250
            )
            .unwrap();
        }
    }
    input.flush().unwrap();
    let judging = status_mib(&process, "VmRSS").unwrap();
    drop(input);
    let (_, _, peak) = watch(process);
    println!(
        "{SENSORS} sensors, five quantities: {judging:.0} MiB while judging, {peak:.0} MiB at its peak (saving all)"
    );
    json!({"sensors": SENSORS, "judging_mib": judging, "peak_mib": peak})
}

fn main() {
    let (flat, many) = (flat(), many());
    write_result("memory", &json!({"flat": flat, "million_sensors": many}));
}
