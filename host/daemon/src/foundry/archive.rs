//! What ran and what runs, by generation of the roster: modules come from the directory or, by digest, from the store.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gridwatch_core::roster::{Plan, Roster, Slot};
use gridwatch_engine::deployment::{Deployment, Deployments, GoneDeployment};
use gridwatch_engine::foundry::rosters::{RosterLogError, Rosters};
use gridwatch_sandbox::{LoadedModule, Sandbox};

use crate::admission::{Admitted, GuestLines};
use crate::wiring::Label;

/// Compiled modules that are kept at hand, beside those that run.
const MODULES_MAX: usize = 64;

pub struct Archive {
    rosters: Rosters,
    sandbox: Arc<Sandbox>,
    shared: Mutex<Shared>,
}

#[derive(Default)]
struct Shared {
    /// By digest, the latest last.
    modules: Vec<(String, Arc<LoadedModule>)>,
    /// By detector, whichever generation logs.
    logs: BTreeMap<String, Arc<GuestLines>>,
}

impl Archive {
    pub fn new(rosters: Rosters, sandbox: Arc<Sandbox>) -> Archive {
        Archive { rosters, sandbox, shared: Mutex::default() }
    }

    /// Its module need not be had from the store.
    pub fn keep(&self, name: &str, admitted: &Admitted) {
        let mut shared = self.lock();
        shared.keep(admitted.plan().digest, admitted.module.clone());
        shared.logs.entry(name.to_owned()).or_insert_with(|| admitted.log.clone());
    }

    /// All that a roster wants to run. What is refused by now is said and left out.
    pub fn all(&self, roster: &Roster) -> Result<Vec<Arc<Deployment>>, RosterLogError> {
        let mut deployments = Vec::new();
        for (name, slot) in &roster.slots {
            for (plan, generation) in plans_of(slot) {
                match self.deployment_of(name, plan, generation) {
                    Ok(deployment) => deployments.push(deployment),
                    Err(Unavailable::Log(error)) => return Err(error),
                    Err(Unavailable::Refused(what)) => {
                        tracing::error!(detector = name, generation, "cannot run here: {what}");
                    }
                }
            }
        }
        Ok(deployments)
    }

    pub fn labels(&self, roster: &Roster) -> Vec<Label> {
        let shared = self.lock();
        let label = |name: &str, slot: &Slot| {
            // What is live speaks for the name; what shadows alone, too.
            let module = shared.module(&plans_of(slot).next()?.0.digest)?;
            let shadow = slot.shadow.as_ref().and_then(|shadow| shared.module(&shadow.plan.digest));
            Some(Label::new(name, module, shadow, shared.logs.get(name)?.clone()))
        };
        roster.slots.iter().filter_map(|(name, slot)| label(name, slot)).collect()
    }

    fn deployment_of(
        &self,
        name: &str,
        plan: &Plan,
        generation: u64,
    ) -> Result<Arc<Deployment>, Unavailable> {
        let module = self.module(&plan.digest)?;
        let mut shared = self.lock();
        let log = shared.logs.entry(name.to_owned()).or_insert_with(|| Arc::new(GuestLines::new(name)));
        Ok(Arc::new(Deployment {
            name: name.to_owned(),
            module,
            parameters: plan.parameters.clone(),
            limits: plan.limits,
            on_fault: plan.on_fault,
            on_new_state: plan.on_new_state,
            faults_max: plan.faults_max as usize,
            generation,
            rollback_window: Duration::from_millis(plan.rollback_window_ms),
            mode: plan.mode,
            log: log.clone(),
        }))
    }

    fn module(&self, digest: &str) -> Result<Arc<LoadedModule>, Unavailable> {
        if let Some(module) = self.lock().module(digest) {
            return Ok(module);
        }
        let bytes = self.rosters.module(digest).map_err(Unavailable::Log)?;
        let module =
            self.sandbox.load(&bytes).map_err(|refusal| Unavailable::Refused(refusal.to_string()))?;
        let module = Arc::new(module);
        self.lock().keep(digest.to_owned(), module.clone());
        Ok(module)
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is to run under a name, heard or not, with the generations that brought it.
fn plans_of(slot: &Slot) -> impl Iterator<Item = (&Plan, u64)> {
    let live = slot.plan.as_ref().map(|plan| (plan, slot.generation));
    live.into_iter().chain(slot.shadow.as_ref().map(|shadow| (&shadow.plan, shadow.generation)))
}

enum Unavailable {
    Log(RosterLogError),
    Refused(String),
}

impl Shared {
    fn module(&self, digest: &str) -> Option<Arc<LoadedModule>> {
        self.modules.iter().find(|(of, _)| of == digest).map(|(_, module)| module.clone())
    }

    fn keep(&mut self, digest: String, module: Arc<LoadedModule>) {
        self.modules.retain(|(of, _)| *of != digest);
        if self.modules.len() >= MODULES_MAX {
            self.modules.remove(0);
        }
        self.modules.push((digest, module));
    }
}

impl Deployments for Archive {
    fn deployment(&self, detector: &str, generation: u64) -> Result<Arc<Deployment>, GoneDeployment> {
        let failed = |error: RosterLogError| match error {
            RosterLogError::Store(error) => GoneDeployment::Store { what: error.to_string() },
            error => GoneDeployment::Unknown { what: error.to_string() },
        };
        let roster = self.rosters.of_generation(generation).map_err(failed)?;
        let slot = roster.as_ref().and_then(|roster| roster.slots.get(detector));
        let named = slot.and_then(|slot| plans_of(slot).find(|(_, of)| *of == generation));
        let Some((plan, _)) = named else {
            let what =
                format!("the roster of generation {generation} is not kept any more, or says nothing of it");
            return Err(GoneDeployment::Unknown { what });
        };
        self.deployment_of(detector, plan, generation).map_err(|unavailable| match unavailable {
            Unavailable::Log(error) => failed(error),
            Unavailable::Refused(what) => GoneDeployment::Refused { what },
        })
    }
}
