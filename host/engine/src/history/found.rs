//! Which checkpoint a stretch of the past begins at.

use std::fmt;

use gridwatch_core::Timestamp;
use gridwatch_core::decision::Decision;
use gridwatch_core::record::Position;
use gridwatch_core::time::rfc3339;

use super::{History, HistoryError, Reliving, Stretch};
use crate::lane::LaneParts;
use crate::vault::{Place, folder_of};

/// A moment in a lane's past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    Position(Position),
    /// Event time.
    Time(Timestamp),
}

impl At {
    fn is_after(self, place: Place) -> bool {
        match self {
            At::Position(position) => place.position <= position,
            At::Time(time) => place.time.is_some_and(|at| at <= time),
        }
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            At::Position(position) => write!(f, "position {position}"),
            At::Time(time) => f.write_str(&rfc3339(*time)),
        }
    }
}

impl History {
    /// The lane as of the last checkpoint that is kept from before `at`, for somebody who knows of it only what the
    /// store has: what was decided since the last checkpoint is not known there.
    pub fn relive_from(
        &self,
        parts: LaneParts,
        at: At,
        whom: &[&str],
        speaks_from: Position,
    ) -> Result<Reliving, HistoryError> {
        let folder = folder_of(&parts.name);
        let mut names: Vec<(Place, String)> = self
            .store
            .list(&folder)?
            .into_iter()
            .filter_map(|name| Some((Place::of(&name)?, name)))
            .collect();
        names.sort();
        let base = names.iter().rev().find(|(place, _)| at.is_after(*place));
        let (Some((_, base)), Some((_, newest))) = (base, names.last()) else {
            return Err(HistoryError::Beyond { lane: parts.name, wanted: at.to_string() });
        };
        let chronicle = self.checkpoint(newest)?.chronicle;
        let decisions = |decided: u64| -> Option<Vec<Decision>> { chronicle.since(decided) };
        self.relive(parts, base, Stretch { whom, decisions: &decisions, speaks_from })
    }
}
