//! Parameters: JSON to the author's struct, and their schema.

use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

/// JSON Schema of the parameters: top-level properties carry their defaults, none is required, and
/// unknown ones are refused unless the author's schema says otherwise.
pub fn schema<P: JsonSchema + Serialize + Default>() -> Value {
    let mut schema = schemars::SchemaGenerator::default().into_root_schema_for::<P>().to_value();
    let Some(object) = schema.as_object_mut() else {
        return schema;
    };
    if object.get("type") == Some(&Value::from("null")) {
        object.insert("type".into(), "object".into());
    }
    if object.get("type") == Some(&Value::from("object")) {
        object.remove("required");
        object.entry("additionalProperties").or_insert(Value::Bool(false));
    }
    let defaults = defaults::<P>();
    if let Some(properties) = object.get_mut("properties").and_then(Value::as_object_mut) {
        for (name, property) in properties {
            if let (Some(default), Some(property)) = (defaults.get(name), property.as_object_mut()) {
                property.entry("default").or_insert_with(|| default.clone());
            }
        }
    }
    schema
}

/// What is left out has the default's value.
pub fn parse<P: JsonSchema + Serialize + DeserializeOwned + Default>(text: &str) -> Result<P, String> {
    let given = match text.trim() {
        "" => Map::new(),
        text => serde_json::from_str(text)
            .map_err(|error| format!("parameters: expected a JSON object: {error}"))?,
    };
    refuse_unknown::<P>(&given)?;
    if given.is_empty() {
        return Ok(P::default());
    }
    let mut all = defaults::<P>();
    all.extend(given);
    serde_path_to_error::deserialize(Value::Object(all))
        .map_err(|error| format!("parameters: at `{}`: {}", error.path(), error.inner()))
}

fn refuse_unknown<P: JsonSchema + Serialize + Default>(given: &Map<String, Value>) -> Result<(), String> {
    let schema = schema::<P>();
    if schema.get("additionalProperties") != Some(&Value::Bool(false)) {
        return Ok(());
    }
    let known = schema.get("properties").and_then(Value::as_object);
    let is_known = |name: &String| known.is_some_and(|known| known.contains_key(name));
    let Some(name) = given.keys().find(|name| !is_known(name)) else {
        return Ok(());
    };
    let known: Vec<&str> = known.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    Err(match known.as_slice() {
        [] => format!("parameters: `{name}` is not known; this detector has no parameters"),
        known => format!("parameters: `{name}` is not known; there are: {}", known.join(", ")),
    })
}

/// Nulls are left out: a number that JSON cannot say becomes one.
fn defaults<P: Serialize + Default>() -> Map<String, Value> {
    match serde_json::to_value(P::default()) {
        Ok(Value::Object(object)) => object.into_iter().filter(|(_, value)| !value.is_null()).collect(),
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
    struct Parameters {
        /// Volts.
        lower: f64,
        window_s: u32,
        bands: Vec<f64>,
    }

    impl Default for Parameters {
        fn default() -> Self {
            Parameters { lower: 207.0, window_s: 600, bands: vec![0.9, 1.1] }
        }
    }

    #[test]
    fn what_is_left_out_is_default() {
        assert_eq!(parse::<Parameters>("{}"), Ok(Parameters::default()));
        assert_eq!(parse::<Parameters>(""), Ok(Parameters::default()));
        let given = parse::<Parameters>(r#"{"lower": 200}"#);
        assert_eq!(given, Ok(Parameters { lower: 200.0, ..Parameters::default() }));
        assert_eq!(parse::<()>("{}"), Ok(()));
    }

    #[test]
    fn mistakes_say_where_and_what_is_expected() {
        let wrong = |text| parse::<Parameters>(text).unwrap_err();
        assert_eq!(
            wrong("[]"),
            "parameters: expected a JSON object: invalid type: sequence, expected a map at line 1 column 0"
        );
        assert_eq!(
            wrong(r#"{"bands": [1, "x"]}"#),
            "parameters: at `bands[1]`: invalid type: string \"x\", expected f64"
        );
        assert_eq!(
            wrong(r#"{"lowr": 1}"#),
            "parameters: `lowr` is not known; there are: bands, lower, window_s"
        );
        assert_eq!(
            wrong(r#"{"window_s": -1}"#),
            "parameters: at `window_s`: invalid value: integer `-1`, expected u32"
        );
        assert_eq!(
            parse::<()>(r#"{"a":1}"#),
            Err("parameters: `a` is not known; this detector has no parameters".into())
        );
    }

    #[test]
    fn the_schema_tells_defaults_and_requires_nothing() {
        let schema = schema::<Parameters>();
        assert_eq!(schema["properties"]["lower"]["default"], 207.0);
        assert_eq!(schema["properties"]["lower"]["description"], "Volts.");
        assert_eq!(schema["additionalProperties"], false);
        assert_eq!(schema.get("required"), None);
    }
}
