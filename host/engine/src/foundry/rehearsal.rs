//! One run of a candidate over evidence: instances are made and thrown away as the manner of the run says, and
//! what it said and remembers in the end is kept for comparison.

use gridwatch_core::batch::BatchView;
use gridwatch_core::finding::Finding;
use gridwatch_core::judge::{Fault, Judge, Saved, States};

use super::admission::Candidate;
use super::evidence::{Draw, Evidence, Row, Stretch};
use crate::stopwatch::timed;

/// How a run is cut up. None of it may show.
#[derive(Debug, Clone, Copy)]
pub struct Manner {
    /// Rows of a batch: so many at most, drawn anew for each.
    pub batch_rows_max: usize,
    /// Sensors are announced with their first reading, rather than all at the beginning.
    pub late_sensors: bool,
    /// State is carried over into a new instance behind every so many stretches.
    pub restored_every: Option<usize>,
}

/// What a run came to.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Each with the row that brought it about, counted over the run, or the stretch whose tick did.
    pub said: Vec<(Occasion, Finding)>,
    pub shared: Vec<u8>,
    pub states: States,
    pub chosen: Vec<u32>,
    pub observe_ns: u64,
    pub fuel: Option<u64>,
    pub memory_bytes: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    Row(usize),
    Tick(usize),
}

struct Run<'a> {
    candidate: &'a Candidate<'a>,
    evidence: &'a Evidence,
    manner: Manner,
    judge: Box<dyn Judge>,
    announced: u32,
    rows: usize,
    draw: Draw,
    columns: Columns,
    outcome: Outcome,
}

#[derive(Default)]
struct Columns {
    sensors: Vec<u32>,
    timestamps: Vec<i64>,
    values: Vec<f64>,
    marks: Vec<u8>,
    malformed: Vec<u32>,
}

/// The run's result, or the call that failed.
pub fn rehearse(candidate: &Candidate<'_>, evidence: &Evidence, manner: Manner) -> Result<Outcome, Fault> {
    let (judge, chosen) = candidate.instance(&evidence.quantities)?;
    let mut run = Run {
        candidate,
        evidence,
        manner,
        judge,
        announced: 0,
        rows: 0,
        draw: Draw(evidence.rows() as u64 | 1),
        columns: Columns::default(),
        outcome: Outcome { chosen, ..Outcome::default() },
    };
    if !manner.late_sensors {
        run.announce(evidence.sensors.len() as u32)?;
    }
    for (at, stretch) in evidence.stretches.iter().enumerate() {
        if at > 0 && manner.restored_every.is_some_and(|every| at % every == 0) {
            run.restore(evidence.stretches[at - 1].tick)?;
        }
        run.stretch(at, stretch)?;
    }
    run.end()
}

impl Run<'_> {
    fn stretch(&mut self, at: usize, stretch: &Stretch) -> Result<(), Fault> {
        let mut rest = stretch.rows.as_slice();
        while !rest.is_empty() {
            let most = self.manner.batch_rows_max.min(rest.len());
            let rows = if self.manner.batch_rows_max == WHOLE {
                most
            } else {
                1 + self.draw.below(most as u64) as usize
            };
            let (batch, after) = rest.split_at(rows);
            self.observe(batch)?;
            rest = after;
        }
        let found = self.judge.advance(stretch.tick)?;
        self.outcome.said.extend(found.into_iter().map(|finding| (Occasion::Tick(at), finding)));
        Ok(())
    }

    fn observe(&mut self, rows: &[Row]) -> Result<(), Fault> {
        let known = rows.iter().map(|row| row.sensor + 1).max().unwrap_or(0);
        self.announce(known)?;
        self.columns.fill(rows, &self.outcome.chosen);
        let view = self.columns.view();
        let before = self.judge.fuel_used();
        let mut found = timed(&mut self.outcome.observe_ns, || self.judge.observe(view))?;
        if let (Some(before), Some(after)) = (before, self.judge.fuel_used()) {
            *self.outcome.fuel.get_or_insert(0) += after - before;
        }
        found.sort_by_key(|finding| finding.row);
        for finding in found {
            let row = finding.row as usize;
            self.outcome.said.push((Occasion::Row(self.rows + row), Finding { row: 0, ..finding }));
        }
        self.rows += rows.len();
        self.outcome.memory_bytes = self.outcome.memory_bytes.max(self.judge.memory_bytes());
        Ok(())
    }

    fn announce(&mut self, end: u32) -> Result<(), Fault> {
        if end > self.announced {
            let new = &self.evidence.sensors[self.announced as usize..end as usize];
            self.judge.set_sensors(self.announced, new)?;
            self.announced = end;
        }
        Ok(())
    }

    /// The state in a new instance, in two chunks, the second one first.
    fn restore(&mut self, time: i64) -> Result<(), Fault> {
        let shared = self.judge.save_shared()?;
        let half = self.announced / 2;
        let chunks: [Vec<u32>; 2] = [(half..self.announced).collect(), (0..half).collect()];
        let states =
            chunks.iter().map(|sensors| self.judge.save(sensors)).collect::<Result<Vec<States>, Fault>>()?;
        let saved = self.candidate.saved(self.evidence, &self.outcome.chosen, shared);
        self.judge = self.candidate.instance(&self.evidence.quantities)?.0;
        self.judge.set_time(time);
        let end = std::mem::take(&mut self.announced);
        self.announce(end)?;
        self.judge.begin_restore(&saved)?;
        for (sensors, states) in chunks.iter().zip(&states) {
            self.judge.restore(sensors, states)?;
        }
        Ok(())
    }

    /// Saves; then what is asked of instances that are thrown away afterwards.
    fn end(mut self) -> Result<Outcome, Fault> {
        self.announce(self.evidence.sensors.len() as u32)?;
        self.outcome.shared = self.judge.save_shared()?;
        let sensors: Vec<u32> = (0..self.announced).collect();
        self.outcome.states = self.judge.save(&sensors)?;
        self.outcome.memory_bytes = self.outcome.memory_bytes.max(self.judge.memory_bytes());
        if let Some(stretch) = self.evidence.stretches.last() {
            self.columns.fill(&stretch.rows, &self.outcome.chosen);
            self.judge.trace(self.columns.view())?;
            self.judge.remove_sensors(&sensors[sensors.len() / 2..])?;
            self.judge.advance(stretch.tick)?;
        }
        Ok(self.outcome)
    }
}

/// A batch that ends with its stretch.
pub const WHOLE: usize = usize::MAX;

impl Columns {
    /// The quantities that were chosen, in the order in which they were.
    fn fill(&mut self, rows: &[Row], chosen: &[u32]) {
        self.sensors.clear();
        self.sensors.extend(rows.iter().map(|row| row.sensor));
        self.timestamps.clear();
        self.timestamps.extend(rows.iter().map(|row| row.timestamp));
        self.values.clear();
        self.malformed.clear();
        self.marks.clear();
        for quantity in chosen {
            for row in rows {
                if row.malformed.contains(quantity) {
                    self.malformed.push(self.values.len() as u32);
                }
                self.values.push(row.values[*quantity as usize]);
            }
        }
        if rows.iter().any(|row| row.mark != 0) {
            self.marks.extend(rows.iter().map(|row| row.mark));
        }
    }

    fn view(&self) -> BatchView<'_> {
        BatchView {
            sensors: &self.sensors,
            timestamps: &self.timestamps,
            values: &self.values,
            marks: &self.marks,
            malformed: &self.malformed,
        }
    }
}

impl Candidate<'_> {
    fn saved(&self, evidence: &Evidence, chosen: &[u32], shared: Vec<u8>) -> Saved {
        Saved {
            state_version: self.module.descriptor().state_version,
            quantities: chosen.iter().map(|&at| evidence.quantities[at as usize].name.clone()).collect(),
            parameters: self.parameters.to_owned(),
            shared,
        }
    }
}
