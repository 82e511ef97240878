//! Files read once more.

use std::path::PathBuf;

use gridwatch_core::record::{Feed, Past, Position, SourceError};

use super::feed::FileFeed;
use super::input::is_stdin;
use super::options::FileFeedOptions;

/// The files of a feed, as they are now: its positions mean the same in them.
pub struct FilePast {
    files: Vec<PathBuf>,
    options: FileFeedOptions,
}

impl FilePast {
    /// As the feed was opened. None where something of it cannot be read a second time.
    pub fn of(files: &[PathBuf], options: &FileFeedOptions) -> Option<FilePast> {
        if files.iter().any(|path| is_stdin(path)) {
            return None;
        }
        let options = FileFeedOptions { follow: false, ..options.clone() };
        Some(FilePast { files: files.to_vec(), options })
    }
}

impl Past for FilePast {
    fn open(&self, _lane: &str, position: Position) -> Result<Box<dyn Feed>, SourceError> {
        let mut feed = FileFeed::open(self.files.clone(), self.options.clone())?;
        feed.seek(position)?;
        Ok(Box::new(feed))
    }
}
