//! What a swap costs under full load, on four lanes: how long a lane stands still, how soon a file that is complete
//! judges, how much less is judged meanwhile; what a shadow costs; and that nothing is lost or doubled: an oracle
//! recomputes the whole output from where versions took over. The limits are those of one swap; with few sensors all
//! detectors are changed together every second time, to see what that comes to.
//!
//! `SWAPS` with 1,000 sensors a lane, `SWAPS_MANY` with 100,000, and `SEED` come from the environment.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use std::time::{Duration, Instant};

use gridwatch_tests::bench::oracle::audit;
use gridwatch_tests::bench::swaps::{Host, LANES, Step, What, now_s};
use gridwatch_tests::bench::{DETECTORS, median, write_result};
use serde_json::{Map, Value, json};

const SENSORS: u32 = 1_000;
const SENSORS_MANY: u32 = 100_000;
const SWAPS: usize = 80;
const SWAPS_MANY: usize = 20;
/// Over which the rate before a change is taken.
const BEFORE: Duration = Duration::from_millis(700);
const SHADOWED: Duration = Duration::from_secs(5);

const PAUSE_MS_MAX: f64 = 20.0;
const LOSS_MAX: f64 = 0.30;
const SHADOW_COST_MAX: f64 = 1.15;

fn asked(name: &str, usual: usize) -> usize {
    let text = std::env::var(name).ok().filter(|text| !text.is_empty());
    text.map_or(usual, |text| text.parse().unwrap_or_else(|error| panic!("{name}: {error}")))
}

/// What one run has shown.
struct Run {
    sensors: u32,
    swaps: usize,
    pauses_ms: Vec<f64>,
    /// Readings a second before changes.
    rates: Vec<f64>,
    /// One detector is changed, or several together.
    alone: Load,
    together: Load,
    /// The longest that a lane stood still for a checkpoint, as far as they were seen.
    checkpoint_ms: f64,
    /// The most episodes that were held open when a change came, on all lanes.
    open_episodes: f64,
}

#[derive(Default)]
struct Load {
    to_first_reading_s: Vec<f64>,
    /// The share of readings that are missing meanwhile.
    losses: Vec<f64>,
}

impl Load {
    fn json(mut self) -> Value {
        let [p50, max] = [0.5, 1.0].map(|share| percentile(&mut self.to_first_reading_s, share));
        json!({
            "file_to_first_reading_s_p50": p50,
            "file_to_first_reading_s_max": max,
            "throughput_loss": median(self.losses),
        })
    }
}

/// Changes one detector and then up to `at_once` together, by turns.
fn run(seed: u64, sensors: u32, swaps: usize, at_once: usize) -> (Host, Run) {
    let mut host = Host::start(seed, sensors);
    let (mut pauses_ms, mut rates) = (Vec::new(), Vec::new());
    let (mut alone, mut together) = (Load::default(), Load::default());
    let (mut made, mut checkpoint_ms, mut open_episodes, mut is_alone) = (0, 0.0_f64, 0.0_f64, false);
    while made < swaps {
        let (from, judged) = (Instant::now(), host.judged());
        std::thread::sleep(BEFORE);
        let (begun, judged_then) = (Instant::now(), host.judged());
        let before = (judged_then - judged) as f64 / (begun - from).as_secs_f64();
        is_alone = !is_alone || at_once == 1;
        let count = if is_alone { 1 } else { at_once.min(swaps - made) };
        let chosen: Vec<&'static str> =
            (0..count).map(|at| DETECTORS[(made + at) % DETECTORS.len()]).collect();
        let known = host.steps().len();
        open_episodes = open_episodes.max(host.metric("gridwatch_open_episodes", &[]));
        let complete_s = {
            host.change(&chosen);
            now_s()
        };
        made += chosen.len();
        let steps = host.until(What::Swapped, made * LANES as usize);
        let during = (host.judged() - judged_then) as f64 / begun.elapsed().as_secs_f64();
        checkpoint_ms = checkpoint_ms.max(host.longest("gridwatch_checkpoint_pause_seconds") * 1e3);
        rates.push(before);
        let load = if is_alone { &mut alone } else { &mut together };
        load.losses.push(1.0 - during / before);
        for step in &steps[known..] {
            pauses_ms.extend(step.pause_ms);
            load.to_first_reading_s.push((step.at_s - complete_s).rem_euclid(86_400.0));
        }
    }
    (host, Run { sensors, swaps, pauses_ms, rates, alone, together, checkpoint_ms, open_episodes })
}

/// A shadow beside what runs: its seconds over those of the live one on the same readings; and its promotion.
fn shadow(host: &mut Host) -> Value {
    const NAME: &str = "shift";
    let detector = format!("detector=\"{NAME}\"");
    let live = |host: &Host| host.metric("gridwatch_detector_seconds_total", &[&detector]);
    let shadow = |host: &Host| host.metric("gridwatch_hidden_seconds_total", &[&detector, "role=\"shadow\""]);
    host.shadow(NAME);
    host.until(What::Shadows, LANES as usize);
    // What it has lived to catch up is behind it.
    let before = (live(host), shadow(host));
    std::thread::sleep(SHADOWED);
    let after = (live(host), shadow(host));
    let findings =
        |side: &str| host.metric("gridwatch_shadow_findings_total", &[&format!("side=\"{side}\"")]);
    let counts = [findings("both"), findings("only_new"), findings("only_old")];
    let known = host.steps().len();
    host.promote(NAME);
    let steps = host.until(What::Promoted, LANES as usize);
    let ratio = (after.1 - before.1) / (after.0 - before.0);
    println!(
        "  a shadow costs {ratio:.2} of what the detector costs; both {}, only new {}, only old {}; {} promotions",
        counts[0],
        counts[1],
        counts[2],
        steps.len() - known,
    );
    json!({"cost_ratio": ratio, "both": counts[0], "only_new": counts[1], "only_old": counts[2]})
}

fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(((values.len().saturating_sub(1)) as f64 * share).round() as usize).copied().unwrap_or(0.0)
}

fn show(mut run: Run, host: &mut Host, [live_mib, warm_mib]: [f64; 2]) -> Value {
    let peak_mib = host.peak_mib();
    host.stop();
    let steps: Vec<Step> = host.steps();
    let account = audit(host);
    let [p50, p99, max] = [0.5, 0.99, 1.0].map(|share| percentile(&mut run.pauses_ms, share));
    let (rate, checkpoint_ms, open_episodes) = (median(run.rates), run.checkpoint_ms, run.open_episodes);
    let loads: Vec<(&str, Value)> = [("alone", run.alone), ("together", run.together)]
        .into_iter()
        .filter(|(_, load)| !load.losses.is_empty())
        .map(|(name, load)| (name, load.json()))
        .collect();
    println!(
        "{} sensors a lane, {} swaps on {LANES} lanes, {} readings at {rate:.0} a second, {} anomalies, up to {open_episodes:.0} \
         episodes open\n  \
         pause p50 {p50:.3} ms, p99 {p99:.3} ms, max {max:.3} ms; a checkpoint at most {checkpoint_ms:.1} ms\n  \
         memory: live {live_mib:.0} MiB, kept warm {warm_mib:.0} MiB, peak of the process {peak_mib:.0} MiB\n  \
         {} lost, {} doubled, {} else, {} lanes out of order",
        run.sensors,
        run.swaps,
        account.readings,
        account.expected,
        account.lost,
        account.doubled,
        account.foreign,
        account.disordered,
    );
    for (name, load) in &loads {
        println!(
            "  {name}: file complete to first reading p50 {:.2} s, max {:.2} s; loss meanwhile {:.0} %",
            number(load, "file_to_first_reading_s_p50"),
            number(load, "file_to_first_reading_s_max"),
            number(load, "throughput_loss") * 100.0,
        );
    }
    let loads: Map<String, Value> = loads.into_iter().map(|(name, load)| (name.to_owned(), load)).collect();
    json!({
        "sensors_per_lane": run.sensors,
        "lanes": LANES,
        "swaps": run.swaps,
        "changes_on_lanes": steps.len(),
        "readings": account.readings,
        "readings_per_second": rate,
        "anomalies": account.expected,
        "pause_ms_p50": p50,
        "pause_ms_p99": p99,
        "pause_ms_max": max,
        "loads": loads,
        "checkpoint_pause_ms_max": checkpoint_ms,
        "open_episodes_max": open_episodes,
        "live_memory_mib": live_mib,
        "warm_memory_mib": warm_mib,
        "peak_mib": peak_mib,
        "lost": account.lost,
        "doubled": account.doubled,
        "foreign": account.foreign,
        "disordered": account.disordered,
    })
}

fn number(value: &Value, key: &str) -> f64 {
    value[key].as_f64().unwrap()
}

/// Of live instances, and of those kept warm.
fn memory_mib(host: &Host) -> [f64; 2] {
    let live = host.metric("gridwatch_detector_memory_bytes", &[]);
    let warm = host.metric("gridwatch_hidden_memory_bytes", &["role=\"warm\""]);
    [live, warm].map(|bytes| bytes / f64::from(1 << 20))
}

fn main() {
    let seed = asked("SEED", 1) as u64;
    let (mut few_host, few) = run(seed, SENSORS, asked("SWAPS", SWAPS), DETECTORS.len());
    let memory = memory_mib(&few_host);
    let shadow = shadow(&mut few_host);
    let few = show(few, &mut few_host, memory);
    drop(few_host);
    let (mut many_host, many) = run(seed, SENSORS_MANY, asked("SWAPS_MANY", SWAPS_MANY), 1);
    let memory = memory_mib(&many_host);
    let many = show(many, &mut many_host, memory);

    let alone = |run: &Value, key: &str| number(&run["loads"]["alone"], key);
    let loss = alone(&few, "throughput_loss").max(alone(&many, "throughput_loss"));
    let of_both = |key: &str| number(&few, key).max(number(&many, key));
    let sum = |key: &str| (number(&few, key) + number(&many, key)) as u64;
    let limits = [
        ("pause_ms_p99", of_both("pause_ms_p99"), PAUSE_MS_MAX),
        ("throughput_loss", loss, LOSS_MAX),
        ("file_to_first_reading_s_1000", alone(&few, "file_to_first_reading_s_max"), 5.0),
        ("file_to_first_reading_s_100000", alone(&many, "file_to_first_reading_s_max"), 30.0),
        ("shadow_cost_ratio", shadow["cost_ratio"].as_f64().unwrap(), SHADOW_COST_MAX),
    ];
    for (name, value, max) in limits {
        println!("{} {name}: {value:.3}, at most {max}", if value <= max { "holds " } else { "MISSED" });
    }
    let wrong = ["lost", "doubled", "foreign", "disordered"].map(sum);
    let held: Vec<Value> = limits
        .iter()
        .map(|(name, value, max)| json!({"name": name, "value": value, "max": max, "holds": value <= max}))
        .collect();
    write_result(
        "swap",
        &json!({
            "pause_ms_p99": of_both("pause_ms_p99"),
            "lost": wrong[0],
            "doubled": wrong[1],
            "throughput_loss": loss,
            "shadow": shadow,
            "limits": held,
            "runs": [few, many],
        }),
    );
    assert!(wrong.iter().sum::<u64>() == 0, "the output is not what the versions' switch positions imply");
}
