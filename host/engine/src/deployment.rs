//! A detector as it is to run: a module under a name, with its parameters and limits.

use std::sync::Arc;

use gridwatch_core::judge::{GuestLog, Limits, Module};
use sha2::{Digest, Sha256};

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

impl Deployment {
    /// Module, parameters and limits in one: what failed once fails again only as long as this is the same.
    pub fn fingerprint(&self) -> String {
        let limits = format!("{:?}", self.limits);
        let parts = [self.module.digest(), &self.parameters, &limits];
        let digest = Sha256::digest(parts.join("\n").as_bytes());
        digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }
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
