//! The sandbox against modules that are not what they should be, one file a fear.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod cache;
mod contract;
mod determinism;
mod guest;
mod limits;
mod refusals;
mod wasi;
mod wat_guest;
