//! Who sits where: candidates that begin, take a seat, go back, and leave it, each as a decision.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Sender;
use gridwatch_core::Timestamp;
use gridwatch_core::checkpoint::{DetectorState, Part, Role};
use gridwatch_core::decision::What;
use gridwatch_core::finding::Phase;
use gridwatch_core::judge::Fault;
use gridwatch_core::reading::Quantity;
use gridwatch_core::record::Position;
use gridwatch_core::roster::Mode;
use gridwatch_core::sensors::SensorTable;

use super::apprentice::{Apprentice, Base, Event};
use super::comparison::Tally;
use super::episodes::{Episodes, apart};
use super::seat::{Life, Seat, Usage};
use super::{Lane, LaneError};
use crate::deployment::Deployment;

/// Judges what the others judge, and is not heard.
pub struct Hidden {
    pub seat: Seat,
    pub role: HiddenRole,
}

pub enum HiddenRole {
    /// In a replay, where there is no other thread: it takes the seat where it took it then.
    Candidate,
    /// It ran before.
    Warm,
    /// It is held against the live one.
    Shadow(Box<Tally>),
}

/// What the seats have lived since a candidate began, and nobody has taken yet.
pub struct Tape {
    /// Of the candidate: it is not shown what the like of it fails on.
    pub detector: String,
    pub fingerprint: String,
    pub events: Vec<Event>,
}

/// Who has left the lane, or what.
pub struct Retired(#[allow(dead_code, reason = "it is only to be dropped")] Box<dyn Send>);

/// What a hidden seat is shown of its lane.
pub struct Surroundings<'a> {
    pub sensors: &'a SensorTable,
    pub quantities: &'a [Quantity],
}

impl Lane {
    /// A candidate begins here; `take_events` has all that it is to live from here on. Whatever began before is
    /// forgotten.
    pub fn prepare(&mut self, deployment: &Deployment) -> Result<Base, LaneError> {
        self.flush()?;
        self.find_out(&deployment.name);
        let state = self.state_of(&deployment.name)?;
        Ok(self.prepare_with(deployment, Part { sensors: self.sensors.save().into(), state }))
    }

    /// The same where the state is at hand: it was saved here for a checkpoint, just now.
    pub fn prepare_with(&mut self, deployment: &Deployment, saved: Part) -> Base {
        let Part { sensors, state } = saved;
        let (detector, generation) = (deployment.name.clone(), deployment.generation);
        self.decide(What::Prepare { detector, generation });
        let (name, fingerprint) = (deployment.name.clone(), deployment.fingerprint());
        self.tape = Some(Tape { detector: name, fingerprint, events: Vec::new() });
        let at = self.seat_of(&deployment.name).filter(|at| matches!(self.seats[*at].life, Life::Judging(_)));
        Base {
            episodes_since: at.map(|at| self.seats[at].episodes.shared_now()),
            quantities: self.decoder.quantities().to_vec(),
            sensors,
            sensors_max: self.settings.sensors_max,
            state,
            time: self.tick,
        }
    }

    /// About how long a lane stands still for `prepare`: the state of who sits there is saved, where it judges. None
    /// where nobody sits.
    pub fn prepare_time(&self, detector: &str) -> Option<Duration> {
        self.seat_of(detector).map(|at| self.seats[at].save_time())
    }

    /// Nothing of an earlier life is to be lived again before anything changes.
    pub fn may_change(&self) -> bool {
        !self.replay.active && self.replay.decisions.is_empty()
    }

    /// A candidate is under way, and a checkpoint would forget it.
    pub fn is_preparing(&self) -> bool {
        self.tape.is_some()
    }

    /// A candidate of an earlier life has not taken its seat yet: a checkpoint would forget it, and not that it takes
    /// the seat.
    pub fn relives_candidate(&self) -> bool {
        self.hidden.iter().any(|hidden| matches!(hidden.role, HiddenRole::Candidate))
    }

    /// No candidate is under way any more.
    pub fn forget_candidate(&mut self) {
        self.tape = None;
    }

    /// What the lane has lived since last asked, for the candidate that is under way.
    pub fn take_events(&mut self) -> Vec<Event> {
        let at = self.tape.as_ref().and_then(|tape| self.seat_of(&tape.detector));
        let turned = at.map(|at| self.seats[at].episodes.take_turned()).filter(|turned| !turned.is_empty());
        if let Some(turned) = turned {
            self.record(|_| Event::Turned(turned));
        }
        self.tape.as_mut().map(|tape| std::mem::take(&mut tape.events)).unwrap_or_default()
    }

    /// The candidate, which has lived all that was taken of the tape, lives the rest and takes the seat. The inner
    /// error: it has failed, and everything is as it was.
    pub fn swap(&mut self, mut candidate: Apprentice) -> Result<Result<(), Fault>, LaneError> {
        self.flush()?;
        let rest = self.tape.take().map(|tape| tape.events).unwrap_or_default();
        if let Err(fault) = rest.into_iter().try_for_each(|event| candidate.live(event)) {
            return Ok(Err(fault));
        }
        let (seat, sensors) = candidate.into_seat();
        self.retire(sensors);
        let (detector, generation) = (seat.deployment.name.clone(), seat.deployment.generation);
        match seat.deployment.mode {
            Mode::Live => {
                self.decide(What::Swap { detector, generation });
                self.succeed(seat, self.next, true);
            }
            Mode::Shadow => {
                self.decide(What::Shadow { detector, generation });
                self.shade(seat);
            }
        }
        Ok(Ok(()))
    }

    /// Whether it needs no catching up: it sits there already, or is warm, kept from before or as a shadow.
    pub fn takes_seat_at_once(&self, deployment: &Deployment) -> bool {
        let fingerprint = deployment.fingerprint();
        let is_it = |hidden: &Hidden| {
            let (name, role) = (&hidden.seat.deployment.name, &hidden.role);
            *name == deployment.name
                && hidden.seat.fingerprint == fingerprint
                && (is_warm(role) || is_shadow(role))
        };
        let sits = |at: usize| {
            matches!(self.seats[at].life, Life::Judging(_)) && self.seats[at].fingerprint == fingerprint
        };
        deployment.mode == Mode::Live
            && (self.hidden.iter().any(is_it) || self.seat_of(&deployment.name).is_some_and(sits))
    }

    /// The detector runs no more. What it knows is kept, for when it runs again, or not.
    pub fn remove(&mut self, detector: &str, is_kept: bool) -> Result<(), LaneError> {
        self.flush()?;
        if is_kept {
            self.find_out(detector);
        }
        self.decide(What::Remove { detector: detector.to_owned(), is_kept });
        self.vacate(detector, is_kept, self.next, true)
    }

    /// What ran before is not kept any longer.
    pub fn let_go(&mut self, detector: &str) {
        self.dismiss(|hidden| hidden.is(detector, is_warm));
    }

    /// Who is kept warm, to go back to, and as which generation it ran.
    pub fn kept_warm(&self) -> impl Iterator<Item = (&str, u64)> {
        let warm = self.hidden.iter().filter(|hidden| is_warm(&hidden.role));
        warm.map(|hidden| (hidden.seat.deployment.name.as_str(), hidden.seat.deployment.generation))
    }

    /// How long it is to be kept, and (wall time, ms since 1970) when what took its place came.
    pub fn rollback_window(&self, detector: &str) -> (Duration, Option<Timestamp>) {
        let deployment = self.seat_of(detector).map(|at| &self.seats[at].deployment);
        deployment.map_or((Duration::ZERO, None), |of| (of.rollback_window, of.came_ms))
    }

    /// Who does not run, and is remembered.
    pub fn dormant(&self) -> impl Iterator<Item = &str> {
        self.dormant.iter().map(|state| state.name.as_str())
    }

    /// The generation of each who sits here.
    pub fn generations(&self) -> impl Iterator<Item = (&str, u64)> {
        self.seats.iter().map(|seat| (seat.deployment.name.as_str(), seat.deployment.generation))
    }

    /// Where it cannot begin, that is an error only once it is to take its seat.
    pub(super) fn prepare_again(&mut self, detector: &str, generation: u64) -> Result<(), LaneError> {
        let Some(deployment) = self.of_the_past(detector, generation) else { return Ok(()) };
        let state = self.state_of(detector)?;
        let quantities = self.decoder.quantities();
        self.hidden.retain(|hidden| !hidden.is(detector, is_candidate));
        match Seat::candidate(deployment, quantities, &self.sensors, state, self.tick) {
            Ok(seat) => self.hidden.push(Hidden { seat, role: HiddenRole::Candidate }),
            Err(fault) => {
                tracing::error!(lane = self.name, detector, generation, "cannot begin again: {fault}")
            }
        }
        Ok(())
    }

    pub(super) fn swap_again(
        &mut self,
        detector: &str,
        generation: u64,
        position: Position,
        live: bool,
    ) -> Result<(), LaneError> {
        if let Some(seat) = self.candidate_again(detector, generation, position)? {
            self.succeed(seat, position, live);
        }
        Ok(())
    }

    /// The candidate of that generation, at the end of its time. None: there is no roster any more.
    pub(super) fn candidate_again(
        &mut self,
        detector: &str,
        generation: u64,
        position: Position,
    ) -> Result<Option<Seat>, LaneError> {
        if self.had_then(detector, generation, position)?.is_none() {
            return Ok(None);
        }
        let is_it = |hidden: &Hidden| {
            hidden.is(detector, is_candidate) && hidden.seat.deployment.generation == generation
        };
        let Some(at) = self.hidden.iter().position(is_it) else {
            let what = "its candidate is not there; the log says why".to_owned();
            return Err(self.not_again(detector, position, what));
        };
        Ok(Some(self.hidden.swap_remove(at).seat))
    }

    /// What an earlier life's decision names. Without a roster, what is there today goes on.
    pub(super) fn had_then(
        &self,
        detector: &str,
        generation: u64,
        position: Position,
    ) -> Result<Option<Arc<Deployment>>, LaneError> {
        let found = self.of_the_past(detector, generation);
        if found.is_none() && self.replay.has_roster {
            let what = format!("what ran as of generation {generation} cannot be had");
            return Err(self.not_again(detector, position, what));
        }
        Ok(found)
    }

    /// No candidate of an earlier life is waited for any more.
    pub(super) fn end_candidacies(&mut self) {
        self.hidden.retain(|hidden| !is_candidate(&hidden.role));
    }

    pub(super) fn vacate(
        &mut self,
        detector: &str,
        is_kept: bool,
        position: Position,
        live: bool,
    ) -> Result<(), LaneError> {
        self.dismiss(|hidden| hidden.seat.deployment.name == detector);
        let state = if is_kept { self.state_of(detector)? } else { None };
        self.dormant.retain(|state| state.name != detector);
        self.dormant.extend(state.map(|state| DetectorState { episodes: Vec::new(), ..state }));
        let Some(at) = self.seat_of(detector) else { return Ok(()) };
        let seat = self.seats.remove(at);
        if live {
            let (version, digest) = seat.identity();
            let explanation = format!("closed by the host: detector {detector} runs no more");
            self.clear([detector, &version, &digest], seat.episodes.open(), &explanation, position);
        }
        self.retire(seat);
        Ok(())
    }

    /// Those who leave are handed over from now on, to be dropped elsewhere: an instance of a large lane gives back
    /// hundreds of MiB, which takes longer than to swap it.
    pub fn retire_to(&mut self, graveyard: Sender<Retired>) {
        self.graveyard = Some(graveyard);
    }

    pub(super) fn retire(&self, whom: impl Send + 'static) {
        if let Some(graveyard) = &self.graveyard {
            // Where nobody takes it, it is dropped here.
            let _ = graveyard.send(Retired(Box::new(whom)));
        }
    }

    pub(super) fn dismiss(&mut self, is_it: impl Fn(&Hidden) -> bool) {
        while let Some(at) = self.hidden.iter().position(&is_it) {
            let hidden = self.hidden.swap_remove(at);
            self.retire(hidden.seat);
        }
    }

    /// Adds to what a candidate is to live, if one is under way.
    pub(super) fn record(&mut self, event: impl FnOnce(&Lane) -> Event) {
        if self.tape.is_none() {
            return;
        }
        let event = event(self);
        if let Some(tape) = &mut self.tape {
            tape.events.push(event);
        }
    }

    /// Between batches: the seat is the candidate's from here on.
    pub(super) fn succeed(&mut self, mut seat: Seat, position: Position, live: bool) {
        let name = seat.deployment.name.clone();
        seat.orphans.clear();
        self.dormant.retain(|state| state.name != name);
        let Some(at) = self.seat_of(&name) else {
            seat.usage = Usage { memory_bytes: seat.usage.memory_bytes, ..Usage::default() };
            let at = self.seats.partition_point(|other| other.deployment.name < name);
            self.seats.insert(at, seat);
            return self.reconcile(at, &Episodes::default(), position, live);
        };
        let keeps_warm = !seat.deployment.rollback_window.is_zero();
        let before = self.replace(at, seat);
        self.reconcile(at, &before.episodes, position, live);
        // The same once more is no other one to go back to.
        if before.fingerprint == self.seats[at].fingerprint {
            return self.retire(before);
        }
        self.dismiss(|hidden| hidden.is(&name, is_warm));
        if keeps_warm && matches!(before.life, Life::Judging(_)) {
            self.hidden.push(Hidden { seat: before, role: HiddenRole::Warm });
        } else {
            self.retire(before);
        }
    }

    /// What is counted by name goes on being counted.
    pub(super) fn replace(&mut self, at: usize, mut seat: Seat) -> Seat {
        let before = &self.seats[at];
        seat.usage = Usage { memory_bytes: seat.usage.memory_bytes, ..before.usage };
        seat.faults.clone_from(&before.faults);
        std::mem::replace(&mut self.seats[at], seat)
    }

    /// Who takes a seat may hold other episodes open than who left it: the host says so, so that those who listen
    /// are left with what is.
    pub(super) fn reconcile(&mut self, at: usize, published: &Episodes, position: Position, live: bool) {
        if !live {
            return;
        }
        let seat = &self.seats[at];
        let name = seat.deployment.name.clone();
        let (version, digest) = seat.identity();
        let (closed, opened) = apart(published, &seat.episodes);
        let who = [name.as_str(), version.as_str(), digest.as_str()];
        let explanation =
            format!("closed by the host: {name} is of version {version} now, which does not hold it open");
        self.clear(who, &closed, &explanation, position);
        let explanation =
            format!("opened by the host: {name} is of version {version} now, which holds it open");
        for (key, episode) in &opened {
            self.speak_for(who, key, *episode, Phase::Raised, &explanation, position);
        }
    }

    /// What a candidate under this name begins with. Who cannot be saved is out, and leaves what can be had of it.
    fn state_of(&mut self, detector: &str) -> Result<Option<DetectorState>, LaneError> {
        let Some(at) = self.seat_of(detector) else {
            let dormant = self.dormant.iter().find(|state| state.name == detector).cloned();
            return Ok(self.state_of_shadow(detector)?.or(dormant));
        };
        loop {
            match self.seats[at].save(self.decoder.quantities()) {
                Ok(state) => return Ok(Some(state)),
                Err(fault) => self.leave(at, &fault)?,
            }
        }
    }

    pub(super) fn of_the_past(&self, detector: &str, generation: u64) -> Option<Arc<Deployment>> {
        self.replay.deployments.get(&(detector.to_owned(), generation)).cloned()
    }

    pub(super) fn seat_of(&self, detector: &str) -> Option<usize> {
        self.seats.iter().position(|seat| seat.deployment.name == detector)
    }

    pub(super) fn hidden_at(&self, detector: &str, is_role: fn(&HiddenRole) -> bool) -> Option<usize> {
        self.hidden.iter().position(|hidden| hidden.is(detector, is_role))
    }
}

pub fn is_candidate(role: &HiddenRole) -> bool {
    matches!(role, HiddenRole::Candidate)
}

pub fn is_warm(role: &HiddenRole) -> bool {
    matches!(role, HiddenRole::Warm)
}

pub fn is_shadow(role: &HiddenRole) -> bool {
    matches!(role, HiddenRole::Shadow(_))
}

impl Hidden {
    pub fn is(&self, detector: &str, is_role: fn(&HiddenRole) -> bool) -> bool {
        is_role(&self.role) && self.seat.deployment.name == detector
    }

    /// What is told of it, and kept of it in checkpoints.
    pub fn public_role(&self) -> Option<Role> {
        match self.role {
            HiddenRole::Candidate => None,
            HiddenRole::Warm => Some(Role::Warm),
            HiddenRole::Shadow(_) => Some(Role::Shadow),
        }
    }
}
