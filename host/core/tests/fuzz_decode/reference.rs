//! What a decoder must say, written as plainly as possible: every value on its own, names instead of
//! indices, nothing remembered but the quantities.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use gridwatch_core::decode::{DecodeSettings, IdSource, Selection, TimeFormat, unit_of};
use gridwatch_core::reading::Reason;
use gridwatch_core::time::{TIMESTAMP_MAX, TIMESTAMP_MIN};
use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

/// A reading by names; numbers as their bits.
#[derive(Debug, Default, PartialEq)]
pub struct Expected {
    pub sensor_id: String,
    pub timestamp: i64,
    pub values: BTreeMap<String, u64>,
    pub malformed: BTreeSet<String>,
    pub attributes: BTreeMap<String, String>,
}

/// `known` are names of quantities; new ones are added if the record is a reading.
pub fn decode(settings: &DecodeSettings, known: &mut Vec<String>, record: &[u8]) -> Result<Expected, Reason> {
    if record.len() > settings.record_bytes_max {
        return Err(Reason::TooLarge);
    }
    let text = std::str::from_utf8(record).map_err(|_| Reason::NotJson)?;
    let mut flat = Vec::new();
    flatten("", text, settings, &mut flat).map_err(|()| Reason::NotJson)?;
    let mut after = known.clone();
    let reading = collect(settings, &mut after, &flat)?;
    *known = after;
    Ok(reading)
}

enum Scalar {
    Json(Value),
    /// An object, an array, a number that is too large.
    Else,
}

/// Members in the order of the document, by JSON pointer; below the top level where a path leads there.
fn flatten(
    prefix: &str,
    text: &str,
    settings: &DecodeSettings,
    flat: &mut Vec<(String, Scalar)>,
) -> Result<(), ()> {
    for (key, raw) in serde_json::from_str::<Members>(text).map_err(|_| ())?.0 {
        let pointer = format!("{prefix}/{}", key.replace('~', "~0").replace('/', "~1"));
        flatten_value(pointer, raw.get(), settings, flat)?;
    }
    Ok(())
}

fn flatten_value(
    pointer: String,
    raw: &str,
    settings: &DecodeSettings,
    flat: &mut Vec<(String, Scalar)>,
) -> Result<(), ()> {
    let below = format!("{pointer}/");
    let leads = paths(settings).iter().any(|path| path.starts_with(&below));
    match raw.as_bytes()[0] {
        b'{' => {
            flat.push((pointer.clone(), Scalar::Else));
            if leads {
                flatten(&pointer, raw, settings, flat)?;
            } else {
                serde_json::from_str::<Members>(raw).map_err(|_| ())?;
            }
        }
        b'[' => {
            flat.push((pointer.clone(), Scalar::Else));
            let elements: Vec<&RawValue> = serde_json::from_str(raw).map_err(|_| ())?;
            for (at, element) in elements.iter().enumerate().filter(|_| leads) {
                let path = format!("{pointer}/{at}");
                let below = format!("{path}/");
                if paths(settings).iter().any(|it| *it == path || it.starts_with(&below)) {
                    flatten_value(path, element.get(), settings, flat)?;
                }
            }
        }
        b'"' => flat.push((pointer, Scalar::Json(serde_json::from_str(raw).map_err(|_| ())?))),
        _ => flat.push((pointer, serde_json::from_str(raw).map_or(Scalar::Else, Scalar::Json))),
    }
    Ok(())
}

fn pointer_of(path: &str) -> String {
    if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("/{}", path.replace('~', "~0").replace('/', "~1"))
    }
}

fn paths(settings: &DecodeSettings) -> Vec<String> {
    let mut paths = vec![pointer_of(&settings.timestamp)];
    if let IdSource::Path(path) = &settings.id {
        paths.push(pointer_of(path));
    }
    paths.extend(settings.attributes.iter().map(|attribute| pointer_of(&attribute.path)));
    paths.extend(settings.mappings.iter().map(|mapping| pointer_of(&mapping.path)));
    paths
}

fn collect(
    settings: &DecodeSettings,
    known: &mut Vec<String>,
    flat: &[(String, Scalar)],
) -> Result<Expected, Reason> {
    let mut reading = Expected::default();
    let (mut id, mut time) = (None, Ok(None));
    for (pointer, value) in flat {
        let mapping = settings.mappings.iter().find(|mapping| pointer_of(&mapping.path) == *pointer);
        let attribute = settings.attributes.iter().find(|it| pointer_of(&it.path) == *pointer);
        if matches!(&settings.id, IdSource::Path(path) if pointer_of(path) == *pointer) {
            id = id_of(value);
        } else if pointer_of(&settings.timestamp) == *pointer {
            time = time_of(settings, value);
        } else if let Some(attribute) = attribute {
            reading.attributes.remove(&attribute.name);
            if let Some(text) = attribute_of(value) {
                reading.attributes.insert(attribute.name.clone(), text);
            }
        } else if let Some(mapping) = mapping {
            quantity(settings, known, &mut reading, &mapping.name, mapping.factor, value);
        } else if settings.quantities == Selection::All && pointer[1..].find('/').is_none() {
            let name = pointer[1..].replace("~1", "/").replace("~0", "~");
            quantity(settings, known, &mut reading, &name, 1.0, value);
        }
    }
    reading.sensor_id = match &settings.id {
        IdSource::Fixed(id) => id.clone(),
        IdSource::Path(_) => id.ok_or(Reason::NoSensorId)?,
    };
    reading.timestamp = time.map_err(|()| Reason::BadTimestamp)?.ok_or(Reason::NoTimestamp)?;
    if reading.values.is_empty() && reading.malformed.is_empty() {
        return Err(Reason::NoQuantities);
    }
    Ok(reading)
}

fn quantity(
    settings: &DecodeSettings,
    known: &mut Vec<String>,
    reading: &mut Expected,
    name: &str,
    factor: f64,
    value: &Scalar,
) {
    let number = match value {
        Scalar::Json(Value::Number(number)) => number.as_f64(),
        _ => None,
    };
    let scaled = number.map(|number| number * factor).filter(|scaled| scaled.is_finite());
    if !known.iter().any(|other| other == name) {
        let mapped = settings.mappings.iter().any(|mapping| mapping.name == name);
        let built_in = unit_of(name).is_some() || name == "power_factor";
        let has_name = !name.is_empty() && name.len() <= 128;
        let built_in = built_in && settings.quantities == Selection::All;
        let becomes_known = has_name && (scaled.is_some() || mapped || built_in);
        if !becomes_known
            || (!(mapped || built_in) && known.len() + reserved(settings, known) >= settings.quantities_max)
        {
            return;
        }
        known.push(name.to_owned());
    }
    reading.values.remove(name);
    reading.malformed.remove(name);
    match scaled {
        Some(scaled) => {
            reading.values.insert(name.to_owned(), scaled.to_bits());
        }
        None => {
            reading.malformed.insert(name.to_owned());
        }
    }
}

/// Named quantities that were not seen yet.
fn reserved(settings: &DecodeSettings, known: &[String]) -> usize {
    const BUILT_IN: &str = "voltage voltage_l1 voltage_l2 voltage_l3 current current_l1 current_l2 current_l3 \
                            power reactive_power apparent_power power_factor frequency temperature";
    let mut names: BTreeSet<&str> = BUILT_IN.split_whitespace().collect();
    names.extend(settings.mappings.iter().map(|mapping| mapping.name.as_str()));
    names.into_iter().filter(|name| !known.iter().any(|known| known == name)).count()
}

fn id_of(value: &Scalar) -> Option<String> {
    match value {
        Scalar::Json(Value::String(text)) => (!text.is_empty() && text.len() <= 256).then(|| text.clone()),
        Scalar::Json(Value::Number(number)) if !number.is_f64() => Some(number.to_string()),
        _ => None,
    }
}

fn attribute_of(value: &Scalar) -> Option<String> {
    match value {
        Scalar::Json(Value::String(text)) => (!text.is_empty() && text.len() <= 256).then(|| text.clone()),
        Scalar::Json(Value::Number(number)) if number.is_f64() => {
            number.as_f64().map(|number| format!("{number}"))
        }
        Scalar::Json(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    }
}

fn time_of(settings: &DecodeSettings, value: &Scalar) -> Result<Option<i64>, ()> {
    assert_eq!(settings.time, TimeFormat::Auto, "the reference knows only this one");
    let milliseconds = match value {
        Scalar::Json(Value::Null) => return Ok(None),
        Scalar::Json(Value::String(text)) => text_time(text).ok_or(())?,
        Scalar::Json(Value::Number(number)) if number.is_f64() => float_time(number.as_f64().ok_or(())?),
        Scalar::Json(Value::Number(number)) => integer_time(number.to_string().parse().map_err(|_| ())?),
        _ => return Err(()),
    };
    let range = i128::from(TIMESTAMP_MIN)..i128::from(TIMESTAMP_MAX);
    if range.contains(&milliseconds) { Ok(Some(milliseconds as i64)) } else { Err(()) }
}

fn text_time(text: &str) -> Option<i128> {
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Some(time.as_nanosecond().div_euclid(1_000_000));
    }
    if !text.chars().all(|character| "0123456789+-.".contains(character)) {
        return None;
    }
    let value: f64 = text.parse().ok()?;
    if value < 1e8 {
        return None;
    }
    Some(text.parse::<i128>().map_or_else(|_| float_time(value), integer_time))
}

fn integer_time(value: i128) -> i128 {
    match value.unsigned_abs() {
        size if size < 100_000_000_000 => value * 1000,
        size if size < 100_000_000_000_000 => value,
        _ => value.div_euclid(1000),
    }
}

fn float_time(value: f64) -> i128 {
    let milliseconds = match value.abs() {
        size if size < 1e11 => (value * 1e6).round() / 1000.0,
        size if size < 1e14 => value,
        _ => value / 1000.0,
    };
    milliseconds.floor() as i128
}

/// An object's members in order, equal keys and all.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(object: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry::<String, &RawValue>()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        object.deserialize_map(Collect)
    }
}
