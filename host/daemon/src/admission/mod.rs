//! From files to detectors: what lies in the directory, what may run, and why not what may not.
//!
//! A file that is refused never keeps another from running. Each is looked at by itself: its name, its
//! `NAME.toml`, its bytes (the sandbox), its parameters against its own schema, and whether it keeps the
//! contract on readings that it is tried on (the engine's foundry).

mod guestlog;
mod proof;
mod scan;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use gridwatch_core::judge::Module;
use gridwatch_core::roster::{Mode, Plan};
use gridwatch_engine::deployment::Deployment;
use gridwatch_engine::foundry::{Budget, Cost, Evidence, Proof};
use gridwatch_sandbox::{LoadedModule, Sandbox, SandboxError, SandboxSettings};

use crate::config::{self, DetectorSettings, ParameterError, ParameterSchema};

use proof::{Examiner, Trial};

pub use guestlog::GuestLines;
pub use scan::{Found, is_name, one_file, scan, scan_quietly};

/// A file that would be a detector, and what became of it.
#[derive(Debug)]
pub struct Candidate {
    pub name: String,
    pub file: PathBuf,
    pub verdict: Verdict,
}

#[derive(Debug)]
pub enum Verdict {
    Admitted(Box<Admitted>),
    /// Its `NAME.toml` says `enabled = false`.
    Disabled,
    Refused(Refused),
}

/// A detector that may run.
#[derive(Debug)]
pub struct Admitted {
    pub module: Arc<LoadedModule>,
    /// The module's, as they lay in the file.
    pub bytes: Vec<u8>,
    pub settings: DetectorSettings,
    /// JSON as `configure` is given it.
    pub parameters: String,
    /// What it was found to be.
    pub proof: Proof,
    pub log: Arc<GuestLines>,
}

/// Why not: a word for tables, a sentence for people.
#[derive(Debug, Clone, PartialEq)]
pub struct Refused {
    pub label: &'static str,
    pub reason: String,
    /// Where it came so far that a reading's cost was seen.
    pub cost: Option<Cost>,
}

impl Admitted {
    /// As the roster has it.
    pub fn plan(&self) -> Plan {
        Plan {
            digest: self.module.digest().to_owned(),
            parameters: self.parameters.clone(),
            limits: self.settings.limits,
            on_fault: self.settings.on_fault,
            on_new_state: self.settings.on_new_state,
            mode: self.settings.mode,
            rollback_window_ms: self.settings.rollback_window.as_millis() as u64,
            faults_max: self.settings.faults_max,
        }
    }
}

impl Candidate {
    pub fn admitted(&self) -> Option<&Admitted> {
        match &self.verdict {
            Verdict::Admitted(admitted) => Some(admitted),
            _ => None,
        }
    }

    pub fn refused(&self) -> Option<&Refused> {
        match &self.verdict {
            Verdict::Refused(refused) => Some(refused),
            _ => None,
        }
    }

    /// As the engine runs it; `None` if it may not run.
    pub fn deployment(&self) -> Option<Arc<Deployment>> {
        let admitted = self.admitted()?;
        Some(Arc::new(Deployment {
            name: self.name.clone(),
            module: admitted.module.clone(),
            parameters: admitted.parameters.clone(),
            limits: admitted.settings.limits,
            on_fault: admitted.settings.on_fault,
            on_new_state: admitted.settings.on_new_state,
            faults_max: admitted.settings.faults_max as usize,
            generation: 0,
            came_ms: None,
            rollback_window: Duration::ZERO,
            // Without a roster there is nobody to shadow.
            mode: Mode::Live,
            log: admitted.log.clone(),
        }))
    }
}

/// A sandbox that keeps compiled code; where it cannot, one without a cache, which is slower and nothing else.
pub fn sandbox() -> Result<Sandbox, SandboxError> {
    let settings = SandboxSettings { cache_dir: code_cache_dir(), ..SandboxSettings::default() };
    Sandbox::new(settings).or_else(|error| {
        tracing::warn!(%error, "compiled code is not kept");
        Sandbox::new(SandboxSettings::default())
    })
}

/// The user's own, or what `GRIDWATCH_CODE_CACHE` names. No configuration file can name it: what lies there
/// runs as native code, so a folder that came along with a configuration must never be it.
fn code_cache_dir() -> Option<PathBuf> {
    let from =
        |variable: &str| std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
    from("GRIDWATCH_CODE_CACHE")
        .or_else(|| from("XDG_CACHE_HOME").map(|cache| cache.join("gridwatch/code")))
        .or_else(|| from("HOME").map(|home| home.join(".cache/gridwatch/code")))
}

/// Looks at every file, several at a time: a start should not wait for one detector after the other.
pub fn admit(sandbox: &Sandbox, found: Vec<Found>) -> Vec<Candidate> {
    let next = AtomicUsize::new(0);
    let round = Round::default();
    let candidates = Mutex::new(Vec::with_capacity(found.len()));
    std::thread::scope(|scope| {
        for _ in 0..threads().min(found.len()) {
            scope.spawn(|| {
                while let Some(found) = found.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let candidate = round.admit(sandbox, found);
                    lock(&candidates).push(candidate);
                }
            });
        }
    });
    let mut candidates = candidates.into_inner().unwrap_or_else(PoisonError::into_inner);
    candidates.sort_by(|a, b| a.name.cmp(&b.name));
    candidates
}

/// So many files are looked at at a time.
pub fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Files that come together are tried on the same readings, those with the same module and settings once.
#[derive(Default)]
pub struct Round {
    examiner: Examiner,
    recent: Vec<Evidence>,
}

impl Round {
    /// `recent` are readings of lanes that run, on which they are tried, too.
    pub fn of(recent: Vec<Evidence>) -> Round {
        Round { examiner: Examiner::default(), recent }
    }

    pub fn admit(&self, sandbox: &Sandbox, found: &Found) -> Candidate {
        let verdict = match judge(sandbox, &self.examiner, found, &self.recent) {
            Ok(Some(admitted)) => Verdict::Admitted(Box::new(admitted)),
            Ok(None) => Verdict::Disabled,
            Err(refused) => Verdict::Refused(refused),
        };
        Candidate { name: found.name.clone(), file: found.file.clone(), verdict }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `None` where it is switched off; then its module is not even looked at.
fn judge(
    sandbox: &Sandbox,
    examiner: &Examiner,
    found: &Found,
    recent: &[Evidence],
) -> Result<Option<Admitted>, Refused> {
    scan::check_name(&found.name).map_err(refused("name"))?;
    scan::check_place(&found.file).map_err(refused("link"))?;
    scan::check_place(&found.settings_file()).map_err(refused("link"))?;
    let settings = settings(&found.settings_file())?;
    if !settings.enabled {
        return Ok(None);
    }
    let bytes = scan::bytes_of(&found.file).map_err(refused("unreadable"))?;
    let module = sandbox.load(&bytes).map_err(|refusal| examiner.refusal(refusal, &bytes))?;
    let parameters = ParameterSchema::parse(&module.descriptor().parameters)
        .and_then(|schema| schema.check(&settings.parameters))
        .map_err(|error| Refused {
            label: match error {
                ParameterError::Schema { .. } => "schema",
                ParameterError::Parameters { .. } => "parameters",
            },
            reason: error.to_string(),
            cost: None,
        })?;
    let budget = settings.cost_ns_per_reading_max.map_or_else(Budget::default, Budget::of_ns);
    let trial = Trial::of(&module, &bytes, (&parameters, settings.limits, budget));
    let mut proof = examiner.proof(sandbox, &trial)?;
    for evidence in recent {
        let again = examiner.proof_of(&trial, evidence)?;
        // Whoever wants none of what is made up was not seen at work before.
        if proof.quantities.is_empty() {
            proof = again;
        }
    }
    let log = Arc::new(GuestLines::new(&found.name));
    Ok(Some(Admitted { module: Arc::new(module), bytes, settings, parameters, proof, log }))
}

fn refused(label: &'static str) -> impl Fn(String) -> Refused {
    move |reason| Refused { label, reason, cost: None }
}

fn settings(file: &Path) -> Result<DetectorSettings, Refused> {
    if !file.exists() {
        return Ok(DetectorSettings::default());
    }
    config::text_of(file).and_then(|text| config::read_settings(file, &text)).map_err(|mistakes| Refused {
        label: "settings",
        reason: mistakes.to_string(),
        cost: None,
    })
}
