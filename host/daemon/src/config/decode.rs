//! `[decode]`: how a record becomes a reading.

use super::section::{At, Section, as_f64, type_name};
use toml::Spanned;
use toml::de::DeValue;

#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Decode {
    pub id: Id,
    /// JSON pointer ("/meta/time") or name of a top-level field or CSV column.
    pub timestamp: String,
    pub timestamp_format: TimestampFormat,
    /// IANA name of the zone of local times; `None`: times carry their offset or are UTC.
    pub time_zone: Option<String>,
    /// Renames and scales, in the order of their names.
    pub quantities: Vec<QuantityMap>,
    /// Takes no other numbers than those of `quantities`.
    pub only_listed: bool,
    /// Strings that are attributes of the sensor.
    pub attributes: Vec<String>,
    pub quantities_max: u16,
    pub record_bytes_max: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Id {
    /// Pointer or name of the field.
    Field(String),
    /// All records are of one sensor.
    Fixed(String),
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TimestampFormat {
    /// RFC 3339 or epoch, the unit told by size.
    Auto,
    Rfc3339,
    EpochS,
    EpochMs,
    EpochUs,
    /// As `strptime` has it: "%Y-%m-%d %H:%M:%S".
    Pattern(String),
}

/// `name = "field"` or `name = { from = "field", factor = 1000.0, unit = "V" }`.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct QuantityMap {
    pub name: String,
    pub from: String,
    pub factor: f64,
    pub unit: Option<String>,
}

const NAME_BYTES_MAX: usize = 128;
const ATTRIBUTES_MAX: usize = 64;

pub fn read(mut section: Section<'_, '_>) -> Decode {
    let id = read_id(&mut section);
    let timestamp = name(&mut section, "timestamp").unwrap_or_else(|| "timestamp".to_owned());
    let timestamp_format = read_format(&mut section);
    let time_zone = read_time_zone(&mut section, &timestamp_format);
    let only_listed = section.boolean("only_listed").unwrap_or(false);
    let quantities_max = section.integer("quantities_max", 1..=1024).unwrap_or(64) as u16;
    let quantities = read_quantities(section.section("quantities"), quantities_max);
    if only_listed && quantities.is_empty() {
        let offset = section.written("only_listed").unwrap_or(section.offset());
        section.document().mistake(
            offset,
            "only_listed: [decode.quantities] lists none, so no reading would have a value",
        );
    }
    let attributes = read_attributes(&mut section);
    let record_bytes_max = section
        .size("record_bytes_max", 64..=64 << 20)
        .unwrap_or(1 << 20) as usize;
    section.close();
    Decode {
        id,
        timestamp,
        timestamp_format,
        time_zone,
        quantities,
        only_listed,
        attributes,
        quantities_max,
        record_bytes_max,
    }
}

fn read_id(section: &mut Section<'_, '_>) -> Id {
    let field = name(section, "id");
    let fixed = name(section, "sensor_id");
    if let (Some(_), Some(_), Some(offset)) = (&field, &fixed, section.written("sensor_id")) {
        let what = "sensor_id: fixes one id for all records, but id names the field that carries it; keep one of them";
        section.document().mistake(offset, what);
    }
    match (fixed, field) {
        (Some(fixed), _) => Id::Fixed(fixed),
        (None, Some(field)) => Id::Field(field),
        (None, None) => Id::Field("sensor_id".to_owned()),
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

fn read_format(section: &mut Section<'_, '_>) -> TimestampFormat {
    let Some(text) = section.string("timestamp_format") else {
        return TimestampFormat::Auto;
    };
    match text.value.as_str() {
        "auto" => TimestampFormat::Auto,
        "rfc3339" => TimestampFormat::Rfc3339,
        "epoch-s" => TimestampFormat::EpochS,
        "epoch-ms" => TimestampFormat::EpochMs,
        "epoch-us" => TimestampFormat::EpochUs,
        pattern if pattern.contains('%') => {
            // Formatting a moment with it shows whether the pattern is one at all.
            let moment = jiff::Zoned::new(jiff::Timestamp::UNIX_EPOCH, jiff::tz::TimeZone::UTC);
            if let Err(error) = jiff::fmt::strtime::format(pattern, &moment) {
                section
                    .document()
                    .mistake(text.offset, format!("timestamp_format: {error}"));
            }
            TimestampFormat::Pattern(text.value)
        }
        other => {
            let what = format!(
                "timestamp_format: \"{other}\" is not known; known: \"auto\", \"rfc3339\", \"epoch-s\", \
                 \"epoch-ms\", \"epoch-us\", or a pattern such as \"%Y-%m-%d %H:%M:%S\""
            );
            section.document().mistake(text.offset, what);
            TimestampFormat::Auto
        }
    }
}

fn read_time_zone(section: &mut Section<'_, '_>, format: &TimestampFormat) -> Option<String> {
    let zone = section.string("time_zone")?;
    if let Err(error) = jiff::tz::TimeZone::get(&zone.value) {
        let what =
            format!("time_zone: {error}; write an IANA name such as \"Europe/Madrid\" or \"UTC\"");
        section.document().mistake(zone.offset, what);
    }
    if matches!(
        format,
        TimestampFormat::EpochS | TimestampFormat::EpochMs | TimestampFormat::EpochUs
    ) {
        section.document().mistake(
            zone.offset,
            "time_zone: epoch times have no zone; leave it out",
        );
    }
    Some(zone.value)
}

fn read_attributes(section: &mut Section<'_, '_>) -> Vec<String> {
    let Some(written) = section.strings("attributes") else {
        return vec!["location".to_owned()];
    };
    if written.len() > ATTRIBUTES_MAX {
        let what = format!("attributes: at most {ATTRIBUTES_MAX}");
        section
            .document()
            .mistake(written[ATTRIBUTES_MAX].offset, what);
    }
    let mut names: Vec<String> = Vec::new();
    for attribute in written {
        check_name(section, "attributes", &attribute);
        if names.contains(&attribute.value) {
            section.document().mistake(
                attribute.offset,
                format!("attributes: \"{}\" is named twice", attribute.value),
            );
        } else {
            names.push(attribute.value);
        }
    }
    names
}

fn read_quantities(mut section: Section<'_, '_>, quantities_max: u16) -> Vec<QuantityMap> {
    let mut quantities = Vec::new();
    for (key, value) in section.entries() {
        check_name(&section, "quantities", &key);
        if let Some(quantity) = read_quantity(&mut section, &key, value) {
            quantities.push(quantity);
        }
    }
    if quantities.len() > usize::from(quantities_max) {
        let what = format!(
            "[decode.quantities] lists {}, quantities_max is {quantities_max}",
            quantities.len()
        );
        section.document().mistake(section.offset(), what);
    }
    quantities
}

fn read_quantity(
    section: &mut Section<'_, '_>,
    key: &At<String>,
    value: &Spanned<DeValue<'_>>,
) -> Option<QuantityMap> {
    let offset = value.span().start;
    let table = match value.get_ref() {
        DeValue::String(from) => {
            check_name(
                section,
                &key.value,
                &At {
                    value: from.to_string(),
                    offset,
                },
            );
            return Some(QuantityMap {
                name: key.value.clone(),
                from: from.to_string(),
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
    let mut quantity = QuantityMap {
        name: key.value.clone(),
        from: key.value.clone(),
        factor: 1.0,
        unit: None,
    };
    for (part, value) in table.iter() {
        let at = value.span().start;
        match (part.get_ref().as_ref(), value.get_ref()) {
            ("from", DeValue::String(from)) => {
                quantity.from = from.to_string();
                check_name(
                    section,
                    "from",
                    &At {
                        value: quantity.from.clone(),
                        offset: at,
                    },
                );
            }
            ("unit", DeValue::String(unit)) => quantity.unit = Some(unit.to_string()),
            ("factor", value)
                if as_f64(value).is_some_and(|factor| factor.is_finite() && factor != 0.0) =>
            {
                quantity.factor = as_f64(value)?;
            }
            ("factor", _) => section
                .document()
                .mistake(at, "factor: should be a finite number other than 0"),
            ("from" | "unit", other) => {
                let what = format!(
                    "{}: should be a string, is {}",
                    part.get_ref(),
                    type_name(other)
                );
                section.document().mistake(at, what);
            }
            (unknown, _) => {
                let hint = super::mistake::suggestion(unknown, &["from", "factor", "unit"]);
                let what = format!(
                    "unknown key \"{unknown}\" in [decode.quantities] {}{hint}",
                    key.value
                );
                section.document().mistake(part.span().start, what);
            }
        }
    }
    Some(quantity)
}
