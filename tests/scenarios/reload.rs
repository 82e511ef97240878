//! Detectors that come, change and go while the host runs.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use gridwatch_tests::bench::root;
use gridwatch_tests::house::{House, errors, simulated};
use rustix::process::{Pid, Signal, kill_process};

const DETECTORS: [&str; 4] = ["limits", "physics", "shift", "vitals"];
/// Also of who runs without some that were refused.
const READY: &str = "metrics=";
const PATIENCE: Duration = Duration::from_secs(60);

/// A house with a host that follows its readings.
struct Live<'a> {
    house: &'a House,
    child: Child,
}

impl<'a> Live<'a> {
    fn start(house: &'a House) -> Live<'a> {
        if !house.path("readings.jsonl").exists() {
            house.write("readings.jsonl", "");
        }
        let log = OpenOptions::new().create(true).append(true).open(house.path("log")).unwrap();
        let mut command = house.command(&["run", "-c", "gridwatch.toml"]);
        let before = house.text("log").matches(READY).count();
        let child = command.stdout(File::create("/dev/null").unwrap()).stderr(log).spawn().unwrap();
        let live = Live { house, child };
        live.until(READY, before + 1);
        live
    }

    /// Until so many lines of the log hold a word.
    fn until(&self, word: &str, count: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.said(word) < count {
            assert!(
                Instant::now() < deadline,
                "{word} was not said {count} times:\n{}",
                self.house.text("log")
            );
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn said(&self, word: &str) -> usize {
        self.house.text("log").lines().filter(|line| line.contains(word)).count()
    }

    fn feed(&self, lines: &str) {
        let mut file = OpenOptions::new().append(true).open(self.house.path("readings.jsonl")).unwrap();
        file.write_all(lines.as_bytes()).unwrap();
    }

    /// In good order, once all that was fed is committed.
    fn stop(mut self) {
        // Behind the last byte of the last record, before its line end.
        let committed = format!("\"position\":{}", self.house.length("readings.jsonl") - 1);
        let deadline = Instant::now() + PATIENCE;
        while !self.house.text("anomalies.jsonl.commit").replace(' ', "").contains(&committed) {
            assert!(
                Instant::now() < deadline,
                "not all is committed: {}",
                self.house.text("anomalies.jsonl.commit")
            );
            std::thread::sleep(Duration::from_millis(2));
        }
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM).unwrap();
        assert!(self.child.wait().unwrap().success(), "{}", self.house.text("log"));
    }
}

impl Drop for Live<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn following(detectors: &[&str]) -> House {
    let house = House::with(detectors);
    let often = "[engine]\ncommit_interval = \"20ms\"\n[checkpoints]\ninterval = \"300ms\"\n";
    house.configure("kind = \"file\"\npath = \"readings.jsonl\"\nfollow = true", often);
    house
}

fn undisturbed(detectors: &[&str], readings: &str) -> House {
    let house = House::with(detectors);
    house.write("readings.jsonl", readings);
    house.configure("kind = \"file\"\npath = \"readings.jsonl\"", "");
    house.run();
    house
}

/// As many pieces, at ends of lines.
fn pieces(readings: &str, count: usize) -> Vec<String> {
    let lines: Vec<&str> = readings.lines().collect();
    let pieces = lines.chunks(lines.len().div_ceil(count));
    pieces.map(|piece| piece.iter().map(|line| format!("{line}\n")).collect()).collect()
}

fn built_in(name: &str) -> std::path::PathBuf {
    root().join("detectors").join(name).with_extension("wasm")
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
    assert!(output.status.code() == Some(2) && said.contains("nothing ran before it"), "{said}");
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
