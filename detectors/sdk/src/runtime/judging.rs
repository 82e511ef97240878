//! Readings and ticks.

use crate::contract::{Columns, Finding, Subject, Traces};
use crate::detector::{Detector, Memory, Timestamp};
use crate::finding::Findings;
use crate::reading::Reading;

use super::Runtime;
use super::gather::Row;
use super::table::{PAGE_SENSORS, Stage};

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
                let chosen = self.gather.indices().iter().position(|&present| present == index)?;
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
        for (row, (&number, &timestamp)) in columns.sensors.iter().zip(columns.timestamps).enumerate() {
            let (entry, cells) = self.table.get_mut(number).map_err(|error| at_row(row, &error))?;
            if entry.stage != Stage::Seen {
                entry.stage = Stage::Seen;
                self.groups.see(entry.group);
            }
            let Row { values, eights, malformed } = self.gather.row(columns, row);
            let marks = columns.marks.get(row).copied().unwrap_or(0);
            let reading = Reading { timestamp, marks, values, eights, malformed };
            let (name, group) = split(self.groups.get_mut(entry.group));
            let memory = Memory { facts: &entry.facts, sensor: &mut entry.sensor, cells, group };
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
            for (slot, entry) in page.entries.iter_mut().enumerate() {
                if entry.stage != Stage::Seen {
                    continue;
                }
                let (name, group) = split(self.groups.get_mut(entry.group));
                let cells = &mut page.cells[slot * width..(slot + 1) * width];
                let memory = Memory { facts: &entry.facts, sensor: &mut entry.sensor, cells, group };
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

#[cold]
fn at_row(row: usize, error: &str) -> String {
    format!("row {row}: {error}")
}
