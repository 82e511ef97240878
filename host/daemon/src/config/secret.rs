//! Secrets, each in a file of its own, read only when somebody connects.

use std::io::Read;
use std::path::Path;

/// The one secret in a file. An error names the file and never its content.
pub fn in_file(path: &Path, bytes_max: u64) -> Result<String, String> {
    let cannot = |what: String| format!("{}: {what}", path.display());
    let mut secret = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(bytes_max + 1).read_to_string(&mut secret))
        .map_err(|error| cannot(format!("cannot be read: {error}")))?;
    if secret.len() as u64 > bytes_max {
        return Err(cannot(format!("has more than {bytes_max} bytes: is it a password or a token?")));
    }
    // Editors end a file with a line end; no password has one there.
    let secret = secret.trim_end_matches(['\n', '\r']);
    if secret.is_empty() {
        return Err(cannot("is empty".into()));
    }
    Ok(secret.to_owned())
}
