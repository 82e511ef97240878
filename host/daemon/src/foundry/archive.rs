//! What ran and what runs, by generation of the roster: modules come from the directory or, by digest, from the store.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gridwatch_core::Timestamp;
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

    /// All that a roster wants to run, of which some is `known` from an earlier one. What is refused by now is said and
    /// left out.
    pub fn all(
        &self,
        roster: &Roster,
        known: &[Arc<Deployment>],
    ) -> Result<Vec<Arc<Deployment>>, RosterLogError> {
        let known: BTreeMap<(&str, u64), &Arc<Deployment>> =
            known.iter().map(|known| ((known.name.as_str(), known.generation), known)).collect();
        let mut deployments = Vec::new();
        for (name, slot) in &roster.slots {
            for of in generations_of(slot) {
                let generation = of.number;
                if let Some(known) = known.get(&(name.as_str(), generation)) {
                    deployments.push(Arc::clone(known));
                    continue;
                }
                match self.deployment_of(name, of) {
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
            let module = shared.module(&generations_of(slot).next()?.plan.digest)?;
            let shadow = slot.shadow.as_ref().and_then(|shadow| shared.module(&shadow.plan.digest));
            Some(Label::new(name, module, shadow, shared.logs.get(name)?.clone()))
        };
        roster.slots.iter().filter_map(|(name, slot)| label(name, slot)).collect()
    }

    fn deployment_of(
        &self,
        name: &str,
        Generation { plan, number: generation, came_ms }: Generation<'_>,
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
            came_ms,
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

/// A plan of a roster, the generation that brought it, and (ms since 1970) when its build came.
#[derive(Clone, Copy)]
struct Generation<'a> {
    plan: &'a Plan,
    number: u64,
    came_ms: Option<Timestamp>,
}

/// What is to run under a name, heard or not.
fn generations_of(slot: &Slot) -> impl Iterator<Item = Generation<'_>> {
    let came_ms = slot.came.map(|came| came.at_ms);
    let live = slot.plan.as_ref().map(|plan| Generation { plan, number: slot.generation, came_ms });
    let shadow = slot.shadow.as_ref().map(|shadow| Generation {
        plan: &shadow.plan,
        number: shadow.generation,
        came_ms: None,
    });
    live.into_iter().chain(shadow)
}

/// What the roster names so, if it does.
fn named<'a>(roster: &'a Roster, detector: &str, generation: u64) -> Option<Generation<'a>> {
    generations_of(roster.slots.get(detector)?).find(|of| of.number == generation)
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
        let mut roster = self.rosters.of_generation(generation).map_err(failed)?;
        if roster.is_none() {
            // What was brought long ago and runs is in the latest, too.
            roster = Some(self.rosters.latest().map_err(failed)?);
        }
        let Some(of) = roster.as_ref().and_then(|roster| named(roster, detector, generation)) else {
            let what =
                format!("the roster of generation {generation} is not kept any more, or says nothing of it");
            return Err(GoneDeployment::Unknown { what });
        };
        self.deployment_of(detector, of).map_err(|unavailable| match unavailable {
            Unavailable::Log(error) => failed(error),
            Unavailable::Refused(what) => GoneDeployment::Refused { what },
        })
    }
}
