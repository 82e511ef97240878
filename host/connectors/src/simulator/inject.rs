//! Applies a sensor's faults to its messages. A fault's randomness is a stream of its own, so that readings
//! outside faults are those of the run without any.

use gridwatch_core::Timestamp;

use super::fault::{Fault, How};
use super::random::{Purpose, Stream};
use super::reading::{QUANTITIES, SimReading};
use super::sensor::Swap;

/// Weight of a reading in the running statistics: an hour's memory at an interval of a minute.
const RECENT: f64 = 1.0 / 60.0;

/// Running mean, variance, and variance of differences of one quantity before its fault.
#[derive(Debug, Clone, Copy, Default)]
struct Recent {
    seen: u64,
    last: f64,
    mean: f64,
    variance: f64,
    difference: f64,
}

impl Recent {
    fn add(&mut self, value: f64) {
        if self.seen == 0 {
            self.mean = value;
        } else {
            // Plain means until there is an hour, so that the beginning has no undue weight.
            let weight = RECENT.max(1.0 / (self.seen as f64 + 1.0));
            let off = value - self.mean;
            self.mean += weight * off;
            self.variance = (1.0 - weight) * (self.variance + weight * off * off);
            let step = value - self.last;
            let weight = RECENT.max(1.0 / self.seen as f64);
            self.difference += weight * (step * step - self.difference);
        }
        self.seen += 1;
        self.last = value;
    }

    fn deviation(self) -> f64 {
        libm::sqrt(self.variance)
    }

    /// Noise alone, without slow movement.
    fn noise(self) -> f64 {
        libm::sqrt(self.difference / 2.0)
    }
}

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Sent,
    SentTwice,
    Lost,
}

/// One sensor's faults, in order, and what is to be remembered for the next of them.
#[derive(Debug, Clone)]
pub(super) struct Injector {
    seed: u64,
    interval_h: f64,
    faults: Vec<Fault>,
    /// The fault that is on or comes next.
    at: usize,
    /// After the last fault comes the first one again, so many slots after it came before.
    period: Option<u64>,
    recent: Recent,
    stream: Option<Stream>,
    /// What was last sent before the fault.
    held: [f64; QUANTITIES.len()],
    held_time: Timestamp,
}

impl Injector {
    /// `faults` are one sensor's, ascending and apart.
    pub fn new(seed: u64, interval_ms: u32, faults: Vec<Fault>) -> Self {
        Self {
            seed,
            interval_h: f64::from(interval_ms) / 3_600_000.0,
            faults,
            at: 0,
            period: None,
            recent: Recent::default(),
            stream: None,
            held: [0.0; QUANTITIES.len()],
            held_time: 0,
        }
    }

    /// Faults come again after so many slots, which are more than lie between the first's start and the last's end.
    pub fn recur(&mut self, period: u64) {
        self.period = Some(period);
    }

    /// Moves to `slot`, which ascends; true if a fault is on.
    pub fn enter(&mut self, slot: u64) -> bool {
        while self.faults.get(self.at).is_some_and(|fault| fault.end <= slot) {
            self.at += 1;
            self.recent = Recent::default();
            self.stream = None;
            if let Some(period) = self.period.filter(|_| self.at == self.faults.len()) {
                self.at = 0;
                self.faults.iter_mut().for_each(|fault| fault.postpone(period));
            }
        }
        self.active(slot).is_some()
    }

    fn active(&self, slot: u64) -> Option<&Fault> {
        self.faults.get(self.at).filter(|fault| fault.first <= slot)
    }

    pub fn swap(&self, slot: u64) -> Option<Swap> {
        match self.active(slot)?.how {
            How::Swap(swap) => Some(swap),
            _ => None,
        }
    }

    /// Before rounding: changes what the device measured. True if it did.
    pub fn bend(&mut self, slot: u64, values: &mut [f64; QUANTITIES.len()]) -> bool {
        let Some(fault) = self.faults.get(self.at) else {
            return false;
        };
        if slot < fault.first {
            if let How::Noise { quantity, .. } | How::Spike { quantity, .. } = fault.how {
                self.recent.add(values[quantity]);
            }
            return false;
        }
        match fault.how {
            How::Drift { quantity, an_hour } => {
                values[quantity] *= 1.0 + an_hour * self.interval_h * (slot - fault.first + 1) as f64;
            }
            How::Add { quantity, amount } => values[quantity] = add(quantity, values[quantity], amount),
            How::Scale { quantities, factor } => {
                for (quantity, value) in values.iter_mut().enumerate() {
                    if quantities & (1 << quantity) != 0 {
                        *value *= factor;
                    }
                }
            }
            How::Noise { quantity, times } => {
                let (seed, label) = (self.seed, fault.label);
                let stream = self.stream.get_or_insert_with(|| Stream::new(seed, Purpose::Fault(label)));
                // Variances add: so much is missing for the whole to have `times` the noise.
                let missing = libm::sqrt(times * times - 1.0) * self.recent.noise();
                values[quantity] += missing * stream.normal();
            }
            How::Spike { quantity, deviations, slots, count } => {
                if !slots[..count].contains(&slot) {
                    return false;
                }
                values[quantity] += deviations * self.recent.deviation();
            }
            _ => {}
        }
        true
    }

    /// After rounding: changes what is sent, and when it says it was taken; says whether it is sent.
    pub fn finish(&mut self, reading: &mut SimReading) -> Fate {
        let Some(fault) = self.active(reading.slot) else {
            self.held = reading.values;
            self.held_time = reading.timestamp;
            return Fate::Sent;
        };
        let odd = (reading.slot - fault.first) % 2 == 1;
        match fault.how {
            How::Freeze(quantities) => {
                for (quantity, value) in reading.values.iter_mut().enumerate() {
                    if quantities & (1 << quantity) != 0 {
                        *value = self.held[quantity];
                    }
                }
            }
            How::Silence => return Fate::Lost,
            How::FreezeClock => reading.timestamp = self.held_time,
            How::SendTwice => {
                reading.fault = Some(fault.label);
                return Fate::SentTwice;
            }
            How::StepBack { .. } if odd => return Fate::Sent,
            How::StepBack { ms } => reading.timestamp -= ms,
            How::Clock { ms } => reading.timestamp += ms,
            How::Unit { quantities, factor } => {
                for (quantity, value) in reading.values.iter_mut().enumerate() {
                    if quantities & (1 << quantity) != 0 {
                        *value = rescale(*value, factor);
                    }
                }
            }
            How::Spike { slots, count, .. } if !slots[..count].contains(&reading.slot) => {
                return Fate::Sent;
            }
            _ => {}
        }
        reading.fault = Some(fault.label);
        Fate::Sent
    }
}

/// A current cannot be less than none, however its zero is off.
fn add(quantity: usize, value: f64, amount: f64) -> f64 {
    use super::reading::{CURRENT, POWER};
    let sum = value + amount;
    if (CURRENT..POWER).contains(&quantity) { sum.max(0.0) } else { sum }
}

/// To the nearest thousandth, as a decimal: the value that JSON will show.
fn rescale(value: f64, factor: f64) -> f64 {
    (value * factor * 1000.0).round() / 1000.0 + 0.0
}
