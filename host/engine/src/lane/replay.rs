//! Decisions of an earlier life, applied again where they stood.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use gridwatch_core::checkpoint::DetectorState;
use gridwatch_core::decision::{Decision, What};
use gridwatch_core::record::Position;
use gridwatch_core::sink::Delivery;

use super::quarantine::is_failure;
use super::succession::is_warm;
use super::{Lane, LaneError};
use crate::deployment::Deployment;
use crate::settings::LaneSettings;

/// What is still to be lived again in silence.
#[derive(Default)]
pub(super) struct Replay {
    pub(super) active: bool,
    /// Output for records before this was published by an earlier life.
    pub(super) silent_until: Position,
    pub(super) decisions: VecDeque<Decision>,
    /// Settings to change to when the replay is over.
    pub(super) settings: Option<LaneSettings>,
    /// Sensors are to be given their assets anew then.
    pub(super) assets_changed: bool,
    /// Detectors that run no more; their open episodes are to be cleared then.
    pub(super) gone: Vec<DetectorState>,
    /// Detectors whose episodes an earlier life has cleared already.
    pub(super) closed: Vec<String>,
    /// What the decisions name, as far as it is still to be had.
    pub(super) deployments: BTreeMap<(String, u64), Arc<Deployment>>,
    /// What ran once can be had: decisions are about that, and not about what is there today.
    pub(super) has_roster: bool,
}

/// Whether it may be about one that ran before and was kept warm.
pub(crate) fn may_need_warm(what: &What) -> bool {
    !is_of_the_live_one(what)
        && !matches!(
            what,
            What::Prepare { .. } | What::Swap { .. } | What::Shadow { .. } | What::Promote { .. }
        )
}

/// Surely about the one that is heard, and nobody else.
pub(crate) fn is_of_the_live_one(what: &What) -> bool {
    matches!(
        what,
        What::Skip { .. }
            | What::Quarantine { .. }
            | What::Suspend { .. }
            | What::Release { .. }
            | What::Closed { .. }
            | What::Remove { .. }
    )
}

impl Lane {
    /// Applies the decisions of an earlier life that stand at or before `position`, and ends the replay.
    #[inline]
    pub(super) fn relive(&mut self, position: Position) -> Result<(), LaneError> {
        // Asked twice a reading, and for all but the first ones nothing is left.
        let is_over = !self.replay.active && self.replay.decisions.is_empty() && self.hidden.is_empty();
        if is_over { Ok(()) } else { self.relive_further(position) }
    }

    fn relive_further(&mut self, position: Position) -> Result<(), LaneError> {
        while self.replay.decisions.front().is_some_and(|decision| decision.position <= position) {
            self.flush()?;
            // What follows from it is to be said as it was said then: with the record at it in hand.
            // One whose record was none to judge, and is past, waits for nothing any more.
            let is_due_later = |decision: &Decision| {
                is_failure(decision) && self.comes_again(decision.position) && decision.position >= self.next
            };
            if self.replay.decisions.front().is_some_and(is_due_later) {
                break;
            }
            // The flush may have taken the one that was due. One about a reading waits for that.
            let is_due = |decision: &mut Decision| {
                let waits = matches!(decision.what, What::Skip { .. }) && decision.position >= self.next;
                decision.position <= position && !waits
            };
            let Some(decision) = self.replay.decisions.pop_front_if(is_due) else { break };
            let live = self.comes_again(decision.position);
            self.chronicle.note(decision.clone());
            match decision.what {
                what @ (What::Quarantine { .. } | What::Suspend { .. }) => {
                    self.suspend_again(what, decision.position, live);
                }
                What::Release { detector, is_cold } => {
                    self.release_again(&detector, is_cold, decision.position, live)?;
                }
                What::Closed { detector } if !live => self.replay.closed.push(detector),
                What::Closed { .. } => {}
                What::IdleTick { time } => self.pass_time(time, decision.position, live)?,
                What::Prepare { detector, generation } => self.prepare_again(&detector, generation)?,
                What::Swap { detector, generation } => {
                    self.swap_again(&detector, generation, decision.position, live)?;
                }
                What::Shadow { detector, generation } => {
                    self.shadow_again(&detector, generation, decision.position)?;
                }
                What::Unshade { detector } => self.unshade_again(&detector),
                What::Rename { detector, generation } => {
                    self.rename_again(&detector, generation, decision.position)?;
                }
                What::FallBack { detector, generation, reason, .. } => {
                    self.fall_back_again((&detector, generation, reason), decision.position, live)?;
                }
                What::Recall { detector } => self.find_out_again(&detector, decision.position)?,
                What::Promote { detector, generation } => {
                    self.promote_again(&detector, generation, decision.position, live)?;
                }
                What::Back { detector, generation } => {
                    self.back_again(&detector, generation, decision.position, live)?;
                }
                What::Remove { detector, is_kept } => {
                    self.vacate(&detector, is_kept, decision.position, live)?;
                }
                // Taken apart from the others: on resuming, and with the record in hand.
                What::SchemaUnknown { .. } | What::SchemaKnown { .. } | What::Skip { .. } => {}
            }
        }
        if position >= self.replay.silent_until {
            self.end_replay()?;
            if self.replay.decisions.is_empty() {
                self.end_candidacies();
            }
        }
        Ok(())
    }

    /// Judges what is waiting and applies what stands at or before `position`, up to which there are no more readings.
    pub fn relive_up_to(&mut self, position: Position) -> Result<(), LaneError> {
        self.relive(position)?;
        self.flush()
    }

    /// Who is kept warm, and does not take the seat again in what is still to be lived, leaves: for who lives a past
    /// again, and not for a lane.
    pub(crate) fn let_go_idlers(&mut self) {
        let Lane { hidden, replay, .. } = self;
        hidden.retain(|hidden| {
            let name = hidden.seat.deployment.name.as_str();
            let mut to_come = replay.decisions.iter().map(|decision| &decision.what);
            !is_warm(&hidden.role) || to_come.any(|what| what.detector() == Some(name) && may_need_warm(what))
        });
    }

    /// Those of an earlier life that stand at the batch in hand, and whose consequences are to be said again.
    pub(super) fn relive_at_batch(&mut self, first: Position) -> Result<(), LaneError> {
        while let Some(decision) =
            self.replay.decisions.pop_front_if(|decision| decision.position <= first && is_failure(decision))
        {
            self.chronicle.note(decision.clone());
            let position = decision.position;
            match decision.what {
                What::FallBack { detector, generation, reason, .. } => {
                    self.fall_back_again((&detector, generation, reason), position, true)?;
                }
                what => self.suspend_again(what, position, true),
            }
        }
        Ok(())
    }

    /// Those of an earlier life that were not come to yet: what is saved now knows nothing of them.
    pub fn decisions_ahead(&self) -> Vec<Decision> {
        self.replay.decisions.iter().chain(self.schooling.ahead()).cloned().collect()
    }

    /// Where messages come again, a decision was committed before what follows from it was published.
    pub(super) fn comes_again(&self, position: Position) -> bool {
        self.delivery == Delivery::AtLeastOnce && self.is_live(position)
    }
}
