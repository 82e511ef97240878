//! Why a module that loads may not judge: what, where, and what to do.

use std::fmt;

use gridwatch_core::judge::{Call, Fault};

use super::admission::Cost;

/// A promise of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Property {
    Deterministic,
    CutInvariant,
    AnnouncementInvariant,
    RestoreInvariant,
}

impl Property {
    pub(super) const ALL: [Property; 4] = [
        Property::Deterministic,
        Property::CutInvariant,
        Property::AnnouncementInvariant,
        Property::RestoreInvariant,
    ];

    /// What the run that differs was, and what to look for.
    pub(super) fn told(self) -> (&'static str, &'static str) {
        match self {
            Property::Deterministic => (
                "twice the same",
                "something in it is not a function of what it is given: memory that it reads before it writes it, \
                 or numbers and times that its language's runtime keeps",
            ),
            Property::CutInvariant => (
                "the same readings in smaller batches",
                "nothing may be counted or kept by the batch, and no order of a hash map with keys of its own \
                 (std's HashMap) may show: sort, or use the SDK's collections",
            ),
            Property::AnnouncementInvariant => (
                "sensors announced with their first reading",
                "a sensor that is known and has not been read yet must leave no trace; begin its state with its \
                 first reading",
            ),
            Property::RestoreInvariant => (
                "the state saved and restored in between",
                "all that findings depend on must be in `save` and `save-shared`, open episodes and counters \
                 too, floats bit for bit; `restore` must take it all up",
            ),
        }
    }

    fn label(self) -> &'static str {
        match self {
            Property::Deterministic => "not_deterministic",
            Property::CutInvariant => "depends_on_cuts",
            Property::AnnouncementInvariant => "depends_on_announcements",
            Property::RestoreInvariant => "loses_state",
        }
    }
}

/// What was wrong, and what a reading cost until then.
#[derive(Debug, Clone, PartialEq)]
pub struct Unproven {
    pub why: Why,
    /// None: it failed before that was seen.
    pub cost: Option<Cost>,
}

/// The runs were on `readings` readings `of` a kind: "made up", "that lane 3 has just read".
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Why {
    #[error("failed when it was tried on {readings} readings {of}{}: {fault}; {}", property.map_or(String::new(), |property| format!(" ({})", property.told().0)), remedy(fault))]
    Fault { property: Option<Property>, readings: u64, of: String, fault: Fault },
    #[error(
        "breaks the contract: with {} it {what} than on the same {readings} readings {of} otherwise; {}",
        property.told().0, property.told().1
    )]
    Differs { property: Property, readings: u64, of: String, what: String },
    #[error(
        "is too dear: more than the {max} {unit} a reading that are allowed (cost_ns_per_reading_max); judge fewer \
         quantities, keep less by sensor, or do on ticks what need not be done with every reading"
    )]
    TooDear { unit: &'static str, max: u64 },
}

impl std::error::Error for Unproven {}

impl fmt::Display for Unproven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.why)?;
        self.cost.map_or(Ok(()), |cost| write!(f, "\nit costs {cost}"))
    }
}

impl Unproven {
    /// What tables and metrics say.
    pub fn label(&self) -> &'static str {
        match &self.why {
            Why::Fault { fault, .. } => fault.label(),
            Why::Differs { property, .. } => property.label(),
            Why::TooDear { .. } => "too_dear",
        }
    }
}

fn remedy(fault: &Fault) -> &'static str {
    match fault {
        Fault::Trap { .. } => {
            "refuse bad input with words rather than to trap; keep the functions' names in the build"
        }
        Fault::Deadline { .. } => "do less in one call, or allow more: [limits] call_deadline",
        Fault::Memory { .. } => "keep less by sensor, or allow more: [limits] memory_max",
        Fault::Output { .. } => {
            "say it once an episode rather than with every reading, or allow more: [limits]"
        }
        Fault::Refused { call: Call::Configure, .. } => "mend [parameters]",
        Fault::Refused { .. } => "these readings are in order as the contract has it, and must be judged",
        Fault::Contract { .. } => "wit/README.md says what an answer may be",
        Fault::Host { .. } => "look at the log",
    }
}
