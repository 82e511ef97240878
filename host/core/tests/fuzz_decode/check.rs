//! What must hold for any bytes at all. Used by the test run and by the libFuzzer target.

use std::collections::{BTreeMap, BTreeSet};

use gridwatch_core::decode::{
    AttributePath, CsvHeader, DecodeSettings, Decoder, IdSource, Mapping, Selection,
};
use gridwatch_core::reading::{Reading, Reason};

use crate::reference::{self, Expected};
use crate::twins::Twins;

pub const GOOD_JSON: &[u8] = br#"{"sensor_id":"meter-000123","timestamp":"2026-01-01T00:00:01.000Z","voltage":230.12,"current":12.3,"power":2745.6,"frequency":50.01,"power_factor":0.97,"location":"feeder-07"}"#;
pub const CSV_HEADER: &[u8] = b"sensor_id,timestamp,voltage,extra,location,power";
const GOOD_CSV: &[u8] = b"meter-000123,2026-01-01T00:00:01Z,230.12,,feeder-07,2745.6";

/// A nested producer, with renames and factors.
pub fn mapped() -> DecodeSettings {
    let mapping = |path: &str, name: &str, factor: f64| Mapping {
        path: path.into(),
        name: name.into(),
        factor,
        unit: None,
    };
    DecodeSettings {
        id: IdSource::Path("/meta/device".into()),
        timestamp: "/meta/time".into(),
        mappings: vec![
            mapping("U", "voltage", 1000.0),
            mapping("/values/0", "power", 0.001),
            mapping("/meta/temperature", "temperature", 1.0),
        ],
        attributes: vec![
            AttributePath { path: "location".into(), name: "location".into() },
            AttributePath { path: "/meta/feeder".into(), name: "feeder".into() },
        ],
        quantities_max: 16,
        ..DecodeSettings::default()
    }
}

pub fn listed() -> DecodeSettings {
    DecodeSettings { quantities: Selection::Listed, ..mapped() }
}

/// A decoder beside the reference, record after record.
pub struct Pair {
    pub settings: DecodeSettings,
    pub decoder: Decoder,
    known: Vec<String>,
    reading: Reading,
}

impl Pair {
    pub fn new(settings: DecodeSettings) -> Pair {
        let decoder = Decoder::new(&settings, Vec::new()).expect("the settings are good");
        Pair { settings, decoder, known: Vec::new(), reading: Reading::default() }
    }

    /// Decodes, and compares with what the reference says. Panics where they differ.
    pub fn agree(&mut self, record: &[u8]) -> Result<Expected, Reason> {
        let said = self.decoder.decode(record, &mut self.reading).map_err(|rejection| {
            assert!(!rejection.detail.is_empty(), "a rejection says what was found");
            rejection.reason
        });
        let said = said.map(|()| by_name(&self.decoder, &self.settings, &self.reading));
        let expected = reference::decode(&self.settings, &mut self.known, record);
        let shown = || String::from_utf8_lossy(&record[..record.len().min(2000)]).into_owned();
        assert_eq!(said, expected, "record: {}", shown());
        let names: Vec<&str> = self.decoder.quantities().iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, self.known, "record: {}", shown());
        said
    }

    /// A decoder made from the quantities known now takes over.
    pub fn restart(&mut self) {
        let known = self.decoder.quantities().to_vec();
        self.decoder = Decoder::new(&self.settings, known).expect("the settings are good");
    }
}

/// Checks, too, what a reading promises.
pub fn by_name(decoder: &Decoder, settings: &DecodeSettings, reading: &Reading) -> Expected {
    let name = |index: &u16| decoder.quantities()[*index as usize].name.clone();
    let attributes = &reading.attributes[..reading.attributes_len];
    let expected = Expected {
        sensor_id: reading.sensor_id.clone(),
        timestamp: reading.timestamp,
        values: reading.values.iter().map(|(index, value)| (name(index), value.to_bits())).collect(),
        malformed: reading.malformed.iter().map(name).collect::<BTreeSet<_>>(),
        attributes: attributes
            .iter()
            .map(|(index, value)| (settings.attributes[*index as usize].name.clone(), value.clone()))
            .collect::<BTreeMap<_, _>>(),
    };
    assert_eq!(expected.values.len(), reading.values.len(), "an index stands twice");
    assert_eq!(expected.malformed.len(), reading.malformed.len(), "an index stands twice");
    assert_eq!(expected.attributes.len(), attributes.len(), "an index stands twice");
    assert!(expected.values.keys().all(|name| !expected.malformed.contains(name)));
    assert!(reading.values.iter().all(|(_, value)| value.is_finite()));
    expected
}

/// All decoders that any bytes are given to.
pub struct Everything {
    pairs: [Pair; 3],
    twins: [Twins; 3],
    csv: Decoder,
    csv_settings: DecodeSettings,
    reading: Reading,
}

impl Everything {
    pub fn new() -> Everything {
        let csv_settings = DecodeSettings::default();
        let header = CsvHeader::parse(CSV_HEADER, b',').expect("the header is good");
        let csv = Decoder::csv(&csv_settings, &header, Vec::new()).expect("the settings are good");
        let pairs = [Pair::new(DecodeSettings::default()), Pair::new(mapped()), Pair::new(listed())];
        let twins = [Twins::new(DecodeSettings::default()), Twins::new(mapped()), Twins::new(listed())];
        Everything { pairs, twins, csv, csv_settings, reading: Reading::default() }
    }

    /// Any bytes: the answer is the reference's, and a good record after them is what it was before.
    pub fn check(&mut self, record: &[u8]) {
        for pair in &mut self.pairs {
            // The answers are compared within.
            let _ = pair.agree(record);
        }
        for twins in &mut self.twins {
            // The second time by a template, if it can be.
            twins.agree(record);
            twins.agree(record);
        }
        let good = self.pairs[0].agree(GOOD_JSON).expect("the good reading is a reading");
        assert_eq!(good.sensor_id, "meter-000123");
        assert_eq!(good.timestamp, 1_767_225_601_000);
        assert_eq!(good.attributes.get("location").map(String::as_str), Some("feeder-07"));
        self.check_csv(record);
    }

    fn check_csv(&mut self, record: &[u8]) {
        if self.csv.decode(record, &mut self.reading).is_ok() {
            by_name(&self.csv, &self.csv_settings, &self.reading);
        }
        self.csv.decode(GOOD_CSV, &mut self.reading).expect("the good row is a reading");
        let good = by_name(&self.csv, &self.csv_settings, &self.reading);
        assert_eq!(good.sensor_id, "meter-000123");
        assert_eq!(good.values.get("power"), Some(&2745.6_f64.to_bits()));
        assert!(good.malformed.is_empty() && !good.values.contains_key("extra"));
    }
}
