//! Rows out of columns.

use crate::contract::Columns;

/// Rows that are made at once, so that a column is read in one go.
const BLOCK: usize = 8;
/// Rows of so many values, or fewer, are laid out by a stride that is known: their places need no multiplication.
const NARROW: usize = 16;

/// Makes rows of columns: `judge` gets the values of one reading side by side.
pub(super) struct Gather {
    /// The detector's index of each chosen quantity, ascending.
    index_of: Vec<usize>,
    /// Values a row.
    width: usize,
    /// The same in whole eights, which `Reading::present` looks at; `NARROW` at least.
    stride: usize,
    /// `BLOCK` rows, one after the other; NaN for ever where a quantity is not there.
    block: Vec<f64>,
    /// Of all rows with something malformed, ascending: the row.
    malformed_rows: Vec<u32>,
    /// Beside it, the detector's index of the quantity.
    malformed: Vec<u32>,
    /// How many of them have been handed out.
    malformed_done: usize,
}

/// What a row has of its reading.
pub(super) struct Row<'a> {
    pub values: &'a [f64],
    /// The values and NaNs behind them, to whole eights.
    pub eights: &'a [f64],
    pub malformed: &'a [u32],
}

impl Gather {
    /// `chosen_of`: position among the chosen quantities by the detector's index.
    pub fn new(chosen_of: &[Option<u32>]) -> Self {
        let stride = chosen_of.len().next_multiple_of(8).max(NARROW);
        Gather {
            index_of: (0..chosen_of.len()).filter(|&index| chosen_of[index].is_some()).collect(),
            width: chosen_of.len(),
            stride,
            block: vec![f64::NAN; BLOCK * stride],
            malformed_rows: Vec::new(),
            malformed: Vec::new(),
            malformed_done: 0,
        }
    }

    /// The detector's index of each chosen quantity.
    pub fn indices(&self) -> &[usize] {
        &self.index_of
    }

    /// Looks whether the columns fit together.
    pub fn begin(&mut self, columns: &Columns<'_>) -> Result<(), String> {
        let (rows, quantities) = (columns.sensors.len(), self.index_of.len());
        if columns.timestamps.len() != rows
            || columns.values.len() != rows * quantities
            || !(columns.marks.is_empty() || columns.marks.len() == rows)
        {
            return Err(format!(
                "columns do not fit: {rows} sensors, {} timestamps, {} marks, {} values of {quantities} quantities",
                columns.timestamps.len(),
                columns.marks.len(),
                columns.values.len()
            ));
        }
        self.malformed_rows.clear();
        self.malformed.clear();
        self.malformed_done = 0;
        if columns.malformed.is_empty() {
            return Ok(());
        }
        let place = |&index: &u32| (index as usize % rows, index as usize / rows);
        if columns.malformed.iter().any(|&index| index as usize >= columns.values.len()) {
            return Err("malformed: an index is beyond the values".into());
        }
        let mut places: Vec<(usize, usize)> = columns.malformed.iter().map(place).collect();
        places.sort_unstable();
        for (row, chosen) in places {
            self.malformed_rows.push(row as u32);
            self.malformed.push(self.index_of[chosen] as u32);
        }
        Ok(())
    }

    /// Rows are asked for in ascending order, from 0.
    #[inline(always)]
    pub fn row(&mut self, columns: &Columns<'_>, row: usize) -> Row<'_> {
        let place = row % BLOCK;
        if place == 0 {
            self.fill(columns, row);
        }
        let malformed = if self.malformed_rows.is_empty() { 0..0 } else { self.malformed_range(row) };
        let eights = &self.block[place * self.stride..(place + 1) * self.stride];
        let malformed = self.malformed.get(malformed).unwrap_or_default();
        Row { values: &eights[..self.width], eights, malformed }
    }

    /// Rows are asked for in ascending order.
    #[inline(never)]
    fn malformed_range(&mut self, row: usize) -> std::ops::Range<usize> {
        let start = self.malformed_done;
        while self.malformed_rows.get(self.malformed_done) == Some(&(row as u32)) {
            self.malformed_done += 1;
        }
        start..self.malformed_done
    }

    /// The rows from `row` on, as many as there are and fit.
    #[inline(never)]
    fn fill(&mut self, columns: &Columns<'_>, row: usize) {
        let rows = columns.sensors.len();
        let (narrow, _) = self.block.as_chunks_mut::<NARROW>();
        // Of no quantities there are no values: nor a `row` among them.
        let values = columns.values.get(row..).unwrap_or_default();
        if let (NARROW, true, Some(block)) = (self.stride, row + BLOCK <= rows, narrow.first_chunk_mut()) {
            fill_narrow(block, values, rows, &self.index_of);
            return;
        }
        for (column, &index) in columns.values.chunks_exact(rows).zip(&self.index_of) {
            for (place, value) in self.block[index..].iter_mut().step_by(self.stride).zip(&column[row..]) {
                *place = *value;
            }
        }
    }
}

/// A whole block. `values`: from the first column's first of these rows on; the next column's are `rows` further.
#[inline(always)]
fn fill_narrow(block: &mut [[f64; NARROW]; BLOCK], values: &[f64], rows: usize, index_of: &[usize]) {
    let mut start = 0;
    for &index in index_of {
        let Some(values) = values.get(start..).and_then(|values| values.first_chunk::<BLOCK>()) else {
            return;
        };
        if index < NARROW {
            for (places, value) in block.iter_mut().zip(values) {
                places[index] = *value;
            }
        }
        start += rows;
    }
}
