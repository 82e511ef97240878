//! A process killed at any byte of a checkpoint's write, in a real directory: what it leaves there is trusted by
//! nobody, and a new life goes on from the checkpoint that the commit names, or says clearly why it cannot.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use gridwatch_connectors::memory::{MemoryFeed, MemorySink};
use gridwatch_connectors::stores::Objects;
use gridwatch_core::sink::{LaneCommit, Store, StoreError, Stream};
use gridwatch_engine::settings::OnMissing;
use gridwatch_engine::start::{StartError, begin};
use gridwatch_engine::worker::Step;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use support::life::{Life, assert_same, lines, undisturbed};
use support::readings::records;
use support::{lane, parts};
use tempfile::TempDir;

const SEED: u64 = 11;
const RECORDS: usize = 90;

/// Where the bytes of a put are while it is under way.
#[derive(Clone, Copy, Debug)]
enum Under {
    /// As a local directory has it: beside the place, and renamed when all is on disk.
    TemporaryName,
    /// As a store that promises less would have it.
    FinalName,
}

impl Under {
    fn path(self, directory: &Path, name: &str) -> PathBuf {
        match self {
            Under::TemporaryName => directory.join(format!("{name}#1")),
            Under::FinalName => directory.join(name),
        }
    }
}

/// The real directory, but that a put may be cut off.
struct Cut {
    directory: PathBuf,
    objects: Objects,
    /// After so many bytes of the next put the process is killed.
    at: Mutex<Option<(Under, usize)>>,
    /// How long the puts were that were asked for.
    lengths: Mutex<Vec<usize>>,
}

impl Cut {
    fn new(directory: &Path) -> Cut {
        let objects = Objects::local(directory).unwrap();
        Cut { directory: directory.to_owned(), objects, at: Mutex::default(), lengths: Mutex::default() }
    }
}

impl Store for Cut {
    fn put(&self, name: &str, bytes: Vec<u8>) -> Result<(), StoreError> {
        self.lengths.lock().unwrap().push(bytes.len());
        let (under, length) = self.at.lock().unwrap().unwrap_or((Under::FinalName, bytes.len()));
        let path = under.path(&self.directory, name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, &bytes[..length.min(bytes.len())]).unwrap();
        match *self.at.lock().unwrap() {
            None => Ok(()),
            Some(_) => Err(StoreError::Failed { name: name.to_owned(), what: "killed".to_owned() }),
        }
    }

    fn create(&self, name: &str, bytes: Vec<u8>) -> Result<bool, StoreError> {
        self.objects.create(name, bytes)
    }

    fn get(&self, name: &str) -> Result<Vec<u8>, StoreError> {
        self.objects.get(name)
    }

    fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        self.objects.list(prefix)
    }

    fn delete(&self, name: &str) -> Result<(), StoreError> {
        self.objects.delete(name)
    }
}

fn readings() -> Vec<Vec<u8>> {
    records(&mut ChaCha8Rng::seed_from_u64(SEED), RECORDS, false)
}

fn feed() -> MemoryFeed {
    MemoryFeed::new(readings()).chunks_of(10)
}

fn commit_of(sink: &MemorySink) -> LaneCommit {
    sink.last_commit().unwrap().lanes[&lane()].clone()
}

/// A life that has committed beyond its newest checkpoint, and is killed while it stores the next.
fn killed_at(store: &Cut, under: Under, length: usize) -> MemorySink {
    let sink = MemorySink::new();
    let mut life = Life::begin(parts(8), &sink, store, &feed());
    let step = |checkpoint, life: &mut Life<'_>| assert_eq!(life.step(0, checkpoint), Step::Again);
    (0..2).for_each(|_| step(false, &mut life));
    step(true, &mut life);
    life.store();
    life.settle();
    (0..2).for_each(|_| step(false, &mut life));
    life.settle();
    *store.at.lock().unwrap() = Some((under, length));
    step(true, &mut life);
    life.store();
    drop(life);
    sink.crash();
    sink
}

/// The next checkpoint's length.
fn length() -> usize {
    let folder = TempDir::new().unwrap();
    let store = Cut::new(folder.path());
    killed_at(&store, Under::FinalName, 0);
    let lengths = store.lengths.lock().unwrap().clone();
    assert_eq!(lengths.len(), 3, "of the beginning, the one that is named, and the one that is cut");
    lengths[2]
}

#[test]
fn a_put_that_was_cut_off_at_any_byte_is_passed_over() {
    let expected = undisturbed(parts(8), &readings());
    for under in [Under::TemporaryName, Under::FinalName] {
        for cut in 0..=length() {
            let folder = TempDir::new().unwrap();
            let sink = killed_at(&Cut::new(folder.path()), under, cut);
            let named = commit_of(&sink);
            let objects = Objects::local(folder.path()).unwrap();
            let mut life = Life::begin(parts(8), &sink, &objects, &feed());
            assert_eq!(commit_of(&sink).checkpoint, named.checkpoint, "{under:?}, byte {cut}");
            while life.step(0, false) == Step::Again {}
            life.settle();
            for stream in [Stream::Anomalies, Stream::DeadLetters] {
                let what = format!("seed {SEED}, {under:?}, byte {cut}: {stream:?}");
                let expected = lines(&expected, stream);
                assert!(!expected.is_empty(), "{what}: nothing to compare");
                assert_same(&what, &expected, &lines(&sink, stream));
            }
        }
    }
}

/// Somebody's disk has lost what it had promised to keep: the newest checkpoint is the one that is named.
#[test]
fn a_named_checkpoint_that_is_not_whole_is_said_to_be_damaged_or_missing() {
    let folder = TempDir::new().unwrap();
    let (store, sink) = (Cut::new(folder.path()), MemorySink::new());
    let mut life = Life::begin(parts(8), &sink, &store, &feed());
    assert_eq!(life.step(0, false), Step::Again);
    assert_eq!(life.step(0, true), Step::Again);
    life.store();
    life.settle();
    drop(life);
    let commit = commit_of(&sink);
    let whole = store.get(&commit.checkpoint).unwrap();
    let again = || begin(parts(8), Some(commit.clone()), &store, OnMissing::Halt, || Ok(0)).map(drop);
    for under in [Under::FinalName, Under::TemporaryName] {
        std::fs::remove_file(Under::FinalName.path(folder.path(), &commit.checkpoint)).unwrap_or_default();
        for cut in 0..whole.len() {
            std::fs::write(under.path(folder.path(), &commit.checkpoint), &whole[..cut]).unwrap();
            let error = again().unwrap_err();
            let is_told = match under {
                Under::FinalName => matches!(error, StartError::Damaged { .. }),
                Under::TemporaryName => matches!(error, StartError::Missing { .. }),
            };
            assert!(is_told, "{under:?}, byte {cut}: {error}");
            assert!(error.to_string().contains(&commit.checkpoint), "{error}");
        }
    }
    store.put(&commit.checkpoint, whole).unwrap();
    again().unwrap();
}

/// Nothing was said yet, so nothing is lost.
#[test]
fn a_first_checkpoint_that_was_cut_off_at_any_byte_is_passed_over() {
    let folder = TempDir::new().unwrap();
    let store = Cut::new(folder.path());
    drop(Life::begin(parts(8), &MemorySink::new(), &store, &feed()));
    let names = store.list("").unwrap();
    let [name] = names.as_slice() else { panic!("{names:?}") };
    let whole = store.get(name).unwrap();
    for under in [Under::FinalName, Under::TemporaryName] {
        for cut in 0..=whole.len() {
            store.delete(name).unwrap_or_default();
            std::fs::write(under.path(folder.path(), name), &whole[..cut]).unwrap();
            let begun = begin(parts(8), None, &store, OnMissing::Halt, || Ok(0)).unwrap();
            assert!(begun.commit.is_none() && begun.lane.next() == 0, "{under:?}, byte {cut}");
        }
    }
}
