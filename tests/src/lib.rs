//! What the scenarios and benchmarks share: detectors run natively beside their WebAssembly selves, and a
//! small language to run the host in.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

pub mod bench;
pub mod chaos;
pub mod columns;
pub mod fuzz;
pub mod house;
pub mod native;
pub mod servers;
pub mod stack;
