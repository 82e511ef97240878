//! The pipeline: readings in, anomalies out, one thread a lane.
//!
//! A lane is a state machine without threads, clocks or I/O ([`lane::Lane`]); a worker feeds it from a
//! source and hands its output on ([`worker::Worker`]); the outlet owns the sink, the checkpoint store
//! and the commits ([`outlet::Outlet`]). What a lane has lived can be lived again ([`history::History`]). [`pipeline::Pipeline`] puts threads and bounded queues around
//! them. Tests drive the same three by hand and crash them anywhere.

pub mod capsule;
pub mod deployment;
pub mod foundry;
pub mod history;
pub mod lane;
pub mod outlet;
pub mod pipeline;
mod priority;
pub mod settings;
pub mod start;
mod stopwatch;
pub mod vault;
pub mod worker;
