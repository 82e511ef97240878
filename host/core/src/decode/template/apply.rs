//! A record by the templates, straight into a reading.

use std::ops::Range;

use super::super::layout::Layout;
use super::super::settings::TEXT_BYTES_MAX;
use super::number::{Number, double, number};
use super::text;
use super::trie::End;
use super::{CREDIT_FOR_HIT, CREDIT_MAX, MISSES_MAX, Slot, Templates};
use crate::Timestamp;
use crate::reading::Reading;

impl Templates {
    /// Reads `record` if a template fits; then the count of numbers that were left out. `None` is no
    /// verdict, and `reading` holds nothing of use.
    #[inline(always)]
    pub(in crate::decode) fn apply(
        &mut self,
        layout: &Layout,
        record: &[u8],
        reading: &mut Reading,
    ) -> Option<u64> {
        let resting = self.misses >= MISSES_MAX && !self.misses.is_multiple_of(8);
        if resting || self.quantities != layout.quantities().len() {
            return None;
        }
        reading.sensor_id.clear();
        reading.values.clear();
        reading.malformed.clear();
        reading.attributes_len = 0;
        let end = self.read(layout, record, reading)?;
        let End { malformed, left_out } = &self.trie.ends[end as usize];
        reading.malformed.extend_from_slice(malformed);
        if let Some(id) = layout.fixed_id() {
            reading.sensor_id.push_str(id);
        }
        self.misses = 0;
        self.credit = (self.credit + CREDIT_FOR_HIT).min(CREDIT_MAX);
        Some(*left_out)
    }

    /// From literal to literal, up to the end's number.
    #[inline(always)]
    fn read(&mut self, layout: &Layout, record: &[u8], reading: &mut Reading) -> Option<u32> {
        let (mut place, mut at) = (self.trie.first, 0);
        loop {
            let (edge, end) = self.trie.follow(place, record, at)?;
            place = edge.child;
            let rest = record.get(end..)?;
            let len = match edge.slot {
                Slot::Quantity { index, factor } => {
                    let (value, len) = double(rest)?;
                    let scaled = value * factor;
                    // Beyond the greatest double; there is no NaN.
                    if scaled.abs() > f64::MAX {
                        return None;
                    }
                    reading.values.push((index, scaled));
                    len
                }
                Slot::IdText => {
                    let len = text::string(rest)?.len();
                    if len == 0 || len > TEXT_BYTES_MAX {
                        return None;
                    }
                    text::with_utf8(record, end..end + len, |text| reading.sensor_id.push_str(text))?;
                    len
                }
                Slot::TimeText => {
                    let (time, len) = text::time(layout, &mut self.day, rest)?;
                    reading.timestamp = time;
                    len
                }
                Slot::AttributeText(index) => {
                    let len = text::string(rest)?.len();
                    attribute(reading, index, record, end..end + len)?;
                    len
                }
                Slot::IdInteger => {
                    let len = integer(rest)?;
                    text::with_utf8(record, end..end + len, |text| reading.sensor_id.push_str(text))?;
                    len
                }
                Slot::TimeNumber => {
                    let (time, len) = epoch(layout, rest)?;
                    reading.timestamp = time;
                    len
                }
                Slot::AttributeInteger(index) => {
                    let len = integer(rest)?;
                    attribute(reading, index, record, end..end + len)?;
                    len
                }
                Slot::SkippedText => {
                    let text = text::string(rest)?;
                    if !text.is_ascii() {
                        std::str::from_utf8(text).ok()?;
                    }
                    text.len()
                }
                Slot::SkippedNumber => double(rest)?.1,
                Slot::End(number) => return rest.is_empty().then_some(number),
                Slot::Open => return None,
            };
            at = end + len;
        }
    }
}

/// The length of an integer, whose text is the shortest one already: JSON knows no leading zeros.
fn integer(rest: &[u8]) -> Option<usize> {
    match number(rest)? {
        (Number::Integer(_), len) => Some(len),
        (Number::Float(_), _) => None,
    }
}

fn epoch(layout: &Layout, rest: &[u8]) -> Option<(Timestamp, usize)> {
    let (time, len) = match number(rest)? {
        (Number::Integer(value), len) => (layout.clock.integer(value.into()), len),
        (Number::Float(value), len) => (layout.clock.float(value), len),
    };
    Some((time.ok()?, len))
}

/// Attributes change seldom: where the buffer holds the same text from an earlier record, it stays.
#[inline]
fn attribute(reading: &mut Reading, index: u16, record: &[u8], place: Range<usize>) -> Option<()> {
    let text = record.get(place.clone())?;
    if text.is_empty() || text.len() > TEXT_BYTES_MAX {
        // As good as absent; it must be text all the same.
        return std::str::from_utf8(text).ok().map(|_| ());
    }
    let at = reading.attributes_len;
    if at == reading.attributes.len() {
        reading.attributes.push((index, String::new()));
    }
    let (known, value) = &mut reading.attributes[at];
    *known = index;
    if value.as_bytes() != text {
        value.clear();
        text::with_utf8(record, place, |text| value.push_str(text))?;
    }
    reading.attributes_len += 1;
    Some(())
}
