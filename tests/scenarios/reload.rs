//! Detectors that come, change and go while the host runs.

use std::path::Path;

use gridwatch_tests::bench::root;
use gridwatch_tests::house::{House, errors, simulated};

use crate::hostile::answering;
use crate::live::{Live, built_in, following, pieces};
use crate::wat_guest::Wat;

const DETECTORS: [&str; 4] = ["limits", "physics", "shift", "vitals"];

fn undisturbed(detectors: &[&str], readings: &str) -> House {
    let house = House::with(detectors);
    house.write("readings.jsonl", readings);
    house.configure("kind = \"file\"\npath = \"readings.jsonl\"", "");
    house.run();
    house
}

/// Other limits make another deployment, of a module that judges as before: whatever the swap loses shows.
#[test]
fn swaps_under_load_for_the_same_module_change_nothing() {
    const ROUNDS: usize = 8;
    let readings = simulated(31, 400_000);
    let house = following(&DETECTORS);
    let live = Live::start(&house);
    let pieces = pieces(&readings, 2 * ROUNDS + 1);
    live.feed(&pieces[0]);
    for round in 0..ROUNDS {
        for name in DETECTORS {
            let limits = format!("[limits]\ncall_deadline = \"{}ms\"\n", 600 + round);
            house.write(&format!("detectors/{name}.toml"), limits);
        }
        live.feed(&pieces[2 * round + 1]);
        live.until(" swapped ", (round + 1) * DETECTORS.len());
        live.feed(&pieces[2 * round + 2]);
    }
    live.stop();
    let expected = undisturbed(&DETECTORS, &readings);
    assert!(expected.length("anomalies.jsonl") > 10_000);
    assert_eq!(house.text("anomalies.jsonl"), expected.text("anomalies.jsonl"));
}

#[test]
fn a_detector_comes_goes_back_and_leaves_while_the_others_go_on() {
    let readings = simulated(32, 300_000);
    let pieces = pieces(&readings, 6);
    let house = following(&["limits", "vitals"]);
    let live = Live::start(&house);
    live.feed(&pieces[0]);
    // A new one.
    house.detector("shift", &built_in("shift"), "");
    live.until(" swapped ", 1);
    live.feed(&pieces[1]);
    // It changes, and goes back by hand.
    house.write("detectors/shift.toml", "[limits]\nmemory_max = \"256MiB\"\n");
    live.until(" swapped ", 2);
    live.feed(&pieces[2]);
    let rollback = ["rollback", "shift", "-c", "gridwatch.toml"];
    let output = house.output(&rollback);
    assert!(output.status.success(), "{}", errors(&output));
    live.until(" went back ", 1);
    let output = house.output(&rollback);
    let said = errors(&output);
    assert!(output.status.code() == Some(2) && said.contains("was rolled back already (by hand)"), "{said}");
    live.feed(&pieces[3]);
    // What was rolled back is refused until it changes.
    house.write("detectors/shift.toml", "[limits]\nmemory_max = \"256MiB\"\n# the same\n");
    live.until("was rolled back (by hand)", 1);
    // One that is no module hurts nobody, and what ran goes on.
    house.write("detectors/limits.wasm", b"\0asm, or so it says");
    live.until("not admitted; the one before it goes on", 1);
    live.feed(&pieces[4]);
    // What is taken out stops.
    std::fs::remove_file(house.path("detectors/shift.wasm")).unwrap();
    std::fs::remove_file(house.path("detectors/shift.toml")).unwrap();
    live.until(" runs no more ", 1);
    live.feed(&pieces[5]);
    live.stop();

    let neighbours = undisturbed(&["limits", "vitals"], &readings);
    for name in ["limits", "vitals"] {
        assert!(!neighbours.anomalies_of(name).is_empty(), "{name} says nothing");
        assert_eq!(house.anomalies_of(name), neighbours.anomalies_of(name));
    }
    let open = still_open(&house.anomalies_of("shift"));
    assert!(open.is_empty() && house.anomalies_of("shift").contains("runs no more"), "{open:?}");
}

/// Episodes that were raised and not cleared.
fn still_open(anomalies: &str) -> Vec<String> {
    let mut open = Vec::new();
    for line in anomalies.lines() {
        let anomaly: serde_json::Value = serde_json::from_str(line).unwrap();
        let episode = anomaly["episode"].as_str().unwrap().to_owned();
        match anomaly["phase"].as_str().unwrap() {
            "raised" => open.push(episode),
            "cleared" => open.retain(|known| *known != episode),
            _ => {}
        }
    }
    open
}

/// The roster outlives the process: what was brought runs on, also from another life's first reading on.
#[test]
fn what_was_swapped_stays_so_over_a_restart() {
    let readings = simulated(33, 200_000);
    let pieces = pieces(&readings, 4);
    let house = following(&DETECTORS);
    let mut live = Live::start(&house);
    live.feed(&pieces[0]);
    house.write("detectors/shift.toml", "[limits]\ncall_deadline = \"700ms\"\n");
    live.until(" swapped ", 1);
    live.feed(&pieces[1]);
    // Not in good order: what is not in a checkpoint yet is lived again.
    live.child.kill().unwrap();
    live.child.wait().unwrap();
    drop(live);
    // Changed while nobody was there to see it.
    house.write("detectors/vitals.toml", "[limits]\ncall_deadline = \"700ms\"\n");
    let live = Live::start(&house);
    live.until(" swapped ", 2);
    live.feed(&pieces[2]);
    live.feed(&pieces[3]);
    live.stop();
    assert_eq!(house.text("anomalies.jsonl"), undisturbed(&DETECTORS, &readings).text("anomalies.jsonl"));
}

#[test]
fn a_link_out_of_the_directory_is_refused() {
    let house = following(&["limits"]);
    let outside: &Path = &built_in("shift");
    std::os::unix::fs::symlink(outside, house.path("detectors/shift.wasm")).unwrap();
    let live = Live::start(&house);
    live.until("leads out of the directory", 1);
    live.feed(&simulated(34, 10));
    live.stop();
}

/// Well-behaved where it is tried on made-up readings, which have fourteen quantities; the lane's have one.
#[test]
fn a_detector_is_tried_on_what_the_lane_has_just_read() {
    let house = following(&["limits"]);
    let live = Live::start(&house);
    let readings: String = (0..600)
        .map(|second| {
            format!(
                "{{\"sensor_id\":\"m{}\",\"timestamp\":{},\"methane\":{second}}}\n",
                second % 3,
                1_767_225_600 + second
            )
        })
        .collect();
    live.feed(&readings);
    // Committed, so judged.
    live.committed();
    let choosy = Wat::new()
        .field("(global $offered (mut i32) (i32.const 0))")
        .body("configure", "(global.set $offered (local.get 3)) (select (i32.const 1280) (i32.const 1024) (local.get 3))")
        .body("observe", "(if (i32.eq (global.get $offered) (i32.const 1)) (then (unreachable))) (global.set $heap (i32.const 8192)) (i32.const 1024)");
    house.write("detectors/choosy.wasm", wat::parse_str(choosy.text()).unwrap());
    live.until("readings that lane readings.jsonl has just read: observe: trapped", 1);
    // On its own it would have been taken.
    let shown = house.output(&["detectors", "--dir", "detectors"]);
    assert!(shown.status.success(), "{}", errors(&shown));
    live.stop();
}

/// The new build says that it reads states of the same version, keeps them otherwise, and falls over the old one's.
#[test]
fn a_state_that_lies_about_its_version_leaves_the_one_before_it_in_place() {
    let build = |letter: &[u8; 1], restore: &str| {
        let wat =
            answering("save-shared", 1, letter).body("begin-restore", &format!("{restore} (i32.const 1024)"));
        wat::parse_str(wat.text()).unwrap()
    };
    let house = following(&["limits"]);
    house.write("detectors/liar.wasm", build(b"A", ""));
    let live = Live::start(&house);
    let readings = simulated(35, 20_000);
    let pieces = pieces(&readings, 2);
    live.feed(&pieces[0]);
    live.committed();
    let is_old = "(i32.eq (i32.load8_u (local.get 5)) (i32.const 65))";
    house.write("detectors/liar.wasm", build(b"B", &format!("(if {is_old} (then (unreachable)))")));
    live.until("is taken back everywhere", 1);
    live.feed(&pieces[1]);
    live.stop();
    assert!(!house.text("log").contains("quarantined"), "{}", house.text("log"));
    assert_eq!(house.anomalies_of("limits"), undisturbed(&["limits"], &readings).anomalies_of("limits"));
    // What was taken back is refused until it changes, also after a restart.
    let live = Live::start(&house);
    live.until("was rolled back", 1);
    live.stop();
}

/// The same module under other limits: as a shadow it finds what the live one finds, and in its seat it says what the
/// one before it would have said.
#[test]
fn what_shadows_is_not_heard_outlives_a_kill_and_is_promoted_and_rolled_back_warm() {
    let readings = simulated(35, 300_000);
    let pieces = pieces(&readings, 6);
    let house = following(&DETECTORS);
    let settings = |mode: &str| {
        for name in DETECTORS {
            let toml = format!("mode = \"{mode}\"\n[limits]\ncall_deadline = \"700ms\"\n");
            house.write(&format!("detectors/{name}.toml"), toml);
        }
    };
    let die = |mut live: Live<'_>| {
        live.committed();
        live.child.kill().unwrap();
        live.child.wait().unwrap();
    };
    let live = Live::start(&house);
    live.feed(&pieces[0]);
    settings("shadow");
    live.until(" shadows lane", DETECTORS.len());
    live.feed(&pieces[1]);
    die(live);
    let live = Live::start(&house);
    live.feed(&pieces[2]);
    settings("live");
    // None of them has to catch up, also in another life than the one that brought it.
    live.until(" promoted ", DETECTORS.len());
    assert_eq!((live.said(" shadows lane"), live.said(" swapped ")), (DETECTORS.len(), 0));
    live.feed(&pieces[3]);
    die(live);
    let live = Live::start(&house);
    live.feed(&pieces[4]);
    let output = house.output(&["rollback", "shift", "-c", "gridwatch.toml"]);
    assert!(output.status.success(), "{}", errors(&output));
    live.until(" went back ", 1);
    live.feed(&pieces[5]);
    live.stop();
    let expected = undisturbed(&DETECTORS, &readings);
    assert!(expected.length("anomalies.jsonl") > 10_000);
    assert_eq!(house.text("anomalies.jsonl"), expected.text("anomalies.jsonl"));
}

#[test]
fn a_shadow_that_fails_is_taken_out_and_hurts_nobody() {
    let readings = simulated(36, 100_000);
    let pieces = pieces(&readings, 2);
    let house = following(&["limits", "vitals"]);
    let live = Live::start(&house);
    live.feed(&pieces[0]);
    let toml = "mode = \"shadow\"\non_new_state = \"cold\"\n[parameters]\nsin = \"trap\"\nafter = 5000\n";
    house.detector("limits", &root().join("target/examples/hostile.wasm"), toml);
    live.until(" shadows lane", 1);
    live.feed(&pieces[1]);
    live.until("has failed as a shadow and is taken out", 1);
    live.until("shadows no more, anywhere", 1);
    // Its file lies there, and what is refused stays so.
    let output = house.output(&["rollback", "limits", "-c", "gridwatch.toml"]);
    assert!(errors(&output).contains("nothing ran before it"), "{}", errors(&output));
    live.stop();
    let expected = undisturbed(&["limits", "vitals"], &readings);
    assert_eq!(house.text("anomalies.jsonl"), expected.text("anomalies.jsonl"));
}
