//! Mapped quantities that no record has carried, and what stands near the place where they were sought.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::decode::Mapping;
use crate::reading::Quantity;
use crate::record::Chunk;

/// Records that are looked through for one that is JSON.
const SAMPLES_MAX: usize = 16;
/// Numbers of a record that are looked at, and how deep they may lie.
const PLACES_MAX: usize = 256;
const DEPTH_MAX: usize = 16;
/// Places that are worth a word.
const NEAREST_MAX: usize = 3;

/// A mapping that has not matched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unfound {
    /// Where it was sought, as the settings say it.
    pub path: String,
    /// Where a record has numbers, the likeliest to be meant first; empty where records have no structure.
    pub nearest: Vec<String>,
}

/// What a lane knows of it. It costs a comparison a chunk, and more only after a new quantity has come.
#[derive(Debug, Default)]
pub struct Sought {
    /// How many quantities were known when this was last looked at.
    quantities: Option<usize>,
    unfound: BTreeMap<String, Unfound>,
}

impl Sought {
    /// After a chunk of records was decoded under `mappings`; `quantities` are all that ever came.
    pub fn look(&mut self, mappings: &[Mapping], quantities: &[Quantity], chunk: &Chunk) {
        if self.quantities == Some(quantities.len()) || chunk.records.is_empty() {
            return;
        }
        self.quantities = Some(quantities.len());
        let mut before = std::mem::take(&mut self.unfound);
        let mut places = None;
        for mapping in mappings.iter().filter(|mapping| !quantities.iter().any(|q| q.name == mapping.name)) {
            let unfound = before.remove(&mapping.name).unwrap_or_else(|| {
                let places = places.get_or_insert_with(|| places_of_numbers(chunk));
                Unfound { path: mapping.path.clone(), nearest: nearest(&mapping.path, places) }
            });
            self.unfound.insert(mapping.name.clone(), unfound);
        }
    }

    /// By the quantity's name.
    pub fn unfound(&self) -> &BTreeMap<String, Unfound> {
        &self.unfound
    }
}

/// Of the first record that is a JSON object, perhaps behind the id of its schema.
fn places_of_numbers(chunk: &Chunk) -> Vec<String> {
    let object = |bytes: &[u8]| -> Option<Value> {
        let start = bytes.iter().take(SAMPLES_MAX).position(|byte| *byte == b'{')?;
        serde_json::from_slice(&bytes[start..]).ok()
    };
    let mut places = Vec::new();
    if let Some(record) = chunk.iter().take(SAMPLES_MAX).find_map(|record| object(record.bytes)) {
        collect(&record, "", 0, &mut places);
    }
    places
}

/// Top-level keys by name, what lies below them by JSON pointer (RFC 6901).
fn collect(value: &Value, at: &str, depth: usize, places: &mut Vec<String>) {
    if depth > DEPTH_MAX || places.len() >= PLACES_MAX {
        return;
    }
    let mut below = |key: &str, value: &Value| {
        collect(value, &format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), depth + 1, places);
    };
    match value {
        Value::Number(_) if depth == 1 => {
            places.push(at.trim_start_matches('/').replace("~1", "/").replace("~0", "~"));
        }
        Value::Number(_) => places.push(at.to_owned()),
        Value::Object(members) => members.iter().for_each(|(key, value)| below(key, value)),
        Value::Array(items) => {
            items.iter().take(PLACES_MAX).enumerate().for_each(|(i, value)| below(&i.to_string(), value));
        }
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// Whole paths and their last steps are compared: a key may be misspelt, or lie elsewhere.
fn nearest(path: &str, places: &[String]) -> Vec<String> {
    let last = |path: &str| path.rsplit('/').next().unwrap_or_default().to_lowercase();
    let likeness = |place: &str| {
        let whole = strsim::jaro_winkler(path.trim_start_matches('/'), place.trim_start_matches('/'));
        whole + strsim::jaro_winkler(&last(path), &last(place))
    };
    let mut places: Vec<(f64, &String)> = places.iter().map(|place| (likeness(place), place)).collect();
    places.sort_by(|a, b| b.0.total_cmp(&a.0));
    places.into_iter().take(NEAREST_MAX).map(|(_, place)| place.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Record, RecordMeta};

    fn chunk(records: &[&[u8]]) -> Chunk {
        let mut chunk = Chunk::default();
        for bytes in records {
            let meta = RecordMeta { position: 0, next: 1, stored: None, line: 0, end: 0, truncated: false };
            chunk.push(&Record::plain(meta, bytes));
        }
        chunk
    }

    fn mapping(name: &str, path: &str) -> Mapping {
        Mapping { path: path.into(), name: name.into(), factor: 1.0, unit: None }
    }

    fn quantity(name: &str) -> Quantity {
        Quantity { name: name.into(), unit: None }
    }

    const NESTED: &[u8] = br#"{"id":"m","t":1,"data":{"current":3,"voltage":1,"w/h":[1]},"on":true}"#;

    #[test]
    fn what_never_came_is_told_with_the_nearest_places() {
        let mut sought = Sought::default();
        let mappings = [mapping("voltage", "/data/volts"), mapping("current", "/data/current")];
        sought.look(&mappings, &[quantity("current")], &chunk(&[b"no JSON", NESTED]));
        let unfound = &sought.unfound()["voltage"];
        assert_eq!(sought.unfound().len(), 1);
        assert_eq!((unfound.path.as_str(), unfound.nearest[0].as_str()), ("/data/volts", "/data/voltage"));
        assert_eq!(unfound.nearest.len(), NEAREST_MAX);
        sought.look(&mappings, &[quantity("current"), quantity("voltage")], &chunk(&[NESTED]));
        assert!(sought.unfound().is_empty());
    }

    #[test]
    fn a_key_that_lies_elsewhere_is_found_and_pointers_are_escaped() {
        let near = |path: &str, record: &[u8]| nearest(path, &places_of_numbers(&chunk(&[record])));
        assert_eq!(near("voltage", NESTED)[0], "/data/voltage");
        assert_eq!(near("/x/current", NESTED)[0], "/data/current");
        assert_eq!(near("/data/w~1h", NESTED)[0], "/data/w~1h/0");
        assert_eq!(near("/meta/t", br#"{"meta":{"u":2},"t":5,"a/b":1}"#)[0], "t");
        assert_eq!(near("ab", br#"{"a/b":1}"#), ["a/b"]);
        assert!(near("V", b"2026-01-05,230").is_empty());
        assert_eq!(near("voltage", b"\0\0\0\0\x07{\"volt\":1}"), ["volt"], "behind the id of its schema");
        let deep = [b"[".repeat(100), b"1".to_vec(), b"]".repeat(100)].concat();
        assert!(near("a", &[b"{\"a\":".as_slice(), &deep, b"}"].concat()).is_empty());
    }
}
