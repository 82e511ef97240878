//! A schema, compiled: what a lane checks records with.

use std::collections::BTreeMap;
use std::error::Error;

use gridwatch_core::schema::{Schema, VIOLATION_BYTES_MAX};
use jsonschema::{Draft, PatternOptions, Retrieve, Uri, ValidationError, Validator};
use serde::de::IgnoredAny;
use serde_json::Value;

use super::definition::Definition;
use super::error::RegistryError;

/// A pattern may go wrong on a text made for it; it gives up after so many steps back.
const BACKTRACKS_MAX: usize = 10_000;
/// A value longer than this is shown by its beginning.
const VALUE_BYTES_MAX: usize = 80;

/// Compiled once, used for every record.
#[derive(Debug)]
pub struct Compiled {
    validator: Validator,
}

impl Compiled {
    /// `Unusable` where the text is no JSON Schema, or refers to something that the registry did not
    /// give: nothing is fetched from elsewhere.
    pub fn new(definition: &Definition) -> Result<Compiled, RegistryError> {
        let unusable = |what: String| RegistryError::Unusable { what };
        let schema: Value = serde_json::from_str(&definition.text)
            .map_err(|error| unusable(format!("the schema is not JSON: {error}")))?;
        let references = References::parse(&definition.references).map_err(|(name, error)| {
            unusable(format!("the schema refers to {name}, which is not JSON: {error}"))
        })?;
        let mut options = jsonschema::options()
            .with_retriever(references)
            .with_pattern_options(PatternOptions::fancy_regex().backtrack_limit(BACKTRACKS_MAX));
        if schema.get("$schema").is_none() {
            // What registries take a schema for that does not say which draft it follows.
            options = options.with_draft(Draft::Draft7);
        }
        let validator = options
            .build(&schema)
            .map_err(|error| unusable(format!("the schema cannot be checked with: {}", told(&error))))?;
        Ok(Compiled { validator })
    }
}

impl Schema for Compiled {
    fn violation(&self, json: &[u8]) -> Option<String> {
        match read(json) {
            Ok(Some(message)) => self.validator.validate(&message).err().map(|error| told(&error)),
            Ok(None) => None,
            Err(what) => Some(format!("cannot be checked: {what}")),
        }
    }
}

/// `/voltage: "x" is not of type "number"`, cut to length.
fn told(error: &ValidationError<'_>) -> String {
    let value = error.instance().to_string();
    let what = if value.len() > VALUE_BYTES_MAX {
        error.masked_with(format!("{}…", &value[..value.floor_char_boundary(VALUE_BYTES_MAX)])).to_string()
    } else {
        error.to_string()
    };
    let path = error.instance_path().as_str();
    let mut text = if path.is_empty() { what } else { format!("{path}: {what}") };
    if text.len() > VIOLATION_BYTES_MAX {
        text.truncate(text.floor_char_boundary(VIOLATION_BYTES_MAX - "…".len()));
        text.push('…');
    }
    text
}

/// `None` is no JSON at all. An error is JSON that the decoder might take, and that cannot be read
/// whole: nested too deep, or with half a character in it.
fn read(json: &[u8]) -> Result<Option<Value>, String> {
    let error = match serde_json::from_slice(json) {
        Ok(message) => return Ok(Some(message)),
        Err(error) => error,
    };
    if serde_json::from_slice::<IgnoredAny>(json).is_err() {
        return Ok(None);
    }
    match serde_json::from_slice(&within_doubles(json)) {
        Ok(message) => Ok(Some(message)),
        Err(_) => Err(error.to_string()),
    }
}

/// The same JSON, with numbers beyond the range of a double brought to its ends: to a schema `1e999` is
/// a number like any other.
fn within_doubles(json: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(json.len());
    let (mut at, mut in_text) = (0, false);
    while at < json.len() {
        let byte = json[at];
        if !in_text && (byte == b'-' || byte.is_ascii_digit()) {
            let number = json[at..].iter().take_while(|byte| b"+-.eE0123456789".contains(byte)).count();
            let digits = &json[at..at + number];
            let value: Option<f64> = std::str::from_utf8(digits).ok().and_then(|text| text.parse().ok());
            match value {
                Some(value) if value.is_infinite() => {
                    out.extend_from_slice(if value > 0.0 { b"1.7e308" } else { b"-1.7e308" });
                }
                _ => out.extend_from_slice(digits),
            }
            at += number;
            continue;
        }
        out.push(byte);
        at += 1;
        match byte {
            b'"' => in_text = !in_text,
            b'\\' if in_text => {
                out.extend(json.get(at));
                at += 1;
            }
            _ => {}
        }
    }
    out
}

/// The only place where what a schema refers to comes from.
struct References(BTreeMap<String, Value>);

impl References {
    fn parse(texts: &BTreeMap<String, String>) -> Result<References, (String, serde_json::Error)> {
        let parse = |(name, text): (&String, &String)| match serde_json::from_str(text) {
            Ok(schema) => Ok((name.clone(), schema)),
            Err(error) => Err((name.clone(), error)),
        };
        texts.iter().map(parse).collect::<Result<_, _>>().map(References)
    }
}

impl Retrieve for References {
    /// A name is a URI, or the end of one: `$ref` is resolved against the schema's own `$id` first.
    fn retrieve(&self, uri: &Uri<String>) -> Result<Value, Box<dyn Error + Send + Sync>> {
        let uri = uri.as_str();
        let is_end = |name: &str| uri.strip_suffix(name).is_some_and(|before| before.ends_with('/'));
        let named = self.0.iter().filter(|(name, _)| uri == *name || is_end(name));
        match named.max_by_key(|(name, _)| name.len()) {
            Some((_, schema)) => Ok(schema.clone()),
            None => Err(format!("the registry gave nothing for {uri}").into()),
        }
    }
}
