//! A batch in the making: columns over all quantities of the lane.

use gridwatch_core::Timestamp;
use gridwatch_core::batch::{BatchView, mark};
use gridwatch_core::reading::Reading;
use gridwatch_core::record::Position;

/// Columns with a fixed stride of `rows_max`, so that a full batch of all quantities is handed to a
/// detector as it lies here.
pub struct Builder {
    rows_max: usize,
    quantities: usize,
    sensors: Vec<u32>,
    timestamps: Vec<Timestamp>,
    /// Quantity q of row r is `values[q * rows_max + r]`.
    values: Vec<f64>,
    marks: Vec<u8>,
    marked: bool,
    /// (quantity, row) of what came and was no finite number.
    malformed: Vec<(u16, u32)>,
    /// Of rows with something malformed, ascending: the row, and how the first of it stands in the record.
    malformed_texts: Vec<(u32, String)>,
    positions: Vec<Position>,
    /// The sensor's count of disorder when the row came; part of anomaly ids.
    disorder: Vec<u32>,
    /// The lane's clock when the row came; `Timestamp::MIN` before it goes.
    clocks: Vec<Timestamp>,
}

/// Buffers for one detector's choice of quantities.
#[derive(Default)]
pub struct Gathered {
    values: Vec<f64>,
    malformed: Vec<u32>,
}

impl Builder {
    pub fn new(rows_max: usize) -> Self {
        Builder {
            rows_max,
            quantities: 0,
            sensors: Vec::with_capacity(rows_max),
            timestamps: Vec::with_capacity(rows_max),
            values: Vec::new(),
            marks: Vec::with_capacity(rows_max),
            marked: false,
            malformed: Vec::new(),
            malformed_texts: Vec::new(),
            positions: Vec::with_capacity(rows_max),
            disorder: Vec::with_capacity(rows_max),
            clocks: Vec::with_capacity(rows_max),
        }
    }

    pub fn rows(&self) -> usize {
        self.sensors.len()
    }

    pub fn is_empty(&self) -> bool {
        self.sensors.is_empty()
    }

    pub fn is_full(&self) -> bool {
        self.sensors.len() == self.rows_max
    }

    pub fn sensor(&self, row: usize) -> u32 {
        self.sensors[row]
    }

    pub fn timestamp(&self, row: usize) -> Timestamp {
        self.timestamps[row]
    }

    pub fn value(&self, quantity: usize, row: usize) -> f64 {
        self.values[quantity * self.rows_max + row]
    }

    pub fn position(&self, row: usize) -> Position {
        self.positions[row]
    }

    pub fn disorder(&self, row: usize) -> u32 {
        self.disorder[row]
    }

    /// The lane's clock at the row of that position, or at the first row where the position is before that.
    pub fn clock_at(&self, position: Position) -> Option<Timestamp> {
        let row = match *self.positions.first()? {
            first if position <= first => 0,
            _ => self.positions.binary_search(&position).ok()?,
        };
        self.clocks.get(row).copied().filter(|clock| *clock != Timestamp::MIN)
    }

    /// So many quantities the rows may have.
    pub fn quantities(&self) -> usize {
        self.quantities
    }

    /// The first malformed quantity of a row, and how it stands in the record (empty where that is not kept).
    pub fn malformed_at(&self, row: usize) -> Option<(u16, &str)> {
        let (quantity, row) = self.malformed.iter().find(|(_, at)| *at as usize == row)?;
        let text = self.malformed_texts.iter().find(|(at, _)| at == row);
        Some((*quantity, text.map_or("", |(_, text)| text)))
    }

    /// There are more quantities now. Only between batches.
    pub fn set_quantities(&mut self, quantities: usize) {
        self.quantities = quantities;
        self.values.resize(quantities * self.rows_max, f64::NAN);
    }

    /// `clock` is the lane's, with this reading.
    pub fn push(
        &mut self,
        sensor: u32,
        reading: &Reading,
        marks: u8,
        position: Position,
        disorder: u32,
        clock: Option<Timestamp>,
    ) {
        let row = self.sensors.len();
        self.sensors.push(sensor);
        self.timestamps.push(reading.timestamp);
        for &(quantity, value) in &reading.values {
            self.values[usize::from(quantity) * self.rows_max + row] = value;
        }
        let marks = if reading.malformed.is_empty() { marks } else { marks | mark::MALFORMED };
        for &quantity in &reading.malformed {
            self.malformed.push((quantity, row as u32));
        }
        if !reading.malformed.is_empty() && !reading.malformed_text.is_empty() {
            self.malformed_texts.push((row as u32, reading.malformed_text.clone()));
        }
        self.marked |= marks != 0;
        self.marks.push(marks);
        self.positions.push(position);
        self.disorder.push(disorder);
        self.clocks.push(clock.unwrap_or(Timestamp::MIN));
    }

    /// The batch as columns of the `chosen` quantities.
    pub fn view<'a>(&'a self, chosen: &[u32], gathered: &'a mut Gathered) -> BatchView<'a> {
        let rows = self.rows();
        let whole = self.is_full()
            && chosen.len() == self.quantities
            && chosen.iter().enumerate().all(|(at, &quantity)| at == quantity as usize);
        if !whole {
            gathered.values.clear();
            for &quantity in chosen {
                let start = quantity as usize * self.rows_max;
                gathered.values.extend_from_slice(&self.values[start..start + rows]);
            }
        }
        gathered.malformed.clear();
        if !self.malformed.is_empty() {
            for (at, &quantity) in chosen.iter().enumerate() {
                let of_quantity = self.malformed.iter().filter(|(q, _)| u32::from(*q) == quantity);
                gathered.malformed.extend(of_quantity.map(|(_, row)| (at * rows) as u32 + row));
            }
            gathered.malformed.sort_unstable();
        }
        BatchView {
            sensors: &self.sensors,
            timestamps: &self.timestamps,
            values: if whole { &self.values } else { &gathered.values },
            marks: if self.marked { &self.marks } else { &[] },
            malformed: &gathered.malformed,
        }
    }

    /// The rows there are, and room for no more.
    pub fn copy(&self) -> Builder {
        let rows = self.rows();
        let mut values = Vec::with_capacity(self.quantities * rows);
        for quantity in 0..self.quantities {
            let start = quantity * self.rows_max;
            values.extend_from_slice(&self.values[start..start + rows]);
        }
        Builder {
            rows_max: rows,
            quantities: self.quantities,
            sensors: self.sensors.clone(),
            timestamps: self.timestamps.clone(),
            values,
            marks: self.marks.clone(),
            marked: self.marked,
            malformed: self.malformed.clone(),
            malformed_texts: Vec::new(),
            positions: self.positions.clone(),
            disorder: Vec::new(),
            clocks: Vec::new(),
        }
    }

    /// What its columns take.
    pub fn bytes(&self) -> usize {
        let row_bytes = size_of::<u32>() + size_of::<Timestamp>() + size_of::<u8>() + size_of::<Position>();
        self.rows() * row_bytes + size_of_val(&*self.values) + size_of_val(&*self.malformed)
    }

    /// Some of the rows, ascending, as a batch of their own.
    pub fn part(&self, rows: &[usize]) -> Builder {
        let mut values = Vec::with_capacity(self.quantities * rows.len());
        for quantity in 0..self.quantities {
            let start = quantity * self.rows_max;
            values.extend(rows.iter().map(|row| self.values[start + row]));
        }
        let new_of = |row: u32| rows.binary_search(&(row as usize)).ok().map(|new| new as u32);
        let malformed = self.malformed.iter().filter_map(|(quantity, row)| Some((*quantity, new_of(*row)?)));
        let marks: Vec<u8> = rows.iter().map(|row| self.marks[*row]).collect();
        Builder {
            rows_max: rows.len(),
            quantities: self.quantities,
            sensors: rows.iter().map(|row| self.sensors[*row]).collect(),
            timestamps: rows.iter().map(|row| self.timestamps[*row]).collect(),
            values,
            marked: marks.iter().any(|marks| *marks != 0),
            marks,
            malformed: malformed.collect(),
            malformed_texts: Vec::new(),
            positions: rows.iter().map(|row| self.positions[*row]).collect(),
            disorder: Vec::new(),
            clocks: Vec::new(),
        }
    }

    pub fn clear(&mut self) {
        let rows = self.rows();
        for quantity in 0..self.quantities {
            let start = quantity * self.rows_max;
            self.values[start..start + rows].fill(f64::NAN);
        }
        self.sensors.clear();
        self.timestamps.clear();
        self.marks.clear();
        self.marked = false;
        self.malformed.clear();
        self.malformed_texts.clear();
        self.positions.clear();
        self.disorder.clear();
        self.clocks.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(values: &[(u16, f64)], malformed: &[u16]) -> Reading {
        Reading { timestamp: 5, values: values.into(), malformed: malformed.into(), ..Reading::default() }
    }

    #[test]
    fn a_choice_of_quantities_is_gathered_in_its_order() {
        let mut builder = Builder::new(4);
        builder.set_quantities(3);
        builder.push(0, &reading(&[(0, 1.0), (2, 3.0)], &[1]), 0, 10, 0, None);
        builder.push(1, &reading(&[(1, 2.5)], &[0]), mark::REPEATED, 11, 0, Some(7));
        let mut gathered = Gathered::default();
        let view = builder.view(&[2, 1], &mut gathered);
        assert_eq!(view.values.len(), 4);
        assert_eq!(view.values[0], 3.0);
        assert!(view.values[1].is_nan() && view.values[2].is_nan());
        assert_eq!(view.values[3], 2.5);
        assert_eq!(view.marks, [mark::MALFORMED, mark::REPEATED | mark::MALFORMED]);
        // Row 0 of quantity 1, which is the second chosen.
        assert_eq!(view.malformed, [2]);
    }

    #[test]
    fn a_part_shows_its_rows_and_no_others() {
        let mut builder = Builder::new(4);
        builder.set_quantities(2);
        for row in 0..3u32 {
            let marks = if row == 1 { mark::BACKWARD } else { 0 };
            let reading = reading(&[(0, f64::from(row))], if row == 2 { &[1] } else { &[] });
            builder.push(row, &reading, marks, 10 + u64::from(row), 0, Some(i64::from(row)));
        }
        assert_eq!([9, 10, 12, 13].map(|at| builder.clock_at(at)), [Some(0), Some(0), Some(2), None]);
        let mut gathered = Gathered::default();
        let part = builder.part(&[0, 2]);
        let view = part.view(&[1, 0], &mut gathered);
        assert_eq!((view.sensors, &view.values[2..]), (&[0, 2][..], &[0.0, 2.0][..]));
        assert_eq!((view.malformed, view.marks), (&[1][..], &[0, mark::MALFORMED][..]));
        let part = builder.part(&[0]);
        let view = part.view(&[0], &mut gathered);
        assert!(view.marks.is_empty() && view.malformed.is_empty());
    }

    #[test]
    fn a_full_batch_and_a_cleared_one_show_the_same_as_gathered() {
        let mut builder = Builder::new(2);
        builder.set_quantities(2);
        for _ in 0..2 {
            builder.push(0, &reading(&[(0, 1.0)], &[]), 0, 1, 0, None);
            builder.push(0, &reading(&[(1, 2.0)], &[]), 0, 2, 0, None);
            let mut gathered = Gathered::default();
            let view = builder.view(&[0, 1], &mut gathered);
            let bits: Vec<bool> = view.values.iter().map(|v| v.is_nan()).collect();
            assert_eq!(bits, [false, true, true, false]);
            assert!(view.marks.is_empty());
            builder.clear();
        }
    }
}
