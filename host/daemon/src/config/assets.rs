//! `[assets]`: attributes of sensors that their readings do not carry.

use std::path::PathBuf;

use toml::de::DeValue;

use super::section::{Section, type_name};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Assets {
    /// A CSV with the column `sensor_id`; every other column is an attribute.
    pub path: Option<PathBuf>,
    /// Attributes that every sensor has unless the CSV or a reading says otherwise. Sorted by name.
    pub all: Vec<(String, String)>,
}

pub fn read(mut section: Section<'_, '_>) -> Assets {
    let path = section.string("path");
    if let Some(path) = &path {
        let resolved = section.document().resolve(&path.value);
        if !resolved.is_file() {
            section
                .document()
                .mistake(path.offset, format!("{}: no such file", resolved.display()));
        }
    }
    let all = section.section("all");
    let mut attributes = Vec::new();
    for (key, value) in all.entries() {
        // Numbers may be written as numbers; detectors get every attribute as text.
        match value.get_ref() {
            DeValue::String(text) => attributes.push((key.value, text.to_string())),
            DeValue::Integer(number) => attributes.push((key.value, number.as_str().to_owned())),
            DeValue::Float(number) => attributes.push((key.value, number.as_str().to_owned())),
            other => {
                let what = format!(
                    "{}: should be a string or a number, is {}",
                    key.value,
                    type_name(other)
                );
                all.document().mistake(value.span().start, what);
            }
        }
    }
    attributes.sort();
    let path = path.map(|path| section.document().resolve(&path.value));
    section.close();
    Assets {
        path,
        all: attributes,
    }
}
