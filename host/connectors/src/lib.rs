//! The outside world of data, one folder each: files, Kafka, memory, schema registry, simulator, stores.

pub mod files;
pub mod kafka;
pub mod memory;
pub mod registry;
pub mod simulator;
pub mod stores;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// What is kept behind these locks is whole whoever panicked while holding it, and still to be read.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
