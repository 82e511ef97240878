//! Two decoders that must never differ: one reads by templates where it can, the other never does.

use gridwatch_core::decode::{
    AttributePath, DecodeSettings, Decoder, IdSource, Mapping, Selection, TimeFormat,
};
use gridwatch_core::reading::Reading;

use super::mutate::Random;

pub struct Twins {
    settings: DecodeSettings,
    fast: Decoder,
    judge: Decoder,
    readings: [Reading; 2],
}

impl Twins {
    pub fn new(settings: DecodeSettings) -> Twins {
        let decoder = || Decoder::new(&settings, Vec::new()).expect("the settings are good");
        let (fast, judge) = (decoder(), decoder().without_templates());
        Twins { settings, fast, judge, readings: [Reading::default(), Reading::default()] }
    }

    /// Decodes with both. Panics where they differ in anything that can be seen.
    pub fn agree(&mut self, record: &[u8]) {
        let [fast, judge] = &mut self.readings;
        let said = self.fast.decode(record, fast);
        let expected = self.judge.decode(record, judge);
        let shown = || String::from_utf8_lossy(&record[..record.len().min(2000)]).into_owned();
        assert_eq!(said, expected, "record: {}, settings: {:?}", shown(), self.settings);
        if said.is_ok() {
            let all = |reading: &Reading| {
                let bits = |(index, value): &(u16, f64)| (*index, value.to_bits());
                let values: Vec<(u16, u64)> = reading.values.iter().map(bits).collect();
                let attributes = reading.attributes[..reading.attributes_len].to_vec();
                (reading.sensor_id.clone(), reading.timestamp, values, reading.malformed.clone(), attributes)
            };
            assert_eq!(all(fast), all(judge), "record: {}, settings: {:?}", shown(), self.settings);
        }
        assert_eq!(self.fast.quantities(), self.judge.quantities(), "record: {}", shown());
        assert_eq!(self.fast.quantities_left_out(), self.judge.quantities_left_out(), "record: {}", shown());
    }

    /// A decoder made from the quantities known now takes the fast one's place.
    pub fn restart(&mut self) {
        let known = self.fast.quantities().to_vec();
        self.fast = Decoder::new(&self.settings, known.clone()).expect("the settings are good");
        self.judge = Decoder::new(&self.settings, known).expect("the settings are good").without_templates();
    }
}

/// Settings of any kind, over the keys that the corpus and the documents have.
pub fn any_settings(random: &mut Random) -> DecodeSettings {
    let pattern =
        TimeFormat::Pattern { pattern: "%Y-%m-%dT%H:%M:%S%.fZ".into(), zone: "Europe/Madrid".into() };
    let times = [
        TimeFormat::Auto,
        TimeFormat::Auto,
        TimeFormat::Rfc3339,
        TimeFormat::EpochSeconds,
        TimeFormat::EpochMilliseconds,
        TimeFormat::EpochMicroseconds,
        pattern,
    ];
    let paths =
        ["U", "/values/0", "/meta/temperature", "/a~1b", "voltage", "x", "/x/y", "/values/1/z", "/meta"];
    let names = ["voltage", "power", "voltage", "x", "own"];
    let factors = [1.0, 1000.0, 0.001, -1.0, 1e300];
    let mut settings = DecodeSettings {
        id: IdSource::Path((*random.pick(&["sensor_id", "sensor_id", "/meta/device", "x"])).into()),
        timestamp: (*random.pick(&["timestamp", "timestamp", "/meta/time"])).into(),
        time: random.pick(&times).clone(),
        quantities: *random.pick(&[Selection::All, Selection::All, Selection::Listed]),
        quantities_max: 20 + random.below(10),
        ..DecodeSettings::default()
    };
    if random.below(8) == 0 {
        settings.id = IdSource::Fixed("fixed".into());
    }
    for _ in 0..random.below(5) {
        let (path, name) = ((*random.pick(&paths)).into(), (*random.pick(&names)).into());
        settings.mappings.push(Mapping { path, name, factor: *random.pick(&factors), unit: None });
    }
    for path in ["/meta/feeder", "y", "/values/2"].iter().take(random.below(4)) {
        settings.attributes.push(AttributePath { path: (*path).into(), name: (*path).into() });
    }
    if settings.check().is_ok() { settings } else { any_settings(random) }
}

const NUMBERS: [&str; 33] = [
    "0",
    "-0",
    "0.0",
    "-0.0",
    "1",
    "-1",
    "230.12",
    "-230.12",
    "1.",
    ".5",
    "01",
    "-",
    "+1",
    "1e3",
    "1E+2",
    "1e-7",
    "1e999",
    "-1e999",
    "1e308",
    "1e-999",
    "9007199254740993",
    "9007199254740992.5",
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775808",
    "-9223372036854775809",
    "123456789012345678",
    "1767225601123",
    "1767225601.123",
    "0.000000000000000000000000123",
    "1.7976931348623157e308",
    "null",
    "\"7\"",
];
const TEXTS: [&str; 19] = [
    "",
    "a",
    "meter-7",
    "meter-000123",
    "sixteen bytes id",
    "seventeen bytes i",
    "m\u{e9}t\u{e9}r",
    "\\u00e9",
    "a\\\"b",
    "\t",
    "2026-01-01T00:00:01Z",
    "2026-01-01T23:59:59.999Z",
    "2026-01-01T24:00:00.000Z",
    "2026-01-02T00:00:60Z",
    "2026-02-29T00:00:00Z",
    "2026-01-01T02:00:01.250+02:00",
    "2026-01-01T00:00:00.123456Z",
    "1767225600",
    "2099-01-01 00:00:00Z",
];

/// The same record with other values: some of its tokens replaced, by the same kind for the most part.
pub fn vary(random: &mut Random, record: &[u8]) -> Vec<u8> {
    let mut varied = Vec::with_capacity(record.len() + 32);
    let mut at = 0;
    while at < record.len() {
        let rest = &record[at..];
        let text = rest[0] == b'"';
        let len = match rest[0] {
            b'"' => rest[1..].iter().position(|byte| *byte == b'"').map_or(1, |inner| inner + 2),
            b'-' | b'0'..=b'9' => rest.iter().take_while(|byte| b"+-.eE0123456789".contains(byte)).count(),
            _ => 1,
        };
        let is_key = text && rest.get(len..).is_some_and(|rest| rest.trim_ascii_start().starts_with(b":"));
        let is_value = len > 1 || rest[0].is_ascii_digit();
        if is_key || !is_value || random.below(4) > 0 {
            varied.extend_from_slice(&rest[..len]);
        } else {
            value(random, &mut varied, &rest[..len], text);
        }
        at += len;
    }
    varied
}

fn value(random: &mut Random, varied: &mut Vec<u8>, old: &[u8], text: bool) {
    match (random.below(8), text) {
        (0..=2, true) => varied.extend_from_slice(format!("\"{}\"", random.pick(&TEXTS)).as_bytes()),
        (0..=1, false) => varied.extend_from_slice(random.pick(&NUMBERS).as_bytes()),
        (2, false) => varied.extend_from_slice(number(random).as_bytes()),
        (3, _) => {
            let length = random.below(300);
            let letter = *random.pick(&[b'i', b'i', 0xc3]);
            varied.push(b'"');
            varied.extend(std::iter::repeat_n(letter, length));
            varied.push(b'"');
        }
        _ => {
            let digit = |byte: &u8| byte.is_ascii_digit() && random.below(2) == 0;
            let places: Vec<bool> = old.iter().map(digit).collect();
            let digits = old.iter().zip(places);
            varied.extend(
                digits.map(|(byte, other)| if other { b'0' + random.below(10) as u8 } else { *byte }),
            );
        }
    }
}

/// A number of any width and form.
pub fn number(random: &mut Random) -> String {
    let digits = |random: &mut Random, most: usize| -> String {
        (0..1 + random.below(most)).map(|_| char::from(b'0' + random.below(10) as u8)).collect()
    };
    let sign = *random.pick(&["", "", "", "-"]);
    match random.below(5) {
        0 => f64::from_bits(random.next()).to_string(),
        1 => format!("{sign}{}", digits(random, 22)),
        2 => format!("{sign}{}.{}", digits(random, 4), digits(random, 3)),
        3 => format!("{sign}{}.{}", digits(random, 10), digits(random, 25)),
        _ => format!("{sign}{}.{}e-{}", digits(random, 10), digits(random, 15), digits(random, 3)),
    }
}
