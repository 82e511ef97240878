//! Durations ("250ms") and sizes ("64MiB") as people write them.

use std::time::Duration;

/// "250ms", "5s", "10m", "1h 30m", "2d".
pub fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|_| {
        format!("\"{text}\" is no duration; write for example \"250ms\", \"5s\", \"10m\", \"1h 30m\"")
    })
}

pub fn duration_text(duration: Duration) -> String {
    // Not humantime's months and years of fractions of days.
    const UNITS: [(u128, &str); 4] = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")];
    let mut rest = duration.as_millis();
    let mut text = String::new();
    for (unit_ms, unit) in UNITS {
        if rest >= unit_ms {
            text.push_str(&format!("{}{unit}", rest / unit_ms));
            rest %= unit_ms;
        }
    }
    if rest > 0 {
        text.push_str(&format!("{rest}ms"));
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// Bytes: "512B", "64KiB", "16MiB", "1GiB", and the decimal "kB", "MB", "GB".
pub fn size(text: &str) -> Result<u64, String> {
    let wrong =
        || format!("\"{text}\" is no size; write for example \"512B\", \"64KiB\", \"16MiB\", \"1GiB\"");
    let digits_end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(digits_end);
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    let factor: u64 = match unit.trim_start() {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "kB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        _ => return Err(wrong()),
    };
    number.checked_mul(factor).ok_or_else(wrong)
}

pub fn size_text(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    for (factor, unit) in UNITS {
        if bytes >= factor && bytes.is_multiple_of(factor) {
            return format!("{}{unit}", bytes / factor);
        }
    }
    format!("{bytes}B")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_written() {
        for (text, bytes) in
            [("0B", 0), ("512B", 512), ("64KiB", 65_536), ("16 MiB", 16 << 20), ("1GB", 1_000_000_000)]
        {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "64", "MiB", "-1B", "1.5GiB", "64mib", "18446744073709551615GiB"] {
            assert!(size(text).is_err(), "{text}");
        }
        assert_eq!(size_text(16 << 20), "16MiB");
        assert_eq!(size_text(1_500), "1500B");
    }

    #[test]
    fn durations_are_read_and_written() {
        for (text, millis) in [("250ms", 250), ("5s", 5_000), ("1h 30m", 5_400_000), ("2d", 172_800_000)] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "5", "ms", "-1s", "five minutes"] {
            assert!(duration(text).is_err(), "{text}");
        }
        for (millis, text) in [(5_400_000, "1h30m"), (0, "0s"), (250, "250ms"), (86_401_001, "1d1s1ms")] {
            assert_eq!(duration_text(Duration::from_millis(millis)), text);
        }
    }
}
