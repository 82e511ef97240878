//! Who judges what the others judge, is not heard, and is held against the live one of the same name.

use std::sync::Arc;

use gridwatch_core::Timestamp;
use gridwatch_core::checkpoint::DetectorState;
use gridwatch_core::decision::What;
use gridwatch_core::finding::Finding;
use gridwatch_core::judge::Fault;
use gridwatch_core::record::Position;

use super::comparison::{Found, Where};
use super::seat::Seat;
use super::succession::{Hidden, HiddenRole, is_shadow, tend};
use super::{DetectorSnapshot, Lane, LaneError};
use crate::deployment::Deployment;

/// A shadow that has failed. It is gone, and hurt nobody.
#[derive(Debug, Clone, PartialEq)]
pub struct Fallen {
    pub detector: String,
    pub generation: u64,
    pub fault: Fault,
}

impl Lane {
    /// The shadow of that module, parameters and limits takes the seat at once; false where there is none like it.
    pub fn promote(&mut self, deployment: &Arc<Deployment>) -> Result<bool, LaneError> {
        self.flush()?;
        let (detector, generation) = (deployment.name.clone(), deployment.generation);
        let fingerprint = deployment.fingerprint();
        if self.shadow(&detector).is_none_or(|shadow| shadow.fingerprint != fingerprint) {
            return Ok(false);
        }
        self.decide(What::Promote { detector, generation });
        self.seat_shadow(deployment.clone(), self.next, true);
        Ok(true)
    }

    /// The shadow leaves. Nobody has heard it, so that it is no decision.
    pub fn unshade(&mut self, detector: &str) {
        self.dismiss(|hidden| hidden.is(detector, is_shadow));
    }

    /// The generation of each that shadows.
    pub fn shadows(&self) -> impl Iterator<Item = (&str, u64)> {
        let shadows = self.hidden.iter().filter(|hidden| is_shadow(&hidden.role));
        shadows.map(|hidden| (hidden.seat.deployment.name.as_str(), hidden.seat.deployment.generation))
    }

    /// Shadows that have failed since last asked.
    pub fn take_fallen(&mut self) -> Vec<Fallen> {
        std::mem::take(&mut self.fallen)
    }

    pub(super) fn shade(&mut self, seat: Seat) {
        self.unshade(&seat.deployment.name);
        self.hidden.push(Hidden { seat, role: HiddenRole::Shadow(Box::default()) });
    }

    pub(super) fn shadow_again(&mut self, detector: &str, generation: u64) {
        if let Some(seat) = self.candidate_again(detector, generation) {
            self.shade(seat);
        }
    }

    pub(super) fn promote_again(&mut self, detector: &str, generation: u64, position: Position, live: bool) {
        if let Some(deployment) = self.of_the_past(detector, generation) {
            self.seat_shadow(deployment, position, live);
        }
    }

    fn seat_shadow(&mut self, deployment: Arc<Deployment>, position: Position, live: bool) {
        let Some(at) = self.hidden_at(&deployment.name, is_shadow) else { return };
        let mut seat = self.hidden.swap_remove(at).seat;
        seat.deployment = deployment;
        self.succeed(seat, position, live);
    }

    fn shadow(&self, detector: &str) -> Option<&Seat> {
        self.hidden_at(detector, is_shadow).map(|at| &self.hidden[at].seat)
    }

    /// Where nobody is live, what a shadow knows is what is known.
    pub(super) fn state_of_shadow(&mut self, detector: &str) -> Option<DetectorState> {
        let mut known = None;
        self.for_each_hidden(|hidden, lane| {
            if hidden.is(detector, is_shadow) {
                known = Some(hidden.seat.save(lane.quantities)?);
            }
            Ok(())
        });
        known
    }

    /// Those who are not heard judge the batch, or live the tick; shadows are held against what was found.
    pub(super) fn judge_hidden(&mut self, tick: Option<Timestamp>, found: &[(usize, Finding)], live: bool) {
        let Lane { hidden, fallen, seats, batch, sensors, decoder, clock, .. } = self;
        let quantities = decoder.quantities();
        let place = Where {
            batch: tick.is_none().then_some(&*batch),
            sensors,
            quantity: &|quantity| quantities[quantity as usize].name.clone(),
            time: clock.time(),
        };
        tend(hidden, fallen, |hidden| {
            let findings = match tick {
                None => hidden.seat.observe_silently(batch, sensors, quantities)?,
                Some(watermark) => hidden.seat.advance_silently(watermark, sensors, quantities)?,
            };
            let HiddenRole::Shadow(tally) = &mut hidden.role else { return Ok(()) };
            if !live {
                return Ok(());
            }
            let seat = &hidden.seat;
            let at = seats.iter().position(|other| other.deployment.name == seat.deployment.name);
            let old = at.map(|at| {
                let theirs = found.iter().filter(|(of, _)| *of == at);
                Found { seat: &seats[at], findings: theirs.map(|(_, finding)| finding).collect() }
            });
            let new = Found { seat, findings: findings.iter().collect() };
            tally.compare(&new, old.as_ref(), &place);
            Ok(())
        });
    }

    pub(super) fn snapshot_of(&self, hidden: &Hidden) -> Option<DetectorSnapshot> {
        let mut snapshot = hidden.seat.snapshot(hidden.public_role()?);
        if let HiddenRole::Shadow(tally) = &hidden.role {
            let live = self.seat_of(&hidden.seat.deployment.name).map(|at| &self.seats[at]);
            snapshot.comparison = Some(tally.report(&hidden.seat, live, &self.sensors));
        }
        Some(snapshot)
    }
}
