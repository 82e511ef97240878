//! The decoder against the reference on documents that look like readings, and times against jiff.

use gridwatch_core::decode::{CsvHeader, DecodeSettings, Decoder, parse_rfc3339};
use gridwatch_core::reading::Reading;
use proptest::prelude::*;

use crate::check::{Pair, by_name, listed, mapped};
use crate::mutate::Random;
use crate::twins::{Twins, any_settings, vary};

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => prop::sample::select(vec![
            "sensor_id", "timestamp", "voltage", "current", "power", "power_factor", "location", "U", "meta",
            "values", "device", "time", "temperature", "feeder", "x", "y", "z", "volt\\u0061ge", "", "a/b", "~0",
        ]).prop_map(str::to_owned),
        1 => "[a-z]{1,3}",
        1 => Just("k".repeat(129)),
    ]
}

fn scalar() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => any::<f64>().prop_filter("JSON", |value| value.is_finite()).prop_map(|value| format!("{value:e}")),
        2 => any::<i64>().prop_map(|value| value.to_string()),
        1 => any::<u64>().prop_map(|value| value.to_string()),
        4 => prop::sample::select(vec![
            "1e999", "-1e999", "1e308", "-0", "0", "-0.0", "1E+2", "18446744073709551616", "1e-999", "null", "true",
            "false", "\"\"", "\"NaN\"", "\"Infinity\"", "\"12.5\"", "\"meter-1\"", "\"\\ud800\"", "\"\\u00e9\"",
            "1767225600", "1767225600.123", "1767225600123", "1767225600123456", "\"1767225600\"",
            "\"2026-01-01T00:00:00Z\"", "\"2026-01-01T00:00:00.5+02:00\"", "\"2099-01-01T00:00:00Z\"",
            "\"20250428\"", "01", "1.", "nan", "\"a\u{1}\"",
        ]).prop_map(str::to_owned),
        1 => prop::sample::select(vec![300_usize, 256, 257]).prop_map(|length| format!("\"{}\"", "i".repeat(length))),
    ]
}

fn value() -> impl Strategy<Value = String> {
    scalar().prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec((key(), inner.clone()), 0..4).prop_map(|members| object(&members)),
            prop::collection::vec(inner, 0..4).prop_map(|elements| format!("[{}]", elements.join(","))),
        ]
    })
}

fn object(members: &[(String, String)]) -> String {
    let members: Vec<String> = members.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
    format!("{{{}}}", members.join(","))
}

/// A reading with arbitrary members between those that make it one.
fn document() -> impl Strategy<Value = String> {
    let members = prop::collection::vec((key(), value()), 0..7);
    (members, 0..4_u8, prop::sample::select(vec!["", "", "", "", " ", "x", "}"])).prop_map(
        |(mut members, shape, tail)| {
            let text = |text: &str| text.to_owned();
            match shape {
                0 => {}
                1 => {
                    let meta = r#"{"device":"d-1","time":1767225600,"temperature":21.5,"feeder":7}"#;
                    members.insert(0, (text("meta"), text(meta)));
                }
                _ => {
                    members.insert(0, (text("timestamp"), text("\"2026-01-01T00:00:00Z\"")));
                    members.insert(0, (text("sensor_id"), text("\"meter-1\"")));
                }
            }
            object(&members) + tail
        },
    )
}

fn settings() -> impl Strategy<Value = DecodeSettings> {
    prop_oneof![Just(DecodeSettings::default()), Just(mapped()), Just(listed())]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn documents_are_decoded_as_the_reference_does(
        settings in settings(),
        documents in prop::collection::vec(document(), 1..8),
        restart in 0..8_usize,
    ) {
        let mut pair = Pair::new(settings);
        for (at, document) in documents.iter().enumerate() {
            if at == restart {
                pair.restart();
            }
            let _ = pair.agree(document.as_bytes());
        }
    }

    #[test]
    fn templates_change_nothing(
        seed in any::<u64>(),
        documents in prop::collection::vec(document(), 1..5),
        steps in prop::collection::vec((0..8_usize, 0..8_usize), 1..40),
    ) {
        let mut random = Random::new(seed);
        let mut twins = Twins::new(any_settings(&mut random));
        for (document, step) in &steps {
            let document = documents[document % documents.len()].as_bytes();
            match step {
                0 => twins.restart(),
                1..=3 => twins.agree(document),
                _ => twins.agree(&vary(&mut random, document)),
            }
        }
    }

    #[test]
    fn arbitrary_bytes_are_no_trouble(records in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..64), 1..4)) {
        let mut pair = Pair::new(DecodeSettings::default());
        for record in &records {
            let _ = pair.agree(record);
        }
    }

    #[test]
    fn usual_times_are_read_as_jiff_reads_them(
        date in (0..10_000_u32, 0..14_u32, 0..33_u32),
        clock in (0..26_u32, 0..62_u32, 0..62_u32),
        fraction in "(\\.[0-9]{0,11})?",
        offset in "Z|z|[+-][0-2][0-9]:[0-6][0-9]|[+-][0-9]{2}|\\+02:00|",
        spoil in prop::option::weighted(0.3, (0..30_usize, any::<char>())),
    ) {
        let ((year, month, day), (hour, minute, second)) = (date, clock);
        let mut text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}{offset}");
        if let Some((at, with)) = spoil {
            text = text.chars().enumerate().map(|(index, is)| if index == at { with } else { is }).collect();
        }
        same_time(&text)?;
    }

    #[test]
    fn real_times_are_read_as_jiff_reads_them(seconds in -62_135_596_800_i64..253_402_207_200, nanos in 0..1_000_000_000_i32) {
        let time = jiff::Timestamp::new(seconds, nanos).map_err(|error| TestCaseError::fail(error.to_string()));
        if let Ok(time) = time {
            same_time(&time.to_string())?;
            same_time(&format!("{time:.3}"))?;
        }
    }

    #[test]
    fn a_row_is_the_object_of_its_columns(
        voltage in any::<f64>().prop_filter("JSON", |value| value.is_finite()),
        power in prop::option::of(-1e6..1e6_f64),
        location in prop::option::of("[a-z \"',]{1,8}"),
        id in "[a-z0-9\",][a-z0-9\",\n ]{0,7}[a-z0-9\",]",
        spaces in "[ \t]{0,2}",
    ) {
        let settings = DecodeSettings::default();
        let header = CsvHeader::parse(b"location,voltage,sensor_id,power,timestamp", b',').expect("a header");
        let mut rows = Decoder::csv(&settings, &header, Vec::new()).expect("good settings");
        let mut objects = Decoder::new(&settings, Vec::new()).expect("good settings");
        let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
        let row = format!(
            "{},{voltage:e},{},{},1767225600",
            location.as_deref().map(quoted).unwrap_or_default(),
            quoted(&format!("{spaces}{id}{spaces}")),
            power.map(|power| power.to_string()).unwrap_or_default(),
        );
        // Spaces around a field do not count.
        let location = location.as_deref().map(str::trim).filter(|location| !location.is_empty());
        let document = serde_json::json!({
            "location": location, "voltage": voltage, "sensor_id": id, "timestamp": 1_767_225_600,
        });
        let mut document = document;
        if let Some(power) = power {
            document["power"] = power.into();
        }
        let (mut one, mut other) = (Reading::default(), Reading::default());
        rows.decode(row.as_bytes(), &mut one).expect("the row is a reading");
        objects.decode(document.to_string().as_bytes(), &mut other).expect("the object is a reading");
        prop_assert_eq!(by_name(&rows, &settings, &one), by_name(&objects, &settings, &other));
    }
}

fn same_time(text: &str) -> Result<(), TestCaseError> {
    let jiffs =
        text.parse::<jiff::Timestamp>().ok().map(|time| time.as_nanosecond().div_euclid(1_000_000) as i64);
    prop_assert_eq!(parse_rfc3339(text), jiffs, "{}", text);
    Ok(())
}
