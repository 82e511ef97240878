//! What the border between host and guest costs: each built-in detector, native against WebAssembly, by
//! the number of rows a call. Alternating runs on one pinned core, medians.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::sync::Arc;
use std::time::Instant;

use gridwatch_connectors::simulator::Scenario;
use gridwatch_core::judge::{Limits, Module};
use gridwatch_tests::bench::{
    DETECTORS, NoLog, median, native_modules, pin_to_one_core, spread, wasm_modules, write_result,
};
use gridwatch_tests::columns::Columns;
use serde_json::json;

const ROWS: [usize; 5] = [1, 16, 128, 1024, 8192];
const READINGS: usize = 1 << 18;
const RUNS: usize = 7;

/// Judges all readings; nanoseconds a reading, and how many findings there were.
fn run(module: &Arc<dyn Module>, input: &Columns, rows: usize) -> (f64, usize) {
    let mut judge = module.instantiate(Limits::default(), Arc::new(NoLog)).unwrap();
    let chosen = input.introduce(&mut *judge, "{}");
    // Columns are laid out before the clock starts: gathering them is the lane's work, not the border's.
    let batches: Vec<Vec<f64>> =
        (0..READINGS / rows).map(|at| input.gather(&chosen, at * rows, rows)).collect();
    let mut findings = 0;
    let start = Instant::now();
    for (at, values) in batches.iter().enumerate() {
        findings += judge.observe(input.view(values, at * rows, rows)).unwrap().len();
    }
    (start.elapsed().as_nanos() as f64 / READINGS as f64, findings)
}

fn main() {
    pin_to_one_core();
    let scenario = Scenario { seed: 7, meters_per_feeder: 100, days: 1.0, ..Scenario::default() };
    let input = Columns::simulated(scenario.without_faults(), READINGS);
    let (native, wasm) = (native_modules(), wasm_modules());
    println!(
        "{READINGS} readings of {} sensors, median of {RUNS} alternating runs, one core",
        input.sensors.len()
    );
    println!(
        "{:<10} {:>6} {:>12} {:>12} {:>7} {:>7}",
        "detector", "rows", "native ns", "wasm ns", "ratio", "noise"
    );
    let mut table = Vec::new();
    let mut ratios_1024 = Vec::new();
    for (at, name) in DETECTORS.iter().enumerate() {
        for rows in ROWS {
            let (mut native_ns, mut wasm_ns) = (vec![], vec![]);
            for _ in 0..RUNS {
                let (ns, found_natively) = run(&native[at], &input, rows);
                native_ns.push(ns);
                let (ns, found) = run(&wasm[at], &input, rows);
                wasm_ns.push(ns);
                assert_eq!(found, found_natively, "{name} finds something else in WebAssembly");
            }
            let noise = spread(native_ns.clone()).max(spread(wasm_ns.clone()));
            let (native_ns, wasm_ns) = (median(native_ns), median(wasm_ns));
            let ratio = wasm_ns / native_ns;
            if rows == 1024 {
                ratios_1024.push(ratio);
            }
            println!(
                "{name:<10} {rows:>6} {native_ns:>12.1} {wasm_ns:>12.1} {ratio:>7.2} {:>6.1}%",
                noise * 100.0
            );
            table.push(json!({"detector": name, "rows": rows, "native_ns": native_ns, "wasm_ns": wasm_ns,
                "ratio": ratio, "noise": noise}));
        }
    }
    let geomean = (ratios_1024.iter().map(|ratio| ratio.ln()).sum::<f64>() / ratios_1024.len() as f64).exp();
    println!("geometric mean of the ratios at 1024 rows: {geomean:.3}");
    write_result("border", &json!({"geomean_ratio_1024": geomean, "rows": table}));
}
