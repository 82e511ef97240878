//! What a module is found to be on made-up readings: found once, and kept beside its code.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};

use gridwatch_core::digest;
use gridwatch_core::judge::{Fault, GuestLog, Limits, LogLevel, Module as _};
use gridwatch_engine::foundry::{self, Budget, Candidate, Evidence, Proof, Unproven, Why};
use gridwatch_sandbox::{LoadedModule, Refusal, Sandbox, SandboxSettings};

use super::{Refused, lock};

/// Enough sensors and ticks for groups, silence and state to matter, few enough for a tenth of a second.
const SENSORS: u32 = 240;
const STRETCHES: usize = 12;
const SEED: u64 = 20_260_101;

/// Tries modules; what it needs for that goes with it.
#[derive(Default)]
pub struct Examiner {
    /// Counts instructions, and tells lines of the source. Made for the first module that is not known yet.
    metered: OnceLock<Option<Sandbox>>,
    /// By what was tried on what.
    tried: Mutex<BTreeMap<String, Result<Proof, Refused>>>,
}

impl Examiner {
    /// What is known of the module under these parameters, limits and budget, or is found out now. Refusals are not
    /// kept: a module that was too slow on a busy machine gets another try.
    pub fn proof(&self, sandbox: &Sandbox, trial: &Trial<'_>) -> Result<Proof, Refused> {
        let key = trial.key();
        let known = sandbox.recall(&key).and_then(|note| serde_json::from_slice(&note).ok());
        if let Some(proof) = known {
            return Ok(proof);
        }
        let evidence = Evidence::synthetic(SEED, SENSORS, STRETCHES, &[]);
        let proof = self.prove(trial, &evidence)?;
        if let Ok(note) = serde_json::to_vec(&proof) {
            sandbox.remember(&key, &note);
        }
        Ok(proof)
    }

    /// On what a lane has just read. Of many files with the same module and settings one is tried.
    pub fn proof_of(&self, trial: &Trial<'_>, evidence: &Evidence) -> Result<Proof, Refused> {
        let key = format!("{} {}", trial.key(), evidence.of);
        let known = lock(&self.tried).get(&key).cloned();
        known.unwrap_or_else(|| {
            let proof = self.prove(trial, evidence);
            lock(&self.tried).insert(key, proof.clone());
            proof
        })
    }

    fn prove(&self, trial: &Trial<'_>, evidence: &Evidence) -> Result<Proof, Refused> {
        let words = Arc::new(LastWords::default());
        let metered = trial.metered.get_or_init(|| self.metered()?.load(trial.bytes).ok());
        let metered = metered.as_ref().map(|module| trial.candidate(module, words.clone()));
        let candidate = trial.candidate(trial.module, words.clone());
        let proven = foundry::prove(&candidate, metered.as_ref(), evidence, &trial.budget);
        proven.map_err(|unproven| {
            let told = metered.and_then(|metered| by_line(&unproven, &metered, evidence));
            let reason = words.after(&told.as_ref().unwrap_or(&unproven).to_string());
            Refused { label: unproven.label(), reason, cost: unproven.cost }
        })
    }

    /// A module whose `describe` fails, with the lines of its source where it has them.
    pub fn refusal(&self, refusal: Refusal, bytes: &[u8]) -> Refused {
        let told = match &refusal {
            Refusal::Describe(Fault::Trap { .. }) => {
                self.metered().and_then(|sandbox| sandbox.load(bytes).err())
            }
            _ => None,
        };
        let reason = told.filter(|told| told.label() == refusal.label()).unwrap_or(refusal);
        Refused { label: reason.label(), reason: reason.to_string(), cost: None }
    }

    fn metered(&self) -> Option<&Sandbox> {
        let settings = || SandboxSettings { is_metered: true, ..SandboxSettings::default() };
        self.metered.get_or_init(|| Sandbox::new(settings()).ok()).as_ref()
    }
}

/// A module that is tried, and as what.
pub struct Trial<'a> {
    pub module: &'a LoadedModule,
    /// The module's, as they lay in the file.
    pub bytes: &'a [u8],
    pub parameters: &'a str,
    pub limits: Limits,
    pub budget: Budget,
    /// The same module with its instructions counted: compiling it takes longer than all that is tried with it.
    metered: OnceCell<Option<LoadedModule>>,
}

impl<'a> Trial<'a> {
    pub fn of(
        module: &'a LoadedModule,
        bytes: &'a [u8],
        (parameters, limits, budget): (&'a str, Limits, Budget),
    ) -> Self {
        Trial { module, bytes, parameters, limits, budget, metered: OnceCell::new() }
    }

    fn candidate<'b>(&'b self, module: &'b LoadedModule, log: Arc<dyn GuestLog>) -> Candidate<'b> {
        Candidate { module, parameters: self.parameters, limits: self.limits, log }
    }

    /// All that a proof depends on. What the sandbox makes of bytes is part of where it keeps notes.
    fn key(&self) -> String {
        let parts = [self.module.digest(), self.parameters, &format!("{:?}", self.limits)].join("\n");
        let host = env!("CARGO_PKG_VERSION");
        let evidence = format!("{SEED} {SENSORS} {STRETCHES} {:?}", self.budget);
        let digits = digest::sha256(parts.as_bytes());
        format!("proof {} {host} {evidence} {digits}", foundry::VERSION)
    }
}

/// The same trap once more, where it can be told by the lines of the source.
fn by_line(unproven: &Unproven, metered: &Candidate<'_>, evidence: &Evidence) -> Option<Unproven> {
    let is_trap = |why: &Why| matches!(why, Why::Fault { fault: Fault::Trap { .. }, .. });
    if !is_trap(&unproven.why) {
        return None;
    }
    let again = foundry::prove(metered, None, evidence, &Budget::default()).err()?;
    is_trap(&again.why).then_some(Unproven { cost: unproven.cost, ..again })
}

/// The last error that the module logged: a panic says there where it happened.
#[derive(Default)]
struct LastWords(Mutex<Option<String>>);

impl LastWords {
    fn after(&self, reason: &str) -> String {
        let words = lock(&self.0);
        words.as_ref().map_or(reason.to_owned(), |words| format!("{reason}\nits last words: {words}"))
    }
}

impl GuestLog for LastWords {
    fn line(&self, level: LogLevel, message: &str) {
        if level == LogLevel::Error {
            *lock(&self.0) = Some(message.to_owned());
        }
    }

    fn dropped(&self, _: u64) {}
}
