//! Batches, ticks and changes reach all who sit in the lane, and whoever fails is out.

use std::collections::VecDeque;

use gridwatch_core::Timestamp;
use gridwatch_core::finding::Finding;
use gridwatch_core::judge::Fault;
use gridwatch_core::record::Position;
use gridwatch_core::sensors::{Attributes, SensorTable};

use super::apprentice::Event;
use super::faults::{Judged, Out};
use super::publisher::{Cause, Said};
use super::seat::{Life, Seat};
use super::{Lane, LaneError};

impl Lane {
    pub(super) fn judge_batch(&mut self) -> Result<(), LaneError> {
        if let Some(witness) = self.witness.take() {
            return self.show_batch(witness);
        }
        let first = self.batch.position(0);
        let live = self.is_live(first);
        self.relive_at_batch(first)?;
        self.recent.batch(&self.batch);
        let mut found: Vec<(usize, Finding)> = Vec::new();
        let mut outs = VecDeque::new();
        for at in 0..self.seats.len() {
            let Judged { findings, mut out } = self.judge_seat(at, live);
            found.extend(findings.into_iter().map(|finding| (at, finding)));
            if let Some(out) = &mut out {
                let instead = self.stand_in(at, out);
                found.extend(instead.into_iter().map(|finding| (at, finding)));
            }
            outs.extend(out.map(|out| (at, out)));
        }
        self.record_batch();
        // By row, then by detector: an order that no cut of batches can change. Whoever failed is out from a row on,
        // before the others speak of that.
        found.sort_by_key(|(_, finding)| finding.row);
        self.judge_hidden(None, &found, live)?;
        outs.make_contiguous().sort_by_key(|(_, out)| out.row);
        let rows = self.batch.rows();
        let judged: Vec<usize> = (0..self.seats.len()).map(|at| self.rows_judged(at, &outs)).collect();
        let mut said = Said::default();
        for (at, finding) in found {
            let row = finding.row as usize;
            while let Some((at, out)) = outs.pop_front_if(|(_, out)| out.row <= row) {
                self.leave_batch(at, out)?;
            }
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
        for (at, out) in outs {
            self.leave_batch(at, out)?;
        }
        if live {
            self.account.pending -= rows as u64;
            self.account.judged += rows as u64;
            for (seat, judged) in self.seats.iter().zip(judged).filter(|(_, judged)| *judged < rows) {
                let skipped = self.account.skipped.entry(seat.deployment.name.clone()).or_default();
                *skipped += (rows - judged) as u64;
            }
            self.count_skipped();
        }
        self.skips.clear();
        self.batch.clear();
        Ok(())
    }

    /// For the candidate that is under way, which is not shown what the like of it fails on.
    fn record_batch(&mut self) {
        let Some(tape) = &self.tape else { return };
        let event = match self.rows_for(&tape.detector, Some(&tape.fingerprint)) {
            None => self.batch.copy(),
            Some(rows) if rows.is_empty() => return,
            Some(rows) => self.batch.part(&rows),
        };
        self.record(|_| Event::Batch(event));
    }

    /// So many of the batch's rows came before the detector was out.
    fn rows_judged(&self, at: usize, outs: &VecDeque<(usize, Out)>) -> usize {
        match (&self.seats[at].life, outs.iter().find(|(of, _)| *of == at)) {
            (Life::Quarantined { .. }, _) => 0,
            (_, Some((_, out))) if out.stead.as_ref().is_none_or(|stead| stead.out.is_some()) => out.row,
            _ => self.batch.rows(),
        }
    }

    pub(super) fn advance(
        &mut self,
        watermark: Timestamp,
        position: Position,
        live: bool,
    ) -> Result<(), LaneError> {
        if self.withheld.is_some_and(|(tick, from)| watermark == tick && self.next >= from) {
            return Ok(());
        }
        let mut said = Said::default();
        let cause = Cause { sensor: None, row: None, position, occasion: watermark as u64, live };
        let mut found: Vec<(usize, Finding)> = Vec::new();
        for at in 0..self.seats.len() {
            if self.suspend_at_tick(at)? {
                continue;
            }
            self.watch_before(at, position);
            let mut answer = self.seats[at].advance(watermark, &self.sensors);
            self.watch_tick(at, watermark, &answer);
            let mut kept = None;
            if let Err(fault) = &answer {
                let fault = fault.clone();
                if !live
                    && self.recipe.is_some()
                    && let Ok(findings) = self.advance_again(at, watermark)
                {
                    answer = Ok(findings);
                } else if let Some(mut stead) = self.take_stead(at) {
                    self.count_fault(at, &fault);
                    kept = stead.save(self.decoder.quantities()).ok();
                    self.fall_back(at, stead, &fault, self.next, true)?;
                    answer = self.seats[at].advance(watermark, &self.sensors);
                }
            }
            match answer {
                Ok(findings) => {
                    findings.iter().for_each(|finding| self.publish(at, finding, cause, &mut said));
                    found.extend(findings.into_iter().map(|finding| (at, finding)));
                }
                Err(fault) => {
                    let kept = self.known_before(at, self.next, Some(watermark)).or(kept);
                    self.count_fault(at, &fault);
                    self.suspend(at, &fault, self.next, kept)?;
                }
            }
        }
        self.told = Some(watermark);
        self.record(|_| Event::Advance(watermark));
        self.recent.tick(watermark);
        self.judge_hidden(Some(watermark), &found, live)
    }

    pub(super) fn requantify(&mut self) -> Result<(), LaneError> {
        self.flush()?;
        let quantities = self.decoder.quantities().to_vec();
        self.recent.clear();
        self.batch.set_quantities(quantities.len());
        let time = self.tick;
        self.record(|_| Event::Quantities(quantities.clone()));
        self.for_each_hidden(|hidden, lane| hidden.seat.requantify(lane.quantities, lane.sensors, time))?;
        self.for_each_seat(|seat, sensors| seat.requantify(&quantities, sensors, time))
    }

    /// A known sensor has other attributes from here on. Between batches.
    pub(super) fn change_attributes(&mut self, sensor: u32, attributes: Attributes) -> Result<(), LaneError> {
        self.record(|_| Event::Attributes(sensor, attributes.clone()));
        self.sensors.set_attributes(sensor, attributes);
        self.for_each_hidden(|hidden, lane| hidden.seat.change(lane.sensors, sensor))?;
        self.for_each_seat(|seat, sensors| seat.change(sensors, sensor))
    }

    /// Between batches: who fails is quarantined before the record in hand.
    pub(super) fn for_each_seat(
        &mut self,
        work: impl Fn(&mut Seat, &SensorTable) -> Result<(), Fault>,
    ) -> Result<(), LaneError> {
        for at in 0..self.seats.len() {
            if let Err(fault) = work(&mut self.seats[at], &self.sensors) {
                self.leave(at, &fault)?;
            }
        }
        Ok(())
    }
}

/// A reason becomes part of a decision, and those travel in every commit.
pub(super) fn shortened(mut reason: String) -> String {
    const REASON_BYTES_MAX: usize = 300;
    if reason.len() > REASON_BYTES_MAX {
        reason.truncate(reason.floor_char_boundary(REASON_BYTES_MAX));
        reason.push('…');
    }
    reason
}
