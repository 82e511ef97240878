//! Records that stay where their source has them.

use std::sync::atomic::{AtomicUsize, Ordering};

use gridwatch_core::record::{Chunk, Header, Kept, Record, RecordMeta};

static HEADERS_READ: AtomicUsize = AtomicUsize::new(0);

#[derive(Debug)]
struct Source(Vec<(&'static [u8], Option<&'static [u8]>)>);

impl Kept for Source {
    fn record(&self, at: usize) -> (&[u8], Option<&[u8]>) {
        self.0[at]
    }

    fn headers(&self, at: usize) -> Vec<Header> {
        HEADERS_READ.fetch_add(1, Ordering::Relaxed);
        vec![("trace".to_owned(), self.0[at].0.to_vec())]
    }
}

fn meta(position: u64) -> RecordMeta {
    RecordMeta { position, next: position + 1, stored: None, line: 0, end: 0, truncated: false }
}

#[test]
fn records_that_are_kept_are_shown_without_a_copy_and_their_headers_read_on_demand() {
    let records = vec![(&b"one"[..], None), (&b""[..], Some(&b"key"[..])), (&b"three"[..], None)];
    let mut chunk = Chunk::default();
    chunk.records.extend((5..8).map(meta));
    chunk.kept = Some(Box::new(Source(records.clone())));
    let seen: Vec<Record<'_>> = chunk.iter().collect();
    assert_eq!(seen.iter().map(|record| (record.bytes, record.key)).collect::<Vec<_>>(), records);
    assert_eq!(HEADERS_READ.load(Ordering::Relaxed), 0);
    assert_eq!(seen[2].headers.to_vec(), [("trace".to_owned(), b"three".to_vec())]);
    // A copy has all of it, and needs the source no more.
    let mut copy = Chunk::default();
    seen.iter().skip(1).for_each(|record| copy.push(record));
    chunk.clear();
    assert!(chunk.kept.is_none() && chunk.iter().next().is_none());
    let copied: Vec<Record<'_>> = copy.iter().collect();
    assert_eq!((copied[0].bytes, copied[0].key, copied[0].meta.position), (&b""[..], Some(&b"key"[..]), 6));
    assert_eq!(copied[1].headers.to_vec(), [("trace".to_owned(), b"three".to_vec())]);
}
