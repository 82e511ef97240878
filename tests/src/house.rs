//! A small language to run the real binary in: a folder of its own with detectors, readings, a
//! configuration; and what came out.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::bench::root;

/// The binary that `cargo build` made of this tree.
pub fn gridwatch() -> Command {
    let path = root().join("target/release/gridwatch");
    assert!(path.is_file(), "{} is missing: cargo build --release --workspace", path.display());
    Command::new(path)
}

/// A folder to run gridwatch in.
pub struct House {
    folder: TempDir,
}

impl House {
    /// With the built-in detectors that are named.
    pub fn with(detectors: &[&str]) -> House {
        let house = House { folder: tempfile::tempdir().unwrap() };
        std::fs::create_dir(house.path("detectors")).unwrap();
        for name in detectors {
            house.detector(name, &root().join("detectors").join(name).with_extension("wasm"), "");
        }
        house
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Deploys a module under a name, with a `NAME.toml` unless that is empty.
    pub fn detector(&self, name: &str, module: &Path, toml: &str) {
        let to = self.path("detectors").join(name);
        std::fs::copy(module, to.with_extension("wasm"))
            .unwrap_or_else(|e| panic!("{}: {e}", module.display()));
        if !toml.is_empty() {
            std::fs::write(to.with_extension("toml"), toml).unwrap();
        }
    }

    /// The hostile detector of `tests/hostile`, with the sin that it commits.
    pub fn hostile(&self, sin: &str, after: u64, limits: &str) {
        let module = root().join("target/examples/hostile.wasm");
        let toml = format!("[parameters]\nsin = \"{sin}\"\nafter = {after}\n{limits}");
        self.detector("hostile", &module, &toml);
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), bytes).unwrap();
    }

    /// `gridwatch.toml`: reads `readings.jsonl` (or what `source` says), writes `anomalies.jsonl` and
    /// `dead-letters.jsonl`.
    pub fn configure(&self, source: &str, rest: &str) {
        let config = format!(
            "[source]\n{source}\n[sink]\nkind = \"file\"\npath = \"anomalies.jsonl\"\n\
             [dead_letters]\npath = \"dead-letters.jsonl\"\n[detectors]\ndir = \"detectors\"\n\
             [api]\nlisten = \"127.0.0.1:0\"\n[metrics]\nlisten = \"127.0.0.1:0\"\n{rest}",
        );
        self.write("gridwatch.toml", config);
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = gridwatch();
        command.args(arguments).current_dir(self.folder.path()).stdin(Stdio::null());
        command
    }

    /// Runs to the end; its account, parsed from standard output.
    pub fn run(&self) -> Value {
        let output = self.output(&["run", "-c", "gridwatch.toml", "--json"]);
        assert!(output.status.success(), "{}", errors(&output));
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", errors(&output)))
    }

    pub fn output(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    pub fn spawn(&self) -> Child {
        let mut command = self.command(&["run", "-c", "gridwatch.toml", "--json"]);
        command.stdout(Stdio::null()).stderr(Stdio::inherit()).spawn().unwrap()
    }

    pub fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// In bytes; 0 where there is no such file.
    pub fn length(&self, name: &str) -> u64 {
        std::fs::metadata(self.path(name)).map_or(0, |metadata| metadata.len())
    }

    pub fn json_lines(&self, name: &str) -> Vec<Value> {
        self.text(name).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Lines of `anomalies.jsonl` that `detector` wrote.
    pub fn anomalies_of(&self, detector: &str) -> String {
        let of_detector = format!("\"detector\":\"{detector}\"");
        let text = self.text("anomalies.jsonl");
        let lines = text.lines().filter(|line| line.contains(&of_detector));
        lines.map(|line| format!("{line}\n")).collect()
    }
}

/// What a command said on standard error, for a failure's message.
pub fn errors(output: &Output) -> String {
    format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr))
}

/// Simulated readings with faults, as JSON lines.
pub fn simulated(seed: u64, readings: usize) -> String {
    let output = gridwatch()
        .args(["simulate", "--seed", &seed.to_string(), "--readings", &readings.to_string()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", errors(&output));
    String::from_utf8(output.stdout).unwrap()
}
