//! The outside world of data, one folder each: files, memory, simulator, stores.

pub mod simulator;
