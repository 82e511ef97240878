//! Ends in memory, for tests: what was committed survives a `crash`, the rest does not.
//!
//! Handles are cheap copies of one thing, so that a test keeps one while the engine has the other.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use gridwatch_core::record::{Chunk, Feed, FeedStatus, Past, Position, RecordMeta, SourceError};
use gridwatch_core::sink::{
    Commit, Commits, Delivery, LaneCommit, LaneId, Outgoing, Sink, SinkError, Store, StoreError,
};

use crate::locked;

/// Records from a list; positions count them from 0, lines from 1.
#[derive(Debug, Clone)]
pub struct MemoryFeed {
    shared: Arc<Mutex<Records>>,
    position: usize,
    chunk_records: usize,
}

#[derive(Debug, Default)]
struct Records {
    list: Vec<Vec<u8>>,
    ended: bool,
    failures: VecDeque<SourceError>,
}

impl MemoryFeed {
    /// A feed that ends behind the last record.
    pub fn new(records: Vec<Vec<u8>>) -> MemoryFeed {
        let feed = MemoryFeed::open();
        feed.extend(records);
        feed.end();
        feed
    }

    /// A feed that is empty now.
    pub fn open() -> MemoryFeed {
        MemoryFeed { shared: Arc::default(), position: 0, chunk_records: 1024 }
    }

    /// At most `records` a poll; at least 1.
    pub fn chunks_of(mut self, records: usize) -> MemoryFeed {
        self.chunk_records = records.max(1);
        self
    }

    pub fn extend(&self, records: impl IntoIterator<Item = Vec<u8>>) {
        locked(&self.shared).list.extend(records);
    }

    /// Nothing more will come.
    pub fn end(&self) {
        locked(&self.shared).ended = true;
    }

    /// The next poll fails with this.
    pub fn fail(&self, error: SourceError) {
        locked(&self.shared).failures.push_back(error);
    }
}

impl Feed for MemoryFeed {
    fn seek(&mut self, position: Position) -> Result<(), SourceError> {
        let records = locked(&self.shared).list.len();
        match usize::try_from(position) {
            Ok(position) if position <= records => {
                self.position = position;
                Ok(())
            }
            _ => Err(SourceError::Lost {
                place: "memory".into(),
                position,
                what: format!("there are {records} records"),
            }),
        }
    }

    /// Never waits: nothing comes by itself.
    fn poll(&mut self, chunk: &mut Chunk, _wait: Duration) -> Result<FeedStatus, SourceError> {
        let mut shared = locked(&self.shared);
        if let Some(failure) = shared.failures.pop_front() {
            return Err(failure);
        }
        let from = self.position.min(shared.list.len());
        let to = (from + self.chunk_records).min(shared.list.len());
        for (at, record) in shared.list.iter().enumerate().take(to).skip(from) {
            chunk.bytes.extend_from_slice(record);
            chunk.records.push(RecordMeta {
                position: at as Position,
                next: at as Position + 1,
                stored: None,
                line: at as u64 + 1,
                end: chunk.bytes.len(),
                truncated: false,
            });
        }
        self.position = to;
        Ok(match (from == to, shared.ended) {
            (false, _) => FeedStatus::More,
            (true, true) => FeedStatus::End,
            (true, false) => FeedStatus::Idle,
        })
    }

    fn lag(&self) -> Option<u64> {
        let records = locked(&self.shared).list.len();
        Some(records.saturating_sub(self.position) as u64)
    }
}

impl Past for MemoryFeed {
    fn open(&self, _lane: &str, position: Position) -> Result<Box<dyn Feed>, SourceError> {
        let mut feed = self.clone();
        feed.seek(position)?;
        Ok(Box::new(feed))
    }
}

/// Output with a durable part.
#[derive(Debug, Clone, Default)]
pub struct MemorySink {
    shared: Arc<Mutex<Written>>,
}

#[derive(Debug)]
struct Written {
    delivery: Delivery,
    messages: Vec<Outgoing>,
    durable: usize,
    commit: Option<Commit>,
    commits: u64,
    failures: VecDeque<SinkError>,
}

impl Default for Written {
    fn default() -> Written {
        Written {
            delivery: Delivery::ExactlyOnce,
            messages: Vec::new(),
            durable: 0,
            commit: None,
            commits: 0,
            failures: VecDeque::new(),
        }
    }
}

impl MemorySink {
    pub fn new() -> MemorySink {
        MemorySink::default()
    }

    /// Messages are out as soon as they are appended: a crash takes none of them back.
    pub fn at_least_once() -> MemorySink {
        let sink = MemorySink::default();
        locked(&sink.shared).delivery = Delivery::AtLeastOnce;
        sink
    }

    /// As after the death of the process: only what was committed is left, or all that was sent.
    pub fn crash(&self) {
        let mut shared = locked(&self.shared);
        if shared.delivery == Delivery::ExactlyOnce {
            let durable = shared.durable;
            shared.messages.truncate(durable);
        }
    }

    /// All that was appended, committed or not.
    pub fn messages(&self) -> Vec<Outgoing> {
        locked(&self.shared).messages.clone()
    }

    pub fn committed(&self) -> Vec<Outgoing> {
        let shared = locked(&self.shared);
        shared.messages[..shared.durable].to_vec()
    }

    pub fn last_commit(&self) -> Option<Commit> {
        locked(&self.shared).commit.clone()
    }

    /// How often was committed.
    pub fn commits(&self) -> u64 {
        locked(&self.shared).commits
    }

    /// The next `append` or `commit` fails with this, and does nothing.
    pub fn fail(&self, error: SinkError) {
        locked(&self.shared).failures.push_back(error);
    }
}

impl Sink for MemorySink {
    fn recover(&mut self) -> Result<Arc<dyn Commits>, SinkError> {
        self.crash();
        let commit = self.last_commit().unwrap_or_default();
        let lanes: BTreeMap<String, LaneCommit> =
            commit.lanes.into_iter().map(|(lane, commit)| (lane.to_string(), commit)).collect();
        Ok(Arc::new(lanes))
    }

    fn append(&mut self, _lane: &LaneId, messages: Vec<Outgoing>) -> Result<(), SinkError> {
        let mut shared = locked(&self.shared);
        if let Some(failure) = shared.failures.pop_front() {
            return Err(failure);
        }
        shared.messages.extend(messages);
        Ok(())
    }

    fn commit(&mut self, commit: &Commit) -> Result<Vec<LaneId>, SinkError> {
        let mut shared = locked(&self.shared);
        if let Some(failure) = shared.failures.pop_front() {
            return Err(failure);
        }
        shared.durable = shared.messages.len();
        // Lanes that are not open yet keep what was committed of them.
        shared.commit.get_or_insert_default().lanes.extend(commit.lanes.clone());
        shared.commits += 1;
        Ok(Vec::new())
    }

    /// Its lanes never go.
    fn forget(&mut self, _lane: &LaneId) {}

    fn delivery(&self) -> Delivery {
        locked(&self.shared).delivery
    }
}

/// Objects by name; each is durable once put.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    shared: Arc<Mutex<Objects>>,
}

#[derive(Debug, Default)]
struct Objects {
    map: BTreeMap<String, Vec<u8>>,
    failures: VecDeque<StoreError>,
}

impl MemoryStore {
    pub fn new() -> MemoryStore {
        MemoryStore::default()
    }

    /// The next call fails with this, and does nothing.
    pub fn fail(&self, error: StoreError) {
        locked(&self.shared).failures.push_back(error);
    }

    fn objects(&self) -> Result<MutexGuard<'_, Objects>, StoreError> {
        let mut shared = locked(&self.shared);
        match shared.failures.pop_front() {
            Some(failure) => Err(failure),
            None => Ok(shared),
        }
    }
}

impl Store for MemoryStore {
    fn put(&self, name: &str, bytes: Vec<u8>) -> Result<(), StoreError> {
        self.objects()?.map.insert(name.to_owned(), bytes);
        Ok(())
    }

    fn create(&self, name: &str, bytes: Vec<u8>) -> Result<bool, StoreError> {
        let mut objects = self.objects()?;
        let is_free = !objects.map.contains_key(name);
        if is_free {
            objects.map.insert(name.to_owned(), bytes);
        }
        Ok(is_free)
    }

    fn get(&self, name: &str) -> Result<Vec<u8>, StoreError> {
        let object = self.objects()?.map.get(name).cloned();
        object.ok_or_else(|| StoreError::Missing { name: name.to_owned() })
    }

    fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let objects = self.objects()?;
        Ok(objects.map.keys().filter(|name| name.starts_with(prefix)).cloned().collect())
    }

    fn delete(&self, name: &str) -> Result<(), StoreError> {
        match self.objects()?.map.remove(name) {
            Some(_) => Ok(()),
            None => Err(StoreError::Missing { name: name.to_owned() }),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use gridwatch_core::sink::AnomalyMessage;

    use super::*;

    #[test]
    fn a_crash_leaves_what_was_committed() {
        let sink = MemorySink::new();
        let (mut end, lane) = (sink.clone(), LaneId::only("0"));
        let message = |text: &str| {
            Outgoing::Anomaly(AnomalyMessage { key: String::new(), headers: vec![], payload: text.into() })
        };
        let commit = LaneCommit { position: 3, checkpoint: "c".into(), decisions: vec![] };
        end.append(&lane, vec![message("1")]).unwrap();
        end.commit(&Commit { lanes: [(lane.clone(), commit.clone())].into() }).unwrap();
        end.append(&lane, vec![message("2")]).unwrap();
        assert_eq!(sink.messages().len(), 2);
        sink.crash();
        assert_eq!(sink.messages(), sink.committed());
        assert_eq!(sink.messages(), [message("1")]);
        assert_eq!(end.recover().unwrap().last(&lane).unwrap(), Some(commit));
    }

    #[test]
    fn a_feed_gives_records_by_position_and_fails_when_told() {
        let records: Vec<Vec<u8>> = (0..5).map(|n: u8| vec![n]).collect();
        let mut feed = MemoryFeed::new(records).chunks_of(2);
        feed.seek(3).unwrap();
        let mut chunk = Chunk::default();
        assert_eq!(feed.poll(&mut chunk, Duration::ZERO), Ok(FeedStatus::More));
        assert_eq!(chunk.bytes, [3, 4]);
        assert_eq!((chunk.records[0].position, chunk.records[1].next), (3, 5));
        assert_eq!(feed.poll(&mut chunk, Duration::ZERO), Ok(FeedStatus::End));
        assert!(feed.seek(6).is_err());
        let failure = SourceError::Read { place: "memory".into(), what: "told so".into() };
        feed.fail(failure.clone());
        assert_eq!(feed.poll(&mut chunk, Duration::ZERO), Err(failure));
    }
}
