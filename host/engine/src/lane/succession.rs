//! Who sits where: candidates that begin, take a seat, go back, and leave it, each as a decision.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gridwatch_core::anomaly::EpisodeKey;
use gridwatch_core::checkpoint::{DetectorState, OpenEpisode, Role};
use gridwatch_core::decision::What;
use gridwatch_core::finding::Phase;
use gridwatch_core::judge::Fault;
use gridwatch_core::reading::Quantity;
use gridwatch_core::record::Position;
use gridwatch_core::sensors::SensorTable;

use super::apprentice::{Apprentice, Base, Event};
use super::builder::Builder;
use super::seat::{Life, Seat, Usage};
use super::{Lane, LaneError};
use crate::deployment::Deployment;

/// Judges what the others judge, and is not heard.
pub struct Hidden {
    pub seat: Seat,
    pub role: HiddenRole,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HiddenRole {
    /// In a replay, where there is no other thread: it takes the seat where it took it then.
    Candidate,
    /// It ran before.
    Warm,
}

/// What a hidden seat is shown of its lane.
pub struct Surroundings<'a> {
    pub batch: &'a Builder,
    pub sensors: &'a SensorTable,
    pub quantities: &'a [Quantity],
}

impl Lane {
    /// A candidate begins here; `take_events` has all that it is to live from here on. Whatever began before is
    /// forgotten.
    pub fn prepare(&mut self, deployment: &Deployment) -> Result<Base, LaneError> {
        self.flush()?;
        let state = self.state_of(&deployment.name)?;
        let (detector, generation) = (deployment.name.clone(), deployment.generation);
        self.decide(What::Prepare { detector, generation });
        self.tape = Some(Vec::new());
        Ok(Base {
            quantities: self.decoder.quantities().to_vec(),
            sensors: self.sensors.save(),
            sensors_max: self.settings.sensors_max,
            state,
            time: self.tick,
        })
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
        self.hidden.iter().any(|hidden| hidden.role == HiddenRole::Candidate)
    }

    /// No candidate is under way any more.
    pub fn forget_candidate(&mut self) {
        self.tape = None;
    }

    /// What the lane has lived since last asked, for the candidate that is under way.
    pub fn take_events(&mut self) -> Vec<Event> {
        self.tape.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// The candidate, which has lived all that was taken of the tape, lives the rest and takes the seat. The inner
    /// error: it has failed, and everything is as it was.
    pub fn swap(&mut self, mut candidate: Apprentice) -> Result<Result<(), Fault>, LaneError> {
        self.flush()?;
        let rest = self.tape.take().unwrap_or_default();
        if let Err(fault) = rest.into_iter().try_for_each(|event| candidate.live(event)) {
            return Ok(Err(fault));
        }
        let seat = candidate.into_seat();
        let (detector, generation) = (seat.deployment.name.clone(), seat.deployment.generation);
        self.decide(What::Swap { detector, generation });
        self.succeed(seat, self.next, true);
        Ok(Ok(()))
    }

    /// What ran before, and was kept warm, takes the seat again at once; false where there is nothing like it.
    pub fn go_back(&mut self, deployment: &Arc<Deployment>) -> Result<bool, LaneError> {
        self.flush()?;
        let (detector, generation) = (deployment.name.clone(), deployment.generation);
        let fingerprint = deployment.fingerprint();
        if self.warm(&detector).is_none_or(|at| self.hidden[at].seat.fingerprint != fingerprint) {
            return Ok(false);
        }
        self.decide(What::Back { detector, generation });
        self.back(deployment.clone(), self.next, true);
        Ok(true)
    }

    /// The detector runs no more. What it knows is kept, for when it runs again, or not.
    pub fn remove(&mut self, detector: &str, is_kept: bool) -> Result<(), LaneError> {
        self.flush()?;
        self.decide(What::Remove { detector: detector.to_owned(), is_kept });
        self.vacate(detector, is_kept, self.next, true)
    }

    /// What ran before is not kept any longer.
    pub fn let_go(&mut self, detector: &str) {
        self.hidden.retain(|hidden| hidden.seat.deployment.name != detector);
    }

    /// Who is kept warm, to go back to.
    pub fn kept_warm(&self) -> impl Iterator<Item = &str> {
        let warm = self.hidden.iter().filter(|hidden| hidden.role == HiddenRole::Warm);
        warm.map(|hidden| hidden.seat.deployment.name.as_str())
    }

    /// How long it is to be kept.
    pub fn rollback_window(&self, detector: &str) -> Duration {
        self.seat_of(detector).map_or(Duration::ZERO, |at| self.seats[at].deployment.rollback_window)
    }

    /// The generation of each who sits here.
    pub fn generations(&self) -> impl Iterator<Item = (&str, u64)> {
        self.seats.iter().map(|seat| (seat.deployment.name.as_str(), seat.deployment.generation))
    }

    pub(super) fn prepare_again(&mut self, detector: &str, generation: u64) -> Result<(), LaneError> {
        let Some(deployment) = self.of_the_past(detector, generation) else { return Ok(()) };
        let state = self.state_of(detector)?;
        let quantities = self.decoder.quantities();
        self.hidden.retain(|hidden| !hidden.is(detector, HiddenRole::Candidate));
        match Seat::candidate(deployment, quantities, &self.sensors, state, self.tick) {
            Ok(seat) => self.hidden.push(Hidden { seat, role: HiddenRole::Candidate }),
            Err(fault) => {
                tracing::error!(lane = self.name, detector, generation, "cannot begin again: {fault}")
            }
        }
        Ok(())
    }

    pub(super) fn swap_again(&mut self, detector: &str, generation: u64, position: Position, live: bool) {
        let is_it = |hidden: &Hidden| {
            hidden.is(detector, HiddenRole::Candidate) && hidden.seat.deployment.generation == generation
        };
        match self.hidden.iter().position(is_it) {
            Some(at) => {
                let seat = self.hidden.swap_remove(at).seat;
                self.succeed(seat, position, live);
            }
            None => tracing::error!(
                lane = self.name,
                detector,
                generation,
                "took the seat before, and is not there to take it again: the one before it goes on"
            ),
        }
    }

    pub(super) fn back_again(&mut self, detector: &str, generation: u64, position: Position, live: bool) {
        if let Some(deployment) = self.of_the_past(detector, generation) {
            self.back(deployment, position, live);
        }
    }

    /// No candidate of an earlier life is waited for any more.
    pub(super) fn end_candidacies(&mut self) {
        self.hidden.retain(|hidden| hidden.role != HiddenRole::Candidate);
    }

    pub(super) fn vacate(
        &mut self,
        detector: &str,
        is_kept: bool,
        position: Position,
        live: bool,
    ) -> Result<(), LaneError> {
        self.let_go(detector);
        let state = if is_kept { self.state_of(detector)? } else { None };
        let Some(at) = self.seat_of(detector) else { return Ok(()) };
        let seat = self.seats.remove(at);
        self.dormant.extend(state.map(|state| DetectorState { episodes: Vec::new(), ..state }));
        if live {
            let (version, digest) = seat.identity();
            let explanation = format!("closed by the host: detector {detector} runs no more");
            self.clear([detector, &version, &digest], &seat.episodes, &explanation, position);
        }
        Ok(())
    }

    /// Adds to what a candidate is to live, if one is under way.
    pub(super) fn record(&mut self, event: impl FnOnce(&Lane) -> Event) {
        if self.tape.is_some() {
            let event = event(self);
            self.tape.get_or_insert_default().push(event);
        }
    }

    /// Whoever of them fails is let go: nobody hears them.
    pub(super) fn for_each_hidden(
        &mut self,
        work: impl Fn(&mut Seat, &Surroundings<'_>) -> Result<(), Fault>,
    ) {
        let quantities = self.decoder.quantities();
        let surroundings = Surroundings { batch: &self.batch, sensors: &self.sensors, quantities };
        self.hidden.retain_mut(|hidden| match work(&mut hidden.seat, &surroundings) {
            Ok(()) => true,
            Err(fault) => {
                let (detector, role) = (&hidden.seat.deployment.name, hidden.role);
                tracing::warn!(detector, ?role, "has failed and is let go: {fault}");
                false
            }
        });
    }

    /// Between batches: the seat is the candidate's from here on.
    fn succeed(&mut self, mut seat: Seat, position: Position, live: bool) {
        let name = seat.deployment.name.clone();
        seat.orphans.clear();
        self.dormant.retain(|state| state.name != name);
        let Some(at) = self.seat_of(&name) else {
            seat.usage = Usage { memory_bytes: seat.usage.memory_bytes, ..Usage::default() };
            let at = self.seats.partition_point(|other| other.deployment.name < name);
            self.seats.insert(at, seat);
            return self.reconcile(at, &BTreeMap::new(), position, live);
        };
        let keeps_warm = !seat.deployment.rollback_window.is_zero();
        let before = self.replace(at, seat);
        self.reconcile(at, &before.episodes, position, live);
        self.hidden.retain(|hidden| !hidden.is(&name, HiddenRole::Warm));
        if keeps_warm && matches!(before.life, Life::Judging(_)) {
            self.hidden.push(Hidden { seat: before, role: HiddenRole::Warm });
        }
    }

    fn back(&mut self, deployment: Arc<Deployment>, position: Position, live: bool) {
        let (Some(warm), Some(at)) = (self.warm(&deployment.name), self.seat_of(&deployment.name)) else {
            return;
        };
        let mut seat = self.hidden.swap_remove(warm).seat;
        seat.deployment = deployment;
        let before = self.replace(at, seat);
        self.reconcile(at, &before.episodes, position, live);
    }

    /// What is counted by name goes on being counted.
    fn replace(&mut self, at: usize, mut seat: Seat) -> Seat {
        let before = &self.seats[at];
        seat.usage = Usage { memory_bytes: seat.usage.memory_bytes, ..before.usage };
        seat.faults.clone_from(&before.faults);
        std::mem::replace(&mut self.seats[at], seat)
    }

    /// Who takes a seat may hold other episodes open than who left it: the host says so, so that those who listen
    /// are left with what is.
    pub(super) fn reconcile(
        &mut self,
        at: usize,
        published: &BTreeMap<EpisodeKey, OpenEpisode>,
        position: Position,
        live: bool,
    ) {
        if !live {
            return;
        }
        let seat = &self.seats[at];
        let name = seat.deployment.name.clone();
        let (version, digest) = seat.identity();
        let absent = |of: &BTreeMap<EpisodeKey, OpenEpisode>, from: &BTreeMap<EpisodeKey, OpenEpisode>| {
            let absent = of.iter().filter(|(key, _)| !from.contains_key(key));
            absent.map(|(key, episode)| (key.clone(), *episode)).collect::<BTreeMap<_, _>>()
        };
        let (closed, opened) = (absent(published, &seat.episodes), absent(&seat.episodes, published));
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

    /// What a candidate under this name begins with. Who cannot be saved is quarantined, and leaves nothing.
    fn state_of(&mut self, detector: &str) -> Result<Option<DetectorState>, LaneError> {
        let Some(at) = self.seat_of(detector) else {
            return Ok(self.dormant.iter().find(|state| state.name == detector).cloned());
        };
        match self.seats[at].save(self.decoder.quantities()) {
            Ok(state) => Ok(Some(state)),
            Err(fault) => {
                self.quarantine(at, &fault, self.next)?;
                Ok(None)
            }
        }
    }

    fn of_the_past(&self, detector: &str, generation: u64) -> Option<Arc<Deployment>> {
        self.replay.deployments.get(&(detector.to_owned(), generation)).cloned()
    }

    pub(super) fn seat_of(&self, detector: &str) -> Option<usize> {
        self.seats.iter().position(|seat| seat.deployment.name == detector)
    }

    pub(super) fn warm(&self, detector: &str) -> Option<usize> {
        self.hidden.iter().position(|hidden| hidden.is(detector, HiddenRole::Warm))
    }
}

impl Hidden {
    fn is(&self, detector: &str, role: HiddenRole) -> bool {
        self.role == role && self.seat.deployment.name == detector
    }

    /// What is told of it, and kept of it in checkpoints.
    pub fn public_role(&self) -> Option<Role> {
        match self.role {
            HiddenRole::Candidate => None,
            HiddenRole::Warm => Some(Role::Warm),
        }
    }
}
