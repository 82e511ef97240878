//! A detector as it is to run: a module under a name, with its parameters and limits.

use std::sync::Arc;
use std::time::Duration;

use gridwatch_core::Timestamp;
use gridwatch_core::judge::{GuestLog, Limits, Module};
use gridwatch_core::roster;
pub use gridwatch_core::roster::{Mode, OnFault, OnNewState};

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
    /// With more faults than this within ten minutes of event time it is quarantined.
    pub faults_max: usize,
    /// The roster's that brought it; 0 without a roster.
    pub generation: u64,
    /// Wall time, ms since 1970, at which the roster brought the build, where that is known.
    pub came_ms: Option<Timestamp>,
    /// What it takes the place of goes on in silence for so long, to go back to.
    pub rollback_window: Duration,
    /// Whether it is heard.
    pub mode: Mode,
    pub log: Arc<dyn GuestLog>,
}

/// Why what ran once cannot be had.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum GoneDeployment {
    #[error("the store cannot be asked for it: {what}")]
    Store { what: String },
    #[error("{what}")]
    Unknown { what: String },
    #[error("its module is refused by now: {what}")]
    Refused { what: String },
}

/// What ran and what runs, by generation of the roster: a lane that lives something again needs what it had then.
pub trait Deployments: Send + Sync {
    fn deployment(&self, detector: &str, generation: u64) -> Result<Arc<Deployment>, GoneDeployment>;
}
