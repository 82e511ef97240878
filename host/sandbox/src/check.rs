//! Whether what a guest answers keeps the contract, and its way into core's types. A detector is the
//! code of a stranger: an index that it hands over is looked at here, once, and nowhere after.

use gridwatch_core::finding::{Bounds, Finding, Phase, Severity, Subject};
use gridwatch_core::judge::{States, Traces};

use crate::contract::gridwatch::detector::types as wit;

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

/// Nothing was found nearly always, and then nothing is allocated.
pub fn findings(
    found: Vec<wit::Finding>,
    bounds: &Bounds,
    announced: &Announced,
) -> Result<Vec<Finding>, String> {
    found.into_iter().map(|found| finding(found, bounds, announced)).collect()
}

fn finding(found: wit::Finding, bounds: &Bounds, announced: &Announced) -> Result<Finding, String> {
    let finding = translated(found, bounds.rows.is_some());
    bounds.check(&finding)?;
    match finding.subject {
        Subject::Sensor(sensor) if !announced.has(sensor) => {
            Err(format!("a finding names sensor {sensor}, which was never announced or is removed"))
        }
        _ => Ok(finding),
    }
}

/// `has_rows` is whether the answer is `observe`'s; `advance` has no rows to name.
fn translated(found: wit::Finding, has_rows: bool) -> Finding {
    let subject = match found.subject {
        wit::Subject::Reading => Subject::Reading,
        wit::Subject::Sensor(sensor) => Subject::Sensor(sensor),
        wit::Subject::Group(name) => Subject::Group(name),
    };
    Finding {
        row: if has_rows { found.row } else { 0 },
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
    }
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
        return Err(format!(
            "{} values for {} quantities and {rows} rows, not {expected}",
            values.len(),
            traced.len()
        ));
    }
    Ok(Traces { quantities: traced, rows: values })
}
