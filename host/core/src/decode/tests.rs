#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use expect_test::{Expect, expect};

use super::*;

fn settings() -> DecodeSettings {
    DecodeSettings::default()
}

/// What a decoder says, in words.
fn show(decoder: &mut Decoder, record: &[u8]) -> String {
    let mut reading = Reading::default();
    match decoder.decode(record, &mut reading) {
        Err(rejection) => rejection.to_string(),
        Ok(()) => {
            let name = |index: &u16| decoder.quantities()[*index as usize].name.clone();
            let values: Vec<_> =
                reading.values.iter().map(|(at, value)| format!("{}={value}", name(at))).collect();
            let malformed: Vec<_> = reading.malformed.iter().map(name).collect();
            let attributes = &reading.attributes[..reading.attributes_len];
            let attributes: Vec<_> = attributes.iter().map(|(at, text)| format!("{at}={text}")).collect();
            format!(
                "{} {} [{}] malformed [{}] attributes [{}]",
                reading.sensor_id,
                reading.timestamp,
                values.join(" "),
                malformed.join(" "),
                attributes.join(" ")
            )
        }
    }
}

fn check(settings: &DecodeSettings, records: &[&[u8]], said: Expect) {
    let mut decoder = Decoder::new(settings, Vec::new()).unwrap();
    let lines: Vec<String> = records.iter().map(|record| show(&mut decoder, record)).collect();
    said.assert_eq(&lines.join("\n"));
}

#[test]
fn the_usual_reading() {
    check(
        &settings(),
        &[br#"{"sensor_id":"meter-000123","timestamp":"2026-01-01T00:00:01.000Z","voltage":230.12,"current":12.3,"power":2745.6,"frequency":50.01,"power_factor":0.97,"location":"feeder-07"}"#],
        expect!["meter-000123 1767225601000 [voltage=230.12 current=12.3 power=2745.6 frequency=50.01 power_factor=0.97] malformed [] attributes [0=feeder-07]"],
    );
}

#[test]
fn every_rejection_says_what_was_found() {
    check(
        &settings(),
        &[
            b"",
            b"{\"sensor_id\":\"a\",\n \"voltage\":1,}",
            b"{\"a\":1} x",
            b"[1]",
            b"{\"a\":\"\xff\"}",
            br#"{"timestamp":1,"voltage":1}"#,
            br#"{"sensor_id":"","timestamp":1,"voltage":1}"#,
            br#"{"sensor_id":1.5,"timestamp":1,"voltage":1}"#,
            br#"{"sensor_id":["a"],"timestamp":1,"voltage":1}"#,
            br#"{"sensor_id":"a","voltage":1}"#,
            br#"{"sensor_id":"a","timestamp":"soon","voltage":1}"#,
            br#"{"sensor_id":"a","timestamp":"20250428","voltage":1}"#,
            br#"{"sensor_id":"a","timestamp":"2200-01-01T00:00:00Z","voltage":1}"#,
            br#"{"sensor_id":"a","timestamp":-1,"voltage":1}"#,
            br#"{"sensor_id":"a","timestamp":true,"voltage":1}"#,
            br#"{"sensor_id":"a","timestamp":1,"note":"x"}"#,
            br#"{"a":1e999,"b":}"#,
        ],
        expect![[r#"
            not_json: the record is empty
            not_json: trailing comma at line 2 column 14 (byte 32)
            not_json: trailing characters at line 1 column 9 (byte 9)
            not_json: invalid type: sequence, expected a JSON object at line 1 column 1 (byte 1); records stand one a line: `jq -c '.[]'` makes an array so
            not_json: byte 7 is not UTF-8
            no_sensor_id: there is no `sensor_id`; there are: `timestamp`, `voltage`
            no_sensor_id: `sensor_id` is empty
            no_sensor_id: `sensor_id` is a number, but no integer of 64 bits: it would be rounded; send it as a string
            no_sensor_id: `sensor_id` is an array
            no_timestamp: there is no `timestamp`; there are: `sensor_id`, `voltage`
            bad_timestamp: `timestamp`: `soon` is no RFC 3339 time and no epoch time (others: [decode] timestamp_format)
            bad_timestamp: `timestamp`: `20250428` is no RFC 3339 time and no epoch time (others: [decode] timestamp_format)
            bad_timestamp: `timestamp`: `2200-01-01T00:00:00Z` is no RFC 3339 time and no epoch time (others: [decode] timestamp_format): not within 1970-01-01 and 2200-01-01
            bad_timestamp: `timestamp`: the number -1 is no RFC 3339 time and no epoch time (others: [decode] timestamp_format): not within 1970-01-01 and 2200-01-01
            bad_timestamp: `timestamp`: is a boolean
            no_quantities: there is no number in it that would be a quantity
            not_json: expected value at line 1 column 16 (byte 16)"#]],
    );
}

#[test]
fn what_is_no_number_is_malformed_where_the_quantity_is_known() {
    check(
        &settings(),
        &[
            br#"{"sensor_id":"a","timestamp":1,"voltage":"NaN","x":"NaN"}"#,
            br#"{"sensor_id":"a","timestamp":1,"x":5}"#,
            br#"{"sensor_id":"a","timestamp":1,"x":"NaN","voltage":1e999,"current":null}"#,
            br#"{"sensor_id":"a","timestamp":1,"x":1,"x":"n","power":"n","power":2,"location":7}"#,
        ],
        expect![[r#"
            a 1000 [] malformed [voltage] attributes []
            a 1000 [x=5] malformed [] attributes []
            a 1000 [] malformed [x voltage current] attributes []
            a 1000 [power=2] malformed [x] attributes [0=7]"#]],
    );
}

#[test]
fn quantities_are_bounded_but_known_names_have_room() {
    let settings = DecodeSettings { quantities_max: 15, ..settings() };
    let mut decoder = Decoder::new(&settings, Vec::new()).unwrap();
    let many = br#"{"sensor_id":"a","timestamp":1,"x":1,"y":2,"z":3}"#;
    assert_eq!(show(&mut decoder, many), "a 1000 [x=1] malformed [] attributes []");
    assert_eq!(decoder.quantities_left_out(), 2);
    let usual = br#"{"sensor_id":"a","timestamp":1,"y":2,"voltage":3}"#;
    assert_eq!(show(&mut decoder, usual), "a 1000 [voltage=3] malformed [] attributes []");
    assert_eq!(decoder.quantities_left_out(), 3);
    assert_eq!(decoder.quantities()[1], Quantity { name: "voltage".into(), unit: Some("V".into()) });
    let only_more = br#"{"sensor_id":"a","timestamp":1,"y":2}"#;
    assert!(show(&mut decoder, only_more).contains("its 1 numbers are beyond quantities_max"));
}

#[test]
fn a_rejected_record_brings_no_quantity() {
    let mut decoder = Decoder::new(&settings(), Vec::new()).unwrap();
    for record in [&b"{\"x\":1,\"timestamp\":1}"[..], b"{\"x\":1,\"voltage\":2,,}", b"{\"x\":1"] {
        assert!(decoder.decode(record, &mut Reading::default()).is_err());
        assert!(decoder.quantities().is_empty());
    }
    show(&mut decoder, br#"{"sensor_id":"a","timestamp":1,"x":1}"#);
    assert_eq!(decoder.quantities().len(), 1);
}

#[test]
fn records_beyond_the_maximum_are_not_looked_at() {
    let settings = DecodeSettings { record_bytes_max: 64, ..settings() };
    let record = [b' '; 65];
    check(&settings, &[&record], expect!["too_large: 65 bytes, more than record_bytes_max = 64"]);
}

#[test]
fn local_times_meet_daylight_saving_as_documented() {
    let time = TimeFormat::Pattern { pattern: "%d-%b-%Y %H:%M:%S".into(), zone: "Europe/Madrid".into() };
    let settings = DecodeSettings { time, ..settings() };
    let mut decoder = Decoder::new(&settings, Vec::new()).unwrap();
    let mut at = |local: &str| {
        let record = format!(r#"{{"sensor_id":"a","timestamp":"{local}","voltage":1}}"#);
        let mut reading = Reading::default();
        decoder.decode(record.as_bytes(), &mut reading).map(|()| reading.timestamp)
    };
    let utc = |text: &str| Ok(parse_rfc3339(text).unwrap());
    assert_eq!(at("28-Apr-2025 12:33:24"), utc("2025-04-28T10:33:24Z"));
    // 02:00 to 03:00 is skipped in spring: as much later. It comes twice in autumn: the first.
    assert_eq!(at("30-Mar-2025 02:30:00"), utc("2025-03-30T01:30:00Z"));
    assert_eq!(at("26-Oct-2025 02:30:00"), utc("2025-10-26T00:30:00Z"));
    assert_eq!(at("2025-04-28").unwrap_err().reason, Reason::BadTimestamp);
    assert_eq!(at("31-Feb-2025 00:00:00").unwrap_err().reason, Reason::BadTimestamp);
}

#[test]
fn a_pattern_with_an_offset_needs_no_zone() {
    let time = TimeFormat::Pattern { pattern: "%Y%m%d %H%M%S%z".into(), zone: "Europe/Madrid".into() };
    let settings = DecodeSettings { time, ..settings() };
    check(
        &settings,
        &[br#"{"sensor_id":"a","timestamp":"20260101 000001-0100","voltage":1}"#],
        expect!["a 1767229201000 [voltage=1] malformed [] attributes []"],
    );
}

#[test]
fn fixed_epoch_units_do_not_look_at_size() {
    for (time, expected) in [
        (TimeFormat::EpochSeconds, 5000),
        (TimeFormat::EpochMilliseconds, 5),
        (TimeFormat::EpochMicroseconds, 0),
    ] {
        let mut decoder = Decoder::new(&DecodeSettings { time, ..settings() }, Vec::new()).unwrap();
        for value in ["5", "5.25", "\"5\""] {
            let record = format!(r#"{{"sensor_id":"a","timestamp":{value},"voltage":1}}"#);
            let mut reading = Reading::default();
            decoder.decode(record.as_bytes(), &mut reading).unwrap();
            let fraction = if expected == 5000 && value == "5.25" { 250 } else { 0 };
            assert_eq!(reading.timestamp, expected + fraction, "{value}");
        }
    }
}

#[test]
fn every_mistake_in_the_settings_is_told() {
    let settings = DecodeSettings {
        id: IdSource::Path("/a/~2".into()),
        timestamp: "t".into(),
        time: TimeFormat::Pattern { pattern: "%H:%M".into(), zone: "UTC".into() },
        mappings: vec![
            Mapping { path: "t".into(), name: String::new(), factor: 0.0, unit: None },
            Mapping { path: "/t".into(), name: "u".into(), factor: 1.0, unit: None },
        ],
        quantities_max: 3,
        record_bytes_max: 1,
        ..settings()
    };
    let errors = Decoder::new(&settings, Vec::new()).unwrap_err();
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    expect![[r#"
        decode.id: `/a/~2` is no JSON pointer: `~` stands only in `~0` and `~1`
        decode.time: the pattern `%H:%M` does not read a whole date and time back from `08:33`
        decode.quantities.t: `t` is already taken by decode.timestamp
        decode.quantities.t: a name has 1 to 128 bytes
        decode.quantities.t: factor 0 is not a finite number other than 0
        decode.quantities./t: `/t` is already taken by decode.timestamp
        decode.quantities_max: 3 is not within 16 (those built in or mapped) to 4096
        decode.record_bytes_max: 1 bytes is not within 64 B to 1 GiB"#]]
    .assert_eq(&errors.join("\n"));
    let zone = TimeFormat::Pattern { pattern: "%Y-%m-%d".into(), zone: "Europe/Toledo".into() };
    let errors = DecodeSettings { time: zone, ..DecodeSettings::default() }.check().unwrap_err();
    assert!(errors[0].what.contains("is no IANA time zone"));
}

#[test]
fn rows_of_one_sensor() {
    let settings = DecodeSettings {
        id: IdSource::Fixed("toledo".into()),
        timestamp: "time".into(),
        time: TimeFormat::Pattern { pattern: "%d-%b-%Y %H:%M:%S".into(), zone: "Europe/Madrid".into() },
        mappings: vec![Mapping {
            path: "L1 (kV)".into(),
            name: "voltage_l1".into(),
            factor: 1000.0,
            unit: None,
        }],
        ..settings()
    };
    let header = CsvHeader::parse(b"L1 (kV), f ,note,time,", b',').unwrap();
    let mut decoder = Decoder::csv(&settings, &header, Vec::new()).unwrap();
    let mut said: Vec<String> = Vec::new();
    for row in [
        &b"27.125,50.016,ok,28-Apr-2025 11:00:00,"[..],
        b"NaN,, 7 ,28-Apr-2025 11:00:02,x",
        b"\"27.25\",50,\"a,\nb\",28-Apr-2025 11:00:04,",
        b"27.1,50",
        b"27.1,50,,,",
        b",,,28-Apr-2025 11:00:02,",
        b"a\xff,50,,28-Apr-2025 11:00:02,",
        b"1,2,\"x\"\n3,28-Apr-2025 11:00:02,",
    ] {
        said.push(show(&mut decoder, row));
    }
    expect![[r#"
        toledo 1745830800000 [voltage_l1=27125 f=50.016] malformed [] attributes []
        toledo 1745830802000 [note=7] malformed [voltage_l1] attributes []
        toledo 1745830804000 [voltage_l1=27250 f=50] malformed [note] attributes []
        not_csv: 2 fields, where the header has 5
        no_timestamp: there is no `time`
        no_quantities: there is no number in it that would be a quantity
        not_csv: byte 2 is not UTF-8
        not_csv: a line ends within the record, at byte 8"#]]
    .assert_eq(&said.join("\n"));
}

#[test]
fn a_header_that_does_not_fit_is_refused() {
    let error = |line: &[u8]| CsvHeader::parse(line, b',').unwrap_err().to_string();
    assert_eq!(error(b"a,b, a"), "the column `a` stands twice in the header");
    assert!(error(b"").contains("empty"));
    assert!(error(b"\xff").contains("UTF-8"));
    assert!(error(b"sensor_id,voltage\rm,230\r").contains("do lines end with CR alone?"));
    let header = CsvHeader::parse(b"sensor_id,voltage", b',').unwrap();
    let errors = Decoder::csv(&settings(), &header, Vec::new()).unwrap_err();
    assert!(errors[0].what.contains("there is no column `timestamp`; there are: sensor_id, voltage"));
    let all = CsvHeader::parse(b"sensorid,Time,x", b',').unwrap();
    let required = ["sensor_id", "time", "watts"].map(str::to_owned);
    let said = all.require(&required).unwrap_err().to_string();
    assert_eq!(
        said,
        "there is no column `sensor_id` (did you mean `sensorid`?), `time` (did you mean `Time`?), `watts`; there \
         are: sensorid, Time, x"
    );
}

#[test]
fn a_decimal_comma_and_a_misspelt_key_are_named() {
    let detail = |decoder: &mut Decoder, record: &[u8]| {
        decoder.decode(record, &mut Reading::default()).unwrap_err().detail
    };
    let header = CsvHeader::parse(b"sensor_id;timestamp;x", b';').unwrap();
    let mut rows = Decoder::csv(&settings(), &header, Vec::new()).unwrap();
    let said = detail(&mut rows, b"m;2026-01-05T00:00:00Z;230,4");
    assert!(
        said.ends_with("column `x` holds `230,4`, with a decimal comma: numbers have a decimal point"),
        "{said}"
    );
    let header = CsvHeader::parse(b"sensor_id,timestamp,x", b',').unwrap();
    let mut rows = Decoder::csv(&settings(), &header, Vec::new()).unwrap();
    assert!(detail(&mut rows, b"m,2026-01-05T00:00:00Z,230,4").contains("decimal comma"));
    let mut objects = Decoder::new(&settings(), Vec::new()).unwrap();
    let said = detail(&mut objects, br#"{"sensorid":"m","timestamp":1,"voltage":1}"#);
    assert_eq!(
        said,
        "there is no `sensor_id` (did you mean `sensorid`?); there are: `sensorid`, `timestamp`, `voltage`"
    );
    // Also behind many others, and only where nothing stands there.
    let many: String = (0..30).map(|at| format!("\"a{at:02}\":1,")).collect();
    let said = detail(&mut objects, format!(r#"{{{many}"sensorid":"m","timestamp":1}}"#).as_bytes());
    assert!(
        said.starts_with(
            "there is no `sensor_id` (did you mean `sensorid`?); there are 32 keys, such as `a00`"
        )
    );
    let said = detail(&mut objects, br#"{"sensor_id":"","timestamp":1,"voltage":1}"#);
    assert_eq!(said, "`sensor_id` is empty");
    let said = detail(&mut objects, br#"{"sensor_id":"m","timestamp":null,"Timestamp":1,"voltage":1}"#);
    assert_eq!(said, "there is no `timestamp`: it is null");
}

/// A mapping is misspelt, and all would look well: the quantity comes, unscaled.
#[test]
fn a_mapping_beside_which_its_quantity_comes_by_its_name_is_told_until_it_matches() {
    let mapping =
        |path: &str| Mapping { path: path.into(), name: "voltage".into(), factor: 10.0, unit: None };
    let with = |paths: &[&str]| DecodeSettings {
        mappings: paths.iter().map(|path| mapping(path)).collect(),
        ..settings()
    };
    let feed = |decoder: &mut Decoder, rest: &str| {
        let record = format!(r#"{{"sensor_id":"m","timestamp":1,{rest}}}"#);
        decoder.decode(record.as_bytes(), &mut Reading::default()).ok();
        decoder.shadowed().map(|mapping| mapping.path.clone()).collect::<Vec<_>>()
    };
    let mut decoder = Decoder::new(&with(&["/data/u"]), Vec::new()).unwrap();
    assert_eq!(feed(&mut decoder, r#""current":5"#), [""; 0]);
    assert_eq!(feed(&mut decoder, r#""voltage":230"#), ["/data/u"]);
    assert_eq!(feed(&mut decoder, r#""current":5"#), ["/data/u"]);
    assert_eq!(feed(&mut decoder, r#""data":{"u":23}"#), [""; 0]);
    assert_eq!(feed(&mut decoder, r#""voltage":230"#), [""; 0]);
    assert_eq!(feed(&mut decoder, r#""new":1,"timestamp":"never""#), [""; 0], "a rejection forgets nothing");
    assert_eq!(feed(&mut decoder, r#""voltage":230"#), [""; 0]);

    // The same from a checkpoint's quantities; and one of two places is enough.
    let known = decoder.quantities().to_vec();
    let mut decoder = Decoder::new(&with(&["/data/u", "/data/v"]), known).unwrap();
    assert_eq!(feed(&mut decoder, r#""current":5"#), [""; 0]);
    assert_eq!(feed(&mut decoder, r#""voltage":230"#), ["/data/u", "/data/v"]);
    assert_eq!(feed(&mut decoder, r#""data":{"v":23}"#), [""; 0]);
}
