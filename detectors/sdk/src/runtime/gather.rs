//! Rows out of columns.

use crate::contract::Columns;

/// Rows that are made at once, so that a column is read in one go.
pub const BLOCK: usize = 8;
/// Quantities a word of bits.
const WORD: usize = u64::BITS as usize;

/// Makes rows of columns: `judge` gets the values of one reading side by side.
pub(super) struct Gather {
    /// The detector's index of each chosen quantity, ascending.
    index_of: Vec<usize>,
    /// Values a row.
    width: usize,
    /// `BLOCK` rows, one after the other; NaN for ever where a quantity is not there.
    block: Vec<f64>,
    /// Which of them are there: of each 64 quantities and each row of the block a word.
    present: Vec<[u64; BLOCK]>,
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
    /// Of each 64 quantities and each row of the block a word of bits; `place` is the row.
    pub present: &'a [[u64; BLOCK]],
    pub place: usize,
    pub malformed: &'a [u32],
}

impl Gather {
    /// `chosen_of`: position among the chosen quantities by the detector's index.
    pub fn new(chosen_of: &[Option<u32>]) -> Self {
        Gather {
            index_of: (0..chosen_of.len()).filter(|&index| chosen_of[index].is_some()).collect(),
            width: chosen_of.len(),
            block: vec![f64::NAN; BLOCK * chosen_of.len()],
            present: vec![[0; BLOCK]; chosen_of.len().div_ceil(WORD)],
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
        let malformed = if self.malformed_rows.is_empty() { 0..0 } else { self.malformed_range(row) };
        let place = row % BLOCK;
        if place == 0 {
            self.fill(columns, row);
        }
        Row {
            values: &self.block[place * self.width..(place + 1) * self.width],
            present: &self.present,
            place,
            malformed: &self.malformed[malformed],
        }
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
        let mut filled = columns.values.chunks_exact(columns.sensors.len());
        // Apart from each other: that `index` is within one of them is then asked once for all.
        let mut rest = self.block.as_mut_slice();
        let mut rows: [&mut [f64]; BLOCK] = std::array::from_fn(|_| {
            let (row, after) = std::mem::take(&mut rest).split_at_mut(self.width);
            rest = after;
            row
        });
        for indices in self.index_of.chunk_by(|a, b| a / WORD == b / WORD) {
            let mut present = [0; BLOCK];
            for (&index, column) in indices.iter().zip(&mut filled) {
                let values = &column[row..];
                match values.first_chunk::<BLOCK>() {
                    // A loop of known length, which is unrolled: in WebAssembly a loop looks at the clock each
                    // time round.
                    Some(values) => fill_column(values, &mut rows, index, &mut present),
                    None => fill_column(values, &mut rows, index, &mut present),
                }
            }
            if let Some(words) = indices.first().and_then(|index| self.present.get_mut(index / WORD)) {
                *words = present;
            }
        }
    }
}

/// A bit at the quantity's place in its word, unless the value is NaN: a comparison of the bits without the sign.
#[inline(always)]
fn bit_of(value: f64, index: usize) -> u64 {
    const INFINITE: u64 = f64::INFINITY.to_bits() << 1;
    u64::from(value.to_bits() << 1 <= INFINITE) << (index % WORD)
}

/// One column of a block, or of as many rows as there are.
#[inline(always)]
fn fill_column<'a>(
    values: impl IntoIterator<Item = &'a f64>,
    rows: &mut [&mut [f64]; BLOCK],
    index: usize,
    present: &mut [u64; BLOCK],
) {
    for ((row, present), value) in rows.iter_mut().zip(present).zip(values) {
        row[index] = *value;
        *present |= bit_of(*value, index);
    }
}
