//! What the benchmarks share: one pinned core, CPU time, medians, and results as a table and as JSON.
//!
//! - `process` a child process on given cores: its CPU time, its memory, what its `/metrics` say
//! - `topic`   simulated readings in a topic, gridwatch's configuration for it, anomalies counted
//! - `floor`   the job that somebody would write by hand for the same topic
//! - `live`    readings at a steady rate, and how soon the anomalies among them are read
//! - `swaps`   a host whose detectors are swapped under full load; `oracle` what it should have said

pub mod floor;
pub mod live;
pub mod oracle;
pub mod process;
pub mod swaps;
pub mod topic;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use gridwatch_core::judge::{GuestLog, LogLevel, Module};
use gridwatch_sandbox::{Sandbox, SandboxSettings};
use limits::Limits;
use physics::Physics;
use shift::Shift;
use vitals::Vitals;

use crate::native::NativeModule;

/// The four built-in detectors, in the order of their names.
pub const DETECTORS: [&str; 4] = ["limits", "physics", "shift", "vitals"];

/// Keeps the process on one core, so that small differences can be seen.
pub fn pin_to_one_core() {
    let cores = rustix::thread::sched_getaffinity(None).unwrap();
    let last = (0..rustix::thread::CpuSet::MAX_CPU).rev().find(|&core| cores.is_set(core)).unwrap();
    let mut one = rustix::thread::CpuSet::new();
    one.set(last);
    rustix::thread::sched_setaffinity(None, &one).unwrap();
}

/// CPU seconds (user and system) of the whole process so far.
pub fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// CPU seconds that `work` took.
pub fn cpu_of<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let start = cpu_seconds();
    let result = work();
    (cpu_seconds() - start, result)
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
}

/// Half the distance between the quartiles, as a share of the median: the noise of a figure.
pub fn spread(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let quarter = values.len() / 4;
    (values[values.len() - 1 - quarter] - values[quarter]) / 2.0 / median(values)
}

/// Writes `target/bench/NAME.json`.
pub fn write_result(name: &str, result: &serde_json::Value) {
    let folder = root().join("target/bench");
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join(name).with_extension("json");
    std::fs::write(&path, serde_json::to_string_pretty(result).unwrap() + "\n").unwrap();
    println!("\n{}", path.strip_prefix(root()).unwrap().display());
}

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The built-in detectors as they are deployed, from `detectors/*.wasm`.
pub fn wasm_modules() -> Vec<Arc<dyn Module>> {
    let settings =
        SandboxSettings { cache_dir: Some(root().join("target/bench/cache")), ..SandboxSettings::default() };
    let sandbox = Sandbox::new(settings).unwrap();
    DETECTORS
        .iter()
        .map(|name| {
            let path = root().join("detectors").join(name).with_extension("wasm");
            let bytes =
                std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}; run `make guests`", path.display()));
            Arc::new(sandbox.load(&bytes).unwrap()) as Arc<dyn Module>
        })
        .collect()
}

/// The same detectors compiled into this program.
pub fn native_modules() -> Vec<Arc<dyn Module>> {
    vec![
        NativeModule::<Limits>::new(),
        NativeModule::<Physics>::new(),
        NativeModule::<Shift>::new(),
        NativeModule::<Vitals>::new(),
    ]
}

pub struct NoLog;

impl GuestLog for NoLog {
    fn line(&self, _level: LogLevel, _message: &str) {}
    fn dropped(&self, _lines: u64) {}
}
