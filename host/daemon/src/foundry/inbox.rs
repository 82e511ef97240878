//! When a file is whole: it looks the same in two looks, a while apart.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::admission::Found;

/// How a detector's files look from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    module: Option<FileStamp>,
    settings: Option<FileStamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileStamp {
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

pub fn stamp_of(found: &Found) -> Stamp {
    let stamp = |file: &Path| {
        let metadata = std::fs::metadata(file).ok()?;
        Some(FileStamp {
            inode: metadata.ino(),
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    };
    Stamp { module: stamp(&found.file), settings: stamp(&found.settings_file()) }
}

/// What was seen, and what of it was taken.
#[derive(Debug, Default)]
pub struct Inbox {
    seen: BTreeMap<String, Stamp>,
    taken: BTreeMap<String, Stamp>,
    missing: BTreeSet<String>,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Looked {
    /// Whole, and not taken as they are now.
    pub settled: BTreeSet<String>,
    /// Not there any more, nor a look ago.
    pub gone: Vec<String>,
}

impl Inbox {
    /// All that is there now was taken.
    pub fn of(files: impl Iterator<Item = (String, Stamp)>) -> Inbox {
        let taken: BTreeMap<String, Stamp> = files.collect();
        Inbox { seen: taken.clone(), taken, missing: BTreeSet::new() }
    }

    pub fn look(&mut self, now: BTreeMap<String, Stamp>) -> Looked {
        let mut looked = Looked::default();
        for (name, stamp) in &now {
            self.missing.remove(name);
            if self.seen.get(name) == Some(stamp) && self.taken.get(name) != Some(stamp) {
                self.taken.insert(name.clone(), stamp.clone());
                looked.settled.insert(name.clone());
            }
        }
        let absent: Vec<String> =
            self.taken.keys().filter(|name| !now.contains_key(*name)).cloned().collect();
        for name in absent {
            if !self.missing.insert(name.clone()) {
                self.missing.remove(&name);
                self.taken.remove(&name);
                looked.gone.push(name);
            }
        }
        self.seen = now;
        looked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(bytes: u64) -> Stamp {
        let module = FileStamp { inode: 1, bytes, modified: (1, 0), changed: (1, 0) };
        Stamp { module: Some(module), settings: None }
    }

    fn look(inbox: &mut Inbox, files: &[(&str, u64)]) -> (Vec<String>, Vec<String>) {
        let now = files.iter().map(|(name, bytes)| ((*name).to_owned(), stamp(*bytes))).collect();
        let Looked { settled, gone } = inbox.look(now);
        (settled.into_iter().collect(), gone)
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_file_counts_once_it_was_left_alone() {
        let mut inbox = Inbox::default();
        assert_eq!(look(&mut inbox, &[("a", 1)]), (vec![], vec![]));
        assert_eq!(look(&mut inbox, &[("a", 2)]), (vec![], vec![]), "it grows");
        assert_eq!(look(&mut inbox, &[("a", 2)]), (names(&["a"]), vec![]));
        assert_eq!(look(&mut inbox, &[("a", 2)]), (vec![], vec![]), "it is taken once");
    }

    #[test]
    fn a_file_is_gone_once_it_was_missed_twice() {
        let mut inbox = Inbox::of([("a".to_owned(), stamp(1))].into_iter());
        assert_eq!(look(&mut inbox, &[]), (vec![], vec![]));
        assert_eq!(look(&mut inbox, &[("a", 1)]), (vec![], vec![]), "made anew as it was");
        assert_eq!(look(&mut inbox, &[]), (vec![], vec![]));
        assert_eq!(look(&mut inbox, &[]), (vec![], names(&["a"])));
        assert_eq!(look(&mut inbox, &[]), (vec![], vec![]));
    }
}
