//! The whole host against what could go wrong. One module a fear.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod api;
mod api_changes;
mod api_host;
mod bits;
mod changes;
mod chaos;
mod compose;
mod demo;
mod directory;
mod examples;
mod faults;
mod files;
mod floors;
mod fuzz;
mod hostile;
mod input;
mod kafka;
mod kafka_tools;
mod live;
mod observers;
mod poison;
mod registry;
mod reload;
mod restart;
mod schemas;
mod servers;
mod wasi;
mod ways_back;
mod wire;
// Guests in WebAssembly text, which the sandbox's own tests are made of, too.
#[path = "../../host/sandbox/tests/sandbox/wat_guest.rs"]
mod wat_guest;
