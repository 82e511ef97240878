//! What a source is made of, as a commit remembers it: a position means something in these files only.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use gridwatch_core::checkpoint::SourcePart;
use gridwatch_core::digest;
use serde::{Deserialize, Serialize};

/// Bytes at a file's beginning that tell it from others, also while it grows.
const BEGINNING_BYTES: usize = 256;

/// A file of a source, or what stands for one: its name and its first bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    pub name: String,
    beginning: Vec<u8>,
    /// As it lies on disk.
    length: Option<u64>,
    path: Option<PathBuf>,
}

/// The same in a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SavedPart {
    pub(super) name: String,
    pub(super) beginning_bytes: usize,
    /// Of so many first bytes.
    pub(super) beginning: String,
    /// Of files with others behind them: these begin where it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) length: Option<u64>,
}

impl Part {
    /// A file as it is now. One that cannot be read says so elsewhere; only a regular one is looked into, since
    /// what is read of others is gone.
    pub fn of_file(name: String, path: &Path) -> Part {
        let mut part = Part { name, beginning: Vec::new(), length: None, path: Some(path.to_owned()) };
        part.look();
        part
    }

    /// Something that is no file; `beginning` tells it from others of its name.
    pub fn named(name: String, beginning: &str) -> Part {
        let beginning = beginning.as_bytes().iter().copied().take(BEGINNING_BYTES).collect();
        Part { name, beginning, length: None, path: None }
    }

    /// Reads more of a beginning that was short when it was looked at.
    pub(super) fn look(&mut self) {
        let Some(path) = self.path.as_ref().filter(|_| self.beginning.len() < BEGINNING_BYTES) else {
            return;
        };
        let Some(metadata) = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file) else { return };
        let mut beginning = Vec::with_capacity(BEGINNING_BYTES);
        let read =
            File::open(path).and_then(|file| file.take(BEGINNING_BYTES as u64).read_to_end(&mut beginning));
        if read.is_ok() && beginning.starts_with(&self.beginning) {
            self.beginning = beginning;
        }
        self.length.get_or_insert(metadata.len());
    }

    /// For checkpoints, which only tell beginnings that are whole.
    pub fn in_checkpoint(&self) -> SourcePart {
        let is_whole = self.path.is_none() || self.beginning.len() == BEGINNING_BYTES;
        let beginning = match &self.path {
            Some(_) if is_whole => digest::sha256(&self.beginning),
            Some(_) => String::new(),
            None => String::from_utf8_lossy(&self.beginning).into_owned(),
        };
        SourcePart { name: self.name.clone(), beginning }
    }

    fn saved(&self, is_last: bool) -> SavedPart {
        SavedPart {
            name: self.name.clone(),
            beginning_bytes: self.beginning.len(),
            beginning: digest::sha256(&self.beginning),
            length: self.length.filter(|_| !is_last),
        }
    }
}

/// All parts of a lane.
pub(super) fn saved(parts: &[Part]) -> Vec<SavedPart> {
    parts.iter().enumerate().map(|(at, part)| part.saved(at + 1 == parts.len())).collect()
}

/// What makes positions in `earlier` mean something else in `later`; None where they mean the same: more may
/// have come behind the end.
pub(super) fn difference(earlier: &[SavedPart], later: &[Part]) -> Option<String> {
    earlier.iter().enumerate().find_map(|(at, was)| {
        let name = &was.name;
        let Some(is) = later.get(at) else { return Some(format!("`{name}` is not named any more")) };
        if is.name != *name {
            return Some(format!("`{}` stands where `{name}` was", is.name));
        }
        let same = is.beginning.get(..was.beginning_bytes).is_some_and(|bytes| digest::sha256(bytes) == was.beginning);
        match (was.length, is.length) {
            _ if !same => Some(format!("`{name}` is another one now: its first bytes are not those that were read")),
            (Some(before), Some(now)) if before != now => Some(format!(
                "`{name}` had {before} bytes when the files behind it were begun, and has {now}: only the last one \
                 may grow"
            )),
            _ => None,
        }
    })
}
