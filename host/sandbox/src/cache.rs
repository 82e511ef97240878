//! Compiled code, kept between starts in a directory of our own.
#![allow(unsafe_code)] // For `Component::deserialize`, see `deserialize` below.

use std::fs::{self, DirBuilder, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use gridwatch_core::digest::hex;
use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::module::Facts;

/// A file is this, the SHA-256 of all that follows, the length of the facts (u32, little endian), the
/// facts (postcard), the compiled code. The number changes whenever that does.
const MAGIC: [u8; 8] = *b"gwcode01";
const HASH_BYTES: usize = 32;
const SUFFIX: &str = "gwcode";
/// A note is this, the SHA-256 of what follows, and what somebody wanted kept beside the code.
const NOTE_MAGIC: [u8; 8] = *b"gwnote01";
const NOTE_SUFFIX: &str = "gwnote";
/// What another process may still be writing is not tidied away.
const UNFINISHED_AGE_MIN: Duration = Duration::from_secs(3600);

pub struct Cache {
    dir: PathBuf,
    /// Engine's version, configuration and machine, and how modules are rewritten, in one number: other code is never looked at.
    engine_key: String,
    files_max: usize,
}

impl Cache {
    /// Makes the directory with mode 0700 where there is none, and takes none that others may write to.
    pub fn open(dir: &Path, engine: &Engine, files_max: usize) -> Result<Cache, String> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(|e| format!("cannot make it: {e}"))?;
        let metadata = fs::metadata(dir).map_err(|e| e.to_string())?;
        if !metadata.is_dir() {
            return Err("it is not a directory".to_owned());
        }
        let user = rustix::process::geteuid().as_raw();
        if metadata.uid() != user {
            return Err(format!(
                "it belongs to user {}, not to {user}; name another directory",
                metadata.uid()
            ));
        }
        if metadata.mode() & 0o022 != 0 {
            return Err(format!(
                "others may write to it (mode {:o}); chmod 700 it, after removing what is in it",
                metadata.mode() & 0o777
            ));
        }
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        crate::canonical::VERSION.hash(&mut hasher);
        Ok(Cache { dir: dir.to_owned(), engine_key: format!("{:016x}", hasher.finish()), files_max })
    }

    /// The component that was compiled from the file with this digest. Nothing where there is none, or
    /// a damaged one: then it is compiled anew and replaced.
    pub fn get(&self, engine: &Engine, digest: &str) -> Option<(Component, Facts)> {
        let path = self.path(digest);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return None,
            Err(e) => {
                tracing::warn!(path = %path.display(), error = %e, "cannot read compiled code; compiling anew");
                return None;
            }
        };
        let read = open(&bytes, digest).and_then(|(facts, code)| Ok((deserialize(engine, code)?, facts)));
        read.map_err(
            |what| tracing::warn!(path = %path.display(), what, "damaged compiled code; compiling anew"),
        )
        .ok()
    }

    /// Keeps what was compiled. A failure costs the next start some time, nothing else.
    pub fn put(&self, component: &Component, facts: &Facts) {
        if let Err(what) = self.write(component, facts) {
            tracing::warn!(dir = %self.dir.display(), what, "cannot keep compiled code");
        }
    }

    fn write(&self, component: &Component, facts: &Facts) -> Result<(), String> {
        let code = component.serialize().map_err(|e| format!("{e:#}"))?;
        let facts_bytes = postcard::to_allocvec(facts).map_err(|e| e.to_string())?;
        let facts_len = u32::try_from(facts_bytes.len()).map_err(|e| e.to_string())?;
        let mut body = Vec::with_capacity(4 + facts_bytes.len() + code.len());
        body.extend(facts_len.to_le_bytes());
        body.extend(facts_bytes);
        body.extend(code);
        self.seal(&MAGIC, &body, &self.path(&facts.digest))
    }

    /// What was kept under this key, if it is there and whole.
    pub fn recall(&self, key: &str) -> Option<Vec<u8>> {
        let bytes = fs::read(self.note_path(key)).ok()?;
        let (hash, body) = bytes.strip_prefix(&NOTE_MAGIC)?.split_at_checked(HASH_BYTES)?;
        (Sha256::digest(body).as_slice() == hash).then(|| body.to_vec())
    }

    pub fn remember(&self, key: &str, bytes: &[u8]) {
        if let Err(what) = self.seal(&NOTE_MAGIC, bytes, &self.note_path(key)) {
            tracing::warn!(dir = %self.dir.display(), what, "cannot keep what was found of a module");
        }
    }

    fn note_path(&self, key: &str) -> PathBuf {
        let digits = hex(&Sha256::digest(key));
        self.dir.join(format!("{digits}-{}.{NOTE_SUFFIX}", self.engine_key))
    }

    /// Writes a file: its kind, its digest, itself; under its name when it is whole.
    fn seal(&self, magic: &[u8], body: &[u8], path: &Path) -> Result<(), String> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let unfinished =
            self.dir.join(format!("{}-{}.tmp", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
        let written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished).and_then(
            |mut file| {
                file.write_all(magic)?;
                file.write_all(&Sha256::digest(body))?;
                file.write_all(body)?;
                fs::rename(&unfinished, path)
            },
        );
        if let Err(e) = written {
            let _ = fs::remove_file(&unfinished);
            return Err(e.to_string());
        }
        self.tidy().map_err(|e| e.to_string())
    }

    /// The oldest files beyond `files_max` go, and what a crash left half-written.
    fn tidy(&self) -> io::Result<()> {
        let (mut kept, mut notes) = (Vec::new(), Vec::new());
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let path = entry.path();
            let written = entry.metadata().and_then(|m| m.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
            match path.extension().and_then(|e| e.to_str()) {
                Some(SUFFIX) => kept.push((written, path)),
                Some(NOTE_SUFFIX) => notes.push((written, path)),
                Some("tmp") if written.elapsed().is_ok_and(|age| age > UNFINISHED_AGE_MIN) => {
                    let _ = fs::remove_file(&path);
                }
                _ => {}
            }
        }
        for mut files in [kept, notes] {
            files.sort();
            let beyond = files.len().saturating_sub(self.files_max);
            for (_, path) in files.iter().take(beyond) {
                let _ = fs::remove_file(path);
            }
        }
        Ok(())
    }

    fn path(&self, digest: &str) -> PathBuf {
        let digits = digest.trim_start_matches("sha256:");
        self.dir.join(format!("{digits}-{}.{SUFFIX}", self.engine_key))
    }
}

/// Facts and code of a whole, undamaged file for the module with this digest.
fn open<'a>(bytes: &'a [u8], digest: &str) -> Result<(Facts, &'a [u8]), String> {
    let rest = bytes.strip_prefix(&MAGIC).ok_or("it does not begin as such a file does")?;
    let (hash, body) = rest.split_at_checked(HASH_BYTES).ok_or("it ends too early")?;
    if Sha256::digest(body).as_slice() != hash {
        return Err("its bytes are not those that were written".to_owned());
    }
    let (facts_len, rest) = body.split_first_chunk::<4>().ok_or("it ends too early")?;
    let (facts, code) =
        rest.split_at_checked(u32::from_le_bytes(*facts_len) as usize).ok_or("it ends too early")?;
    let facts: Facts = postcard::from_bytes(facts).map_err(|e| e.to_string())?;
    if facts.digest != digest {
        return Err(format!("it is of the module {}", facts.digest));
    }
    Ok((facts, code))
}

fn deserialize(engine: &Engine, code: &[u8]) -> Result<Component, String> {
    // SAFETY: `Component::deserialize` asks that the bytes come unaltered from `Component::serialize`
    // (or `precompile_component`) of wasmtime: they are mapped as native code and not checked further.
    //
    // - They are read only from a directory that belongs to our user and that nobody else may write to
    //   (`Cache::open` refuses any other), never from the directory of detectors or a path that a
    //   module could name. Who can write there can already run code as us.
    // - The only writer is `Cache::write`: `Component::serialize`'s bytes behind their SHA-256, under a
    //   temporary name, renamed when whole.
    // - `open` has compared the SHA-256 with these very bytes, in memory, before this is called: a torn
    //   write or a decayed disk ends there.
    // - Code of another wasmtime, configuration or machine has another name (`engine_key`), and wasmtime
    //   compares version, configuration and CPU features once more and answers with an error.
    unsafe { Component::deserialize(engine, code) }.map_err(|e| format!("{e:#}"))
}
