//! All four detectors natively over simulated and real readings: what was found of what was injected, and
//! what was said for nothing.
//!
//!     cargo run --release -p shift --example evaluate -- 1 2 3          seeds of the simulator
//!     cargo run --release -p shift --example evaluate -- -v 1           and each miss and false alarm
//!     cargo run --release -p shift --example evaluate -- '{"interval_ms": 10000, "days": 2}' 1   another scenario
//!     cargo run --release -p shift --example evaluate -- --cost          nanoseconds a reading
//!     cargo run --release -p shift --example evaluate -- --csv blackout FILE
//!     cargo run --release -p shift --example evaluate -- --csv transformer FILE
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

#[path = "evaluate/cost.rs"]
mod cost;
#[path = "evaluate/csv.rs"]
mod csv;
#[path = "evaluate/panel.rs"]
mod panel;
#[path = "evaluate/simulated.rs"]
mod simulated;

use gridwatch_connectors::simulator::Scenario;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(at) = arguments.iter().position(|argument| argument == "--csv") {
        csv::run(&arguments[at + 1], &arguments[at + 2]);
        return;
    }
    if arguments.iter().any(|argument| argument == "--cost") {
        cost::run();
        return;
    }
    let verbose = arguments.iter().any(|argument| argument == "-v");
    let json = arguments.iter().find(|argument| argument.starts_with('{')).map_or("{}", String::as_str);
    let scenario: Scenario = serde_json::from_str(json).unwrap();
    let seeds: Vec<u64> = arguments.iter().filter_map(|argument| argument.parse().ok()).collect();
    simulated::run(if seeds.is_empty() { &[1] } else { &seeds }, &scenario, verbose);
}
