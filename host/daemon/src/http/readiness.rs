//! What must be so before gridwatch counts as ready. Each condition has a latch, held by whoever
//! knows; `/readyz` lists those that are not ready.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "state", content = "reason")]
pub enum State {
    Pending,
    Ready,
    Failed(String),
}

/// All conditions of a process.
#[derive(Debug, Clone, Default)]
pub struct Readiness {
    conditions: Arc<Mutex<BTreeMap<&'static str, State>>>,
}

impl Readiness {
    /// A new condition, pending.
    pub fn condition(&self, name: &'static str) -> Latch {
        let latch = Latch { name, readiness: self.clone() };
        latch.set(State::Pending);
        latch
    }

    /// The conditions that are not ready; empty: ready.
    pub fn missing(&self) -> BTreeMap<&'static str, State> {
        let conditions = self.conditions.lock().unwrap_or_else(PoisonError::into_inner);
        conditions
            .iter()
            .filter(|(_, state)| **state != State::Ready)
            .map(|(name, state)| (*name, state.clone()))
            .collect()
    }
}

/// One condition's handle.
#[derive(Debug, Clone)]
pub struct Latch {
    name: &'static str,
    readiness: Readiness,
}

impl Latch {
    pub fn ready(&self) {
        self.set(State::Ready);
    }

    pub fn failed(&self, reason: impl Into<String>) {
        self.set(State::Failed(reason.into()));
    }

    pub fn is_failed(&self) -> bool {
        let conditions = self.readiness.conditions.lock().unwrap_or_else(PoisonError::into_inner);
        matches!(conditions.get(self.name), Some(State::Failed(_)))
    }

    /// For `ready` once, where somebody else says later how it goes on.
    pub fn is_pending(&self) -> bool {
        let conditions = self.readiness.conditions.lock().unwrap_or_else(PoisonError::into_inner);
        conditions.get(self.name) == Some(&State::Pending)
    }

    fn set(&self, state: State) {
        // A map of small values is whole whatever a panicking holder was at.
        let mut conditions = self.readiness.conditions.lock().unwrap_or_else(PoisonError::into_inner);
        conditions.insert(self.name, state);
    }
}
