//! The outside world of data, one folder each: files, memory, simulator, stores.

pub mod files;
pub mod memory;
pub mod simulator;
pub mod stores;
