//! From files in the directory to what all lanes run, while they run.
//!
//! The directory is an inbox: what changes in it is admitted, or refused with the reason, and what is admitted is
//! proposed. What is to run is the roster in the store, which all processes follow; a lane that cannot follow takes it
//! back for all.
//!
//! - `watch` its threads
//! - `inbox` when a file is whole; `admissions` those that are being admitted, meanwhile
//! - `looking` what changes in the directory, and what is done about it
//! - `memory` what this process has seen in its directory, so that only what changed since is proposed
//! - `archive` what ran and runs, by generation
//! - `fates` how lanes fare with what they are to run, and what is taken back
//! - `following` what others have proposed
//! - `steps` what was done about files, counted
//! - `history` what became of each detector, and by whom; `board` what is to run now

mod admissions;
mod archive;
mod board;
mod fates;
mod following;
mod history;
mod inbox;
mod looking;
mod memory;
mod steps;
mod watch;

pub use board::Board;
pub use history::{By, Entry, History, What};

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use gridwatch_core::Timestamp;
use gridwatch_core::roster::{Proposal, Roster, Unmoved};
use gridwatch_core::sink::Store;
use gridwatch_engine::deployment::{Deployment, Deployments};
use gridwatch_engine::foundry::rosters::{RosterLogError, Rosters};
use gridwatch_sandbox::Sandbox;

use crate::admission::{self, Candidate, Refused};
use crate::cli::Failure;
use crate::http::Latch;
use crate::wiring::{Label, Running};

use archive::Archive;
use inbox::{Inbox, stamp_of};
use memory::Memory;

pub use steps::Steps;
pub use watch::{Answered, Conditions, Watch};

/// The directory is looked at so often at least, whatever its watcher says; and not more often than that, so that
/// what looks the same twice has been left alone for a while.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);
/// Between two tries to reach the store.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// What ran and what runs, for somebody who runs nothing.
pub fn archive(rosters: Rosters, sandbox: Arc<Sandbox>) -> Arc<dyn Deployments> {
    Arc::new(Archive::new(rosters, sandbox))
}

/// What is looked at, and where it is kept.
pub struct Foundry {
    dir: PathBuf,
    sandbox: Arc<Sandbox>,
    rosters: Rosters,
    archive: Arc<Archive>,
    inbox: Inbox,
    memory: Memory,
    /// The generation that lanes are told to run.
    followed: Roster,
    deployments: Vec<Arc<Deployment>>,
    /// Something newer was proposed here.
    has_proposed: bool,
    /// What was admitted and what is gone, and nothing was done about it yet.
    admitted: BTreeMap<String, Candidate>,
    gone: BTreeSet<String>,
    /// The memory is to be written, and the board to be shown.
    is_unsaved: bool,
    is_news: bool,
    /// Generations that some lane cannot run and that are left as they are, by name: it was said.
    left: BTreeMap<String, u64>,
    /// What lies in the directory and may not run.
    refused: BTreeMap<String, Refused>,
    disabled: Vec<String>,
    /// The directory cannot be looked at, and it was said.
    is_away: bool,
    steps: Steps,
    history: History,
}

/// What a run begins with.
pub struct Beginning {
    pub deployments: Vec<Arc<Deployment>>,
    /// Names that are there and do not run now: what they knew is kept.
    pub dormant: Vec<String>,
    pub past: Arc<dyn Deployments>,
}

impl Foundry {
    /// Looks at the directory, proposes what changed since this process was last here, and says what is to run.
    /// `instance` tells processes of a group apart. A store that is away is waited for while `goes_on` says so.
    pub fn begin(
        dir: PathBuf,
        instance: &str,
        store: Arc<dyn Store>,
        goes_on: impl Fn() -> bool,
        history: History,
    ) -> Result<(Foundry, Beginning), Failure> {
        let sandbox = Arc::new(admission::sandbox().map_err(|error| Failure::Start(error.to_string()))?);
        let found = admission::scan(&dir).map_err(|error| Failure::Start(error.to_string()))?;
        let inbox = Inbox::of(found.iter().map(|found| (found.name.clone(), stamp_of(found))));
        let candidates = admission::admit(&sandbox, found);
        let rosters = Rosters::new(store.clone());
        let archive = Arc::new(Archive::new(rosters.clone(), sandbox.clone()));
        let mut memory = Memory::new(instance);
        // Where no roster is (left), nothing that was seen is known to anybody.
        let latest = patiently(&goes_on, || rosters.latest())?.generation;
        if latest > 0 {
            patiently(&goes_on, || memory.load(&*store, latest))?;
        }
        let mut foundry = Foundry {
            dir,
            sandbox,
            rosters,
            archive,
            inbox,
            memory,
            followed: Roster::default(),
            deployments: Vec::new(),
            has_proposed: false,
            admitted: BTreeMap::new(),
            gone: BTreeSet::new(),
            is_unsaved: true,
            is_news: false,
            left: BTreeMap::new(),
            refused: BTreeMap::new(),
            disabled: Vec::new(),
            is_away: false,
            steps: Steps::default(),
            history,
        };
        let here: Vec<String> = candidates.iter().map(|candidate| candidate.name.clone()).collect();
        foundry.gone = foundry.memory.names().filter(|name| !here.contains(name)).cloned().collect();
        foundry.admitted = candidates.into_iter().map(|of| (of.name.clone(), of)).collect();
        let roster = patiently(&goes_on, || {
            foundry.settle(&*store, Duration::MAX)?;
            foundry.rosters.latest()
        })?;
        let deployments = patiently(&goes_on, || foundry.archive.all(&roster, &[]))?;
        foundry.note_beginning(&roster);
        foundry.followed = roster;
        foundry.deployments.clone_from(&deployments);
        let runs = |name: &String| deployments.iter().any(|deployment| deployment.name == *name);
        let dormant = here.into_iter().chain(dormant_of(&foundry.followed)).filter(|name| !runs(name));
        let beginning = Beginning { dormant: dormant.collect(), past: foundry.archive.clone(), deployments };
        Ok((foundry, beginning))
    }

    /// Those that run, as metrics name them.
    pub fn labels(&self) -> Vec<Label> {
        self.archive.labels(&self.followed)
    }

    /// What was done about files so far, and will be.
    pub fn steps(&self) -> Steps {
        self.steps.clone()
    }

    /// What is to run, and what may not.
    pub fn board(&self) -> Board {
        Board {
            roster: self.followed.clone(),
            refused: self.refused.clone(),
            disabled: self.disabled.clone(),
        }
    }

    /// Says what lies in the directory and may not run.
    pub fn tell(&self, latch: &Latch) {
        let refused: Vec<String> =
            self.refused.iter().map(|(name, refused)| format!("{name}: {}", refused.reason)).collect();
        if refused.is_empty() {
            latch.ready();
        } else {
            latch.failed(format!("not admitted: {}", refused.join("; ")));
        }
    }

    /// Names of those that are to run.
    pub fn running(&self) -> Vec<&str> {
        self.followed.plans().map(|(name, _)| name).collect()
    }

    pub fn refused(&self) -> impl Iterator<Item = &str> {
        self.refused.keys().map(String::as_str)
    }

    fn propose(&mut self, proposal: &Proposal, by: By) -> Result<(), RosterLogError> {
        match self.rosters.propose(proposal) {
            Ok(roster) => {
                let entry = Entry::new(proposal.name(), by, What::Proposed);
                let (generation, detail) = (Some(roster.generation), Some(proposal.to_string()));
                self.history.note(Entry { generation, detail, ..entry });
                tracing::info!(generation = roster.generation, "proposed: {proposal}");
                self.has_proposed = true;
                self.memory.note_generation(roster.generation);
            }
            Err(RosterLogError::Unmoved(unmoved @ (Unmoved::RolledBack { .. } | Unmoved::Full { .. }))) => {
                tracing::error!("{unmoved}");
            }
            Err(RosterLogError::Unmoved(unmoved @ Unmoved::RunsLive { .. })) => tracing::info!("{unmoved}"),
            // Something else runs by now, and is to be followed.
            Err(RosterLogError::Unmoved(unmoved)) => {
                self.has_proposed |= matches!(unmoved, Unmoved::Overtaken { .. });
                tracing::debug!("nothing to change: {unmoved}");
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// What is to run, if it comes of what runs. To follow a store that was emptied would be to take all detectors out.
    fn latest(&self) -> Result<Roster, RosterLogError> {
        let roster = self.rosters.latest()?;
        if self.rosters.comes_of(&roster, &self.followed)? {
            return Ok(roster);
        }
        let (followed, found) = (self.followed.generation, roster.generation);
        Err(RosterLogError::Lost { followed, found })
    }

    /// Tells the lanes what is to run.
    fn follow(&mut self, running: &Running) -> Result<(), RosterLogError> {
        let read_at = Instant::now();
        let roster = self.latest()?;
        if roster.generation != self.followed.generation {
            self.deployments = self.archive.all(&roster, &self.deployments)?;
            self.note_of_others(&roster);
            self.followed = roster;
            running.relabel(self.labels());
            running.show(self.board());
        }
        self.has_proposed = false;
        // What lies here and does not run keeps what it knows, as it does where a run begins.
        let here = self.disabled.iter().chain(self.refused.keys()).chain(self.memory.names()).cloned();
        let dormant = here.chain(dormant_of(&self.followed)).collect();
        running.want(self.deployments.clone(), dormant, read_at);
        Ok(())
    }
}

/// Names that are not to run, and are remembered for when they are.
fn dormant_of(roster: &Roster) -> impl Iterator<Item = String> {
    let now_ms = now_ms();
    let dormant = roster.slots.iter().filter(move |(_, slot)| slot.is_dormant(now_ms));
    dormant.map(|(name, _)| name.clone())
}

/// Wall time, ms since 1970.
fn now_ms() -> Timestamp {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as Timestamp)
}

/// Again and again while the store is away.
fn patiently<T>(
    goes_on: &impl Fn() -> bool,
    mut work: impl FnMut() -> Result<T, RosterLogError>,
) -> Result<T, Failure> {
    loop {
        match work() {
            Err(RosterLogError::Store(error)) if goes_on() => {
                tracing::warn!("what is to run cannot be seen yet, tries again: {error}");
                std::thread::sleep(RETRY_INTERVAL);
            }
            done => return done.map_err(|error| Failure::Start(error.to_string())),
        }
    }
}
