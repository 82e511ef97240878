//! What should run: one small value that all processes follow, replaced as a whole.
//!
//! A roster is never changed, only followed by the next generation: whoever wants something else proposes
//! generation n + 1, and of two who do so at once one is first and the other looks again.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::digest;
use crate::judge::Limits;

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
    /// What ran before, to go back to.
    pub previous: Option<Plan>,
    /// The generation that brought `plan`.
    pub generation: u64,
    /// `Plan::fingerprint` of what was rolled back. It is not taken again before something else was.
    pub rejected: Option<Rejected>,
    /// What judges beside it, or alone, and is not heard. Not in the first rosters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<Shadow>,
    /// What was gone back from, should a lane be unable to run what was before. Not in the first rosters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone_back_from: Option<Plan>,
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

/// What somebody wants of the roster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proposal {
    /// This is to run under the name, as its mode says: in the place of what runs, or beside it as its shadow. What
    /// shadows already and is to be live from now on is promoted.
    Deploy { name: String, plan: Plan },
    /// Nothing is to run under the name.
    Remove { name: String },
    /// The last that came is to go: a shadow, where there is one; else what ran before is to run again.
    /// `fingerprint`: only if this is what shadows, or runs.
    RollBack { name: String, fingerprint: Option<String>, reason: String },
    /// What was gone back to cannot run everywhere: what was gone back from is to run again. `fingerprint`: of what
    /// cannot run, and does still.
    Return { name: String, fingerprint: String, reason: String },
    /// What runs is to run anew where it is quarantined, with what it knows.
    Release { name: String },
    /// What is there under the name is to be heard from now on, or not, or (None) is to stop.
    SetMode { name: String, mode: Option<Mode> },
}

impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Proposal::Deploy { name, plan } if plan.mode == Mode::Shadow => {
                write!(f, "{name} is to have {} as its shadow", plan.digest)
            }
            Proposal::Deploy { name, plan } => write!(f, "{name} is to run as {}", plan.digest),
            Proposal::Remove { name } => write!(f, "{name} is to run no more"),
            Proposal::Release { name } => write!(f, "{name} is to judge again where it is quarantined"),
            Proposal::RollBack { name, reason, .. } => write!(f, "{name} is to go back: {reason}"),
            Proposal::Return { name, reason, .. } => {
                write!(
                    f,
                    "{name} is to run again as what it went back from: what was before cannot run: {reason}"
                )
            }
            Proposal::SetMode { name, mode: Some(Mode::Live) } => write!(f, "{name} is to be live"),
            Proposal::SetMode { name, mode: Some(Mode::Shadow) } => write!(f, "{name} is to be a shadow"),
            Proposal::SetMode { name, mode: None } => write!(f, "{name} is to be off"),
        }
    }
}

impl Proposal {
    /// Whom it is about.
    pub fn name(&self) -> &str {
        match self {
            Proposal::Deploy { name, .. }
            | Proposal::Remove { name }
            | Proposal::RollBack { name, .. }
            | Proposal::Return { name, .. }
            | Proposal::Release { name }
            | Proposal::SetMode { name, .. } => name,
        }
    }
}

/// Why a proposal makes no generation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unmoved {
    #[error("{name}: it is so already")]
    Same { name: String },
    #[error("{name}: was rolled back ({reason}); it is refused until the file or its settings change")]
    RolledBack { name: String, reason: String },
    #[error("{name}: there is no detector of that name; there are {}", names_or_none(names))]
    Unknown { name: String, names: Vec<String> },
    #[error(
        "{name}: nothing ran before it, so there is nothing to go back to; take its file away to stop it"
    )]
    NothingBefore { name: String },
    #[error("{name}: something else runs by now")]
    Overtaken { name: String },
    #[error("{name}: nothing is live under that name")]
    NotLive { name: String },
    #[error("{name}: this is what runs live, and it goes on; another build or other parameters shadow it")]
    RunsLive { name: String },
    #[error("{name}: the roster is full: it has {SLOTS_MAX} detectors")]
    Full { name: String },
}

fn names_or_none(names: &[String]) -> String {
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

/// Slots, with those of detectors that are gone.
const SLOTS_MAX: usize = 1024;

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

    /// The generation that follows if the proposal is taken.
    pub fn follow(&self, proposal: Proposal) -> Result<Roster, Unmoved> {
        let generation = self.generation + 1;
        let (name, slot) = match proposal {
            Proposal::Deploy { name, plan } => self.deploy(name, plan, generation)?,
            Proposal::SetMode { name, mode: None } => self.remove(name, generation)?,
            Proposal::SetMode { name, mode: Some(mode) } => self.set_mode(name, mode, generation)?,
            Proposal::Remove { name } => self.remove(name, generation)?,
            Proposal::RollBack { name, fingerprint, reason } => {
                self.roll_back(name, fingerprint, reason, generation)?
            }
            Proposal::Return { name, fingerprint, reason } => {
                self.return_from(name, fingerprint, reason, generation)?
            }
            Proposal::Release { name } => self.release(name, generation)?,
        };
        let mut slots = self.slots.clone();
        slots.insert(name, slot);
        Ok(Roster { generation, slots })
    }

    fn deploy(&self, name: String, plan: Plan, generation: u64) -> Result<(String, Slot), Unmoved> {
        if !self.slots.contains_key(&name) && self.slots.len() >= SLOTS_MAX {
            return Err(Unmoved::Full { name });
        }
        let slot = self.slots.get(&name).cloned().unwrap_or_default();
        if slot.holds(&plan) {
            return Err(Unmoved::Same { name });
        }
        let fingerprint = plan.fingerprint();
        match slot.rejected {
            Some(Rejected { fingerprint: rejected, reason }) if rejected == fingerprint => {
                Err(Unmoved::RolledBack { name, reason })
            }
            _ if plan.mode == Mode::Live => Ok((name, slot.succeeded_by(plan, generation))),
            _ if slot.plan.as_ref().is_some_and(|live| live.fingerprint() == fingerprint) => {
                Err(Unmoved::RunsLive { name })
            }
            _ => Ok((name, slot.shadowed_by(plan, generation))),
        }
    }

    fn remove(&self, name: String, generation: u64) -> Result<(String, Slot), Unmoved> {
        match self.slots.get(&name) {
            None => Err(self.unknown(name)),
            Some(Slot { plan: None, shadow: None, .. }) => Err(Unmoved::Same { name }),
            Some(slot) => {
                let shadow = slot.shadow.as_ref().map(|shadow| shadow.plan.clone());
                let previous = slot.plan.clone().or_else(|| slot.previous.clone()).or(shadow);
                // What was rolled back stays so, also where its file is copied in once more.
                Ok((name, Slot { previous, generation, rejected: slot.rejected.clone(), ..Slot::default() }))
            }
        }
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
        fingerprint: Option<String>,
        reason: String,
        generation: u64,
    ) -> Result<(String, Slot), Unmoved> {
        let Some(slot) = self.slots.get(&name) else { return Err(self.unknown(name)) };
        let shadow = slot.shadow.as_ref().map(|shadow| shadow.plan.fingerprint());
        if let Some(shadow) = shadow.filter(|shadow| fingerprint.as_ref().is_none_or(|of| of == shadow)) {
            let rejected = Some(Rejected { fingerprint: shadow, reason });
            return Ok((name, Slot { shadow: None, rejected, ..slot.clone() }));
        }
        let Some(plan) = &slot.plan else {
            return Err(match fingerprint {
                Some(_) => Unmoved::Overtaken { name },
                None => Unmoved::NotLive { name },
            });
        };
        let current = plan.fingerprint();
        if fingerprint.is_some_and(|wanted| wanted != current) {
            return Err(Unmoved::Overtaken { name });
        }
        let Some(previous) = &slot.previous else { return Err(Unmoved::NothingBefore { name }) };
        let plan = Some(Plan { mode: Mode::Live, ..previous.clone() });
        let rejected = Some(Rejected { fingerprint: current, reason });
        // Going back once more would go forward again.
        let (gone_back_from, shadow) = (slot.plan.clone(), slot.shadow.clone());
        Ok((name, Slot { plan, previous: None, generation, rejected, shadow, gone_back_from }))
    }

    fn return_from(
        &self,
        name: String,
        fingerprint: String,
        reason: String,
        generation: u64,
    ) -> Result<(String, Slot), Unmoved> {
        let Some(slot) = self.slots.get(&name) else { return Err(self.unknown(name)) };
        let is_there = slot.plan.as_ref().is_some_and(|plan| plan.fingerprint() == fingerprint);
        match &slot.gone_back_from {
            Some(plan) if is_there => {
                let (plan, shadow) = (Some(plan.clone()), slot.shadow.clone());
                let rejected = Some(Rejected { fingerprint, reason });
                Ok((name, Slot { plan, generation, rejected, shadow, ..Slot::default() }))
            }
            _ => Err(Unmoved::Overtaken { name }),
        }
    }

    fn set_mode(&self, name: String, mode: Mode, generation: u64) -> Result<(String, Slot), Unmoved> {
        let Some(slot) = self.slots.get(&name).cloned() else { return Err(self.unknown(name)) };
        let shadow = slot.shadow.as_ref().map(|shadow| shadow.plan.clone());
        match (mode, &slot.plan, shadow) {
            (Mode::Live, Some(_), None) | (Mode::Shadow, _, Some(_)) => Err(Unmoved::Same { name }),
            (Mode::Live, _, Some(plan)) => Ok((name, slot.succeeded_by(plan, generation))),
            (Mode::Live, None, None) => {
                let Some(plan) = slot.previous.clone() else { return Err(Unmoved::NothingBefore { name }) };
                Ok((name, slot.succeeded_by(plan, generation)))
            }
            (Mode::Shadow, plan, None) => {
                let Some(plan) = plan.clone().or_else(|| slot.previous.clone()) else {
                    return Err(Unmoved::NothingBefore { name });
                };
                let alone = Slot { plan: None, generation, ..slot };
                Ok((name, alone.shadowed_by(plan, generation)))
            }
        }
    }

    fn unknown(&self, name: String) -> Unmoved {
        Unmoved::Unknown { name, names: self.slots.keys().cloned().collect() }
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

    /// The plan is live from here on, and what was there to go back to stays so.
    fn succeeded_by(self, plan: Plan, generation: u64) -> Slot {
        let plan = Plan { mode: Mode::Live, ..plan };
        let fingerprint = plan.fingerprint();
        let mut before = [self.plan, self.previous].into_iter().flatten();
        let previous = before.find(|before| before.fingerprint() != fingerprint);
        Slot { plan: Some(plan), previous, generation, ..Slot::default() }
    }

    fn shadowed_by(self, plan: Plan, generation: u64) -> Slot {
        let plan = Plan { mode: Mode::Shadow, ..plan };
        Slot { shadow: Some(Shadow { plan, generation }), ..self }
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
    #[error("is no roster: {what}")]
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
