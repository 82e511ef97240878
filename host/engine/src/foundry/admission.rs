//! Whether a module keeps the contract's promises, seen before a lane depends on them.

use std::sync::Arc;

use gridwatch_core::judge::{Call, Fault, GuestLog, Judge, Limits, Module};
use gridwatch_core::reading::Quantity;
use serde::{Deserialize, Serialize};

use super::evidence::Evidence;
use super::rehearsal::{Manner, Occasion, Outcome, WHOLE, rehearse};

/// Changes whenever a module could be admitted that was not, or the other way round: part of the key under
/// which proofs are kept.
pub const VERSION: u32 = 1;

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
        Budget { reading_ns_max: 100_000, reading_fuel_max: 300_000 }
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
    /// Of `observe` alone, in the fastest of a few runs.
    pub reading_ns: f64,
    /// Of `observe` alone, too.
    pub reading_fuel: Option<f64>,
    pub memory_bytes: u64,
    /// All that it saved in the end.
    pub state_bytes: u64,
}

/// A promise of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Property {
    Deterministic,
    CutInvariant,
    AnnouncementInvariant,
    RestoreInvariant,
}

impl Property {
    const ALL: [Property; 4] = [
        Property::Deterministic,
        Property::CutInvariant,
        Property::AnnouncementInvariant,
        Property::RestoreInvariant,
    ];

    fn manner(self) -> Manner {
        let whole = Manner { batch_rows_max: WHOLE, late_sensors: false, restored_every: None };
        match self {
            Property::Deterministic => whole,
            Property::CutInvariant => Manner { batch_rows_max: 5, ..whole },
            Property::AnnouncementInvariant => Manner { late_sensors: true, ..whole },
            Property::RestoreInvariant => Manner { restored_every: Some(2), ..whole },
        }
    }

    /// What the run that differs was, and what to look for.
    fn told(self) -> (&'static str, &'static str) {
        match self {
            Property::Deterministic => (
                "twice the same",
                "something in it is not a function of what it is given: memory that it reads before it writes it, \
                 or numbers and times that its language's runtime keeps",
            ),
            Property::CutInvariant => (
                "the same readings in smaller batches",
                "nothing may be counted or kept by the batch, and no order of a hash map with keys of its own \
                 (std's HashMap) may show: sort, or use the SDK's collections",
            ),
            Property::AnnouncementInvariant => (
                "sensors announced with their first reading",
                "a sensor that is known and has not been read yet must leave no trace; begin its state with its \
                 first reading",
            ),
            Property::RestoreInvariant => (
                "the state saved and restored in between",
                "all that findings depend on must be in `save` and `save-shared`, open episodes and counters \
                 too, floats bit for bit; `restore` must take it all up",
            ),
        }
    }

    fn label(self) -> &'static str {
        match self {
            Property::Deterministic => "not_deterministic",
            Property::CutInvariant => "depends_on_cuts",
            Property::AnnouncementInvariant => "depends_on_announcements",
            Property::RestoreInvariant => "loses_state",
        }
    }
}

/// Why a module that loads may not judge.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Unproven {
    #[error("failed when it was tried on {readings} readings{}: {fault}; {}", property.map_or(String::new(), |property| format!(" ({})", property.told().0)), remedy(fault))]
    Fault { property: Option<Property>, readings: u64, fault: Fault },
    #[error(
        "breaks the contract: with {} it {what} than on the same {readings} readings otherwise; {}",
        property.told().0, property.told().1
    )]
    Differs { property: Property, readings: u64, what: String },
    #[error(
        "costs {cost} {unit} a reading, more than the {max} allowed; judge fewer quantities, keep less by sensor, or \
         do on ticks what need not be done with every reading"
    )]
    TooDear { cost: u64, unit: &'static str, max: u64 },
}

impl Unproven {
    /// What tables and metrics say.
    pub fn label(&self) -> &'static str {
        match self {
            Unproven::Fault { fault, .. } => fault.label(),
            Unproven::Differs { property, .. } => property.label(),
            Unproven::TooDear { .. } => "too_dear",
        }
    }
}

fn remedy(fault: &Fault) -> &'static str {
    match fault {
        Fault::Trap { .. } => {
            "refuse bad input with words rather than to trap; keep the functions' names in the build"
        }
        Fault::Deadline { .. } => "do less in one call, or allow more: [limits] call_deadline",
        Fault::Memory { .. } => "keep less by sensor, or allow more: [limits] memory_max",
        Fault::Output { .. } => {
            "say it once an episode rather than with every reading, or allow more: [limits]"
        }
        Fault::Refused { call: Call::Configure, .. } => "mend [parameters]",
        Fault::Refused { .. } => "these readings are in order as the contract has it, and must be judged",
        Fault::Contract { .. } => "wit/README.md says what an answer may be",
        Fault::Host { .. } => "look at the log",
    }
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
    let run = |candidate: &Candidate<'_>, property: Option<Property>| {
        let manner = property.unwrap_or(Property::Deterministic).manner();
        rehearse(candidate, evidence, manner).map_err(|fault| Unproven::Fault { property, readings, fault })
    };
    // As a lane begins that has read nothing yet.
    candidate.instance(&[]).map_err(|fault| Unproven::Fault { property: None, readings: 0, fault })?;
    let first = run(candidate, None)?;
    let mut fastest_ns = first.observe_ns;
    for property in Property::ALL {
        let other = run(candidate, Some(property))?;
        if let Some(what) = difference(&first, &other, evidence) {
            return Err(Unproven::Differs { property, readings, what });
        }
        if property == Property::Deterministic {
            fastest_ns = fastest_ns.min(other.observe_ns);
        }
    }
    for _ in 2..TIMED_RUNS {
        fastest_ns = fastest_ns.min(run(candidate, None)?.observe_ns);
    }
    let fuel = match metered {
        Some(metered) => run(metered, None)?.fuel,
        None => None,
    };
    let each = |total: u64| total as f64 / readings.max(1) as f64;
    let proof = Proof {
        readings,
        quantities: first.chosen.iter().map(|&at| evidence.quantities[at as usize].name.clone()).collect(),
        findings: first.said.len() as u64,
        reading_ns: each(fastest_ns),
        reading_fuel: fuel.map(each),
        memory_bytes: first.memory_bytes as u64,
        state_bytes: (first.states.bytes.len() + first.shared.len()) as u64,
    };
    afford(&proof, budget)?;
    Ok(proof)
}

fn afford(proof: &Proof, budget: &Budget) -> Result<(), Unproven> {
    let fuel = proof.reading_fuel.unwrap_or(0.0);
    for (cost, unit, max) in
        [(proof.reading_ns, "ns", budget.reading_ns_max), (fuel, "fuel", budget.reading_fuel_max)]
    {
        if cost > max as f64 {
            return Err(Unproven::TooDear { cost: cost as u64, unit, max });
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
    let blob = |outcome: &Outcome, at: usize| {
        let start = if at == 0 { 0 } else { *outcome.states.ends.get(at - 1)? as usize };
        outcome.states.bytes.get(start..*outcome.states.ends.get(at)? as usize).map(<[u8]>::to_vec)
    };
    (0..first.states.ends.len()).find(|&at| blob(first, at) != blob(other, at))
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
