//! `[source] kind = "kafka"`: topic, group, and what librdkafka is told.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use gridwatch_connectors::kafka::{KafkaSettings, OnLost, Start};
use toml::de::{DeTable, DeValue};

use super::secret;
use super::section::{At, Section, type_name};

/// The part of `[source]` that is about Kafka. Secrets stay in their files until somebody connects.
#[derive(Debug, Clone, PartialEq)]
pub struct KafkaSource {
    pub topic: String,
    pub brokers: String,
    pub group: String,
    pub start: Start,
    pub on_lost: OnLost,
    pub properties: BTreeMap<String, String>,
    /// By property: the file that holds its value.
    pub property_files: BTreeMap<String, PathBuf>,
}

pub const KEYS: [&str; 7] = ["topic", "brokers", "group", "start", "on_lost", "properties", "property_files"];

pub const TOPIC: &str = "sensor-readings";
const SECRET_BYTES_MAX: u64 = 64 << 10;

pub fn read(section: &mut Section<'_, '_>, is_kafka: bool) -> KafkaSource {
    let topic = topic(section).unwrap_or(TOPIC.to_owned());
    let brokers = section.string("brokers");
    let has_none = match &brokers {
        Some(brokers) => brokers.value.trim().is_empty(),
        None => section.written("brokers").is_none(),
    };
    if is_kafka && has_none {
        let what =
            "brokers is missing in [source]: name the servers to begin with, for example \"localhost:9092\"";
        section.document().mistake(section.written("brokers").unwrap_or(section.offset()), what);
    }
    let group = section.string("group");
    if let Some(group) = group.as_ref().filter(|group| group.value.trim().is_empty()) {
        section.document().mistake(group.offset, "group: is empty");
    }
    let starts = [("earliest", Start::Earliest), ("latest", Start::Latest)];
    let losts = [("halt", OnLost::Halt), ("earliest", OnLost::Earliest), ("latest", OnLost::Latest)];
    KafkaSource {
        topic,
        brokers: brokers.map_or(String::new(), |at| at.value),
        group: group.map_or("gridwatch".to_owned(), |at| at.value),
        start: section.choice("start", &starts).map_or(Start::Earliest, |at| at.value),
        on_lost: section.choice("on_lost", &losts).map_or(OnLost::Halt, |at| at.value),
        properties: properties(section.section("properties")),
        property_files: property_files(section.section("property_files")),
    }
}

/// The key `topic`, with a name that brokers take.
pub fn topic(section: &mut Section<'_, '_>) -> Option<String> {
    let At { value: name, offset } = section.string("topic")?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() || name.len() > 249 || matches!(&*name, "." | "..") || !name.chars().all(plain) {
        let what = format!(
            "topic: \"{name}\" is no topic's name; they have up to 249 letters, digits, '.', '_' and '-'"
        );
        section.document().mistake(offset, what);
    }
    Some(name)
}

fn properties(section: Section<'_, '_>) -> BTreeMap<String, String> {
    let mut properties = BTreeMap::new();
    for (name, value) in section.entries() {
        let text = match value.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Integer(number) => number.to_string(),
            DeValue::Float(number) => number.to_string(),
            DeValue::Boolean(is) => is.to_string(),
            DeValue::Table(below) => {
                section.document().mistake(name.offset, unquoted(&name.value, below));
                continue;
            }
            other => {
                let what = format!(
                    "{}: a property is a text, a number or a boolean, not {}",
                    name.value,
                    type_name(other)
                );
                section.document().mistake(name.offset, what);
                continue;
            }
        };
        if is_allowed(&section, &name.value, Some(&text), name.offset) {
            properties.insert(name.value, text);
        }
    }
    properties
}

/// `security.protocol = "ssl"` is a table to TOML.
fn unquoted(name: &str, below: &DeTable<'_>) -> String {
    let mut whole = name.to_owned();
    let mut below = Some(below);
    while let Some((key, value)) = below.and_then(|table| table.iter().next()) {
        whole = format!("{whole}.{}", key.get_ref());
        below = if let DeValue::Table(table) = value.get_ref() { Some(table) } else { None };
    }
    format!("{whole}: a name with dots stands in quotes: \"{whole}\" = …")
}

fn property_files(section: Section<'_, '_>) -> BTreeMap<String, PathBuf> {
    let mut files = BTreeMap::new();
    for (name, value) in section.entries() {
        let DeValue::String(path) = value.get_ref() else {
            let what = match value.get_ref() {
                DeValue::Table(below) => unquoted(&name.value, below),
                _ => format!("{}: name the file that holds the value", name.value),
            };
            section.document().mistake(name.offset, what);
            continue;
        };
        let path = section.document().resolve(path);
        if !path.is_file() {
            section
                .document()
                .mistake(name.offset, format!("{}: {}: no such file", name.value, path.display()));
        }
        if is_allowed(&section, &name.value, None, name.offset) {
            files.insert(name.value, path);
        }
    }
    files
}

/// A value of `None` stands in a file, and is looked at when somebody connects.
fn is_allowed(section: &Section<'_, '_>, name: &str, value: Option<&str>, offset: usize) -> bool {
    let wrong = match is_fit(name) {
        Ok(()) => KafkaSettings::objection(name, value),
        Err(what) => Some(what.to_owned()),
    };
    if let Some(what) = &wrong {
        section.document().mistake(offset, format!("{name}: {what}"));
    }
    wrong.is_none()
}

/// Whether a property is for a user to set; else why not.
pub fn is_fit(name: &str) -> Result<(), &'static str> {
    match name {
        "bootstrap.servers" | "metadata.broker.list" => Err("is [source] brokers"),
        _ if KafkaSettings::is_reserved(name) => {
            Err("is set by gridwatch, since its promises rest on it; leave it out")
        }
        _ => Ok(()),
    }
}

impl KafkaSource {
    /// All properties, with secrets read from their files. An error names the file, never its content.
    pub fn all_properties(&self) -> Result<BTreeMap<String, String>, String> {
        let mut all = self.properties.clone();
        all.insert("bootstrap.servers".to_owned(), self.brokers.clone());
        for (name, file) in &self.property_files {
            all.insert(name.clone(), secret_in(name, file)?);
        }
        Ok(all)
    }
}

/// The value of a property, from its file and without a line end.
pub fn secret_in(name: &str, file: &Path) -> Result<String, String> {
    secret::in_file(file, SECRET_BYTES_MAX).map_err(|error| format!("{error} (for {name})"))
}
