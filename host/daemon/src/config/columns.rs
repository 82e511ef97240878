//! The header of CSV files against what `[decode]` wants of it.

use std::path::Path;

use gridwatch_connectors::files::{FileFeed, FileFeedOptions, FileFormat};
use gridwatch_core::decode::{CsvHeader, IdSource, column_of};

use super::section::Section;
use super::{Config, FileSource, Source};

/// Notes every column that is named and not there. Only of use where the rest is right.
pub fn check(root: &mut Section<'_, '_>, config: &Config) {
    let document = root.document();
    let Some(Source::Files(files)) = config.source.as_ref().filter(|_| document.is_clean()) else { return };
    let source = root.section("source");
    let place = source.written("path").or(source.written("paths")).unwrap_or(source.offset());
    let header = match header_of(files) {
        Ok(Some(header)) => header,
        Ok(None) => return,
        Err(what) => return document.mistake(place, what),
    };
    let file = files.paths.first().map(|path| path.display().to_string()).unwrap_or_default();
    let mut decode = root.section("decode");
    let quantities = decode.section("quantities");
    let id = match &config.decode.id {
        IdSource::Path(path) => Some(("id", path, decode.written("id"))),
        IdSource::Fixed(_) => None,
    };
    let timestamp = ("timestamp", &config.decode.timestamp, decode.written("timestamp"));
    let mapped = config.decode.mappings.iter();
    let mapped =
        mapped.map(|mapping| (mapping.name.as_str(), &mapping.path, quantities.written(&mapping.name)));
    for (key, path, written) in id.into_iter().chain([timestamp]).chain(mapped) {
        if let Err(missing) = header.require(&[column_of(path)]) {
            let key = if written.is_some() { key.to_owned() } else { format!("[decode] {key}, by default") };
            document.mistake(written.unwrap_or(place), format!("{key}: {missing} (in {file})"));
        }
    }
}

/// Of CSV that can be looked at; what is wrong with the files otherwise.
fn header_of(files: &FileSource) -> Result<Option<CsvHeader>, String> {
    if files.paths.iter().any(|path| path == Path::new("-")) {
        return Ok(None);
    }
    let formats = files.paths.iter().map(|path| files.format_of(path)).collect::<Result<Vec<_>, _>>()?;
    let Some(first @ FileFormat::Csv { .. }) = formats.first() else { return Ok(None) };
    if formats.iter().any(|format| format != first) {
        return Ok(None); // Said where they are opened.
    }
    let feed = FileFeed::open(files.paths.clone(), FileFeedOptions::new(*first));
    Ok(feed.map_err(|error| error.to_string())?.header().cloned())
}
