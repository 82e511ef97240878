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
    /// Values that are there and not 0, and those of them that are as before.
    pub present: u32,
    pub same: u32,
    /// A value has stood still for so long that it may be stuck.
    pub may_be_long: bool,
    /// A quantity's unit may be in question.
    pub may_be_far: bool,
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
    let pieces = reading.present().zip(reading.values().chunks(64)).zip(cells.chunks_mut(64));
    for ((present, values), cells) in pieces {
        let mut odd = Bits::default();
        for place in present {
            let (Some(cell), Some(&value)) = (cells.get_mut(place), values.get(place)) else { break };
            if value == 0.0 {
                continue;
            }
            row.present += 1;
            cell.seen = cell.seen.saturating_add(1);
            if value == cell.last {
                row.same += 1;
                cell.run = cell.run.saturating_add(1);
                row.may_be_long |= cell.run >= parameters.stuck_readings_min;
            } else {
                if stuck::teaches(cell.longest, cell.run) {
                    // Cannot be done here: a call costs the registers of what every value needs.
                    odd.add(place);
                    continue;
                }
                cell.run = 1;
                cell.last = value;
            }
            row.may_be_far |= !units::learn_usual(cell, value);
        }
        if !odd.is_empty() {
            row.may_be_far |= learn_runs(parameters, odd, values, cells);
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
