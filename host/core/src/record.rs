//! What a source gives: records (bytes with a position), in chunks, one feed a lane.

use std::fmt::Debug;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::decode::CsvHeader;

/// Where a record stands in its lane: a Kafka offset, a byte offset in a file (uncompressed), the
/// number of a simulated reading. Ascending within a lane.
pub type Position = u64;

/// What a record is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum RecordFormat {
    Json,
    Csv(CsvHeader),
}

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
    /// Where the record's bytes end in `Chunk::bytes`, if they are there; they start where the one before ended.
    pub end: usize,
    /// The feed had more bytes for this record than it may keep; what is here is its beginning.
    pub truncated: bool,
}

/// A name and bytes that travel with a record; what they mean is its producer's business.
pub type Header = (String, Vec<u8>);

/// One record, borrowed from its chunk.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    pub meta: RecordMeta,
    pub bytes: &'a [u8],
    /// What the source sorted it by, where it does.
    pub key: Option<&'a [u8]>,
    pub headers: Headers<'a>,
}

/// Records that stay where their source has them until it is told otherwise, by dropping this.
pub trait Kept: Debug + Send {
    /// A record's bytes, as many as may be kept of it, and its key.
    fn record(&self, at: usize) -> (&[u8], Option<&[u8]>);
    /// Takes its time: for records that are rejected.
    fn headers(&self, at: usize) -> Vec<Header>;
}

/// A record's headers, which are looked for only where somebody asks.
#[derive(Debug, Clone, Copy)]
pub enum Headers<'a> {
    Given(&'a [Header]),
    Kept(&'a dyn Kept, usize),
}

impl Headers<'_> {
    pub fn to_vec(&self) -> Vec<Header> {
        match self {
            Headers::Given(headers) => headers.to_vec(),
            Headers::Kept(kept, at) => kept.headers(*at),
        }
    }
}

impl<'a> Record<'a> {
    /// A record that is its bytes and nothing else.
    pub fn plain(meta: RecordMeta, bytes: &'a [u8]) -> Self {
        Record { meta, bytes, key: None, headers: Headers::Given(&[]) }
    }
}

/// Records as a feed hands them over. Reused from poll to poll.
#[derive(Debug, Default)]
pub struct Chunk {
    /// Where this is, it has all bytes, keys and headers, and there are none here.
    pub kept: Option<Box<dyn Kept>>,
    pub bytes: Vec<u8>,
    pub records: Vec<RecordMeta>,
    /// Keys one after the other. Feeds whose records have none leave both empty.
    pub keys: Vec<u8>,
    /// By record: where its key ends in `keys`, if it has one.
    pub key_ends: Vec<Option<usize>>,
    /// Of the few records that have any: index and headers, ascending.
    pub headers: Vec<(usize, Vec<Header>)>,
}

impl Chunk {
    pub fn clear(&mut self) {
        self.kept = None;
        self.bytes.clear();
        self.records.clear();
        self.keys.clear();
        self.key_ends.clear();
        self.headers.clear();
    }

    /// Appends a copy of a record of another chunk.
    pub fn push(&mut self, record: &Record<'_>) {
        self.bytes.extend_from_slice(record.bytes);
        // Aligned with the records as soon as one of them has a key.
        if record.key.is_some() || !self.key_ends.is_empty() {
            self.key_ends.resize(self.records.len(), None);
            self.keys.extend_from_slice(record.key.unwrap_or_default());
            self.key_ends.push(record.key.map(|_| self.keys.len()));
        }
        let headers = record.headers.to_vec();
        if !headers.is_empty() {
            self.headers.push((self.records.len(), headers));
        }
        self.records.push(RecordMeta { end: self.bytes.len(), ..record.meta });
    }

    /// The records in order.
    pub fn iter(&self) -> impl Iterator<Item = Record<'_>> {
        let (mut start, mut key_start) = (0, 0);
        let mut headers = self.headers.iter().peekable();
        self.records.iter().enumerate().map(move |(at, meta)| {
            if let Some(kept) = self.kept.as_deref() {
                let (bytes, key) = kept.record(at);
                return Record { meta: *meta, bytes, key, headers: Headers::Kept(kept, at) };
            }
            let bytes = &self.bytes[start..meta.end];
            start = meta.end;
            let key = self.key_ends.get(at).copied().flatten().map(|end| {
                let key = &self.keys[key_start..end];
                key_start = end;
                key
            });
            let headers = headers.next_if(|(of, _)| *of == at).map_or(&[][..], |(_, headers)| headers);
            Record { meta: *meta, bytes, key, headers: Headers::Given(headers) }
        })
    }
}

/// What a poll found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeedStatus {
    /// There may be more at once.
    More,
    /// That was all for now, if there was anything; there may be more later.
    Idle,
    /// It is not known whether there is anything: who would know is out of reach.
    Away,
    /// Nothing ever again.
    End,
}

/// One lane's stretch of a source. Owned by the lane's thread.
pub trait Feed: Send {
    /// Moves to `position`: the next record polled is the first at or after it.
    fn seek(&mut self, position: Position) -> Result<(), SourceError>;

    /// Appends records to `chunk` (which the caller has cleared), waiting at most `wait` for the first.
    fn poll(&mut self, chunk: &mut Chunk, wait: Duration) -> Result<FeedStatus, SourceError>;

    /// Where a lane without a past begins.
    fn beginning(&mut self) -> Result<Position, SourceError> {
        Ok(0)
    }

    /// How many records are known to wait behind the last one polled, where the source can tell.
    fn lag(&self) -> Option<u64> {
        None
    }
}

/// What a source has given before, read once more, beside whoever reads it now: nothing is taken from anybody, and
/// nothing is settled.
pub trait Past: Send + Sync {
    /// A feed of the lane's records from `position` on. It need not wait for records that are still to come: it may
    /// end where the source ends now.
    fn open(&self, lane: &str, position: Position) -> Result<Box<dyn Feed>, SourceError>;
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
    /// Who would know is out of reach for now.
    #[error("{place}: out of reach for now: {what}")]
    Away { place: String, what: String },
    /// The lane is somebody else's by now. No fault: its worker ends.
    #[error("{place}: is not ours any more")]
    Revoked { place: String },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(position: Position) -> RecordMeta {
        RecordMeta { position, next: position + 1, stored: Some(7), line: 0, end: 0, truncated: false }
    }

    #[test]
    fn a_chunk_made_of_copies_gives_the_same_records() {
        let headers = [("reason".to_owned(), b"why".to_vec())];
        let bytes: [&[u8]; 5] = [b"a", b"", b"ccc", b"d", b"ee"];
        let keys: [Option<&[u8]>; 5] = [None, None, Some(b"k"), None, Some(b"")];
        let records: Vec<Record<'_>> = (0..5)
            .map(|at| Record {
                meta: meta(at as Position),
                bytes: bytes[at],
                key: keys[at],
                headers: Headers::Given(if at == 3 { &headers } else { &[] }),
            })
            .collect();
        let mut first = Chunk::default();
        records.iter().for_each(|record| first.push(record));
        let mut second = Chunk::default();
        first.iter().skip(1).for_each(|record| second.push(&record));
        for (chunk, from) in [(&first, 0), (&second, 1)] {
            let seen: Vec<Record<'_>> = chunk.iter().collect();
            assert_eq!(seen.len(), 5 - from);
            for (seen, expected) in seen.iter().zip(&records[from..]) {
                assert_eq!((seen.bytes, seen.key), (expected.bytes, expected.key));
                assert_eq!(seen.headers.to_vec(), expected.headers.to_vec());
                assert_eq!(RecordMeta { end: 0, ..seen.meta }, expected.meta);
            }
        }
    }
}
