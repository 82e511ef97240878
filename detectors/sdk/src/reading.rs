//! One reading, as `judge` sees it.

use crate::detector::Timestamp;
use crate::runtime::BLOCK;

/// A row of the batch.
#[derive(Debug, Clone, Copy)]
pub struct Reading<'a> {
    pub timestamp: Timestamp,
    /// Bits: see the `is_…` methods.
    pub marks: u8,
    pub(crate) values: &'a [f64],
    pub(crate) present: Present<'a>,
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

    /// Indices of the values that are there (no NaN), ascending. Quicker than to ask each one where few of
    /// many are.
    #[inline(always)]
    pub fn present(&self) -> Present<'a> {
        self.present
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

/// Indices, ascending.
#[derive(Debug, Clone, Copy)]
pub struct Present<'a> {
    /// Of each 64 quantities and each row of a block a word of bits.
    words: &'a [[u64; BLOCK]],
    /// The row.
    place: usize,
    /// What is left of the present word, and the index of its first bit.
    bits: u64,
    first: usize,
}

impl<'a> Present<'a> {
    #[inline(always)]
    pub(crate) fn new(words: &'a [[u64; BLOCK]], place: usize) -> Self {
        let place = place % BLOCK;
        match words {
            [first, rest @ ..] => Present { words: rest, place, bits: first[place], first: 0 },
            [] => Present { words, place, bits: 0, first: 0 },
        }
    }
}

impl Iterator for Present<'_> {
    type Item = usize;

    #[inline(always)]
    fn next(&mut self) -> Option<usize> {
        while self.bits == 0 {
            let [next, rest @ ..] = self.words else { return None };
            (self.bits, self.words, self.first) = (next[self.place], rest, self.first + u64::BITS as usize);
        }
        let index = self.first + self.bits.trailing_zeros() as usize;
        self.bits &= self.bits - 1;
        Some(index)
    }
}
