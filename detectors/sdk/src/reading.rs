//! One reading, as `judge` sees it.

use crate::detector::Timestamp;

/// A row of the batch.
#[derive(Debug, Clone, Copy)]
pub struct Reading<'a> {
    pub timestamp: Timestamp,
    /// Bits: see the `is_…` methods.
    pub marks: u8,
    pub(crate) values: &'a [f64],
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
