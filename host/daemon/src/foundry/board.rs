//! What the foundry shows of itself.

use std::collections::BTreeMap;

use gridwatch_core::roster::Roster;

use crate::admission::Refused;

/// What is to run, and what lies in the directory and may not.
#[derive(Debug, Clone, Default)]
pub struct Board {
    pub roster: Roster,
    pub refused: BTreeMap<String, Refused>,
    pub disabled: Vec<String>,
}
