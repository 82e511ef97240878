//! What readings do not imply: the little that a lane must be told again when it replays.

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::record::Position;

/// Applied after everything before `position` and before the record at it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    pub position: Position,
    pub what: What,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum What {
    /// The detector judges no more on this lane; its open episodes are cleared.
    /// It is about the detector as it was then: `fingerprint` of module, parameters and limits.
    Quarantine { detector: String, fingerprint: String, reason: String },
    /// The host has cleared the open episodes of a detector that runs no more, or that began anew.
    Closed { detector: String },
    /// No readings for a while: event time is taken to have come this far.
    IdleTick { time: Timestamp },
    /// Records that name this schema are refused from here on: the registry does not have it, or none
    /// that can be checked with.
    SchemaUnknown { id: u32 },
    /// It was refused, and is there by now.
    SchemaKnown { id: u32 },
    /// A candidate begins here, with what the detector in the seat knows (nothing where there is none), and lives in
    /// silence from here on. One that begins later takes its place.
    Prepare { detector: String, generation: u64 },
    /// The candidate of that generation takes the seat.
    Swap { detector: String, generation: u64 },
    /// What ran before and was kept warm takes the seat again, as that generation.
    Back { detector: String, generation: u64 },
    /// The detector runs no more; its open episodes are cleared. What it knows is kept, or not.
    Remove { detector: String, is_kept: bool },
}

const VERSION: u8 = 1;

/// Bytes that are not a list of decisions of a version known here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("these are no decisions of version {VERSION}: {what}")]
pub struct DecisionsError {
    what: String,
}

/// Version byte, then postcard.
pub fn encode(decisions: &[Decision]) -> Result<Vec<u8>, DecisionsError> {
    let mut bytes = vec![VERSION];
    let body =
        postcard::to_allocvec(decisions).map_err(|error| DecisionsError { what: error.to_string() })?;
    bytes.extend(body);
    Ok(bytes)
}

pub fn decode(bytes: &[u8]) -> Result<Vec<Decision>, DecisionsError> {
    match bytes {
        [] => Ok(Vec::new()),
        [VERSION, body @ ..] => {
            postcard::from_bytes(body).map_err(|error| DecisionsError { what: error.to_string() })
        }
        [version, ..] => Err(DecisionsError { what: format!("version {version}") }),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Bytes of version 1 as they were written when it was new: they must load for ever.
    const GOLDEN: &[u8] = &[
        1, 3, 7, 0, 6, b'l', b'i', b'm', b'i', b't', b's', 1, b'f', 4, b't', b'r', b'a', b'p', 0xac, 2, 2,
        0xd0, 0x0f, 0xad, 2, 1, 5, b's', b'h', b'i', b'f', b't',
    ];

    /// What came to version 1 later.
    const GOLDEN_SCHEMAS: &[u8] = &[1, 2, 0xac, 2, 3, 0x82, 2, 0xad, 2, 4, 7];

    /// What came with rosters.
    const GOLDEN_SWAPS: &[u8] =
        &[1, 4, 7, 5, 1, b's', 2, 9, 6, 1, b's', 2, 10, 7, 1, b's', 0xac, 2, 11, 8, 1, b's', 1];

    fn sample() -> Vec<Decision> {
        vec![
            Decision {
                position: 7,
                what: What::Quarantine {
                    detector: "limits".into(),
                    fingerprint: "f".into(),
                    reason: "trap".into(),
                },
            },
            Decision { position: 300, what: What::IdleTick { time: 1_000 } },
            Decision { position: 301, what: What::Closed { detector: "shift".into() } },
        ]
    }

    #[test]
    fn version_1_is_read_and_written() {
        assert_eq!(encode(&sample()).unwrap(), GOLDEN);
        assert_eq!(decode(GOLDEN).unwrap(), sample());
    }

    #[test]
    fn what_came_to_version_1_later_is_read_and_written() {
        let schemas = vec![
            Decision { position: 300, what: What::SchemaUnknown { id: 258 } },
            Decision { position: 301, what: What::SchemaKnown { id: 7 } },
        ];
        assert_eq!(encode(&schemas).unwrap(), GOLDEN_SCHEMAS);
        assert_eq!(decode(GOLDEN_SCHEMAS).unwrap(), schemas);
    }

    #[test]
    fn swaps_are_read_and_written() {
        let detector = "s".to_owned();
        let swaps = [
            (7, What::Prepare { detector: detector.clone(), generation: 2 }),
            (9, What::Swap { detector: detector.clone(), generation: 2 }),
            (10, What::Back { detector: detector.clone(), generation: 300 }),
            (11, What::Remove { detector, is_kept: true }),
        ];
        let swaps = swaps.map(|(position, what)| Decision { position, what });
        assert_eq!(encode(&swaps).unwrap(), GOLDEN_SWAPS);
        assert_eq!(decode(GOLDEN_SWAPS).unwrap(), swaps);
    }

    #[test]
    fn another_version_is_refused_by_name() {
        assert!(decode(&[9, 0]).unwrap_err().to_string().contains("version 9"));
        assert!(decode(&GOLDEN[..5]).is_err());
    }
}
