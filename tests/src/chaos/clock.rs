//! Clocks that are wrong and a partition that falls silent, under kills: neighbours are unharmed, and each
//! sensor's silence is reported once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gridwatch_connectors::simulator::FaultKind;
use rand::RngExt;
use serde_json::Value;

use super::load::Record;
use super::stage::{PARTITIONS, READINGS};
use super::{
    Load, Offsets, Order, Output, PEAK_MIB_MAX, Process, Promise, Stage, Verdict, calm, pass, until,
};
use crate::servers::Kafka;

const RATE: u64 = 4_000;
const NAME: &str = "clock";
/// The same readings, but for those of the meters whose clocks are wrong.
const SANE: &str = "sane";
/// The lane that falls silent, and the sensors that it has until then.
const SILENT: usize = PARTITIONS - 1;
const BEATS: [&str; 3] = ["beat-0", "beat-1", "beat-2"];
const BEAT_MS: u64 = 100;
const PATIENCE: Duration = Duration::from_secs(60);
/// A tick of a second, so that silence is noticed soon; a lane that has nothing for long enough is idle.
const ENGINE: &str = "tick = \"1s\"\nlateness = \"1s\"\n";

pub fn play(order: &Order) -> Verdict {
    let kills = order.count(3, 20);
    let mut random = order.random();
    let stage = Stage::new(NAME, order.seed, Kafka::setup());
    stage.kafka.topics().create(SANE, PARTITIONS);
    let bootstrap = stage.kafka.bootstrap();
    let strict = stage.deployment(NAME).engine(ENGINE);
    let deployment = strict.clone().engine("idle_tick = \"3s\"\n");
    let offsets = Offsets::of(&deployment, &bootstrap);
    let silent = Arc::new(AtomicBool::new(false));
    // No clocks are wrong but ours: on a lane of twenty meters two that are shifted alike are a quorum now and then,
    // and how many make one depends on who else is there.
    let kinds = FaultKind::ALL.into_iter().filter(|kind| *kind != FaultKind::ClockShift).collect();
    let load = Load::shaped(&bootstrap, order.seed, RATE, kinds, shape(silent.clone()));
    let mut process = deployment.process("a");
    process.start();
    process.until_it_has_lanes();
    let mut kill = |process: &mut Process, times: usize| {
        for _ in 0..times {
            pass(Duration::from_millis(random.random_range(100..2_500)));
            process.kill();
            process.start();
        }
    };
    kill(&mut process, kills);
    silent.store(true, Ordering::Relaxed);
    kill(&mut process, kills);
    until("the silence to be reported", PATIENCE, || {
        process.check();
        dropouts(&Output::of(&deployment, &bootstrap)).len() >= BEATS.len()
    });
    kill(&mut process, kills);
    process.until_it_has_lanes();
    pass(Duration::from_secs(4));
    // Under load to the last, so that no other lane is ever idle.
    process.stop();
    let peak = process.peak_mib();
    load.stop();
    let commits = offsets.commits().unwrap();
    let expected = calm(&stage, &strict);
    let sane = calm(&stage, &strict.reading(SANE));
    let whole = Output::of(&deployment, &bootstrap);
    let reported = dropouts(&whole);
    let mut seen = whole;
    seen.without_dropouts(SILENT as i64);
    let expected = expected.before(&commits);
    let harmed = (0..SILENT as i64).find_map(|lane| differ(&seen.parsed(lane), &sane.parsed(lane)));
    Verdict::of(NAME, order.seed, Promise::ExactlyOnce, &expected, &seen)
        .disturbed(
            format!("a clock in 2099, one 30 days ahead, a silent lane, {} kills", 3 * kills),
            offsets.readings(),
        )
        .note(format!("silence reported {} times of {} sensors", reported.len(), BEATS.len()))
        .require(
            BEATS.iter().all(|beat| reported.iter().filter(|sensor| sensor == beat).count() == 1),
            "silence is not reported once a sensor",
        )
        .require(harmed.is_none(), &format!("neighbours of the wrong clocks: {}", harmed.unwrap_or_default()))
        .note(format!("peak {peak} MiB"))
        .require(peak <= PEAK_MIB_MAX, "memory is not bounded")
        .end(&stage)
}

/// What is sent for the reading of a number.
fn shape(silent: Arc<AtomicBool>) -> impl FnMut(u64, Record) -> Vec<Record> + Send + 'static {
    let mut beats = 0;
    move |number, record| {
        let mut records = Vec::new();
        if record.partition != SILENT {
            records.push(Record { topic: SANE.to_owned(), ..record.clone() });
            if number.is_multiple_of(97) {
                records.push(reading("clock-2099", "2099-06-01T00:00:00Z", record.partition));
                // Far ahead of the lane, but not of the record.
                records.push(reading("clock-ahead", "2026-09-01T00:00:00Z", record.partition));
            }
            records.push(record);
        }
        let due = number * 1_000 / RATE / BEAT_MS;
        if due > beats && !silent.load(Ordering::Relaxed) {
            beats += 1;
            let time = beat_time(beats * BEAT_MS);
            records.extend(BEATS.map(|beat| reading(beat, &time, SILENT)));
        }
        records
    }
}

/// So long after the simulator's beginning, less than a day.
fn beat_time(ms: u64) -> String {
    let (seconds, ms) = (ms / 1_000, ms % 1_000);
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("2026-01-05T{hours:02}:{minutes:02}:{seconds:02}.{ms:03}Z")
}

fn reading(sensor: &str, time: &str, partition: usize) -> Record {
    let payload = format!(
        "{{\"sensor_id\":\"{sensor}\",\"timestamp\":\"{time}\",\"temperature\":20.5,\"location\":\"elsewhere\"}}"
    );
    Record { topic: READINGS.to_owned(), partition, key: sensor.to_owned(), payload: payload.into_bytes() }
}

/// Sensors whose silence was reported in the silent lane, as often as it was.
fn dropouts(output: &Output) -> Vec<String> {
    let raised = |anomaly: &&Value| anomaly["kind"] == "dropout" && anomaly["phase"] == "raised";
    let anomalies = output.parsed(SILENT as i64);
    anomalies
        .iter()
        .filter(raised)
        .filter_map(|anomaly| Some(anomaly["sensor_id"].as_str()?.to_owned()))
        .collect()
}

/// How what was said of all other sensors is not the beginning of what is said where no clock is wrong, but for
/// where the readings lie.
fn differ(disturbed: &[Value], sane: &[Value]) -> Option<String> {
    let bare = |anomalies: &[Value]| -> Vec<Value> {
        let ours =
            |anomaly: &&Value| !anomaly["sensor_id"].as_str().unwrap_or_default().starts_with("clock-");
        let strip = |anomaly: &Value| {
            let mut anomaly = anomaly.clone();
            let fields = anomaly.as_object_mut().unwrap();
            ["id", "episode", "source"].iter().for_each(|name| drop(fields.remove(*name)));
            anomaly
        };
        anomalies.iter().filter(ours).map(strip).collect()
    };
    let (disturbed, sane) = (bare(disturbed), bare(sane));
    if disturbed.is_empty() {
        return Some("nothing was said".to_owned());
    }
    let expected = sane.iter().map(Some).chain(std::iter::repeat(None));
    let first = disturbed.iter().zip(expected).find(|(seen, expected)| Some(*seen) != *expected);
    first.map(|(seen, expected)| format!("expected {}, seen {seen}", expected.unwrap_or(&Value::Null)))
}
