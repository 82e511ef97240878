//! One wasmtime engine, and the way from bytes to a module.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;

use gridwatch_core::digest;
use gridwatch_core::judge::{GuestLog, Limits, LogLevel};
use wasmtime::component::{Component, Linker};
use wasmtime::{Config, Engine, OptLevel};

use crate::anatomy::{self, Form};
use crate::cache::Cache;
use crate::contract::DetectorModulePre;
use crate::instance::{Inside, Instance};
use crate::lines::Lines;
use crate::module::{Facts, LoadedModule};
use crate::refusal::Refusal;
use crate::{canonical, descriptor, encode, guestlog, ticker, wasi};

/// Of the stack of the thread that calls a guest: Rust gives a thread 2 MiB, and the host needs some.
const STACK_BYTES_MAX: usize = 1 << 20;

#[derive(Debug, Clone)]
pub struct SandboxSettings {
    /// Where compiled code is kept, a directory of our own (made with mode 0700). `None`: every start
    /// compiles anew.
    pub cache_dir: Option<PathBuf>,
    /// Oldest files go first.
    pub cache_files_max: usize,
    /// A file's size; also what bounds the time that compiling takes.
    pub module_bytes_max: usize,
    /// Counts what guests use (`Judge::fuel_used`), tells faults by the lines of their source where a module has
    /// DWARF, and compiles quickly rather than well.
    pub is_metered: bool,
    /// Under which `describe` is called.
    pub describe_limits: Limits,
}

impl Default for SandboxSettings {
    fn default() -> Self {
        SandboxSettings {
            cache_dir: None,
            cache_files_max: 64,
            module_bytes_max: 64 << 20,
            is_metered: false,
            describe_limits: Limits { output_bytes_per_call_max: 4 << 20, ..Limits::default() },
        }
    }
}

/// Why there can be no sandbox.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    #[error("wasmtime cannot run on this machine: {what}")]
    Engine { what: String },
    #[error("cannot start the thread that interrupts guests: {what}")]
    Ticker { what: String },
    #[error("{}: cannot keep compiled code here: {what}", dir.display())]
    CacheDir { dir: PathBuf, what: String },
}

/// The engine that all modules and instances of a process share. Dropping it does not end them.
pub struct Sandbox {
    engine: Engine,
    linker: Linker<Inside>,
    cache: Option<Cache>,
    settings: SandboxSettings,
}

impl Sandbox {
    /// Starts one thread, which ends with the last of the sandbox, its modules and their instances.
    pub fn new(settings: SandboxSettings) -> Result<Sandbox, SandboxError> {
        let engine = Engine::new(&config(settings.is_metered))
            .map_err(|e| SandboxError::Engine { what: format!("{e:#}") })?;
        let mut linker = Linker::new(&engine);
        guestlog::link(&mut linker)
            .and_then(|()| wasi::link_adapter(&mut linker))
            .map_err(|e| SandboxError::Engine { what: format!("{e:#}") })?;
        let cache = match &settings.cache_dir {
            None => None,
            Some(dir) => Some(
                Cache::open(dir, &engine, settings.cache_files_max)
                    .map_err(|what| SandboxError::CacheDir { dir: dir.clone(), what })?,
            ),
        };
        ticker::start(&engine).map_err(|e| SandboxError::Ticker { what: e.to_string() })?;
        Ok(Sandbox { engine, linker, cache, settings })
    }

    /// Takes a component, or a plain core module built against the world. Nothing is run but
    /// `describe`, and nothing is compiled before its imports and contract have been read. Compiling
    /// takes a second of CPU time or so for 400 KB, on all cores; where the code cache has it, 2 ms.
    pub fn load(&self, bytes: &[u8]) -> Result<LoadedModule, Refusal> {
        let max = self.settings.module_bytes_max;
        if bytes.len() > max {
            return Err(Refusal::TooLarge { bytes: bytes.len(), max });
        }
        let digest = digest::sha256(bytes);
        if let Some(module) = self.load_cached(&digest) {
            return Ok(module);
        }
        self.load_cold(bytes, digest)
    }

    /// What was kept of a module beside its code under `key`, which names all that it depends on.
    pub fn recall(&self, key: &str) -> Option<Vec<u8>> {
        self.cache.as_ref()?.recall(key)
    }

    /// Keeps it; where it cannot be kept, it is found out anew.
    pub fn remember(&self, key: &str, bytes: &[u8]) {
        if let Some(cache) = &self.cache {
            cache.remember(key, bytes);
        }
    }

    fn load_cached(&self, digest: &str) -> Option<LoadedModule> {
        let (component, facts) = self.cache.as_ref()?.get(&self.engine, digest)?;
        let pre = self.link(&component).ok()?;
        Some(LoadedModule::new(pre, facts, None))
    }

    fn load_cold(&self, bytes: &[u8], digest: String) -> Result<LoadedModule, Refusal> {
        let mut anatomy = anatomy::read(bytes)?;
        let form = anatomy.form;
        let encoded;
        let binary = match form {
            Form::Component => bytes,
            Form::Core => {
                anatomy::check_imports(&anatomy)?;
                encoded = encode::component(bytes, &anatomy)?;
                anatomy = anatomy::read(&encoded)?;
                // What the encoder's adapter imports, no file may.
                anatomy.imports.retain(|import| !wasi::is_adapters(import));
                &encoded
            }
        };
        let contract = anatomy::contract_version(&anatomy);
        if let Err(refusal @ Refusal::WrongContract { .. }) = contract {
            // Its imports are another version's, too: say what is the matter.
            return Err(refusal);
        }
        anatomy::check_imports(&anatomy)?;
        let contract = contract?;
        // Where cranelift sees to NaNs the code stays where its author's tools have put it.
        let lines = self.settings.is_metered.then(|| Lines::of(binary));
        let binary = match &lines {
            Some(_) => Cow::Borrowed(binary),
            None => Cow::Owned(canonical::canonical(binary)?),
        };
        let component = Component::from_binary(&self.engine, &binary).map_err(|e| invalid(&e))?;
        let pre = self.link(&component)?;
        let descriptor = self.describe(&pre, &digest, lines.clone())?;
        let facts = Facts {
            digest,
            form,
            contract,
            imports: anatomy.imports,
            exports: anatomy.exports,
            bytes: bytes.len() as u64,
            descriptor,
        };
        if let Some(cache) = &self.cache {
            cache.put(&component, &facts);
        }
        Ok(LoadedModule::new(pre, facts, lines))
    }

    fn link(&self, component: &Component) -> Result<DetectorModulePre<Inside>, Refusal> {
        // Beside what all are given, what of WASI this one asks for.
        let mut linker = self.linker.clone();
        wasi::link(&mut linker, component)
            .and_then(|()| linker.instantiate_pre(component))
            .and_then(DetectorModulePre::new)
            .map_err(|e| Refusal::Unlinkable { what: one_line(&e) })
    }

    fn describe(
        &self,
        pre: &DetectorModulePre<Inside>,
        digest: &str,
        lines: Option<Lines>,
    ) -> Result<gridwatch_core::finding::Descriptor, Refusal> {
        let mut instance =
            Instance::new(pre, digest, self.settings.describe_limits, Arc::new(Silence), lines)
                .map_err(Refusal::Describe)?;
        descriptor::check(instance.describe().map_err(Refusal::Describe)?)
    }
}

/// What a module logs before it has a name goes nowhere.
struct Silence;

impl GuestLog for Silence {
    fn line(&self, _: LogLevel, _: &str) {}
    fn dropped(&self, _: u64) {}
}

/// The configuration under which the same bytes and readings give the same findings on every machine,
/// and nothing runs on without end.
fn config(is_metered: bool) -> Config {
    let mut config = Config::new();
    config
        // Else `canonical` has seen to NaNs, where their bits are seen.
        .cranelift_nan_canonicalization(is_metered)
        .wasm_relaxed_simd(false)
        .wasm_simd(true)
        // Threads are not even compiled in: wasmtime's feature is off. 32-bit memories have 4 GiB
        // of address space reserved each (the default), so that no access needs a bounds check.
        .wasm_memory64(false)
        .concurrency_support(false)
        .epoch_interruption(true)
        .max_wasm_stack(STACK_BYTES_MAX)
        .parallel_compilation(true)
        // Traps are walked by frame pointers; nothing unwinds through guests' frames.
        .native_unwind_info(false);
    if is_metered {
        config.consume_fuel(true).cranelift_opt_level(OptLevel::None);
    }
    config
}

fn invalid(error: &wasmtime::Error) -> Refusal {
    Refusal::Invalid { at: None, what: one_line(error) }
}

fn one_line(error: &wasmtime::Error) -> String {
    format!("{error:#}").replace('\n', " ")
}
