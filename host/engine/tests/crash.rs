//! A lane that is killed anywhere, any number of times, says what an undisturbed one says.
//!
//! Only durable parts survive a kill: what the sink has committed and what the store holds. From a seed
//! come the readings, the sizes of batches, the pace of commits and checkpoints, and the kills.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use gridwatch_connectors::memory::{MemoryFeed, MemorySink, MemoryStore};
use gridwatch_core::sink::{Sink, Stream};
use gridwatch_engine::outlet::Outlet;
use gridwatch_engine::settings::{OnMissing, PaceSettings};
use gridwatch_engine::start::begin;
use gridwatch_engine::worker::{Step, Worker};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use support::parts;
use support::readings::records;

const SEEDS: u64 = 2_000;

/// One life of the process; None when it was killed, else the source has ended.
struct Life {
    worker: Worker,
    outlet: Outlet,
}

impl Life {
    fn begin(sink: &MemorySink, store: &MemoryStore, feed: &MemoryFeed, rows_max: usize) -> Life {
        let mut handle: Box<dyn Sink> = Box::new(sink.clone());
        let commit = handle.recover().unwrap();
        let named = commit.as_ref().and_then(|commit| commit.lanes.get("0")).cloned();
        let begun = begin(parts(rows_max), named.as_ref(), store, OnMissing::Halt).unwrap();
        let pace = PaceSettings {
            batch_delay: Duration::from_millis(3),
            checkpoint_interval: Duration::from_secs(1 << 40),
            ..PaceSettings::default()
        };
        let mut outlet = Outlet::new(handle, Arc::new(store.clone()), commit, None).unwrap();
        let mut worker = Worker::new(begun.lane, Box::new(feed.clone()), pace, Duration::ZERO).unwrap();
        if begun.is_new {
            worker.checkpoint(&mut |parcel| assert!(!outlet.receive("0", parcel).unwrap())).unwrap();
            // As the pipeline does before its lanes read.
            outlet.settle().unwrap();
        }
        Life { worker, outlet }
    }

    fn step(&mut self, now: u64, checkpoint: bool) -> Step {
        let Life { worker, outlet } = self;
        let step = worker
            .step(Duration::from_millis(now), Duration::ZERO, checkpoint, &mut |parcel| {
                outlet.receive("0", parcel).unwrap();
            })
            .unwrap();
        let account = worker.lane().account();
        assert!(account.adds_up(), "{account:?}");
        step
    }
}

fn undisturbed(records: &[Vec<u8>], rows_max: usize) -> MemorySink {
    let (sink, store) = (MemorySink::default(), MemoryStore::default());
    let mut life = Life::begin(&sink, &store, &MemoryFeed::new(records.to_vec()), rows_max);
    while life.step(0, false) == Step::Again {}
    life.outlet.settle().unwrap();
    sink
}

fn disturbed(random: &mut ChaCha8Rng, records: &[Vec<u8>], rows_max: Option<usize>) -> (MemorySink, u32) {
    let (sink, store) = (MemorySink::default(), MemoryStore::default());
    let mut kills = 0;
    loop {
        let rows = rows_max.unwrap_or_else(|| random.random_range(1..40));
        let feed = MemoryFeed::new(records.to_vec()).chunks_of(random.random_range(1..30));
        let mut life = Life::begin(&sink, &store, &feed, rows);
        let mut now = 0;
        let ended = loop {
            now += random.random_range(0..3);
            let step = life.step(now, random.random_range(0..12) == 0);
            if random.random_range(0..5) == 0 {
                life.outlet.settle().unwrap();
            }
            if step == Step::Ended {
                break true;
            }
            if kills < 12 && random.random_range(0..10) == 0 {
                break false;
            }
        };
        if ended {
            life.outlet.settle().unwrap();
            return (sink, kills);
        }
        kills += 1;
        drop(life);
        sink.crash();
    }
}

fn compare(seed: u64, poison: bool) -> u32 {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let records = records(&mut random, 150, poison);
    // Where a detector fails, it is out from the start of the batch that it failed in, so that then
    // the cut shows; with one row a batch there is only one cut.
    let rows_max = poison.then_some(1);
    let expected = undisturbed(&records, rows_max.unwrap_or(64));
    let (seen, kills) = disturbed(&mut random, &records, rows_max);
    for stream in [Stream::Anomalies, Stream::DeadLetters] {
        let lines = |sink: &MemorySink| -> Vec<String> {
            let of_stream = sink.committed().into_iter().filter(|message| message.stream == stream);
            of_stream.map(|message| String::from_utf8(message.payload).unwrap()).collect()
        };
        let (expected, seen) = (lines(&expected), lines(&seen));
        let differs = expected.iter().zip(&seen).position(|(a, b)| a != b);
        let at = differs.unwrap_or(expected.len().min(seen.len()));
        assert!(
            expected == seen,
            "seed {seed} after {kills} kills: {stream:?} differ at {at}:\nexpected {:?}\nseen     {:?}",
            expected.get(at),
            seen.get(at)
        );
    }
    kills
}

#[test]
fn killed_anywhere_it_says_the_same() {
    let kills: u32 = (0..SEEDS).map(|seed| compare(seed, false)).sum();
    assert!(kills > 1_000, "only {kills} kills in {SEEDS} seeds");
}

#[test]
fn killed_anywhere_around_a_fault_it_says_the_same() {
    let kills: u32 = (0..SEEDS / 4).map(|seed| compare(1_000_000 + seed, true)).sum();
    assert!(kills > 250, "only {kills} kills");
}
