//! What lies in the detectors directory.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Labels of metrics and folders of checkpoints are made of names.
const NAME_BYTES_MAX: usize = 64;
const DETECTORS_MAX: usize = 256;
/// The sandbox takes no larger modules; reading stops here.
const MODULE_BYTES_MAX: u64 = 64 << 20;

/// A file that would be a detector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The file's, without `.wasm`.
    pub name: String,
    pub file: PathBuf,
}

impl Found {
    /// `NAME.toml` beside `NAME.wasm`; need not be there.
    pub fn settings_file(&self) -> PathBuf {
        self.file.with_extension("toml")
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    #[error("the detectors directory {}: {source}; make detectors with `detectors/build.sh all`, or name another directory", dir.display())]
    Dir { dir: PathBuf, source: io::Error },
    #[error("the detectors directory {} has more than {DETECTORS_MAX} detectors", dir.display())]
    TooMany { dir: PathBuf },
}

/// Every `NAME.wasm`, by name. Hidden files are editors' and copiers' own.
pub fn scan(dir: &Path) -> Result<Vec<Found>, ScanError> {
    scan_and(dir, |file, what| tracing::warn!(file = %file.display(), "{what}"))
}

/// The same for who looks again and again.
pub fn scan_quietly(dir: &Path) -> Result<Vec<Found>, ScanError> {
    scan_and(dir, |_, _| ())
}

fn scan_and(dir: &Path, say: impl Fn(&Path, &str)) -> Result<Vec<Found>, ScanError> {
    let failed = |source| ScanError::Dir { dir: dir.to_owned(), source };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        let hidden = file.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if hidden {
            continue;
        }
        match file.extension().and_then(|end| end.to_str()) {
            Some("wasm") if file.is_file() => {}
            Some("wasm") => {
                say(&file, "is no file, or a link that leads nowhere: passed over");
                continue;
            }
            Some("toml") if !file.with_extension("wasm").exists() => {
                say(&file, "belongs to no detector: there is no .wasm of that name");
                continue;
            }
            _ => continue,
        }
        if found.len() == DETECTORS_MAX {
            return Err(ScanError::TooMany { dir: dir.to_owned() });
        }
        found.push(one_file(&file));
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// A file named by hand.
pub fn one_file(file: &Path) -> Found {
    Found { name: file.file_stem().unwrap_or_default().to_string_lossy().into_owned(), file: file.to_owned() }
}

/// A name must do as a metric's label, in a path and in an anomaly.
pub fn check_name(name: &str) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if !name.chars().all(plain) || name.is_empty() || name.starts_with('.') {
        return Err(format!(
            "\"{}\" is no name for a detector: letters, digits, '.', '_' and '-' only; rename the file",
            name.escape_debug()
        ));
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(format!(
            "the name has {} bytes, more than {NAME_BYTES_MAX}; rename the file",
            name.len()
        ));
    }
    Ok(())
}

pub fn is_name(name: &str) -> bool {
    check_name(name).is_ok()
}

/// Who may write into the directory must not be able to have files read that lie elsewhere.
pub fn check_place(file: &Path) -> Result<(), String> {
    let (Some(dir), Ok(place)) = (file.parent(), file.canonicalize()) else { return Ok(()) };
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    let is_link = file.is_symlink();
    if is_link && !dir.canonicalize().is_ok_and(|dir| place.starts_with(dir)) {
        return Err(format!(
            "it is a link that leads out of the directory, to {}; copy the file itself",
            place.display()
        ));
    }
    Ok(())
}

/// The file, whole.
pub fn bytes_of(file: &Path) -> Result<Vec<u8>, String> {
    let read = || -> io::Result<Vec<u8>> {
        let file = std::fs::File::open(file)?;
        let length = file.metadata()?.len().min(MODULE_BYTES_MAX);
        let mut bytes = Vec::with_capacity(length as usize);
        // One more than allowed, so that the sandbox sees that it is too much.
        file.take(MODULE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    read().map_err(|error| format!("cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_modules_count_and_in_the_order_of_their_names() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b.wasm", "a.wasm", "a.toml", ".a.wasm", "c.wasm.part", "d.txt"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        std::fs::create_dir(dir.path().join("e.wasm")).unwrap();
        let names: Vec<String> = scan(dir.path()).unwrap().into_iter().map(|found| found.name).collect();
        assert_eq!(names, ["a", "b"]);
    }

    #[test]
    fn a_directory_that_is_not_there_says_how_to_get_one() {
        let error = scan(Path::new("/nowhere/at/all")).unwrap_err().to_string();
        assert!(error.contains("/nowhere/at/all"), "{error}");
        assert!(error.contains("build.sh"), "{error}");
    }

    #[test]
    fn names_are_plain() {
        for name in ["limits", "a-1_b.c"] {
            check_name(name).unwrap();
        }
        for name in ["", "a b", "ä", "a/b", "a\nb", ".hidden", &"x".repeat(65)] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
    }
}
