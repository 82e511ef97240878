//! Readings of some sensors over a stretch of event time, and what a detector expected there.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use gridwatch_core::Timestamp;
use gridwatch_core::record::Position;

use super::{At, History, HistoryError, Patience};
use crate::lane::{LaneParts, Traced};

/// What somebody wants to see.
#[derive(Debug, Clone)]
pub struct Window {
    /// The first one is the one that a trace is wanted of.
    pub sensors: Vec<String>,
    pub quantity: String,
    pub from: Timestamp,
    /// Included.
    pub to: Timestamp,
    /// Whose expectations.
    pub detector: Option<String>,
    /// The lane has read so far.
    pub until: Position,
    pub rows_max: usize,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Seen {
    /// By sensor.
    pub series: BTreeMap<String, Series>,
    pub unit: Option<String>,
    /// There was more than `rows_max`.
    pub is_cut: bool,
}

/// In the order in which readings came.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Series {
    pub timestamps: Vec<Timestamp>,
    pub values: Vec<f64>,
    /// Score, expected, lower, upper of each, where the detector speaks of the quantity.
    pub traces: Vec<[f64; 4]>,
}

impl History {
    /// From the last checkpoint before the window on, as far as the source still has it.
    pub fn window(
        &self,
        parts: LaneParts,
        window: &Window,
        patience: Patience<'_>,
    ) -> Result<Seen, HistoryError> {
        let whom: Vec<&str> = window.detector.as_deref().into_iter().collect();
        let never = Position::MAX;
        let mut reliving =
            match self.relive_from(parts.clone(), At::Time(window.from), &whom, never, patience) {
                // A lane's first checkpoint knows no time yet.
                Err(HistoryError::Beyond { .. }) => {
                    self.relive_from(parts, At::Position(0), &whom, never, patience)?
                }
                reliving => reliving?,
            };
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (into, wanted) = (seen.clone(), window.clone());
        let look = move |traced: &Traced<'_>| {
            into.lock().unwrap_or_else(PoisonError::into_inner).look(traced, &wanted);
        };
        reliving.lane_mut().show_to(Box::new(look));
        let take = || std::mem::take(&mut *seen.lock().unwrap_or_else(PoisonError::into_inner));
        while reliving.some_until(window.until, patience)? {
            patience.check()?;
            let is_past = reliving.lane().watermark().is_some_and(|watermark| watermark > window.to);
            let is_cut = seen.lock().unwrap_or_else(PoisonError::into_inner).is_cut;
            if is_past || is_cut {
                return Ok(take());
            }
        }
        reliving.lane_mut().flush()?;
        Ok(take())
    }
}

impl Seen {
    fn look(&mut self, traced: &Traced<'_>, window: &Window) {
        let Some((quantity, of)) = traced.quantity(&window.quantity) else { return };
        self.unit.clone_from(&of.unit);
        for row in 0..traced.rows() {
            let time = traced.timestamp(row);
            if !(window.from..=window.to).contains(&time) {
                continue;
            }
            let sensor = traced.sensor(row);
            let Some(at) = window.sensors.iter().position(|wanted| wanted == sensor) else { continue };
            if self.series.values().map(|series| series.values.len()).sum::<usize>() >= window.rows_max {
                self.is_cut = true;
                return;
            }
            let series = self.series.entry(sensor.to_owned()).or_default();
            series.timestamps.push(time);
            series.values.push(traced.value(quantity, row));
            if at == 0
                && let Some(trace) = traced.trace(quantity, row)
            {
                series.traces.push(trace);
            }
        }
    }
}
