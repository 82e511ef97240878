//! A detector as it is to run: a module under a name, with its parameters and limits.

use std::sync::Arc;

use gridwatch_core::judge::{GuestLog, Limits, Module};
use gridwatch_core::roster;
pub use gridwatch_core::roster::{OnFault, OnNewState};

impl Deployment {
    /// Module, parameters and limits in one: what failed once fails again only as long as this is the same.
    pub fn fingerprint(&self) -> String {
        roster::fingerprint(self.module.digest(), &self.parameters, self.limits)
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
