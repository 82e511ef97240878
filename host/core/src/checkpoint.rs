//! A checkpoint: all that a lane needs to go on from a position, as one sealed blob.
//!
//! Layout: `GWCP`, version (u16, big-endian), SHA-256 of the body, body (postcard). The version says how
//! to read the body; the digest that it is whole.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::Timestamp;
use crate::anomaly::EpisodeKey;
use crate::clock::LaneClock;
use crate::decision::Chronicle;
use crate::digest;
use crate::finding::Severity;
use crate::judge::{Saved, States};
use crate::reading::Quantity;
use crate::record::Position;
use crate::sensors::SavedSensors;
use crate::shared::Shared;

const MAGIC: &[u8; 4] = b"GWCP";
const VERSION: u16 = 4;
/// Without the chronicle.
const VERSION_3: u16 = 3;
/// Without generations and roles.
const VERSION_2: u16 = 2;
/// Without what comes after the detectors.
const VERSION_1: u16 = 1;
const HEADER_BYTES: usize = 4 + 2 + 32;

/// Versions 1 to 4.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    pub lane: String,
    pub position: Position,
    /// What the positions count in.
    pub source: Vec<SourcePart>,
    /// The settings that decide output (decode, assets' digest, tick, lateness, …), as JSON, so that a
    /// replay under others is noticed.
    pub settings: String,
    pub quantities: Vec<Quantity>,
    pub sensors: Shared<SavedSensors>,
    pub clock: LaneClock,
    /// The last tick that was told, as a multiple of the tick.
    pub tick: Option<Timestamp>,
    pub detectors: Vec<DetectorState>,
    /// Ids of schemas whose records are refused, the longest refused first. Of version 2: it follows the
    /// fields of version 1, which are read by themselves.
    #[serde(skip)]
    pub schemas_unknown: Vec<u32>,
    /// What was decided up to here. Of version 4: it follows the fields of version 3.
    #[serde(skip)]
    pub chronicle: Chronicle,
}

/// A file of the source, or the whole of it, told from others by its name and its beginning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourcePart {
    pub name: String,
    /// Digest of its first bytes; empty while there were too few to tell.
    pub beginning: String,
}

impl SourcePart {
    /// Whether both may be the same one, earlier and later.
    fn may_be(&self, later: &SourcePart) -> bool {
        self.name == later.name
            && (self.beginning.is_empty() || later.beginning.is_empty() || self.beginning == later.beginning)
    }
}

/// What makes positions in `earlier` mean something else in `later`; None where they mean the same: nothing
/// was replaced, put in between or taken away; more may have come at the end.
pub fn difference(earlier: &[SourcePart], later: &[SourcePart]) -> Option<String> {
    let pair = |at: usize| match (&earlier[at], later.get(at)) {
        (was, None) => Some(format!("{} is not there any more", was.name)),
        (was, Some(is)) if was.name != is.name => Some(format!("{} stands where {} was", is.name, was.name)),
        (was, Some(is)) if !was.may_be(is) => {
            Some(format!("{} was {} and is {}", was.name, was.beginning, is.beginning))
        }
        _ => None,
    };
    (0..earlier.len()).find_map(pair)
}

/// What a candidate begins with, as a checkpoint has it.
pub struct Part {
    pub sensors: Shared<SavedSensors>,
    /// Of the live detector of its name.
    pub state: Option<DetectorState>,
}

/// One detector's part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DetectorState {
    pub name: String,
    pub version: String,
    pub digest: String,
    /// Of module, parameters and limits.
    pub fingerprint: String,
    /// Why it judges no more, if it is quarantined; then there is no state.
    pub quarantine: Option<String>,
    pub saved: Saved,
    /// Chunks of consecutive sensors from 0 on, each with its number of sensors.
    pub states: Shared<Vec<(u32, States)>>,
    pub episodes: Vec<(EpisodeKey, OpenEpisode)>,
    /// Of version 3: they follow the fields of version 2.
    #[serde(skip)]
    pub place: Place,
}

/// Which detector of that name it is, and what for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The roster's that brought it; 0 without a roster.
    pub generation: u64,
    pub role: Role,
}

/// What becomes of what a detector says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// It is published.
    #[default]
    Live,
    /// It is not: the detector ran before, and is kept so that it can run again.
    Warm,
    /// There is none: the detector does not run, and what it knew is kept for when it does.
    Dormant,
    /// It is not: it is counted against what the live one says.
    Shadow,
}

/// What the host remembers of an episode that was raised and not cleared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenEpisode {
    pub since: Timestamp,
    pub severity: Severity,
}

/// Why bytes are no checkpoint that may be trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    #[error("is not a checkpoint (it does not begin with GWCP)")]
    NotACheckpoint,
    #[error("is of version {version}; this gridwatch reads versions {VERSION_1} to {VERSION}")]
    Version { version: u16 },
    #[error("is damaged: its digest does not match its {bytes} bytes")]
    Damaged { bytes: usize },
    #[error("cannot be encoded or decoded: {what}")]
    Body { what: String },
}

impl Checkpoint {
    /// Event time, where it has begun.
    pub fn time(&self) -> Option<Timestamp> {
        self.clock.time()
    }

    pub fn part_of(&self, detector: &str) -> Part {
        let is_it = |state: &&DetectorState| state.place.role == Role::Live && state.name == detector;
        Part { sensors: self.sensors.clone(), state: self.detectors.iter().find(is_it).cloned() }
    }

    /// Takes the checkpoint apart as it goes, so that a large one is never in memory twice.
    pub fn encode(self) -> Result<Vec<u8>, CheckpointError> {
        let Checkpoint {
            lane,
            position,
            source,
            settings,
            quantities,
            sensors,
            clock,
            tick,
            detectors,
            schemas_unknown,
            chronicle,
        } = self;
        let states = detectors.iter().flat_map(|detector| detector.states.iter());
        let states_bytes: usize = states.map(|(_, states)| states.bytes.len() + 5 * states.ends.len()).sum();
        let mut bytes = Vec::with_capacity(HEADER_BYTES + states_bytes + 64 * sensors.ids.len());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_be_bytes());
        bytes.extend_from_slice(&[0; 32]);
        // Field by field, as the whole would be: a struct is its fields, a list its length and its items.
        bytes = append(bytes, &(lane, position, source, settings, quantities, &sensors, clock, tick))?;
        bytes = append(bytes, &(detectors.len() as u64))?;
        let places: Vec<Place> = detectors.iter().map(|detector| detector.place).collect();
        drop(sensors);
        for state in detectors {
            bytes = append(bytes, &state)?;
        }
        bytes = append(bytes, &(schemas_unknown, places, chronicle))?;
        let digest = Sha256::digest(&bytes[HEADER_BYTES..]);
        bytes[6..HEADER_BYTES].copy_from_slice(&digest);
        Ok(bytes)
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, CheckpointError> {
        if bytes.len() < HEADER_BYTES || &bytes[..4] != MAGIC {
            return Err(CheckpointError::NotACheckpoint);
        }
        let version = u16::from_be_bytes([bytes[4], bytes[5]]);
        if !(VERSION_1..=VERSION).contains(&version) {
            return Err(CheckpointError::Version { version });
        }
        let (header, body) = bytes.split_at(HEADER_BYTES);
        if Sha256::digest(body)[..] != header[6..] {
            return Err(CheckpointError::Damaged { bytes: body.len() });
        }
        let failed = |error: postcard::Error| CheckpointError::Body { what: error.to_string() };
        let (mut checkpoint, rest): (Checkpoint, _) = postcard::take_from_bytes(body).map_err(failed)?;
        let (schemas_unknown, rest) = match version {
            VERSION_1 => (Vec::new(), rest),
            _ => postcard::take_from_bytes(rest).map_err(failed)?,
        };
        checkpoint.schemas_unknown = schemas_unknown;
        let nowhere = vec![Place::default(); checkpoint.detectors.len()];
        let (places, rest): (Vec<Place>, _) = match version {
            VERSION_1 | VERSION_2 => (nowhere, rest),
            _ => postcard::take_from_bytes(rest).map_err(failed)?,
        };
        let (chronicle, rest) = match version {
            VERSION_1..=VERSION_3 => (Chronicle::default(), rest),
            _ => postcard::take_from_bytes(rest).map_err(failed)?,
        };
        checkpoint.chronicle = chronicle;
        if !rest.is_empty() {
            let what = format!("{} bytes too many", rest.len());
            return Err(CheckpointError::Body { what });
        }
        if places.len() != checkpoint.detectors.len() {
            let what = format!("{} places for {} detectors", places.len(), checkpoint.detectors.len());
            return Err(CheckpointError::Body { what });
        }
        for (detector, place) in checkpoint.detectors.iter_mut().zip(places) {
            detector.place = place;
        }
        Ok(checkpoint)
    }
}

/// The first 16 hexadecimal digits of the digest of an encoded checkpoint's body, which it carries.
pub fn short_digest(bytes: &[u8]) -> String {
    digest::hex(bytes.get(6..14).unwrap_or_default())
}

fn append<T: Serialize>(bytes: Vec<u8>, part: &T) -> Result<Vec<u8>, CheckpointError> {
    postcard::to_extend(part, bytes).map_err(|error| CheckpointError::Body { what: error.to_string() })
}
