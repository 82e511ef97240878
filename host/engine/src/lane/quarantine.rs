//! Who cannot go on is out: from a position on it judges nothing, and what it knew is kept for the end of that.

use gridwatch_core::checkpoint::DetectorState;
use gridwatch_core::decision::{Decision, What};
use gridwatch_core::judge::{Call, Fault};
use gridwatch_core::record::Position;

use super::episodes::Episodes;
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
    /// The detector judges no more from `position` on; what it knew is kept. In a replay the decision may have been made already, a little later; it is the
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
            kept.episodes = self.seats[at].episodes.listed();
        }
        let known = self.take_known(at);
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

    /// What an earlier life has decided about a failure of who sits there, and was not come to yet. What stands behind
    /// a change of who sits there is about somebody else.
    pub(super) fn known_of(&self, at: usize) -> Option<usize> {
        let Seat { deployment, fingerprint: ours, .. } = &self.seats[at];
        for (known, Decision { what, .. }) in self.replay.decisions.iter().enumerate() {
            if what.detector() != Some(&deployment.name) {
                continue;
            }
            match what {
                What::Quarantine { fingerprint, .. } | What::Suspend { fingerprint, .. }
                    if fingerprint == ours =>
                {
                    return Some(known);
                }
                What::FallBack { .. } => return Some(known),
                What::Swap { .. }
                | What::Promote { .. }
                | What::Back { .. }
                | What::Remove { .. }
                | What::Release { .. } => return None,
                _ => {}
            }
        }
        None
    }

    pub(super) fn take_known(&mut self, at: usize) -> Option<What> {
        let known = self.known_of(at)?;
        let decision = self.replay.decisions.remove(known)?;
        self.chronicle.note(decision.clone());
        Some(decision.what)
    }

    /// Whether an earlier life has decided that the detector failed at the tick that it is about to be told: then it is
    /// not told, and what it knows is kept, or what was kept warm is told instead.
    pub(super) fn suspend_at_tick(&mut self, at: usize) -> Result<bool, LaneError> {
        while let Some(known) = self.known_of(at) {
            // An idle tick that is still to come is another one.
            let mut before = self.replay.decisions.iter().take(known);
            let is_later = before.any(|decision| matches!(decision.what, What::IdleTick { .. }));
            let is_it = |decision: &Decision| {
                let in_tick = match decision.what {
                    What::Suspend { in_tick, .. } | What::FallBack { in_tick, .. } => in_tick,
                    _ => false,
                };
                in_tick && decision.position == self.next
            };
            if is_later || !is_it(&self.replay.decisions[known]) {
                break;
            }
            let position = self.next;
            match self.take_known(at) {
                Some(What::FallBack { detector, generation, reason, .. }) => {
                    let live = self.comes_again(position);
                    self.fall_back_again((&detector, generation, reason), position, live)?;
                }
                Some(what) => {
                    self.suspend_again(what, position, self.comes_again(position));
                    return Ok(true);
                }
                None => break,
            }
        }
        Ok(false)
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

    pub(super) fn release_again(
        &mut self,
        detector: &str,
        is_cold: bool,
        position: Position,
        live: bool,
    ) -> Result<(), LaneError> {
        let Some(at) = self.seat_of(detector) else { return Ok(()) };
        let kept = match &self.seats[at].life {
            Life::Judging(_) => return Ok(()),
            Life::Quarantined { .. } if is_cold => None,
            Life::Quarantined { kept, .. } => kept.as_deref().cloned(),
        };
        let kept = kept.or_else(|| if is_cold { None } else { self.recalled(at) });
        if kept.is_none() && !is_cold {
            let what = "what it knew when it was released; the log says why".to_owned();
            return Err(self.not_again(detector, position, what));
        }
        let seat = self.seat_again(at, kept);
        let seat = seat.map_err(|fault| self.not_again(detector, position, fault.to_string()))?;
        self.sit_down(at, seat, position, live);
        Ok(())
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
        self.reconcile(at, &Episodes::default(), position, live);
    }

    /// What a quarantined detector knew, and was not kept, is kept from here on, if it can be found out: whoever comes
    /// after it begins with that.
    pub(super) fn find_out(&mut self, detector: &str) {
        if !self.may_change() {
            return;
        }
        let Some(at) = self.seat_of(detector) else { return };
        if let Life::Quarantined { kept: None, .. } = &self.seats[at].life
            && let Some(known) = self.recalled(at).filter(knows_something)
        {
            self.decide(What::Recall { detector: detector.to_owned() });
            self.keep(at, known);
        }
    }

    pub(super) fn find_out_again(&mut self, detector: &str, position: Position) -> Result<(), LaneError> {
        let Some(at) = self.seat_of(detector) else { return Ok(()) };
        if let Life::Quarantined { kept: None, .. } = &self.seats[at].life {
            let what = || "what it knew when it was quarantined; the log says why".to_owned();
            let known = self.recalled(at).ok_or_else(|| self.not_again(detector, position, what()))?;
            self.keep(at, known);
        }
        Ok(())
    }

    fn keep(&mut self, at: usize, known: DetectorState) {
        if let Life::Quarantined { kept, .. } = &mut self.seats[at].life {
            *kept = Some(Box::new(known));
        }
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

/// It is about a row of a batch: who has failed on that is out from there on.
pub(super) fn is_failure(decision: &Decision) -> bool {
    is_quarantine(decision) || matches!(decision.what, What::FallBack { .. })
}

/// Its beginning.
pub(super) fn is_quarantine(decision: &Decision) -> bool {
    matches!(decision.what, What::Quarantine { .. } | What::Suspend { .. })
}
