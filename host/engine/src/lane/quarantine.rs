//! Who cannot go on is out: from a position on it judges nothing, and what it knew is kept for the end of that.

use std::collections::BTreeMap;

use gridwatch_core::checkpoint::DetectorState;
use gridwatch_core::decision::{Decision, What};
use gridwatch_core::judge::{Call, Fault};
use gridwatch_core::record::Position;

use super::judging::shortened;
use super::seat::{Life, Seat, Usage, knows_something};
use super::{Lane, LaneError};
use crate::deployment::{OnFault, OnNewState};
use crate::history::{HistoryError, Stretch};

/// A detector that judges no more on a lane.
pub struct Quarantined {
    pub detector: String,
    pub generation: u64,
}

impl Lane {
    /// The detector judges no more from `position` on, and nothing of it is kept.
    pub(super) fn quarantine(
        &mut self,
        at: usize,
        fault: &Fault,
        position: Position,
    ) -> Result<(), LaneError> {
        self.count_fault(at, fault);
        self.suspend(at, fault, position, None)
    }

    /// The same with what it knew. In a replay the decision may have been made already, a little later; it is the
    /// same one.
    pub(super) fn suspend(
        &mut self,
        at: usize,
        fault: &Fault,
        position: Position,
        kept: Option<DetectorState>,
    ) -> Result<(), LaneError> {
        let detector = self.seats[at].deployment.name.clone();
        if self.seats[at].deployment.on_fault == OnFault::Halt {
            return Err(LaneError::Halt { lane: self.name.clone(), detector, fault: fault.clone() });
        }
        tracing::error!(lane = self.name, detector, position, fault = fault.label(), "quarantined: {fault}");
        let reason = shortened(fault.to_string());
        let mut kept = kept.filter(knows_something);
        if let Some(kept) = &mut kept {
            // With what it has raised of the batch in hand.
            kept.episodes =
                self.seats[at].episodes.iter().map(|(key, episode)| (key.clone(), *episode)).collect();
        }
        let known = self.take_known(&detector);
        // What was published up to the committed position stays so: a new decision comes after it.
        let position = position.max(self.replay.silent_until);
        match known {
            Some(What::Quarantine { .. }) => kept = None,
            Some(_) => {}
            None => {
                let fingerprint = self.seats[at].fingerprint.clone();
                let why = reason.clone();
                let what = match kept {
                    Some(_) => {
                        let in_tick = fault.call() == Call::Advance;
                        What::Suspend { detector, fingerprint, reason: why, in_tick }
                    }
                    None => What::Quarantine { detector, fingerprint, reason: why },
                };
                self.decide_at(position, what);
                self.close(at, reason, kept, position, true);
                return Ok(());
            }
        }
        self.close(at, reason, kept, position, self.comes_again(position));
        Ok(())
    }

    /// What an earlier life has decided about the detector's quarantine, and was not come to yet.
    fn take_known(&mut self, detector: &str) -> Option<What> {
        let mut known = None;
        let decisions = std::mem::take(&mut self.replay.decisions);
        for decision in decisions {
            let is_it = is_quarantine(&decision) && decision.what.detector() == Some(detector);
            if is_it && known.is_none() {
                known = Some(decision.what.clone());
                self.chronicle.note(decision);
            } else {
                self.replay.decisions.push_back(decision);
            }
        }
        known
    }

    /// Whether an earlier life has decided that the detector failed at the tick that it is about to be told: then it is
    /// not told, and what it knows is kept.
    pub(super) fn suspend_at_tick(&mut self, at: usize) -> bool {
        let detector = &self.seats[at].deployment.name;
        // An idle tick that is still to come is another one.
        let mut ahead = self
            .replay
            .decisions
            .iter()
            .take_while(|decision| !matches!(decision.what, What::IdleTick { .. }))
            .filter(|decision| is_quarantine(decision) && decision.what.detector() == Some(detector));
        let ours = &self.seats[at].fingerprint;
        let is_it = |decision: &&Decision| {
            let is_ours = matches!(&decision.what, What::Suspend { in_tick: true, fingerprint, .. } if fingerprint == ours);
            is_ours && decision.position == self.next
        };
        if ahead.next().filter(is_it).is_none() {
            return false;
        }
        let (detector, position) = (detector.clone(), self.next);
        if let Some(what) = self.take_known(&detector) {
            self.suspend_again(what, position, self.comes_again(position));
        }
        true
    }

    /// By an earlier life's decision. Another build, or other parameters or limits, begin with a clean slate.
    pub(super) fn suspend_again(&mut self, what: What, position: Position, live: bool) {
        let (detector, fingerprint, reason, keeps) = match what {
            What::Quarantine { detector, fingerprint, reason } => (detector, fingerprint, reason, false),
            What::Suspend { detector, fingerprint, reason, .. } => (detector, fingerprint, reason, true),
            _ => return,
        };
        let is_it = |seat: &Seat| seat.deployment.name == detector && seat.fingerprint == fingerprint;
        let Some(at) = self.seats.iter().position(is_it) else { return };
        let quantities = self.quantities_judged().to_vec();
        let judges = matches!(self.seats[at].life, Life::Judging(_));
        let kept = if keeps && judges { self.seats[at].save(&quantities).ok() } else { None };
        self.close(at, reason, kept.filter(knows_something), position, live);
    }

    /// Who is quarantined.
    pub fn quarantined(&self) -> impl Iterator<Item = Quarantined> {
        let out = self.seats.iter().filter(|seat| matches!(seat.life, Life::Quarantined { .. }));
        out.map(|seat| Quarantined {
            detector: seat.deployment.name.clone(),
            generation: seat.deployment.generation,
        })
    }

    /// The end of a quarantine: the detector goes on with what it knew; with nothing only where it may begin so. False:
    /// it cannot.
    pub fn release(&mut self, detector: &str) -> Result<bool, LaneError> {
        self.flush()?;
        let Some(at) = self.seat_of(detector) else { return Ok(false) };
        let kept = match &self.seats[at].life {
            Life::Judging(_) => return Ok(false),
            Life::Quarantined { kept, .. } => kept.as_deref().cloned(),
        };
        let kept = kept.or_else(|| self.recalled(at));
        let is_cold = kept.is_none();
        if is_cold && self.seats[at].deployment.on_new_state != OnNewState::Cold {
            return Ok(false);
        }
        let seat = match self.seat_again(at, kept) {
            Ok(seat) => seat,
            Err(fault) => {
                tracing::warn!(lane = self.name, detector, "cannot go on with what it knew: {fault}");
                return Ok(false);
            }
        };
        self.decide(What::Release { detector: detector.to_owned(), is_cold });
        self.sit_down(at, seat, self.next, true);
        Ok(true)
    }

    pub(super) fn release_again(&mut self, detector: &str, is_cold: bool, position: Position, live: bool) {
        let Some(at) = self.seat_of(detector) else { return };
        let kept = match &self.seats[at].life {
            Life::Judging(_) => return,
            Life::Quarantined { .. } if is_cold => None,
            Life::Quarantined { kept, .. } => kept.as_deref().cloned(),
        };
        let kept = kept.or_else(|| if is_cold { None } else { self.recalled(at) });
        let seat = if kept.is_some() || is_cold { self.seat_again(at, kept).ok() } else { None };
        match seat {
            Some(seat) => self.sit_down(at, seat, position, live),
            None => tracing::error!(
                lane = self.name,
                detector,
                position,
                "was released here before, and what it knew cannot be had again: it stays quarantined"
            ),
        }
    }

    fn seat_again(&self, at: usize, kept: Option<DetectorState>) -> Result<Seat, Fault> {
        let (deployment, quantities) = (self.seats[at].deployment.clone(), self.decoder.quantities());
        match kept {
            Some(kept) => {
                let kept = DetectorState { quarantine: None, ..kept };
                Seat::restored(deployment, quantities, &self.sensors, kept, self.tick)
            }
            None => Seat::cold(deployment, quantities),
        }
    }

    /// It judges again, and holds open what it held open.
    fn sit_down(&mut self, at: usize, mut seat: Seat, position: Position, live: bool) {
        let before = &mut self.seats[at];
        seat.usage = Usage { memory_bytes: seat.usage.memory_bytes, ..before.usage };
        seat.faults = std::mem::take(&mut before.faults);
        seat.orphans.clear();
        *before = seat;
        self.reconcile(at, &BTreeMap::new(), position, live);
    }

    /// What a quarantined detector knew when it was quarantined, from the lane's history.
    fn recalled(&self, at: usize) -> Option<DetectorState> {
        match self.knowledge_then(at) {
            Ok(kept) => Some(kept),
            Err(error) => {
                let detector = &self.seats[at].deployment.name;
                tracing::warn!(lane = self.name, detector, "what it knew cannot be found out: {error}");
                None
            }
        }
    }

    fn knowledge_then(&self, at: usize) -> Result<DetectorState, HistoryError> {
        let ((history, parts), patience) = (self.past_of(at)?, self.patience());
        let name = self.seats[at].deployment.name.clone();
        let is_it =
            |decision: &&Decision| is_quarantine(decision) && decision.what.detector() == Some(name.as_str());
        // Not what was decided later, which may stand at the same position.
        let last = self.chronicle.before_last(|decision| is_it(&decision));
        let (before, position) = last.map(|(before, last)| (before, last.position)).ok_or_else(|| {
            HistoryError::Beyond { lane: self.name.clone(), wanted: format!("the quarantine of {name}") }
        })?;
        let base = history.find(&self.name, (&before, position), patience)?;
        let decisions = |decided| before.since(decided);
        let past = Stretch { whom: &[&name], decisions: &decisions, speaks_from: Position::MAX };
        let mut reliving = history.relive(parts, &base, past, patience)?;
        reliving.until(position, patience)?;
        reliving.into_lane().knowledge_of(&name)
    }

    /// What the detector knows now, if it judges.
    pub(crate) fn knowledge_of(&mut self, detector: &str) -> Result<DetectorState, HistoryError> {
        let differs = |what: String| HistoryError::Differs { what };
        let at = self.seat_of(detector).ok_or_else(|| differs(format!("{detector} is not there")))?;
        let seat = &mut self.seats[at];
        if let Life::Quarantined { reason, .. } = &seat.life {
            return Err(differs(reason.clone()));
        }
        seat.save(self.decoder.quantities()).map_err(|fault| differs(fault.to_string()))
    }
}

/// Its beginning.
pub(super) fn is_quarantine(decision: &Decision) -> bool {
    matches!(decision.what, What::Quarantine { .. } | What::Suspend { .. })
}
