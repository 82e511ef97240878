//! A JSON object straight into a reading: serde_json drives, nothing is collected on the way.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::csv::nearest;
use super::layout::{Layout, NONE, ROOT};
use super::take::Scalar;
use crate::reading::{Reading, Reason, Rejection};

/// Decodes one document.
///
/// serde_json gives up on a document as soon as it meets a number beyond `f64`. Such a document is
/// looked at a second time, value by value; all others that it refuses are refused again.
pub(super) fn decode(layout: &mut Layout, record: &[u8], reading: &mut Reading) -> Result<(), Rejection> {
    let text = std::str::from_utf8(record)
        .map_err(|error| not_json(format!("byte {} is not UTF-8", error.valid_up_to() + 1)))?;
    if text.is_empty() {
        return Err(not_json("the record is empty".into()));
    }
    let known = layout.quantities().len();
    if pass(layout, text, reading, false).is_ok() {
        return Ok(());
    }
    layout.roll_back(known);
    pass(layout, text, reading, true).map_err(|error| not_json(detail(text, &error)))
}

fn pass(
    layout: &mut Layout,
    text: &str,
    reading: &mut Reading,
    careful: bool,
) -> Result<(), serde_json::Error> {
    layout.begin(reading);
    let mut document = serde_json::Deserializer::from_str(text);
    document.deserialize_any(Object { layout, reading, node: ROOT, careful })?;
    document.end()
}

fn not_json(detail: String) -> Rejection {
    Rejection { reason: Reason::NotJson, detail }
}

/// Top-level keys that are looked at, those that are shown, and characters of each.
const KEYS_MAX: usize = 1024;
const KEYS_SHOWN_MAX: usize = 16;
const KEY_CHARS_MAX: usize = 64;

/// What a record has where a key is sought in vain.
pub(super) fn hint(record: &[u8], sought: &str) -> String {
    let Ok(members) = serde_json::from_slice::<BTreeMap<String, IgnoredAny>>(record) else {
        return String::new();
    };
    if members.contains_key(sought) {
        return ": it is null".to_owned();
    }
    let count = members.len();
    let keys: Vec<String> = members.into_keys().take(KEYS_MAX).collect();
    let near = nearest(sought, &keys).map(|near| format!(" (did you mean `{near}`?)")).unwrap_or_default();
    let shown = keys.iter().take(KEYS_SHOWN_MAX);
    let shown: Vec<String> =
        shown.map(|key| format!("`{}`", key.chars().take(KEY_CHARS_MAX).collect::<String>())).collect();
    match count {
        0 => "; the object is empty".to_owned(),
        count if count > KEYS_SHOWN_MAX => {
            format!("{near}; there are {count} keys, such as {}", shown.join(", "))
        }
        _ => format!("{near}; there are: {}", shown.join(", ")),
    }
}

/// serde_json counts lines from 1 and bytes within the line from 1.
fn detail(text: &str, error: &serde_json::Error) -> String {
    let before: usize = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
    let hint = match text.trim_start() {
        array if array.starts_with('[') => "; records stand one a line: `jq -c '.[]'` makes an array so",
        opening if opening.trim_end() == "{" => "; records stand one a line: `jq -c .` makes them so",
        _ => "",
    };
    format!("{error} (byte {}){hint}", before + error.column())
}

/// The members of one object that a path leads into.
struct Object<'a> {
    layout: &'a mut Layout,
    reading: &'a mut Reading,
    node: u16,
    careful: bool,
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let Object { layout, reading, node, careful } = self;
        let mut before = NONE;
        while let Some(field) = members.next_key_seed(Key { layout, node, before })? {
            members.next_value_seed(Value { layout, reading, node, field, careful })?;
            if field != NONE {
                before = field;
            }
        }
        Ok(())
    }
}

/// A key, as the field that it is.
struct Key<'a> {
    layout: &'a mut Layout,
    node: u16,
    before: u16,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = u16;

    fn deserialize<D: Deserializer<'de>>(self, key: D) -> Result<u16, D::Error> {
        key.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = u16;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<u16, E> {
        Ok(self.layout.find(self.node, self.before, key))
    }
}

/// The value under a field.
struct Value<'a> {
    layout: &'a mut Layout,
    reading: &'a mut Reading,
    node: u16,
    field: u16,
    careful: bool,
}

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        if !self.careful {
            return value.deserialize_any(self);
        }
        let raw = <&RawValue>::deserialize(value)?.get();
        if raw.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
            self.take(lone_number(raw));
            return Ok(());
        }
        let mut document = serde_json::Deserializer::from_str(raw);
        document.deserialize_any(self).map_err(D::Error::custom)
    }
}

/// The same that `deserialize_any` gives, but without giving up on what is beyond `f64`.
fn lone_number(text: &str) -> Scalar<'_> {
    if let Ok(value) = serde_json::from_str::<u64>(text) {
        Scalar::Unsigned(value)
    } else if let Ok(value) = serde_json::from_str::<i64>(text) {
        Scalar::Signed(value)
    } else if let Ok(value) = serde_json::from_str::<f64>(text) {
        Scalar::Float(value)
    } else {
        Scalar::Other("a number beyond the range of a double")
    }
}

impl Value<'_> {
    fn take(self, value: Scalar<'_>) {
        self.layout.take(self.reading, self.node, self.field, value);
    }

    fn child(&self) -> u16 {
        self.layout.field(self.node, self.field).map_or(NONE, |field| field.child)
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.take(Scalar::Float(value));
        Ok(())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.take(Scalar::Unsigned(value));
        Ok(())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.take(Scalar::Signed(value));
        Ok(())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.take(Scalar::Text(value));
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.take(Scalar::Other("a boolean"));
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.take(Scalar::Other("null"));
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let (node, careful) = (self.child(), self.careful);
        self.layout.take(self.reading, self.node, self.field, Scalar::Other("an object"));
        if node != NONE {
            let Value { layout, reading, .. } = self;
            return Object { layout, reading, node, careful }.visit_map(members);
        }
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(())
    }

    /// A pointer counts the elements of an array: `/values/0`.
    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        let (node, careful) = (self.child(), self.careful);
        self.layout.take(self.reading, self.node, self.field, Scalar::Other("an array"));
        let Value { layout, reading, .. } = self;
        for position in 0_u64.. {
            let field = match node {
                NONE => None,
                _ => layout.field_named(node, &position.to_string()),
            };
            let more = match field {
                None => elements.next_element::<IgnoredAny>()?.is_some(),
                Some(field) => {
                    let (layout, reading) = (&mut *layout, &mut *reading);
                    elements.next_element_seed(Value { layout, reading, node, field, careful })?.is_some()
                }
            };
            if !more {
                break;
            }
        }
        Ok(())
    }
}
