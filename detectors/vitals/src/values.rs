//! The values of a reading, taken in one after the other: what `stuck` and `units` remember of each.
//!
//! Both in one loop, which asks only what tells the ordinary from the rest, as this is what nearly all of
//! the detector's time goes to.

use gridwatch_sdk::prelude::{Bits, Reading};

use crate::parameters::Parameters;
use crate::state::Cell;
use crate::{stuck, units};

/// What one reading's values are against those before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Row {
    /// Values that are there and not 0.
    pub present: u32,
    /// What is so of any of them, by bits, so that the loop has one thing to remember.
    is: u8,
}

const CHANGED: u8 = 1;
const LONG: u8 = 2;
const FAR: u8 = 4;

impl Row {
    /// A value is not as before.
    pub fn has_changed(&self) -> bool {
        self.is & CHANGED != 0
    }

    /// A value has stood still for so long that it may be stuck.
    pub fn may_be_long(&self) -> bool {
        self.is & LONG != 0
    }

    /// A quantity's unit may be in question.
    pub fn may_be_far(&self) -> bool {
        self.is & FAR != 0
    }
}

/// Neither absent (NaN) nor 0: one comparison of the bits without the sign.
#[inline(always)]
pub fn is_there(value: f64) -> bool {
    const INFINITE: u64 = f64::INFINITY.to_bits() << 1;
    (value.to_bits() << 1).wrapping_sub(1) < INFINITE
}

/// Learns runs of equal values and usual magnitudes, but for quantities whose unit may be in question.
#[inline(always)]
pub fn learn(parameters: &Parameters, reading: &Reading<'_>, cells: &mut [Cell]) -> Row {
    let mut row = Row::default();
    let pieces = reading.nonzero().zip(reading.values().chunks(64)).zip(cells.chunks_mut(64));
    for ((there, values), cells) in pieces {
        // As many as there are values, which spares the loop to look at both lengths.
        let Some(cells) = cells.get_mut(..values.len()) else { break };
        row.present += there.len();
        let mut odd = Bits::default();
        for place in there {
            let (Some(&value), Some(cell)) = (values.get(place), cells.get_mut(place)) else { break };
            cell.seen = cell.seen.saturating_add(1);
            if value == cell.last {
                cell.run = cell.run.saturating_add(1);
                if cell.run >= parameters.stuck_readings_min {
                    row.is |= LONG;
                }
            } else {
                row.is |= CHANGED;
                if stuck::teaches(cell.longest, cell.run) {
                    // Cannot be done here: a call costs the registers of what every value needs.
                    odd.add(place);
                    continue;
                }
                cell.run = 1;
                cell.last = value;
            }
            if !units::learn_usual(cell, value) {
                row.is |= FAR;
            }
        }
        if !odd.is_empty() && learn_runs(parameters, odd, values, cells) {
            row.is |= FAR;
        }
    }
    row
}

/// Learns of values whose run has ended and was longer than those before. Whether a unit may be in question.
#[cold]
#[inline(never)]
fn learn_runs(parameters: &Parameters, places: Bits, values: &[f64], cells: &mut [Cell]) -> bool {
    let mut may_be_far = false;
    for place in places {
        let (Some(cell), Some(&value)) = (cells.get_mut(place), values.get(place)) else { break };
        cell.longest = stuck::learnt(parameters, cell.longest, cell.run);
        cell.run = 1;
        cell.last = value;
        may_be_far |= !units::learn_usual(cell, value);
    }
    may_be_far
}

#[cfg(test)]
mod tests {
    use super::is_there;

    #[test]
    fn there_is_what_is_no_nan_and_not_0() {
        for value in [1.0, -1.0, f64::MIN_POSITIVE, 5e-324, -5e-324, f64::INFINITY, -f64::INFINITY] {
            assert!(is_there(value), "{value}");
        }
        for value in [0.0, -0.0, f64::NAN, -f64::NAN, f64::from_bits(0x7ff0_0000_0000_0001)] {
            assert!(!is_there(value), "{value}");
        }
    }
}
