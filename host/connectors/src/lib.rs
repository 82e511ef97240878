//! The outside world of data, one folder each: files, Kafka, memory, schema registry, simulator, stores.

pub mod files;
pub mod kafka;
pub mod memory;
pub mod registry;
pub mod simulator;
pub mod stores;
