//! Compiled and proven bytes, of which instances are made.

use std::sync::Arc;

use gridwatch_core::finding::Descriptor;
use gridwatch_core::judge::{Fault, GuestLog, Judge, Limits, Module};
use serde::{Deserialize, Serialize};

use crate::anatomy::Form;
use crate::contract::DetectorModulePre;
use crate::instance::{Inside, Instance};
use crate::lines::Lines;

/// What is known of a module once it has been looked at. Kept in the code cache beside the code, so
/// that a warm start reads and runs nothing of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// `sha256:` and 64 hexadecimal digits, of the file as it was dropped.
    pub digest: String,
    pub form: Form,
    /// The contract's version: `0.1.0`.
    pub contract: String,
    pub imports: Vec<String>,
    pub exports: Vec<String>,
    /// Of the file as it was dropped.
    pub bytes: u64,
    pub descriptor: Descriptor,
}

/// A module that was admitted by [`crate::Sandbox::load`].
pub struct LoadedModule {
    pre: DetectorModulePre<Inside>,
    facts: Facts,
    lines: Option<Lines>,
}

impl LoadedModule {
    pub(crate) fn new(pre: DetectorModulePre<Inside>, facts: Facts, lines: Option<Lines>) -> LoadedModule {
        LoadedModule { pre, facts, lines }
    }

    /// Version of the contract that it was built against: `0.1.0`.
    pub fn contract_version(&self) -> &str {
        &self.facts.contract
    }

    /// As the component names them: `gridwatch:detector/log@0.1.0`.
    pub fn imports(&self) -> &[String] {
        &self.facts.imports
    }

    pub fn exports(&self) -> &[String] {
        &self.facts.exports
    }

    /// The form in which it was dropped.
    pub fn form(&self) -> Form {
        self.facts.form
    }

    /// Size of the file as it was dropped, in bytes.
    pub fn size_bytes(&self) -> u64 {
        self.facts.bytes
    }
}

impl std::fmt::Debug for LoadedModule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoadedModule").field("facts", &self.facts).finish_non_exhaustive()
    }
}

impl Module for LoadedModule {
    fn descriptor(&self) -> &Descriptor {
        &self.facts.descriptor
    }

    fn digest(&self) -> &str {
        &self.facts.digest
    }

    fn instantiate(&self, limits: Limits, log: Arc<dyn GuestLog>) -> Result<Box<dyn Judge>, Fault> {
        let instance = Instance::new(&self.pre, &self.facts.digest, limits, log, self.lines.clone())?;
        Ok(Box::new(instance.described_as(&self.facts.descriptor)))
    }
}
