//! `[assets]`: attributes of sensors that their readings do not carry.

use std::path::Path;
use std::sync::Arc;

use gridwatch_core::assets::Assets;
use gridwatch_core::digest;
use sha2::{Digest, Sha256};
use toml::de::DeValue;

use super::section::{At, Section, type_name};

/// Attributes by sensor, with the digest of all that they were made of.
#[derive(Debug, Clone, PartialEq)]
pub struct AssetTable {
    pub assets: Arc<Assets>,
    /// `sha256:` and 64 hexadecimal digits.
    pub digest: String,
}

/// A table of a million sensors with a dozen attributes is about 100 MB.
const FILE_BYTES_MAX: u64 = 1 << 30;

pub fn read(mut section: Section<'_, '_>) -> AssetTable {
    let path = section.string("path");
    let (assets, bytes) = match &path {
        Some(path) => read_file(&section, path),
        None => (Assets::default(), Vec::new()),
    };
    let all = section.section("all");
    let mut attributes = Vec::new();
    for (key, value) in all.entries() {
        // Numbers may be written as numbers; detectors get every attribute as text.
        match value.get_ref() {
            DeValue::String(text) => attributes.push((key.value, text.to_string())),
            DeValue::Integer(number) => attributes.push((key.value, number.as_str().to_owned())),
            DeValue::Float(number) => attributes.push((key.value, number.as_str().to_owned())),
            other => {
                let what = format!("{}: should be a string or a number, is {}", key.value, type_name(other));
                all.document().mistake(value.span().start, what);
            }
        }
    }
    attributes.sort();
    section.close();
    let mut hash = Sha256::new();
    for (name, value) in &attributes {
        // With the length before each, so that no two lists run together.
        for part in [name, value] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
    }
    hash.update(&bytes);
    let digest = digest::named(&hash.finalize());
    AssetTable { assets: Arc::new(assets.with_all(attributes)), digest }
}

/// The mistakes in the table itself are told with its own lines, at the place that names it.
fn read_file(section: &Section<'_, '_>, path: &At<String>) -> (Assets, Vec<u8>) {
    let resolved = section.document().resolve(&path.value);
    let refuse = |what: String| {
        section.document().mistake(path.offset, what);
        (Assets::default(), Vec::new())
    };
    let bytes = match bytes_of(&resolved) {
        Ok(bytes) => bytes,
        Err(what) => return refuse(format!("{}: {what}", resolved.display())),
    };
    match Assets::parse(&bytes, &resolved.display().to_string()) {
        Ok(assets) => (assets, bytes),
        Err(errors) => {
            for error in errors {
                section.document().mistake(path.offset, error.to_string());
            }
            (Assets::default(), bytes)
        }
    }
}

fn bytes_of(path: &Path) -> Result<Vec<u8>, String> {
    let length = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if length > FILE_BYTES_MAX {
        return Err(format!("has {length} bytes, more than {FILE_BYTES_MAX}"));
    }
    std::fs::read(path).map_err(|error| error.to_string())
}
