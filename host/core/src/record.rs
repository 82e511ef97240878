//! What a source gives: records (bytes with a position), in chunks, one feed a lane.

use std::time::Duration;

use crate::Timestamp;

/// Where a record stands in its lane: a Kafka offset, a byte offset in a file (uncompressed), the
/// number of a simulated reading. Ascending within a lane.
pub type Position = u64;

/// Everything known of one record but its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordMeta {
    pub position: Position,
    /// The position to commit once this record is settled: the next one to read.
    pub next: Position,
    /// When the record was stored (Kafka's timestamp), where the source knows it.
    pub stored: Option<Timestamp>,
    /// Line in the file, from 1; 0 where lines mean nothing.
    pub line: u64,
    /// Where the record's bytes end in `Chunk::bytes`; they start where the one before ended.
    pub end: usize,
    /// The feed had more bytes for this record than it may keep; what is here is its beginning.
    pub truncated: bool,
}

/// Records as a feed hands them over. Reused from poll to poll.
#[derive(Debug, Default, Clone)]
pub struct Chunk {
    pub bytes: Vec<u8>,
    pub records: Vec<RecordMeta>,
}

impl Chunk {
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.records.clear();
    }

    /// The records with their bytes, in order.
    pub fn iter(&self) -> impl Iterator<Item = (RecordMeta, &[u8])> {
        let mut start = 0;
        self.records.iter().map(move |meta| {
            let bytes = &self.bytes[start..meta.end];
            start = meta.end;
            (*meta, bytes)
        })
    }
}

/// What a poll found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeedStatus {
    /// There may be more at once.
    More,
    /// Nothing now; there may be more later.
    Idle,
    /// Nothing ever again.
    End,
}

/// One lane's stretch of a source. Owned by the lane's thread.
pub trait Feed: Send {
    /// Moves to `position`: the next record polled is the first at or after it.
    fn seek(&mut self, position: Position) -> Result<(), SourceError>;

    /// Appends records to `chunk` (which the caller has cleared), waiting at most `wait` for the first.
    fn poll(&mut self, chunk: &mut Chunk, wait: Duration) -> Result<FeedStatus, SourceError>;

    /// How many records are known to wait behind the last one polled, where the source can tell.
    fn lag(&self) -> Option<u64> {
        None
    }
}

/// Why a source cannot go on. `what` says what failed and what to do, `place` where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    #[error("{place}: cannot read: {what}")]
    Read { place: String, what: String },
    #[error("{place}: {what}")]
    Format { place: String, what: String },
    #[error("{place}: position {position} is not there any more: {what}")]
    Lost { place: String, position: Position, what: String },
}
