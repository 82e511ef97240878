//! Strings and times in place, a word at a time.

use std::ops::Range;

use super::super::layout::Layout;
use super::super::time::usual_rfc3339;
use crate::Timestamp;

const HIGH_BITS: u64 = 0x8080_8080_8080_8080;
const DAY_MS: Timestamp = 86_400_000;

/// The characters of a string that begins in front of `rest`, without its quotes. `None`: it has an
/// escape or a control character, or no end. That it is UTF-8 is not yet known.
#[inline]
pub(super) fn string(rest: &[u8]) -> Option<&[u8]> {
    let mut at = 0;
    while let Some(chunk) = rest.get(at..).and_then(|rest| rest.first_chunk()) {
        let stops = stops(u64::from_le_bytes(*chunk));
        if stops != 0 {
            return ended(rest, at + (stops.trailing_zeros() / 8) as usize);
        }
        at += 8;
    }
    // Fewer than eight are left: those before them come along, and are pushed out again.
    let left = rest.get(at..)?.len();
    let Some(last) = rest.last_chunk() else {
        return ended(rest, rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | ..b' '))?);
    };
    let word = u64::from_le_bytes(*last);
    let stops = stops(word.checked_shr(8 * (8 - left as u32)).unwrap_or(0));
    ended(rest, at + (stops.trailing_zeros() / 8) as usize)
}

#[inline]
fn ended(rest: &[u8], at: usize) -> Option<&[u8]> {
    if rest.get(at) == Some(&b'"') { rest.get(..at) } else { None }
}

/// Calls `take` with the text that stands in `record` at `place`, if it is UTF-8.
///
/// Short texts are looked at with what comes before them, as 16 bytes that lie on a word: that is a
/// single step for the standard library, where a text by itself is one for each byte.
#[inline(always)]
pub(super) fn with_utf8(record: &[u8], place: Range<usize>, take: impl FnOnce(&str)) -> Option<()> {
    #[repr(align(16))]
    struct Words([u8; 16]);

    if let Some(before) = 16_usize.checked_sub(place.len())
        && let Some(chunk) = record.get(..place.end)?.last_chunk()
        && let Ok(whole) = std::str::from_utf8(&Words(*chunk).0)
        && let Some(text) = whole.get(before..)
    {
        take(text);
        return Some(());
    }
    std::str::from_utf8(record.get(place)?).ok().map(take)
}

/// The high bit of bytes that are a quote, a backslash or a control character: exact up to the first.
#[inline]
fn stops(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let quote = word ^ (ONES * b'"' as u64);
    let backslash = word ^ (ONES * b'\\' as u64);
    let zeros = (quote.wrapping_sub(ONES) & !quote) | (backslash.wrapping_sub(ONES) & !backslash);
    let controls = word.wrapping_sub(ONES * b' ' as u64) & !word;
    (zeros | controls) & HIGH_BITS
}

/// The day of the last timestamp: in the next one only the time of day is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Day {
    /// `2026-01-01T` as two words that overlap.
    head: [u64; 2],
    start: Timestamp,
}

/// A timestamp that begins in front of `rest`, and its length without the closing quote. Exactly what
/// the clock says of the same text; `None` where it says that this is no time.
#[inline]
pub(super) fn time(layout: &Layout, day: &mut Option<Day>, rest: &[u8]) -> Option<(Timestamp, usize)> {
    match day.as_ref().and_then(|day| day.time(rest)) {
        Some(found) => Some(found),
        None => any_time(layout, day, rest),
    }
}

#[inline(never)]
fn any_time(layout: &Layout, day: &mut Option<Day>, rest: &[u8]) -> Option<(Timestamp, usize)> {
    let text = std::str::from_utf8(string(rest)?).ok()?;
    let time = layout.clock.text(text).ok()?;
    if layout.clock.reads_rfc3339() {
        *day = Day::of(text, time).or(*day);
    }
    Some((time, text.len()))
}

impl Day {
    /// For texts of the two forms that `time` reads, where `time` is what they say.
    fn of(text: &str, time: Timestamp) -> Option<Day> {
        let bytes = text.as_bytes();
        let form = matches!(bytes.len(), 20 | 24) && bytes.ends_with(b"Z");
        if !form || usual_rfc3339(bytes) != Some(time) {
            return None;
        }
        Some(Day { head: [word(bytes, 0)?, word(bytes, 3)?], start: time - time.rem_euclid(DAY_MS) })
    }

    /// `2026-01-01T00:00:00Z"` or `2026-01-01T00:00:00.000Z"`, of this day.
    #[inline]
    fn time(&self, rest: &[u8]) -> Option<(Timestamp, usize)> {
        let text: &[u8; 25] = rest.first_chunk()?;
        if [word(text, 0)?, word(text, 3)?] != self.head {
            return None;
        }
        let clock = word(text, 11)? ^ u64::from_le_bytes(*b"00:00:00");
        if beyond(clock, [2, 9, 0, 5, 9, 0, 5, 9]) {
            return None;
        }
        let pairs = clock.wrapping_mul(10).wrapping_add(clock >> 8);
        let (hour, minute, second) = (pairs & 0xff, (pairs >> 24) & 0xff, (pairs >> 48) & 0xff);
        if hour > 23 {
            return None;
        }
        let (milliseconds, len) = match text[19..] {
            [b'Z', b'"', ..] => (0, 20),
            _ => {
                let fraction = (word(text, 17)? >> 16) ^ u64::from_le_bytes(*b".000Z\"\0\0");
                if beyond(fraction, [0, 9, 9, 9, 0, 0, 0, 0]) {
                    return None;
                }
                let digit = |at: u32| (fraction >> (8 * at)) & 0xff;
                (digit(1) * 100 + digit(2) * 10 + digit(3), 24)
            }
        };
        let of_day = (hour * 3600 + minute * 60 + second) * 1000 + milliseconds;
        Some((self.start + of_day as Timestamp, len))
    }
}

#[inline]
fn word(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|chunk| u64::from_le_bytes(*chunk))
}

/// Is one of the bytes greater than the maximum in its place (each below 128)?
#[inline]
fn beyond(word: u64, max: [u8; 8]) -> bool {
    let spare = 0x7f7f_7f7f_7f7f_7f7f - u64::from_le_bytes(max);
    (word.wrapping_add(spare) | word) & HIGH_BITS != 0
}
