//! Bytes cut into records at line ends; for CSV, at those that stand outside quotes.
//!
//! Where a record ends depends on the bytes and on `record_bytes_max` alone, not on how they were
//! read, so that a position means the same record after a restart.
//!
//! A quoted field may go over lines. A quote that nobody closes would take the lines behind it along, up to the
//! next quote, and they would be lost without a word; so what stands between two quotes is a field only where the
//! second one ends it, and within so many lines. Otherwise the record ends with its first line.

use std::ops::Range;

use memchr::{memchr, memchr2};

/// Bytes asked of the input at a time.
const READ_BYTES: usize = 256 << 10;

/// A quoted field of more lines is a quote that nobody closed.
const QUOTED_LINES_MAX: u64 = 64;

/// One record, or what is left of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Cut {
    /// Without the line end. `None`: it was too long, and its beginning is the splitter's head.
    window: Option<Range<usize>>,
    /// Bytes of the record itself: the same whether its line end has come yet or not.
    pub(super) text: u64,
    /// With its line end.
    pub(super) length: u64,
    pub(super) newlines: u64,
    pub(super) truncated: bool,
}

/// How far the record at hand was looked through, relative to its start.
#[derive(Debug, Default)]
struct Scan {
    at: usize,
    quoted: bool,
    /// Behind the quote that closed last: another one there is an escaped quote.
    closed: usize,
    newlines: u64,
    first_newline: Option<usize>,
}

impl Scan {
    /// Where the quote closed that closed last, more of the field stands: the two do not belong together.
    fn is_torn(&self, record: &[u8], delimiter: Option<u8>) -> bool {
        let behind = record.get(self.closed).filter(|_| self.closed > 0);
        behind.is_some_and(|byte| !matches!(byte, b'"' | b'\r' | b'\n') && Some(*byte) != delimiter)
    }
}

#[derive(Debug)]
pub(super) struct Splitter {
    delimiter: Option<u8>,
    record_bytes_max: usize,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    scan: Scan,
    /// Beginning of a record that is too long.
    head: Vec<u8>,
    /// Bytes of that record already let go; 0 while none is.
    skipped: u64,
}

impl Splitter {
    /// With a delimiter the records are CSV.
    pub(super) fn new(delimiter: Option<u8>, record_bytes_max: usize) -> Splitter {
        Splitter {
            delimiter,
            record_bytes_max,
            buffer: Vec::new(),
            start: 0,
            end: 0,
            scan: Scan::default(),
            head: Vec::new(),
            skipped: 0,
        }
    }

    pub(super) fn clear(&mut self) {
        (self.start, self.end, self.skipped) = (0, 0, 0);
        self.scan = Scan::default();
    }

    /// Room for more bytes; what was read into it is told by `filled`. At most
    /// `record_bytes_max` and twice `READ_BYTES` are ever held.
    pub(super) fn room(&mut self) -> &mut [u8] {
        if self.end + READ_BYTES > self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            if self.end + READ_BYTES > self.buffer.len() {
                self.buffer.resize(self.end + READ_BYTES, 0);
            }
        }
        &mut self.buffer[self.end..]
    }

    pub(super) fn filled(&mut self, bytes: usize) {
        self.end += bytes;
    }

    /// What is held and not cut yet.
    pub(super) fn waiting(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Lets the first bytes go.
    pub(super) fn drop_front(&mut self, bytes: usize) {
        self.start += bytes;
    }

    pub(super) fn bytes(&self, cut: &Cut) -> &[u8] {
        match &cut.window {
            Some(range) => &self.buffer[range.clone()],
            None => &self.head,
        }
    }

    /// The next record; `None` if more bytes are needed, or, at the end, if there is none left.
    pub(super) fn next(&mut self, at_end: bool) -> Option<Cut> {
        if self.skipped > 0 {
            return self.skip(at_end);
        }
        let held = self.end - self.start;
        // A line end may take two bytes; a record that has none within this is too long.
        let limit = held.min(self.record_bytes_max + 2);
        if let Some(newline) = self.find_end(limit) {
            return Some(self.cut(newline, newline + 1));
        }
        let too_long = held >= self.record_bytes_max + 2;
        let last = at_end && held > 0;
        if !(too_long || last) {
            return None;
        }
        let is_open =
            self.scan.quoted || self.scan.is_torn(&self.buffer[self.start..self.end], self.delimiter);
        if let Some(newline) = self.scan.first_newline.filter(|_| too_long || is_open) {
            return Some(self.cut(newline, newline + 1));
        }
        if !too_long {
            return Some(self.cut(held, held));
        }
        self.head.clear();
        self.head.extend_from_slice(&self.buffer[self.start..self.start + self.record_bytes_max]);
        self.skipped = limit as u64;
        self.start += limit;
        self.skip(at_end)
    }

    fn skip(&mut self, at_end: bool) -> Option<Cut> {
        let newline = memchr(b'\n', self.waiting());
        let passed = newline.map_or(self.end - self.start, |newline| newline + 1);
        self.start += passed;
        self.skipped += passed as u64;
        if newline.is_none() && !at_end {
            return None;
        }
        let length = std::mem::take(&mut self.skipped);
        self.scan = Scan::default();
        let newlines = u64::from(newline.is_some());
        Some(Cut { window: None, text: length - newlines, length, newlines, truncated: true })
    }

    /// The record of the first `text` bytes; `length` counts its line end, too.
    fn cut(&mut self, text: usize, length: usize) -> Cut {
        let scan = std::mem::take(&mut self.scan);
        let newlines = if scan.first_newline == Some(text) { 1 } else { scan.newlines };
        let start = self.start;
        self.start += length;
        let mut end = start + text;
        if end > start && self.buffer[end - 1] == b'\r' {
            end -= 1;
        }
        let bytes = end - start;
        let truncated = bytes > self.record_bytes_max;
        let end = end.min(start + self.record_bytes_max);
        Cut { window: Some(start..end), text: bytes as u64, length: length as u64, newlines, truncated }
    }

    /// Where the record's line end is, among the first `limit` bytes.
    fn find_end(&mut self, limit: usize) -> Option<usize> {
        let record = &self.buffer[self.start..self.start + limit];
        let scan = &mut self.scan;
        let Some(delimiter) = self.delimiter else {
            let found = memchr(b'\n', &record[scan.at.min(limit)..]).map(|found| scan.at + found);
            scan.at = limit;
            scan.newlines += u64::from(found.is_some());
            return found;
        };
        while let Some(found) = memchr2(b'"', b'\n', &record[scan.at.min(limit)..]) {
            let at = scan.at + found;
            scan.at = at + 1;
            if scan.first_newline.is_some() && scan.is_torn(record, Some(delimiter)) {
                return scan.first_newline;
            }
            if record[at] == b'\n' {
                scan.newlines += 1;
                if !scan.quoted {
                    return Some(at);
                }
                scan.first_newline.get_or_insert(at);
                if scan.newlines >= QUOTED_LINES_MAX {
                    return scan.first_newline;
                }
            } else if scan.quoted {
                scan.quoted = false;
                scan.closed = at + 1;
            } else {
                let begins = at == 0 || record[at - 1] == delimiter;
                scan.quoted = begins || scan.closed == at;
                scan.closed = if begins { 0 } else { scan.closed };
            }
        }
        scan.at = limit;
        None
    }
}
