//! A detector as it is to run: a module under a name, with its parameters and limits.

use std::sync::Arc;

use gridwatch_core::judge::{GuestLog, Limits, Module};

/// What a fault of this detector does to its lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFault {
    /// The detector judges no more on the lane; all else goes on.
    Quarantine,
    /// The process stops.
    Halt,
}

/// What to do when a module refuses the state that the one before it left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnNewState {
    Refuse,
    Cold,
}

#[derive(Clone)]
pub struct Deployment {
    /// The detector's name: its file's, not its module's.
    pub name: String,
    pub module: Arc<dyn Module>,
    /// JSON, checked against the module's schema.
    pub parameters: String,
    pub limits: Limits,
    pub on_fault: OnFault,
    pub on_new_state: OnNewState,
    pub log: Arc<dyn GuestLog>,
}
