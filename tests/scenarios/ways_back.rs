//! Going back, by hand and by itself: nobody ends with less than what ran, and nobody waits for files.

use std::time::{Duration, Instant, SystemTime};

use gridwatch_tests::bench::root;
use gridwatch_tests::house::{House, errors, simulated};

use crate::hostile::answering;
use crate::live::{Live, built_in, following, pieces};
use crate::wat_guest::Wat;

const SWAPPED: &str = " swapped ";
const WENT_BACK: &str = " went back ";

/// Status and what was said.
fn rollback(house: &House, name: &str, which: &[&str]) -> (Option<i32>, String) {
    let output = house.output(&[&["rollback", name, "-c", "gridwatch.toml"], which].concat());
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned() + &errors(&output))
}

fn limits(house: &House, window: &str, deadline: &str) {
    let toml = format!("rollback_window = \"{window}\"\n[limits]\ncall_deadline = \"{deadline}\"\n");
    house.write("detectors/limits.toml", toml);
}

/// Writes states that its forerunner falls over: what a new version of a state is for.
#[test]
fn what_cannot_go_back_goes_forward_again_with_what_it_knows() {
    let build = |letter: &[u8; 1], restore: &str| {
        let wat = answering("save-shared", 1, letter);
        wat::parse_str(wat.body("begin-restore", &format!("{restore} (i32.const 1024)")).text()).unwrap()
    };
    let is_new = "(i32.eq (i32.load8_u (local.get 5)) (i32.const 66))";
    let old = build(b"A", &format!("(if {is_new} (then (unreachable)))"));
    let house = following(&["limits"]);
    house.write("detectors/step.toml", "rollback_window = \"0s\"\n");
    house.write("detectors/step.wasm", &old);
    let readings = simulated(51, 30_000);
    let pieces = pieces(&readings, 3);
    let live = Live::start(&house);
    live.feed(&pieces[0]);
    house.write("detectors/step.wasm", build(b"B", ""));
    live.until(SWAPPED, 1);
    live.feed(&pieces[1]);
    let (status, said) = rollback(&house, "step", &[]);
    assert!(status == Some(0) && said.contains("step is to go back to sha256:"), "{said}");
    live.until("cannot go back everywhere", 1);
    live.until("step cannot go back and is to go forward again", 1);
    // Only what it went back to is refused from here on.
    let (status, said) = rollback(&house, "step", &[]);
    assert!(status == Some(2) && said.contains("was rolled back already (lane readings.jsonl: "), "{said}");
    house.write("detectors/step.wasm", &old);
    live.until("step: was rolled back (lane readings.jsonl: ", 1);
    live.stop();
    let live = Live::start(&house);
    live.feed(&pieces[2]);
    live.stop();
    for not in [" runs no more ", "is to run no more", "quarantined", WENT_BACK] {
        assert!(!house.text("log").contains(not), "{not}: {}", house.text("log"));
    }
}

/// The window of what came first is over when the second goes back.
#[test]
fn each_build_that_comes_has_a_window_of_its_own() {
    const WINDOW: Duration = Duration::from_secs(8);
    let house = following(&["limits"]);
    limits(&house, "8s", "600ms");
    let live = Live::start(&house);
    live.feed(&simulated(52, 10_000));
    live.committed();
    limits(&house, "8s", "601ms");
    live.until(SWAPPED, 1);
    let since = Instant::now();
    std::thread::sleep((WINDOW / 2).saturating_sub(since.elapsed()));
    limits(&house, "8s", "602ms");
    live.until(SWAPPED, 2);
    std::thread::sleep((WINDOW + Duration::from_millis(200)).saturating_sub(since.elapsed()));
    let (status, said) = rollback(&house, "limits", &[]);
    assert_eq!(status, Some(0), "{said}");
    live.until(WENT_BACK, 1);
    assert_eq!(live.said(SWAPPED), 2, "{}", house.text("log"));
    live.stop();
}

/// What was deployed long ago is not new because the process is.
#[test]
fn a_fault_after_a_restart_brings_nobody_back_whose_window_is_over() {
    const WINDOW: Duration = Duration::from_secs(5);
    let settings = |sin: &str| {
        format!(
            "rollback_window = \"5s\"\n[parameters]\nsin = \"{sin}\"\nafter = 20000\n[limits]\nfaults_max = 0\n"
        )
    };
    let house = following(&["limits"]);
    house.detector("hostile", &root().join("target/examples/hostile.wasm"), &settings("none"));
    let readings = simulated(53, 60_000);
    let pieces = pieces(&readings, 6);
    let live = Live::start(&house);
    live.feed(&pieces[0]);
    live.committed();
    house.write("detectors/hostile.toml", settings("trap"));
    live.until(SWAPPED, 1);
    let since = SystemTime::now();
    live.stop();
    while since.elapsed().is_ok_and(|over| over < WINDOW) {
        std::thread::sleep(Duration::from_millis(50));
    }
    let live = Live::start(&house);
    live.feed(&pieces[1..].concat());
    live.until("quarantined", 1);
    // Whatever was to follow from that has followed.
    limits(&house, "1h", "600ms");
    live.until(SWAPPED, 2);
    live.stop();
    for not in [WENT_BACK, "is taken back everywhere", "is to go back", "goes on with what"] {
        assert!(!house.text("log").contains(not), "{not}: {}", house.text("log"));
    }
}

/// Nothing is fed while it is not there: so it says what it would have said undisturbed, with all that it has learnt.
#[test]
fn what_was_rolled_back_taken_out_and_copied_in_again_stays_back_and_what_ran_comes_again_as_it_was() {
    const ALL: usize = 180_000;
    let readings = simulated(5, ALL);
    let lines: Vec<&str> = readings.split_inclusive('\n').collect();
    let (day, rest) = lines.split_at(110_000);
    let house = following(&["limits", "shift"]);
    let live = Live::start(&house);
    live.feed(&day.concat());
    live.committed();
    let tried = "[limits]\ncall_deadline = \"601ms\"\n";
    house.write("detectors/shift.toml", tried);
    live.until(SWAPPED, 1);
    assert_eq!(rollback(&house, "shift", &[]).0, Some(0));
    live.until(WENT_BACK, 1);
    for file in ["detectors/shift.wasm", "detectors/shift.toml"] {
        std::fs::remove_file(house.path(file)).unwrap();
    }
    live.until(" runs no more ", 1);
    let (status, said) = rollback(&house, "shift", &[]);
    assert!(status == Some(0) && said.contains("does not run, and is to run again as sha256:"), "{said}");
    live.until(SWAPPED, 2);
    house.detector("shift", &built_in("shift"), tried);
    live.until("shift: was rolled back (by hand)", 1);
    live.feed(&rest.concat());
    live.stop();
    assert_eq!(house.text("log").matches(SWAPPED).count(), 2, "{}", house.text("log"));
    let undisturbed = House::with(&["limits", "shift"]);
    undisturbed.write("readings.jsonl", &readings);
    undisturbed.configure("kind = \"file\"\npath = \"readings.jsonl\"", "");
    undisturbed.run();
    assert!(undisturbed.anomalies_of("shift").lines().count() > 10, "it says nothing that could be lost");
    assert_eq!(house.text("anomalies.jsonl"), undisturbed.text("anomalies.jsonl"));
}

/// One that never answers, and may take minutes to be found out.
#[test]
fn a_file_that_takes_long_to_admit_holds_up_neither_others_nor_going_back_nor_the_end() {
    let house = following(&["limits"]);
    let live = Live::start(&house);
    live.feed(&simulated(54, 10_000));
    live.committed();
    limits(&house, "1h", "600ms");
    live.until(SWAPPED, 1);
    let endless = Wat::new().body("observe", "(loop $on (br $on)) (i32.const 1024)");
    house.write("detectors/endless.toml", "[limits]\ncall_deadline = \"100s\"\n");
    house.write("detectors/endless.wasm", wat::parse_str(endless.text()).unwrap());
    house.detector("shift", &built_in("shift"), "");
    live.until(SWAPPED, 2);
    assert_eq!(rollback(&house, "limits", &[]).0, Some(0));
    live.until(WENT_BACK, 1);
    let since = Instant::now();
    live.stop();
    assert!(since.elapsed() < Duration::from_secs(60), "the end waited for {:?}", since.elapsed());
    assert!(!house.text("log").contains("endless"), "{}", house.text("log"));
}

#[test]
fn the_live_one_or_the_shadow_goes_back_as_is_asked() {
    let house = following(&["limits"]);
    let live = Live::start(&house);
    live.feed(&simulated(55, 10_000));
    live.committed();
    limits(&house, "1h", "601ms");
    live.until(SWAPPED, 1);
    house.write("detectors/limits.toml", "mode = \"shadow\"\n[limits]\ncall_deadline = \"602ms\"\n");
    live.until(" shadows lane", 1);
    let (status, said) = rollback(&house, "limits", &["--live"]);
    assert!(status == Some(0) && said.contains("limits is to go back to sha256:"), "{said}");
    live.until(WENT_BACK, 1);
    let (status, said) = rollback(&house, "limits", &["--live"]);
    assert!(status == Some(2) && said.contains("was rolled back already (by hand)"), "{said}");
    assert_eq!(live.said(" shadows no more"), 0, "{}", house.text("log"));
    let (status, said) = rollback(&house, "limits", &["--shadow"]);
    assert!(status == Some(0) && said.contains("goes on live; `gridwatch rollback limits --live`"), "{said}");
    live.until(" shadows no more", 1);
    let (status, said) = rollback(&house, "limits", &["--shadow"]);
    assert!(status == Some(2) && said.contains("has no shadow"), "{said}");
    assert_eq!(rollback(&house, "limits", &["--live", "--shadow"]).0, Some(2));
    live.stop();
}
