//! Who judges what the others judge, is not heard, and is held against the live one of the same name.

use std::sync::Arc;

use gridwatch_core::Timestamp;
use gridwatch_core::checkpoint::DetectorState;
use gridwatch_core::decision::What;
use gridwatch_core::finding::Finding;
use gridwatch_core::record::Position;

use super::comparison::{Found, Where};
use super::fallen::tend;
use super::faults::rows_shown;
use super::seat::Seat;
use super::succession::{Hidden, HiddenRole, is_shadow};
use super::{DetectorSnapshot, Lane, LaneError};
use crate::deployment::Deployment;

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

    /// The shadow leaves. Nobody has heard it; but where it stood alone, the next one would have begun with what it
    /// knows.
    pub fn unshade(&mut self, detector: &str) -> Result<(), LaneError> {
        self.flush()?;
        if self.shadow(detector).is_some() {
            self.decide(What::Unshade { detector: detector.to_owned() });
            self.unshade_again(detector);
        }
        Ok(())
    }

    pub(super) fn unshade_again(&mut self, detector: &str) {
        self.dismiss(|hidden| hidden.is(detector, is_shadow));
    }

    /// The generation of each that shadows.
    pub fn shadows(&self) -> impl Iterator<Item = (&str, u64)> {
        let shadows = self.hidden.iter().filter(|hidden| is_shadow(&hidden.role));
        shadows.map(|hidden| (hidden.seat.deployment.name.as_str(), hidden.seat.deployment.generation))
    }

    pub(super) fn shade(&mut self, seat: Seat) {
        self.unshade_again(&seat.deployment.name);
        self.hidden.push(Hidden { seat, role: HiddenRole::Shadow(Box::default()) });
    }

    pub(super) fn shadow_again(
        &mut self,
        detector: &str,
        generation: u64,
        position: Position,
    ) -> Result<(), LaneError> {
        if let Some(seat) = self.candidate_again(detector, generation, position)? {
            self.shade(seat);
        }
        Ok(())
    }

    pub(super) fn promote_again(
        &mut self,
        detector: &str,
        generation: u64,
        position: Position,
        live: bool,
    ) -> Result<(), LaneError> {
        let Some(deployment) = self.had_then(detector, generation, position)? else { return Ok(()) };
        let fingerprint = deployment.fingerprint();
        if self.shadow(detector).is_none_or(|shadow| shadow.fingerprint != fingerprint) {
            return Err(self.not_again(detector, position, "its shadow is not there".to_owned()));
        }
        self.seat_shadow(deployment, position, live);
        Ok(())
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
    pub(super) fn state_of_shadow(&mut self, detector: &str) -> Result<Option<DetectorState>, LaneError> {
        let mut known = None;
        self.for_each_hidden(|hidden, lane| {
            if hidden.is(detector, is_shadow) {
                known = Some(hidden.seat.save(lane.quantities)?);
            }
            Ok(())
        })?;
        Ok(known)
    }

    /// Those who are not heard judge the batch, or live the tick; shadows are held against what was found.
    pub(super) fn judge_hidden(
        &mut self,
        tick: Option<Timestamp>,
        found: &[(usize, Finding)],
        live: bool,
    ) -> Result<(), LaneError> {
        let Lane { hidden, seats, batch, sensors, decoder, clock, skips, .. } = self;
        let quantities = decoder.quantities();
        let place = Where {
            batch: tick.is_none().then_some(&*batch),
            sensors,
            quantity: &|quantity| quantities[quantity as usize].name.clone(),
            time: clock.time(),
        };
        let fell = tend(hidden, |hidden| {
            let findings = match tick {
                None => {
                    let like =
                        (!matches!(hidden.role, HiddenRole::Warm)).then_some(&*hidden.seat.fingerprint);
                    let rows = rows_shown(skips, batch, &hidden.seat.deployment.name, like);
                    hidden.seat.observe_silently(batch, rows.as_deref(), sensors, quantities)?
                }
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
        self.note_fell(fell)
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
