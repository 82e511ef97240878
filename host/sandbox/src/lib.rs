//! The only crate that knows wasmtime: engine, module, instance, limits, faults.
//!
//! A file's bytes become a [`LoadedModule`] (or a [`Refusal`] that says how to mend them), a module
//! makes instances, and an instance is a `gridwatch_core::judge::Judge` that can hurt nobody: what it
//! may use is capped, and every way in which it can fail is a `Fault`. Files in reading order:
//!
//! - `sandbox` one wasmtime engine with its configuration; `load`, from bytes to module
//! - `anatomy` what the bytes are, import and export, read before anything is compiled
//! - `encode` a plain core module made into a component
//! - `refusal` every reason for which bytes are not taken
//! - `descriptor` whether what a module says of itself can be used
//! - `cache` compiled code kept in our own directory (the one room with `unsafe`)
//! - `module`, `instance` compiled and proven bytes; such bytes alive in a lane
//! - `guard`, `ticker` memory, tables and CPU time of an instance, and the clock that interrupts it
//! - `guestlog` the one thing that a guest can call
//! - `wasi` what toolchains drag in, answered without a world behind it
//! - `check` whether what a guest answers keeps the contract
//! - `faults`, `lines` how a failed call is named; where in its author's source that was
//! - `contract` Rust's view of `wit/detector.wit`

mod anatomy;
mod cache;
mod canonical;
mod check;
mod contract;
mod descriptor;
mod encode;
mod faults;
mod guard;
mod guestlog;
mod instance;
mod lines;
mod module;
mod refusal;
mod sandbox;
mod ticker;
mod wasi;

pub use anatomy::{CONTRACT, Form};
pub use module::LoadedModule;
pub use refusal::Refusal;
pub use sandbox::{Sandbox, SandboxError, SandboxSettings};
