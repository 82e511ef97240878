//! Where each lane begins: what the last commit says, checked against what the store has.

use gridwatch_core::checkpoint::{Checkpoint, CheckpointError};
use gridwatch_core::decision::{self, DecisionsError};
use gridwatch_core::record::{Position, SourceError};
use gridwatch_core::sink::{LaneCommit, Store, StoreError};

use crate::lane::{Lane, LaneError, LaneParts, Resume};
use crate::outlet::is_first;
use crate::settings::OnMissing;
use crate::vault::{CHECKPOINTS, folder_of};

/// Why a lane cannot begin. Each says what the choices are.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum StartError {
    #[error(
        "lane {lane}: the checkpoint {name} that the last commit names is missing. Restore it, or set \
         [checkpoints] on_missing = \"cold\" to go on from position {position} with empty detectors"
    )]
    Missing { lane: String, name: String, position: u64 },
    #[error(
        "lane {lane}: the checkpoint {name} {what}. Restore it, or set [checkpoints] on_missing = \"cold\" to go \
         on from position {position} with empty detectors"
    )]
    Damaged { lane: String, name: String, position: u64, what: CheckpointError },
    #[error(
        "lane {lane}: there are checkpoints ({name}, …), but no commit names one: was the sink or its commit file \
         removed, the topic made anew, or have the group's commits expired? Put it back, or remove {CHECKPOINTS}/{lane} \
         or set [checkpoints] on_missing = \"cold\" to begin anew"
    )]
    Unnamed { lane: String, name: String },
    #[error(
        "lane {lane}: position {position} was committed by somebody else, without a checkpoint: was it set by hand? \
         There are checkpoints ({name}, …), so detectors would lose what they know: remove {CHECKPOINTS}/{lane} or \
         set [checkpoints] on_missing = \"cold\" to go on from there with empty detectors"
    )]
    SetByHand { lane: String, name: String, position: u64 },
    #[error("lane {lane}: the checkpoint store cannot be used: {what}")]
    Store { lane: String, what: StoreError },
    #[error("lane {lane}: the last commit's decisions cannot be read: {what}")]
    Decisions { lane: String, what: DecisionsError },
    #[error(transparent)]
    Lane(#[from] LaneError),
    #[error(transparent)]
    Source(#[from] SourceError),
}

/// A lane, and what is committed of it.
pub struct Begun {
    pub lane: Lane,
    /// None: it begins here, and must be saved before it says anything.
    pub commit: Option<LaneCommit>,
}

/// `beginning` says where a lane without a past begins; it may have to ask.
pub fn begin(
    parts: LaneParts,
    commit: Option<LaneCommit>,
    store: &dyn Store,
    on_missing: OnMissing,
    beginning: impl FnOnce() -> Result<Position, SourceError>,
) -> Result<Begun, StartError> {
    let lane = parts.name.clone();
    let commit = match commit {
        Some(commit) if !commit.checkpoint.is_empty() => commit,
        bare => return unnamed(parts, bare.map(|commit| commit.position), store, on_missing, beginning),
    };
    match load(&lane, &commit, store) {
        Ok(checkpoint) => {
            let decisions =
                decision::decode(&commit.decisions).map_err(|what| StartError::Decisions { lane, what })?;
            let resume = Resume { checkpoint, committed: commit.position, decisions };
            let mut lane = Lane::resume(parts, resume)?;
            lane.set_durable(commit.checkpoint.clone());
            Ok(Begun { lane, commit: Some(commit) })
        }
        Err(error @ (StartError::Missing { .. } | StartError::Damaged { .. }))
            if on_missing == OnMissing::Cold =>
        {
            let what = match &error {
                StartError::Damaged { what, .. } => what.to_string(),
                _ => "is missing".to_owned(),
            };
            let (name, position) = (&commit.checkpoint, commit.position);
            tracing::warn!(
                lane,
                position,
                "starts cold, as configured: the checkpoint {name} {what}; detectors are empty"
            );
            Ok(Begun { lane: Lane::cold(parts, commit.position)?, commit: None })
        }
        Err(error) => Err(error),
    }
}

/// No commit names a checkpoint. `committed` is a bare position that somebody has set.
fn unnamed(
    parts: LaneParts,
    committed: Option<Position>,
    store: &dyn Store,
    on_missing: OnMissing,
    beginning: impl FnOnce() -> Result<Position, SourceError>,
) -> Result<Begun, StartError> {
    let lane = parts.name.clone();
    let found =
        store.list(&folder_of(&lane)).map_err(|what| StartError::Store { lane: lane.clone(), what })?;
    // A first one is left by a start that was cut short: nothing was lost.
    let progress = found.into_iter().find(|name| !is_first(name));
    match (progress, committed, on_missing) {
        (Some(name), None, OnMissing::Halt) => return Err(StartError::Unnamed { lane, name }),
        (Some(name), Some(position), OnMissing::Halt) => {
            return Err(StartError::SetByHand { lane, name, position });
        }
        _ => {}
    }
    let position = committed.map_or_else(beginning, Ok)?;
    Ok(Begun { lane: Lane::cold(parts, position)?, commit: None })
}

fn load(lane: &str, commit: &LaneCommit, store: &dyn Store) -> Result<Checkpoint, StartError> {
    let (lane, name, position) = (lane.to_owned(), commit.checkpoint.clone(), commit.position);
    let bytes = store.get(&name).map_err(|what| match what {
        StoreError::Missing { .. } => {
            StartError::Missing { lane: lane.clone(), name: name.clone(), position }
        }
        what => StartError::Store { lane: lane.clone(), what },
    })?;
    Checkpoint::decode(&bytes).map_err(|what| StartError::Damaged { lane, name, position, what })
}
