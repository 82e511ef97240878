//! What exactly goes wrong in a fault of a kind: quantity, magnitude, manner.

use super::fault::{FaultKind, How, names_of};
use super::feeder::VOLTAGE_NOMINAL;
use super::random::Stream;
use super::reading::{
    CURRENT, CURRENT_L1, FREQUENCY, POWER, POWER_FACTOR, QUANTITIES, QuantitySet, REACTIVE_POWER, VOLTAGE,
    VOLTAGE_L1,
};
use super::scenario::Scenario;
use super::sensor::{Sensor, Swap};

const SQRT3: f64 = 1.732_050_807_568_877_2;
const HOUR_MS: i64 = 3_600_000;

/// A fault drawn, in the terms of its label.
pub(super) struct Drawn {
    pub how: How,
    pub quantities: QuantitySet,
    pub magnitude: f64,
    pub what: String,
    pub clock_off_ms: i64,
}

impl Drawn {
    fn of(how: How, quantities: QuantitySet, magnitude: f64, what: String) -> Self {
        Self { how, quantities, magnitude, what, clock_off_ms: 0 }
    }

    fn of_time(how: How, clock_off_ms: i64, magnitude: f64, what: String) -> Self {
        Self { how, quantities: 0, magnitude, what, clock_off_ms }
    }
}

/// Draws one. It lasts the slots [first, end).
pub(super) fn manner(
    scenario: &Scenario,
    kind: FaultKind,
    sensor: &Sensor,
    (first, end): (u64, u64),
    stream: &mut Stream,
) -> Drawn {
    match kind {
        FaultKind::Stuck | FaultKind::Dropout => draw_silent(kind, sensor, stream),
        FaultKind::RepeatedTimestamps | FaultKind::BackwardTimestamps | FaultKind::ClockShift => {
            draw_time(kind, scenario, end - first, stream)
        }
        FaultKind::Drift | FaultKind::Offset | FaultKind::Gain => draw_level(kind, sensor, stream),
        FaultKind::UnitError | FaultKind::Sqrt3 | FaultKind::SignFlip | FaultKind::PhaseSwap => {
            draw_wiring(kind, sensor, stream)
        }
        FaultKind::NoiseChange => {
            let quantity = pick(sensor, &[(40, VOLTAGE), (35, POWER), (25, FREQUENCY)], stream);
            let times = stream.between(3.0, 10.0);
            let what = format!("noise of {} times {times:.1}", QUANTITIES[quantity]);
            Drawn::of(How::Noise { quantity, times }, 1 << quantity, times, what)
        }
        FaultKind::Spike => draw_spike(sensor, (first, end), stream),
    }
}

/// One of `choices`, by weight; of a quantity that comes by phase, a phase is drawn, too.
fn pick(sensor: &Sensor, choices: &[(u32, usize)], stream: &mut Stream) -> usize {
    let total: u32 = choices.iter().map(|(weight, _)| weight).sum();
    let mut left = stream.below(total as usize) as u32;
    let mut chosen = VOLTAGE;
    for (weight, quantity) in choices {
        chosen = *quantity;
        if left < *weight {
            break;
        }
        left -= weight;
    }
    let phase = stream.below(3);
    match chosen {
        VOLTAGE if sensor.role.has_three_phases() => VOLTAGE_L1 + phase,
        CURRENT if sensor.role.has_three_phases() => CURRENT_L1 + phase,
        quantity => quantity,
    }
}

fn draw_silent(kind: FaultKind, sensor: &Sensor, stream: &mut Stream) -> Drawn {
    if kind == FaultKind::Dropout {
        return Drawn::of(How::Silence, 0, 0.0, "no messages".into());
    }
    let all = stream.chance(0.4);
    let one = pick(sensor, &[(1, VOLTAGE), (1, CURRENT), (1, POWER), (1, FREQUENCY)], stream);
    if all {
        let set = sensor.reported();
        return Drawn::of(How::Freeze(set), set, 0.0, "all values frozen".into());
    }
    Drawn::of(How::Freeze(1 << one), 1 << one, 0.0, format!("{} frozen", QUANTITIES[one]))
}

fn draw_time(kind: FaultKind, scenario: &Scenario, slots: u64, stream: &mut Stream) -> Drawn {
    let interval = i64::from(scenario.interval_ms);
    let coin = stream.chance(0.5);
    match kind {
        FaultKind::RepeatedTimestamps if coin => {
            let off = -(slots as i64) * interval;
            Drawn::of_time(How::FreezeClock, off, 0.0, "clock stands still".into())
        }
        FaultKind::RepeatedTimestamps => {
            Drawn::of_time(How::SendTwice, 0, 0.0, "each message comes twice".into())
        }
        FaultKind::BackwardTimestamps => {
            let intervals = stream.between(2.0, 20.0);
            let ms = (intervals * interval as f64) as i64;
            let what = format!("every second message stamped {:.1} s early", ms as f64 / 1000.0);
            Drawn::of_time(How::StepBack { ms }, -ms, intervals, what)
        }
        _ => {
            let ms = if coin { HOUR_MS } else { -HOUR_MS };
            let what = if coin { "clock an hour ahead" } else { "clock an hour behind" };
            Drawn::of_time(How::Clock { ms }, ms, if coin { 1.0 } else { -1.0 }, what.into())
        }
    }
}

fn draw_level(kind: FaultKind, sensor: &Sensor, stream: &mut Stream) -> Drawn {
    let weights = if kind == FaultKind::Gain { [1, 1, 1] } else { [40, 30, 30] };
    let choices = [(weights[0], VOLTAGE), (weights[1], CURRENT), (weights[2], POWER)];
    let quantity = pick(sensor, &choices, stream);
    let name = QUANTITIES[quantity];
    let sign = if stream.chance(0.5) { 1.0 } else { -1.0 };
    let (how, magnitude, what) = match kind {
        FaultKind::Drift => {
            let an_hour = sign * stream.between(0.005, 0.02);
            let what = format!("{name} drifts by {:+.2} % an hour", an_hour * 100.0);
            (How::Drift { quantity, an_hour }, an_hour, what)
        }
        FaultKind::Offset => {
            let share = sign * stream.between(0.03, 0.10);
            let reference = match quantity {
                POWER => sensor.usual_power,
                CURRENT..POWER => sensor.usual_current,
                _ => VOLTAGE_NOMINAL,
            };
            let amount = share * reference;
            (How::Add { quantity, amount }, share, format!("{name} {amount:+.2} off"))
        }
        _ => {
            let factor = stream.between(0.8, 0.95);
            (How::Scale { quantities: 1 << quantity, factor }, factor, format!("{name} times {factor:.3}"))
        }
    };
    Drawn::of(how, 1 << quantity, magnitude, what)
}

fn draw_wiring(kind: FaultKind, sensor: &Sensor, stream: &mut Stream) -> Drawn {
    let reported = sensor.reported();
    let voltages = reported & ((1 << VOLTAGE) | (7 << VOLTAGE_L1));
    let currents = reported & ((1 << CURRENT) | (7 << CURRENT_L1));
    let powers = reported & (7 << POWER);
    let computed = reported & ((7 << POWER) | (1 << POWER_FACTOR));
    match kind {
        FaultKind::UnitError => {
            let (factor, what) = if stream.chance(0.5) {
                (0.001, "kW instead of W")
            } else {
                (1000.0, "a thousand times too large")
            };
            Drawn::of(How::Unit { quantities: powers, factor }, powers, factor, format!("powers {what}"))
        }
        FaultKind::Sqrt3 => {
            let how = How::Scale { quantities: voltages, factor: SQRT3 };
            Drawn::of(how, voltages, SQRT3, "phase to phase instead of phase to neutral".into())
        }
        FaultKind::SignFlip => {
            let set = match stream.below(4) {
                0 | 1 => 1 << POWER,
                2 => pick_bit(currents, stream),
                _ => reported & ((1 << POWER) | (1 << REACTIVE_POWER) | (1 << POWER_FACTOR)),
            };
            let what = format!("{} negative", names_of(set).join(", "));
            Drawn::of(How::Scale { quantities: set, factor: -1.0 }, set, -1.0, what)
        }
        _ => draw_swap(computed, stream),
    }
}

/// `computed` are the quantities that the meter works out from its channels.
fn draw_swap(computed: QuantitySet, stream: &mut Stream) -> Drawn {
    let currents = stream.chance(0.5);
    let first = stream.below(3);
    let second = (first + 1 + stream.below(2)) % 3;
    let channel = if currents { CURRENT_L1 } else { VOLTAGE_L1 };
    let set = (1 << (channel + first)) | (1 << (channel + second)) | computed;
    let which = if currents { "current transformers" } else { "voltage taps" };
    let what = format!("{which} of L{} and L{} exchanged", first + 1, second + 1);
    Drawn::of(How::Swap(Swap { currents, first, second }), set, 0.0, what)
}

/// One of the quantities in `set`, which is not empty.
fn pick_bit(set: QuantitySet, stream: &mut Stream) -> QuantitySet {
    let members: Vec<usize> = (0..QUANTITIES.len()).filter(|q| set & (1 << q) != 0).collect();
    members.get(stream.below(members.len())).map_or(set, |q| 1 << q)
}

fn draw_spike(sensor: &Sensor, (first, end): (u64, u64), stream: &mut Stream) -> Drawn {
    let quantity = pick(sensor, &[(40, VOLTAGE), (20, CURRENT), (20, POWER), (20, FREQUENCY)], stream);
    let size = stream.between(6.0, 15.0);
    // Less current or power than none cannot be read.
    let falls = !(CURRENT..=POWER).contains(&quantity) && stream.chance(0.5);
    let deviations = if falls { -size } else { size };
    let count = 1 + stream.below(3);
    let mut slots = [first; 3];
    // Never in a row: a third of the span each.
    let third = (end - first) / 3;
    for (n, slot) in slots.iter_mut().enumerate().take(count).skip(1) {
        *slot += third * n as u64 + stream.below(third.saturating_sub(2) as usize + 1) as u64;
    }
    let what =
        format!("{count} readings of {} {deviations:+.1} standard deviations off", QUANTITIES[quantity]);
    Drawn::of(How::Spike { quantity, deviations, slots, count }, 1 << quantity, deviations, what)
}
