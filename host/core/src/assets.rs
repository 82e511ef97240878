//! What is known of sensors beside their readings: a CSV of attributes by sensor.
//!
//! ```text
//! sensor_id,nominal_voltage,feeder,phase
//! meter-000123,230,feeder-07,L1
//! ```
//!
//! Every column but `sensor_id` is an attribute; an empty field is an attribute that the sensor does
//! not have. Spaces around a field do not count.

use std::collections::HashMap;

/// The column of ids.
const ID_COLUMN: &str = "sensor_id";
/// So many mistakes are told at once.
const ERRORS_MAX: usize = 100;

/// Attributes by sensor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Assets {
    sensors: HashMap<String, Vec<(String, String)>>,
    /// What sensors have that the file does not know.
    all: Vec<(String, String)>,
}

/// One thing wrong with an asset file. `line` counts from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {what}")]
pub struct AssetError {
    pub file: String,
    pub line: u64,
    pub what: String,
}

impl Assets {
    /// Reads a whole file. All mistakes come at once, up to a hundred.
    pub fn parse(bytes: &[u8], file: &str) -> Result<Assets, Vec<AssetError>> {
        let error = |line: u64, what: String| AssetError { file: file.to_owned(), line, what };
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(bytes);
        let header = match reader.headers() {
            Ok(header) => header.clone(),
            Err(wrong) => return Err(vec![error(line_of(&wrong), wrong.to_string())]),
        };
        let columns: Vec<String> = header.iter().map(|name| name.trim().to_owned()).collect();
        let id_column = check_columns(&columns).map_err(|what| vec![error(1, what)])?;

        let mut assets = Assets::default();
        let mut first_lines: HashMap<String, u64> = HashMap::new();
        let mut errors = Vec::new();
        for row in reader.records() {
            if errors.len() == ERRORS_MAX {
                errors.push(error(0, format!("more than {ERRORS_MAX} mistakes; the rest is not shown")));
                break;
            }
            let row = match row {
                Ok(row) => row,
                Err(wrong) => {
                    errors.push(error(line_of(&wrong), wrong.to_string()));
                    continue;
                }
            };
            let line = row.position().map_or(0, |position| line_behind_blanks(bytes, position));
            if row.len() != columns.len() {
                let what = format!("{} fields, where the header has {}", row.len(), columns.len());
                errors.push(error(line, what));
                continue;
            }
            let id = row[id_column].trim();
            if id.is_empty() {
                errors.push(error(line, format!("`{ID_COLUMN}` is empty")));
                continue;
            }
            if let Some(first) = first_lines.insert(id.to_owned(), line) {
                errors.push(error(line, format!("`{id}` stands in line {first} already")));
                continue;
            }
            let attributes = columns.iter().zip(row.iter()).enumerate();
            let mut attributes: Vec<(String, String)> = attributes
                .filter(|(column, (_, value))| *column != id_column && !value.trim().is_empty())
                .map(|(_, (name, value))| (name.clone(), value.trim().to_owned()))
                .collect();
            attributes.sort();
            assets.sensors.insert(id.to_owned(), attributes);
        }
        if errors.is_empty() { Ok(assets) } else { Err(errors) }
    }

    /// Gives every sensor attributes that the file may overrule, also those that the file does not know.
    pub fn with_all(mut self, mut all: Vec<(String, String)>) -> Assets {
        all.sort();
        for attributes in self.sensors.values_mut() {
            for (name, value) in &all {
                if !attributes.iter().any(|(known, _)| known == name) {
                    attributes.push((name.clone(), value.clone()));
                }
            }
            attributes.sort();
        }
        self.all = all;
        self
    }

    /// The sensor's attributes, sorted by name.
    pub fn get(&self, sensor_id: &str) -> &[(String, String)] {
        self.sensors.get(sensor_id).unwrap_or(&self.all)
    }

    /// How many sensors the file has.
    pub fn len(&self) -> usize {
        self.sensors.len()
    }

    pub fn is_empty(&self) -> bool {
        self.sensors.is_empty()
    }
}

/// The index of the id column, if the header is one.
fn check_columns(columns: &[String]) -> Result<usize, String> {
    if columns.iter().all(String::is_empty) {
        return Err(format!(
            "the file is empty: it begins with a line such as `{ID_COLUMN},nominal_voltage`"
        ));
    }
    for (at, name) in columns.iter().enumerate() {
        if name.is_empty() {
            return Err(format!("column {} has no name", at + 1));
        }
        if columns[..at].contains(name) {
            return Err(format!("the column `{name}` stands twice in the header"));
        }
    }
    columns
        .iter()
        .position(|name| name == ID_COLUMN)
        .ok_or_else(|| format!("there is no column `{ID_COLUMN}`; there are: {}", columns.join(", ")))
}

/// The csv crate counts blank lines before a row to the row.
fn line_behind_blanks(bytes: &[u8], position: &csv::Position) -> u64 {
    let row = usize::try_from(position.byte()).ok().and_then(|start| bytes.get(start..));
    let blanks = row.unwrap_or_default().iter().take_while(|byte| matches!(byte, b'\r' | b'\n'));
    position.line() + blanks.filter(|byte| **byte == b'\n').count() as u64
}

fn line_of(error: &csv::Error) -> u64 {
    error.position().map_or(1, csv::Position::line)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn errors(text: &str) -> String {
        let errors = Assets::parse(text.as_bytes(), "a.csv").unwrap_err();
        errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn attributes_are_sorted_and_empty_ones_left_out() {
        let text = "\u{feff}phase,sensor_id, feeder\r\nL1, a ,f7\r\n,\"b, c\",\r\n";
        let assets = Assets::parse(text.as_bytes(), "a.csv").unwrap();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(assets.get("a"), [pair("feeder", "f7"), pair("phase", "L1")]);
        assert!(assets.get("b, c").is_empty());
        assert!(assets.get("unknown").is_empty());
        assert_eq!(assets.len(), 2);
    }

    #[test]
    fn every_mistake_names_its_line() {
        assert_eq!(
            errors("sensor_id,phase\na,L1\n\nb\na,L2\n,L3\n"),
            "a.csv:4: 1 fields, where the header has 2\n\
             a.csv:5: `a` stands in line 2 already\n\
             a.csv:6: `sensor_id` is empty"
        );
        assert_eq!(
            errors("id,phase\na,L1\n"),
            "a.csv:1: there is no column `sensor_id`; there are: id, phase"
        );
        assert_eq!(errors("sensor_id,x,x\n"), "a.csv:1: the column `x` stands twice in the header");
        assert!(errors("").starts_with("a.csv:1: the file is empty"));
        assert!(Assets::parse(b"sensor_id,x\na,\xff\n", "a.csv").unwrap_err()[0].to_string().contains(":2:"));
    }

    #[test]
    fn mistakes_are_told_up_to_a_maximum() {
        let text = "sensor_id,x\n".to_owned() + &"y\n".repeat(1000);
        assert_eq!(Assets::parse(text.as_bytes(), "a.csv").unwrap_err().len(), ERRORS_MAX + 1);
    }
}
