//! One reading, as `judge` sees it.

use crate::detector::Timestamp;

/// A row of the batch.
#[derive(Debug, Clone, Copy)]
pub struct Reading<'a> {
    pub timestamp: Timestamp,
    /// Bits: see the `is_…` methods.
    pub marks: u8,
    pub(crate) values: &'a [f64],
    /// The values and NaNs behind them, to whole eights.
    pub(crate) eights: &'a [f64],
    /// Columns of this row that came with something not finite.
    pub(crate) malformed: &'a [u32],
}

impl<'a> Reading<'a> {
    /// The value of quantity `index` (see `Wanted`), NaN where the reading does not carry it.
    pub fn value(&self, index: usize) -> f64 {
        self.values[index]
    }

    /// All values, by index; NaN where absent.
    pub fn values(&self) -> &'a [f64] {
        self.values
    }

    /// Which values are there (no NaN), 64 quantities a piece: quicker than to ask each one where few of many are.
    #[inline(always)]
    pub fn present(&self) -> impl Iterator<Item = Bits> + 'a {
        self.eights.chunks(64).map(|values| Bits::of(values, present))
    }

    /// As `present`, but for values that are exactly 0.
    #[inline(always)]
    pub fn nonzero(&self) -> impl Iterator<Item = Bits> + 'a {
        self.eights.chunks(64).map(|values| Bits::of(values, nonzero))
    }

    /// Quantities (by index) that came with something that is not a finite number.
    pub fn malformed(&self) -> &'a [u32] {
        self.malformed
    }

    /// The sensor's timestamp is that of its reading before.
    pub fn is_repeated(&self) -> bool {
        self.marks & 2 != 0
    }

    /// The timestamp is before that of the sensor's latest reading.
    pub fn is_backward(&self) -> bool {
        self.marks & 4 != 0
    }

    /// The timestamp is ahead of the lane's clock: the sensor's clock is probably wrong.
    pub fn is_ahead(&self) -> bool {
        self.marks & 8 != 0
    }
}

/// Places in a row of 64, ascending.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bits(u64);

impl Bits {
    /// Of up to eight eights of values: those that `has` says of eight.
    #[inline(always)]
    fn of(values: &[f64], has: impl Fn(&[f64; 8]) -> u8) -> Bits {
        let (eights, _) = values.as_chunks();
        Bits(eights.iter().rev().fold(0, |bits, eight| bits << 8 | u64::from(has(eight))))
    }

    /// `place`: below 64.
    #[inline(always)]
    pub fn add(&mut self, place: usize) {
        self.0 |= 1 << (place % 64);
    }

    pub fn has(self, place: usize) -> bool {
        self.0 >> (place % 64) & 1 != 0
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many there are.
    pub fn len(self) -> u32 {
        self.0.count_ones()
    }
}

impl Iterator for Bits {
    type Item = usize;

    #[inline(always)]
    fn next(&mut self) -> Option<usize> {
        if self.0 == 0 {
            return None;
        }
        let place = self.0.trailing_zeros() as usize;
        self.0 &= self.0 - 1;
        Some(place)
    }
}

/// A bit for each value that is no NaN, which none is equal to itself.
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
#[inline(always)]
fn present(values: &[f64; 8]) -> u8 {
    bits(values, |pair| core::arch::wasm32::f64x2_eq(pair, pair))
}

/// A bit for each value that is neither NaN nor 0.
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
#[inline(always)]
fn nonzero(values: &[f64; 8]) -> u8 {
    use core::arch::wasm32::{f64x2_abs, f64x2_lt, f64x2_splat};
    bits(values, |pair| f64x2_lt(f64x2_splat(0.0), f64x2_abs(pair)))
}

/// Two at a time; no compiler comes upon that by itself.
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
#[inline(always)]
fn bits(values: &[f64; 8], has: impl Fn(core::arch::wasm32::v128) -> core::arch::wasm32::v128) -> u8 {
    use core::arch::wasm32::{f64x2, i64x2_bitmask};
    let two = |at: usize| i64x2_bitmask(has(f64x2(values[at], values[at + 1])));
    two(0) | two(2) << 2 | two(4) << 4 | two(6) << 6
}

/// As above.
#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
#[inline(always)]
fn present(values: &[f64; 8]) -> u8 {
    bits(values, |value| !value.is_nan())
}

/// As above.
#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
#[inline(always)]
fn nonzero(values: &[f64; 8]) -> u8 {
    bits(values, |value| value.abs() > 0.0)
}

#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
#[inline(always)]
fn bits(values: &[f64; 8], has: impl Fn(f64) -> bool) -> u8 {
    // Bits as wide as the values, which compilers make vectors of.
    const BITS: [u64; 8] = [1, 2, 4, 8, 16, 32, 64, 128];
    let bit = |(value, bit): (&f64, u64)| if has(*value) { bit } else { 0 };
    values.iter().zip(BITS).map(bit).fold(0, |bits, bit| bits | bit) as u8
}

#[cfg(test)]
mod tests {
    use super::{Bits, nonzero, present};

    #[test]
    fn present_is_what_is_no_nan() {
        let mut values = [f64::NAN; 16];
        for place in [0, 3, 7, 8, 15] {
            values[place] = place as f64 - 3.0;
        }
        (values[7], values[15]) = (5e-324, f64::INFINITY);
        assert_eq!(Bits::of(&values, present).collect::<Vec<_>>(), [0, 3, 7, 8, 15]);
        assert_eq!(Bits::of(&values, nonzero).collect::<Vec<_>>(), [0, 7, 8, 15]);
        values[8] = -0.0;
        assert_eq!(Bits::of(&values, nonzero).len(), 3);
    }

    #[test]
    fn bits_come_in_order_and_once() {
        let mut bits = Bits::default();
        assert!(bits.is_empty());
        [63, 0, 5, 63].into_iter().for_each(|place| bits.add(place));
        assert!(bits.has(5) && !bits.has(6));
        assert_eq!(bits.collect::<Vec<_>>(), [0, 5, 63]);
    }
}
