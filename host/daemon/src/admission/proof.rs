//! What a module is found to be on made-up readings: found once, and kept beside its code.

use std::sync::{Arc, Mutex, OnceLock};

use gridwatch_core::digest;
use gridwatch_core::judge::{GuestLog, Limits, LogLevel, Module};
use gridwatch_engine::foundry::{self, Budget, Candidate, Evidence, Proof};
use gridwatch_sandbox::{LoadedModule, Sandbox, SandboxSettings};

use super::{Refused, lock};

/// Enough sensors and ticks for groups, silence and state to matter, few enough for a tenth of a second.
const SENSORS: u32 = 240;
const STRETCHES: usize = 12;
const SEED: u64 = 20_260_101;

/// Tries modules; what it needs for that goes with it.
#[derive(Default)]
pub struct Examiner {
    /// Counts instructions. Made for the first module that is not known yet.
    metered: OnceLock<Option<Sandbox>>,
}

impl Examiner {
    /// What is known of the module under these parameters and limits, or is found out now. `bytes` are the
    /// module's. Refusals are not kept: a module that was too slow on a busy machine gets another try.
    pub fn proof(
        &self,
        sandbox: &Sandbox,
        module: &LoadedModule,
        bytes: &[u8],
        parameters: &str,
        limits: Limits,
    ) -> Result<Proof, Refused> {
        let key = key(module.digest(), parameters, &limits);
        let known = sandbox.recall(&key).and_then(|note| serde_json::from_slice(&note).ok());
        if let Some(proof) = known {
            return Ok(proof);
        }
        let words = Arc::new(LastWords::default());
        let candidate = |module| Candidate { module, parameters, limits, log: words.clone() };
        let metered = self.metered().and_then(|sandbox| sandbox.load(bytes).ok());
        let evidence = Evidence::synthetic(SEED, SENSORS, STRETCHES, &[]);
        let metered = metered.as_ref().map(|module| candidate(module as &dyn Module));
        let proof =
            foundry::prove(&candidate(module), metered.as_ref(), &evidence, &Budget::default()).map_err(
                |unproven| Refused { label: unproven.label(), reason: words.after(&unproven.to_string()) },
            )?;
        if let Ok(note) = serde_json::to_vec(&proof) {
            sandbox.remember(&key, &note);
        }
        Ok(proof)
    }

    fn metered(&self) -> Option<&Sandbox> {
        let settings = || SandboxSettings { is_metered: true, ..SandboxSettings::default() };
        self.metered.get_or_init(|| Sandbox::new(settings()).ok()).as_ref()
    }
}

/// All that a proof depends on. What the sandbox makes of bytes is part of where it keeps notes.
fn key(digest: &str, parameters: &str, limits: &Limits) -> String {
    let parts = [digest, parameters, &format!("{limits:?}")].join("\n");
    let host = env!("CARGO_PKG_VERSION");
    let evidence = format!("{SEED} {SENSORS} {STRETCHES} {:?}", Budget::default());
    let digits = digest::sha256(parts.as_bytes());
    format!("proof {} {host} {evidence} {digits}", foundry::VERSION)
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
