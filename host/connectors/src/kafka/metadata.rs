//! What a commit says besides the position, as the text that Kafka keeps with an offset.
//!
//! `gw1 NAME DECISIONS`: version, the checkpoint's name within its lane's folder, and the decisions in
//! base64 where there are any. Kafka allows 4,096 bytes unless told otherwise.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use gridwatch_core::sink::LaneCommit;

const VERSION: &str = "gw1";
/// What brokers accept (`offset.metadata.max.bytes`).
const BYTES_MAX: usize = 4096;

/// Metadata that is ours but cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    #[error(
        "the commit's metadata is of version `{version}`; this gridwatch reads {VERSION}: use a newer one"
    )]
    Version { version: String },
    #[error("the commit's metadata is damaged")]
    Damaged,
    #[error("{bytes} bytes of metadata are more than the {BYTES_MAX} that Kafka keeps")]
    TooLong { bytes: usize },
}

pub fn encode(lane: &str, commit: &LaneCommit) -> Result<String, MetadataError> {
    let name = commit.checkpoint.strip_prefix(&folder_of(lane)).unwrap_or(&commit.checkpoint);
    let mut text = format!("{VERSION} {name}");
    if !commit.decisions.is_empty() {
        text.push(' ');
        BASE64.encode_string(&commit.decisions, &mut text);
    }
    if text.len() > BYTES_MAX {
        return Err(MetadataError::TooLong { bytes: text.len() });
    }
    Ok(text)
}

/// A commit without metadata, or with somebody else's, is a bare position: no checkpoint is named.
pub fn decode(lane: &str, position: u64, metadata: &[u8]) -> Result<LaneCommit, MetadataError> {
    let bare = LaneCommit { position, checkpoint: String::new(), decisions: Vec::new() };
    let Ok(text) = std::str::from_utf8(metadata) else { return Ok(bare) };
    let mut words = text.split(' ');
    let version = words.next().unwrap_or_default();
    if version != VERSION {
        let ours = version.strip_prefix("gw").is_some_and(|number| number.parse::<u32>().is_ok());
        return if ours { Err(MetadataError::Version { version: version.to_owned() }) } else { Ok(bare) };
    }
    let (Some(name), decisions, None) = (words.next(), words.next(), words.next()) else {
        return Err(MetadataError::Damaged);
    };
    let decisions = BASE64.decode(decisions.unwrap_or_default()).map_err(|_| MetadataError::Damaged)?;
    let checkpoint = if name.contains('/') { name.to_owned() } else { folder_of(lane) + name };
    Ok(LaneCommit { position, checkpoint, decisions })
}

fn folder_of(lane: &str) -> String {
    format!("checkpoints/{lane}/")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn commit(decisions: Vec<u8>) -> LaneCommit {
        let checkpoint = "checkpoints/sensor-readings-3/00000000000000000912-0123456789abcdef".into();
        LaneCommit { position: 990, checkpoint, decisions }
    }

    /// Metadata of version 1 as it was written when it was new: it must load for ever.
    #[test]
    fn version_1_is_read_and_written() {
        let golden = "gw1 00000000000000000912-0123456789abcdef AQID/w";
        let commit = commit(vec![1, 2, 3, 255]);
        assert_eq!(encode("sensor-readings-3", &commit).unwrap(), golden);
        assert_eq!(decode("sensor-readings-3", 990, golden.as_bytes()).unwrap(), commit);
        let plain = LaneCommit { decisions: vec![], ..commit };
        let golden = "gw1 00000000000000000912-0123456789abcdef";
        assert_eq!(encode("sensor-readings-3", &plain).unwrap(), golden);
        assert_eq!(decode("sensor-readings-3", 990, golden.as_bytes()).unwrap(), plain);
    }

    #[test]
    fn what_others_wrote_is_a_bare_position_and_what_is_newer_is_refused() {
        for theirs in [&b""[..], b"NONE", b"\xff\xfe", b"gwen was here"] {
            assert_eq!(decode("l", 7, theirs).unwrap().checkpoint, "");
        }
        assert!(matches!(decode("l", 7, b"gw2 x"), Err(MetadataError::Version { .. })));
        assert_eq!(decode("l", 7, b"gw1"), Err(MetadataError::Damaged));
        assert_eq!(decode("l", 7, b"gw1 a ??"), Err(MetadataError::Damaged));
    }

    #[test]
    fn the_most_that_the_engine_commits_fits() {
        assert!(encode("sensor-readings-3", &commit(vec![7; 2_800])).unwrap().len() < BYTES_MAX);
        assert!(matches!(
            encode("sensor-readings-3", &commit(vec![7; 4_000])),
            Err(MetadataError::TooLong { .. })
        ));
    }
}
