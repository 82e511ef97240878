//! The file that makes output final: what was committed, and how long the output was then.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use gridwatch_core::digest;
use gridwatch_core::sink::LaneCommit;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::part::SavedPart;

/// Of what is written today.
const VERSION: u32 = 2;
/// Without the lanes' sources.
const VERSION_1: u32 = 1;

/// What a commit file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Committed {
    /// By the lane's name.
    pub(super) lanes: BTreeMap<String, LaneCommit>,
    /// What the lanes' positions count in, where that is known.
    pub(super) sources: BTreeMap<String, Vec<SavedPart>>,
    /// Bytes of each output file that are final, by the file's name.
    pub(super) lengths: BTreeMap<String, u64>,
}

/// The file as a whole. The digest is of the bytes of `body`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope {
    version: u32,
    digest: String,
    body: Box<RawValue>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    output_bytes: BTreeMap<String, u64>,
    lanes: BTreeMap<String, Lane>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Lane {
    position: u64,
    checkpoint: String,
    /// Base64.
    decisions: String,
    /// Since version 2.
    #[serde(default)]
    source: Vec<SavedPart>,
}

pub(super) fn encode(committed: &Committed) -> Result<Vec<u8>, String> {
    let lane = |name: &String, lane: &LaneCommit| Lane {
        position: lane.position,
        checkpoint: lane.checkpoint.clone(),
        decisions: BASE64.encode(&lane.decisions),
        source: committed.sources.get(name).cloned().unwrap_or_default(),
    };
    let lanes = committed.lanes.iter().map(|(name, commit)| (name.clone(), lane(name, commit)));
    let body = Body { output_bytes: committed.lengths.clone(), lanes: lanes.collect() };
    let body = serde_json::value::to_raw_value(&body).map_err(|error| error.to_string())?;
    let envelope = Envelope { version: VERSION, digest: digest::sha256(body.get().as_bytes()), body };
    let mut bytes = serde_json::to_vec(&envelope).map_err(|error| error.to_string())?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Reads any version that was ever written.
pub(super) fn decode(bytes: &[u8]) -> Result<Committed, String> {
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    let damaged = |what: String| {
        format!(
            "the file is damaged ({what}); put back a copy, or begin anew: move it away together with the \
             anomalies, the dead letters and the checkpoints"
        )
    };
    let version: Version = serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))?;
    if !(VERSION_1..=VERSION).contains(&version.version) {
        return Err(format!(
            "it has version {}, and this program reads versions {VERSION_1} to {VERSION}; use the program that \
             wrote it",
            version.version
        ));
    }
    let envelope: Envelope = serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))?;
    if digest::sha256(envelope.body.get().as_bytes()) != envelope.digest {
        return Err(damaged("its digest does not match".into()));
    }
    let body: Body = serde_json::from_str(envelope.body.get()).map_err(|error| damaged(error.to_string()))?;
    let (mut lanes, mut sources) = (BTreeMap::new(), BTreeMap::new());
    for (name, lane) in body.lanes {
        let decisions = BASE64.decode(&lane.decisions).map_err(|error| damaged(error.to_string()))?;
        let Lane { position, checkpoint, source, .. } = lane;
        sources.insert(name.clone(), source);
        lanes.insert(name, LaneCommit { position, checkpoint, decisions });
    }
    Ok(Committed { lanes, sources, lengths: body.output_bytes })
}

/// Puts `bytes` in the place of `path`: whoever reads it, after a crash too, finds the old file or the
/// new one, whole.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    let mut file = File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    sync_directory_of(path)
}

/// A file that was made or renamed is there after a crash only if its directory is on disk, too.
pub(super) fn sync_directory_of(path: &Path) -> io::Result<()> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(directory)?.sync_all()
}
