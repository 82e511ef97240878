//! A lane whose batches are shown instead of judged: what stands in them, and what a detector expects there.
//!
//! Only for a lane that lives its past again and is thrown away afterwards: nobody finds anything any more.

use gridwatch_core::Timestamp;
use gridwatch_core::judge::{Fault, Traces};
use gridwatch_core::reading::Quantity;
use gridwatch_core::sensors::SensorTable;

use super::builder::Builder;
use super::{Lane, LaneError};

/// Whoever looks at each batch.
pub type Witness = Box<dyn FnMut(&Traced<'_>) + Send>;

/// A batch, and what the lane's first detector says of it.
pub struct Traced<'a> {
    batch: &'a Builder,
    sensors: &'a SensorTable,
    quantities: &'a [Quantity],
    /// Indices into the lane's quantities of those that it speaks of, and its words.
    traces: Option<(Vec<u32>, Traces)>,
}

impl Traced<'_> {
    pub fn rows(&self) -> usize {
        self.batch.rows()
    }

    pub fn timestamp(&self, row: usize) -> Timestamp {
        self.batch.timestamp(row)
    }

    pub fn sensor(&self, row: usize) -> &str {
        self.sensors.id(self.batch.sensor(row))
    }

    pub fn quantity(&self, name: &str) -> Option<(u32, &Quantity)> {
        let at = self.quantities.iter().position(|quantity| quantity.name == name)?;
        Some((at as u32, &self.quantities[at]))
    }

    /// NaN where the reading does not have it.
    pub fn value(&self, quantity: u32, row: usize) -> f64 {
        self.batch.value(quantity as usize, row)
    }

    /// Score, expected, lower, upper (NaN where there is none); `None` where the detector does not speak of it.
    pub fn trace(&self, quantity: u32, row: usize) -> Option<[f64; 4]> {
        let (spoken_of, traces) = self.traces.as_ref()?;
        let at = spoken_of.iter().position(|of| *of == quantity)?;
        let rows = self.rows();
        let of = |which: usize| traces.rows[(at * 4 + which) * rows + row];
        Some([of(0), of(1), of(2), of(3)])
    }
}

impl Lane {
    /// From here on.
    pub fn show_to(&mut self, witness: Witness) {
        self.witness = Some(witness);
    }

    pub(super) fn show_batch(&mut self, mut witness: Witness) -> Result<(), LaneError> {
        self.relive_at_batch(self.batch.position(0))?;
        let traces = match self.seats.first_mut() {
            None => None,
            Some(seat) => match seat.trace(&self.batch, &self.sensors) {
                Ok(traces) => traces,
                Err(fault) => {
                    tracing::warn!(detector = seat.deployment.name, "does not say what it expects: {fault}");
                    self.seats.clear();
                    None
                }
            },
        };
        let quantities = self.decoder.quantities();
        witness(&Traced { batch: &self.batch, sensors: &self.sensors, quantities, traces });
        self.batch.clear();
        self.witness = Some(witness);
        Ok(())
    }
}

impl super::seat::Seat {
    /// Judges the batch like `observe`, and answers for plots. The instance is not to be used for anything else.
    fn trace(&mut self, batch: &Builder, sensors: &SensorTable) -> Result<Option<(Vec<u32>, Traces)>, Fault> {
        self.announce(sensors, sensors.len() as u32)?;
        let super::seat::Life::Judging(judge) = &mut self.life else { return Ok(None) };
        let traces = judge.trace(batch.view(&self.chosen, &mut self.gathered))?;
        let spoken_of = traces.quantities.iter().map(|at| self.chosen[*at as usize]).collect();
        Ok(Some((spoken_of, traces)))
    }
}
