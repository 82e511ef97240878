use std::collections::BTreeMap;

use gridwatch_core::schema::{Schema, VIOLATION_BYTES_MAX};
use serde_json::{Value, json};

use super::super::{Compiled, Definition, RegistryError};

fn compile(schema: Value, references: &[(&str, Value)]) -> Result<Compiled, RegistryError> {
    let references: BTreeMap<_, _> =
        references.iter().map(|(name, schema)| ((*name).to_owned(), schema.to_string())).collect();
    Compiled::new(&Definition { text: schema.to_string(), references })
}

fn voltage() -> Compiled {
    compile(
        json!({
            "type": "object",
            "properties": {"voltage": {"type": "number"}, "phases": {"items": {"maximum": 3}}},
            "required": ["voltage"],
            "additionalProperties": {"pattern": "^(a+)+$"},
        }),
        &[],
    )
    .unwrap()
}

#[test]
fn violations_say_where_and_what() {
    let schema = voltage();
    for (message, expected) in [
        (r#"{"voltage":230}"#, None),
        (r#"{"voltage":"230"}"#, Some(r#"/voltage: "230" is not of type "number""#)),
        (r#"{"voltage":1,"phases":[1,9]}"#, Some("/phases/1: 9 is greater than the maximum of 3")),
        (r#"{"current":1}"#, Some(r#""voltage" is a required property"#)),
        ("[]", Some(r#"[] is not of type "object""#)),
        // The decoder's to say.
        ("", None),
        ("{", None),
        (r#"{"voltage":01}"#, None),
        // Beyond a double, and a number all the same.
        (r#"{"voltage":1e999,"x":"1e999\" 1e999"}"#, Some(r#"/x: "1e999\" 1e999" does not match "^(a+)+$""#)),
        (r#"{"voltage":-1e999,"phases":[-1e999]}"#, None),
        (
            r#"{"voltage":-1e999,"phases":[1e999]}"#,
            Some("/phases/0: 1.7e+308 is greater than the maximum of 3"),
        ),
    ] {
        assert_eq!(schema.violation(message.as_bytes()).as_deref(), expected, "{message}");
    }
}

#[test]
fn what_the_decoder_would_skip_over_is_not_let_through() {
    let schema = voltage();
    let half = r#"{"voltage":"x","phases":"\ud800"}"#;
    let deep = format!(r#"{{"voltage":"x","phases":{}{}}}"#, "[".repeat(5_000), "]".repeat(5_000));
    for message in [half, &deep] {
        let violation = schema.violation(message.as_bytes()).unwrap();
        assert!(violation.starts_with("cannot be checked: "), "{violation}");
    }
}

#[test]
fn a_violation_is_short_whatever_was_sent() {
    let schema = voltage();
    let long = "é".repeat(100_000);
    let value = schema.violation(format!(r#"{{"voltage":"{long}"}}"#).as_bytes()).unwrap();
    assert!(value.len() < 200 && value.ends_with(r#"is not of type "number""#), "{value}");
    let path = schema.violation(format!(r#"{{"voltage":1,"{long}":"b"}}"#).as_bytes()).unwrap();
    assert!(path.len() <= VIOLATION_BYTES_MAX && path.ends_with('…'), "{path}");
}

#[test]
fn a_pattern_that_goes_wild_gives_up() {
    let schema = compile(json!({"pattern": "^(?=(a+)+$)(a+)+\\1b$"}), &[]).unwrap();
    let start = std::time::Instant::now();
    assert!(schema.violation(format!("\"{}c\"", "a".repeat(5_000)).as_bytes()).is_some());
    assert!(start.elapsed().as_secs() < 10, "{:?}", start.elapsed());
}

#[test]
fn references_are_those_that_the_registry_gave() {
    let place = json!({"type": "string", "maxLength": 3});
    let by_name = json!({"properties": {"at": {"$ref": "place.json"}}});
    let by_id = json!({"$id": "https://example.org/a/b.json", "properties": {"at": {"$ref": "place.json"}}});
    let by_uri = json!({"properties": {"at": {"$ref": "https://example.org/place.json"}}});
    for (schema, name) in
        [(&by_name, "place.json"), (&by_id, "place.json"), (&by_uri, "https://example.org/place.json")]
    {
        let schema = compile(schema.clone(), &[(name, place.clone())]).unwrap();
        assert!(schema.violation(br#"{"at":"long"}"#).unwrap().starts_with("/at: "));
        assert_eq!(schema.violation(br#"{"at":"abc"}"#), None);
    }
    for schema in [by_name, by_id, by_uri, json!({"$ref": "file:///etc/passwd"})] {
        let error = compile(schema, &[]).unwrap_err();
        assert!(matches!(error, RegistryError::Unusable { .. }), "{error}");
    }
}

#[test]
fn what_is_no_schema_is_unusable() {
    for text in [
        "",
        "no",
        "{\"type\":\"nonsense\"}",
        r#"{"$schema":"https://example.org/own"}"#,
        "{\"pattern\":\"(\"}",
    ] {
        let definition = Definition { text: text.into(), references: BTreeMap::new() };
        assert!(matches!(Compiled::new(&definition), Err(RegistryError::Unusable { .. })), "{text}");
    }
}

#[test]
fn a_schema_that_is_its_own_part_comes_to_an_end() {
    let endless = compile(json!({"allOf": [{"$ref": "#"}]}), &[]).unwrap();
    assert_eq!(endless.violation(b"{}"), None);
}
