//! A detector says the same, to the bit, natively and in WebAssembly, however readings are cut into batches
//! and wherever it is saved and restored.

use std::sync::Arc;

use gridwatch_connectors::simulator::{FaultKind, Scenario};
use gridwatch_core::finding::Finding;
use gridwatch_core::judge::{Judge, Limits, Module, Saved, States};
use gridwatch_tests::bench::{DETECTORS, NoLog, native_modules, wasm_modules};
use gridwatch_tests::columns::Columns;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const READINGS: usize = 40_000;
const TICK_MS: i64 = 60_000;

/// What came of one run: every finding with the reading that brought it about (or the tick), and the
/// state at the end.
#[derive(Debug, PartialEq)]
struct Outcome {
    findings: Vec<(usize, Finding)>,
    shared: Vec<u8>,
    states: States,
}

fn all_sensors(columns: &Columns) -> Vec<u32> {
    (0..columns.sensors.len() as u32).collect()
}

/// The same judge as it would be after a restart.
fn restarted(
    module: &Arc<dyn Module>,
    columns: &Columns,
    old: &mut dyn Judge,
    random: &mut ChaCha8Rng,
) -> Box<dyn Judge> {
    let mut judge = module.instantiate(Limits::default(), Arc::new(NoLog)).unwrap();
    let chosen = columns.introduce(&mut *judge, "{}");
    let saved = Saved {
        state_version: module.descriptor().state_version,
        quantities: chosen.iter().map(|&q| columns.quantities[q as usize].name.clone()).collect(),
        parameters: "{}".into(),
        shared: old.save_shared().unwrap(),
    };
    judge.begin_restore(&saved).unwrap();
    let sensors = all_sensors(columns);
    for chunk in sensors.chunks(random.random_range(1..=sensors.len())) {
        judge.restore(chunk, &old.save(chunk).unwrap()).unwrap();
    }
    judge
}

/// Cuts at random and, with `restarts`, goes on in a new instance now and then.
fn run(module: &Arc<dyn Module>, columns: &Columns, seed: u64, restarts: bool) -> Outcome {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut judge = module.instantiate(Limits::default(), Arc::new(NoLog)).unwrap();
    let chosen = columns.introduce(&mut *judge, "{}");
    let mut findings = Vec::new();
    let (mut start, mut tick, mut clock) = (0, i64::MIN, i64::MIN);
    while start < columns.rows() {
        let mut rows = random.random_range(1..2_000).min(columns.rows() - start);
        // A batch ends where a tick does.
        let mut ticked = None;
        for at in start..start + rows {
            clock = clock.max(columns.timestamps[at]);
            let reached = (clock - TICK_MS).div_euclid(TICK_MS) * TICK_MS;
            if reached > tick {
                (tick, ticked, rows) = (reached, Some(reached), at + 1 - start);
                break;
            }
        }
        let values = columns.gather(&chosen, start, rows);
        let mut found = judge.observe(columns.view(&values, start, rows)).unwrap();
        found.sort_by_key(|finding| finding.row);
        for finding in found {
            let row = start + finding.row as usize;
            findings.push((row, Finding { row: 0, ..finding }));
        }
        start += rows;
        if let Some(watermark) = ticked {
            findings.extend(judge.advance(watermark).unwrap().into_iter().map(|finding| (start, finding)));
        }
        if restarts && random.random_range(0..40) == 0 {
            judge = restarted(module, columns, &mut *judge, &mut random);
        }
    }
    Outcome {
        findings,
        shared: judge.save_shared().unwrap(),
        states: judge.save(&all_sensors(columns)).unwrap(),
    }
}

#[test]
fn native_and_wasm_give_the_same_bits_however_cut_and_restarted() {
    let scenario = Scenario {
        seed: 11,
        days: 0.7,
        learning_days: 0.1,
        recovery_hours: 0.5,
        faults_per_kind: 2,
        kinds: FaultKind::ALL.to_vec(),
        ..Scenario::default()
    };
    let columns = Columns::simulated(scenario, READINGS);
    for ((name, native), wasm) in DETECTORS.iter().zip(native_modules()).zip(wasm_modules()) {
        let expected = run(&native, &columns, 1, false);
        assert!(!expected.findings.is_empty(), "{name} finds nothing, so that there is nothing to compare");
        for seed in 2..5 {
            let seen = run(&wasm, &columns, seed, seed > 2);
            let differs = expected.findings.iter().zip(&seen.findings).position(|(a, b)| a != b);
            if let Some(at) = differs {
                panic!(
                    "{name}, seed {seed}: finding {at} differs:\nnative {:?}\nwasm   {:?}",
                    expected.findings[at], seen.findings[at]
                );
            }
            assert_eq!(
                expected.findings.len(),
                seen.findings.len(),
                "{name}, seed {seed}: number of findings"
            );
            assert!(expected.shared == seen.shared, "{name}, seed {seed}: shared state differs");
            assert!(expected.states == seen.states, "{name}, seed {seed}: state of sensors differs");
        }
    }
}
