//! What readings do not imply: the little that a lane must be told again when it replays.

use std::collections::VecDeque;

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
    /// The reading at this position is not shown to the detector, since it fails on it. About the detector as it was
    /// then: `fingerprint`, as of a quarantine. `capsule` is the digest (hexadecimal) of all it takes to see it fail
    /// again; empty where there is none.
    Skip { detector: String, fingerprint: String, reason: String, capsule: String },
    /// A quarantine in which what the detector knew is kept, for its end: what it knew here, or, where it failed when it
    /// was told the tick before this position, before that.
    Suspend { detector: String, fingerprint: String, reason: String, in_tick: bool },
    /// The end of a quarantine: the detector goes on with what was kept of it, or with nothing.
    Release { detector: String, is_cold: bool },
    /// The candidate of that generation judges from here on and is not heard; another shadow of the name leaves.
    Shadow { detector: String, generation: u64 },
    /// The shadow takes the seat, as that generation.
    Promote { detector: String, generation: u64 },
    /// The shadow leaves, or has failed: what it knows is nobody's any more.
    Unshade { detector: String },
    /// Who sits there goes on as that generation: the same module, parameters and limits, under other settings.
    Rename { detector: String, generation: u64 },
    /// The detector has failed here, or when it was told the tick before this position, and what ran before and was
    /// kept warm takes the seat, as the generation that it was.
    FallBack { detector: String, generation: u64, reason: String, in_tick: bool },
    /// What a quarantined detector knew, and was not kept, was found out, and is kept from here on.
    Recall { detector: String },
}

impl What {
    /// Whom it is about, if it is about one detector.
    pub fn detector(&self) -> Option<&str> {
        match self {
            What::Quarantine { detector, .. }
            | What::Closed { detector }
            | What::Prepare { detector, .. }
            | What::Swap { detector, .. }
            | What::Back { detector, .. }
            | What::Remove { detector, .. }
            | What::Skip { detector, .. }
            | What::Suspend { detector, .. }
            | What::Release { detector, .. }
            | What::Shadow { detector, .. }
            | What::Promote { detector, .. }
            | What::Unshade { detector }
            | What::Rename { detector, .. }
            | What::FallBack { detector, .. }
            | What::Recall { detector } => Some(detector),
            What::IdleTick { .. } | What::SchemaUnknown { .. } | What::SchemaKnown { .. } => None,
        }
    }
}

/// What was decided in a lane since its beginning, in the order in which it took effect; the latest of it. It is
/// counted, so that a checkpoint knows what of it is in it: positions do not tell, where several stand at one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chronicle {
    decided: u64,
    latest: VecDeque<Decision>,
}

/// More than a day of idle ticks, one a minute.
const CHRONICLE_MAX: usize = 2_000;

impl Chronicle {
    pub fn note(&mut self, decision: Decision) {
        if self.latest.len() >= CHRONICLE_MAX {
            self.latest.pop_front();
        }
        self.decided += 1;
        self.latest.push_back(decision);
    }

    /// What is remembered of it.
    pub fn latest(&self) -> &VecDeque<Decision> {
        &self.latest
    }

    /// So many were noted, ever.
    pub fn decided(&self) -> u64 {
        self.decided
    }

    /// As it was before the last decision that is like that; None where none is remembered.
    pub fn before_last(&self, is_it: impl Fn(&Decision) -> bool) -> Option<(Chronicle, &Decision)> {
        let at = self.latest.iter().rposition(is_it)?;
        let latest: VecDeque<Decision> = self.latest.range(..at).cloned().collect();
        Some((
            Chronicle { decided: self.decided - (self.latest.len() - at) as u64, latest },
            &self.latest[at],
        ))
    }

    /// Whether a lane that has this chronicle was once where `other` ends, having read up to `position`: what was
    /// decided by then is the same, as far as both remember it, and nothing else was decided further back.
    pub fn has_been_at(&self, other: &Chronicle, position: Position) -> bool {
        let Some(since) = self.since(other.decided) else { return false };
        let known = self.latest.len() - since.len();
        let both = known.min(other.latest.len());
        self.latest.range(known - both..known).eq(other.latest.range(other.latest.len() - both..))
            && since.iter().all(|decision| decision.position >= position)
    }

    /// All but the first `decided`, ascending by position; None where they are not known any more.
    pub fn since(&self, decided: u64) -> Option<Vec<Decision>> {
        let wanted = usize::try_from(self.decided.checked_sub(decided)?).ok()?;
        let from = self.latest.len().checked_sub(wanted)?;
        let mut decisions: Vec<Decision> = self.latest.range(from..).cloned().collect();
        decisions.sort_by_key(|decision| decision.position);
        Some(decisions)
    }
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

    /// What came with readings that detectors fail on.
    const GOLDEN_FAULTS: &[u8] = &[
        1, 3, 7, 9, 1, b's', 1, b'f', 4, b't', b'r', b'a', b'p', 2, b'0', b'a', 9, 10, 1, b's', 1, b'f', 4,
        b't', b'r', b'a', b'p', 1, 10, 11, 1, b's', 1,
    ];

    /// What came with shadows.
    const GOLDEN_SHADOWS: &[u8] = &[1, 2, 7, 12, 1, b's', 2, 0xac, 2, 13, 1, b's', 3];

    /// What came with lanes that go back by themselves.
    const GOLDEN_WAYS_BACK: &[u8] = &[
        1, 4, 7, 14, 1, b's', 9, 15, 1, b's', 0xac, 2, 10, 16, 1, b's', 2, 4, b't', b'r', b'a', b'p', 1, 11,
        17, 1, b's',
    ];

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
    fn faults_are_read_and_written() {
        let (detector, fingerprint, reason) = ("s".to_owned(), "f".to_owned(), "trap".to_owned());
        let skip = What::Skip {
            detector: detector.clone(),
            fingerprint: fingerprint.clone(),
            reason: reason.clone(),
            capsule: "0a".into(),
        };
        let suspend = What::Suspend { detector: detector.clone(), fingerprint, reason, in_tick: true };
        let faults = [(7, skip), (9, suspend), (10, What::Release { detector, is_cold: true })];
        let faults = faults.map(|(position, what)| Decision { position, what });
        assert_eq!(encode(&faults).unwrap(), GOLDEN_FAULTS);
        assert_eq!(decode(GOLDEN_FAULTS).unwrap(), faults);
    }

    #[test]
    fn a_chronicle_tells_where_its_lane_has_been() {
        let of = |at: &[(u64, i64)]| {
            let mut chronicle = Chronicle::default();
            for (position, time) in at {
                chronicle.note(Decision { position: *position, what: What::IdleTick { time: *time } });
            }
            chronicle
        };
        let ours = of(&[(3, 30), (7, 70), (7, 71), (9, 90)]);
        assert!(ours.has_been_at(&of(&[]), 2) && ours.has_been_at(&of(&[(3, 30)]), 7));
        assert!(ours.has_been_at(&of(&[(3, 30), (7, 70)]), 7), "more was decided there later");
        assert!(!ours.has_been_at(&of(&[(3, 30)]), 8), "it read on without what was decided at 7");
        assert!(!ours.has_been_at(&of(&[(3, 30), (7, 77)]), 7), "something else was decided");
        let later = of(&[(3, 30), (7, 70), (7, 71), (9, 90), (9, 91)]);
        assert!(!ours.has_been_at(&later, 9), "it was not there yet");
        let (before, last) = ours.before_last(|decision| decision.position == 7).unwrap();
        assert_eq!((before, last), (of(&[(3, 30), (7, 70)]), &ours.latest()[2]));
        assert_eq!(ours.before_last(|decision| decision.position == 1), None);
    }

    #[test]
    fn what_was_decided_since_is_told_by_count() {
        let mut chronicle = Chronicle::default();
        let tick = |position| Decision { position, what: What::IdleTick { time: 7 } };
        for position in [5, 9, 9, 3] {
            chronicle.note(tick(position));
        }
        assert_eq!(chronicle.since(1).unwrap(), [tick(3), tick(9), tick(9)]);
        assert_eq!(chronicle.since(4).unwrap(), []);
        assert_eq!(chronicle.since(5), None, "another lane's");
        (0..CHRONICLE_MAX as u64).for_each(|position| chronicle.note(tick(position)));
        assert_eq!(chronicle.since(4).map(|decisions| decisions.len()), Some(CHRONICLE_MAX));
        assert_eq!(chronicle.since(3), None, "it is forgotten by now");
    }

    #[test]
    fn shadows_are_read_and_written() {
        let detector = "s".to_owned();
        let shadows = vec![
            Decision { position: 7, what: What::Shadow { detector: detector.clone(), generation: 2 } },
            Decision { position: 300, what: What::Promote { detector, generation: 3 } },
        ];
        assert_eq!(encode(&shadows).unwrap(), GOLDEN_SHADOWS);
        assert_eq!(decode(GOLDEN_SHADOWS).unwrap(), shadows);
    }

    #[test]
    fn ways_back_are_read_and_written() {
        let (detector, reason) = ("s".to_owned(), "trap".to_owned());
        let back = What::FallBack { detector: detector.clone(), generation: 2, reason, in_tick: true };
        let decisions = [
            (7, What::Unshade { detector: detector.clone() }),
            (9, What::Rename { detector: detector.clone(), generation: 300 }),
            (10, back),
            (11, What::Recall { detector }),
        ];
        let decisions = decisions.map(|(position, what)| Decision { position, what });
        assert_eq!(encode(&decisions).unwrap(), GOLDEN_WAYS_BACK);
        assert_eq!(decode(GOLDEN_WAYS_BACK).unwrap(), decisions);
    }

    #[test]
    fn another_version_is_refused_by_name() {
        assert!(decode(&[9, 0]).unwrap_err().to_string().contains("version 9"));
        assert!(decode(&GOLDEN[..5]).is_err());
    }
}
