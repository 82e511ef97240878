//! Parameters of a detector against the JSON Schema that its module brings.

use jsonschema::Validator;
use serde_json::{Map, Value};

/// Why parameters do not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParameterError {
    /// The module's own fault: nothing can be checked against what it calls a schema.
    #[error("the module's parameter schema is no JSON Schema: {what}")]
    Schema { what: String },
    /// Each with the path of the parameter.
    #[error("{}", mistakes.join("\n"))]
    Parameters { mistakes: Vec<String> },
}

/// A module's schema, ready to check with.
#[derive(Debug)]
pub struct ParameterSchema {
    validator: Validator,
    known: Vec<String>,
}

const MISTAKES_MAX: usize = 20;

impl ParameterSchema {
    /// `text` as the module's descriptor has it; empty means that there are no parameters.
    pub fn parse(text: &str) -> Result<Self, ParameterError> {
        let text = if text.trim().is_empty() { r#"{"type":"object","maxProperties":0}"# } else { text };
        let schema: Value =
            serde_json::from_str(text).map_err(|error| ParameterError::Schema { what: error.to_string() })?;
        let validator = jsonschema::validator_for(&schema)
            .map_err(|error| ParameterError::Schema { what: error.to_string() })?;
        let known = schema.get("properties").and_then(Value::as_object);
        let known = known.map(|properties| properties.keys().cloned().collect()).unwrap_or_default();
        Ok(ParameterSchema { validator, known })
    }

    /// The parameters as the JSON that `configure` is given.
    pub fn check(&self, parameters: &Map<String, Value>) -> Result<String, ParameterError> {
        let instance = Value::Object(parameters.clone());
        let mut mistakes: Vec<String> = Vec::new();
        for (key, _) in parameters {
            // Schemas are often open; a key that the schema does not list is a slip all the same.
            if !self.known.contains(key) {
                let known: Vec<&str> = self.known.iter().map(String::as_str).collect();
                let hint = if known.is_empty() {
                    "; this detector has no parameters".to_owned()
                } else {
                    super::mistake::suggestion(key, &known)
                };
                mistakes.push(format!("parameters: unknown key \"{key}\"{hint}"));
            }
        }
        for error in self.validator.iter_errors(&instance) {
            if matches!(
                error.kind().keyword(),
                "additionalProperties" | "unevaluatedProperties" | "maxProperties"
            ) {
                continue; // Said above, with the nearest known key.
            }
            let path = error.instance_path().to_string().replace('/', ".");
            mistakes.push(format!("parameters{path}: {error}"));
        }
        mistakes.truncate(MISTAKES_MAX);
        if mistakes.is_empty() {
            Ok(instance.to_string())
        } else {
            Err(ParameterError::Parameters { mistakes })
        }
    }
}
