//! A record that is no reading, made public: why, where it stood, and its bytes.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Serialize;

use crate::Timestamp;
use crate::reading::{Reason, Rejection};
use crate::record::{Header, Record, RecordMeta};

/// Of a longer record only the beginning is kept.
pub const DEAD_LETTER_RECORD_BYTES_MAX: usize = 64 << 10;

#[derive(Serialize)]
struct Line<'a> {
    reason: &'static str,
    detail: &'a str,
    lane: &'a str,
    position: u64,
    #[serde(skip_serializing_if = "is_zero")]
    line: u64,
    /// When the record was stored, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    /// How many bytes the source handed over.
    record_bytes: usize,
    /// Not all of the record is here: it was cut by the source, or for this line.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<&'a str>,
    /// Where the record is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    record_base64: Option<String>,
}

fn is_zero(line: &u64) -> bool {
    *line == 0
}

/// All that is known of a record that is no reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    pub reason: Reason,
    pub detail: String,
    pub lane: String,
    pub meta: RecordMeta,
    /// As the source handed it over.
    pub record: Vec<u8>,
    pub key: Option<Vec<u8>>,
    pub headers: Vec<Header>,
}

impl DeadLetter {
    /// Of the record, its key and its headers.
    pub fn size_bytes(&self) -> usize {
        let headers = self.headers.iter().map(|(name, value)| name.len() + value.len());
        self.record.len() + self.key.as_ref().map_or(0, Vec::len) + headers.sum::<usize>()
    }

    pub fn new(rejection: &Rejection, lane: &str, record: &Record<'_>) -> Self {
        DeadLetter {
            reason: rejection.reason,
            detail: shortened(&rejection.detail).into_owned(),
            lane: lane.to_owned(),
            meta: record.meta,
            record: record.bytes.to_vec(),
            key: record.key.map(<[u8]>::to_vec),
            headers: record.headers.to_vec(),
        }
    }

    /// One line of JSON, without a line end. Of a long record only the beginning.
    pub fn to_json(&self) -> Vec<u8> {
        let bytes = &self.record;
        let text = std::str::from_utf8(bytes).ok();
        let mut kept = bytes.len().min(DEAD_LETTER_RECORD_BYTES_MAX);
        while text.is_some_and(|text| !text.is_char_boundary(kept)) {
            kept -= 1;
        }
        let line = Line {
            reason: self.reason.name(),
            detail: &self.detail,
            lane: &self.lane,
            position: self.meta.position,
            line: self.meta.line,
            time: self.meta.stored.and_then(rfc3339),
            record_bytes: bytes.len(),
            truncated: self.meta.truncated || kept < bytes.len(),
            record: text.map(|text| &text[..kept]),
            record_base64: text.is_none().then(|| BASE64.encode(&bytes[..kept])),
        };
        // Writing texts and numbers to a vector cannot fail.
        serde_json::to_vec(&line).unwrap_or_default()
    }
}

/// A detail may quote what somebody sent.
fn shortened(detail: &str) -> Cow<'_, str> {
    const DETAIL_BYTES_MAX: usize = 1024;
    let mut end = detail.len().min(DETAIL_BYTES_MAX);
    while !detail.is_char_boundary(end) {
        end -= 1;
    }
    if end == detail.len() { Cow::Borrowed(detail) } else { Cow::Owned(format!("{}…", &detail[..end])) }
}

fn rfc3339(time: Timestamp) -> Option<String> {
    let time = jiff::Timestamp::from_millisecond(time).ok()?;
    Some(format!("{time:.3}"))
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(reason: Reason, meta: RecordMeta, bytes: &[u8], golden: Expect) {
        let rejection = Rejection { reason, detail: "what was found".into() };
        let out = DeadLetter::new(&rejection, "readings-3", &Record::plain(meta, bytes)).to_json();
        golden.assert_eq(&String::from_utf8_lossy(&out));
    }

    fn meta(line: u64, stored: Option<Timestamp>) -> RecordMeta {
        RecordMeta { position: 912, next: 990, stored, line, end: 0, truncated: false }
    }

    #[test]
    fn golden_text() {
        check(
            Reason::NotJson,
            meta(7, Some(1_767_225_600_000)),
            b"{\"sensor_id\":\"m\xc3\xa9",
            expect![[
                r#"{"reason":"not_json","detail":"what was found","lane":"readings-3","position":912,"line":7,"time":"2026-01-01T00:00:00.000Z","record_bytes":17,"record":"{\"sensor_id\":\"mé"}"#
            ]],
        );
    }

    #[test]
    fn golden_bytes() {
        check(
            Reason::NotCsv,
            meta(0, None),
            b"a\xff\x00b",
            expect![[
                r#"{"reason":"not_csv","detail":"what was found","lane":"readings-3","position":912,"record_bytes":4,"record_base64":"Yf8AYg=="}"#
            ]],
        );
    }

    #[test]
    fn a_long_record_is_cut_between_characters() {
        let record = "é".repeat(DEAD_LETTER_RECORD_BYTES_MAX).into_bytes();
        let mut record_at_odd = vec![b'x'];
        record_at_odd.extend(record);
        let rejection = Rejection { reason: Reason::TooLarge, detail: "é".repeat(5000) };
        let out = DeadLetter::new(&rejection, "a", &Record::plain(meta(1, None), &record_at_odd)).to_json();
        let line: serde_json::Value = serde_json::from_slice(&out).unwrap_or_default();
        assert_eq!(line["record_bytes"], record_at_odd.len());
        assert_eq!(line["truncated"], true);
        let kept = line["record"].as_str().map_or(0, str::len);
        assert_eq!(kept, DEAD_LETTER_RECORD_BYTES_MAX - 1);
        assert!(line["detail"].as_str().is_some_and(|detail| detail.len() < 1100));
    }
}
