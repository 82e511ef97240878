//! One value after the other into the reading, by the role of its field.

use super::layout::{Layout, NONE, ROOT, Role};
use super::settings::TEXT_BYTES_MAX;
use crate::Timestamp;
use crate::reading::{Reading, Reason, Rejection};

/// A value as it stands in a record.
#[derive(Debug, Clone, Copy)]
pub(super) enum Scalar<'a> {
    Signed(i64),
    Unsigned(u64),
    Float(f64),
    Text(&'a str),
    /// None of these: what it is, in words.
    Other(&'static str),
}

/// What a record has said so far of what it must say.
#[derive(Debug, Default)]
pub(super) struct Parts {
    id: Part<()>,
    time: Part<Timestamp>,
    /// Counts records, so that a quantity can tell whether it was seen in this one.
    record: u32,
    left_out: u64,
}

#[derive(Debug, Default)]
enum Part<T> {
    #[default]
    Absent,
    Good(T),
    Bad(String),
}

impl Layout {
    /// Before a record, and before it is looked at a second time.
    pub(super) fn begin(&mut self, reading: &mut Reading) {
        reading.sensor_id.clear();
        reading.values.clear();
        reading.malformed.clear();
        reading.malformed_text.clear();
        reading.attributes_len = 0;
        self.parts.id = Part::Absent;
        self.parts.time = Part::Absent;
        self.parts.left_out = 0;
        self.parts.record = self.parts.record.wrapping_add(1);
        if self.parts.record == 0 {
            // Once in four billion records an old mark could be mistaken for this record's.
            self.seen_in.fill(0);
            self.parts.record = 1;
        }
    }

    pub(super) fn left_out(&self) -> u64 {
        self.parts.left_out
    }

    /// Takes the value under `field` of `node`; where `field` is `NONE`, under the pending key.
    #[inline]
    pub(super) fn take(&mut self, reading: &mut Reading, node: u16, field: u16, value: Scalar<'_>) {
        match self.field(node, field).map(|field| field.role) {
            Some(Role::Quantity(slot)) => self.take_quantity(reading, slot, value),
            Some(Role::Id) => self.take_id(reading, value),
            Some(Role::Timestamp) => self.take_time(value),
            Some(Role::Attribute(index)) => take_attribute(reading, index, value),
            Some(Role::Ignored) if node != ROOT || !self.takes_all() => {}
            Some(Role::Ignored) => self.take_ignored(reading, field, value),
            None => self.take_unknown(reading, node, value),
        }
    }

    /// A key without a meaning so far: a number makes it a quantity.
    fn take_ignored(&mut self, reading: &mut Reading, field: u16, value: Scalar<'_>) {
        if number(value).is_some() {
            self.recall(field);
            self.take_unknown(reading, ROOT, value);
        }
    }

    fn take_unknown(&mut self, reading: &mut Reading, node: u16, value: Scalar<'_>) {
        if node != ROOT || !self.takes_all() || number(value).is_none() {
            return self.remember(node, Role::Ignored);
        }
        match self.new_slot() {
            Some(slot) => {
                self.remember(ROOT, Role::Quantity(slot));
                self.take_quantity(reading, slot, value);
            }
            None => {
                self.parts.left_out += 1;
                self.remember(ROOT, Role::Ignored);
            }
        }
    }

    #[inline]
    fn take_quantity(&mut self, reading: &mut Reading, slot: u16, value: Scalar<'_>) {
        let entry = &self.slots[slot as usize];
        let scaled = number(value).map(|number| number * entry.factor).filter(|scaled| scaled.is_finite());
        let mut index = entry.index;
        if index == NONE {
            if scaled.is_none() && !entry.named {
                return;
            }
            index = self.index_of(slot);
        }
        self.forget_equal(reading, index);
        match scaled {
            Some(value) => reading.values.push((index, value)),
            None => reading.malformed.push(index),
        }
    }

    /// Of equal keys the last wins.
    #[inline]
    fn forget_equal(&mut self, reading: &mut Reading, index: u16) {
        let seen_in = &mut self.seen_in[index as usize];
        if *seen_in == self.parts.record {
            reading.values.retain(|(known, _)| *known != index);
            reading.malformed.retain(|known| *known != index);
        }
        *seen_in = self.parts.record;
    }

    fn take_id(&mut self, reading: &mut Reading, value: Scalar<'_>) {
        reading.sensor_id.clear();
        self.parts.id = match value {
            Scalar::Text("") => Part::Bad("is empty".into()),
            Scalar::Text(text) if text.len() > TEXT_BYTES_MAX => {
                Part::Bad(format!("has {} bytes, at most {TEXT_BYTES_MAX} are taken", text.len()))
            }
            Scalar::Text(text) => {
                reading.sensor_id.push_str(text);
                Part::Good(())
            }
            Scalar::Signed(_) | Scalar::Unsigned(_) => {
                write_number(&mut reading.sensor_id, value);
                Part::Good(())
            }
            Scalar::Float(_) => Part::Bad(
                "is a number, but no integer of 64 bits: it would be rounded; send it as a string".into(),
            ),
            Scalar::Other(what) => Part::Bad(format!("is {what}")),
        };
    }

    fn take_time(&mut self, value: Scalar<'_>) {
        let read = match value {
            Scalar::Text(text) => self.clock.text(text),
            Scalar::Signed(value) => self.clock.integer(value.into()),
            Scalar::Unsigned(value) => self.clock.integer(value.into()),
            Scalar::Float(value) => self.clock.float(value),
            Scalar::Other("null") => {
                self.parts.time = Part::Absent;
                return;
            }
            Scalar::Other(what) => Err(format!("is {what}")),
        };
        self.parts.time = match read {
            Ok(time) => Part::Good(time),
            Err(what) => Part::Bad(what),
        };
    }

    /// Of the record that was rejected for this last: the path at which nothing stood, if that is why.
    pub(super) fn sought_in_vain(&self, reason: Reason) -> Option<&str> {
        let (id, timestamp) = self.paths();
        let is_absent = matches!(self.parts.id, Part::Absent);
        match reason {
            Reason::NoSensorId if is_absent => Some(id),
            Reason::NoTimestamp => Some(timestamp),
            _ => None,
        }
    }

    /// After a record: is it a reading?
    pub(super) fn finish(&mut self, reading: &mut Reading) -> Result<(), Rejection> {
        let (id_path, time_path) = self.paths();
        let rejection = |reason, detail| Err(Rejection { reason, detail });
        match (self.fixed_id(), &self.parts.id) {
            (Some(id), _) => reading.sensor_id.push_str(id),
            (None, Part::Good(())) => {}
            (None, Part::Absent) => {
                return rejection(Reason::NoSensorId, format!("there is no `{id_path}`"));
            }
            (None, Part::Bad(what)) => {
                return rejection(Reason::NoSensorId, format!("`{id_path}` {what}"));
            }
        }
        match &self.parts.time {
            Part::Good(time) => reading.timestamp = *time,
            Part::Absent => {
                return rejection(Reason::NoTimestamp, format!("there is no `{time_path}`"));
            }
            Part::Bad(what) => {
                return rejection(Reason::BadTimestamp, format!("`{time_path}`: {what}"));
            }
        }
        if reading.values.is_empty() && reading.malformed.is_empty() {
            let detail = match self.parts.left_out {
                0 => "there is no number in it that would be a quantity".into(),
                left_out => format!("its {left_out} numbers are beyond quantities_max"),
            };
            return rejection(Reason::NoQuantities, detail);
        }
        Ok(())
    }
}

fn number(value: Scalar<'_>) -> Option<f64> {
    match value {
        Scalar::Signed(value) => Some(value as f64),
        Scalar::Unsigned(value) => Some(value as f64),
        Scalar::Float(value) => Some(value),
        Scalar::Text(_) | Scalar::Other(_) => None,
    }
}

/// Appends a number as its shortest text.
fn write_number(text: &mut String, value: Scalar<'_>) {
    use std::fmt::Write;
    // Writing to a string cannot fail.
    let _ = match value {
        Scalar::Signed(value) => write!(text, "{value}"),
        Scalar::Unsigned(value) => write!(text, "{value}"),
        Scalar::Float(value) => write!(text, "{value}"),
        Scalar::Text(_) | Scalar::Other(_) => Ok(()),
    };
}

/// Attributes are texts, or numbers as their text; anything else, and a text that is too long, is absent.
fn take_attribute(reading: &mut Reading, index: u16, value: Scalar<'_>) {
    let len = reading.attributes_len;
    let known = reading.attributes[..len].iter().position(|(known, _)| *known == index);
    let absent = match value {
        Scalar::Text(text) => text.is_empty() || text.len() > TEXT_BYTES_MAX,
        Scalar::Other(_) => true,
        Scalar::Signed(_) | Scalar::Unsigned(_) | Scalar::Float(_) => false,
    };
    if absent {
        if let Some(at) = known {
            reading.attributes[at..len].rotate_left(1);
            reading.attributes_len -= 1;
        }
        return;
    }
    let at = known.unwrap_or(len);
    if at == reading.attributes.len() {
        reading.attributes.push((index, String::new()));
    }
    reading.attributes_len = len.max(at + 1);
    let (place, text) = &mut reading.attributes[at];
    *place = index;
    text.clear();
    match value {
        Scalar::Text(value) => text.push_str(value),
        number => write_number(text, number),
    }
}
