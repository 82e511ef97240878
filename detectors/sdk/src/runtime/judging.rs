//! Readings and ticks.

use crate::contract::{Columns, Finding, Subject, Traces};
use crate::detector::{Detector, Memory, Timestamp};
use crate::finding::Findings;
use crate::reading::Reading;

use super::Runtime;
use super::table::{PAGE_SENSORS, slot_of};

/// Rows that are made at once, so that a column is read in one go.
const BLOCK: usize = 8;

/// Makes rows of columns: `judge` gets the values of one reading side by side.
pub(super) struct Gather {
    /// The detector's index of each chosen quantity.
    index_of: Vec<usize>,
    /// Values a row.
    width: usize,
    /// `BLOCK` rows, one after the other; NaN for ever where a quantity is not there.
    block: Vec<f64>,
    /// Of all rows with something malformed, ascending: the row.
    malformed_rows: Vec<u32>,
    /// Beside it, the detector's index of the quantity.
    malformed: Vec<u32>,
    /// How many of them have been handed out.
    malformed_done: usize,
}

impl Gather {
    /// `chosen_of`: position among the chosen quantities by the detector's index.
    pub fn new(chosen_of: &[Option<u32>]) -> Self {
        Gather {
            index_of: (0..chosen_of.len()).filter(|&index| chosen_of[index].is_some()).collect(),
            width: chosen_of.len(),
            block: vec![f64::NAN; BLOCK * chosen_of.len()],
            malformed_rows: Vec::new(),
            malformed: Vec::new(),
            malformed_done: 0,
        }
    }

    /// The detector's index of each chosen quantity.
    pub fn indices(&self) -> &[usize] {
        &self.index_of
    }

    /// Looks whether the columns fit together.
    fn begin(&mut self, columns: &Columns<'_>) -> Result<(), String> {
        let (rows, quantities) = (columns.sensors.len(), self.index_of.len());
        if columns.timestamps.len() != rows
            || columns.values.len() != rows * quantities
            || !(columns.marks.is_empty() || columns.marks.len() == rows)
        {
            return Err(format!(
                "columns do not fit: {rows} sensors, {} timestamps, {} marks, {} values of {quantities} quantities",
                columns.timestamps.len(),
                columns.marks.len(),
                columns.values.len()
            ));
        }
        self.malformed_rows.clear();
        self.malformed.clear();
        self.malformed_done = 0;
        if columns.malformed.is_empty() {
            return Ok(());
        }
        let place = |&index: &u32| (index as usize % rows, index as usize / rows);
        if columns.malformed.iter().any(|&index| index as usize >= columns.values.len()) {
            return Err("malformed: an index is beyond the values".into());
        }
        let mut places: Vec<(usize, usize)> = columns.malformed.iter().map(place).collect();
        places.sort_unstable();
        for (row, chosen) in places {
            self.malformed_rows.push(row as u32);
            self.malformed.push(self.index_of[chosen] as u32);
        }
        Ok(())
    }

    /// Rows are asked for in ascending order, from 0.
    #[inline(always)]
    fn row<'a>(&'a mut self, columns: &Columns<'a>, row: usize) -> (&'a [f64], &'a [u32]) {
        let malformed = if self.malformed_rows.is_empty() { 0..0 } else { self.malformed_range(row) };
        let malformed = &self.malformed[malformed];
        if self.width == 1 && self.index_of.len() == 1 {
            return (&columns.values[row..=row], malformed);
        }
        let place = row % BLOCK;
        if place == 0 {
            fill(&mut self.block, self.width, &self.index_of, columns, row);
        }
        (&self.block[place * self.width..(place + 1) * self.width], malformed)
    }

    /// Rows are asked for in ascending order.
    fn malformed_range(&mut self, row: usize) -> std::ops::Range<usize> {
        let start = self.malformed_done;
        while self.malformed_rows.get(self.malformed_done) == Some(&(row as u32)) {
            self.malformed_done += 1;
        }
        start..self.malformed_done
    }
}

/// The rows from `row` on, as many as there are and fit.
fn fill(block: &mut [f64], width: usize, index_of: &[usize], columns: &Columns<'_>, row: usize) {
    let rows = columns.sensors.len();
    for (column, &index) in columns.values.chunks_exact(rows).zip(index_of) {
        let values = &column[row..];
        let places = &mut block[index..];
        if let (Some(values), true) = (values.first_chunk::<BLOCK>(), places.len() > (BLOCK - 1) * width) {
            // Written out, since a loop in WebAssembly looks at the clock each time round.
            places[0] = values[0];
            places[width] = values[1];
            places[2 * width] = values[2];
            places[3 * width] = values[3];
            places[4 * width] = values[4];
            places[5 * width] = values[5];
            places[6 * width] = values[6];
            places[7 * width] = values[7];
        } else {
            for (place, value) in places.iter_mut().step_by(width).zip(values) {
                *place = *value;
            }
        }
    }
}

impl<D: Detector> Runtime<D> {
    /// Judges the rows in order. Findings come in the order of their rows.
    pub fn observe(&mut self, columns: Columns<'_>) -> Result<Vec<Finding>, String> {
        self.each_row(&columns, |_, _, _, _| {})?;
        self.outbox.take()
    }

    /// As `observe`, but answers for plots: what each row was about to be held against.
    pub fn trace(&mut self, columns: Columns<'_>) -> Result<Traces, String> {
        let rows = columns.sensors.len();
        let traced: Vec<(usize, u32)> = self
            .detector
            .traced()
            .into_iter()
            .filter_map(|index| {
                let chosen = self.gather.index_of.iter().position(|&present| present == index)?;
                Some((index, chosen as u32))
            })
            .collect();
        let mut plotted = vec![f64::NAN; traced.len() * 4 * rows];
        self.each_row(&columns, |detector, row, reading, memory| {
            for (&(index, _), columns) in traced.iter().zip(plotted.chunks_exact_mut(4 * rows)) {
                if let Some(band) = detector.band(reading, memory, index) {
                    let values = [band.score, band.expected, band.lower, band.upper];
                    for (column, value) in columns.chunks_exact_mut(rows).zip(values) {
                        column[row] = value;
                    }
                }
            }
        })?;
        self.outbox.take()?;
        Ok(Traces { quantities: traced.into_iter().map(|(_, chosen)| chosen).collect(), rows: plotted })
    }

    fn each_row(
        &mut self,
        columns: &Columns<'_>,
        mut before: impl FnMut(&D, usize, &Reading<'_>, &Memory<'_, D>),
    ) -> Result<(), String> {
        self.gather.begin(columns)?;
        self.outbox.subject = Subject::Reading;
        let width = self.table.width;
        for (row, (&number, &timestamp)) in columns.sensors.iter().zip(columns.timestamps).enumerate() {
            let page = self.table.page_mut(number).map_err(|error| format!("row {row}: {error}"))?;
            let slot = slot_of(number);
            if !page.is_seen(slot) {
                page.set_seen(slot);
                self.groups.see(page.groups[slot]);
            }
            let (values, malformed) = self.gather.row(columns, row);
            let marks = columns.marks.get(row).copied().unwrap_or(0);
            let reading = Reading { timestamp, marks, values, malformed };
            let (name, group) = split(self.groups.get_mut(page.groups[slot]));
            let memory = Memory {
                facts: &page.facts[slot],
                sensor: &mut page.sensors[slot],
                cells: &mut page.cells[slot * width..(slot + 1) * width],
                group,
            };
            before(&self.detector, row, &reading, &memory);
            self.outbox.row = row as u32;
            let mut out = Findings { now: timestamp, group: name, outbox: &mut self.outbox };
            self.detector.judge(&reading, memory, &mut out);
        }
        Ok(())
    }

    /// Event time has reached `watermark`.
    pub fn advance(&mut self, watermark: Timestamp) -> Result<Vec<Finding>, String> {
        if !D::ADVANCES {
            return Ok(Vec::new());
        }
        let width = self.table.width;
        self.outbox.row = 0;
        for (index, page) in self.table.pages.iter_mut().enumerate() {
            let Some(page) = page else { continue };
            for slot in page.seen_slots() {
                let (name, group) = split(self.groups.get_mut(page.groups[slot]));
                let memory = Memory {
                    facts: &page.facts[slot],
                    sensor: &mut page.sensors[slot],
                    cells: &mut page.cells[slot * width..(slot + 1) * width],
                    group,
                };
                self.outbox.subject = Subject::Sensor((index * PAGE_SENSORS + slot) as u32);
                let mut out = Findings { now: watermark, group: name, outbox: &mut self.outbox };
                self.detector.advance(watermark, memory, &mut out);
            }
        }
        let (detector, outbox) = (&self.detector, &mut self.outbox);
        self.groups.for_each_seen(|group| {
            outbox.subject = Subject::Group(group.name.to_string());
            let mut out = Findings { now: watermark, group: Some(&group.name), outbox };
            detector.advance_group(watermark, &group.name, &mut group.state, &mut out);
        });
        self.outbox.take()
    }
}

fn split<S>(group: Option<&mut super::groups::Group<S>>) -> (Option<&str>, Option<&mut S>) {
    match group {
        Some(group) => (Some(&group.name), Some(&mut group.state)),
        None => (None, None),
    }
}
