//! What can go wrong between gridwatch and a registry.

use std::time::Duration;

/// `place` is the registry's base URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// Nothing was asked: the settings are wrong.
    #[error("schema registry: {what}")]
    Settings { what: String },
    #[error("schema registry {place}: cannot be reached: {what}; is it up, and is its URL right?")]
    Unreachable { place: String, what: String },
    #[error("schema registry {place}: no answer within {} ms", timeout.as_millis())]
    Slow { place: String, timeout: Duration },
    /// It answered, with an error: `code` is the protocol's, where it gave one.
    #[error("schema registry {place}: {message} (HTTP status {status})")]
    Refused { place: String, status: u16, code: Option<u32>, message: String },
    /// It answered what no registry answers; perhaps something else listens there.
    #[error("schema registry {place}: this is no registry's answer: {what}")]
    Garbage { place: String, what: String },
    #[error("schema registry {place}: {message}")]
    Absent { place: String, message: String },
    /// The schema is there, and gridwatch cannot check with it.
    #[error("{what}")]
    Unusable { what: String },
}

impl RegistryError {
    /// Whether the same question may be answered in a while.
    pub fn is_temporary(&self) -> bool {
        match self {
            RegistryError::Unreachable { .. }
            | RegistryError::Slow { .. }
            | RegistryError::Garbage { .. } => true,
            // 408 and 429 ask for patience, all from 500 on say that the fault is the server's.
            RegistryError::Refused { status, .. } => matches!(status, 408 | 429 | 500..),
            RegistryError::Settings { .. }
            | RegistryError::Absent { .. }
            | RegistryError::Unusable { .. } => false,
        }
    }

    /// As a metric's label.
    pub fn label(&self) -> &'static str {
        match self {
            RegistryError::Settings { .. } => "settings",
            RegistryError::Unreachable { .. } => "unreachable",
            RegistryError::Slow { .. } => "slow",
            RegistryError::Refused { .. } => "refused",
            RegistryError::Garbage { .. } => "garbage",
            RegistryError::Absent { .. } => "absent",
            RegistryError::Unusable { .. } => "unusable",
        }
    }
}
