//! A schema as the registry has it, with what it refers to.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::error::RegistryError;
use super::wire::Wire;

/// A schema that refers to more than this is not fetched: somebody is making fun of us.
const REFERENCES_MAX: usize = 64;

/// The text of a JSON Schema, and those it refers to by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    pub text: String,
    pub references: BTreeMap<String, String>,
}

/// A schema in an answer, asked for by id or by subject and version.
#[derive(Deserialize)]
pub(super) struct Found {
    pub schema: String,
    /// Left out for Avro, which was first.
    #[serde(rename = "schemaType")]
    kind: Option<String>,
    references: Option<Vec<Reference>>,
}

#[derive(Deserialize)]
struct Reference {
    name: String,
    subject: String,
    version: i64,
}

impl Wire {
    /// The schema with this id. `Unusable` where it is none that gridwatch can check with.
    pub async fn definition(&self, id: u32) -> Result<Definition, RegistryError> {
        let found: Found = self.get(&["schemas", "ids", &id.to_string()]).await?;
        let unusable = |what: String| RegistryError::Unusable { what: format!("schema {id}: {what}") };
        only_json(&found).map_err(unusable)?;
        let mut references = BTreeMap::new();
        let mut wanted = found.references.unwrap_or_default();
        while let Some(reference) = wanted.pop() {
            if references.contains_key(&reference.name) {
                continue;
            }
            if references.len() == REFERENCES_MAX {
                return Err(unusable(format!("refers to more than {REFERENCES_MAX} others")));
            }
            let version = reference.version.to_string();
            let path = ["subjects", reference.subject.as_str(), "versions", version.as_str()];
            let found: Found = self.get(&path).await.map_err(|error| match error {
                RegistryError::Absent { message, .. } => unusable(format!(
                    "refers to version {version} of {}, which is not there: {message}",
                    reference.subject
                )),
                other => other,
            })?;
            only_json(&found).map_err(unusable)?;
            wanted.extend(found.references.unwrap_or_default());
            references.insert(reference.name, found.schema);
        }
        Ok(Definition { text: found.schema, references })
    }
}

fn only_json(found: &Found) -> Result<(), String> {
    match found.kind.as_deref().unwrap_or("AVRO") {
        "JSON" => Ok(()),
        other => Err(format!("is of type {other}; only JSON Schemas can be checked")),
    }
}
