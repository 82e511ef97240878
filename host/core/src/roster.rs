//! What should run: one small value that all processes follow, replaced as a whole.
//!
//! A roster is never changed, only followed by the next generation: whoever wants something else proposes
//! generation n + 1, and of two who do so at once one is first and the other looks again.

mod proposal;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::digest;
use crate::judge::Limits;

pub use proposal::{Proposal, Removal, Unmoved, Which};

/// What a detector's findings become.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    #[default]
    Live,
    /// Judges all that the live one judges; its findings are counted and not published.
    Shadow,
}

/// What a fault does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFault {
    /// The detector judges no more on the lane; all else goes on.
    #[default]
    Quarantine,
    /// The process stops.
    Halt,
}

/// What to do when a module refuses the state that the one before it left.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnNewState {
    /// The one before it goes on.
    #[default]
    Refuse,
    /// It begins with nothing.
    Cold,
}

/// A module and all that decides what it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Of the module's file: `sha256:` and 64 hexadecimal digits.
    pub digest: String,
    /// JSON, checked against the module's schema.
    pub parameters: String,
    pub limits: Limits,
    pub on_fault: OnFault,
    pub on_new_state: OnNewState,
    pub mode: Mode,
    /// So long after it came, the one before it stays warm.
    pub rollback_window_ms: u64,
    /// With more faults than this within ten minutes of event time it is quarantined.
    #[serde(default = "faults_max_usual", skip_serializing_if = "is_usual")]
    pub faults_max: u32,
}

/// Unless a detector's settings say otherwise. Not in the first rosters.
pub const FAULTS_MAX_USUAL: u32 = 5;

fn faults_max_usual() -> u32 {
    FAULTS_MAX_USUAL
}

fn is_usual(faults_max: &u32) -> bool {
    *faults_max == FAULTS_MAX_USUAL
}

impl Plan {
    /// Module, parameters and limits in one: what failed once fails again only as long as this is the same.
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.digest, &self.parameters, self.limits)
    }
}

/// 16 hexadecimal digits that stand for a module's bytes, its parameters and its limits.
pub fn fingerprint(digest: &str, parameters: &str, limits: Limits) -> String {
    let limits = format!("{limits:?}");
    digest::short([digest, parameters, &limits].join("\n").as_bytes())
}

/// A detector's place in the roster. It stays when the detector goes, so that nobody goes back a generation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// None: it is not to run.
    pub plan: Option<Plan>,
    /// What ran before, to go back to; where nothing is to run, what ran last.
    pub previous: Option<Plan>,
    /// The generation that brought `plan`.
    pub generation: u64,
    /// `Plan::fingerprint` of what was rolled back. It is not taken again before something else was.
    pub rejected: Option<Rejected>,
    /// What judges beside it, or alone, and is not heard. Not in the first rosters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<Shadow>,
    /// What `plan` was gone back from, to go forward to where a lane cannot go back. Not in the first rosters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retracted: Option<Plan>,
    /// When the build of `plan` came, or that the last one went. Not in the first rosters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub came: Option<Came>,
    /// It is switched off, not taken out. Not in the first rosters.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_off: bool,
}

/// How a build came to run, or nothing. Other settings of the same build, and its release, change nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Came {
    /// Wall time, ms since 1970.
    pub at_ms: Timestamp,
    /// It brought the build.
    pub generation: u64,
    /// What was there under the name by then. None: the build was the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
}

/// A plan that shadows, and the generation that brought it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shadow {
    pub plan: Plan,
    pub generation: u64,
}

/// What was tried and taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejected {
    pub fingerprint: String,
    pub reason: String,
}

/// Slots. Those of detectors that are gone make room for new ones, the oldest first.
const DETECTORS_MAX: usize = 1024;

/// A generation of what should run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roster {
    pub generation: u64,
    pub slots: BTreeMap<String, Slot>,
}

impl Roster {
    /// What is to run, by name.
    pub fn plans(&self) -> impl Iterator<Item = (&str, &Plan)> {
        self.slots.iter().filter_map(|(name, slot)| Some((name.as_str(), slot.plan.as_ref()?)))
    }

    /// What is to judge without being heard, by name.
    pub fn shadows(&self) -> impl Iterator<Item = (&str, &Shadow)> {
        self.slots.iter().filter_map(|(name, slot)| Some((name.as_str(), slot.shadow.as_ref()?)))
    }

    /// The generation that follows if the proposal is taken. `now_ms`: wall time, ms since 1970.
    pub fn follow(&self, proposal: Proposal, now_ms: Timestamp) -> Result<Roster, Unmoved> {
        let generation = self.generation + 1;
        let at = At { generation, now_ms };
        let (name, slot) = match proposal {
            Proposal::Deploy { name, plan } => self.deploy(name, plan, at)?,
            Proposal::SetMode { name, mode } => self.set_mode(name, mode, at)?,
            Proposal::Remove { name, why } => self.remove(name, why, at)?,
            Proposal::RollBack { name, which, reason } => self.roll_back(name, &which, reason, at)?,
            Proposal::GoForward { name, fingerprint, reason } => {
                self.go_forward(name, &fingerprint, reason, at)?
            }
            Proposal::Release { name } => self.release(name, generation)?,
        };
        let mut slots = self.slots.clone();
        if !slots.contains_key(&name) && slots.len() >= DETECTORS_MAX {
            let gone = slots.iter().filter(|(_, slot)| !slot.is_taken());
            let Some((oldest, _)) = gone.min_by_key(|(_, slot)| slot.generation) else {
                return Err(Unmoved::Full { name });
            };
            let oldest = oldest.clone();
            slots.remove(&oldest);
        }
        slots.insert(name, slot);
        Ok(Roster { generation, slots })
    }

    fn deploy(&self, name: String, plan: Plan, at: At) -> Result<(String, Slot), Unmoved> {
        let slot = self.slots.get(&name).cloned().unwrap_or_default();
        if slot.holds(&plan) {
            return Err(Unmoved::Same { name });
        }
        let fingerprint = plan.fingerprint();
        match slot.rejected {
            Some(Rejected { fingerprint: rejected, reason }) if rejected == fingerprint => {
                Err(Unmoved::RolledBack { name, reason })
            }
            _ if plan.mode == Mode::Live => Ok((name, slot.succeeded_by(plan, at))),
            _ if slot.plan.as_ref().is_some_and(|live| live.fingerprint() == fingerprint) => {
                Err(Unmoved::RunsLive { name })
            }
            _ => Ok((name, slot.shadowed_by(plan, at.generation))),
        }
    }

    fn remove(&self, name: String, why: Removal, at: At) -> Result<(String, Slot), Unmoved> {
        let slot = match self.slots.get(&name) {
            None => return Err(self.unknown(name)),
            Some(slot) if slot.is_taken() => slot.clone(),
            // What was off is gone.
            Some(slot) if slot.is_off && why == Removal::Gone => slot.clone(),
            Some(_) => return Err(Unmoved::Same { name }),
        };
        let is_off = why == Removal::Off;
        let (previous, rejected) = match why {
            Removal::Failed { fingerprint, reason } => {
                if slot.plan.as_ref().is_none_or(|plan| plan.fingerprint() != fingerprint) {
                    return Err(Unmoved::Overtaken { name });
                }
                (slot.previous, Some(Rejected { fingerprint, reason }))
            }
            // What was rolled back stays so, whatever becomes of its file in between.
            Removal::Gone | Removal::Off => {
                let shadow = slot.shadow.map(|shadow| shadow.plan);
                (slot.plan.or(slot.previous).or(shadow), slot.rejected)
            }
        };
        let came = Some(at.came(None));
        Ok((name, Slot { previous, generation: at.generation, rejected, came, is_off, ..Slot::default() }))
    }

    fn release(&self, name: String, generation: u64) -> Result<(String, Slot), Unmoved> {
        match self.slots.get(&name) {
            Some(slot) if slot.plan.is_some() => Ok((name, Slot { generation, ..slot.clone() })),
            Some(_) => Err(Unmoved::NotLive { name }),
            None => Err(self.unknown(name)),
        }
    }

    fn roll_back(
        &self,
        name: String,
        which: &Which,
        reason: String,
        at: At,
    ) -> Result<(String, Slot), Unmoved> {
        let Some(slot) = self.slots.get(&name).cloned() else { return Err(self.unknown(name)) };
        let shadow = slot.shadow.as_ref().map(|shadow| shadow.plan.fingerprint());
        let is_meant = |fingerprint: &String| match which {
            Which::Last | Which::Shadow => true,
            Which::Live => false,
            Which::Build(of) => of == fingerprint,
        };
        if let Some(fingerprint) = shadow.filter(is_meant) {
            let rejected = Some(Rejected { fingerprint, reason });
            return Ok((name, Slot { shadow: None, rejected, ..slot }));
        }
        let live = slot.plan.as_ref().map(Plan::fingerprint);
        match (which, live) {
            (Which::Shadow, _) => Err(Unmoved::NoShadow { name }),
            (Which::Build(of), live) if live.as_ref() != Some(of) => Err(Unmoved::Overtaken { name }),
            // What is off, or silent, by hand is not brought back but switched on.
            (_, None) if slot.is_off || slot.shadow.is_some() => Err(Unmoved::NotLive { name }),
            (_, None) if slot.previous.is_none() => Err(Unmoved::Stopped { name }),
            (_, None) => Ok((name, slot.brought_back(at))),
            (_, Some(current)) => slot.gone_back(name, current, reason, at),
        }
    }

    fn go_forward(
        &self,
        name: String,
        fingerprint: &str,
        reason: String,
        at: At,
    ) -> Result<(String, Slot), Unmoved> {
        let Some(slot) = self.slots.get(&name).cloned() else { return Err(self.unknown(name)) };
        if slot.plan.as_ref().is_none_or(|plan| plan.fingerprint() != fingerprint) {
            return Err(Unmoved::Overtaken { name });
        }
        let Some(plan) = slot.retracted.clone() else { return Err(Unmoved::NothingBefore { name }) };
        let rejected = Some(Rejected { fingerprint: fingerprint.to_owned(), reason });
        let came = Some(at.came(Some(slot.generation)));
        let generation = at.generation;
        let slot =
            Slot { plan: Some(plan), previous: None, retracted: None, generation, rejected, came, ..slot };
        Ok((name, slot))
    }

    fn set_mode(&self, name: String, mode: Mode, at: At) -> Result<(String, Slot), Unmoved> {
        let Some(slot) = self.slots.get(&name).cloned() else { return Err(self.unknown(name)) };
        let shadow = slot.shadow.as_ref().map(|shadow| shadow.plan.clone());
        match (mode, &slot.plan, shadow) {
            (Mode::Live, Some(_), None) | (Mode::Shadow, _, Some(_)) => Err(Unmoved::Same { name }),
            (Mode::Live, _, Some(plan)) => Ok((name, slot.succeeded_by(plan, at))),
            (_, None, None) if slot.previous.is_none() => Err(Unmoved::Stopped { name }),
            (Mode::Live, None, None) => Ok((name, slot.brought_back(at))),
            (Mode::Shadow, plan, None) => {
                let Some(plan) = plan.clone().or_else(|| slot.previous.clone()) else {
                    return Err(Unmoved::Stopped { name });
                };
                let generation = at.generation;
                let alone = Slot { plan: None, retracted: None, is_off: false, generation, ..slot };
                Ok((name, alone.shadowed_by(plan, generation)))
            }
        }
    }

    fn unknown(&self, name: String) -> Unmoved {
        Unmoved::Unknown { name, names: self.plans().map(|(name, _)| name.to_owned()).collect() }
    }
}

/// The generation that is being made, and when.
#[derive(Clone, Copy)]
struct At {
    generation: u64,
    now_ms: Timestamp,
}

impl At {
    fn came(self, before: Option<u64>) -> Came {
        Came { at_ms: self.now_ms, generation: self.generation, before }
    }
}

impl Slot {
    /// Something judges under the name, heard or not.
    pub fn is_taken(&self) -> bool {
        self.plan.is_some() || self.shadow.is_some()
    }

    /// It runs already, as its mode says.
    pub fn holds(&self, plan: &Plan) -> bool {
        let shadow = self.shadow.as_ref().map(|shadow| &shadow.plan);
        self.plan.as_ref() == Some(plan) || shadow == Some(plan)
    }

    /// The build that runs came less than its `rollback_window` ago; or nothing runs, and the one that did went less
    /// than its own ago.
    pub fn is_in_window(&self, now_ms: Timestamp) -> bool {
        let window = self.plan.as_ref().or(self.previous.as_ref()).map_or(0, |plan| plan.rollback_window_ms);
        let window = Timestamp::try_from(window).unwrap_or(Timestamp::MAX);
        self.came.is_some_and(|came| now_ms < came.at_ms.saturating_add(window))
    }

    /// Nothing is to run, and what the name knew is kept for when something does.
    pub fn is_dormant(&self, now_ms: Timestamp) -> bool {
        !self.is_taken() && (self.is_off || self.is_in_window(now_ms))
    }

    /// Generations that lanes may still name.
    pub fn generations(&self) -> impl Iterator<Item = u64> {
        let shadow = self.shadow.as_ref().map(|shadow| shadow.generation);
        let came = self.came.into_iter().flat_map(|came| [Some(came.generation), came.before]);
        [Some(self.generation), shadow].into_iter().chain(came).flatten()
    }

    /// What is to become of the name where some lane cannot run `plan`. It goes back, or forward if it is a roll-back
    /// that the lane cannot run; and only what was the first of its name is taken out. None: each lane goes on with
    /// what it runs.
    pub fn way_out(&self, name: &str, reason: &str) -> Option<Proposal> {
        let (name, reason) = (name.to_owned(), reason.to_owned());
        let fingerprint = self.plan.as_ref()?.fingerprint();
        let before = self.came.map(|came| came.before);
        // Rosters that are older than that know of nobody who came after nobody.
        let is_successor = before.is_none_or(|before| before.is_some());
        if self.previous.is_some() && is_successor {
            return Some(Proposal::RollBack { name, which: Which::Build(fingerprint), reason });
        }
        if self.retracted.is_some() {
            return Some(Proposal::GoForward { name, fingerprint, reason });
        }
        let is_first =
            self.came.is_some_and(|came| came.generation == self.generation && came.before.is_none());
        is_first.then_some(Proposal::Remove { name, why: Removal::Failed { fingerprint, reason } })
    }

    /// The plan is live from here on, and what was there to go back to stays so.
    fn succeeded_by(self, plan: Plan, at: At) -> Slot {
        let plan = Plan { mode: Mode::Live, ..plan };
        let fingerprint = plan.fingerprint();
        let is_same = |other: &Plan| other.fingerprint() == fingerprint;
        let came = match &self.plan {
            Some(before) if is_same(before) => self.came,
            Some(_) => Some(at.came(Some(self.generation))),
            None => Some(at.came(self.shadow.as_ref().map(|shadow| shadow.generation))),
        };
        let previous = [self.plan, self.previous].into_iter().flatten().find(|before| !is_same(before));
        Slot { plan: Some(plan), previous, generation: at.generation, came, ..Slot::default() }
    }

    fn shadowed_by(self, plan: Plan, generation: u64) -> Slot {
        let plan = Plan { mode: Mode::Shadow, ..plan };
        Slot { shadow: Some(Shadow { plan, generation }), is_off: false, ..self }
    }

    /// What ran last runs again where nothing does.
    fn brought_back(self, at: At) -> Slot {
        let plan = self.previous.map(|plan| Plan { mode: Mode::Live, ..plan });
        let came = Some(at.came(Some(self.generation)));
        Slot { plan, generation: at.generation, rejected: self.rejected, came, ..Slot::default() }
    }

    /// Going back once more would go forward again.
    fn gone_back(
        self,
        name: String,
        current: String,
        reason: String,
        at: At,
    ) -> Result<(String, Slot), Unmoved> {
        let Some(previous) = self.previous else {
            return Err(match self.rejected {
                Some(rejected) if self.came.is_none_or(|came| came.before.is_some()) => {
                    Unmoved::WentBack { name, reason: rejected.reason }
                }
                _ => Unmoved::NothingBefore { name },
            });
        };
        let slot = Slot {
            plan: Some(Plan { mode: Mode::Live, ..previous }),
            previous: None,
            generation: at.generation,
            rejected: Some(Rejected { fingerprint: current, reason }),
            shadow: self.shadow,
            retracted: self.plan,
            came: Some(at.came(Some(self.generation))),
            is_off: false,
        };
        Ok((name, slot))
    }
}

const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Versioned {
    version: u32,
    #[serde(flatten)]
    roster: Roster,
}

/// Bytes that are no roster of a version known here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RosterError {
    #[error("is of version {version}; this gridwatch reads version {VERSION}: use a newer one")]
    Version { version: u64 },
    #[error(
        "is no roster ({what}): bring it back as it was, or remove it and restart all processes, which begin with the one before it"
    )]
    Body { what: String },
}

/// JSON, so that a person can read what runs.
pub fn encode(roster: &Roster) -> Result<Vec<u8>, RosterError> {
    let versioned = Versioned { version: VERSION, roster: roster.clone() };
    serde_json::to_vec_pretty(&versioned).map_err(|error| RosterError::Body { what: error.to_string() })
}

pub fn decode(bytes: &[u8]) -> Result<Roster, RosterError> {
    let failed = |error: serde_json::Error| RosterError::Body { what: error.to_string() };
    let value: serde_json::Value = serde_json::from_slice(bytes).map_err(failed)?;
    match value.get("version").and_then(serde_json::Value::as_u64) {
        Some(version) if version == u64::from(VERSION) => {
            let versioned: Versioned = serde_json::from_value(value).map_err(failed)?;
            Ok(versioned.roster)
        }
        Some(version) => Err(RosterError::Version { version }),
        None => Err(RosterError::Body { what: "it has no version".into() }),
    }
}

#[cfg(test)]
mod tests;
