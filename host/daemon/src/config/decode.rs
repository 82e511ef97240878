//! `[decode]`: how a record becomes a reading.

use gridwatch_core::decode::{
    AttributePath, DecodeSettings, IdSource, Mapping, Selection, SettingsError, TimeFormat,
};
use toml::Spanned;
use toml::de::DeValue;

use super::section::{At, Section, as_f64, type_name};

const NAME_BYTES_MAX: usize = 128;
const ATTRIBUTES_MAX: usize = 256;

pub fn read(mut section: Section<'_, '_>) -> DecodeSettings {
    let (usual, mistakes) = (DecodeSettings::default(), section.document().mistakes());
    let id = read_id(&mut section);
    let timestamp = name(&mut section, "timestamp").unwrap_or(usual.timestamp);
    let time = read_time(&mut section);
    let only_listed = section.boolean("only_listed").unwrap_or(false);
    let quantities_max =
        section.integer("quantities_max", 1..=4096).map_or(usual.quantities_max, |number| number as usize);
    let listed = section.section("quantities");
    let listed_at = listed.offset();
    let mappings = read_quantities(listed, quantities_max);
    if only_listed && mappings.is_empty() {
        let offset = section.written("only_listed").unwrap_or(section.offset());
        let what = "only_listed: [decode.quantities] lists none, so no reading would have a value";
        section.document().mistake(offset, what);
    }
    let attributes = read_attributes(&mut section).unwrap_or(usual.attributes);
    let record_bytes_max =
        section.size("record_bytes_max", 64..=1 << 30).map_or(usual.record_bytes_max, |bytes| bytes as usize);
    let (document, offset) = (section.document(), section.offset());
    let places = ["id", "timestamp", "timestamp_format", "attributes"].map(|key| (key, section.written(key)));
    section.close();
    let settings = DecodeSettings {
        id,
        timestamp,
        time,
        mappings,
        quantities: if only_listed { Selection::Listed } else { Selection::All },
        quantities_max,
        attributes,
        record_bytes_max,
    };
    // The decoder's own rules, for what is not seen key by key (two things under one path, …).
    if document.mistakes() == mistakes
        && let Err(errors) = settings.check()
    {
        for SettingsError { setting, what } in errors {
            let setting = if setting == "time" { "timestamp_format" } else { setting.as_str() };
            let key = setting.split('.').next().unwrap_or_default();
            let place = match key {
                "quantities" => Some(listed_at),
                _ => places.iter().find_map(|(name, place)| place.filter(|_| *name == key)),
            };
            document.mistake(place.unwrap_or(offset), format!("{setting}: {what}"));
        }
    }
    settings
}

fn read_id(section: &mut Section<'_, '_>) -> IdSource {
    let field = name(section, "id");
    let fixed = name(section, "sensor_id");
    if let (Some(_), Some(_), Some(offset)) = (&field, &fixed, section.written("sensor_id")) {
        let what = "sensor_id: fixes one id for all records, but id names the field that carries it; keep one of them";
        section.document().mistake(offset, what);
    }
    match (fixed, field) {
        (Some(fixed), _) => IdSource::Fixed(fixed),
        (None, Some(field)) => IdSource::Path(field),
        (None, None) => IdSource::Path("sensor_id".to_owned()),
    }
}

/// A field's name or pointer: not empty, not endless.
fn name(section: &mut Section<'_, '_>, key: &'static str) -> Option<String> {
    let text = section.string(key)?;
    check_name(section, key, &text);
    Some(text.value)
}

fn check_name(section: &Section<'_, '_>, key: &str, text: &At<String>) {
    if text.value.is_empty() || text.value.len() > NAME_BYTES_MAX {
        let what = format!("{key}: should have 1 to {NAME_BYTES_MAX} bytes");
        section.document().mistake(text.offset, what);
    }
}

fn read_time(section: &mut Section<'_, '_>) -> TimeFormat {
    let format = section.string("timestamp_format");
    let zone = section.string("time_zone");
    if let Some(zone) = &zone
        && let Err(error) = jiff::tz::TimeZone::get(&zone.value)
    {
        let what = format!("time_zone: {error}; write an IANA name such as \"Europe/Madrid\" or \"UTC\"");
        section.document().mistake(zone.offset, what);
    }
    let time = match format.as_ref().map(|at| at.value.as_str()) {
        None | Some("auto") => TimeFormat::Auto,
        Some("rfc3339") => TimeFormat::Rfc3339,
        Some("epoch-s") => TimeFormat::EpochSeconds,
        Some("epoch-ms") => TimeFormat::EpochMilliseconds,
        Some("epoch-us") => TimeFormat::EpochMicroseconds,
        Some(pattern) if pattern.contains('%') => TimeFormat::Pattern {
            pattern: pattern.to_owned(),
            zone: zone.as_ref().map_or("UTC", |zone| &zone.value).to_owned(),
        },
        Some(other) => {
            let what = format!(
                "timestamp_format: \"{other}\" is not known; known: \"auto\", \"rfc3339\", \"epoch-s\", \
                 \"epoch-ms\", \"epoch-us\", or a pattern such as \"%Y-%m-%d %H:%M:%S\""
            );
            section.document().mistake(format.as_ref().map_or(section.offset(), |at| at.offset), what);
            return TimeFormat::Auto;
        }
    };
    if let (Some(zone), false) = (zone, matches!(time, TimeFormat::Pattern { .. })) {
        let what = "time_zone: only times by a pattern are local; give timestamp_format a pattern such as \
                    \"%Y-%m-%d %H:%M:%S\", or leave time_zone out";
        section.document().mistake(zone.offset, what);
    }
    time
}

/// Names of top-level strings, or JSON pointers, whose last part is then the attribute's name.
fn read_attributes(section: &mut Section<'_, '_>) -> Option<Vec<AttributePath>> {
    let written = section.strings("attributes")?;
    if let Some(beyond) = written.get(ATTRIBUTES_MAX) {
        section.document().mistake(beyond.offset, format!("attributes: at most {ATTRIBUTES_MAX}"));
    }
    let mut attributes: Vec<AttributePath> = Vec::new();
    for path in written {
        check_name(section, "attributes", &path);
        let name = if path.value.starts_with('/') {
            path.value.rsplit('/').next().unwrap_or_default().replace("~1", "/").replace("~0", "~")
        } else {
            path.value.clone()
        };
        if attributes.iter().any(|known| known.name == name) {
            section.document().mistake(path.offset, format!("attributes: \"{name}\" is named twice"));
        } else {
            attributes.push(AttributePath { path: path.value, name });
        }
    }
    Some(attributes)
}

fn read_quantities(mut section: Section<'_, '_>, quantities_max: usize) -> Vec<Mapping> {
    let mut quantities = Vec::new();
    for (key, value) in section.entries() {
        check_name(&section, "quantities", &key);
        if let Some(quantity) = read_quantity(&mut section, &key, value) {
            quantities.push(quantity);
        }
    }
    if quantities.len() > quantities_max {
        let what =
            format!("[decode.quantities] lists {}, quantities_max is {quantities_max}", quantities.len());
        section.document().mistake(section.offset(), what);
    }
    quantities
}

fn read_quantity(
    section: &mut Section<'_, '_>,
    key: &At<String>,
    value: &Spanned<DeValue<'_>>,
) -> Option<Mapping> {
    let offset = value.span().start;
    let table = match value.get_ref() {
        DeValue::String(from) => {
            check_name(section, &key.value, &At { value: from.to_string(), offset });
            return Some(Mapping {
                name: key.value.clone(),
                path: from.to_string(),
                factor: 1.0,
                unit: None,
            });
        }
        DeValue::Table(table) => table,
        other => {
            let what = format!(
                "{}: should be a field's name or {{ from = \"…\", factor = …, unit = \"…\" }}, is {}",
                key.value,
                type_name(other)
            );
            section.document().mistake(offset, what);
            return None;
        }
    };
    let mut quantity = Mapping { name: key.value.clone(), path: key.value.clone(), factor: 1.0, unit: None };
    for (part, value) in table.iter() {
        let at = value.span().start;
        match (part.get_ref().as_ref(), value.get_ref()) {
            ("from", DeValue::String(from)) => {
                quantity.path = from.to_string();
                check_name(section, "from", &At { value: quantity.path.clone(), offset: at });
            }
            ("unit", DeValue::String(unit)) => quantity.unit = Some(unit.to_string()),
            ("factor", value) if as_f64(value).is_some_and(|factor| factor.is_finite() && factor != 0.0) => {
                quantity.factor = as_f64(value)?;
            }
            ("factor", _) => section.document().mistake(at, "factor: should be a finite number other than 0"),
            ("from" | "unit", other) => {
                let what = format!("{}: should be a string, is {}", part.get_ref(), type_name(other));
                section.document().mistake(at, what);
            }
            (unknown, _) => {
                let hint = super::mistake::suggestion(unknown, &["from", "factor", "unit"]);
                let what = format!("unknown key \"{unknown}\" in [decode.quantities] {}{hint}", key.value);
                section.document().mistake(part.span().start, what);
            }
        }
    }
    Some(quantity)
}
