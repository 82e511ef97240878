//! Batches, ticks and changes reach all who sit in the lane, and whoever fails is out.

use gridwatch_core::Timestamp;
use gridwatch_core::decision::{Decision, What};
use gridwatch_core::finding::Finding;
use gridwatch_core::judge::Fault;
use gridwatch_core::record::Position;
use gridwatch_core::sensors::{Attributes, SensorTable};

use super::apprentice::Event;
use super::publisher::{Cause, Said};
use super::seat::{Life, Seat};
use super::{Lane, LaneError};
use crate::deployment::OnFault;

impl Lane {
    pub(super) fn judge_batch(&mut self) -> Result<(), LaneError> {
        if let Some(witness) = self.witness.take() {
            return self.show_batch(witness);
        }
        let first = self.batch.position(0);
        let live = self.is_live(first);
        self.relive_at_batch(first);
        self.record(|lane| Event::Batch(lane.batch.copy()));
        self.recent.batch(&self.batch);
        let mut found: Vec<(usize, Finding)> = Vec::new();
        let mut faults = Vec::new();
        for (at, seat) in self.seats.iter_mut().enumerate() {
            match seat.observe(&self.batch, &self.sensors) {
                Ok(findings) => found.extend(findings.into_iter().map(|finding| (at, finding))),
                Err(fault) => faults.push((at, fault)),
            }
        }
        // Whoever failed is out from the batch's first row on, before the others speak of its rows.
        for (at, fault) in faults {
            self.quarantine(at, &fault, first)?;
        }
        // By row, then by detector: an order that no cut of batches can change.
        found.sort_by_key(|(_, finding)| finding.row);
        let rows = self.batch.rows() as u64;
        let mut said = Said::default();
        for (at, finding) in found {
            let row = finding.row as usize;
            said.turn_to(row);
            let cause = Cause {
                sensor: Some(self.batch.sensor(row)),
                row: Some(row),
                position: self.batch.position(row),
                occasion: u64::from(self.batch.disorder(row)),
                live,
            };
            self.publish(at, &finding, cause, &mut said);
        }
        self.for_each_hidden(|seat, lane| seat.observe_silently(lane.batch, lane.sensors, lane.quantities));
        if live {
            self.account.pending -= rows;
            self.account.judged += rows;
            for seat in &self.seats {
                if matches!(seat.life, Life::Quarantined { .. }) {
                    *self.account.skipped.entry(seat.deployment.name.clone()).or_default() += rows;
                }
            }
        }
        self.batch.clear();
        Ok(())
    }

    pub(super) fn advance(
        &mut self,
        watermark: Timestamp,
        position: Position,
        live: bool,
    ) -> Result<(), LaneError> {
        let mut said = Said::default();
        let cause = Cause { sensor: None, row: None, position, occasion: watermark as u64, live };
        for at in 0..self.seats.len() {
            match self.seats[at].advance(watermark, &self.sensors) {
                Ok(findings) => {
                    findings.iter().for_each(|finding| self.publish(at, finding, cause, &mut said))
                }
                Err(fault) => self.quarantine(at, &fault, self.next)?,
            }
        }
        self.record(|_| Event::Advance(watermark));
        self.recent.tick(watermark);
        self.for_each_hidden(|seat, lane| seat.advance_silently(watermark, lane.sensors, lane.quantities));
        Ok(())
    }

    pub(super) fn requantify(&mut self) -> Result<(), LaneError> {
        self.flush()?;
        let quantities = self.decoder.quantities().to_vec();
        self.recent.clear();
        self.batch.set_quantities(quantities.len());
        let time = self.tick;
        self.record(|_| Event::Quantities(quantities.clone()));
        self.for_each_hidden(|seat, lane| seat.requantify(lane.quantities, lane.sensors, time));
        self.for_each_seat(|seat, sensors| seat.requantify(&quantities, sensors, time))
    }

    /// A known sensor has other attributes from here on. Between batches.
    pub(super) fn change_attributes(&mut self, sensor: u32, attributes: Attributes) -> Result<(), LaneError> {
        self.record(|_| Event::Attributes(sensor, attributes.clone()));
        self.sensors.set_attributes(sensor, attributes);
        self.for_each_hidden(|seat, lane| seat.change(lane.sensors, sensor));
        self.for_each_seat(|seat, sensors| seat.change(sensors, sensor))
    }

    /// Between batches: who fails is quarantined before the record in hand.
    pub(super) fn for_each_seat(
        &mut self,
        work: impl Fn(&mut Seat, &SensorTable) -> Result<(), Fault>,
    ) -> Result<(), LaneError> {
        for at in 0..self.seats.len() {
            if let Err(fault) = work(&mut self.seats[at], &self.sensors) {
                self.quarantine(at, &fault, self.next)?;
            }
        }
        Ok(())
    }

    /// The detector judges no more from `position` on. In a replay the decision may have been made
    /// already, a little later; it is the same one.
    pub(super) fn quarantine(
        &mut self,
        at: usize,
        fault: &Fault,
        position: Position,
    ) -> Result<(), LaneError> {
        let detector = self.seats[at].deployment.name.clone();
        if self.seats[at].deployment.on_fault == OnFault::Halt {
            return Err(LaneError::Halt { lane: self.name.clone(), detector, fault: fault.clone() });
        }
        let is_of_detector = |decision: &Decision| matches!(&decision.what, What::Quarantine { detector: name, .. } if *name == detector);
        tracing::error!(lane = self.name, detector, position, fault = fault.label(), "quarantined: {fault}");
        let reason = shortened(fault.to_string());
        let known = self.replay.decisions.iter().any(is_of_detector);
        // What was published up to the committed position stays so: a new decision comes after it.
        let position = position.max(self.replay.silent_until);
        if known {
            let decisions = std::mem::take(&mut self.replay.decisions);
            let (ours, others): (Vec<_>, Vec<_>) = decisions.into_iter().partition(is_of_detector);
            ours.into_iter().for_each(|decision| self.chronicle.note(decision));
            self.replay.decisions = others.into();
        } else {
            let fingerprint = self.seats[at].fingerprint.clone();
            let what = What::Quarantine { detector, fingerprint, reason: reason.clone() };
            self.decide_at(position, what);
        }
        *self.seats[at].faults.entry(fault.label()).or_default() += 1;
        self.close(at, reason, position, !known || self.comes_again(position));
        Ok(())
    }
}

/// A reason becomes part of a decision, and those travel in every commit.
fn shortened(mut reason: String) -> String {
    const REASON_BYTES_MAX: usize = 300;
    if reason.len() > REASON_BYTES_MAX {
        reason.truncate(reason.floor_char_boundary(REASON_BYTES_MAX));
        reason.push('…');
    }
    reason
}
