//! Which records of a partition were handled, where not all before them are: as the text that Kafka keeps
//! with a committed offset.
//!
//! `gwp1 TOPIC-ID RUNS`: all before the offset are handled, and the runs after it, each as two numbers (so far
//! from the end of the last one, so many), seven bits a byte, in base64.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;

const VERSION: &str = "gwp1";
/// What brokers accept (`offset.metadata.max.bytes`).
const BYTES_MAX: usize = 4096;

/// Offsets that are handled: all before `base`, and the runs (first, one after the last), ascending and apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    base: i64,
    runs: Vec<(i64, i64)>,
}

impl Progress {
    pub fn from(base: i64) -> Progress {
        Progress { base, runs: Vec::new() }
    }

    /// The first offset that may not be handled.
    pub fn base(&self) -> i64 {
        self.base
    }

    pub fn is_done(&self, offset: i64) -> bool {
        let after = self.runs.partition_point(|(_, end)| *end <= offset);
        offset < self.base || self.runs.get(after).is_some_and(|(start, _)| *start <= offset)
    }

    /// Offsets from `start` to before `end` are handled.
    pub fn mark(&mut self, start: i64, end: i64) {
        let first = self.runs.partition_point(|(_, until)| *until < start);
        let last = self.runs.partition_point(|(from, _)| *from <= end);
        let (mut start, mut end) = (start, end);
        for (from, until) in self.runs.drain(first..last) {
            (start, end) = (start.min(from), end.max(until));
        }
        self.runs.insert(first, (start, end));
        while let Some((from, until)) = self.runs.first().copied()
            && from <= self.base
        {
            self.base = self.base.max(until);
            self.runs.remove(0);
        }
    }

    /// Records before `low` do not exist any more.
    pub fn begin_at(&mut self, low: i64) {
        if low > self.base {
            self.mark(self.base, low);
        }
    }

    /// `None` where there are more runs than Kafka keeps with an offset.
    pub fn encode(&self, topic_id: &str) -> Option<String> {
        let mut bytes = Vec::new();
        let mut at = self.base;
        for (start, end) in &self.runs {
            write_number((start - at).max(0) as u64, &mut bytes);
            write_number((end - start).max(0) as u64, &mut bytes);
            at = *end;
        }
        let mut text = format!("{VERSION} {topic_id} ");
        BASE64.encode_string(&bytes, &mut text);
        (text.len() <= BYTES_MAX).then_some(text)
    }

    /// `None`: this is another topic's, or not ours.
    pub fn decode(topic_id: &str, base: i64, metadata: &[u8]) -> Option<Progress> {
        let mut words = std::str::from_utf8(metadata).ok()?.split(' ');
        if words.next()? != VERSION || words.next()? != topic_id {
            return None;
        }
        let bytes = BASE64.decode(words.next()?).ok()?;
        let mut rest = bytes.as_slice();
        let (mut runs, mut at) = (Vec::new(), base);
        while !rest.is_empty() {
            let start = at.checked_add_unsigned(read_number(&mut rest)?)?;
            at = start.checked_add_unsigned(read_number(&mut rest)?)?;
            runs.push((start, at));
        }
        Some(Progress { base, runs })
    }
}

fn write_number(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn read_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..63).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// Progress of version 1 as it was written when it was new: it must load for ever.
    #[test]
    fn version_1_is_read_and_written() {
        let mut progress = Progress::from(40);
        progress.mark(42, 43);
        progress.mark(300, 500);
        let golden = "gwp1 abc AgGBAsgB";
        assert_eq!(progress.encode("abc").unwrap(), golden);
        assert_eq!(Progress::decode("abc", 40, golden.as_bytes()).unwrap(), progress);
        assert_eq!(Progress::decode("other", 40, golden.as_bytes()), None, "another topic of that name");
        for foreign in [&b""[..], b"\xff\xfe", b"gw1 name", b"gwp1 abc !", b"gwp1 abc gQ", b"gwp1 abc"] {
            assert_eq!(Progress::decode("abc", 40, foreign), None);
        }
    }

    #[test]
    fn what_is_too_scattered_is_not_written() {
        let mut progress = Progress::from(0);
        for at in 0..1_000 {
            progress.mark(at * 2 + 1, at * 2 + 2);
        }
        assert!(progress.encode("abc").is_some());
        for at in 1_000..3_000 {
            progress.mark(at * 2 + 1, at * 2 + 2);
        }
        assert!(progress.encode("abc").is_none());
        progress.mark(0, 6_000);
        assert_eq!(progress, Progress::from(6_000));
    }

    proptest! {
        #[test]
        fn it_is_the_set_of_what_was_marked(
            base in 0i64..20,
            marks in prop::collection::vec((0i64..200, 1i64..20), 0..40),
        ) {
            let mut progress = Progress::from(base);
            let mut all: BTreeSet<i64> = (0..base).collect();
            for (start, length) in marks {
                progress.mark(start, start + length);
                all.extend(start..start + length);
            }
            for offset in 0..230 {
                prop_assert_eq!(progress.is_done(offset), all.contains(&offset), "{}", offset);
            }
            prop_assert!(!progress.is_done(progress.base()));
            let text = progress.encode("id").unwrap();
            prop_assert_eq!(Progress::decode("id", progress.base(), text.as_bytes()), Some(progress));
        }
    }
}
