//! A Confluent-compatible schema registry. Everything is in memory: after `restart` it is empty, and ids begin
//! at 1 again.

use std::ops::Deref;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::place::{Folder, installed};
use super::server::{Recipe, retry_ports};
use super::{Failure, Server, http, ports};

/// What a registry is to be like.
#[derive(Clone, Debug)]
pub struct RegistrySetup {
    port: Option<u16>,
    compatibility: &'static str,
    folder: Option<PathBuf>,
}

impl RegistrySetup {
    pub fn port(mut self, port: u16) -> RegistrySetup {
        self.port = Some(port);
        self
    }

    /// `BACKWARD` unless said otherwise.
    pub fn compatibility(mut self, level: &'static str) -> RegistrySetup {
        self.compatibility = level;
        self
    }

    /// The log goes there, and the registry may be left running.
    pub fn folder(mut self, folder: &Path) -> RegistrySetup {
        self.folder = Some(folder.to_owned());
        self
    }

    pub fn start(self) -> Registry {
        self.try_start().unwrap_or_else(|failure| panic!("{failure}"))
    }

    pub fn try_start(self) -> Result<Registry, Failure> {
        retry_ports(self.port.is_none(), || self.start_once())
    }

    fn start_once(&self) -> Result<Registry, Failure> {
        let program = installed("schema-registry-v0.2.1/bin/schema-registry")?;
        let port = self.port.map_or_else(ports::pick, Ok)?;
        // It looks relative references up in its working directory, which is therefore one without schemas.
        let folder = Folder::at(self.folder.as_deref())?;
        let environment = [
            ("SCHEMA_REGISTRY_HOST", "127.0.0.1".to_owned()),
            ("SCHEMA_REGISTRY_PORT", port.to_string()),
            ("SCHEMA_REGISTRY_STORAGE_TYPE", "memory".to_owned()),
            ("SCHEMA_REGISTRY_COMPATIBILITY_LEVEL", self.compatibility.to_owned()),
        ];
        let environment = environment.map(|(key, value)| (key.to_owned(), value)).to_vec();
        let recipe = Recipe { program, arguments: Vec::new(), environment };
        let ready = move || http::is_ok(port, "/health/ready");
        Ok(Registry { port, server: Server::start("schema registry", recipe, folder, ready)? })
    }
}

/// A running registry; see [`Server`] for how it ends.
pub struct Registry {
    port: u16,
    server: Server,
}

impl Registry {
    /// One on a free port.
    pub fn start() -> Registry {
        Registry::setup().start()
    }

    pub fn setup() -> RegistrySetup {
        RegistrySetup { port: None, compatibility: "BACKWARD", folder: None }
    }

    /// `http://127.0.0.1:PORT`, without a slash at its end.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Registers a JSON Schema under a subject; its id.
    pub fn register(&self, subject: &str, schema: &Value) -> i32 {
        let body = json!({"schemaType": "JSON", "schema": schema.to_string()});
        let answer = self.ask("POST", &format!("/subjects/{subject}/versions"), &body);
        answer["id"].as_i64().and_then(|id| i32::try_from(id).ok()).expect("an id")
    }

    /// `NONE` lets a subject take a version that breaks with the one before.
    pub fn set_compatibility(&self, subject: &str, level: &str) {
        self.ask("PUT", &format!("/config/{subject}"), &json!({"compatibility": level}));
    }

    /// One request that is to be answered with 200; its answer.
    pub fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        match http::request(self.port, method, path, &body) {
            Ok((200, answer)) => serde_json::from_str(&answer).expect("an answer in JSON"),
            other => panic!("{method} {path}: {other:?}"),
        }
    }

    /// For a registry in a kept folder: it goes on after this process. Its process id.
    pub fn leave_running(self) -> u32 {
        self.server.leave_running()
    }
}

impl Deref for Registry {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}
