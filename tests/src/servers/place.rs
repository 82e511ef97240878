//! Where servers are installed, and where they run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

use super::Failure;
use super::left::is_alive;

const PREFIX: &str = "gridwatch-servers-";

/// The folder that `tests/servers/install` fills: the same rule as there.
pub fn servers_dir() -> PathBuf {
    let cache = std::env::var_os("GRIDWATCH_CACHE").map(PathBuf::from).unwrap_or_else(|| {
        let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache");
        std::env::var_os("XDG_CACHE_HOME").map_or_else(home, PathBuf::from).join("gridwatch")
    });
    cache.join("servers")
}

/// A file or folder of an installed server; what is missing is installed first, once a process.
pub fn installed(relative: &str) -> Result<PathBuf, Failure> {
    static INSTALLED: OnceLock<Result<(), String>> = OnceLock::new();
    let path = servers_dir().join(relative);
    if !path.exists() {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("servers/install");
        let run = || match Command::new(&script).status() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("{}: {status}", script.display())),
            Err(error) => Err(format!("{}: {error}", script.display())),
        };
        INSTALLED.get_or_init(run).clone().map_err(Failure)?;
    }
    if path.exists() { Ok(path) } else { Err(Failure(format!("{} is missing", path.display()))) }
}

/// A folder for one server: of its own and gone with it, or one that is kept.
pub enum Folder {
    Temporary(TempDir),
    Kept(PathBuf),
}

impl Folder {
    /// Named by this process, so that a later one can tell whose it was.
    fn temporary() -> Result<Folder, Failure> {
        sweep();
        let prefix = format!("{PREFIX}{}-", std::process::id());
        let made = tempfile::Builder::new().prefix(&prefix).tempdir();
        made.map(Folder::Temporary).map_err(|error| Failure(format!("a temporary folder: {error}")))
    }

    /// That folder, made if need be, or a temporary one.
    pub fn at(path: Option<&Path>) -> Result<Folder, Failure> {
        let Some(path) = path else { return Folder::temporary() };
        fs::create_dir_all(path).map_err(|error| Failure(format!("{}: {error}", path.display())))?;
        Ok(Folder::Kept(path.to_owned()))
    }

    pub fn path(&self) -> &Path {
        match self {
            Folder::Temporary(folder) => folder.path(),
            Folder::Kept(path) => path,
        }
    }
}

/// Removes folders of processes that are no more: a killed test run, or a server that lived in a static.
fn sweep() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        let Ok(entries) = fs::read_dir(std::env::temp_dir()) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)) else { continue };
            let owner = rest.split('-').next().and_then(|pid| pid.parse().ok());
            if owner.is_some_and(|pid| !is_alive(pid)) {
                // Another run may be sweeping, too.
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    });
}

/// Copies a folder and what is in it.
pub fn copy_tree(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
