//! Domain types and pure logic of gridwatch.
//!
//! Nothing in here does I/O, reads a clock, spawns anything, or knows wasmtime or rdkafka: what this
//! crate needs to know of the outside it is told. Modules in the order in which a reading meets them.

pub mod account;
pub mod anomaly;
pub mod assets;
pub mod batch;
pub mod capsule;
pub mod checkpoint;
pub mod clock;
pub mod dead_letter;
pub mod decision;
pub mod decode;
pub mod digest;
pub mod durations;
pub mod finding;
pub mod intake;
pub mod judge;
pub mod reading;
pub mod record;
pub mod roster;
pub mod schema;
pub mod sensors;
pub mod shared;
pub mod sink;
pub mod time;
pub mod unfound;

/// Event time: milliseconds since the Unix epoch, UTC.
pub type Timestamp = i64;
