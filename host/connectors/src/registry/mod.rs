//! Schema registries that speak Confluent's protocol (Confluent's own, Apicurio below
//! `/apis/ccompat/v7`, and others): schemas of records by id, schemas of gridwatch's own messages under
//! a subject.
//!
//! `Registry` is for commands: it blocks, and tries a few times. `SchemaCache` is for feeds and lanes: it
//! never blocks, asks from a thread of its own, and goes on asking until the registry has answered.
//! `GatedIntake` stands between them: it holds a lane back where it names an id that nothing is known of.

mod cache;
mod client;
mod compiled;
mod definition;
mod error;
mod gate;
mod questions;
mod shelf;
mod wire;

#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

pub use cache::{Answer, CacheSettings, RegistryStatus, SchemaCache};
pub use client::{Compatibility, Registered, Registry};
pub use compiled::Compiled;
pub use definition::Definition;
pub use error::RegistryError;
pub use gate::GatedIntake;
pub use wire::check_url;

/// Where the registry is, and how to ask it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `http` or `https`, with a path where the registry lies below one; without user and password.
    pub url: String,
    pub credentials: Option<Credentials>,
    /// For one request, from connecting to the last byte.
    pub timeout: Duration,
}

/// Said with every request. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    Basic { user: String, password: String },
    Token(String),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Credentials::Basic { user, .. } => write!(formatter, "Basic({user}, …)"),
            Credentials::Token(_) => formatter.write_str("Token(…)"),
        }
    }
}
