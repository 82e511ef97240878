//! Where a demo keeps its state.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use crate::cli::Failure;

/// In the folder for state.
const LIVE: &str = "demo";
const LOCK: &str = "demo.lock";

/// A live demo's: stays when it ends, and is made anew by the next one. Nobody else has it at the same time.
pub struct LiveFolder {
    pub path: PathBuf,
    /// Held as long as it lives.
    _lock: File,
}

impl LiveFolder {
    pub fn make(state: &Path) -> Result<LiveFolder, Failure> {
        let path = live_state(state);
        let failed = |source| Failure::File { path: path.clone(), source };
        std::fs::create_dir_all(state).map_err(failed)?;
        let lock = File::create(state.join(LOCK)).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Failure::Start(format!(
                    "another demo runs with its state in {}: end that one, or give this one a place of its own with \
                     --state DIR",
                    path.display()
                )));
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        if path.exists() {
            std::fs::remove_dir_all(&path).map_err(failed)?;
        }
        std::fs::create_dir_all(&path).map_err(failed)?;
        Ok(LiveFolder { path, _lock: lock })
    }
}

/// A live demo's state, below the folder for state.
pub fn live_state(state: &Path) -> PathBuf {
    state.join(LIVE)
}

/// A folder of this run's own, gone at its end: a scored demo starts afresh every time.
pub struct FreshFolder {
    pub path: PathBuf,
    /// The folder around it, where that was not there before.
    made: Option<PathBuf>,
}

impl FreshFolder {
    pub fn make(state: &Path) -> Result<FreshFolder, Failure> {
        let path = state.join(format!("demo-{}", std::process::id()));
        let failed = |source| Failure::File { path: path.clone(), source };
        // Left behind by a run that was killed, under the same number.
        if path.exists() {
            std::fs::remove_dir_all(&path).map_err(failed)?;
        }
        let made = (!state.exists()).then(|| state.to_owned());
        std::fs::create_dir_all(&path).map_err(failed)?;
        Ok(FreshFolder { path, made })
    }
}

impl Drop for FreshFolder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "cannot be removed");
        }
        // Stays where somebody else has put something in.
        let _ = self.made.as_ref().map(std::fs::remove_dir);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_live_demo_begins_anew_and_is_alone() {
        let state = tempfile::tempdir().unwrap();
        let first = LiveFolder::make(state.path()).unwrap();
        std::fs::write(first.path.join("anomalies.jsonl"), "old").unwrap();
        let second = LiveFolder::make(state.path()).map(|folder| folder.path).unwrap_err().to_string();
        assert!(second.contains("--state DIR") && first.path.join("anomalies.jsonl").exists(), "{second}");
        drop(first);
        assert!(live_state(state.path()).join("anomalies.jsonl").exists(), "it stays to be looked at");
        let third = LiveFolder::make(state.path()).unwrap();
        assert!(!third.path.join("anomalies.jsonl").exists());
    }
}
