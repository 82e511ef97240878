//! The faults that telemetry shows, and the exact truth about each one injected.
//!
//! | kind | what happens | magnitude | lasts |
//! |---|---|---|---|
//! | stuck | all values freeze (40 %), or one of voltage, current, power, frequency | 0 | 1-4 h |
//! | dropout | no messages | 0 | 0.5-4 h |
//! | repeated_timestamps | the clock stands still (half), or each message comes twice | 0 | 15-60 min |
//! | backward_timestamps | every second message is stamped 2-20 intervals early | intervals | 15-60 min |
//! | drift | one of voltage (40 %), current (30 %), power (30 %) grows or shrinks by 0.5-2 % an hour | share an hour, signed | 6-10 h |
//! | offset | a constant on voltage (40 %), current (30 %), power (30 %): ±3-10 % of nominal voltage, or of the sensor's usual current or power | that share, signed | 1-6 h |
//! | gain | one of voltage, current, power (a third each) times 0.8-0.95 | the factor | 1-6 h |
//! | unit_error | all powers in kW instead of W (half), or a thousand times too large | 0.001 or 1000 | 1-6 h |
//! | sqrt3 | all voltages phase to phase instead of phase to neutral | √3 | 1-6 h |
//! | sign_flip | power (half), current (a quarter), or power with power factor, as a current transformer turned round shows it | -1 | 1-6 h |
//! | phase_swap | two phases' current transformers or voltage taps exchanged (half each) on a three-phase meter: channels change places, power and power factor are what it then computes | 0 | 1-6 h |
//! | noise_change | the noise of voltage (40 %), power (35 %) or frequency (25 %) grows 3- to 10-fold | the factor | 6-8 h |
//! | spike | 1-3 isolated readings of voltage (40 %), current, power or frequency (20 % each) off by 6-15 standard deviations of the hour before | deviations, signed | within 30 min |
//! | clock_shift | the clock is an hour ahead or behind | hours | 2-8 h |
//!
//! Where a sensor has three phases, the phase is drawn, too (all three for √3). Lengths are at least 20
//! reporting intervals, those of timestamps 15. Noise is measured as the standard deviation of successive
//! differences over √2. Magnitudes are uniform over their ranges; starts are uniform over the time after the learning days.

use gridwatch_core::Timestamp;
use serde::{Deserialize, Serialize};

use super::reading::{QUANTITIES, QuantitySet};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    Stuck,
    Dropout,
    RepeatedTimestamps,
    BackwardTimestamps,
    Drift,
    Offset,
    Gain,
    UnitError,
    Sqrt3,
    SignFlip,
    PhaseSwap,
    NoiseChange,
    Spike,
    ClockShift,
}

impl FaultKind {
    pub const ALL: [FaultKind; 14] = [
        FaultKind::Stuck,
        FaultKind::Dropout,
        FaultKind::RepeatedTimestamps,
        FaultKind::BackwardTimestamps,
        FaultKind::Drift,
        FaultKind::Offset,
        FaultKind::Gain,
        FaultKind::UnitError,
        FaultKind::Sqrt3,
        FaultKind::SignFlip,
        FaultKind::PhaseSwap,
        FaultKind::NoiseChange,
        FaultKind::Spike,
        FaultKind::ClockShift,
    ];

    pub fn name(self) -> &'static str {
        match self {
            FaultKind::Stuck => "stuck",
            FaultKind::Dropout => "dropout",
            FaultKind::RepeatedTimestamps => "repeated_timestamps",
            FaultKind::BackwardTimestamps => "backward_timestamps",
            FaultKind::Drift => "drift",
            FaultKind::Offset => "offset",
            FaultKind::Gain => "gain",
            FaultKind::UnitError => "unit_error",
            FaultKind::Sqrt3 => "sqrt3",
            FaultKind::SignFlip => "sign_flip",
            FaultKind::PhaseSwap => "phase_swap",
            FaultKind::NoiseChange => "noise_change",
            FaultKind::Spike => "spike",
            FaultKind::ClockShift => "clock_shift",
        }
    }

    /// Grows so slowly, or shows so little in one reading, that it is given hours to be found.
    pub fn is_slow(self) -> bool {
        matches!(self, FaultKind::Drift | FaultKind::NoiseChange)
    }

    /// How long it may last, minutes: uniform between the two.
    pub(super) fn minutes(self) -> (f64, f64) {
        match self {
            FaultKind::Stuck => (60.0, 240.0),
            FaultKind::Dropout => (30.0, 240.0),
            FaultKind::RepeatedTimestamps | FaultKind::BackwardTimestamps => (15.0, 60.0),
            FaultKind::Drift => (360.0, 600.0),
            FaultKind::NoiseChange => (360.0, 480.0),
            FaultKind::Spike => (20.0, 30.0),
            FaultKind::ClockShift => (120.0, 480.0),
            _ => (60.0, 360.0),
        }
    }
}

/// The truth about one injected fault, known before the run. Every reading of `sensor_id` taken in
/// [start, end) is touched (of a spike, one to three of them; of backward timestamps, every second); none outside is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Label {
    pub sensor_id: String,
    pub kind: FaultKind,
    /// When the first touched reading is taken (or would have been).
    pub start: Timestamp,
    /// When the first reading after the fault is taken.
    pub end: Timestamp,
    /// Names of the quantities that are wrong; empty where it is the message or its time.
    pub quantities: Vec<String>,
    /// See the table of this module.
    pub magnitude: f64,
    /// The fault in words.
    pub what: String,
    /// The sensor's feeder, as readings carry it in `location`, and its area.
    pub feeder: String,
    pub area: String,
    /// How far touched messages' timestamps may be off the time at which the reading was taken, ms, signed.
    pub clock_off_ms: i64,
}

/// What an injector does to a sensor's messages.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum How {
    Freeze(QuantitySet),
    Silence,
    FreezeClock,
    SendTwice,
    StepBack {
        ms: i64,
    },
    Drift {
        quantity: usize,
        an_hour: f64,
    },
    Add {
        quantity: usize,
        amount: f64,
    },
    Scale {
        quantities: QuantitySet,
        factor: f64,
    },
    /// After rounding: the number that the device has is only written in another unit.
    Unit {
        quantities: QuantitySet,
        factor: f64,
    },
    Swap(super::sensor::Swap),
    Noise {
        quantity: usize,
        times: f64,
    },
    /// The readings meant: `slots[..count]`.
    Spike {
        quantity: usize,
        deviations: f64,
        slots: [u64; 3],
        count: usize,
    },
    Clock {
        ms: i64,
    },
}

/// A fault as it is injected.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    /// Index of its label.
    pub label: u32,
    pub sensor: u32,
    /// Slots [first, end).
    pub first: u64,
    pub end: u64,
    pub how: How,
}

impl Fault {
    pub fn postpone(&mut self, slots: u64) {
        self.first += slots;
        self.end += slots;
        if let How::Spike { slots: meant, .. } = &mut self.how {
            meant.iter_mut().for_each(|slot| *slot += slots);
        }
    }
}

pub(super) fn names_of(set: QuantitySet) -> Vec<String> {
    (0..QUANTITIES.len()).filter(|q| set & (1 << q) != 0).map(|q| QUANTITIES[q].to_string()).collect()
}
