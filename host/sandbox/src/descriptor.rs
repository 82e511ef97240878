//! Whether what a module says of itself can be used. That parameters keep to its JSON Schema is
//! checked by who has a library for that; here only that the schema is one at all.

use gridwatch_core::finding::{Descriptor, Kind};

use crate::contract::gridwatch::detector::types as wit;
use crate::refusal::Refusal;

/// Kinds label metrics, so their number is bounded.
const KINDS_MAX: usize = 256;
const NAME_BYTES_MAX: usize = 64;
const TEXT_BYTES_MAX: usize = 4096;
const SCHEMA_BYTES_MAX: usize = 1 << 20;
const METADATA_MAX: usize = 64;

pub fn check(said: wit::Descriptor) -> Result<Descriptor, Refusal> {
    name("name", &said.name)?;
    name("version", &said.version)?;
    if said.kinds.len() > KINDS_MAX {
        return Err(refusal("kinds", format!("{}, more than {KINDS_MAX}", said.kinds.len())));
    }
    for (i, kind) in said.kinds.iter().enumerate() {
        name(&format!("kinds[{i}].name"), &kind.name)?;
        length(&format!("kinds[{i}].description"), &kind.description, TEXT_BYTES_MAX)?;
        if said.kinds[..i].iter().any(|before| before.name == kind.name) {
            return Err(refusal(&format!("kinds[{i}].name"), format!("{:?} is there twice", kind.name)));
        }
    }
    schema(&said.parameters)?;
    if said.metadata.len() > METADATA_MAX {
        return Err(refusal(
            "metadata",
            format!("{} entries, more than {METADATA_MAX}", said.metadata.len()),
        ));
    }
    for (i, (key, value)) in said.metadata.iter().enumerate() {
        name(&format!("metadata[{i}]"), key)?;
        length(&format!("metadata[{i}]"), value, TEXT_BYTES_MAX)?;
    }
    Ok(Descriptor {
        name: said.name,
        version: said.version,
        state_version: said.state_version,
        kinds: said.kinds.into_iter().map(|k| Kind { name: k.name, description: k.description }).collect(),
        parameters: said.parameters,
        metadata: said.metadata,
    })
}

fn schema(text: &str) -> Result<(), Refusal> {
    length("parameters", text, SCHEMA_BYTES_MAX)?;
    match serde_json::from_str(text) {
        Ok(serde_json::Value::Object(_) | serde_json::Value::Bool(_)) => Ok(()),
        Ok(_) => Err(refusal(
            "parameters",
            "a JSON Schema is an object; for no parameters say {\"type\":\"object\"}".to_owned(),
        )),
        Err(e) => {
            Err(refusal("parameters", format!("no JSON: {e}; for no parameters say {{\"type\":\"object\"}}")))
        }
    }
}

fn name(field: &str, text: &str) -> Result<(), Refusal> {
    if text.trim().is_empty() {
        return Err(refusal(field, "empty".to_owned()));
    }
    if text.chars().any(char::is_control) {
        return Err(refusal(field, format!("{text:?} has control characters")));
    }
    length(field, text, NAME_BYTES_MAX)
}

fn length(field: &str, text: &str, max: usize) -> Result<(), Refusal> {
    if text.len() > max {
        return Err(refusal(field, format!("{} bytes, more than {max}", text.len())));
    }
    Ok(())
}

fn refusal(field: &str, what: String) -> Refusal {
    Refusal::Descriptor { field: field.to_owned(), what }
}
