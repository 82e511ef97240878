//! A capsule opened again: the same module, told the same, answers the same.

use std::sync::Arc;

use gridwatch_core::capsule::{Capsule, Step, StepCall};
use gridwatch_core::finding::Finding;
use gridwatch_core::judge::{Fault, GuestLog, Judge, Module};

/// Sensors a call of `set-sensors`, as in a lane.
const SENSORS_PER_CALL: usize = 4096;

/// A step as it was, and as it came out now.
#[derive(Debug, Clone, PartialEq)]
pub struct Again {
    pub was: Result<Vec<Finding>, Fault>,
    pub is: Result<Vec<Finding>, Fault>,
}

impl Again {
    /// To the last bit of every number.
    pub fn is_same(&self) -> bool {
        // What is written tells one number from every other, and no NaN from another.
        format!("{:?}", self.was) == format!("{:?}", self.is)
    }
}

/// All steps of the capsule once more. An error: it does not come as far as the first.
pub fn reproduce(
    capsule: &Capsule,
    module: &dyn Module,
    log: Arc<dyn GuestLog>,
) -> Result<Vec<Again>, Fault> {
    let mut judge = module.instantiate(capsule.limits, log)?;
    judge.configure(&capsule.parameters, &capsule.quantities)?;
    let known =
        capsule.before.iter().flat_map(|before| before.states.iter()).map(|(count, _)| *count as usize);
    let known = known.sum::<usize>().min(capsule.sensors.len());
    announce(&mut *judge, capsule, 0, known)?;
    if let Some(before) = &capsule.before {
        if let Some(tick) = capsule.tick {
            judge.set_time(tick);
        }
        judge.begin_restore(&before.saved)?;
        let mut first = 0;
        for (count, states) in before.states.iter() {
            let numbers: Vec<u32> = (first..first + count).collect();
            judge.restore(&numbers, states)?;
            first += count;
        }
    }
    announce(&mut *judge, capsule, known, capsule.sensors.len())?;
    let mut steps = Vec::new();
    for Step { call, outcome } in &capsule.steps {
        let is = match call {
            StepCall::Observe(columns) => {
                let values = columns.values();
                judge.observe(columns.view(&values)).map(|mut findings| {
                    findings.sort_by_key(|finding| finding.row);
                    findings
                })
            }
            StepCall::Advance(watermark) => judge.advance(*watermark),
        };
        let has_failed = is.is_err();
        steps.push(Again { was: outcome.clone(), is });
        if has_failed {
            break;
        }
    }
    Ok(steps)
}

fn announce(judge: &mut dyn Judge, capsule: &Capsule, from: usize, to: usize) -> Result<(), Fault> {
    let sensors = &capsule.sensors[from..to];
    sensors
        .chunks(SENSORS_PER_CALL)
        .enumerate()
        .try_for_each(|(at, chunk)| judge.set_sensors((from + at * SENSORS_PER_CALL) as u32, chunk))
}
