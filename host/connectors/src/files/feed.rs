//! Records out of files, one after another.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gridwatch_core::decode::CsvHeader;
use gridwatch_core::record::{Chunk, Feed, FeedStatus, Position, RecordMeta, SourceError};

use super::input::{Found, Input, Progress, is_stdin, place_of, read_error};
use super::options::{FileFeedOptions, FileFormat};
use super::split::{Cut, Splitter};

/// A poll gives at most this, except that one record may be longer.
const CHUNK_BYTES: usize = 256 << 10;
const CHUNK_RECORDS: usize = 1024;
/// How often a followed file is looked at again.
const FOLLOW_EVERY: Duration = Duration::from_millis(50);
/// A wait that stands for "as long as it takes".
const LONG: Duration = Duration::from_secs(3600);

/// Files as one stretch of records. A position is a byte offset in all files, unpacked, one behind the
/// other; lines count from 1 in each file. Gzip is told by its first bytes; `-` is standard input, which
/// cannot be read again from an earlier position.
pub struct FileFeed {
    files: Vec<PathBuf>,
    options: FileFeedOptions,
    header: Option<CsvHeader>,
    /// The file that `header` was read in.
    header_of: String,
    progress: Arc<Progress>,
    splitter: Splitter,
    /// Index of the file that `input` reads.
    current: usize,
    input: Input,
    /// The input has no more, and nothing more is waited for.
    at_end: bool,
    /// Nothing of the file was handed on yet: a byte order mark and a CSV header may come.
    at_start: bool,
    header_due: bool,
    /// Of the first byte not handed over.
    position: Position,
    line: u64,
    /// Records handed over of the current file.
    good: u64,
    /// Where the last record handed over, or passed over by `seek`, ends.
    delivered: Position,
    /// What stands before this was handed over in an earlier life.
    settled: Position,
    /// Of the current file's first byte.
    file_start: Position,
    /// A record that `seek` has come to.
    held: Option<Record>,
}

/// A record cut out of the splitter.
#[derive(Debug)]
struct Record {
    cut: Cut,
    position: Position,
    /// Where its text ends: before the line end, so that it is the same where that comes only later.
    next: Position,
    line: u64,
}

enum Next {
    Record(Record),
    /// A CSV header was read.
    Header,
    /// More must be read, and the caller did not want that.
    Read,
    Wait,
    End,
}

impl FileFeed {
    /// Opens all files once, so that one that is missing, or a CSV without the columns it needs, is
    /// known before the first record.
    pub fn open(files: Vec<PathBuf>, options: FileFeedOptions) -> Result<FileFeed, SourceError> {
        check(&files, &options)?;
        let mut total = 0;
        for path in files.iter().filter(|path| !is_stdin(path)) {
            total += std::fs::metadata(path).map_err(|error| read_error(path, &error))?.len();
        }
        let mut feed = FileFeed::start(files, options)?;
        feed.first_header()?;
        for path in feed.files.iter().skip(1).filter(|path| !is_stdin(path)) {
            let mut other = FileFeed::start(vec![path.clone()], feed.options.clone())?;
            other.header = feed.header.clone();
            other.header_of = feed.header_of.clone();
            other.first_header()?;
        }
        if !feed.files.iter().any(|path| is_stdin(path)) {
            feed.progress.expect(total);
        }
        Ok(feed)
    }

    fn start(files: Vec<PathBuf>, options: FileFeedOptions) -> Result<FileFeed, SourceError> {
        let progress = Arc::new(Progress::default());
        let Some(first) = files.first() else {
            let what = "no file is named".to_owned();
            return Err(SourceError::Read { place: "files".into(), what });
        };
        let input = Input::open(first, &progress)?;
        let delimiter = match options.format {
            FileFormat::JsonLines => None,
            FileFormat::Csv { delimiter } => Some(delimiter),
        };
        let splitter = Splitter::new(delimiter, options.record_bytes_max);
        let mut feed = FileFeed {
            options,
            header: None,
            header_of: place_of(first),
            progress,
            splitter,
            current: 0,
            input,
            at_end: false,
            at_start: true,
            header_due: false,
            position: 0,
            line: 1,
            good: 0,
            delivered: 0,
            settled: 0,
            file_start: 0,
            held: None,
            files,
        };
        feed.begin_file();
        Ok(feed)
    }

    /// The columns of CSV files.
    pub fn header(&self) -> Option<&CsvHeader> {
        self.header.as_ref()
    }

    pub fn progress(&self) -> Arc<Progress> {
        self.progress.clone()
    }

    fn begin_file(&mut self) {
        self.at_end = false;
        self.at_start = true;
        self.header_due = matches!(self.options.format, FileFormat::Csv { .. });
        self.line = 1;
        self.good = 0;
        self.file_start = self.position;
    }

    fn restart(&mut self) -> Result<(), SourceError> {
        self.progress.restart();
        self.input = Input::open(&self.files[0], &self.progress)?;
        self.current = 0;
        self.position = 0;
        self.delivered = 0;
        self.held = None;
        self.splitter.clear();
        self.begin_file();
        Ok(())
    }

    fn follows(&self) -> bool {
        self.options.follow && self.current + 1 == self.files.len()
    }

    fn format_error(&self, what: String) -> SourceError {
        SourceError::Format { place: place_of(&self.files[self.current]), what }
    }

    /// Reads up to the header of a CSV file.
    fn first_header(&mut self) -> Result<(), SourceError> {
        while self.header_due {
            match self.next(true, LONG)? {
                Next::Wait if is_stdin(&self.files[self.current]) => {}
                Next::Wait | Next::End => return Err(self.no_header()),
                Next::Record(_) | Next::Header | Next::Read => {}
            }
        }
        Ok(())
    }

    fn no_header(&self) -> SourceError {
        let wait = if self.follows() { "; begin to follow it once that is written" } else { "" };
        self.format_error(format!("is empty: a CSV file begins with a line that names its columns{wait}"))
    }

    /// The next record. `may_read` is false where what is held must be handed over first.
    fn next(&mut self, may_read: bool, wait: Duration) -> Result<Next, SourceError> {
        if let Some(held) = self.held.take() {
            return Ok(Next::Record(held));
        }
        loop {
            if !self.at_start || self.pass_mark() {
                while let Some(cut) = self.splitter.next(self.at_end) {
                    if let Some(next) = self.accept(cut)? {
                        return Ok(next);
                    }
                }
            }
            if self.at_end {
                if !self.next_file()? {
                    return Ok(Next::End);
                }
                continue;
            }
            if !may_read {
                return Ok(Next::Read);
            }
            match self.input.read(self.splitter.room(), wait) {
                Ok(Found::Bytes(bytes)) => self.splitter.filled(bytes),
                Ok(Found::NotYet) => return Ok(Next::Wait),
                Ok(Found::End) if self.follows() => return Ok(Next::Wait),
                Ok(Found::End) => self.at_end = true,
                Err(error) => return Err(self.broken(&error)),
            }
        }
    }

    /// Passes a byte order mark; false if it cannot be told yet whether there is one.
    fn pass_mark(&mut self) -> bool {
        const MARK: &[u8] = b"\xef\xbb\xbf";
        let waiting = self.splitter.waiting();
        if waiting.starts_with(MARK) {
            self.splitter.drop_front(MARK.len());
            self.position += MARK.len() as u64;
        } else if MARK.starts_with(waiting) && !self.at_end {
            return false;
        }
        self.at_start = false;
        true
    }

    /// Counts a record. Blank lines are passed over.
    fn accept(&mut self, cut: Cut) -> Result<Option<Next>, SourceError> {
        let (position, line) = (self.position, self.line);
        self.position += cut.length;
        self.line += cut.newlines;
        let bytes = self.splitter.bytes(&cut);
        if bytes.trim_ascii().is_empty() && !cut.truncated {
            return Ok(None);
        }
        if self.header_due {
            self.header_due = false;
            let header = self.read_header(bytes, line)?;
            self.header = Some(header);
            return Ok(Some(Next::Header));
        }
        self.good += 1;
        Ok(Some(Next::Record(Record { next: position + cut.text, cut, position, line })))
    }

    fn read_header(&self, bytes: &[u8], line: u64) -> Result<CsvHeader, SourceError> {
        let FileFormat::Csv { delimiter } = self.options.format else {
            return Err(self.format_error("has no header".into()));
        };
        let at_line = |what: String| self.format_error(format!("line {line}: {what}"));
        let header = CsvHeader::parse(bytes, delimiter).map_err(|error| at_line(error.to_string()))?;
        header.require(&self.options.columns_required).map_err(|error| at_line(error.to_string()))?;
        match &self.header {
            Some(first) if *first != header => Err(at_line(format!(
                "the columns differ from those of {}: there {}, here {}; replay them one by one",
                self.header_of,
                first.columns.join(", "),
                header.columns.join(", ")
            ))),
            _ => Ok(header),
        }
    }

    /// Opens the next file; false if there is none.
    fn next_file(&mut self) -> Result<bool, SourceError> {
        if self.header_due {
            return Err(self.no_header());
        }
        let Some(path) = self.files.get(self.current + 1) else {
            return Ok(false);
        };
        self.input = Input::open(path, &self.progress)?;
        self.current += 1;
        self.splitter.clear();
        self.begin_file();
        Ok(true)
    }

    fn broken(&self, error: &std::io::Error) -> SourceError {
        let path = &self.files[self.current];
        let packed = self.input.gzip || is_stdin(path);
        match error.kind() {
            std::io::ErrorKind::UnexpectedEof if packed => self.format_error(format!(
                "the gzip data ends in the middle: the file is cut short; {} records before that, up to \
                 line {}, are good",
                self.good,
                self.line - 1
            )),
            std::io::ErrorKind::InvalidInput | std::io::ErrorKind::InvalidData if packed => self
                .format_error(format!(
                    "cannot be unpacked behind line {} ({} records are good): {error}",
                    self.line - 1,
                    self.good
                )),
            _ => read_error(path, error),
        }
    }

    /// Leaves out a record of an earlier life. One that has grown since is no more what was judged then:
    /// its beginning must not stand for it in silence.
    fn pass(&mut self, record: &Record) -> Result<(), SourceError> {
        self.delivered = record.next;
        if record.next <= self.settled {
            return Ok(());
        }
        let (old, new) = (self.settled - record.position, record.next - self.settled);
        let packed = if self.input.gzip { ", unpacked" } else { "" };
        Err(self.format_error(format!(
            "line {}: its first {old} bytes were taken for the file's last record by an earlier run, which had come \
             to the end of the file there, and {new} more have been added to them since. To go on, put a line end \
             behind these {old} (at byte {} of the file{packed}) and the whole line once more behind it: then it is \
             read as it is now. A file whose last line may be half-written is to be read with follow = true, which \
             waits for line ends",
            record.line,
            self.settled - self.file_start,
        )))
    }

    fn push(&mut self, record: Record, chunk: &mut Chunk) {
        self.delivered = record.next;
        let path = &self.files[self.current];
        if record.cut.newlines == 0 && self.current + 1 == self.files.len() && !is_stdin(path) {
            tracing::info!(
                "{}: line {}, the last, has no line end and is taken as it is; where it may still be written, \
                 follow = true waits for its end",
                place_of(path),
                record.line
            );
        }
        chunk.bytes.extend_from_slice(self.splitter.bytes(&record.cut));
        chunk.records.push(RecordMeta {
            position: record.position,
            next: record.next,
            stored: None,
            line: record.line,
            end: chunk.bytes.len(),
            truncated: record.cut.truncated,
        });
    }

    /// At the end of a followed file: waits a little; false if there is no time left for that. Fails if
    /// the file is not the same any more.
    fn wait_for_more(&mut self, left: Duration, replaced: &mut Option<String>) -> Result<bool, SourceError> {
        if let Some(what) = replaced.take() {
            let what = format!("{what}; it was read to its end, start again with the new one");
            let place = place_of(&self.files[self.current]);
            return Err(SourceError::Lost { place, position: self.position, what });
        }
        // What was written before the file was replaced is still read: only a second end is the end.
        *replaced = self.input.replaced();
        if replaced.is_none() {
            std::thread::sleep(left.min(FOLLOW_EVERY));
        }
        Ok(replaced.is_some() || !left.is_zero())
    }
}

impl Feed for FileFeed {
    /// Reads from the beginning if the position is behind: only so are lines known.
    fn seek(&mut self, position: Position) -> Result<(), SourceError> {
        self.settled = position;
        let at = self.held.as_ref().map_or(self.position, |held| held.position);
        if (self.delivered..=at).contains(&position) {
            return Ok(());
        }
        if position < at {
            if self.files.iter().any(|path| is_stdin(path)) {
                let what = "standard input cannot be read again; give a file".to_owned();
                return Err(SourceError::Lost { place: "standard input".into(), position, what });
            }
            self.restart()?;
        }
        loop {
            if is_stdin(&self.files[self.current]) && position > self.file_start {
                let what = "an earlier run has read standard input up to there, and what comes now may be something else: \
                            give a file; or, to begin anew, remove the output, the dead letters, the commit file and the \
                            checkpoints together"
                    .to_owned();
                return Err(SourceError::Lost { place: "standard input".into(), position, what });
            }
            match self.next(true, LONG)? {
                Next::Record(record) if record.position >= position => {
                    self.held = Some(record);
                    return Ok(());
                }
                Next::Record(passed) => self.pass(&passed)?,
                Next::Header | Next::Read => {}
                Next::Wait if is_stdin(&self.files[self.current]) => {}
                Next::Wait | Next::End if self.position >= position => return Ok(()),
                // A followed line without an end, which was taken as it was when nobody followed.
                Next::Wait if self.position + self.splitter.waiting().len() as u64 >= position => {
                    return Ok(());
                }
                Next::Wait | Next::End => {
                    let what = format!(
                        "the data ends at {}: was a file cut or replaced since? Put it back; or, to begin anew, \
                         remove the output, the dead letters, the commit file and the checkpoints together",
                        self.position
                    );
                    let place = place_of(&self.files[self.current]);
                    return Err(SourceError::Lost { place, position, what });
                }
            }
        }
    }

    /// A damaged file's error comes after everything before it.
    fn poll(&mut self, chunk: &mut Chunk, wait: Duration) -> Result<FeedStatus, SourceError> {
        let until = Instant::now() + wait.min(LONG);
        let mut replaced = None;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.next(chunk.records.is_empty(), left)? {
                Next::Record(record) if record.position < self.settled => self.pass(&record)?,
                Next::Record(record) => {
                    self.push(record, chunk);
                    if chunk.bytes.len() >= CHUNK_BYTES || chunk.records.len() >= CHUNK_RECORDS {
                        return Ok(FeedStatus::More);
                    }
                }
                Next::Header => {}
                Next::Read => return Ok(FeedStatus::More),
                Next::End if chunk.records.is_empty() => return Ok(FeedStatus::End),
                Next::End => return Ok(FeedStatus::More),
                Next::Wait if self.follows() && !is_stdin(&self.files[self.current]) => {
                    if !chunk.records.is_empty() {
                        return Ok(FeedStatus::More);
                    }
                    if !self.wait_for_more(left, &mut replaced)? {
                        return Ok(FeedStatus::Idle);
                    }
                }
                Next::Wait if left.is_zero() => return Ok(FeedStatus::Idle),
                Next::Wait => {}
            }
        }
    }
}

fn check(files: &[PathBuf], options: &FileFeedOptions) -> Result<(), SourceError> {
    let refuse = |what: &str| Err(SourceError::Format { place: "files".into(), what: what.to_owned() });
    if files.iter().filter(|path| is_stdin(path)).count() > 1 {
        return refuse("standard input (`-`) is named twice");
    }
    if let FileFormat::Csv { delimiter } = options.format
        && (!delimiter.is_ascii() || matches!(delimiter, b'"' | b'\n' | b'\r'))
    {
        return refuse("a delimiter is an ASCII character that is neither a quote nor a line end");
    }
    if let (true, Some(path)) = (options.follow, files.last())
        && !is_stdin(path)
        && Input::open(path, &Arc::default())?.gzip
    {
        let what = "is gzip, which cannot be followed while it grows".to_owned();
        return Err(SourceError::Format { place: place_of(path), what });
    }
    Ok(())
}
