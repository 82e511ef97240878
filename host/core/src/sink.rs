//! Where a lane's output goes, and what makes it final.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::dead_letter::DeadLetter;
use crate::record::{Header, Position};

/// Which stream of output a record belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    Anomalies,
    DeadLetters,
}

/// One message on its way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outgoing {
    Anomaly(AnomalyMessage),
    DeadLetter(Box<DeadLetter>),
}

/// An anomaly as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnomalyMessage {
    /// The sensor's id or the group, for keyed sinks.
    pub key: String,
    /// `id`, `detector` and `severity`, for those who sort without reading.
    pub headers: Vec<Header>,
    /// One line of JSON.
    pub payload: Vec<u8>,
}

impl AnomalyMessage {
    pub fn id(&self) -> Option<&str> {
        let (_, id) = self.headers.iter().find(|(name, _)| name == "id")?;
        std::str::from_utf8(id).ok()
    }
}

impl Outgoing {
    pub fn stream(&self) -> Stream {
        match self {
            Outgoing::Anomaly(_) => Stream::Anomalies,
            Outgoing::DeadLetter(_) => Stream::DeadLetters,
        }
    }

    /// Of a dead letter: where its record stood.
    pub fn position(&self) -> Option<Position> {
        match self {
            Outgoing::Anomaly(_) => None,
            Outgoing::DeadLetter(letter) => Some(letter.meta.position),
        }
    }

    /// About what it takes in memory.
    pub fn size_bytes(&self) -> usize {
        const OVERHEAD_BYTES: usize = 256;
        OVERHEAD_BYTES
            + match self {
                Outgoing::Anomaly(anomaly) => anomaly.payload.len(),
                Outgoing::DeadLetter(letter) => letter.size_bytes(),
            }
    }

    /// One line of JSON, without its end.
    pub fn json(&self) -> Cow<'_, [u8]> {
        match self {
            Outgoing::Anomaly(anomaly) => Cow::Borrowed(&anomaly.payload),
            Outgoing::DeadLetter(letter) => Cow::Owned(letter.to_json()),
        }
    }
}

/// A lane as one process had it at one time. The same lane, taken away and given back, is another one:
/// what was on its way then must not be taken for what is on its way now.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LaneId {
    pub name: Arc<str>,
    pub incarnation: u64,
}

impl LaneId {
    /// Of a source whose lanes never go.
    pub fn only(name: &str) -> Self {
        LaneId { name: name.into(), incarnation: 0 }
    }
}

impl fmt::Display for LaneId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
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

/// One commit of a process: all its lanes at once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Commit {
    pub lanes: BTreeMap<LaneId, LaneCommit>,
}

/// What a sink promises of each message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Delivery {
    ExactlyOnce,
    /// After a crash some come again, with the ids they had.
    AtLeastOnce,
}

/// Who knows what was committed last.
pub trait Commits: Send + Sync {
    /// By the lane's name. May wait for a while, and fails rather than for ever.
    fn last(&self, lane: &LaneId) -> Result<Option<LaneCommit>, SinkError>;
}

/// As read once, at the start.
impl Commits for BTreeMap<String, LaneCommit> {
    fn last(&self, lane: &LaneId) -> Result<Option<LaneCommit>, SinkError> {
        Ok(self.get(&*lane.name).cloned())
    }
}

/// Output and commits in one, since only together are they exactly-once.
pub trait Sink: Send {
    /// Called once, before all else. Output after the last commit is undone (a file is cut) before this
    /// returns.
    fn recover(&mut self) -> Result<Arc<dyn Commits>, SinkError>;
    /// Takes messages; they are not final before the next commit.
    fn append(&mut self, lane: &LaneId, messages: Vec<Outgoing>) -> Result<(), SinkError>;
    /// Makes all that was appended durable, together with `commit`. Lanes that were taken from us meanwhile
    /// are left out, with all that they said; it answers with these.
    fn commit(&mut self, commit: &Commit) -> Result<Vec<LaneId>, SinkError>;
    /// The lane is gone: what it said and no commit covers must never be seen.
    fn forget(&mut self, lane: &LaneId);

    fn delivery(&self) -> Delivery {
        Delivery::ExactlyOnce
    }
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
    /// Not now, but soon: the same is to be asked again.
    #[error("{place}: not yet: {what}")]
    Busy { place: String, what: String },
    /// What was appended since the last commit is lost, and nobody has seen it: lanes go back to their
    /// commits, and all is well again.
    #[error("{place}: lost what was on its way: {what}")]
    Reset { place: String, what: String },
}

/// Checkpoints, modules and rosters by name. Names are unique; an object is whole or absent.
pub trait Store: Send + Sync {
    fn put(&self, name: &str, bytes: Vec<u8>) -> Result<(), StoreError>;
    /// Puts where nothing is, as one step; false where something is. That may be ours all the same: an
    /// answer got lost, and the call was made again.
    fn create(&self, name: &str, bytes: Vec<u8>) -> Result<bool, StoreError>;
    fn get(&self, name: &str) -> Result<Vec<u8>, StoreError>;
    /// All names that begin with `prefix`, sorted.
    fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError>;
    fn delete(&self, name: &str) -> Result<(), StoreError>;
    /// Deletes what puts below `folder` (which ends in `/`) that were cut short long ago have left, where they
    /// leave anything: it is no object, and in no list.
    fn tidy(&self, _folder: &str) -> Result<(), StoreError> {
        Ok(())
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    #[error("{name}: is not in the store")]
    Missing { name: String },
    #[error("{name}: {what}")]
    Failed { name: String, what: String },
}
