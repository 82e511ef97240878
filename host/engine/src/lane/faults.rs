//! A detector that failed: rebuilt from the lane's history and shown reading by reading what it failed on. The one that
//! trips it is not shown to it any more, and all else is as if that had never been.

use std::sync::Arc;

use gridwatch_core::Timestamp;
use gridwatch_core::checkpoint::DetectorState;
use gridwatch_core::dead_letter::DeadLetter;
use gridwatch_core::decision::{Decision, What};
use gridwatch_core::finding::Finding;
use gridwatch_core::judge::{Call, Fault};
use gridwatch_core::reading::{Quantity, Reason, Rejection};
use gridwatch_core::record::{Headers, Position, Record, RecordMeta};
use gridwatch_core::sensors::SensorTable;
use gridwatch_core::sink::Outgoing;

use super::builder::Builder;
use super::capsule::Shown;
use super::judging::shortened;
use super::seat::{Life, Seat};
use super::way_back::Stead;
use super::{Lane, LaneParts};
use crate::deployment::Deployment;
use crate::history::{History, HistoryError, PastRecord, Patience, Reliving, Stretch};

/// A detector may fail so long ago (event time) and it does not count any more.
const FAULTS_WINDOW_MS: i64 = 600_000;
/// Of one batch, whatever `faults_max` allows: each is a rebuild, a dead letter and a decision.
const BLAMED_MAX: usize = 64;

/// How a batch went for one detector.
pub(super) struct Judged {
    /// Of the rows before `out`, in their order.
    pub findings: Vec<Finding>,
    pub out: Option<Out>,
}

/// From this row on the detector judges no more.
pub(super) struct Out {
    pub row: usize,
    pub fault: Fault,
    /// What it knew before that row, if that could be found out.
    pub kept: Option<DetectorState>,
    /// Who takes the seat there.
    pub stead: Option<Stead>,
}

/// A reading that a detector is not shown.
pub(super) struct Skipped {
    position: Position,
    detector: String,
    /// Of the module, parameters and limits that failed on it.
    fingerprint: String,
}

/// A seat as it was before a batch.
struct Rebuilt {
    deployment: Arc<Deployment>,
    start: DetectorState,
    quantities: Vec<Quantity>,
    tick: Option<Timestamp>,
    reliving: Reliving,
}

impl Lane {
    /// The batch for the seat, without what it is not to be shown. Where it fails, what can be saved of it is.
    pub(super) fn judge_seat(&mut self, at: usize, live: bool) -> Judged {
        let seat = &self.seats[at];
        let shown = self.rows_for(&seat.deployment.name, Some(&seat.fingerprint));
        self.watch_before(at, self.batch.position(0));
        let seat = &mut self.seats[at];
        let judged = match &shown {
            None => seat.observe(&self.batch, &self.sensors),
            Some(rows) => seat.observe_rows(&self.batch, rows, &self.sensors),
        };
        self.watch_batch(at, &judged);
        let fault = match judged {
            Ok(findings) => return Judged { findings, out: None },
            Err(fault) => fault,
        };
        let rows = shown.unwrap_or_else(|| (0..self.batch.rows()).collect());
        // In silence it is known already what became of it: what is not known is bad luck, and does not come again.
        let searched = self.recipe.is_some().then(|| match live {
            true => self.search(at, &fault, &rows),
            false => self.judge_again(at, &rows),
        });
        let error = match searched {
            Some(Ok(judged)) => return judged,
            Some(Err(error)) => Some(error),
            None => None,
        };
        if let Some(error) = error {
            let detector = &self.seats[at].deployment.name;
            tracing::warn!(lane = self.name, detector, "what it failed on cannot be searched for: {error}");
        }
        self.count_fault(at, &fault);
        Judged { findings: Vec::new(), out: Some(Out { row: 0, fault, kept: None, stead: None }) }
    }

    /// Of the batch in hand; see `rows_shown`.
    pub(super) fn rows_for(&self, detector: &str, like: Option<&str>) -> Option<Vec<usize>> {
        rows_shown(&self.skips, &self.batch, detector, like)
    }

    /// The batch once more, for the detector as it was before.
    fn judge_again(&mut self, at: usize, rows: &[usize]) -> Result<Judged, HistoryError> {
        let (mut seat, _) = self.rebuilt(at, self.batch.position(0), None, self.patience())?;
        let findings = seat.observe_rows(&self.batch, rows, &self.sensors);
        let findings = findings.map_err(|fault| HistoryError::Differs { what: fault.to_string() })?;
        self.seats[at].take_over(seat);
        Ok(Judged { findings, out: None })
    }

    /// The tick once more, likewise.
    pub(super) fn advance_again(
        &mut self,
        at: usize,
        watermark: Timestamp,
    ) -> Result<Vec<Finding>, HistoryError> {
        let (mut seat, _) = self.rebuilt(at, self.next, Some(watermark), self.patience())?;
        let findings = seat.advance(watermark, &self.sensors);
        let findings = findings.map_err(|fault| HistoryError::Differs { what: fault.to_string() })?;
        self.seats[at].take_over(seat);
        Ok(findings)
    }

    /// Rows of the batch that a detector was not shown.
    pub(super) fn count_skipped(&mut self) {
        let rows = self.batch.rows();
        for skipped in std::mem::take(&mut self.skips) {
            if (0..rows).any(|row| self.batch.position(row) == skipped.position) {
                *self.account.skipped.entry(skipped.detector).or_default() += 1;
            }
        }
    }

    /// Shows the rebuilt detector each row by itself.
    fn search(&mut self, at: usize, fault: &Fault, rows: &[usize]) -> Result<Judged, HistoryError> {
        let patience = self.patience();
        let (mut seat, mut past) = self.rebuilt(at, self.batch.position(0), None, patience)?;
        let out_at = |row: usize, fault: &Fault, findings, kept| Judged {
            findings,
            out: Some(Out { row, fault: fault.clone(), kept, stead: None }),
        };
        if fault.call() != Call::Observe {
            self.count_fault(at, fault);
            return Ok(out_at(0, fault, Vec::new(), Some(past.start)));
        }
        let (mut findings, mut good, mut blamed) = (Vec::new(), Vec::new(), Vec::new());
        let mut out = None;
        for &row in rows {
            let shown = seat.observe_rows(&self.batch, &[row], &self.sensors);
            // Who fails may have taken its whole deadline over it, and is rebuilt for what comes next.
            if patience.check().is_err() {
                self.count_fault(at, fault);
                return Ok(out_at(0, fault, Vec::new(), Some(past.start)));
            }
            let again = match shown {
                Ok(found) => {
                    findings.extend(found);
                    good.push(row);
                    continue;
                }
                Err(again) => again,
            };
            seat = past.again(&self.batch, &good, &self.sensors)?;
            let faults_max = self.seats[at].deployment.faults_max;
            if self.count_fault(at, &again) > faults_max || blamed.len() >= BLAMED_MAX {
                let kept = seat.save(&past.quantities).ok();
                out = Some(Out { row, fault: again, kept, stead: None });
                break;
            }
            blamed.push((row, again));
        }
        if blamed.is_empty() && out.is_none() {
            if self.count_fault(at, fault) > self.seats[at].deployment.faults_max {
                return Ok(out_at(0, fault, Vec::new(), Some(past.start)));
            }
            let detector = &self.seats[at].deployment.name;
            tracing::warn!(
                lane = self.name,
                detector,
                "has failed, and does not when it is shown the same again reading by reading: it goes on: {fault}"
            );
        }
        for (row, fault) in blamed {
            let shown = Shown { rows: &good, findings: &findings };
            self.skip(at, (row, &fault), &mut past, &shown, patience);
        }
        self.seats[at].take_over(seat);
        Ok(Judged { findings, out })
    }

    /// The detector is not shown that row: a decision, and a dead letter.
    fn skip(
        &mut self,
        at: usize,
        (row, fault): (usize, &Fault),
        past: &mut Rebuilt,
        shown: &Shown<'_>,
        patience: Patience<'_>,
    ) {
        let position = self.batch.position(row);
        let detector = self.seats[at].deployment.name.clone();
        let fingerprint = self.seats[at].fingerprint.clone();
        let reason = shortened(fault.to_string());
        let capsule = self.encapsulate(&past.deployment, &past.start, past.tick, shown, (row, fault));
        tracing::error!(
            lane = self.name,
            detector,
            position,
            capsule,
            fault = fault.label(),
            "fails on this reading, which is not shown to it any more: {reason}"
        );
        let record = past.reliving.record_at(position, patience).ok().flatten();
        let gone = PastRecord::gone(position);
        let record = record.as_ref().unwrap_or(&gone);
        let letter = poison(&self.name, &detector, &reason, &capsule, &record.record());
        self.skips.push(Skipped { position, detector: detector.clone(), fingerprint: fingerprint.clone() });
        self.decide_at(position, What::Skip { detector, fingerprint, reason, capsule });
        self.rejected.push(letter);
        self.account.poison += 1;
    }

    /// Takes what an earlier life decided about the record in hand.
    pub(super) fn relive_skips(&mut self, record: &Record<'_>) {
        let here = record.meta.position;
        let upto = self.replay.decisions.partition_point(|decision| decision.position <= here);
        let mut at = 0;
        for _ in 0..upto {
            let is_skip =
                |decision: &Decision| decision.position == here && matches!(decision.what, What::Skip { .. });
            if !self.replay.decisions.get(at).is_some_and(is_skip) {
                at += 1;
                continue;
            }
            let Some(decision) = self.replay.decisions.remove(at) else { return };
            self.chronicle.note(decision.clone());
            let What::Skip { detector, fingerprint, reason, capsule } = decision.what else { continue };
            if self.is_live(here) {
                self.rejected.push(poison(&self.name, &detector, &reason, &capsule, record));
                self.account.poison += 1;
            }
            self.skips.push(Skipped { position: here, detector, fingerprint });
        }
    }

    /// Counts it; how many there were of late.
    pub(super) fn count_fault(&mut self, at: usize, fault: &Fault) -> usize {
        let now = self.clock.time().unwrap_or(0);
        let seat = &mut self.seats[at];
        *seat.faults.entry(fault.label()).or_default() += 1;
        seat.recent_faults.push_back(now);
        seat.recent_faults.retain(|time| (now - FAULTS_WINDOW_MS..=now).contains(time));
        seat.recent_faults.len()
    }

    /// What the detector knew before all that stands at or behind `position`, and before that tick, if it can be found
    /// out.
    pub(super) fn known_before(
        &self,
        at: usize,
        position: Position,
        before_tick: Option<Timestamp>,
    ) -> Option<DetectorState> {
        self.recipe.as_ref()?;
        match self.rebuilt(at, position, before_tick, self.patience()) {
            Ok((_, past)) => Some(past.start),
            Err(error) => {
                let detector = &self.seats[at].deployment.name;
                tracing::warn!(lane = self.name, detector, "what it knew cannot be found out: {error}");
                None
            }
        }
    }

    /// How long the lane may still stand still: begun by the first who fails since it has breathed, and the same for all.
    pub(super) fn patience(&self) -> Patience<'static> {
        let history = self.recipe.as_ref().and_then(|recipe| recipe.history.as_ref());
        let fresh = || Patience::of(history.map(|history| history.rebuild_max).unwrap_or_default());
        let patience = self.patience.get().unwrap_or_else(fresh);
        self.patience.set(Some(patience));
        patience
    }

    fn rebuilt(
        &self,
        at: usize,
        position: Position,
        before_tick: Option<Timestamp>,
        patience: Patience<'_>,
    ) -> Result<(Seat, Rebuilt), HistoryError> {
        let (history, parts) = self.past_of(at)?;
        let durable = self.durable.as_deref().ok_or_else(|| HistoryError::Beyond {
            lane: self.name.clone(),
            wanted: format!("position {position}"),
        })?;
        let decisions = |decided| self.chronicle.since(decided);
        let past = Stretch {
            whom: &[&self.seats[at].deployment.name],
            decisions: &decisions,
            speaks_from: Position::MAX,
        };
        let mut reliving = history.relive(parts, durable, past, patience)?;
        reliving.lane_mut().withheld = before_tick.map(|tick| (tick, position));
        reliving.until(position, patience)?;
        let rebuilt = self.seat_of_the_past(at, reliving)?;
        if rebuilt.0.episodes.open() != self.seats[at].episodes.open() {
            return Err(HistoryError::Differs { what: "other episodes are open".to_owned() });
        }
        Ok(rebuilt)
    }

    /// What it takes to live again what one detector has lived.
    pub(super) fn past_of(&self, at: usize) -> Result<(History, LaneParts), HistoryError> {
        let beyond = || HistoryError::Beyond { lane: self.name.clone(), wanted: "now".to_owned() };
        let recipe = self.recipe.as_deref().ok_or_else(beyond)?;
        let history = recipe.history.clone().ok_or_else(beyond)?;
        let parts = LaneParts {
            settings: self.settings.clone(),
            deployments: vec![self.seats[at].deployment.clone()],
            delivery: self.delivery,
            ..recipe.clone()
        };
        Ok((history, parts))
    }

    /// The seat as it was there, told of what changed with the first reading of the batch in hand.
    fn seat_of_the_past(&self, at: usize, mut reliving: Reliving) -> Result<(Seat, Rebuilt), HistoryError> {
        let differs = |what: String| HistoryError::Differs { what };
        let failed = |fault: Fault| differs(fault.to_string());
        let now = &self.seats[at];
        let lane = reliving.lane_mut();
        let tick = lane.told;
        let found = lane.seats.iter().position(|seat| seat.deployment.name == now.deployment.name);
        let mut seat =
            found.map(|at| lane.seats.swap_remove(at)).ok_or_else(|| differs("it is not there".into()))?;
        if let Life::Quarantined { reason, .. } = &seat.life {
            return Err(differs(reason.clone()));
        }
        if seat.fingerprint != now.fingerprint {
            return Err(differs("another one is there".into()));
        }
        let quantities = self.quantities_judged().to_vec();
        seat.requantify(&quantities, &lane.sensors, tick).map_err(failed)?;
        if !self.batch.is_empty() {
            let first = self.batch.sensor(0);
            let known = lane.sensors.find(self.sensors.id(first));
            if known.is_some_and(|known| lane.sensors.attributes(known) != self.sensors.attributes(first)) {
                seat.change(&self.sensors, first).map_err(failed)?;
            }
        }
        let start = seat.save(&quantities).map_err(failed)?;
        Ok((seat, Rebuilt { deployment: now.deployment.clone(), start, quantities, tick, reliving }))
    }
}

/// The batch without what a detector is not shown: what the like of it (of that fingerprint) fails on, or whoever is
/// there under its name. None: all.
pub(super) fn rows_shown(
    skips: &[Skipped],
    batch: &Builder,
    detector: &str,
    like: Option<&str>,
) -> Option<Vec<usize>> {
    let is_ours = |skipped: &&Skipped| {
        skipped.detector == detector && like.is_none_or(|like| skipped.fingerprint == like)
    };
    let mut skipped = skips.iter().filter(is_ours).peekable();
    skipped.peek()?;
    let skipped: Vec<Position> = skipped.map(|skipped| skipped.position).collect();
    let is_shown = |row: &usize| !skipped.contains(&batch.position(*row));
    Some((0..batch.rows()).filter(is_shown).collect())
}

impl Rebuilt {
    /// The seat once more, having seen these rows of the batch.
    fn again(&self, batch: &Builder, rows: &[usize], sensors: &SensorTable) -> Result<Seat, HistoryError> {
        let failed = |fault: Fault| HistoryError::Differs { what: fault.to_string() };
        let (deployment, start) = (self.deployment.clone(), self.start.clone());
        let mut seat =
            Seat::restored(deployment, &self.quantities, sensors, start, self.tick).map_err(failed)?;
        seat.observe_rows(batch, rows, sensors).map_err(failed)?;
        Ok(seat)
    }
}

/// The dead letter of a reading that one detector fails on. All others have judged it.
fn poison(lane: &str, detector: &str, reason: &str, capsule: &str, record: &Record<'_>) -> Outgoing {
    let capsule = if capsule.is_empty() { String::new() } else { format!("; capsule {capsule}") };
    let detail = format!("detector {detector}: {reason}{capsule}");
    let rejection = Rejection { reason: Reason::Poison, detail };
    Outgoing::DeadLetter(Box::new(DeadLetter::new(&rejection, lane, record)))
}

impl PastRecord {
    /// One that the source does not have any more.
    fn gone(position: Position) -> PastRecord {
        let meta =
            RecordMeta { position, next: position + 1, stored: None, line: 0, end: 0, truncated: true };
        PastRecord { meta, bytes: Vec::new(), key: None, headers: Vec::new() }
    }

    fn record(&self) -> Record<'_> {
        Record {
            meta: self.meta,
            bytes: &self.bytes,
            key: self.key.as_deref(),
            headers: Headers::Given(&self.headers),
        }
    }
}
