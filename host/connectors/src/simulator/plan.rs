//! Which fault befalls which sensor when: drawn before the run, so that the truth is known exactly.

use std::collections::BTreeMap;

use super::draw::manner;
use super::fault::{Fault, FaultKind, How, Label, names_of};
use super::random::{Purpose, Stream};
use super::scenario::{Scenario, ScenarioError};
use super::sensor::Sensor;

const TRIES_MAX: u32 = 2_000;

/// The fewest readings that a fault of values lasts, whatever the interval: the time in which it is to be found, twice.
const SLOTS_MIN: u64 = 20;
const TIMESTAMP_SLOTS_MIN: u64 = 15;

/// Draws all faults of a scenario. The labels are in order of their start; a fault's `label` is its place there.
pub(super) fn plan(
    scenario: &Scenario,
    sensors: &[Sensor],
) -> Result<(Vec<Label>, Vec<Fault>), ScenarioError> {
    let mut stream = Stream::new(scenario.seed, Purpose::Plan);
    let mut taken: BTreeMap<u32, Vec<(u64, u64)>> = BTreeMap::new();
    let three_phase: Vec<u32> =
        (0..sensors.len() as u32).filter(|s| sensors[*s as usize].role.has_three_phases()).collect();
    let mut planned: Vec<(Label, Fault)> = Vec::new();
    // One of each kind in turn, so that what comes last does not get the room that is left.
    for number in 0..scenario.faults_per_kind {
        for kind in &scenario.kinds {
            let mut found = None;
            for _ in 0..TRIES_MAX {
                let sensor = match kind {
                    FaultKind::PhaseSwap if three_phase.is_empty() => break,
                    FaultKind::PhaseSwap => three_phase[stream.below(three_phase.len())],
                    _ => stream.below(sensors.len()) as u32,
                };
                if let Some((first, end)) = draw_span(scenario, *kind, &mut stream)
                    && is_free(
                        taken.get(&sensor),
                        first,
                        end,
                        scenario.slots_of_hours(scenario.recovery_hours),
                    )
                {
                    found = Some((sensor, first, end));
                    break;
                }
            }
            let Some((index, first, end)) = found else {
                return Err(ScenarioError::NoRoom { kind: kind.name(), number: number + 1 });
            };
            let fault = draw(scenario, *kind, &sensors[index as usize], (index, first, end), &mut stream);
            taken.entry(index).or_default().push((first, fault.1.end));
            planned.push(fault);
        }
    }
    planned.sort_by_key(|(label, fault)| (label.start, fault.sensor));
    let mut labels = Vec::with_capacity(planned.len());
    let mut faults = Vec::with_capacity(planned.len());
    for (number, (label, mut fault)) in planned.into_iter().enumerate() {
        fault.label = number as u32;
        labels.push(label);
        faults.push(fault);
    }
    Ok((labels, faults))
}

/// Slots [first, end), after the learning days and with the end inside the scenario.
fn draw_span(scenario: &Scenario, kind: FaultKind, stream: &mut Stream) -> Option<(u64, u64)> {
    let (least, most) = kind.minutes();
    let minutes = stream.between(least, most);
    let fewest = match kind {
        FaultKind::RepeatedTimestamps | FaultKind::BackwardTimestamps => TIMESTAMP_SLOTS_MIN,
        _ => SLOTS_MIN,
    };
    let length = scenario.slots_of_hours(minutes / 60.0).max(fewest);
    // What holds its breath (frozen values, a frozen clock) needs a reading before.
    let earliest = scenario.slots_of_hours(scenario.learning_days * 24.0).max(1);
    let latest = scenario.slots().checked_sub(length + 1)?;
    let room = latest.checked_sub(earliest)?;
    let first = earliest + stream.below(room as usize + 1) as u64;
    Some((first, first + length))
}

fn is_free(taken: Option<&Vec<(u64, u64)>>, first: u64, end: u64, gap: u64) -> bool {
    taken.is_none_or(|spans| spans.iter().all(|(f, e)| end + gap <= *f || *e + gap <= first))
}

fn draw(
    scenario: &Scenario,
    kind: FaultKind,
    sensor: &Sensor,
    (index, first, end): (u32, u64, u64),
    stream: &mut Stream,
) -> (Label, Fault) {
    let drawn = manner(scenario, kind, sensor, (first, end), stream);
    let (first, end) = match drawn.how {
        How::Spike { slots, count, .. } => (first, slots[count - 1] + 1),
        _ => (first, end),
    };
    let label = Label {
        sensor_id: sensor.id.clone(),
        kind,
        start: sensor.taken(scenario, index, first),
        end: sensor.taken(scenario, index, end),
        quantities: names_of(drawn.quantities),
        magnitude: drawn.magnitude,
        what: drawn.what,
        feeder: sensor.location(),
        area: sensor.area_name(),
        clock_off_ms: drawn.clock_off_ms,
    };
    (label, Fault { label: 0, sensor: index, first, end, how: drawn.how })
}
