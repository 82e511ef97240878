//! Reading a TOML document key by key, noting every mistake and going on.
//!
//! Serde stops at the first mistake; an operator wants all of them. So the document is parsed into a
//! tree with spans, each table is read through a `Section` that knows which keys were asked for, and
//! `close` reports the rest as unknown.

use std::cell::RefCell;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::mistake::{Mistake, Mistakes, nearest, place, quoted, suggestion};
use super::scalar;

/// A value and the byte where it stands, for mistakes found later.
#[derive(Debug, Clone, PartialEq)]
pub struct At<T> {
    pub value: T,
    pub offset: usize,
}

/// One configuration file being read, and what was found wrong so far.
pub struct Document<'t> {
    file: PathBuf,
    text: &'t str,
    mistakes: RefCell<Vec<(usize, String)>>,
    /// Lines that are no TOML.
    broken: RefCell<Vec<usize>>,
}

impl<'t> Document<'t> {
    pub fn new(file: &Path, text: &'t str) -> Self {
        Document { file: file.to_owned(), text, mistakes: RefCell::default(), broken: RefCell::default() }
    }

    /// The tree; what is no TOML is noted.
    pub fn parse(&self) -> DeTable<'t> {
        let (root, errors) = DeTable::parse_recoverable(self.text);
        for error in errors {
            let offset = error.span().map_or(0, |span| span.start);
            self.mistake(offset, format!("not TOML: {}", error.message()));
            self.broken.borrow_mut().push(place(self.text, offset).0);
        }
        root.into_inner()
    }

    pub fn root<'d>(&'d self, table: &'d DeTable<'t>) -> Section<'d, 't> {
        Section { document: self, name: String::new(), offset: 0, table: Some(table), known: Vec::new() }
    }

    /// On a line that is no TOML, what follows from that is not worth a word.
    pub fn mistake(&self, offset: usize, message: impl Into<String>) {
        if self.broken.borrow().contains(&place(self.text, offset).0) {
            return;
        }
        self.mistakes.borrow_mut().push((offset, message.into()));
    }

    /// Whether nothing is wrong so far.
    pub fn is_clean(&self) -> bool {
        self.mistakes() == 0
    }

    /// So many things are wrong so far.
    pub fn mistakes(&self) -> usize {
        self.mistakes.borrow().len()
    }

    /// Paths in a configuration are relative to its file.
    pub fn resolve(&self, path: &str) -> PathBuf {
        match self.file.parent() {
            Some(folder) => folder.join(path),
            None => PathBuf::from(path),
        }
    }

    /// `value` if nothing was wrong. `None` with nothing wrong cannot be: who leaves a value out has
    /// noted why.
    pub fn finish<T>(self, value: Option<T>) -> Result<T, Mistakes> {
        let mut found = self.mistakes.into_inner();
        // A stable sort: two mistakes at one place keep the order in which they were found.
        found.sort_by_key(|(offset, _)| *offset);
        found.dedup();
        let mistakes: Vec<Mistake> = found
            .into_iter()
            .map(|(offset, message)| {
                let (line, column) = place(self.text, offset);
                Mistake { file: self.file.clone(), line: Some(line), column, message }
            })
            .collect();
        match value {
            Some(value) if mistakes.is_empty() => Ok(value),
            _ => Err(Mistakes(mistakes)),
        }
    }
}

/// One table. Absent tables read as empty ones, so that defaults have one place.
pub struct Section<'d, 't> {
    document: &'d Document<'t>,
    name: String,
    offset: usize,
    table: Option<&'d DeTable<'t>>,
    known: Vec<&'static str>,
}

impl<'d, 't> Section<'d, 't> {
    pub fn is_present(&self) -> bool {
        self.table.is_some()
    }

    /// Where the table begins, for what is missing in it.
    pub fn offset(&self) -> usize {
        self.offset
    }

    pub fn document(&self) -> &'d Document<'t> {
        self.document
    }

    pub fn section(&mut self, key: &'static str) -> Section<'d, 't> {
        let name = if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) };
        let (offset, table) = match self.raw(key) {
            None => (self.offset, None),
            Some(value) => match value.get_ref() {
                DeValue::Table(table) => (value.span().start, Some(table)),
                other => {
                    let _: Option<()> = self.wrong_type(key, value.span().start, "a table", other);
                    (value.span().start, None)
                }
            },
        };
        Section { document: self.document, name, offset, table, known: Vec::new() }
    }

    /// All keys and values, whatever they are called; the table then has no unknown keys.
    pub fn entries(&self) -> Vec<(At<String>, &'d Spanned<DeValue<'t>>)> {
        let Some(table) = self.table else {
            return Vec::new();
        };
        table
            .iter()
            .map(|(key, value)| (At { value: key.get_ref().to_string(), offset: key.span().start }, value))
            .collect()
    }

    /// Where a key stands, if it is written.
    pub fn written(&self, key: &str) -> Option<usize> {
        self.table?.iter().find(|(name, _)| name.get_ref() == key).map(|(name, _)| name.span().start)
    }

    /// Notes every key that nobody asked for.
    pub fn close(self) {
        let mut unknown = self.entries();
        unknown.retain(|(key, _)| !self.known.contains(&key.value.as_str()));
        unknown.sort_by_key(|(key, _)| key.offset);
        // The list of what is known is long, and the same for all of them.
        let mut listed = false;
        for (key, value) in unknown {
            let what = if value.get_ref().is_table() { "table" } else { "key" };
            let place = if self.name.is_empty() { String::new() } else { format!(" in [{}]", self.name) };
            let is_near = nearest(&key.value, self.known.iter().copied()).is_some();
            let hint = if is_near || !listed { suggestion(&key.value, &self.known) } else { String::new() };
            listed |= !is_near;
            self.document.mistake(key.offset, format!("unknown {what} \"{}\"{place}{hint}", key.value));
        }
    }

    pub fn string(&mut self, key: &'static str) -> Option<At<String>> {
        self.text(key, "a string")
    }

    /// An existing file, by its path from the configuration's folder.
    pub fn file(&mut self, key: &'static str) -> Option<At<PathBuf>> {
        let At { value, offset } = self.string(key)?;
        let path = self.document.resolve(&value);
        if !path.is_file() {
            self.document.mistake(offset, format!("{key}: {}: no such file", path.display()));
        }
        Some(At { value: path, offset })
    }

    pub fn boolean(&mut self, key: &'static str) -> Option<bool> {
        let value = self.raw(key)?;
        match value.get_ref() {
            DeValue::Boolean(answer) => Some(*answer),
            other => self.wrong_type(key, value.span().start, "true or false", other),
        }
    }

    pub fn integer(&mut self, key: &'static str, range: RangeInclusive<u64>) -> Option<u64> {
        let value = self.raw(key)?;
        let offset = value.span().start;
        let DeValue::Integer(number) = value.get_ref() else {
            return self.wrong_type(key, offset, "a whole number", value.get_ref());
        };
        // As i128, so that negative numbers and those beyond u64 are out of range, not another mistake.
        let number = i128::from_str_radix(number.as_str(), number.radix()).unwrap_or(i128::MAX);
        match u64::try_from(number) {
            Ok(number) if range.contains(&number) => Some(number),
            _ => self.out_of_range(key, offset, range.start(), range.end()),
        }
    }

    pub fn number(&mut self, key: &'static str, range: RangeInclusive<f64>) -> Option<f64> {
        let value = self.raw(key)?;
        let offset = value.span().start;
        match as_f64(value.get_ref()) {
            None => self.wrong_type(key, offset, "a number", value.get_ref()),
            Some(number) if range.contains(&number) => Some(number),
            Some(_) => self.out_of_range(key, offset, range.start(), range.end()),
        }
    }

    pub fn duration(&mut self, key: &'static str, range: RangeInclusive<Duration>) -> Option<Duration> {
        let text = self.text(key, "a duration such as \"250ms\"")?;
        match scalar::duration(&text.value) {
            Err(what) => self.wrong(key, text.offset, &what),
            Ok(duration) if range.contains(&duration) => Some(duration),
            Ok(_) => {
                let (low, high) =
                    (scalar::duration_text(*range.start()), scalar::duration_text(*range.end()));
                self.out_of_range(key, text.offset, &low, &high)
            }
        }
    }

    pub fn size(&mut self, key: &'static str, range: RangeInclusive<u64>) -> Option<u64> {
        let text = self.text(key, "a size such as \"64MiB\"")?;
        match scalar::size(&text.value) {
            Err(what) => self.wrong(key, text.offset, &what),
            Ok(bytes) if range.contains(&bytes) => Some(bytes),
            Ok(_) => {
                let (low, high) = (scalar::size_text(*range.start()), scalar::size_text(*range.end()));
                self.out_of_range(key, text.offset, &low, &high)
            }
        }
    }

    /// One of a few words.
    pub fn choice<T: Copy>(&mut self, key: &'static str, choices: &[(&'static str, T)]) -> Option<At<T>> {
        let text = self.string(key)?;
        if let Some((_, value)) = choices.iter().find(|(word, _)| *word == text.value) {
            return Some(At { value: *value, offset: text.offset });
        }
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        let what = format!("\"{}\" is not known; known: {}", text.value, quoted(&words));
        self.wrong(key, text.offset, &what)
    }

    /// A string, or a list of strings.
    pub fn strings(&mut self, key: &'static str) -> Option<Vec<At<String>>> {
        let value = self.raw(key)?;
        let items = match value.get_ref() {
            DeValue::String(text) => {
                return Some(vec![At { value: text.to_string(), offset: value.span().start }]);
            }
            DeValue::Array(items) => items,
            other => return self.wrong_type(key, value.span().start, "a list of strings", other),
        };
        let mut strings = Vec::new();
        for item in items.iter() {
            match item.get_ref() {
                DeValue::String(text) => {
                    strings.push(At { value: text.to_string(), offset: item.span().start });
                }
                other => self.wrong_type(key, item.span().start, "a list of strings", other)?,
            }
        }
        Some(strings)
    }

    fn text(&mut self, key: &'static str, wanted: &str) -> Option<At<String>> {
        let value = self.raw(key)?;
        match value.get_ref() {
            DeValue::String(text) => Some(At { value: text.to_string(), offset: value.span().start }),
            other => self.wrong_type(key, value.span().start, wanted, other),
        }
    }

    fn raw(&mut self, key: &'static str) -> Option<&'d Spanned<DeValue<'t>>> {
        self.known.push(key);
        self.table?.iter().find(|(name, _)| name.get_ref() == key).map(|(_, value)| value)
    }

    fn wrong<T>(&self, key: &str, offset: usize, what: &str) -> Option<T> {
        self.document.mistake(offset, format!("{key}: {what}"));
        None
    }

    fn wrong_type<T>(&self, key: &str, offset: usize, wanted: &str, found: &DeValue<'_>) -> Option<T> {
        self.wrong(key, offset, &format!("should be {wanted}, is {}", type_name(found)))
    }

    fn out_of_range<T>(&self, key: &str, offset: usize, low: &dyn Display, high: &dyn Display) -> Option<T> {
        self.wrong(key, offset, &format!("out of range; from {low} to {high}"))
    }
}

pub fn as_f64(value: &DeValue<'_>) -> Option<f64> {
    match value {
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).ok().map(|number| number as f64)
        }
        DeValue::Float(number) => number.as_str().parse().ok(),
        _ => None,
    }
}

pub fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
