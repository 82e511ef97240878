//! The whole host against what could go wrong. One module a fear.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bits;
mod changes;
mod chaos;
mod examples;
mod faults;
mod floors;
mod fuzz;
mod input;
mod kafka;
mod kafka_tools;
mod registry;
mod restart;
mod schemas;
mod servers;
mod wasi;
mod wire;
