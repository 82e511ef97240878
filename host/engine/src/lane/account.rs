//! What a lane shows of how it fares.

use gridwatch_core::account::Account;
use gridwatch_core::checkpoint::Role;
use gridwatch_core::dead_letter::DeadLetter;
use gridwatch_core::record::Chunk;
use gridwatch_core::unfound::Unfound;

use super::{DetectorSnapshot, Lane};

impl Lane {
    pub fn account(&self) -> Account {
        let mut account = self.account.clone();
        account.quantities_left_out = self.decoder.quantities_left_out();
        account.unfound = self.sought.unfound().clone();
        for mapping in self.decoder.shadowed() {
            let unfound = Unfound { path: mapping.path.clone(), nearest: vec![mapping.name.clone()] };
            account.unfound.insert(mapping.name.clone(), unfound);
        }
        account
    }

    /// Each detector with what it cost so far and how it fares.
    pub fn detectors(&self) -> impl Iterator<Item = DetectorSnapshot> {
        let live = self.seats.iter().map(|seat| seat.snapshot(Role::Live));
        live.chain(self.hidden.iter().filter_map(|hidden| self.snapshot_of(hidden)))
    }

    /// After a chunk of records: which mappings have not matched so far.
    pub fn look_for_mapped(&mut self, chunk: &Chunk) {
        self.sought.look(&self.settings.decode.mappings, self.decoder.quantities(), chunk);
    }
}

/// One of each reason says what to look at; the others are counted, and kept where dead letters go.
pub(super) fn say_first(letter: &DeadLetter) {
    let (reason, detail) = (letter.reason.name(), &letter.detail);
    let place = match letter.meta.line {
        0 => format!("position {}", letter.meta.position),
        line => format!("line {line}"),
    };
    tracing::warn!("a dead letter, the first with this reason: {}, {place}: {reason}: {detail}", letter.lane);
}
