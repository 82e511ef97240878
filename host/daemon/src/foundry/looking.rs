//! What changes in the directory: it is admitted, and what `diff` says is done about it.

use std::time::{Duration, Instant};

use gridwatch_core::judge::Module;
use gridwatch_core::roster::{Proposal, Removal, Roster, Slot, Unmoved};
use gridwatch_core::sink::Store;
use gridwatch_engine::foundry::diff::{self, Found, Known, Step};
use gridwatch_engine::foundry::rosters::RosterLogError;

use super::admissions::Admissions;
use super::inbox::stamp_of;
use super::{By, Entry, Foundry, What};
use crate::admission::{self, Admitted, Candidate, Verdict};

/// So long files are proposed before what lanes are to run is looked at again: going back waits for no more.
const SETTLE_TIME: Duration = Duration::from_millis(500);

impl Foundry {
    /// Has admitted what has settled in the directory since the last look, and does what follows from what has been
    /// admitted so far, and from what is gone.
    pub(super) fn look(
        &mut self,
        store: &dyn Store,
        admissions: &Admissions<admission::Found, Candidate>,
    ) -> Result<(), RosterLogError> {
        self.sort(admissions);
        self.admitted.extend(admissions.take());
        self.settle(store, SETTLE_TIME)
    }

    fn sort(&mut self, admissions: &Admissions<admission::Found, Candidate>) {
        let found = match admission::scan_quietly(&self.dir) {
            Ok(found) => found,
            // A directory that is away takes nobody's detectors with it.
            Err(error) => {
                if !std::mem::replace(&mut self.is_away, true) {
                    tracing::error!("{error}; what runs goes on");
                }
                return;
            }
        };
        if std::mem::take(&mut self.is_away) {
            tracing::info!(dir = %self.dir.display(), "the detectors directory is looked at again");
        }
        let looked =
            self.inbox.look(found.iter().map(|found| (found.name.clone(), stamp_of(found))).collect());
        for found in found.into_iter().filter(|found| looked.settled.contains(&found.name)) {
            let name = found.name.clone();
            self.admitted.remove(&name);
            self.gone.remove(&name);
            admissions.ask(&name, found);
        }
        for name in looked.gone {
            self.admitted.remove(&name);
            admissions.forget(&name);
            self.gone.insert(name);
        }
    }

    /// Does about each what is to be done. What cannot be done now, the store being away or slow, is done the next time.
    pub(super) fn settle(&mut self, store: &dyn Store, time: Duration) -> Result<(), RosterLogError> {
        let since = Instant::now();
        if self.admitted.is_empty() && self.gone.is_empty() && !self.is_unsaved {
            return Ok(());
        }
        let roster = self.latest()?;
        self.is_unsaved = true;
        while since.elapsed() < time
            && let Some((name, candidate)) = self.admitted.pop_first()
        {
            if let Err(error) = self.take(&candidate, &roster) {
                self.admitted.insert(name, candidate);
                return Err(error);
            }
        }
        while since.elapsed() < time
            && let Some(name) = self.gone.pop_first()
        {
            if let Err(error) = self.miss(&name, &roster) {
                self.gone.insert(name);
                return Err(error);
            }
        }
        self.memory.save(store)?;
        self.is_unsaved = false;
        self.is_news = true;
        Ok(())
    }

    /// Does about it what `diff` says, and says it.
    fn take(&mut self, candidate: &Candidate, roster: &Roster) -> Result<(), RosterLogError> {
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
                Ok(())
            }
            Verdict::Disabled => {
                self.step(name, Found::Disabled, roster, false);
                self.disabled.push(name.clone());
                self.remove(name, Removal::Off)
            }
            Verdict::Admitted(admitted) => self.deploy(name, admitted, roster),
        }
    }

    /// What is to be done, counted.
    fn step(&self, name: &str, found: Found<'_>, roster: &Roster, is_seen: bool) -> Step {
        let known = Known { slot: roster.slots.get(name), is_seen, is_blank: self.memory.is_blank() };
        let step = diff::step(found, known);
        self.steps.note(name, step.name());
        step
    }

    fn deploy(&mut self, name: &str, admitted: &Admitted, roster: &Roster) -> Result<(), RosterLogError> {
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
        match step {
            Step::Propose => {
                self.rosters.keep_module(&admitted.bytes)?;
                self.propose(&Proposal::Deploy { name: name.to_owned(), plan: plan.clone() }, By::Directory)?;
            }
            Step::RolledBack { reason } => {
                tracing::error!("{}", Unmoved::RolledBack { name: name.to_owned(), reason });
            }
            Step::Differs => {
                tracing::warn!(
                    detector = name,
                    "the file here differs from what runs, and this process has not seen it change: what runs goes \
                     on. Copy the file once more to have it run"
                );
            }
            Step::Remove | Step::Refuse | Step::Leave | Step::Overtaken => {}
        }
        self.memory.note(name, &plan);
        Ok(())
    }

    /// A file is there no more.
    fn miss(&mut self, name: &str, roster: &Roster) -> Result<(), RosterLogError> {
        self.refused.remove(name);
        self.disabled.retain(|disabled| disabled != name);
        self.step(name, Found::Gone, roster, false);
        self.remove(name, Removal::Gone)
    }

    fn remove(&mut self, name: &str, why: Removal) -> Result<(), RosterLogError> {
        self.memory.forget(name);
        self.propose(&Proposal::Remove { name: name.to_owned(), why }, By::Directory)
    }
}
