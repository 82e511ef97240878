//! Whether a module keeps the contract's promises, seen before a lane depends on them.

use std::fmt;
use std::sync::Arc;

use gridwatch_core::judge::{Fault, GuestLog, Judge, Limits, Module};
use gridwatch_core::reading::Quantity;
use serde::{Deserialize, Serialize};

use super::evidence::Evidence;
use super::rehearsal::{Manner, Occasion, Outcome, WHOLE, rehearse};
use super::unproven::{Property, Unproven, Why};

/// Changes whenever a module could be admitted that was not, or the other way round: part of the key under
/// which proofs are kept.
pub const VERSION: u32 = 2;

/// Runs that only measure, beside those that prove: the fastest one counts, as others were disturbed.
const TIMED_RUNS: usize = 3;

/// A module that would judge, as it would be deployed.
pub struct Candidate<'a> {
    pub module: &'a dyn Module,
    /// JSON, checked against the module's schema.
    pub parameters: &'a str,
    pub limits: Limits,
    pub log: Arc<dyn GuestLog>,
}

/// What a reading may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Budget {
    pub reading_ns_max: u64,
    /// Units of wasmtime's fuel, about an instruction each: the same on every machine.
    pub reading_fuel_max: u64,
}

impl Default for Budget {
    /// A detector at these limits keeps a core busy with 10,000 readings a second.
    fn default() -> Self {
        Budget::of_ns(100_000)
    }
}

impl Budget {
    /// Fuel in proportion: about three units a nanosecond is as fast as guests get.
    pub fn of_ns(reading_ns_max: u64) -> Budget {
        Budget { reading_ns_max, reading_fuel_max: reading_ns_max.saturating_mul(3) }
    }
}

/// What a reading costs, in `observe` alone.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// In the fastest of a few runs.
    pub reading_ns: f64,
    pub reading_fuel: Option<f64>,
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0} ns", self.reading_ns)?;
        if let Some(fuel) = self.reading_fuel {
            write!(f, " and {fuel:.0} units of fuel")?;
        }
        write!(f, " a reading")
    }
}

/// What was found of a module that may judge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Proof {
    /// Readings that it was tried on.
    pub readings: u64,
    /// Names of the quantities that it chose. None: it was not seen at work.
    pub quantities: Vec<String>,
    pub findings: u64,
    pub cost: Cost,
    pub memory_bytes: u64,
    /// All that it saved in the end.
    pub state_bytes: u64,
}

impl Candidate<'_> {
    /// A new instance that took its parameters, and the quantities that it chose.
    pub fn instance(&self, quantities: &[Quantity]) -> Result<(Box<dyn Judge>, Vec<u32>), Fault> {
        let mut judge = self.module.instantiate(self.limits, self.log.clone())?;
        let chosen = judge.configure(self.parameters, quantities)?;
        Ok((judge, chosen))
    }
}

/// Runs the candidate over the evidence in every manner that must not show, and measures what it costs.
/// `metered` is the same module with fuel counted; it is slower, so that its time says nothing.
pub fn prove(
    candidate: &Candidate<'_>,
    metered: Option<&Candidate<'_>>,
    evidence: &Evidence,
    budget: &Budget,
) -> Result<Proof, Unproven> {
    let readings = evidence.rows() as u64;
    let fault = |property, readings, fault| Why::Fault { property, readings, of: evidence.of.clone(), fault };
    let run = |candidate: &Candidate<'_>, property: Option<Property>| {
        let manner = manner(property.unwrap_or(Property::Deterministic));
        rehearse(candidate, evidence, manner).map_err(|what| fault(property, readings, what))
    };
    let unseen = |why| Unproven { why, cost: None };
    // As a lane begins that has read nothing yet.
    candidate.instance(&[]).map_err(|what| unseen(fault(None, 0, what)))?;
    let first = run(candidate, None).map_err(unseen)?;
    // Slower by far, it may not be in time where the candidate is.
    let fuel = metered.and_then(|metered| run(metered, None).ok()?.fuel);
    let each = |total: u64| total as f64 / readings.max(1) as f64;
    let mut cost = Cost { reading_ns: each(first.observe_ns), reading_fuel: fuel.map(each) };
    for property in Property::ALL {
        let seen = |why| Unproven { why, cost: Some(cost) };
        let other = run(candidate, Some(property)).map_err(seen)?;
        if let Some(what) = difference(&first, &other, evidence) {
            return Err(seen(Why::Differs { property, readings, of: evidence.of.clone(), what }));
        }
        if property == Property::Deterministic {
            cost.reading_ns = cost.reading_ns.min(each(other.observe_ns));
        }
    }
    for _ in 2..TIMED_RUNS {
        let again = run(candidate, None).map_err(|why| Unproven { why, cost: Some(cost) })?;
        cost.reading_ns = cost.reading_ns.min(each(again.observe_ns));
    }
    afford(cost, budget)?;
    Ok(Proof {
        readings,
        quantities: first.chosen.iter().map(|&at| evidence.quantities[at as usize].name.clone()).collect(),
        findings: first.said.len() as u64,
        cost,
        memory_bytes: first.memory_bytes as u64,
        state_bytes: (first.states.bytes.len() + first.shared.len()) as u64,
    })
}

fn manner(property: Property) -> Manner {
    let whole = Manner { batch_rows_max: WHOLE, late_sensors: false, restored_every: None };
    match property {
        Property::Deterministic => whole,
        Property::CutInvariant => Manner { batch_rows_max: 5, ..whole },
        Property::AnnouncementInvariant => Manner { late_sensors: true, ..whole },
        Property::RestoreInvariant => Manner { restored_every: Some(2), ..whole },
    }
}

fn afford(cost: Cost, budget: &Budget) -> Result<(), Unproven> {
    let fuel = cost.reading_fuel.unwrap_or(0.0);
    for (each, unit, max) in
        [(cost.reading_ns, "ns", budget.reading_ns_max), (fuel, "units of fuel", budget.reading_fuel_max)]
    {
        if each > max as f64 {
            return Err(Unproven { why: Why::TooDear { unit, max }, cost: Some(cost) });
        }
    }
    Ok(())
}

/// The first thing that is not the same, as the end of "it …".
fn difference(first: &Outcome, other: &Outcome, evidence: &Evidence) -> Option<String> {
    if first.chosen != other.chosen {
        return Some("chooses other quantities".to_owned());
    }
    let pairs = first.said.iter().zip(&other.said);
    if let Some(((occasion, was), (at, is))) = pairs.clone().find(|(was, is)| was != is) {
        let place = place(*occasion, evidence);
        return Some(if occasion == at {
            format!("says something else {place}: {is:?} rather than {was:?}")
        } else {
            format!("is silent or speaks {place} where it did not")
        });
    }
    let (was, is) = (first.said.len(), other.said.len());
    if was != is {
        let (occasion, _) = if was > is { first.said.get(is)? } else { other.said.get(was)? };
        return Some(format!(
            "has {is} findings, not {was}; the first that differs is {}",
            place(*occasion, evidence)
        ));
    }
    if first.states != other.states {
        let sensor = first_state(first, other).map_or("a sensor", |at| evidence.sensors[at].id.as_str());
        return Some(format!("ends in another state for {sensor} (`save`)"));
    }
    (first.shared != other.shared).then(|| "ends in another shared state (`save-shared`)".to_owned())
}

/// The first sensor whose blobs differ.
fn first_state(first: &Outcome, other: &Outcome) -> Option<usize> {
    (0..first.states.ends.len()).find(|&at| first.states.get(at) != other.states.get(at))
}

fn place(occasion: Occasion, evidence: &Evidence) -> String {
    match occasion {
        Occasion::Row(row) => {
            let reading = evidence.stretches.iter().flat_map(|stretch| &stretch.rows).nth(row);
            let sensor = reading.map_or("?", |reading| evidence.sensors[reading.sensor as usize].id.as_str());
            format!("at reading {row} (of {sensor})")
        }
        Occasion::Tick(stretch) => format!("at tick {stretch}"),
    }
}
