//! What somebody wants of the roster, and why they do not get it.

use std::fmt;

use super::{DETECTORS_MAX, Mode, Plan};

/// What somebody wants of the roster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proposal {
    /// This is to run under the name, as its mode says: in the place of what runs, or beside it as its shadow. What
    /// shadows already and is to be live from now on is promoted.
    Deploy { name: String, plan: Plan },
    /// Nothing is to run under the name.
    Remove { name: String, why: Removal },
    /// What came last is to go: a shadow is taken out; in the place of what runs, what ran before runs again. Where
    /// nothing runs any more, what ran last does.
    RollBack { name: String, which: Which, reason: String },
    /// Some lane cannot run what was gone back to: what was rolled back runs again. Only if that is what runs.
    GoForward { name: String, fingerprint: String, reason: String },
    /// What runs is to run anew where it is quarantined, with what it knows.
    Release { name: String },
    /// What is there under the name is to be heard from now on, or not.
    SetMode { name: String, mode: Mode },
}

/// What a roll-back is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// The shadow, where there is one, else what runs.
    Last,
    Live,
    Shadow,
    /// Whichever of the two has this `Plan::fingerprint`.
    Build(String),
}

/// Why nothing is to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removal {
    /// Its file is there no more. What it knew is kept for its `rollback_window`.
    Gone,
    /// Switched off. What it knew is kept for when it is switched on.
    Off,
    /// It was the first of its name, and some lane cannot run it. Only if it is what runs; it is refused from then on.
    Failed { fingerprint: String, reason: String },
}

impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Proposal::Deploy { name, plan } if plan.mode == Mode::Shadow => {
                write!(f, "{name} is to have {} as its shadow", plan.digest)
            }
            Proposal::Deploy { name, plan } => write!(f, "{name} is to run as {}", plan.digest),
            Proposal::Remove { name, why: Removal::Failed { reason, .. } } => {
                write!(f, "{name} is to run no more: {reason}")
            }
            Proposal::Remove { name, why: Removal::Off } => write!(f, "{name} is to be off"),
            Proposal::Remove { name, why: Removal::Gone } => write!(f, "{name} is to run no more"),
            Proposal::Release { name } => write!(f, "{name} is to judge again where it is quarantined"),
            Proposal::RollBack { name, reason, .. } => write!(f, "{name} is to go back: {reason}"),
            Proposal::GoForward { name, reason, .. } => {
                write!(f, "{name} cannot go back and is to go forward again: {reason}")
            }
            Proposal::SetMode { name, mode: Mode::Live } => write!(f, "{name} is to be live"),
            Proposal::SetMode { name, mode: Mode::Shadow } => write!(f, "{name} is to be a shadow"),
        }
    }
}

impl Proposal {
    /// Whom it is about.
    pub fn name(&self) -> &str {
        match self {
            Proposal::Deploy { name, .. }
            | Proposal::Remove { name, .. }
            | Proposal::RollBack { name, .. }
            | Proposal::GoForward { name, .. }
            | Proposal::Release { name }
            | Proposal::SetMode { name, .. } => name,
        }
    }
}

/// Why a proposal makes no generation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unmoved {
    #[error("{name}: it is so already")]
    Same { name: String },
    #[error("{name}: was rolled back ({reason}); it is refused until the file or its settings change")]
    RolledBack { name: String, reason: String },
    #[error("{name}: there is no detector of that name; there are {}", names_or_none(names))]
    Unknown { name: String, names: Vec<String> },
    #[error(
        "{name}: nothing ran before it, so there is nothing to go back to; take its file away to stop it"
    )]
    NothingBefore { name: String },
    #[error(
        "{name}: was rolled back already ({reason}), and only one build before is kept; drop another build, or other \
         settings, to go on"
    )]
    WentBack { name: String, reason: String },
    #[error("{name}: has no shadow to take out")]
    NoShadow { name: String },
    #[error("{name}: does not run, and what ran under its name is not kept")]
    Stopped { name: String },
    #[error("{name}: nothing is live under that name")]
    NotLive { name: String },
    #[error("{name}: something else runs by now")]
    Overtaken { name: String },
    #[error("{name}: this is what runs live, and it goes on; another build or other parameters shadow it")]
    RunsLive { name: String },
    #[error(
        "{name}: the roster is full: {DETECTORS_MAX} detectors are to run; take a file out of the directory to make room"
    )]
    Full { name: String },
}

fn names_or_none(names: &[String]) -> String {
    if names.is_empty() { "none".into() } else { names.join(", ") }
}
