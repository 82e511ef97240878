//! Those who are not heard, and fail: they are let go. Where an earlier life has decided something of them that is
//! still to come, the lane does not go on without them: it would say something else from there on.

use std::sync::Arc;

use gridwatch_core::decision::{Decision, What};
use gridwatch_core::judge::Fault;
use gridwatch_core::record::Position;
use gridwatch_core::roster::Mode;

use super::succession::{Hidden, HiddenRole, Surroundings};
use super::{Lane, LaneError};
use crate::deployment::Deployment;

/// A detector that has failed, and is gone: a shadow, which hurt nobody, or a live one, after which what ran before
/// goes on.
#[derive(Debug, Clone, PartialEq)]
pub struct Fallen {
    pub detector: String,
    pub generation: u64,
    pub mode: Mode,
    pub fault: Fault,
}

/// One of those who are not heard, as it failed.
pub struct Fell {
    pub role: HiddenRole,
    pub deployment: Arc<Deployment>,
    pub fault: Fault,
}

/// Whoever fails is let go.
pub fn tend(hidden: &mut Vec<Hidden>, mut work: impl FnMut(&mut Hidden) -> Result<(), Fault>) -> Vec<Fell> {
    let mut fell = Vec::new();
    let mut at = 0;
    while at < hidden.len() {
        match work(&mut hidden[at]) {
            Ok(()) => at += 1,
            Err(fault) => {
                let Hidden { seat, role } = hidden.remove(at);
                fell.push(Fell { role, deployment: seat.deployment, fault });
            }
        }
    }
    fell
}

impl Lane {
    /// Those that have failed since last asked.
    pub fn take_fallen(&mut self) -> Vec<Fallen> {
        std::mem::take(&mut self.fallen)
    }

    /// Whoever of them fails is let go: nobody hears them.
    pub(super) fn for_each_hidden(
        &mut self,
        mut work: impl FnMut(&mut Hidden, &Surroundings<'_>) -> Result<(), Fault>,
    ) -> Result<(), LaneError> {
        let quantities = self.decoder.quantities();
        let surroundings = Surroundings { sensors: &self.sensors, quantities };
        let fell = tend(&mut self.hidden, |hidden| work(hidden, &surroundings));
        self.note_fell(fell)
    }

    /// They are gone. That a shadow is, is a decision: what it knew may have been what another one begins with.
    pub(super) fn note_fell(&mut self, fell: Vec<Fell>) -> Result<(), LaneError> {
        for Fell { role, deployment, fault } in fell {
            let (detector, generation) = (deployment.name.clone(), deployment.generation);
            if let Some(position) = self.needs(&role, &deployment) {
                return Err(self.not_again(&detector, position, fault.to_string()));
            }
            match role {
                HiddenRole::Candidate => {
                    tracing::warn!(detector, generation, "has failed before it took its place: {fault}");
                }
                HiddenRole::Warm => {
                    tracing::warn!(detector, generation, "is not kept warm any longer: {fault}");
                }
                HiddenRole::Shadow(_) => {
                    tracing::error!(detector, generation, "has failed as a shadow and is taken out: {fault}");
                    if !self.is_unshaded_later(&detector) {
                        let position = self.next.max(self.replay.silent_until);
                        self.decide_at(position, What::Unshade { detector: detector.clone() });
                    }
                    self.fallen.push(Fallen { detector, generation, mode: Mode::Shadow, fault });
                }
            }
        }
        Ok(())
    }

    /// What an earlier life decided cannot be done again.
    pub(super) fn not_again(&self, detector: &str, position: Position, what: String) -> LaneError {
        LaneError::NotAgain { lane: self.name.clone(), detector: detector.to_owned(), position, what }
    }

    /// Where an earlier life has decided something that needs this one.
    fn needs(&self, role: &HiddenRole, deployment: &Deployment) -> Option<Position> {
        let detector = deployment.name.as_str();
        let sits = self.seat_of(detector).map(|at| self.seats[at].fingerprint.as_str());
        for Decision { position, what } in self.decided_of(detector) {
            let is_needed = match (role, what) {
                (HiddenRole::Candidate, What::Swap { generation, .. } | What::Shadow { generation, .. }) => {
                    *generation == deployment.generation
                }
                (HiddenRole::Candidate, What::Prepare { .. }) => return None,
                (HiddenRole::Warm, What::Back { .. } | What::FallBack { .. }) => true,
                // Who takes a seat with the same module, parameters and limits leaves the way back as it is.
                (HiddenRole::Warm, What::Swap { generation, .. } | What::Promote { generation, .. }) => {
                    let comes = self.of_the_past(detector, *generation);
                    if comes.is_none_or(|comes| sits != Some(comes.fingerprint().as_str())) {
                        return None;
                    }
                    false
                }
                (HiddenRole::Shadow(_), What::Promote { .. }) => true,
                (HiddenRole::Shadow(_), What::Prepare { .. }) => sits.is_none(),
                (HiddenRole::Shadow(_), What::Unshade { .. } | What::Shadow { .. }) => return None,
                (_, What::Remove { .. }) => return None,
                _ => false,
            };
            if is_needed {
                return Some(*position);
            }
        }
        None
    }

    fn is_unshaded_later(&self, detector: &str) -> bool {
        let mut decided = self.decided_of(detector);
        let ends = decided.find(|decision| {
            matches!(decision.what, What::Unshade { .. } | What::Shadow { .. } | What::Remove { .. })
        });
        ends.is_some_and(|decision| matches!(decision.what, What::Unshade { .. }))
    }

    /// What an earlier life has decided of that detector, and was not come to yet.
    fn decided_of(&self, detector: &str) -> impl Iterator<Item = &Decision> {
        self.replay.decisions.iter().filter(move |decision| decision.what.detector() == Some(detector))
    }
}
