//! The last readings of a lane, to try candidates on before they come near it. Nothing that the lane says depends on
//! them.

use std::collections::BTreeMap;

use gridwatch_core::Timestamp;
use gridwatch_core::batch::{Sensor, mark};
use gridwatch_core::reading::Quantity;
use gridwatch_core::sensors::SensorTable;

use super::builder::{Builder, Gathered};
use crate::foundry::{Evidence, Row, Stretch};

/// Rows that are kept in a row, whole batches; the ones before them stay until these are enough.
const ROWS_KEPT: usize = 2_048;
/// Then so many go by unnoticed, since a copy is not free. A lane with few readings still has its latest.
const ROWS_PASSED: usize = 30_000;

#[derive(Default)]
pub struct Recent {
    now: Kept,
    before: Kept,
    passed: usize,
}

#[derive(Default)]
struct Kept {
    rows: usize,
    pieces: Vec<Piece>,
}

#[allow(clippy::large_enum_variant, reason = "hardly more ticks than batches, which are what is large")]
enum Piece {
    Batch(Builder),
    Tick(Timestamp),
}

impl Recent {
    pub fn batch(&mut self, batch: &Builder) {
        if self.now.rows >= ROWS_KEPT {
            self.passed += batch.rows();
            if self.passed < ROWS_PASSED {
                return;
            }
            self.passed = 0;
            self.before = std::mem::take(&mut self.now);
        }
        self.now.rows += batch.rows();
        self.now.pieces.push(Piece::Batch(batch.copy()));
    }

    pub fn tick(&mut self, watermark: Timestamp) {
        if self.now.rows < ROWS_KEPT {
            match self.now.pieces.last_mut() {
                // Of ticks without readings between them the last one tells all.
                Some(Piece::Tick(before)) => *before = watermark,
                _ => self.now.pieces.push(Piece::Tick(watermark)),
            }
        }
    }

    /// There are other quantities from here on.
    pub fn clear(&mut self) {
        *self = Recent::default();
    }

    /// What there is of it; None before anything was read.
    pub fn evidence(&self, lane: &str, quantities: &[Quantity], sensors: &SensorTable) -> Option<Evidence> {
        let is_enough = self.now.rows >= ROWS_KEPT / 2 || self.before.rows == 0;
        let kept = if is_enough { &self.now } else { &self.before };
        if kept.rows == 0 {
            return None;
        }
        let of = format!("that lane {lane} has just read");
        let mut made = Made {
            evidence: Evidence {
                of,
                quantities: quantities.to_vec(),
                sensors: Vec::new(),
                stretches: Vec::new(),
            },
            numbers: BTreeMap::new(),
            rows: Vec::new(),
        };
        for piece in &kept.pieces {
            match piece {
                Piece::Batch(batch) => made.batch(batch, sensors),
                Piece::Tick(watermark) => made.tick(*watermark),
            }
        }
        Some(made.end())
    }
}

/// Evidence in the making.
struct Made {
    evidence: Evidence,
    /// The lane's numbers of sensors -> the evidence's.
    numbers: BTreeMap<u32, u32>,
    /// Since the last tick.
    rows: Vec<Row>,
}

impl Made {
    fn batch(&mut self, batch: &Builder, sensors: &SensorTable) {
        let quantities: Vec<u32> = (0..self.evidence.quantities.len() as u32).collect();
        let mut gathered = Gathered::default();
        let view = batch.view(&quantities, &mut gathered);
        let count = view.sensors.len();
        let mut malformed = vec![Vec::new(); count];
        for &at in view.malformed {
            malformed[at as usize % count].push(at / count as u32);
        }
        for (row, malformed) in malformed.into_iter().enumerate() {
            let sensor = self.number(view.sensors[row], sensors);
            self.rows.push(Row {
                sensor,
                timestamp: view.timestamps[row],
                values: quantities.iter().map(|at| view.values[*at as usize * count + row]).collect(),
                malformed,
                mark: view.marks.get(row).copied().unwrap_or(0),
            });
        }
    }

    /// In the order in which they come, so that announcing them late is what a lane does.
    fn number(&mut self, sensor: u32, sensors: &SensorTable) -> u32 {
        let known = &mut self.evidence.sensors;
        *self.numbers.entry(sensor).or_insert_with(|| {
            let (id, attributes) = (sensors.id(sensor).to_owned(), sensors.attributes(sensor).clone());
            known.push(Sensor { id, attributes });
            known.len() as u32 - 1
        })
    }

    fn tick(&mut self, tick: Timestamp) {
        // A tick before the first reading has nothing to tell of.
        if !self.rows.is_empty() || !self.evidence.stretches.is_empty() {
            let rows = std::mem::take(&mut self.rows);
            self.evidence.stretches.push(Stretch { rows, tick });
        }
    }

    /// What came after the last tick ends with one of its own, as late as can be.
    fn end(mut self) -> Evidence {
        let on_time = self.rows.iter().filter(|row| row.mark & mark::AHEAD == 0);
        let last =
            on_time.map(|row| row.timestamp).chain(self.evidence.stretches.iter().map(|s| s.tick)).max();
        if !self.rows.is_empty() {
            let first = self.rows[0].timestamp;
            self.tick(last.unwrap_or(first));
        }
        self.evidence
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use gridwatch_core::reading::Reading;

    use super::*;

    fn sensors() -> SensorTable {
        let mut sensors = SensorTable::new(8);
        for id in ["a", "b", "c"] {
            sensors.add(id, vec![("feeder".into(), format!("f-{id}"))]).unwrap();
        }
        sensors
    }

    fn quantities() -> Vec<Quantity> {
        ["voltage", "current"].map(|name| Quantity { name: name.into(), unit: None }).into()
    }

    fn batch(rows_max: usize, rows: &[(u32, Timestamp, f64)]) -> Builder {
        let mut batch = Builder::new(rows_max);
        batch.set_quantities(2);
        for (at, (sensor, timestamp, volts)) in rows.iter().enumerate() {
            let reading = Reading {
                timestamp: *timestamp,
                values: vec![(0, *volts)],
                malformed: vec![1],
                ..Reading::default()
            };
            batch.push(*sensor, &reading, 0, at as u64, 0, None);
        }
        batch
    }

    #[test]
    fn what_was_read_comes_out_as_it_was_with_its_ticks() {
        let mut recent = Recent::default();
        assert!(recent.evidence("0", &quantities(), &sensors()).is_none());
        recent.tick(5);
        for rows_max in [2, 8] {
            recent.batch(&batch(rows_max, &[(2, 10, 230.0), (0, 11, 231.0)]));
        }
        recent.tick(60);
        recent.batch(&batch(8, &[(2, 70, 232.0)]));
        let evidence = recent.evidence("0", &quantities(), &sensors()).unwrap();
        let ids: Vec<&str> = evidence.sensors.iter().map(|sensor| sensor.id.as_str()).collect();
        assert_eq!(ids, ["c", "a"], "in the order of their first readings");
        assert_eq!(evidence.sensors[0].attributes, [("feeder".to_owned(), "f-c".to_owned())]);
        let ticks: Vec<(usize, Timestamp)> =
            evidence.stretches.iter().map(|s| (s.rows.len(), s.tick)).collect();
        assert_eq!(ticks, [(4, 60), (1, 70)]);
        for at in [0, 2] {
            let rows = &evidence.stretches[0].rows[at..at + 2];
            assert_eq!((rows[0].sensor, rows[0].timestamp, rows[0].values[0]), (0, 10, 230.0));
            assert_eq!((rows[1].sensor, rows[1].timestamp, rows[1].values[0]), (1, 11, 231.0));
            assert!(rows.iter().all(|row| row.values[1].is_nan() && row.malformed == [1]));
            assert!(rows.iter().all(|row| row.mark == mark::MALFORMED));
        }
    }

    #[test]
    fn it_is_bounded_and_the_latest_whole_one_counts() {
        let mut recent = Recent::default();
        let mut time = 0;
        let mut read = |recent: &mut Recent, batches: usize| {
            for _ in 0..batches {
                let rows: Vec<_> = (0..64)
                    .map(|_| {
                        time += 1;
                        (0, time, 230.0)
                    })
                    .collect();
                recent.batch(&batch(64, &rows));
                recent.tick(time);
            }
        };
        read(&mut recent, 10_000);
        for kept in [&recent.now, &recent.before] {
            assert!(kept.rows <= ROWS_KEPT + 64 && kept.pieces.len() <= 2 * (ROWS_KEPT / 64 + 1));
        }
        let evidence = recent.evidence("0", &quantities(), &sensors()).unwrap();
        assert!((ROWS_KEPT / 2..=ROWS_KEPT + 64).contains(&evidence.rows()), "{}", evidence.rows());
        recent.clear();
        assert!(recent.evidence("0", &quantities(), &sensors()).is_none());
    }
}
