//! Schemas of messages: what a lane asks of them, how a record names its own, and those that gridwatch
//! itself registers.

use std::sync::Arc;

/// The schemas of a registry, as far as they are known here. Asked by lanes, so it answers at once.
pub trait Schemas: Send + Sync {
    /// The schema with this id. `None`: the registry says that there is none. Whoever handed the record
    /// over has made sure before that one of both is known.
    fn find(&self, id: u32) -> Option<Arc<dyn Schema>>;
}

/// One schema, ready to check with.
pub trait Schema: Send + Sync {
    /// The first thing wrong with a message: its path as a JSON pointer and what is wrong there, at most
    /// `VIOLATION_BYTES_MAX` bytes. `None` where nothing is, and for what is no JSON at all: that is the
    /// decoder's to say.
    fn violation(&self, json: &[u8]) -> Option<String>;

    /// Why records cannot be checked with it, though the registry has it. That may change, as an id that
    /// is not there may come; what `violation` says never does.
    fn unusable(&self) -> Option<&str> {
        None
    }
}

/// Registries count in signed 32 bits; some stumble over what is beyond. No schema has a greater id.
pub const ID_MAX: u32 = i32::MAX as u32;

/// A violation may quote what somebody sent.
pub const VIOLATION_BYTES_MAX: usize = 512;

/// How a record came: as it is, or behind the id of its schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing<'a> {
    Plain,
    Framed {
        id: u32,
        body: &'a [u8],
    },
    /// It begins like a frame, and ends before the id does.
    Truncated,
}

/// The first byte of a framed record. No JSON begins with it, so that records of both kinds may come
/// in one topic.
const MAGIC: u8 = 0;

/// Tells framed records from plain ones: the wire format of Confluent's serializers is a zero byte, the
/// id (32 bits, big-endian), and the message.
#[inline]
pub fn unframe(record: &[u8]) -> Framing<'_> {
    match record {
        [MAGIC, a, b, c, d, body @ ..] => Framing::Framed { id: u32::from_be_bytes([*a, *b, *c, *d]), body },
        [MAGIC, ..] => Framing::Truncated,
        _ => Framing::Plain,
    }
}

/// Appends what goes before a message of the schema `id`.
pub fn frame(id: u32, out: &mut Vec<u8>) {
    out.push(MAGIC);
    out.extend_from_slice(&id.to_be_bytes());
}

/// JSON Schema of a reading, as the decoder reads it without a mapping.
pub const READING: &str = include_str!("../schemas/reading.schema.json");

/// JSON Schema of an anomaly, as `anomaly::Anomaly` is written.
pub const ANOMALY: &str = include_str!("../schemas/anomaly.schema.json");

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn frames_are_told_from_plain_records() {
        assert_eq!(unframe(b"\0\0\0\x01\x02{}"), Framing::Framed { id: 258, body: b"{}" });
        assert_eq!(unframe(b"\0\xff\xff\xff\xff"), Framing::Framed { id: u32::MAX, body: b"" });
        for plain in [&b""[..], b"{}", b" \0\0\0\x01\x02", b"null"] {
            assert_eq!(unframe(plain), Framing::Plain);
        }
        for cut in 1..5 {
            assert_eq!(unframe(&b"\0\0\0\x01\x02"[..cut]), Framing::Truncated);
        }
    }

    #[test]
    fn schemas_are_named_with_their_version() {
        for (text, name) in [(READING, "reading"), (ANOMALY, "anomaly")] {
            let schema: serde_json::Value = serde_json::from_str(text).unwrap();
            assert_eq!(schema["$id"], format!("urn:gridwatch:{name}:1"));
        }
    }

    proptest! {
        #[test]
        fn what_is_framed_is_unframed(id: u32, body: Vec<u8>) {
            let mut record = Vec::new();
            frame(id, &mut record);
            record.extend_from_slice(&body);
            prop_assert_eq!(unframe(&record), Framing::Framed { id, body: &body });
        }
    }
}
