//! The outlet: takes what lanes say, and makes it final together with where they stand.
//!
//! One commit covers all lanes of the process: output, positions, names of checkpoints, decisions since.
//! A commit names a checkpoint only when that is durable already.

use std::collections::BTreeMap;
use std::sync::Arc;

use gridwatch_core::decision::{self, Decision, DecisionsError};
use gridwatch_core::record::Position;
use gridwatch_core::sink::{Commit, LaneCommit, Outgoing, Sink, SinkError, Store, StoreError};
use sha2::{Digest, Sha256};

use crate::worker::Parcel;

/// Bytes of decisions in a commit beyond which a checkpoint is asked for: Kafka's offset metadata holds
/// 4 KiB.
const DECISION_BYTES_MAX: usize = 3 << 10;

/// All checkpoints lie under this prefix of the store, by lane.
pub const CHECKPOINTS: &str = "checkpoints";

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum OutletError {
    #[error(transparent)]
    Sink(#[from] SinkError),
    #[error("lane {lane}: its first checkpoint cannot be stored: {what}")]
    FirstCheckpoint { lane: String, what: StoreError },
    #[error("lane {lane}: has output before its first checkpoint (a fault of gridwatch itself)")]
    NoCheckpoint { lane: String },
    #[error("lane {lane}: {what}")]
    Decisions { lane: String, what: DecisionsError },
}

pub struct Outlet {
    sink: Box<dyn Sink>,
    store: Arc<dyn Store>,
    lanes: BTreeMap<String, Ledger>,
    /// Something was taken that no commit covers yet.
    dirty: bool,
    /// What earlier lives have left in the store was looked through.
    is_swept: bool,
    observer: Option<Observer>,
    /// Checkpoints that could not be stored since the start.
    checkpoint_failures: u64,
}

/// Told of messages as they go to the sink; must not wait for anything.
pub type Observer = Box<dyn Fn(&[Outgoing]) + Send>;

/// Where a lane stands.
struct Ledger {
    position: Position,
    /// The newest durable checkpoint.
    checkpoint: String,
    /// The one before it; kept, in case the newest turns out damaged.
    previous: Option<String>,
    /// Deleted once a commit names a later one.
    obsolete: Vec<String>,
    /// Since the checkpoint.
    decisions: Vec<Decision>,
    decision_bytes: usize,
}

impl Outlet {
    /// `commit` is the sink's last one: lanes that it names go on from there.
    pub fn new(
        sink: Box<dyn Sink>,
        store: Arc<dyn Store>,
        commit: Option<Commit>,
        observer: Option<Observer>,
    ) -> Result<Self, OutletError> {
        let mut lanes = BTreeMap::new();
        for (lane, commit) in commit.unwrap_or_default().lanes {
            let decisions = decision::decode(&commit.decisions)
                .map_err(|what| OutletError::Decisions { lane: lane.clone(), what })?;
            let ledger = Ledger {
                position: commit.position,
                checkpoint: commit.checkpoint,
                previous: None,
                obsolete: Vec::new(),
                decision_bytes: commit.decisions.len(),
                decisions,
            };
            lanes.insert(lane, ledger);
        }
        Ok(Outlet { sink, store, lanes, dirty: false, is_swept: false, observer, checkpoint_failures: 0 })
    }

    /// Takes one parcel; answers whether the lane should be saved soon, as its decisions pile up.
    pub fn receive(&mut self, lane: &str, parcel: Parcel) -> Result<bool, OutletError> {
        self.dirty = true;
        match parcel {
            Parcel::Checkpoint { position, bytes } => {
                self.store_checkpoint(lane, position, bytes)?;
                Ok(false)
            }
            Parcel::Output(output) => {
                if let Some(observer) = &self.observer {
                    observer(&output.messages);
                }
                self.sink.append(&output.messages)?;
                let Some(ledger) = self.lanes.get_mut(lane) else {
                    return Err(OutletError::NoCheckpoint { lane: lane.to_owned() });
                };
                ledger.position = output.position;
                if !output.decisions.is_empty() {
                    ledger.decisions.extend(output.decisions);
                    ledger.decision_bytes = encoded(lane, &ledger.decisions)?.len();
                }
                Ok(ledger.decision_bytes > DECISION_BYTES_MAX)
            }
        }
    }

    /// Makes all that was received final. Nothing to do where nothing was.
    pub fn settle(&mut self) -> Result<(), OutletError> {
        if !self.dirty {
            return Ok(());
        }
        let mut commit = Commit::default();
        for (lane, ledger) in &self.lanes {
            let decisions =
                if ledger.decisions.is_empty() { Vec::new() } else { encoded(lane, &ledger.decisions)? };
            let entry =
                LaneCommit { position: ledger.position, checkpoint: ledger.checkpoint.clone(), decisions };
            commit.lanes.insert(lane.clone(), entry);
        }
        self.sink.commit(&commit)?;
        self.dirty = false;
        self.collect_garbage();
        Ok(())
    }

    pub fn checkpoint_failures(&self) -> u64 {
        self.checkpoint_failures
    }

    fn store_checkpoint(
        &mut self,
        lane: &str,
        position: Position,
        bytes: Vec<u8>,
    ) -> Result<(), OutletError> {
        let name = checkpoint_name(lane, position, &bytes);
        let stored = self.store.put(&name, bytes);
        match (self.lanes.get_mut(lane), stored) {
            (None, Err(what)) => Err(OutletError::FirstCheckpoint { lane: lane.to_owned(), what }),
            (None, Ok(())) => {
                let ledger = Ledger {
                    position,
                    checkpoint: name,
                    previous: None,
                    obsolete: Vec::new(),
                    decisions: Vec::new(),
                    decision_bytes: 0,
                };
                self.lanes.insert(lane.to_owned(), ledger);
                Ok(())
            }
            // The lane goes on from the checkpoint it has: only the replay after a crash grows longer.
            (Some(_), Err(error)) => {
                self.checkpoint_failures += 1;
                tracing::warn!(lane, position, %error, "the checkpoint cannot be stored; the one before stays");
                Ok(())
            }
            (Some(ledger), Ok(())) => {
                if ledger.checkpoint != name {
                    let before = std::mem::replace(&mut ledger.checkpoint, name);
                    ledger.obsolete.extend(ledger.previous.replace(before));
                }
                ledger.position = position;
                ledger.decisions.clear();
                ledger.decision_bytes = 0;
                Ok(())
            }
        }
    }

    /// What earlier lives have stored and no commit names; of these only the newest before the named one
    /// is kept. A lane has one owner, so nobody else may name them.
    fn sweep(&mut self) {
        for (lane, ledger) in &mut self.lanes {
            let Ok(names) = self.store.list(&format!("{CHECKPOINTS}/{lane}/")) else { continue };
            let mut others: Vec<String> =
                names.into_iter().filter(|name| *name != ledger.checkpoint).collect();
            if ledger.previous.is_none() {
                let before = others.iter().rposition(|name| *name < ledger.checkpoint);
                ledger.previous = before.map(|at| others.remove(at));
            }
            others.retain(|name| ledger.previous.as_ref() != Some(name));
            ledger.obsolete.extend(others);
        }
    }

    fn collect_garbage(&mut self) {
        if !std::mem::replace(&mut self.is_swept, true) {
            self.sweep();
        }
        for (lane, ledger) in &mut self.lanes {
            for name in std::mem::take(&mut ledger.obsolete) {
                if let Err(error) = self.store.delete(&name) {
                    tracing::warn!(lane, %error, "an old checkpoint cannot be deleted; it does no harm");
                }
            }
        }
    }
}

/// Unique by content: the same bytes at the same position are the same checkpoint.
fn checkpoint_name(lane: &str, position: Position, bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    let digest: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("{CHECKPOINTS}/{lane}/{position:020}-{digest}")
}

/// Whether a checkpoint by this name stands before a lane's first record.
pub fn is_of_beginning(name: &str) -> bool {
    name.rsplit('/')
        .next()
        .and_then(|file| file.split('-').next())
        .is_some_and(|position| position.parse() == Ok(0u64))
}

fn encoded(lane: &str, decisions: &[Decision]) -> Result<Vec<u8>, OutletError> {
    decision::encode(decisions).map_err(|what| OutletError::Decisions { lane: lane.to_owned(), what })
}
