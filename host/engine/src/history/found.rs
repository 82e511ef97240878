//! Which checkpoint a stretch of the past begins at.

use std::fmt;

use gridwatch_core::Timestamp;
use gridwatch_core::decision::Chronicle;
use gridwatch_core::record::Position;
use gridwatch_core::time::rfc3339;

use super::{History, HistoryError, Patience, Reliving};
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
    /// Before its first reading a lane has no time: it began before every moment of its past.
    fn is_after(self, place: Place, is_beginning: bool) -> bool {
        match self {
            At::Position(position) => place.position <= position,
            At::Time(time) => place.time.map_or(is_beginning, |at| at <= time),
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
    /// store has: what was decided since the last checkpoint is not known there. One that was left by an owner who had
    /// decided otherwise, and could not commit it, is passed over.
    pub fn relive_from(
        &self,
        parts: LaneParts,
        at: At,
        whom: &[&str],
        speaks_from: Position,
        patience: Patience<'_>,
    ) -> Result<Reliving, HistoryError> {
        let names = self.names(&parts.name, patience)?;
        let beyond = || HistoryError::Beyond { lane: parts.name.clone(), wanted: at.to_string() };
        let (Some((first, _)), Some((_, newest))) = (names.first(), names.last()) else {
            return Err(beyond());
        };
        let is_after = |place: Place| at.is_after(place, place == *first);
        if !is_after(*first) {
            return Err(beyond());
        }
        let newest = self.checkpoint(newest, patience)?.chronicle;
        for (_, name) in names.iter().rev().filter(|(place, _)| is_after(*place)) {
            let base = self.checkpoint(name, patience)?;
            let decided = base.chronicle.decided();
            match newest.since(decided) {
                Some(decisions) if newest.has_been_at(&base.chronicle, base.position) => {
                    return Reliving::begin(
                        self,
                        parts,
                        (name, base),
                        decisions,
                        (whom, speaks_from),
                        patience,
                    );
                }
                None if decided < newest.decided() => {
                    return Err(HistoryError::Forgotten { lane: parts.name.clone(), name: name.clone() });
                }
                _ => {}
            }
        }
        Err(beyond())
    }

    /// The last checkpoint that is kept from where the lane was when it had decided all this, and nothing behind
    /// `position`: not one that was left by an owner who could not commit it and had decided otherwise.
    pub fn find(
        &self,
        lane: &str,
        (chronicle, position): (&Chronicle, Position),
        patience: Patience<'_>,
    ) -> Result<String, HistoryError> {
        for (place, name) in self.names(lane, patience)?.into_iter().rev() {
            if place.position > position {
                continue;
            }
            let found = self.checkpoint(&name, patience)?;
            if chronicle.has_been_at(&found.chronicle, found.position) {
                return Ok(name);
            }
        }
        Err(HistoryError::Beyond { lane: lane.to_owned(), wanted: format!("position {position}") })
    }

    /// All that are kept of the lane, ascending.
    fn names(&self, lane: &str, patience: Patience<'_>) -> Result<Vec<(Place, String)>, HistoryError> {
        let (store, folder) = (self.store.clone(), folder_of(lane));
        let listed = patience.wait(move || Ok(store.list(&folder)?))?.into_iter();
        let mut names: Vec<_> = listed.filter_map(|name| Some((Place::of(&name)?, name))).collect();
        names.sort();
        Ok(names)
    }
}
