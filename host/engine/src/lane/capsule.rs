//! Capsules of what happens in a lane.

use std::sync::Arc;

use gridwatch_core::Timestamp;
use gridwatch_core::capsule::{Capsule, Columns, Knowledge, Step, StepCall, name_of};
use gridwatch_core::checkpoint::DetectorState;
use gridwatch_core::finding::Finding;
use gridwatch_core::judge::Fault;
use gridwatch_core::reading::Quantity;
use gridwatch_core::record::Position;

use super::Lane;
use super::builder::{Builder, Gathered};
use crate::deployment::Deployment;

/// One that would be larger holds only the sensors of its readings: a lane's are many, and a detector seldom looks from
/// one at another.
const CAPSULE_BYTES_MAX: usize = 4 << 20;

/// A capsule on its way to the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedCapsule {
    pub name: String,
    pub bytes: Vec<u8>,
}

/// What of a batch a detector was shown before it failed, and what it found of that.
pub(super) struct Shown<'a> {
    pub rows: &'a [usize],
    pub findings: &'a [Finding],
}

impl Lane {
    /// What was made since last asked.
    pub fn take_capsules(&mut self) -> Vec<NamedCapsule> {
        std::mem::take(&mut self.capsules)
    }

    /// A detector that knew `before` and was shown these rows has failed on the next one. Answers with the capsule's
    /// digest; empty where there can be none.
    pub(super) fn encapsulate(
        &mut self,
        deployment: &Arc<Deployment>,
        before: &DetectorState,
        tick: Option<Timestamp>,
        shown: &Shown<'_>,
        (row, fault): (usize, &Fault),
    ) -> String {
        let chosen = self.chosen_by(before);
        let mut steps = Vec::new();
        let rows: Vec<usize> = shown.rows.iter().copied().filter(|shown| *shown < row).collect();
        if !rows.is_empty() {
            let columns = columns_of(&self.batch.part(&rows), &chosen);
            let of_part = |found: &Finding| {
                let row = rows.binary_search(&(found.row as usize)).ok()?;
                Some(Finding { row: row as u32, ..found.clone() })
            };
            let outcome = Ok(shown.findings.iter().filter_map(of_part).collect());
            steps.push(Step { call: StepCall::Observe(columns), outcome });
        }
        let columns = columns_of(&self.batch.part(&[row]), &chosen);
        steps.push(Step { call: StepCall::Observe(columns), outcome: Err(fault.clone()) });
        let mut capsule = self.capsule(deployment, before, tick, steps);
        if capsule.estimated_bytes() > CAPSULE_BYTES_MAX {
            capsule.leave_out_others();
        }
        match capsule.seal() {
            Ok(sealed) => {
                let time = self.clock.time().unwrap_or_else(|| self.batch.timestamp(row));
                let name = name_of(&self.name, Some(time), &sealed.digest);
                self.capsules.push(NamedCapsule { name, bytes: sealed.bytes });
                sealed.digest
            }
            Err(error) => {
                tracing::warn!(lane = self.name, detector = deployment.name, "no capsule: {error}");
                String::new()
            }
        }
    }

    pub(super) fn capsule(
        &self,
        deployment: &Deployment,
        before: &DetectorState,
        tick: Option<Timestamp>,
        steps: Vec<Step>,
    ) -> Capsule {
        Capsule {
            detector: deployment.name.clone(),
            lane: self.name.clone(),
            module: deployment.module.digest().to_owned(),
            module_bytes: None,
            parameters: deployment.parameters.clone(),
            limits: deployment.limits,
            quantities: self.quantities_judged().to_vec(),
            sensors: (0..self.sensors.len() as u32).map(|sensor| self.sensors.sensor(sensor)).collect(),
            before: Some(Knowledge { saved: before.saved.clone(), states: before.states.clone() }),
            tick,
            steps,
            anomalies: Vec::new(),
        }
    }

    /// Those that the batch in hand may have, where there is one: more may be known by now.
    pub(super) fn quantities_judged(&self) -> &[Quantity] {
        let quantities = self.decoder.quantities();
        &quantities[..self.batch.quantities().min(quantities.len())]
    }

    /// Indices into the lane's quantities of those that a detector had chosen when it was saved.
    fn chosen_by(&self, state: &DetectorState) -> Vec<u32> {
        let quantities = self.decoder.quantities();
        let index = |name: &String| quantities.iter().position(|quantity| quantity.name == *name);
        state.saved.quantities.iter().filter_map(index).map(|index| index as u32).collect()
    }
}

pub(super) fn columns_of(batch: &Builder, chosen: &[u32]) -> Columns {
    let mut gathered = Gathered::default();
    let positions = (0..batch.rows()).map(|row| batch.position(row)).collect();
    Columns::of(&batch.view(chosen, &mut gathered), positions)
}

/// What one detector does from a position on is written down.
pub(super) struct Watched {
    detector: String,
    from: Position,
    before: Option<(DetectorState, Option<Timestamp>)>,
    steps: Vec<Step>,
}

impl Lane {
    /// What the detector does from `from` on is written down, for a capsule.
    pub(crate) fn watch(&mut self, detector: &str, from: Position) {
        let detector = detector.to_owned();
        self.watched = Some(Watched { detector, from, before: None, steps: Vec::new() });
    }

    /// What was written down; None where nothing was.
    pub(crate) fn take_watched(&mut self) -> Option<Capsule> {
        let Watched { detector, before, steps, .. } = self.watched.take()?;
        let (before, tick) = before?;
        let at = self.seat_of(&detector)?;
        let deployment = self.seats[at].deployment.clone();
        Some(self.capsule(&deployment, &before, tick, steps))
    }

    /// Before the seat is asked something at `position`.
    pub(super) fn watch_before(&mut self, at: usize, position: Position) {
        let seat = &mut self.seats[at];
        let quantities = &self.decoder.quantities()[..self.batch.quantities()];
        if let Some(watched) = &mut self.watched
            && watched.detector == seat.deployment.name
            && position >= watched.from
            && watched.before.is_none()
        {
            watched.before = seat.save(quantities).ok().map(|state| (state, self.told));
        }
    }

    pub(super) fn watch_batch(&mut self, at: usize, outcome: &Result<Vec<Finding>, Fault>) {
        let seat = &self.seats[at];
        if let Some(watched) = &mut self.watched
            && watched.before.is_some()
            && watched.detector == seat.deployment.name
        {
            let call = StepCall::Observe(columns_of(&self.batch, &seat.chosen));
            watched.steps.push(Step { call, outcome: outcome.clone() });
        }
    }

    pub(super) fn watch_tick(
        &mut self,
        at: usize,
        watermark: Timestamp,
        outcome: &Result<Vec<Finding>, Fault>,
    ) {
        let seat = &self.seats[at];
        if let Some(watched) = &mut self.watched
            && watched.before.is_some()
            && watched.detector == seat.deployment.name
        {
            watched.steps.push(Step { call: StepCall::Advance(watermark), outcome: outcome.clone() });
        }
    }
}
