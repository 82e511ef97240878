//! Event time as text.

use crate::Timestamp;

/// 1970-01-01 and 2200-01-01: what a reading's or a finding's time must lie between.
pub const TIMESTAMP_MIN: Timestamp = 0;
pub const TIMESTAMP_MAX: Timestamp = 7_258_118_400_000;

/// RFC 3339 in UTC with milliseconds, as all output has it. A time out of range becomes the nearest
/// bound: it cannot come from a reading or a finding, both are checked.
pub fn rfc3339(timestamp: Timestamp) -> String {
    let timestamp = timestamp.clamp(TIMESTAMP_MIN, TIMESTAMP_MAX);
    match jiff::Timestamp::from_millisecond(timestamp) {
        Ok(time) => time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
        Err(_) => String::from("1970-01-01T00:00:00.000Z"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_always_show() {
        assert_eq!(rfc3339(1_767_225_600_000), "2026-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(1_767_225_600_007), "2026-01-01T00:00:00.007Z");
        assert_eq!(rfc3339(i64::MAX), "2200-01-01T00:00:00.000Z");
    }
}
