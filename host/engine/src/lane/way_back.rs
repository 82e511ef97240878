//! The way back: what ran before is kept warm, and takes the seat again, by hand or where the one that sits there has
//! failed. Nothing is lost of either: it has judged all that the other one has.

use std::sync::Arc;

use gridwatch_core::checkpoint::DetectorState;
use gridwatch_core::decision::What;
use gridwatch_core::finding::Finding;
use gridwatch_core::judge::{Call, Fault};
use gridwatch_core::record::Position;
use gridwatch_core::roster::Mode;

use super::fallen::Fallen;
use super::faults::Out;
use super::judging::shortened;
use super::seat::{Life, Seat};
use super::succession::is_warm;
use super::{Lane, LaneError};
use crate::deployment::Deployment;

/// Who takes the seat from some row of the batch in hand on.
pub(super) struct Stead {
    /// It has judged the batch; what it found from that row on is not noted yet.
    pub seat: Seat,
    /// It fails in this batch, too: it is out at that row, with what it knew.
    pub out: Option<(Fault, DetectorState)>,
}

impl Lane {
    /// What ran before, and was kept warm, takes the seat again at once; false where there is nothing like it.
    pub fn go_back(&mut self, deployment: &Arc<Deployment>) -> Result<bool, LaneError> {
        self.flush()?;
        let (detector, generation) = (deployment.name.clone(), deployment.generation);
        if !self.is_warm(deployment) || self.seat_of(&detector).is_none() {
            return Ok(false);
        }
        self.decide(What::Back { detector, generation });
        self.back(deployment.clone(), self.next, true);
        Ok(true)
    }

    pub(super) fn back_again(
        &mut self,
        detector: &str,
        generation: u64,
        position: Position,
        live: bool,
    ) -> Result<(), LaneError> {
        let Some(deployment) = self.had_then(detector, generation, position)? else { return Ok(()) };
        if !self.is_warm(&deployment) || self.seat_of(detector).is_none() {
            return Err(self.not_again(detector, position, "it is not kept warm".to_owned()));
        }
        self.back(deployment, position, live);
        Ok(())
    }

    /// Who sits there and judges goes on as that generation, where it differs by nothing that is judged with; false
    /// where it is not so.
    pub fn rename(&mut self, deployment: &Arc<Deployment>) -> Result<bool, LaneError> {
        self.flush()?;
        let (detector, generation) = (deployment.name.clone(), deployment.generation);
        let Some(at) = self.seat_of(&detector) else { return Ok(false) };
        let seat = &self.seats[at];
        if !matches!(seat.life, Life::Judging(_)) || seat.fingerprint != deployment.fingerprint() {
            return Ok(false);
        }
        self.decide(What::Rename { detector, generation });
        self.seats[at].deployment = deployment.clone();
        Ok(true)
    }

    pub(super) fn rename_again(
        &mut self,
        detector: &str,
        generation: u64,
        position: Position,
    ) -> Result<(), LaneError> {
        let Some(deployment) = self.had_then(detector, generation, position)? else { return Ok(()) };
        let fingerprint = deployment.fingerprint();
        let at = self.seat_of(detector).filter(|at| self.seats[*at].fingerprint == fingerprint);
        let other = || self.not_again(detector, position, "another one is there".to_owned());
        let at = at.ok_or_else(other)?;
        self.seats[at].deployment = deployment;
        Ok(())
    }

    /// That module, with these parameters and limits, is kept to go back to.
    fn is_warm(&self, deployment: &Deployment) -> bool {
        let warm = self.hidden_at(&deployment.name, is_warm);
        warm.is_some_and(|at| self.hidden[at].seat.fingerprint == deployment.fingerprint())
    }

    fn back(&mut self, deployment: Arc<Deployment>, position: Position, live: bool) {
        let (Some(warm), Some(at)) =
            (self.hidden_at(&deployment.name, is_warm), self.seat_of(&deployment.name))
        else {
            return;
        };
        let mut seat = self.hidden.swap_remove(warm).seat;
        seat.deployment = deployment;
        let before = self.replace(at, seat);
        self.reconcile(at, &before.episodes, position, live);
        self.retire(before);
    }

    /// Between batches: who has failed is out before the record in hand, and what is kept warm takes its place.
    pub(super) fn leave(&mut self, at: usize, fault: &Fault) -> Result<(), LaneError> {
        self.count_fault(at, fault);
        match self.take_stead(at) {
            Some(stead) => self.fall_back(at, stead, fault, self.next, false),
            None => {
                let kept = self.known_before(at, self.next, None);
                self.suspend(at, fault, self.next, kept)
            }
        }
    }

    /// The same at a row of the batch in hand.
    pub(super) fn leave_batch(&mut self, at: usize, out: Out) -> Result<(), LaneError> {
        let position = self.batch.position(out.row);
        let Some(Stead { seat, out: next }) = out.stead else {
            return self.suspend(at, &out.fault, position, out.kept);
        };
        self.fall_back(at, seat, &out.fault, position, false)?;
        match next {
            Some((fault, kept)) => {
                self.count_fault(at, &fault);
                self.suspend(at, &fault, position, Some(kept))
            }
            None => Ok(()),
        }
    }

    /// The batch, from the row on at which the one in the seat is out, for what is kept warm: what it finds there.
    pub(super) fn stand_in(&mut self, at: usize, out: &mut Out) -> Vec<Finding> {
        let Some(mut seat) = self.take_stead(at) else { return Vec::new() };
        let quantities = self.quantities_judged().to_vec();
        let start = seat.save(&quantities);
        let rows = self.rows_for(&seat.deployment.name, None).unwrap_or((0..self.batch.rows()).collect());
        let (before, since) = rows.split_at(rows.partition_point(|row| *row < out.row));
        let lived = seat.observe_silently(&self.batch, Some(before), &self.sensors, &quantities);
        let fault = match lived.and_then(|_| seat.observe_rows(&self.batch, since, &self.sensors)) {
            Ok(findings) => {
                out.stead = Some(Stead { seat, out: None });
                return findings;
            }
            Err(fault) => fault,
        };
        tracing::warn!(
            lane = self.name,
            detector = seat.deployment.name,
            generation = seat.deployment.generation,
            "was kept warm, and fails in the same batch: {fault}"
        );
        // Both are out; what is known is what either knew.
        if out.kept.is_none() {
            let again = start.and_then(|start| {
                let (deployment, sensors) = (seat.deployment.clone(), &self.sensors);
                let mut seat = Seat::restored(deployment, &quantities, sensors, start, self.told)?;
                seat.observe_silently(&self.batch, Some(before), sensors, &quantities)?;
                let kept = seat.save(&quantities)?;
                Ok(Stead { seat, out: Some((fault, kept)) })
            });
            out.stead = again.ok();
        }
        Vec::new()
    }

    /// What is kept warm to take that seat. In a replay it may be known that it did not.
    pub(super) fn take_stead(&mut self, at: usize) -> Option<Seat> {
        let name = &self.seats[at].deployment.name;
        let known = self.known_of(at).map(|known| &self.replay.decisions[known].what);
        if known.is_some_and(|known| !matches!(known, What::FallBack { .. })) {
            return None;
        }
        let warm = self.hidden_at(name, is_warm)?;
        Some(self.hidden.swap_remove(warm).seat)
    }

    /// Who sits there has failed, and what was kept warm takes the seat. In a replay it may have been decided a little
    /// later; it is the same decision.
    pub(super) fn fall_back(
        &mut self,
        at: usize,
        stead: Seat,
        fault: &Fault,
        position: Position,
        in_tick: bool,
    ) -> Result<(), LaneError> {
        let (detector, generation) = (stead.deployment.name.clone(), stead.deployment.generation);
        // What was published up to the committed position stays so: a new decision comes after it.
        let position = position.max(self.replay.silent_until);
        let live = match self.take_known(at) {
            Some(_) => self.comes_again(position),
            None => {
                let reason = shortened(fault.to_string());
                self.decide_at(position, What::FallBack { detector, generation, reason, in_tick });
                true
            }
        };
        self.sit_back(at, stead, fault.clone(), position, live);
        Ok(())
    }

    pub(super) fn fall_back_again(
        &mut self,
        (detector, generation, reason): (&str, u64, String),
        position: Position,
        live: bool,
    ) -> Result<(), LaneError> {
        let Some(at) = self.seat_of(detector) else { return Ok(()) };
        let warm = self.hidden_at(detector, is_warm);
        match warm.filter(|warm| self.hidden[*warm].seat.deployment.generation == generation) {
            Some(warm) => {
                let seat = self.hidden.swap_remove(warm).seat;
                let fault = Fault::Host { call: Call::Observe, what: reason };
                self.sit_back(at, seat, fault, position, live);
                Ok(())
            }
            None if self.replay.has_roster => {
                Err(self.not_again(detector, position, "it is not kept warm".to_owned()))
            }
            None => Ok(()),
        }
    }

    fn sit_back(&mut self, at: usize, stead: Seat, fault: Fault, position: Position, live: bool) {
        let detector = stead.deployment.name.clone();
        let (failed, generation) = (self.seats[at].deployment.generation, stead.deployment.generation);
        tracing::error!(
            lane = self.name,
            detector,
            generation = failed,
            position,
            fault = fault.label(),
            "has failed, and generation {generation}, which was kept warm, goes on: {fault}"
        );
        let before = self.replace(at, stead);
        self.reconcile(at, &before.episodes, position, live);
        self.retire(before);
        self.fallen.push(Fallen { detector, generation: failed, mode: Mode::Live, fault });
    }
}
