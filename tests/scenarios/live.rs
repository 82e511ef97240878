//! A host that runs while a test feeds it, drops files into its directory and reads its log.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use gridwatch_tests::bench::root;
use gridwatch_tests::house::House;
use rustix::process::{Pid, Signal, kill_process};

/// Also of who runs without some that were refused.
const READY: &str = "metrics=";
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A house with a host that follows its readings.
pub struct Live<'a> {
    house: &'a House,
    pub child: Child,
}

impl<'a> Live<'a> {
    pub fn start(house: &'a House) -> Live<'a> {
        if !house.path("readings.jsonl").exists() {
            house.write("readings.jsonl", "");
        }
        let command = house.command(&["run", "-c", "gridwatch.toml"]);
        Live::started(house, command, READY)
    }

    /// By a command of its own, whose log says `ready` once more when it is.
    pub fn started(house: &'a House, mut command: Command, ready: &str) -> Live<'a> {
        let log = OpenOptions::new().create(true).append(true).open(house.path("log")).unwrap();
        let before = house.text("log").matches(ready).count();
        let child = command.stdout(File::create("/dev/null").unwrap()).stderr(log).spawn().unwrap();
        let live = Live { house, child };
        live.until(ready, before + 1);
        live
    }

    /// Until so many lines of the log hold a word.
    pub fn until(&self, word: &str, count: usize) {
        self.until_in("log", word, count);
    }

    /// The same of another file.
    pub fn until_in(&self, file: &str, word: &str, count: usize) {
        let lines = || self.house.text(file).lines().filter(|line| line.contains(word)).count();
        let deadline = Instant::now() + PATIENCE;
        while lines() < count {
            assert!(
                Instant::now() < deadline,
                "{file}: {word} was not said {count} times:\n{}",
                self.house.text("log")
            );
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    pub fn said(&self, word: &str) -> usize {
        self.house.text("log").lines().filter(|line| line.contains(word)).count()
    }

    pub fn feed(&self, lines: &str) {
        let mut file = OpenOptions::new().append(true).open(self.house.path("readings.jsonl")).unwrap();
        file.write_all(lines.as_bytes()).unwrap();
    }

    /// In good order, once all that was fed is committed.
    pub fn stop(mut self) {
        self.committed();
        self.end(Signal::TERM);
    }

    /// Until all that was fed is.
    pub fn committed(&self) {
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
    }

    /// By a signal, in good order.
    pub fn end(&mut self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
        assert!(self.child.wait().unwrap().success(), "{}", self.house.text("log"));
    }
}

impl Drop for Live<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn following(detectors: &[&str]) -> House {
    let house = House::with(detectors);
    let often = "[engine]\ncommit_interval = \"20ms\"\n[checkpoints]\ninterval = \"300ms\"\n";
    house.configure("kind = \"file\"\npath = \"readings.jsonl\"\nfollow = true", often);
    house
}

/// As many pieces, at ends of lines.
pub fn pieces(readings: &str, count: usize) -> Vec<String> {
    let lines: Vec<&str> = readings.lines().collect();
    let pieces = lines.chunks(lines.len().div_ceil(count));
    pieces.map(|piece| piece.iter().map(|line| format!("{line}\n")).collect()).collect()
}

pub fn built_in(name: &str) -> std::path::PathBuf {
    root().join("detectors").join(name).with_extension("wasm")
}
