//! Records into readings: JSON objects or CSV rows, by a mapping that the user may give.
//!
//! A decoder belongs to one lane. Its answer to a record depends on the settings, on the quantities
//! known so far and on that record, on nothing else: what it remembers of earlier records (the
//! order of keys, and whole messages as templates) only makes it faster, so that a decoder built from
//! a checkpoint's quantities says the same as one that never stopped. A record that is rejected leaves
//! no trace.
//!
//! A JSON record that looks like an earlier one is read by that one's `template`; all others by
//! serde_json in `json`, which says what the answer is.
//!
//! Rules, for JSON:
//! - Every top-level number that is not the id, the time or an attribute is a quantity, up to
//!   `quantities_max`; beyond that it is counted and left out. Nested values count where a JSON
//!   pointer of the settings leads to them.
//! - Anything else under the name of a known quantity (built in, mapped, or seen before, in the same
//!   record too) is malformed: a string, null, a boolean, an array, a number beyond `f64`.
//! - Keys are taken in the order of the document; of equal ones the last wins.
//! - Ids are strings, or integers of 64 bits as their text. (A larger number would be rounded, and
//!   two sensors could become one.)

mod csv;
mod json;
mod layout;
mod settings;
mod take;
mod template;
#[cfg(test)]
mod tests;
mod time;
mod units;

use crate::reading::{Quantity, Reading, Reason, Rejection};

pub use csv::{CsvHeader, HeaderError, has_decimal_comma};
pub use settings::{
    AttributePath, DecodeSettings, IdSource, Mapping, Selection, SettingsError, TimeFormat, column_of,
};
pub use time::parse_rfc3339;
pub use units::unit_of;

use layout::Layout;
use template::Templates;

/// Turns records into readings.
#[derive(Debug)]
pub struct Decoder {
    layout: Layout,
    templates: Templates,
    csv: Option<csv::Rows>,
    record_bytes_max: usize,
    quantities_left_out: u64,
}

impl Decoder {
    /// For JSON objects. `quantities` are those known so far, from a checkpoint: they keep their
    /// indices. All that is wrong with the settings comes at once.
    pub fn new(settings: &DecodeSettings, quantities: Vec<Quantity>) -> Result<Decoder, Vec<SettingsError>> {
        let layout = Layout::new(settings, quantities)?;
        Ok(Decoder {
            layout,
            templates: Templates::new(),
            csv: None,
            record_bytes_max: settings.record_bytes_max,
            quantities_left_out: 0,
        })
    }

    /// For rows of CSV under `header`.
    pub fn csv(
        settings: &DecodeSettings,
        header: &CsvHeader,
        quantities: Vec<Quantity>,
    ) -> Result<Decoder, Vec<SettingsError>> {
        let mut decoder = Decoder::new(settings, quantities)?;
        decoder.csv = Some(csv::Rows::new(settings, header)?);
        decoder.templates.disable();
        Ok(decoder)
    }

    /// The same decoder without templates: serde_json reads every record. For tests, which compare.
    #[doc(hidden)]
    pub fn without_templates(mut self) -> Decoder {
        self.templates.disable();
        self
    }

    /// Decodes one record into `reading`, whose buffers are used again. After a rejection `reading`
    /// holds nothing of use. Where `quantities` has grown by this record, the new ones are last.
    pub fn decode(&mut self, record: &[u8], reading: &mut Reading) -> Result<(), Rejection> {
        if record.len() > self.record_bytes_max {
            return Err(Rejection {
                reason: Reason::TooLarge,
                detail: format!(
                    "{} bytes, more than record_bytes_max = {}",
                    record.len(),
                    self.record_bytes_max
                ),
            });
        }
        if let Some(left_out) = self.templates.apply(&self.layout, record, reading) {
            self.quantities_left_out += left_out;
            return Ok(());
        }
        let known = self.layout.quantities().len();
        let result = match &mut self.csv {
            None => json::decode(&mut self.layout, record, reading),
            Some(rows) => rows.decode(&mut self.layout, record, reading),
        };
        let result = result.and_then(|()| self.layout.finish(reading));
        match result {
            Ok(()) => {
                self.quantities_left_out += self.layout.left_out();
                self.templates.learn(&self.layout, record);
            }
            Err(_) => self.layout.roll_back(known),
        }
        result.map_err(|rejection| self.with_hint(rejection, record))
    }

    /// What is missing, with what is there instead.
    fn with_hint(&self, mut rejection: Rejection, record: &[u8]) -> Rejection {
        let hint = match (&self.csv, self.layout.sought_in_vain(rejection.reason)) {
            (None, Some(path)) => json::hint(record, path),
            (Some(rows), _) if rejection.reason == Reason::NoQuantities => rows.hint(),
            _ => String::new(),
        };
        rejection.detail.push_str(&hint);
        rejection
    }

    /// The quantities known so far; `Reading::values` index them. Only ever grows, at its end.
    pub fn quantities(&self) -> &[Quantity] {
        self.layout.quantities()
    }

    /// Mappings that have found nothing, while their quantity came under its plain name. (Those whose quantity
    /// never came are known by `quantities`.)
    pub fn shadowed(&self) -> impl Iterator<Item = &Mapping> {
        self.layout.shadowed()
    }

    /// How many numbers were left out because there are `quantities_max` quantities already.
    pub fn quantities_left_out(&self) -> u64 {
        self.quantities_left_out
    }
}
