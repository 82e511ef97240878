//! Rows of CSV, under a header that is known before.
//!
//! A row is decoded like a JSON object of its columns, with these differences: spaces around a field do
//! not count, and an empty one is absent; a field is a number where it reads as one; in the column of a
//! known quantity anything else (`NaN`, `inf`, words) is malformed.

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};

use super::layout::{Layout, NONE, ROOT, Role};
use super::settings::{DecodeSettings, IdSource, SettingsError, column_of};
use super::take::Scalar;
use crate::reading::{Reading, Reason, Rejection};

/// Kept of what should be a number and is none.
const MALFORMED_TEXT_BYTES_MAX: usize = 64;

/// The first line of a CSV file.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct CsvHeader {
    pub columns: Vec<String>,
    pub delimiter: u8,
}

/// Why a first line is no header that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    #[error("the header line cannot be read: {what}")]
    NotCsv { what: String },
    #[error("the header line is empty: a CSV file begins with the names of its columns")]
    Empty,
    #[error("the column `{name}` stands twice in the header")]
    Twice { name: String },
    #[error("there is no column {}", missing(names, columns))]
    Missing { names: Vec<String>, columns: Vec<String> },
}

impl CsvHeader {
    /// Reads a header line (without its line end). Spaces around names do not count; columns without
    /// a name are passed over in every row.
    pub fn parse(line: &[u8], delimiter: u8) -> Result<CsvHeader, HeaderError> {
        let mut fields = Fields::new(delimiter);
        fields.split(line).map_err(|what| HeaderError::NotCsv { what })?;
        let columns: Vec<String> = fields.iter().map(|name| name.trim().to_owned()).collect();
        if columns.iter().all(String::is_empty) {
            return Err(HeaderError::Empty);
        }
        let mut sorted: Vec<&String> = columns.iter().filter(|name| !name.is_empty()).collect();
        sorted.sort();
        match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(HeaderError::Twice { name: pair[0].clone() }),
            None => Ok(CsvHeader { columns, delimiter }),
        }
    }

    /// Are all of `names` there?
    pub fn require(&self, names: &[String]) -> Result<(), HeaderError> {
        let names: Vec<String> = names.iter().filter(|name| !self.columns.contains(name)).cloned().collect();
        match names.is_empty() {
            true => Ok(()),
            false => Err(HeaderError::Missing { names, columns: self.columns.clone() }),
        }
    }
}

/// The missing ones with what may be meant, and what there is.
fn missing(names: &[String], columns: &[String]) -> String {
    let each: Vec<String> = names
        .iter()
        .map(|name| match nearest(name, columns) {
            Some(near) => format!("`{name}` (did you mean `{near}`?)"),
            None => format!("`{name}`"),
        })
        .collect();
    // One column that looks like several.
    let other = match columns {
        [column] => [";", "\t", "|", ","].into_iter().find(|other| column.contains(other)),
        _ => None,
    };
    let hint =
        other.map(|other| format!("; if the fields are split by it, set [source] delimiter = {other:?}"));
    format!("{}; there are: {}{}", each.join(", "), columns.join(", "), hint.unwrap_or_default())
}

/// The known name that is near enough to be what was meant.
pub(super) fn nearest<'a>(name: &str, known: &'a [String]) -> Option<&'a String> {
    const NEAR: f64 = 0.8;
    let likeness = |other: &String| strsim::jaro_winkler(&name.to_lowercase(), &other.to_lowercase());
    let near = known.iter().map(|other| (likeness(other), other)).filter(|(likeness, _)| *likeness >= NEAR);
    near.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, other)| other)
}

/// Whether a text is a number as half the world writes it: `230,4`.
pub fn has_decimal_comma(text: &str) -> bool {
    let text = text.trim();
    text.matches(',').count() == 1 && text.replace(',', ".").parse::<f64>().is_ok_and(f64::is_finite)
}

/// Decodes rows.
#[derive(Debug)]
pub(super) struct Rows {
    /// The key of each column in the layout's root: its name, or the path that names it.
    columns: Vec<String>,
    fields: Fields,
}

impl Rows {
    pub(super) fn new(settings: &DecodeSettings, header: &CsvHeader) -> Result<Rows, Vec<SettingsError>> {
        let nested = |path: &str| path.starts_with('/') && column_of(path) == path;
        let error = |setting: &str, what: String| SettingsError { setting: setting.into(), what };
        let mut errors = Vec::new();
        let id = match &settings.id {
            IdSource::Path(path) => Some(path),
            IdSource::Fixed(_) => None,
        };
        let paths = id.into_iter().chain([&settings.timestamp]);
        let paths = paths.chain(settings.mappings.iter().map(|mapping| &mapping.path));
        for path in paths.chain(settings.attributes.iter().map(|attribute| &attribute.path)) {
            if nested(path) {
                errors.push(error("paths", format!("`{path}`: a CSV row has columns, nothing below them")));
            }
        }
        if let Err(missing) = header.require(&settings.columns_required()) {
            errors.push(error("paths", missing.to_string()));
        }
        if errors.is_empty() {
            Ok(Rows { columns: header.columns.clone(), fields: Fields::new(header.delimiter) })
        } else {
            Err(errors)
        }
    }

    /// What a row without a number may have instead.
    pub(super) fn hint(&self) -> String {
        match self.columns.iter().zip(self.fields.iter()).find(|(_, value)| has_decimal_comma(value)) {
            Some((name, value)) => {
                format!(
                    "; column `{name}` holds `{value}`, with a decimal comma: numbers have a decimal point"
                )
            }
            None => String::new(),
        }
    }

    pub(super) fn decode(
        &mut self,
        layout: &mut Layout,
        record: &[u8],
        reading: &mut Reading,
    ) -> Result<(), Rejection> {
        layout.begin(reading);
        let not_csv = |detail| Rejection { reason: Reason::NotCsv, detail };
        self.fields.split(record).map_err(not_csv)?;
        if self.fields.ends.len() != self.columns.len() {
            let (fields, columns) = (self.fields.ends.len(), self.columns.len());
            let hint = match self.fields.delimiter {
                b',' if fields > columns => "; is there a decimal comma? Numbers have a decimal point",
                _ => "",
            };
            return Err(not_csv(format!("{fields} fields, where the header has {columns}{hint}")));
        }
        let mut before = NONE;
        for (name, value) in self.columns.iter().zip(self.fields.iter()) {
            let value = value.trim();
            if value.is_empty() || name.is_empty() {
                continue;
            }
            let field = layout.find(ROOT, before, name);
            let role = layout.field(ROOT, field).map(|field| field.role);
            match role {
                Some(Role::Id | Role::Attribute(_) | Role::Timestamp) => {
                    layout.take(reading, ROOT, field, Scalar::Text(value));
                }
                Some(Role::Quantity(_) | Role::Ignored) | None => {
                    let number = number_or_text(value);
                    let before = reading.malformed.len();
                    layout.take(reading, ROOT, field, number);
                    if let (0, [_], Scalar::Text(text)) = (before, &reading.malformed[..], number) {
                        reading.malformed_text.clear();
                        let end = text.floor_char_boundary(MALFORMED_TEXT_BYTES_MAX);
                        reading.malformed_text.push_str(&text[..end]);
                    }
                }
            }
            if field != NONE {
                before = field;
            }
        }
        Ok(())
    }
}

fn number_or_text(value: &str) -> Scalar<'_> {
    match value.parse::<f64>() {
        Ok(number) if number.is_finite() => Scalar::Float(number),
        _ => Scalar::Text(value),
    }
}

/// One record cut into fields; the buffers are used again.
#[derive(Debug)]
struct Fields {
    delimiter: u8,
    reader: Box<Reader>,
    text: String,
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Fields {
    fn new(delimiter: u8) -> Fields {
        let reader = ReaderBuilder::new().delimiter(delimiter).build();
        Fields {
            delimiter,
            reader: Box::new(reader),
            text: String::new(),
            bytes: Vec::new(),
            ends: Vec::new(),
        }
    }

    /// RFC 4180, as lenient as csv-core: a quote within an unquoted field is a character.
    fn split(&mut self, record: &[u8]) -> Result<(), String> {
        let text = std::str::from_utf8(record)
            .map_err(|error| format!("byte {} is not UTF-8", error.valid_up_to() + 1))?;
        self.text.clear();
        self.ends.clear();
        if record.is_empty() {
            return Ok(());
        }
        if !record.iter().any(|byte| matches!(byte, b'"' | b'\n' | b'\r')) {
            self.split_plain(text);
            return Ok(());
        }
        self.reader.reset();
        // Without quotes a field is never longer than what it was read from, nor are there more fields.
        self.bytes.resize(record.len() + 1, 0);
        self.ends.resize(record.len() + 2, 0);
        let (mut read, mut written, mut fields) = (0, 0, 0);
        loop {
            let (result, used, wrote, ended) = self.reader.read_record(
                &record[read..],
                &mut self.bytes[written..],
                &mut self.ends[fields..],
            );
            (read, written, fields) = (read + used, written + wrote, fields + ended);
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::Record => break,
                _ => return Err("the record cannot be read as one line of CSV".into()),
            }
        }
        if !record[read..].iter().all(u8::is_ascii_whitespace) {
            let hint = match record.get(read.saturating_sub(1)) {
                Some(b'\r') => "; do lines end with CR alone? They end with LF, or CR and LF",
                _ => "",
            };
            return Err(format!("a line ends within the record, at byte {read}{hint}"));
        }
        self.ends.truncate(fields);
        match std::str::from_utf8(&self.bytes[..written]) {
            Ok(text) => self.text.push_str(text),
            Err(_) => return Err("a field is not UTF-8".into()),
        }
        Ok(())
    }

    fn split_plain(&mut self, text: &str) {
        for field in text.split(char::from(self.delimiter)) {
            self.text.push_str(field);
            self.ends.push(self.text.len());
        }
    }

    fn iter(&self) -> impl Iterator<Item = &str> {
        let mut start = 0;
        self.ends.iter().map(move |end| {
            let field = &self.text[start..*end];
            start = *end;
            field
        })
    }
}
