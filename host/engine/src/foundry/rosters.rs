//! Rosters in the store, one object a generation, and modules beside them by digest.
//!
//! An object is created where none is, or not at all: that is the compare-and-swap, and a local directory
//! has it as well as a bucket. The greatest generation counts; the last few are kept, to be looked at.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use gridwatch_core::Timestamp;
use gridwatch_core::digest;
use gridwatch_core::roster::{self, Proposal, Roster, RosterError, Slot, Unmoved};
use gridwatch_core::sink::{Store, StoreError};

const ROSTERS: &str = "rosters/";
const MODULES: &str = "modules/";
/// Generations that are kept, beside those that the latest one names: lanes that live something again need to know
/// what they named.
const KEPT: usize = 1_000;
/// Others may propose at the same time; so many times each of them may be first.
const TRIES_MAX: usize = 20;

/// Why the roster cannot be read or moved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RosterLogError {
    #[error("the roster cannot be read or written: {0}")]
    Store(#[from] StoreError),
    #[error("the roster {name} {what}")]
    Unreadable { name: String, what: RosterError },
    #[error(
        "the roster changes all the time: {TRIES_MAX} others were first; is one process taking back what another proposes?"
    )]
    Contended,
    #[error(
        "the roster of generation {followed} runs here, and that of generation {found} in the store does not come of it: \
         was the store emptied or replaced? What runs goes on; put the store back, or restart all processes to begin \
         with what is there"
    )]
    Lost { followed: u64, found: u64 },
    #[error("module {digest}: what the store has under its name is something else, of {bytes} bytes")]
    Forged { digest: String, bytes: usize },
    #[error(transparent)]
    Unmoved(#[from] Unmoved),
}

/// All processes that share the store share the roster.
#[derive(Clone)]
pub struct Rosters {
    store: Arc<dyn Store>,
}

impl Rosters {
    pub fn new(store: Arc<dyn Store>) -> Self {
        Rosters { store }
    }

    /// Generation 0, with nothing in it, where there is none yet.
    pub fn latest(&self) -> Result<Roster, RosterLogError> {
        loop {
            let Some(name) = self.store.list(ROSTERS)?.pop() else { return Ok(Roster::default()) };
            match self.read(&name) {
                // It was swept since: by somebody who saw so many newer ones.
                Err(RosterLogError::Store(StoreError::Missing { .. })) => {}
                roster => return roster,
            }
        }
    }

    /// Whether `later` is `before` or has followed on it.
    pub fn comes_of(&self, later: &Roster, before: &Roster) -> Result<bool, RosterLogError> {
        if before.generation == 0 || later.generation <= before.generation {
            return Ok(before.generation == 0 || later == before);
        }
        // It may have been swept since.
        let is_swept = later.generation - before.generation >= KEPT as u64;
        Ok(self.of_generation(before.generation)?.map_or(is_swept, |kept| kept == *before))
    }

    /// A generation, if it is still kept.
    pub fn of_generation(&self, generation: u64) -> Result<Option<Roster>, RosterLogError> {
        match self.read(&name_of(generation)) {
            Err(RosterLogError::Store(StoreError::Missing { .. })) => Ok(None),
            roster => roster.map(Some),
        }
    }

    fn read(&self, name: &str) -> Result<Roster, RosterLogError> {
        let unreadable = |what| RosterLogError::Unreadable { name: name.to_owned(), what };
        roster::decode(&self.store.get(name)?).map_err(unreadable)
    }

    /// Makes the proposal the next generation, and answers with that.
    pub fn propose(&self, proposal: &Proposal) -> Result<Roster, RosterLogError> {
        for _ in 0..TRIES_MAX {
            let next = self.latest()?.follow(proposal.clone(), now_ms())?;
            let name = name_of(next.generation);
            let unreadable = |what| RosterLogError::Unreadable { name: name.clone(), what };
            let bytes = roster::encode(&next).map_err(unreadable)?;
            // Where something is already it may be ours: an answer got lost, and the call was made again.
            if self.store.create(&name, bytes.clone())? || self.store.get(&name)? == bytes {
                self.sweep(&next);
                return Ok(next);
            }
        }
        Err(RosterLogError::Contended)
    }

    /// Leaves the last few, and whatever brought what is to run. What fails here is done by the next one.
    fn sweep(&self, latest: &Roster) {
        let Ok(names) = self.store.list(ROSTERS) else { return };
        let named: BTreeSet<String> =
            latest.slots.values().flat_map(Slot::generations).map(name_of).collect();
        for name in names.iter().rev().skip(KEPT).filter(|name| !named.contains(*name)) {
            if let Err(error) = self.store.delete(name) {
                tracing::debug!(name, %error, "an old roster was not deleted");
            }
        }
    }

    /// Keeps a module's bytes for every process; answers with its digest.
    pub fn keep_module(&self, bytes: &[u8]) -> Result<String, RosterLogError> {
        let digest = digest::sha256(bytes);
        let name = module_name(&digest);
        if !self.store.list(&name)?.contains(&name) {
            self.store.put(&name, bytes.to_vec())?;
        }
        Ok(digest)
    }

    /// A module by its digest; what the store has is not trusted, but looked at.
    pub fn module(&self, digest: &str) -> Result<Vec<u8>, RosterLogError> {
        let bytes = self.store.get(&module_name(digest))?;
        if digest::sha256(&bytes) == digest {
            return Ok(bytes);
        }
        Err(RosterLogError::Forged { digest: digest.to_owned(), bytes: bytes.len() })
    }
}

/// Wall time, ms since 1970.
fn now_ms() -> Timestamp {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as Timestamp)
}

fn module_name(digest: &str) -> String {
    format!("{MODULES}{}.wasm", digest.replace(':', "-"))
}

fn name_of(generation: u64) -> String {
    format!("{ROSTERS}{generation:020}.json")
}
