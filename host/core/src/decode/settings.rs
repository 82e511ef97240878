//! What `[decode]` says, as a plain struct, and everything that can be wrong with it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::layout::path_tokens;
use super::time::Clock;
use super::units::BUILT_IN;

/// How records become readings. A *path* is a top-level key (or a CSV column) by name, or, where it
/// starts with `/`, a JSON pointer (RFC 6901).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DecodeSettings {
    pub id: IdSource,
    /// Path of the timestamp.
    pub timestamp: String,
    pub time: TimeFormat,
    /// Quantities under other paths, names, units or scales than their own.
    pub mappings: Vec<Mapping>,
    pub quantities: Selection,
    /// At most this many quantities in a lane, up to 4096. There is always room for those built in or
    /// mapped, so that no producer's inventions can push them out.
    pub quantities_max: usize,
    /// Strings that become attributes of the sensor; `Reading::attributes` index this list.
    pub attributes: Vec<AttributePath>,
    /// A longer record is rejected as `too_large`.
    pub record_bytes_max: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum IdSource {
    /// Path of the id in each record.
    Path(String),
    /// All records are of this one sensor.
    Fixed(String),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum TimeFormat {
    /// RFC 3339 text, or epoch seconds, milliseconds or microseconds told apart by size: below 1e11
    /// seconds, below 1e14 milliseconds, else microseconds. Digits in a string count from 1e8 on,
    /// so that a date such as 20250428 is not taken for a time in 1970.
    Auto,
    Rfc3339,
    EpochSeconds,
    EpochMilliseconds,
    EpochMicroseconds,
    /// Text by `strptime` directives, such as `%d-%b-%Y %H:%M:%S`. Where the pattern carries no offset,
    /// `zone` (an IANA name, `UTC` by default) says what the local time means: a time that happens twice
    /// when clocks go back is the first one, a time skipped when they go forward is as much later as
    /// was skipped (RFC 5545, 3.3.5). Zones come from the database within the program, so that the
    /// same bytes mean the same on every machine.
    Pattern {
        pattern: String,
        zone: String,
    },
}

/// One quantity: `value * factor` of what stands at `path`, under `name`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mapping {
    pub path: String,
    pub name: String,
    pub factor: f64,
    /// `None`: the built-in unit of `name`, if it has one.
    pub unit: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Selection {
    /// Every top-level number (CSV: every numeric column).
    All,
    /// Only those in `mappings`.
    Listed,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttributePath {
    pub path: String,
    pub name: String,
}

/// One thing wrong with the settings. `setting` names it as it stands below `[decode]`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("decode.{setting}: {what}")]
pub struct SettingsError {
    pub setting: String,
    pub what: String,
}

impl Default for DecodeSettings {
    fn default() -> Self {
        DecodeSettings {
            id: IdSource::Path("sensor_id".into()),
            timestamp: "timestamp".into(),
            time: TimeFormat::Auto,
            mappings: Vec::new(),
            quantities: Selection::All,
            quantities_max: 64,
            attributes: vec![AttributePath { path: "location".into(), name: "location".into() }],
            record_bytes_max: 1 << 20,
        }
    }
}

/// Longest id and attribute value, in bytes.
pub(super) const TEXT_BYTES_MAX: usize = 256;
/// Longest name of a quantity, in bytes.
pub(super) const NAME_BYTES_MAX: usize = 128;
const POINTER_TOKENS_MAX: usize = 16;

impl DecodeSettings {
    /// Everything that is wrong, or nothing.
    pub fn check(&self) -> Result<(), Vec<SettingsError>> {
        let mut errors = Errors(Vec::new());
        let mut paths = BTreeMap::new();
        match &self.id {
            IdSource::Path(path) => errors.path(&mut paths, "id", path),
            IdSource::Fixed(id) => {
                if id.is_empty() || id.len() > TEXT_BYTES_MAX {
                    errors.add("id", format!("a fixed id has 1 to {TEXT_BYTES_MAX} bytes"));
                }
            }
        }
        errors.path(&mut paths, "timestamp", &self.timestamp);
        if let Err(what) = Clock::new(&self.time) {
            errors.add("time", what);
        }
        for attribute in &self.attributes {
            let setting = format!("attributes.{}", attribute.name);
            errors.path(&mut paths, &setting, &attribute.path);
            errors.name(&setting, &attribute.name);
            if self.attributes.iter().filter(|other| other.name == attribute.name).count() > 1 {
                errors.add(&setting, "two attributes have this name".into());
            }
        }
        for mapping in &self.mappings {
            let setting = format!("quantities.{}", mapping.path);
            errors.path(&mut paths, &setting, &mapping.path);
            errors.name(&setting, &mapping.name);
            if !mapping.factor.is_finite() || mapping.factor == 0.0 {
                errors
                    .add(&setting, format!("factor {} is not a finite number other than 0", mapping.factor));
            }
        }
        self.check_sizes(&mut errors);
        if errors.0.is_empty() { Ok(()) } else { Err(errors.0) }
    }

    fn check_sizes(&self, errors: &mut Errors) {
        let named = self.named().len();
        if !(named..=4096).contains(&self.quantities_max) {
            errors.add(
                "quantities_max",
                format!("{} is not within {named} (those built in or mapped) to 4096", self.quantities_max),
            );
        }
        if self.mappings.len() > 1024 {
            errors.add("quantities", "more than 1024 are mapped".into());
        }
        if self.attributes.len() > 256 {
            errors.add("attributes", "more than 256 attributes".into());
        }
        if !(64..=1 << 30).contains(&self.record_bytes_max) {
            errors.add(
                "record_bytes_max",
                format!("{} bytes is not within 64 B to 1 GiB", self.record_bytes_max),
            );
        }
        if self.quantities == Selection::Listed && self.mappings.is_empty() {
            errors.add("quantities", "only listed quantities are wanted, and none is listed".into());
        }
    }

    /// The quantities known by name without having been seen; each once.
    pub(super) fn named(&self) -> Vec<String> {
        let mut names: Vec<String> = self.mappings.iter().map(|mapping| mapping.name.clone()).collect();
        if self.quantities == Selection::All {
            names.extend(BUILT_IN.iter().map(|(name, _)| (*name).to_owned()));
        }
        names.sort();
        names.dedup();
        names
    }

    /// The CSV columns without which no row can be a reading as these settings want it: id, time and
    /// mapped quantities, by name.
    pub fn columns_required(&self) -> Vec<String> {
        let id = match &self.id {
            IdSource::Path(path) => Some(path),
            IdSource::Fixed(_) => None,
        };
        let mapped = self.mappings.iter().map(|mapping| &mapping.path);
        id.into_iter().chain([&self.timestamp]).chain(mapped).map(|path| column_of(path)).collect()
    }
}

/// A path as the name of a CSV column: itself, or a pointer's only token.
pub fn column_of(path: &str) -> String {
    match path_tokens(path) {
        Ok(mut tokens) if tokens.len() == 1 => tokens.pop().unwrap_or_default(),
        _ => path.to_owned(),
    }
}

struct Errors(Vec<SettingsError>);

impl Errors {
    fn add(&mut self, setting: &str, what: String) {
        self.0.push(SettingsError { setting: setting.to_owned(), what });
    }

    fn name(&mut self, setting: &str, name: &str) {
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            self.add(setting, format!("a name has 1 to {NAME_BYTES_MAX} bytes"));
        }
    }

    /// A path must be readable, and be named once.
    fn path(&mut self, paths: &mut BTreeMap<Vec<String>, String>, setting: &str, path: &str) {
        let tokens = match path_tokens(path) {
            Err(what) => return self.add(setting, what),
            Ok(tokens) => tokens,
        };
        if tokens.len() > POINTER_TOKENS_MAX {
            self.add(setting, format!("the pointer has more than {POINTER_TOKENS_MAX} steps"));
        } else if let Some(other) = paths.get(&tokens) {
            self.add(setting, format!("`{path}` is already taken by decode.{other}"));
        } else {
            paths.insert(tokens, setting.to_owned());
        }
    }
}
