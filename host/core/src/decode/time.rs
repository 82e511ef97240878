//! Timestamps as producers write them.

use jiff::fmt::strtime::BrokenDownTime;
use jiff::tz::{Offset, TimeZone, TimeZoneDatabase};

use super::TimeFormat;
use crate::Timestamp;
use crate::time::{TIMESTAMP_MAX, TIMESTAMP_MIN};

/// Digits in a string count as an epoch time from here on.
const TEXT_EPOCH_MIN: f64 = 1e8;

/// How to read a timestamp: the settings with their zone looked up.
#[derive(Debug, Clone)]
pub(super) enum Clock {
    Auto,
    Rfc3339,
    Epoch(Unit),
    Pattern { pattern: String, zone: TimeZone },
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Unit {
    Seconds,
    Milliseconds,
    Microseconds,
}

impl Clock {
    pub(super) fn new(format: &TimeFormat) -> Result<Clock, String> {
        Ok(match format {
            TimeFormat::Auto => Clock::Auto,
            TimeFormat::Rfc3339 => Clock::Rfc3339,
            TimeFormat::EpochSeconds => Clock::Epoch(Unit::Seconds),
            TimeFormat::EpochMilliseconds => Clock::Epoch(Unit::Milliseconds),
            TimeFormat::EpochMicroseconds => Clock::Epoch(Unit::Microseconds),
            TimeFormat::Pattern { pattern, zone } => {
                check_pattern(pattern)?;
                let zone = TimeZoneDatabase::bundled()
                    .get(zone)
                    .map_err(|_| format!("`{zone}` is no IANA time zone, such as Europe/Madrid or UTC"))?;
                Clock::Pattern { pattern: pattern.clone(), zone }
            }
        })
    }

    /// A timestamp given as text.
    pub(super) fn text(&self, text: &str) -> Result<Timestamp, String> {
        let found = match self {
            Clock::Rfc3339 => parse_rfc3339(text),
            Clock::Auto => parse_rfc3339(text).or_else(|| {
                let value = epoch_text(text)?;
                (value >= TEXT_EPOCH_MIN).then(|| epoch_by_text(text, unit_by_size(value))).flatten()
            }),
            Clock::Epoch(unit) => epoch_by_text(text, *unit),
            Clock::Pattern { pattern, zone } => parse_pattern(pattern, zone, text),
        };
        within(found, || format!("`{}` is no {}", shortened(text), self.wanted()))
    }

    pub(super) fn integer(&self, value: i128) -> Result<Timestamp, String> {
        let found = match self {
            Clock::Auto => integer_epoch(value, unit_by_size(value as f64)),
            Clock::Epoch(unit) => integer_epoch(value, *unit),
            Clock::Rfc3339 | Clock::Pattern { .. } => None,
        };
        within(found, || format!("the number {value} is no {}", self.wanted()))
    }

    pub(super) fn float(&self, value: f64) -> Result<Timestamp, String> {
        let found = match self {
            Clock::Auto => float_epoch(value, unit_by_size(value)),
            Clock::Epoch(unit) => float_epoch(value, *unit),
            Clock::Rfc3339 | Clock::Pattern { .. } => None,
        };
        within(found, || format!("the number {value:e} is no {}", self.wanted()))
    }

    /// Is every text that is an RFC 3339 time that time?
    pub(super) fn reads_rfc3339(&self) -> bool {
        matches!(self, Clock::Auto | Clock::Rfc3339)
    }

    fn wanted(&self) -> String {
        match self {
            Clock::Auto => "RFC 3339 time and no epoch time (others: [decode] timestamp_format)".into(),
            Clock::Rfc3339 => "RFC 3339 time".into(),
            Clock::Epoch(Unit::Seconds) => "time in epoch seconds".into(),
            Clock::Epoch(Unit::Milliseconds) => "time in epoch milliseconds".into(),
            Clock::Epoch(Unit::Microseconds) => "time in epoch microseconds".into(),
            Clock::Pattern { pattern, .. } => format!("time of the form `{pattern}`"),
        }
    }
}

fn within(found: Option<Timestamp>, what: impl Fn() -> String) -> Result<Timestamp, String> {
    match found {
        None => Err(what()),
        Some(time) if (TIMESTAMP_MIN..TIMESTAMP_MAX).contains(&time) => Ok(time),
        Some(_) => Err(format!("{}: not within 1970-01-01 and 2200-01-01", what())),
    }
}

/// For messages: what somebody sent may be long.
fn shortened(text: &str) -> &str {
    let mut end = text.len().min(64);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn unit_by_size(value: f64) -> Unit {
    match value.abs() {
        size if size < 1e11 => Unit::Seconds,
        size if size < 1e14 => Unit::Milliseconds,
        _ => Unit::Microseconds,
    }
}

fn integer_epoch(value: i128, unit: Unit) -> Option<Timestamp> {
    let milliseconds = match unit {
        Unit::Seconds => value.checked_mul(1000)?,
        Unit::Milliseconds => value,
        Unit::Microseconds => value.div_euclid(1000),
    };
    i64::try_from(milliseconds).ok()
}

/// Fractions of a millisecond are cut off. Seconds are rounded to microseconds first: a double holds
/// no more of them today, and 1767225600.123 must not become .122.
fn float_epoch(value: f64, unit: Unit) -> Option<Timestamp> {
    let milliseconds = match unit {
        Unit::Seconds => ((value * 1e6).round() / 1000.0).floor(),
        Unit::Milliseconds => value.floor(),
        Unit::Microseconds => (value / 1000.0).floor(),
    };
    (milliseconds.abs() < 1e18).then_some(milliseconds as i64)
}

/// Digits, perhaps with a sign and a fraction; nothing else that `f64` would read (`inf`, `1e9`).
fn epoch_text(text: &str) -> Option<f64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+'));
    if plain { text.parse().ok() } else { None }
}

fn epoch_by_text(text: &str, unit: Unit) -> Option<Timestamp> {
    let value = epoch_text(text)?;
    match text.parse::<i128>() {
        Ok(whole) => integer_epoch(whole, unit),
        Err(_) => float_epoch(value, unit),
    }
}

/// RFC 3339 with any offset, as milliseconds; fractions of a millisecond are cut off. The usual form
/// is read here, everything else by jiff, which decides what is a time (a leap second is the second
/// before it).
pub fn parse_rfc3339(text: &str) -> Option<Timestamp> {
    if let Some(time) = usual_rfc3339(text.as_bytes()) {
        return Some(time);
    }
    let time: jiff::Timestamp = text.parse().ok()?;
    i64::try_from(time.as_nanosecond().div_euclid(1_000_000)).ok()
}

/// `2026-01-01T00:00:00` with up to nine digits of fraction, and `Z` or `+02:00`. `None` is no verdict.
pub(super) fn usual_rfc3339(text: &[u8]) -> Option<Timestamp> {
    let (head, mut rest) = text.split_at_checked(19)?;
    let separators = head[4] == b'-' && head[7] == b'-' && head[10] == b'T';
    if !separators || head[13] != b':' || head[16] != b':' {
        return None;
    }
    let year = i64::from(two(head, 0)?) * 100 + i64::from(two(head, 2)?);
    let (month, day) = (two(head, 5)?, two(head, 8)?);
    let (hour, minute, second) = (two(head, 11)?, two(head, 14)?, two(head, 17)?);
    if year == 0 || !(1..=12).contains(&month) || day == 0 || day > days_in(year, month) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let mut milliseconds = 0;
    if let [b'.', fraction @ ..] = rest {
        let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if !(1..=9).contains(&digits) {
            return None;
        }
        let digits_and_zeros = fraction[..digits].iter().chain(b"00").take(3);
        milliseconds = digits_and_zeros.fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
        rest = &fraction[digits..];
    }
    let offset_minutes = match rest {
        [b'Z'] => 0,
        [sign @ (b'+' | b'-'), clock @ ..] if clock.len() == 5 && clock[2] == b':' => {
            let (hours, minutes) = (two(clock, 0)?, two(clock, 3)?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let minutes = i64::from(hours * 60 + minutes);
            if *sign == b'-' { -minutes } else { minutes }
        }
        _ => return None,
    };
    let minutes = (days_from_civil(year, month, day) * 24 + i64::from(hour)) * 60 + i64::from(minute);
    Some(((minutes - offset_minutes) * 60 + i64::from(second)) * 1000 + milliseconds)
}

fn two(text: &[u8], at: usize) -> Option<u32> {
    let (tens, ones) = (text[at].wrapping_sub(b'0'), text[at + 1].wrapping_sub(b'0'));
    (tens <= 9 && ones <= 9).then(|| u32::from(tens) * 10 + u32::from(ones))
}

fn days_in(year: i64, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar; after Howard Hinnant, "chrono-Compatible
/// Low-Level Date Algorithms" (days_from_civil).
fn days_from_civil(year: i64, month: u32, day: u32) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year - era * 400;
    let month_from_march = i64::from((month + 9) % 12);
    let day_of_year = (153 * month_from_march + 2) / 5 + i64::from(day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

fn parse_pattern(pattern: &str, zone: &TimeZone, text: &str) -> Option<Timestamp> {
    let parts = BrokenDownTime::parse(pattern, text).ok()?;
    let time = match parts.offset() {
        Some(_) => parts.to_timestamp().ok()?,
        None => match parts.to_datetime() {
            Ok(local) => zone.to_ambiguous_timestamp(local).compatible().ok()?,
            // `%s` is an instant without a date.
            Err(_) => parts.to_timestamp().ok()?,
        },
    };
    i64::try_from(time.as_nanosecond().div_euclid(1_000_000)).ok()
}

/// A pattern must read back what it writes, to the second or the day at least: a directive that only
/// writes, or a pattern without a date, is found here and not at the first record.
fn check_pattern(pattern: &str) -> Result<(), String> {
    let sample = jiff::Timestamp::from_second(1_745_829_196).map_err(|error| error.to_string())?;
    let sample = sample.to_zoned(TimeZone::fixed(Offset::UTC));
    let text = BrokenDownTime::from(&sample)
        .to_string(pattern)
        .map_err(|error| format!("the pattern `{pattern}` cannot be used: {error}"))?;
    match parse_pattern(pattern, &TimeZone::UTC, &text) {
        Some(time) if (time - 1_745_829_196_000).abs() < 86_400_000 => Ok(()),
        _ => Err(format!("the pattern `{pattern}` does not read a whole date and time back from `{text}`")),
    }
}
