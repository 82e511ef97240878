//! What commands ask of a registry: they wait for the answer, and try a few times.

use std::future::Future;
use std::time::Duration;

use backon::{BlockingRetryable, ExponentialBuilder};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::runtime::{Builder, Handle, Runtime};

use super::Settings;
use super::definition::Definition;
use super::error::RegistryError;
use super::wire::Wire;

/// Four tries within two seconds, timeouts aside: somebody is waiting.
const RETRY_DELAY_MIN: Duration = Duration::from_millis(200);
const RETRIES: usize = 3;

/// Blocks the calling thread, which must not be one that runs async code.
#[derive(Debug)]
pub struct Registry {
    wire: Wire,
    runtime: Runtime,
}

/// A schema under a subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registered {
    pub subject: String,
    pub id: u32,
    pub version: u32,
    #[serde(skip_serializing)]
    pub schema: String,
}

/// Whether a schema may follow the latest one of its subject.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Compatibility {
    #[serde(rename = "is_compatible")]
    pub compatible: bool,
    /// What the registry has against it.
    #[serde(default)]
    pub messages: Vec<String>,
}

#[derive(Deserialize)]
struct NewId {
    id: u32,
}

impl Registry {
    /// Asks nothing yet.
    pub fn new(settings: &Settings) -> Result<Registry, RegistryError> {
        let wire = Wire::new(settings)?;
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| RegistryError::Settings { what: format!("cannot start: {error}") })?;
        Ok(Registry { wire, runtime })
    }

    /// The schema with this id, and all it refers to.
    pub fn schema(&self, id: u32) -> Result<Definition, RegistryError> {
        self.answer(|| self.wire.definition(id))
    }

    /// Makes `schema` (the text of a JSON Schema) the latest under `subject` and gives its id; where it is
    /// there already nothing changes. `Refused` with status 409 where it does not fit those before it.
    pub fn register(&self, subject: &str, schema: &str) -> Result<u32, RegistryError> {
        let (path, body) = (["subjects", subject, "versions"], as_json(schema));
        let new: NewId = self.answer(|| self.wire.post(&path, &body))?;
        Ok(new.id)
    }

    /// Where `schema` stands under `subject`; `Absent` if it does not.
    pub fn find(&self, subject: &str, schema: &str) -> Result<Registered, RegistryError> {
        let (path, body) = (["subjects", subject], as_json(schema));
        self.answer(|| self.wire.post(&path, &body))
    }

    /// The latest schema under `subject`.
    pub fn latest(&self, subject: &str) -> Result<Registered, RegistryError> {
        let path = ["subjects", subject, "versions", "latest"];
        self.answer(|| self.wire.get(&path))
    }

    /// Whether `schema` may become the latest under `subject`; where there is none yet, it may.
    pub fn compatibility(&self, subject: &str, schema: &str) -> Result<Compatibility, RegistryError> {
        let (path, body) = (["compatibility", "subjects", subject, "versions", "latest"], as_json(schema));
        match self.answer(|| self.wire.post_verbose(&path, &body)) {
            Err(RegistryError::Absent { .. }) => Ok(Compatibility { compatible: true, messages: Vec::new() }),
            answer => answer,
        }
    }

    fn answer<T, F>(&self, ask: impl Fn() -> F) -> Result<T, RegistryError>
    where
        F: Future<Output = Result<T, RegistryError>>,
    {
        if Handle::try_current().is_ok() {
            return Err(RegistryError::Settings { what: "the registry was asked from async code".into() });
        }
        let tries = ExponentialBuilder::new().with_min_delay(RETRY_DELAY_MIN).with_max_times(RETRIES);
        (|| self.runtime.block_on(ask())).retry(tries).when(RegistryError::is_temporary).call()
    }
}

fn as_json(schema: &str) -> Value {
    json!({"schemaType": "JSON", "schema": schema})
}
