//! What this process has last seen in its directory: only what changed since then is its proposal. Of several
//! processes with directories of their own, one that comes back with old files must not take the others back.

use std::collections::BTreeMap;

use gridwatch_core::digest;
use gridwatch_core::roster::Plan;
use gridwatch_core::sink::{Store, StoreError};
use gridwatch_engine::foundry::rosters::RosterLogError;
use serde::{Deserialize, Serialize};

const VERSION: u32 = 1;

pub struct Memory {
    /// In the store.
    object: String,
    /// By name: what stands for its plan.
    seen: BTreeMap<String, String>,
    /// The last one that this process has brought about: with a roster from before, what was seen is known to nobody.
    generation: u64,
    /// It remembers nothing at all, not even that there was nothing.
    is_blank: bool,
    is_changed: bool,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    #[serde(default)]
    generation: u64,
    seen: BTreeMap<String, String>,
}

impl Memory {
    pub fn new(instance: &str) -> Memory {
        let object = format!("inboxes/{instance}.json");
        Memory { object, seen: BTreeMap::new(), generation: 0, is_blank: true, is_changed: false }
    }

    /// `latest`: the generation of the roster that is there.
    pub fn load(&mut self, store: &dyn Store, latest: u64) -> Result<(), RosterLogError> {
        let bytes = match store.get(&self.object) {
            Err(StoreError::Missing { .. }) => return Ok(()),
            bytes => bytes?,
        };
        match serde_json::from_slice::<Stored>(&bytes) {
            Ok(stored) if stored.version == VERSION && stored.generation > latest => {
                let known = stored.generation;
                tracing::warn!(
                    known,
                    latest,
                    "newer rosters are gone; what lies in the directory counts as new"
                );
            }
            Ok(stored) if stored.version == VERSION => {
                (self.seen, self.generation, self.is_blank) = (stored.seen, stored.generation, false);
            }
            _ => tracing::warn!(object = self.object, "cannot be read, and counts as if it was not there"),
        }
        Ok(())
    }

    pub fn save(&mut self, store: &dyn Store) -> Result<(), RosterLogError> {
        if self.is_changed || self.is_blank {
            let stored = Stored { version: VERSION, generation: self.generation, seen: self.seen.clone() };
            let bytes = serde_json::to_vec_pretty(&stored)
                .map_err(|error| StoreError::Failed { name: self.object.clone(), what: error.to_string() })?;
            store.put(&self.object, bytes)?;
            (self.is_changed, self.is_blank) = (false, false);
        }
        Ok(())
    }

    /// A proposal of this process is the roster of that generation.
    pub fn note_generation(&mut self, generation: u64) {
        self.is_changed |= std::mem::replace(&mut self.generation, generation) != generation;
    }

    pub fn is_blank(&self) -> bool {
        self.is_blank
    }

    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.seen.keys()
    }

    pub fn is_new(&self, name: &str, plan: &Plan) -> bool {
        self.seen.get(name) != Some(&sign_of(plan))
    }

    pub fn note(&mut self, name: &str, plan: &Plan) {
        let sign = sign_of(plan);
        self.is_changed |= self.seen.insert(name.to_owned(), sign.clone()) != Some(sign);
    }

    pub fn forget(&mut self, name: &str) {
        self.is_changed |= self.seen.remove(name).is_some();
    }
}

fn sign_of(plan: &Plan) -> String {
    digest::short(serde_json::to_string(plan).unwrap_or_default().as_bytes())
}
