//! How files are to be read.

use std::path::Path;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileFormat {
    JsonLines,
    /// With a header line. The delimiter is an ASCII character.
    Csv {
        delimiter: u8,
    },
}

impl FileFormat {
    /// By the end of a file's name: `.csv`, `.tsv`; `.jsonl`, `.ndjson`, `.json`; each also with `.gz`.
    pub fn of(path: &Path) -> Option<FileFormat> {
        let name = path.file_name()?.to_str()?.to_ascii_lowercase();
        let name = name.strip_suffix(".gz").unwrap_or(&name);
        match name.rsplit_once('.')?.1 {
            "csv" => Some(FileFormat::Csv { delimiter: b',' }),
            "tsv" => Some(FileFormat::Csv { delimiter: b'\t' }),
            "jsonl" | "ndjson" | "json" => Some(FileFormat::JsonLines),
            _ => None,
        }
    }
}

#[derive(Debug, Clone)]
pub struct FileFeedOptions {
    pub format: FileFormat,
    /// Of a longer record only this much is handed over, marked as truncated.
    pub record_bytes_max: usize,
    /// Wait for more at the end of the last file.
    pub follow: bool,
    /// Columns that a CSV file must have: `DecodeSettings::columns_required`.
    pub columns_required: Vec<String>,
}

impl FileFeedOptions {
    pub fn new(format: FileFormat) -> FileFeedOptions {
        FileFeedOptions { format, record_bytes_max: 1 << 20, follow: false, columns_required: Vec::new() }
    }
}
