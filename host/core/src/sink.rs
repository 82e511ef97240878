//! Where a lane's output goes, and what makes it final.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::record::Position;

/// Which stream of output a record belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    Anomalies,
    DeadLetters,
}

/// One message on its way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    pub stream: Stream,
    /// The sensor's id or the group, for keyed sinks.
    pub key: String,
    pub payload: Vec<u8>,
}

/// What a lane has settled: everything before `position` is judged and its output is in the sink.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneCommit {
    pub position: Position,
    /// Name of a durable checkpoint, at or before `position`.
    pub checkpoint: String,
    /// Decisions since the checkpoint, encoded by the engine.
    pub decisions: Vec<u8>,
}

/// One commit of a process: all its lanes at once. The key is the lane's name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    pub lanes: BTreeMap<String, LaneCommit>,
}

/// Output and commits in one, since only together are they exactly-once.
pub trait Sink: Send {
    /// The last commit, if any. Output after it is undone (a file is cut) before this returns.
    fn recover(&mut self) -> Result<Option<Commit>, SinkError>;
    /// Takes messages; they are not final before the next commit.
    fn append(&mut self, messages: &[Outgoing]) -> Result<(), SinkError>;
    /// Makes all that was appended durable, together with `commit`.
    fn commit(&mut self, commit: &Commit) -> Result<(), SinkError>;
}

/// Why output cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SinkError {
    #[error("{place}: cannot write: {what}")]
    Write { place: String, what: String },
    #[error("{place}: cannot commit: {what}")]
    Commit { place: String, what: String },
    #[error("{place}: cannot recover: {what}")]
    Recover { place: String, what: String },
}

/// Checkpoints (and later modules) by name. Names are unique; an object is whole or absent.
pub trait Store: Send + Sync {
    fn put(&self, name: &str, bytes: Vec<u8>) -> Result<(), StoreError>;
    fn get(&self, name: &str) -> Result<Vec<u8>, StoreError>;
    fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError>;
    fn delete(&self, name: &str) -> Result<(), StoreError>;
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    #[error("{name}: is not in the store")]
    Missing { name: String },
    #[error("{name}: {what}")]
    Failed { name: String, what: String },
}
