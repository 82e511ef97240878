//! Anomalies and dead letters as lines of JSON, final with each commit.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gridwatch_core::sink::{Commit, Commits, LaneCommit, LaneId, Outgoing, Sink, SinkError, Stream};

use super::commit::{Committed, decode, encode, replace, sync_directory_of};
use super::part::{Part, difference, saved};

const BUFFER_BYTES: usize = 128 << 10;

/// Where one stream goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Appended to; made if it is not there.
    File(PathBuf),
    /// Cannot be undone: what was written after the last commit comes again after a crash.
    Stdout,
    Discard,
}

#[derive(Debug, Clone)]
pub struct FileSinkOptions {
    pub anomalies: Output,
    pub dead_letters: Output,
    /// The commit file. `None`: nothing is remembered from run to run, and files are only appended to.
    pub commit: Option<PathBuf>,
    /// What the source's lanes are called, and what they are made of: a commit that speaks of others is of another
    /// source, and refused. Empty: nobody knows.
    pub sources: BTreeMap<String, Vec<Part>>,
}

/// JSON lines in files. A commit first brings the files to disk, then replaces the commit file, which
/// says how long they were; `recover` cuts them to that length. So after a crash they hold exactly what was
/// committed. Only one process at a time may have a commit file or an output file.
#[derive(Debug)]
pub struct FileSink {
    anomalies: Target,
    dead_letters: Target,
    commit: Option<PathBuf>,
    /// What is committed of all lanes: also of those that an earlier life had, and this one has not opened yet.
    lanes: BTreeMap<String, LaneCommit>,
    sources: BTreeMap<String, Vec<Part>>,
    /// Held open for its lock.
    _lock: Option<File>,
}

#[derive(Debug)]
enum Target {
    File(OutputFile),
    Stdout(BufWriter<io::Stdout>),
    Discard,
}

#[derive(Debug)]
struct OutputFile {
    place: String,
    /// The last part of the path: what the commit file knows it by.
    name: String,
    writer: BufWriter<File>,
    /// With what is still in the buffer.
    length: u64,
    /// A terminal, a pipe, a device: it cannot be cut.
    regular: bool,
}

impl FileSink {
    /// Opens and locks all files; changes nothing in them.
    pub fn open(options: FileSinkOptions) -> Result<FileSink, SinkError> {
        if let (Output::File(one), Output::File(other)) = (&options.anomalies, &options.dead_letters)
            && (one == other || one.file_name() == other.file_name())
        {
            let what = "anomalies and dead letters need files of different names".to_owned();
            return Err(SinkError::Write { place: place_of(one), what });
        }
        let lock = match &options.commit {
            None => None,
            Some(commit) => {
                let mut path = commit.as_os_str().to_owned();
                path.push(".lock");
                let path = PathBuf::from(path);
                let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
                let file = file.map_err(|error| write_error(&place_of(&path), &error))?;
                lock(&file, &place_of(commit))?;
                Some(file)
            }
        };
        Ok(FileSink {
            anomalies: Target::open(options.anomalies)?,
            dead_letters: Target::open(options.dead_letters)?,
            commit: options.commit,
            lanes: BTreeMap::new(),
            sources: options.sources,
            _lock: lock,
        })
    }

    /// What its files had from before is dropped. They are locked: nobody else writes them.
    pub fn start_anew(&mut self) -> Result<(), SinkError> {
        self.files().try_for_each(|file| file.cut(0))
    }

    fn files(&mut self) -> impl Iterator<Item = &mut OutputFile> {
        let targets = [&mut self.anomalies, &mut self.dead_letters];
        targets.into_iter().filter_map(|target| match target {
            Target::File(file) if file.regular => Some(file),
            _ => None,
        })
    }

    fn lengths(&mut self) -> BTreeMap<String, u64> {
        self.files().map(|file| (file.name.clone(), file.length)).collect()
    }

    /// Another source would be read from its beginning, or from amid it, and what was said of it would be said a
    /// second time, or never.
    fn check_sources(&self, committed: &Committed) -> Result<(), String> {
        if self.sources.is_empty() {
            return Ok(());
        }
        let other = committed.lanes.iter().find_map(|(lane, commit)| {
            let Some(parts) = self.sources.get(lane) else {
                let names: Vec<&str> = self.sources.keys().map(String::as_str).collect();
                return Some((lane, commit, format!("what is configured now is `{}`", names.join("`, `"))));
            };
            let earlier = committed.sources.get(lane).filter(|_| commit.position > 0);
            Some((lane, commit, difference(earlier?, parts)?))
        });
        let Some((lane, commit, what)) = other else { return Ok(()) };
        Err(format!(
            "the output is of another source: `{lane}` is committed up to position {}, and {what}. Was a file renamed \
             or replaced? Put it back under its name. Are there new files? Name them behind the old one in [source] \
             paths. To begin anew with the other source, give it a [sink], [dead_letters] and [checkpoints] of its own",
            commit.position
        ))
    }

    /// A restart says where it goes on.
    fn say_where(&self, committed: &Committed) {
        let kept = match &self.anomalies {
            Target::File(file) if file.regular => format!("; {} keeps its {} bytes", file.place, file.length),
            _ => String::new(),
        };
        for (lane, commit) in committed.lanes.iter().filter(|(_, commit)| commit.position > 0) {
            tracing::info!("goes on at position {} of {lane}{kept}", commit.position);
        }
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        for target in [&mut self.anomalies, &mut self.dead_letters] {
            target.flush()?;
        }
        Ok(())
    }

    fn write_commit(&mut self, path: &Path, commit: &Commit) -> Result<(), SinkError> {
        let failed = |what: String| SinkError::Commit { place: place_of(path), what };
        let mut lanes = self.lanes.clone();
        lanes.extend(commit.lanes.iter().map(|(lane, commit)| (lane.to_string(), commit.clone())));
        self.sources.values_mut().flatten().for_each(Part::look);
        let sources = self.sources.iter().map(|(lane, parts)| (lane.clone(), saved(parts))).collect();
        let committed = Committed { lanes, sources, lengths: self.lengths() };
        let bytes = encode(&committed).map_err(failed)?;
        replace(path, &bytes).map_err(|error| failed(error.to_string()))?;
        self.lanes = committed.lanes;
        Ok(())
    }
}

impl Sink for FileSink {
    /// Where there is no commit file yet, one without lanes is written, so that output of a run that dies
    /// before its first commit can be told from what was in the files before.
    fn recover(&mut self) -> Result<Arc<dyn Commits>, SinkError> {
        let Some(path) = self.commit.clone() else {
            return Ok(Arc::new(BTreeMap::new()));
        };
        let failed = |what: String| SinkError::Recover { place: place_of(&path), what };
        let committed = match std::fs::read(&path) {
            Ok(bytes) => decode(&bytes).map_err(failed)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // Output of an earlier life, and nothing that says how far it got.
                if let Some((name, length)) = self.lengths().into_iter().find(|(_, length)| *length > 0) {
                    return Err(failed(format!(
                        "is missing, but the output file `{name}` has {length} bytes already: put the commit file back, \
                         or begin anew: move anomalies, dead letters and checkpoints away together"
                    )));
                }
                self.write_commit(&path, &Commit::default())?;
                return Ok(Arc::new(BTreeMap::new()));
            }
            Err(error) => return Err(failed(error.to_string())),
        };
        self.check_sources(&committed).map_err(failed)?;
        let here = self.lengths();
        if let Some(name) = committed.lengths.keys().find(|name| !here.contains_key(*name)) {
            return Err(failed(format!(
                "it speaks of the output file `{name}`, which is not configured any more; name it again, \
                 or give the new output a commit file of its own"
            )));
        }
        // Look at all files before one is cut.
        for file in self.files() {
            file.check(committed.lengths.get(&file.name).copied())?;
        }
        for file in self.files() {
            if let Some(length) = committed.lengths.get(&file.name) {
                file.cut(*length)?;
            }
        }
        self.say_where(&committed);
        self.lanes.clone_from(&committed.lanes);
        Ok(Arc::new(committed.lanes))
    }

    fn append(&mut self, _lane: &LaneId, messages: Vec<Outgoing>) -> Result<(), SinkError> {
        for message in messages {
            let target = match message.stream() {
                Stream::Anomalies => &mut self.anomalies,
                Stream::DeadLetters => &mut self.dead_letters,
            };
            target.line(&message.json())?;
        }
        Ok(())
    }

    fn commit(&mut self, commit: &Commit) -> Result<Vec<LaneId>, SinkError> {
        self.flush()?;
        let Some(path) = self.commit.clone() else {
            return Ok(Vec::new());
        };
        for file in self.files() {
            let synced = file.writer.get_ref().sync_data();
            synced.map_err(|error| write_error(&file.place, &error))?;
        }
        self.write_commit(&path, commit)?;
        Ok(Vec::new())
    }

    /// Nobody takes lanes from a process that writes to files of its own.
    fn forget(&mut self, _lane: &LaneId) {}
}

impl Target {
    fn open(output: Output) -> Result<Target, SinkError> {
        let path = match output {
            Output::Discard => return Ok(Target::Discard),
            Output::Stdout => {
                return Ok(Target::Stdout(BufWriter::with_capacity(BUFFER_BYTES, io::stdout())));
            }
            Output::File(path) => path,
        };
        let place = place_of(&path);
        let failed = |error: io::Error| write_error(&place, &error);
        let new = !path.exists();
        let mut file =
            OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
        let regular = file.metadata().map_err(failed)?.is_file();
        let mut length = 0;
        if regular {
            lock(&file, &place)?;
            length = file.seek(SeekFrom::End(0)).map_err(failed)?;
        }
        if new {
            sync_directory_of(&path).map_err(failed)?;
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let writer = BufWriter::with_capacity(BUFFER_BYTES, file);
        Ok(Target::File(OutputFile { place, name, writer, length, regular }))
    }

    fn line(&mut self, payload: &[u8]) -> Result<(), SinkError> {
        match self {
            Target::Discard => Ok(()),
            Target::Stdout(writer) => {
                let written = writer.write_all(payload).and_then(|()| writer.write_all(b"\n"));
                written.map_err(|error| write_error("standard output", &error))
            }
            Target::File(file) => {
                let writer = &mut file.writer;
                let written = writer.write_all(payload).and_then(|()| writer.write_all(b"\n"));
                file.length += payload.len() as u64 + 1;
                written.map_err(|error| write_error(&file.place, &error))
            }
        }
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        match self {
            Target::Discard => Ok(()),
            Target::Stdout(writer) => writer.flush().map_err(|error| write_error("standard output", &error)),
            Target::File(file) => file.writer.flush().map_err(|error| write_error(&file.place, &error)),
        }
    }
}

impl OutputFile {
    /// A file may be longer than committed, not shorter. One that the commit does not know is new.
    fn check(&self, committed: Option<u64>) -> Result<(), SinkError> {
        match committed {
            Some(committed) if self.length < committed => Err(SinkError::Recover {
                place: self.place.clone(),
                what: format!(
                    "it has {} bytes, and {committed} were committed: it was cut or replaced since; put it back, or \
                     begin anew: move anomalies, dead letters, commit file and checkpoints away together",
                    self.length
                ),
            }),
            _ => Ok(()),
        }
    }

    fn cut(&mut self, length: u64) -> Result<(), SinkError> {
        let failed =
            |error: io::Error| SinkError::Recover { place: self.place.clone(), what: error.to_string() };
        let file = self.writer.get_mut();
        file.set_len(length).map_err(failed)?;
        file.seek(SeekFrom::Start(length)).map_err(failed)?;
        self.length = length;
        Ok(())
    }
}

fn place_of(path: &Path) -> String {
    path.display().to_string()
}

fn write_error(place: &str, error: &io::Error) -> SinkError {
    SinkError::Write { place: place.to_owned(), what: error.to_string() }
}

fn lock(file: &File, place: &str) -> Result<(), SinkError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(SinkError::Write {
            place: place.to_owned(),
            what: "another process writes it; stop that one, or give this one files of its own".into(),
        }),
        Err(TryLockError::Error(error)) => Err(write_error(place, &error)),
    }
}
