//! One file as a stream of plain bytes, whatever it is packed in.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use flate2::read::MultiGzDecoder;
use gridwatch_core::record::SourceError;

/// How much of the files was read, as they lie on disk: for a progress bar.
#[derive(Debug, Default)]
pub struct Progress {
    read: AtomicU64,
    total: AtomicU64,
}

impl Progress {
    pub fn bytes_read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Of all files at the time they were opened; 0 if unknown (standard input).
    pub fn bytes_total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    pub(super) fn expect(&self, bytes: u64) {
        self.total.store(bytes, Ordering::Relaxed);
    }

    pub(super) fn restart(&self) {
        self.read.store(0, Ordering::Relaxed);
    }
}

pub(super) enum Found {
    Bytes(usize),
    /// Nothing within the time allowed.
    NotYet,
    End,
}

/// An open file.
pub(super) struct Input {
    source: Source,
    identity: Option<Identity>,
    /// The end was reached: what is read behind it is looked at twice.
    was_at_end: bool,
    pub(super) gzip: bool,
}

enum Source {
    Direct(Box<dyn Read + Send>),
    /// Standard input, read on a thread of its own, since a read of it can wait for ever.
    Thread {
        blocks: Receiver<io::Result<Vec<u8>>>,
        rest: Vec<u8>,
        taken: usize,
    },
}

/// Which file it is that was opened, and how much of it was there.
struct Identity {
    path: PathBuf,
    device_and_inode: Option<(u64, u64)>,
    read: Arc<AtomicU64>,
    /// The same file, to look at what was read once more.
    file: File,
    /// The last bytes that were read of it; not of what is packed in it.
    tail: Vec<u8>,
    end_of_tail: u64,
}

/// Enough to tell a file that goes on from one that was cut and written anew in its place.
const TAIL_BYTES: usize = 64;

pub(super) fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// A file's name in messages.
pub(super) fn place_of(path: &Path) -> String {
    if is_stdin(path) { "standard input".into() } else { path.display().to_string() }
}

pub(super) fn read_error(path: &Path, error: &io::Error) -> SourceError {
    SourceError::Read { place: place_of(path), what: error.to_string() }
}

impl Input {
    pub(super) fn open(path: &Path, progress: &Arc<Progress>) -> Result<Input, SourceError> {
        if is_stdin(path) {
            return Input::on_thread(io::stdin(), progress.clone()).map_err(|error| read_error(path, &error));
        }
        let file = File::open(path).map_err(|error| read_error(path, &error))?;
        let metadata = file.metadata().map_err(|error| read_error(path, &error))?;
        if metadata.is_dir() {
            let what = "is a directory; name the files in it".to_owned();
            return Err(SourceError::Read { place: place_of(path), what });
        }
        let read = Arc::new(AtomicU64::new(0));
        let again = file.try_clone().map_err(|error| read_error(path, &error))?;
        let identity = Identity {
            path: path.to_owned(),
            device_and_inode: device_and_inode(&metadata),
            read: read.clone(),
            file: again,
            tail: Vec::new(),
            end_of_tail: 0,
        };
        let counted = Counted { inner: file, progress: progress.clone(), read };
        let (reader, gzip) = unpack(counted).map_err(|error| open_error(path, &error))?;
        Ok(Input { source: Source::Direct(reader), identity: Some(identity), was_at_end: false, gzip })
    }

    fn on_thread(stream: impl Read + Send + 'static, progress: Arc<Progress>) -> io::Result<Input> {
        let (sender, blocks) = sync_channel(4);
        let counted = Counted { inner: stream, progress, read: Arc::default() };
        std::thread::Builder::new().name("stdin".into()).spawn(move || send(counted, &sender))?;
        let source = Source::Thread { blocks, rest: Vec::new(), taken: 0 };
        Ok(Input { source, identity: None, was_at_end: false, gzip: false })
    }

    /// Reads what is there, waiting at most `wait` where that can be.
    pub(super) fn read(&mut self, room: &mut [u8], wait: Duration) -> io::Result<Found> {
        let bytes = match &mut self.source {
            Source::Direct(reader) => loop {
                match reader.read(room) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    other => break other?,
                }
            },
            Source::Thread { blocks, rest, taken } => {
                if *taken == rest.len() {
                    match blocks.recv_timeout(wait) {
                        Ok(block) => (*rest, *taken) = (block?, 0),
                        Err(RecvTimeoutError::Timeout) => return Ok(Found::NotYet),
                        Err(RecvTimeoutError::Disconnected) => return Ok(Found::End),
                    }
                }
                let bytes = room.len().min(rest.len() - *taken);
                room[..bytes].copy_from_slice(&rest[*taken..*taken + bytes]);
                *taken += bytes;
                bytes
            }
        };
        if bytes == 0 {
            self.was_at_end = true;
            return Ok(Found::End);
        }
        if let Some(identity) = self.identity.as_mut().filter(|_| !self.gzip) {
            if std::mem::take(&mut self.was_at_end) && !identity.goes_on() {
                let what = "was cut and written anew in its place after it had been read to its end";
                return Err(io::Error::new(io::ErrorKind::InvalidData, what));
            }
            identity.note(&room[..bytes]);
        }
        Ok(Found::Bytes(bytes))
    }

    /// Whether the path still leads to the file that is open here, with all that was read of it: what
    /// is wrong, if not.
    pub(super) fn replaced(&self) -> Option<String> {
        let identity = self.identity.as_ref()?;
        let metadata = match std::fs::metadata(&identity.path) {
            Ok(metadata) => metadata,
            Err(error) => return Some(format!("the followed file is not there any more: {error}")),
        };
        if device_and_inode(&metadata) != identity.device_and_inode {
            return Some("the followed file was replaced by another (rotated?)".into());
        }
        let read = identity.read.load(Ordering::Relaxed);
        (metadata.len() < read)
            .then(|| format!("the followed file was cut to {} bytes after {read} were read", metadata.len()))
    }
}

impl Identity {
    fn note(&mut self, read: &[u8]) {
        self.tail.extend_from_slice(&read[read.len().saturating_sub(TAIL_BYTES)..]);
        self.tail.drain(..self.tail.len().saturating_sub(TAIL_BYTES));
        self.end_of_tail += read.len() as u64;
    }

    /// What stood at the end when it was read stands there still.
    #[cfg(unix)]
    fn goes_on(&self) -> bool {
        use std::os::unix::fs::FileExt;
        let mut now = vec![0; self.tail.len()];
        let end = self.end_of_tail;
        self.file.read_exact_at(&mut now, end - self.tail.len() as u64).is_ok() && now == self.tail
    }

    #[cfg(not(unix))]
    fn goes_on(&self) -> bool {
        true
    }
}

#[cfg(unix)]
fn device_and_inode(metadata: &std::fs::Metadata) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn device_and_inode(_: &std::fs::Metadata) -> Option<(u64, u64)> {
    None
}

/// Counts what is read of the file itself.
struct Counted<R> {
    inner: R,
    progress: Arc<Progress>,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let bytes = self.inner.read(room)?;
        self.progress.read.fetch_add(bytes as u64, Ordering::Relaxed);
        self.read.fetch_add(bytes as u64, Ordering::Relaxed);
        Ok(bytes)
    }
}

fn open_error(path: &Path, error: &io::Error) -> SourceError {
    if error.kind() == io::ErrorKind::InvalidData {
        SourceError::Format { place: place_of(path), what: error.to_string() }
    } else {
        read_error(path, error)
    }
}

/// Looks at the first bytes: gzip is unpacked, what is neither that nor UTF-8 is refused by its name.
fn unpack(mut file: impl Read + Send + 'static) -> io::Result<(Box<dyn Read + Send>, bool)> {
    let mut first = [0; 4];
    let mut known = 0;
    while known < first.len() {
        match file.read(&mut first[known..]) {
            Ok(0) => break,
            Ok(bytes) => known += bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let refused = match first[..known] {
        [0x1f, 0x8b, ..] => {
            let whole = Cursor::new(first[..known].to_vec()).chain(file);
            let buffered = BufReader::with_capacity(128 << 10, whole);
            return Ok((Box::new(MultiGzDecoder::new(buffered)), true));
        }
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "is UTF-16; convert it to UTF-8 first",
        [0x28, 0xb5, 0x2f, 0xfd] => "is packed with zstd; only gzip can be read, unpack it first",
        [b'P', b'K', 3, 4] => "is a zip archive; only gzip can be read, unpack it first",
        _ => {
            return Ok((Box::new(Cursor::new(first[..known].to_vec()).chain(file)), false));
        }
    };
    Err(io::Error::new(io::ErrorKind::InvalidData, refused))
}

fn send(stream: impl Read + Send + 'static, sender: &SyncSender<io::Result<Vec<u8>>>) {
    let mut reader = match unpack(stream) {
        Ok((reader, _)) => reader,
        Err(error) => {
            // Nobody is left to tell if the feed is gone.
            let _ = sender.send(Err(error));
            return;
        }
    };
    loop {
        let mut block = vec![0; 64 << 10];
        let result = match reader.read(&mut block) {
            Ok(0) => return,
            Ok(bytes) => {
                block.truncate(bytes);
                Ok(block)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
        let failed = result.is_err();
        if sender.send(result).is_err() || failed {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Write;

    use super::*;

    #[test]
    fn a_stream_that_waits_does_not_hold_up_its_reader() {
        let (reader, mut writer) = io::pipe().unwrap();
        let mut input = Input::on_thread(reader, Arc::default()).unwrap();
        let mut room = [0; 4];
        assert!(matches!(input.read(&mut room, Duration::ZERO), Ok(Found::NotYet)));
        writer.write_all(b"{a}\n{b}\n").unwrap();
        drop(writer);
        let mut all = Vec::new();
        while let Found::Bytes(bytes) = input.read(&mut room, Duration::from_secs(60)).unwrap() {
            all.extend_from_slice(&room[..bytes]);
        }
        assert_eq!(all, b"{a}\n{b}\n");
    }
}
