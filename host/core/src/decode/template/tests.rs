#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::super::{DecodeSettings, Decoder, Mapping, TimeFormat};
use super::number::double;
use super::text::string;
use crate::reading::Reading;
use proptest::prelude::*;

const USUAL: &str = r#"{"sensor_id":"meter-1","timestamp":"2026-01-01T00:00:01.000Z","voltage":230.12,"power":-1,"location":"f-1"}"#;

/// Is the last of the records read by a template, the others being decoded before? What it says is the
/// same as without.
fn by_template(settings: &DecodeSettings, records: &[&str]) -> bool {
    let mut decoder = Decoder::new(settings, Vec::new()).unwrap();
    let mut judge = Decoder::new(settings, Vec::new()).unwrap().without_templates();
    let (mut reading, mut expected) = (Reading::default(), Reading::default());
    let mut last = false;
    for record in records {
        last = decoder.templates.apply(&decoder.layout, record.as_bytes(), &mut reading).is_some();
        let said = decoder.decode(record.as_bytes(), &mut reading);
        assert_eq!(said, judge.decode(record.as_bytes(), &mut expected));
        if said.is_ok() {
            reading.attributes.truncate(reading.attributes_len);
            expected.attributes.truncate(expected.attributes_len);
            assert_eq!(reading, expected);
        }
    }
    last
}

#[test]
fn the_same_shape_is_read_by_a_template() {
    let pair = |first: &str, second: &str| by_template(&DecodeSettings::default(), &[first, second]);
    let usual = |change: &[(&str, &str)]| {
        let record = change.iter().fold(USUAL.to_owned(), |record, (from, to)| record.replace(from, to));
        assert!(record != USUAL || change.is_empty());
        pair(USUAL, &record)
    };
    assert!(usual(&[]));
    assert!(usual(&[
        ("meter-1", "a meter with a longer name"),
        ("230.12", "0"),
        ("f-1", "feeder-000123456")
    ]));
    assert!(usual(&[("230.12", "-230.123456789012345"), ("-1", "18446744073709551616"), ("f-1", "")]));
    assert!(usual(&[("230.12", "1.523456789e-300"), ("meter-1", "m\u{e9}ter")]));
    assert!(usual(&[("2026-01-01T00:00:01.000Z", "2026-01-01T02:00:01.25+02:00")]));
    assert!(usual(&[("2026-01-01T00:00:01.000Z", "1767225600")]));
    let nested =
        r#"{ "sensor_id" : 7, "timestamp": 1767225600.5, "x": {"y": [1, "a", null], "z": {}}, "power": 1 }"#;
    assert!(pair(nested, &nested.replace(": 7", ": 1234567").replace("[1, \"a\"", "[22.5, \"bcd\"")));
    let short = r#"{"timestamp":1767225600,"power":1,"sensor_id":"a"}"#;
    assert!(pair(short, &short.replace("\"a\"", "\"b\"")));
    let malformed = r#"{"sensor_id":"a","timestamp":1767225600,"voltage":null,"current":"NaN","power":1}"#;
    assert!(pair(malformed, &malformed.replace("\"a\"", "\"b\"")));
}

#[test]
fn what_a_template_is_not_certain_of_goes_to_serde_json() {
    let usual = |from: &str, to: &str| {
        assert!(USUAL.contains(from));
        by_template(&DecodeSettings::default(), &[USUAL, &USUAL.replace(from, to)])
    };
    for (from, to) in [
        ("230.12", "1e999"),
        ("230.12", "null"),
        ("230.12", "01"),
        ("230.12", "1."),
        ("230.12", ".5"),
        ("230.12", "-"),
        ("230.12", "1.2.3"),
        ("230.12", "1e5"),
        ("meter-1", ""),
        ("meter-1", "m\\u00e9ter"),
        ("meter-1", "a\u{1}"),
        ("\"meter-1\"", "7"),
        ("00:00:01.000Z", "24:00:01.000Z"),
        ("2026-01-01", "2026-02-29"),
        ("2026-01-01", "1969-01-01"),
        ("voltage", "current"),
        ("\"f-1\"}", "\"f-1\"} "),
        ("\"f-1\"}", "\"f-1\"}}"),
        ("\"f-1\"}", "\"f-1\""),
        ("\"f-1\"}", "\"f-1"),
    ] {
        assert!(!usual(from, to), "{to}");
    }
    // Such a record is learnt for what it is, though a short number's exponent is never read.
    let exponents = USUAL.replace("230.12", "[1E+2,-3e0,{\"e\":2e1}]");
    assert!(!by_template(&DecodeSettings::default(), &[&exponents, &exponents]));
    let long = "i".repeat(257);
    assert!(!usual("meter-1", &long));
}

#[test]
fn optional_fields_share_what_they_have() {
    let mut records: Vec<String> = Vec::new();
    for fields in 0..16 {
        let mut record = String::from(r#"{"sensor_id":"m","timestamp":"2026-01-01T00:00:01Z""#);
        for (at, name) in ["voltage", "current", "power", "frequency"].iter().enumerate() {
            if fields & (1 << at) != 0 {
                record += &format!(",\"{name}\":{fields}.5");
            }
        }
        records.push(record + ",\"power_factor\":1}");
    }
    let mut decoder = Decoder::new(&DecodeSettings::default(), Vec::new()).unwrap();
    let mut reading = Reading::default();
    let mut hits = Vec::new();
    for _ in 0..8 {
        let hit = |record: &String| {
            let hit = decoder.templates.apply(&decoder.layout, record.as_bytes(), &mut reading).is_some();
            decoder.decode(record.as_bytes(), &mut reading).unwrap();
            hit
        };
        hits.push(records.iter().map(hit).filter(|hit| *hit).count());
    }
    assert_eq!(hits.last(), Some(&16), "{hits:?}");
}

#[test]
fn a_quantity_that_is_new_changes_what_a_key_means() {
    let record = |x: &str| format!(r#"{{"sensor_id":"m","timestamp":1767225600,"power":1,"x":{x}}}"#);
    let (text, number) = (record("\"a\""), record("1"));
    let settings = DecodeSettings::default();
    assert!(by_template(&settings, &[&text, &text]));
    assert!(!by_template(&settings, &[&text, &number, &text]));
    assert!(by_template(&settings, &[&text, &number, &text, &text]));
}

#[test]
fn messages_that_never_repeat_are_learnt_seldom() {
    let mut decoder = Decoder::new(&DecodeSettings::default(), Vec::new()).unwrap();
    let mut reading = Reading::default();
    let mut decode = |record: String| {
        let hit = decoder.templates.apply(&decoder.layout, record.as_bytes(), &mut reading).is_some();
        decoder.decode(record.as_bytes(), &mut reading).unwrap();
        hit
    };
    let odd =
        |at: u32| format!(r#"{{"sensor_id":"m","timestamp":1767225600,"power":1,"x":[{{"k{at}":null}}]}}"#);
    assert!((0..10_000).all(|at| !decode(odd(at))));
    let usual = (0..2_000).filter(|_| decode(USUAL.into())).count();
    assert!(usual > 1_500, "{usual} of 2000 were read by a template after all that");
}

#[test]
fn one_day_at_a_time() {
    for time in [TimeFormat::Auto, TimeFormat::Rfc3339] {
        let settings = DecodeSettings { time, ..DecodeSettings::default() };
        let mut records = vec![USUAL.to_owned()];
        for day in [1, 2, 2, 1, 31] {
            for clock in ["00:00:00Z", "23:59:59.999Z", "23:59:60Z", "12:30:15.250Z", "12:30:15.25Z"] {
                let time = format!("2026-01-{day:02}T{clock}");
                records.push(USUAL.replace("2026-01-01T00:00:01.000Z", &time));
            }
        }
        let records: Vec<&str> = records.iter().map(String::as_str).collect();
        assert!(by_template(&settings, &records));
    }
}

#[test]
fn what_a_factor_makes_infinite_is_malformed() {
    let mapping = Mapping { path: "u".into(), name: "voltage".into(), factor: 1e300, unit: None };
    let settings = DecodeSettings { mappings: vec![mapping], ..DecodeSettings::default() };
    let record = |u: &str| format!(r#"{{"sensor_id":"m","timestamp":1767225600,"u":{u}}}"#);
    assert!(by_template(&settings, &[&record("1"), &record("123")]));
    assert!(!by_template(&settings, &[&record("1"), &record("1234567890")]));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn numbers_are_those_of_serde_json(
        text in prop_oneof![
            "-?[0-9]{1,9}(\\.[0-9]{0,9})?",
            "-?[0-9]{1,4}\\.[0-9]{1,3}",
            "-?[0-9]{0,25}(\\.[0-9]{0,25})?([eE][+-]?[0-9]{0,4})?",
            any::<f64>().prop_map(|value| value.to_string()),
            any::<f64>().prop_map(|value| format!("{value:e}")),
            any::<u64>().prop_map(|bits| f64::from_bits(bits >> 1).to_string()),
        ],
        tail in prop::sample::select(vec![",", "}", "]", " ,", ",\"power\":12}", "", "x", "\"", "\u{e9}\u{e9}\u{e9}"]),
    ) {
        let record = format!("{text}{tail}");
        let expected: Option<f64> = serde_json::from_str(&text).ok();
        match (double(record.as_bytes()), expected) {
            (Some((value, len)), Some(expected)) if len == text.len() => {
                prop_assert_eq!(value.to_bits(), expected.to_bits(), "{}", text);
            }
            // Where less than the text was read, what follows will not be the literal that must follow.
            (Some((_, len)), _) => prop_assert!(len < text.len(), "{}", record),
            (None, None) => {}
            (None, Some(expected)) => prop_assert!(false, "{} is {}", text, expected),
        }
    }

    #[test]
    fn strings_end_where_they_end(record in prop_oneof![
        "[a-z\"]{0,20}",
        "[a-z]{0,20}[\"\\\\]\\PC{0,9}",
        "[ -~]{0,20}",
        "\\PC{0,20}\"",
        "[\\x00-\\x21]{0,12}\"",
    ]) {
        let stop = record.bytes().position(|byte| byte < b' ' || byte == b'"' || byte == b'\\');
        let expected = stop.filter(|at| record.as_bytes()[*at] == b'"').map(|at| &record.as_bytes()[..at]);
        prop_assert_eq!(string(record.as_bytes()), expected);
    }
}
