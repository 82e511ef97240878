//! From files in the directory to what all lanes run, while they run.
//!
//! The directory is an inbox: what changes in it is admitted, or refused with the reason, and what is admitted is
//! proposed. What is to run is the roster in the store, which all processes follow; a lane that cannot follow takes it
//! back for all.
//!
//! - `inbox` when a file is whole
//! - `memory` what this process has seen in its directory, so that only what changed since is proposed
//! - `archive` what ran and runs, by generation
//! - `fates` how lanes fare with what they are to run, and what is taken back
//! - `following` what others have proposed
//! - `steps` what was done about files, counted
//! - `history` what became of each detector, and by whom; `board` what is to run now

mod archive;
mod board;
mod fates;
mod following;
mod history;
mod inbox;
mod memory;
mod steps;
mod watch;

pub use board::Board;
pub use history::{By, Entry, History, What};

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use gridwatch_core::judge::Module;
use gridwatch_core::roster::{Proposal, Roster, Slot, Unmoved};
use gridwatch_core::sink::Store;
use gridwatch_engine::deployment::{Deployment, Deployments};
use gridwatch_engine::foundry::diff::{self, Found, Known, Step};
use gridwatch_engine::foundry::rosters::{RosterLogError, Rosters};
use gridwatch_sandbox::Sandbox;
use notify::{RecursiveMode, Watcher};

use crate::admission::{self, Admitted, Candidate, Refused, Verdict};
use crate::cli::Failure;
use crate::http::Latch;
use crate::wiring::{Label, Running};

use archive::Archive;
use inbox::{Inbox, stamp_of};
use memory::Memory;

pub use steps::Steps;
pub use watch::Watch;

/// The directory is looked at so often at least, whatever its watcher says; and not more often than that, so that
/// what looks the same twice has been left alone for a while.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);
/// What other processes have proposed is seen after so long.
const FOLLOW_INTERVAL: Duration = Duration::from_secs(1);
/// Lanes say within this what they have just read, or what comes is tried without.
const RECENT_WAIT: Duration = Duration::from_millis(500);
/// Of so many lanes: each costs as much as what is made up.
const RECENT_LANES_MAX: usize = 2;
/// Between two tries to reach the store.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);
/// How often the log says how shadows compare.
const COMPARE_INTERVAL: Duration = Duration::from_secs(60);

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
    /// The generation that lanes are told to run, and since when.
    followed: Roster,
    deployments: Vec<Arc<Deployment>>,
    since: BTreeMap<String, (u64, Instant)>,
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
        let candidates = admission::admit(&sandbox, found, &[]);
        let rosters = Rosters::new(store.clone());
        let archive = Arc::new(Archive::new(rosters.clone(), sandbox.clone()));
        let mut memory = Memory::new(instance);
        patiently(&goes_on, || memory.load(&*store))?;
        let mut foundry = Foundry {
            dir,
            sandbox,
            rosters,
            archive,
            inbox,
            memory,
            followed: Roster::default(),
            deployments: Vec::new(),
            since: BTreeMap::new(),
            refused: BTreeMap::new(),
            disabled: Vec::new(),
            is_away: false,
            steps: Steps::default(),
            history,
        };
        let gone: Vec<String> = foundry
            .memory
            .names()
            .filter(|name| !candidates.iter().any(|here| here.name == **name))
            .cloned()
            .collect();
        let roster = patiently(&goes_on, || {
            let roster = foundry.rosters.latest()?;
            foundry.take(&candidates, &roster, &*store)?;
            gone.iter().try_for_each(|name| foundry.miss(name, &roster, &*store))?;
            foundry.rosters.latest()
        })?;
        let deployments = patiently(&goes_on, || foundry.archive.all(&roster))?;
        foundry.note(&roster);
        foundry.note_beginning(&roster);
        foundry.followed = roster;
        foundry.deployments.clone_from(&deployments);
        let runs = |name: &String| deployments.iter().any(|deployment| deployment.name == *name);
        let dormant = candidates.iter().map(|candidate| candidate.name.clone()).filter(|name| !runs(name));
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
        let now = SystemTime::now();
        let wall = |since: &Instant| {
            let at = now.checked_sub(since.elapsed()).unwrap_or(now);
            at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
        };
        Board {
            roster: self.followed.clone(),
            since: self.since.iter().map(|(name, (_, since))| (name.clone(), wall(since))).collect(),
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

    /// From here on, on a thread of its own, until the watch is dropped.
    pub fn watch(self, store: Arc<dyn Store>, running: Running, latch: Latch) -> Result<Watch, Failure> {
        let stop = Arc::new(AtomicBool::new(false));
        let ours = stop.clone();
        let thread = std::thread::Builder::new()
            .name("foundry".to_owned())
            .spawn(move || self.work(&*store, &running, &latch, &ours))
            .map_err(|error| Failure::Start(format!("the foundry's thread: {error}")))?;
        Ok(Watch::of(stop, thread))
    }

    fn work(mut self, store: &dyn Store, running: &Running, latch: &Latch, stop: &AtomicBool) {
        let (wake, woken) = std::sync::mpsc::channel();
        // Without a watcher the directory is looked at all the same, a little later.
        let mut watcher = notify::recommended_watcher(move |_| {
            let _ = wake.send(());
        })
        .ok();
        if let Some(watcher) = &mut watcher
            && let Err(error) = watcher.watch(&self.dir, RecursiveMode::NonRecursive)
        {
            tracing::debug!(%error, "the directory is not watched; it is looked at now and then");
        }
        // At once: what has changed while nobody was here is taken up by lanes that begin as they were.
        let (mut followed, mut looked): (Option<Instant>, _) = (None, Instant::now());
        let mut compared = Instant::now();
        while !stop.load(Ordering::Acquire) {
            // A watcher that is gone leaves the wait; what it has seen is seen by looking.
            if woken.recv_timeout(LOOK_INTERVAL).is_err() && watcher.is_none() {
                std::thread::sleep(LOOK_INTERVAL);
            }
            std::thread::sleep(LOOK_INTERVAL.saturating_sub(looked.elapsed()));
            while woken.try_recv().is_ok() {}
            looked = Instant::now();
            if compared.elapsed() >= COMPARE_INTERVAL {
                compared = looked;
                fates::say_comparisons(&self.followed, &running.snapshot());
            }
            let is_due = followed.is_none_or(|followed| looked >= followed + FOLLOW_INTERVAL);
            let done = self.look(store, running, latch).and_then(|changed| {
                let took_back = self.take_back(&running.snapshot())?;
                if changed || took_back || is_due {
                    followed = Some(looked);
                    self.follow(running)?;
                }
                Ok(())
            });
            if let Err(error) = done {
                tracing::warn!("what is to run cannot be seen or changed now, tries again: {error}");
                std::thread::sleep(RETRY_INTERVAL);
            }
        }
    }

    /// What has settled in the directory since the last look; true where something was proposed.
    fn look(&mut self, store: &dyn Store, running: &Running, latch: &Latch) -> Result<bool, RosterLogError> {
        let found = match admission::scan_quietly(&self.dir) {
            Ok(found) => found,
            // A directory that is away takes nobody's detectors with it.
            Err(error) => {
                if !std::mem::replace(&mut self.is_away, true) {
                    tracing::error!("{error}; what runs goes on");
                }
                return Ok(false);
            }
        };
        if std::mem::take(&mut self.is_away) {
            tracing::info!(dir = %self.dir.display(), "the detectors directory is looked at again");
        }
        let looked =
            self.inbox.look(found.iter().map(|found| (found.name.clone(), stamp_of(found))).collect());
        if looked.settled.is_empty() && looked.gone.is_empty() {
            return Ok(false);
        }
        let settled: Vec<admission::Found> =
            found.into_iter().filter(|found| looked.settled.contains(&found.name)).collect();
        let recent = running.recent(RECENT_WAIT, RECENT_LANES_MAX);
        let candidates = admission::admit(&self.sandbox, settled, &recent);
        let mut proposed = false;
        let roster = self.rosters.latest()?;
        let taken = self.take(&candidates, &roster, store);
        if taken.is_err() {
            // They are looked at again.
            candidates.iter().for_each(|candidate| self.inbox.forget(&candidate.name));
        }
        proposed |= taken?;
        for name in &looked.gone {
            self.refused.remove(name);
            self.disabled.retain(|disabled| disabled != name);
            self.miss(name, &roster, store)?;
            proposed = true;
        }
        self.tell(latch);
        running.show(self.board());
        Ok(proposed)
    }

    /// Does about each what `diff` says, and says it. True where something was proposed.
    fn take(
        &mut self,
        candidates: &[Candidate],
        roster: &Roster,
        store: &dyn Store,
    ) -> Result<bool, RosterLogError> {
        let mut proposed = false;
        for candidate in candidates {
            let name = &candidate.name;
            self.refused.remove(name);
            self.disabled.retain(|disabled| disabled != name);
            match &candidate.verdict {
                Verdict::Refused(refused) => {
                    let step = self.step(name, Found::Refused, roster, false);
                    let runs = roster.slots.get(name).is_some_and(Slot::is_taken);
                    tracing::error!(
                        detector = name,
                        file = %candidate.file.display(),
                        outcome = step.name(),
                        "not admitted{}: {}",
                        if runs { "; the one before it goes on" } else { "" },
                        refused.reason
                    );
                    self.refused.insert(name.clone(), refused.clone());
                    let detail = Some(refused.reason.clone());
                    self.history.note(Entry { detail, ..Entry::new(name, By::Directory, What::Refused) });
                }
                Verdict::Disabled => {
                    self.step(name, Found::Disabled, roster, false);
                    self.disabled.push(name.clone());
                    proposed |= self.remove(name)?;
                }
                Verdict::Admitted(admitted) => proposed |= self.deploy(name, admitted, roster)?,
            }
        }
        self.memory.save(store)?;
        Ok(proposed)
    }

    /// What is to be done, counted.
    fn step(&self, name: &str, found: Found<'_>, roster: &Roster, is_seen: bool) -> Step {
        let known = Known { slot: roster.slots.get(name), is_seen, is_blank: self.memory.is_blank() };
        let step = diff::step(found, known);
        self.steps.note(name, step.name());
        step
    }

    fn deploy(&mut self, name: &str, admitted: &Admitted, roster: &Roster) -> Result<bool, RosterLogError> {
        let plan = admitted.plan();
        self.archive.keep(name, admitted);
        let step = self.step(name, Found::Admitted(&plan), roster, !self.memory.is_new(name, &plan));
        tracing::info!(
            detector = name,
            version = admitted.module.descriptor().version,
            digest = plan.digest,
            outcome = step.name(),
            "admitted: costs {}",
            admitted.proof.cost
        );
        if !matches!(step, Step::Leave) {
            let (digest, version) = (Some(plan.digest.clone()), admitted.module.descriptor().version.clone());
            let entry = Entry::new(name, By::Directory, What::Admitted);
            self.history.note(Entry { digest, version: Some(version), ..entry });
        }
        let proposed = match step {
            Step::Propose => {
                self.rosters.keep_module(&admitted.bytes)?;
                self.propose(Proposal::Deploy { name: name.to_owned(), plan: plan.clone() }, By::Directory)?
            }
            Step::RolledBack { reason } => {
                tracing::error!("{}", Unmoved::RolledBack { name: name.to_owned(), reason });
                false
            }
            Step::Differs => {
                tracing::warn!(
                    detector = name,
                    "the file here differs from what runs, and this process has not seen it change: what runs goes \
                     on. Copy the file once more to have it run"
                );
                false
            }
            Step::Remove | Step::Refuse | Step::Leave | Step::Overtaken => false,
        };
        self.memory.note(name, &plan);
        Ok(proposed)
    }

    fn remove(&mut self, name: &str) -> Result<bool, RosterLogError> {
        self.memory.forget(name);
        self.propose(Proposal::Remove { name: name.to_owned() }, By::Directory)
    }

    /// A file is there no more.
    fn miss(&mut self, name: &str, roster: &Roster, store: &dyn Store) -> Result<(), RosterLogError> {
        self.step(name, Found::Gone, roster, false);
        self.remove(name)?;
        self.memory.save(store)
    }

    /// True where it made a generation.
    fn propose(&self, proposal: Proposal, by: By) -> Result<bool, RosterLogError> {
        match self.rosters.propose(&proposal) {
            Ok(roster) => {
                let entry = Entry::new(proposal.name(), by, What::Proposed);
                let (generation, detail) = (Some(roster.generation), Some(proposal.to_string()));
                self.history.note(Entry { generation, detail, ..entry });
                tracing::info!(generation = roster.generation, "proposed: {proposal}");
                Ok(true)
            }
            Err(RosterLogError::Unmoved(unmoved @ (Unmoved::RolledBack { .. } | Unmoved::Full { .. }))) => {
                tracing::error!("{unmoved}");
                Ok(false)
            }
            Err(RosterLogError::Unmoved(unmoved @ Unmoved::RunsLive { .. })) => {
                tracing::info!("{unmoved}");
                Ok(false)
            }
            Err(RosterLogError::Unmoved(unmoved)) => {
                tracing::debug!("nothing to change: {unmoved}");
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Tells the lanes what is to run.
    fn follow(&mut self, running: &Running) -> Result<(), RosterLogError> {
        let read_at = Instant::now();
        let roster = self.rosters.latest()?;
        if roster.generation != self.followed.generation {
            self.deployments = self.archive.all(&roster)?;
            self.note(&roster);
            self.note_of_others(&roster);
            self.followed = roster;
            running.relabel(self.labels());
            running.show(self.board());
        }
        // What lies here and is switched off keeps what it knows, as it does where a run begins.
        let dormant = self.disabled.iter().chain(self.memory.names()).cloned().collect();
        running.want(self.deployments.clone(), dormant, read_at);
        Ok(())
    }

    fn note(&mut self, roster: &Roster) {
        for (name, slot) in &roster.slots {
            let known = self.since.get(name).map(|(generation, _)| *generation);
            if known != Some(slot.generation) {
                self.since.insert(name.clone(), (slot.generation, Instant::now()));
            }
        }
    }
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
