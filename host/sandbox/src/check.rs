//! Whether what a guest answers keeps the contract, and its way into core's types. A detector is the
//! code of a stranger: an index that it hands over is looked at here, once, and nowhere after.

use gridwatch_core::finding::{Finding, Phase, Severity, Subject};
use gridwatch_core::judge::{States, Traces};

use crate::contract::gridwatch::detector::types as wit;

/// What an answer is measured against.
pub struct Terms<'a> {
    pub kinds: usize,
    /// Quantities that `configure` chose.
    pub quantities: usize,
    pub announced: &'a Announced,
}

/// Which sensor numbers the instance knows: a bit each.
#[derive(Default)]
pub struct Announced(Vec<u64>);

impl Announced {
    pub fn set(&mut self, first: u32, count: usize) {
        let end = first as usize + count;
        if self.0.len() * 64 < end {
            self.0.resize(end.div_ceil(64), 0);
        }
        for sensor in first as usize..end {
            self.0[sensor / 64] |= 1 << (sensor % 64);
        }
    }

    pub fn clear(&mut self, sensor: u32) {
        if let Some(word) = self.0.get_mut(sensor as usize / 64) {
            *word &= !(1 << (sensor % 64));
        }
    }

    pub fn has(&self, sensor: u32) -> bool {
        self.0.get(sensor as usize / 64).is_some_and(|word| word >> (sensor % 64) & 1 == 1)
    }
}

/// `rows` is the batch's number of rows in `observe` and none in `advance`.
pub fn findings(found: Vec<wit::Finding>, rows: Option<usize>, terms: &Terms<'_>) -> Result<Vec<Finding>, String> {
    // Nothing was found nearly always: no allocation then.
    found
        .into_iter()
        .enumerate()
        .map(|(i, f)| finding(f, rows, terms).map_err(|what| format!("finding {i}: {what}")))
        .collect()
}

fn finding(found: wit::Finding, rows: Option<usize>, terms: &Terms<'_>) -> Result<Finding, String> {
    if let Some(rows) = rows.filter(|rows| found.row as usize >= *rows) {
        return Err(format!("row {} of a batch of {rows}", found.row));
    }
    if found.kind as usize >= terms.kinds {
        return Err(format!("kind {}, of {} that the descriptor names", found.kind, terms.kinds));
    }
    if let Some(quantity) = found.quantity.filter(|q| *q as usize >= terms.quantities) {
        return Err(format!("quantity {quantity}, of {} that `configure` chose", terms.quantities));
    }
    if !(0.0..=1.0).contains(&found.score) {
        return Err(format!("score {}, which is not between 0 and 1", found.score));
    }
    let subject = match found.subject {
        wit::Subject::Reading if rows.is_none() => {
            return Err("its subject is a reading, but `advance` has none".to_owned());
        }
        wit::Subject::Reading => Subject::Reading,
        wit::Subject::Sensor(sensor) if !terms.announced.has(sensor) => {
            return Err(format!("sensor {sensor}, which was never announced or is removed"));
        }
        wit::Subject::Sensor(sensor) => Subject::Sensor(sensor),
        wit::Subject::Group(name) => Subject::Group(name),
    };
    Ok(Finding {
        row: if rows.is_some() { found.row } else { 0 },
        subject,
        timestamp: found.timestamp,
        quantity: found.quantity,
        kind: found.kind,
        phase: phase(found.phase),
        severity: severity(found.severity),
        score: found.score,
        since: found.since,
        observed: found.observed,
        expected: found.expected,
        lower: found.lower,
        upper: found.upper,
        explanation: found.explanation,
        details: found.details,
    })
}

fn phase(phase: wit::Phase) -> Phase {
    match phase {
        wit::Phase::Raised => Phase::Raised,
        wit::Phase::Updated => Phase::Updated,
        wit::Phase::Cleared => Phase::Cleared,
        wit::Phase::Single => Phase::Single,
    }
}

fn severity(severity: wit::Severity) -> Severity {
    match severity {
        wit::Severity::Info => Severity::Info,
        wit::Severity::Warning => Severity::Warning,
        wit::Severity::Critical => Severity::Critical,
    }
}

/// `configure`'s answer: indices of available quantities, each at most once.
pub fn chosen(chosen: Vec<u32>, available: usize) -> Result<Vec<u32>, String> {
    let mut seen = vec![false; available];
    for quantity in &chosen {
        match seen.get_mut(*quantity as usize) {
            None => return Err(format!("quantity {quantity}, of {available} available")),
            Some(true) => return Err(format!("quantity {quantity} is chosen twice")),
            Some(seen) => *seen = true,
        }
    }
    Ok(chosen)
}

/// `save`'s answer for `sensors` sensors.
pub fn states(states: wit::StatesResult, sensors: usize) -> Result<States, String> {
    let wit::StatesResult { ends, bytes } = states;
    if ends.len() != sensors {
        return Err(format!("{} states for {sensors} sensors", ends.len()));
    }
    if !ends.is_sorted() {
        return Err("the ends of its states do not ascend".to_owned());
    }
    let end = ends.last().map_or(0, |end| *end as usize);
    if end != bytes.len() {
        return Err(format!("its states end at byte {end} of {}", bytes.len()));
    }
    Ok(States { ends, bytes })
}

/// `trace`'s answer for a batch of `rows`.
pub fn traces(traces: wit::Traces, rows: usize, quantities: usize) -> Result<Traces, String> {
    let wit::Traces { quantities: traced, rows: values } = traces;
    if let Some(quantity) = traced.iter().find(|q| **q as usize >= quantities) {
        return Err(format!("quantity {quantity}, of {quantities} that `configure` chose"));
    }
    let expected = traced.len().saturating_mul(4).saturating_mul(rows);
    if values.len() != expected {
        return Err(format!("{} values for {} quantities and {rows} rows, not {expected}", values.len(), traced.len()));
    }
    Ok(Traces { quantities: traced, rows: values })
}
