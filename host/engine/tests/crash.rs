//! A lane that is killed anywhere, any number of times, says what an undisturbed one says.
//!
//! Only durable parts survive a kill: what the sink has committed and what the store holds. From a seed
//! come the readings, the sizes of batches, the pace of commits and checkpoints, and the kills.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::time::Duration;

use gridwatch_connectors::memory::{MemoryFeed, MemorySink, MemoryStore};
use gridwatch_core::sink::Stream;
use gridwatch_engine::outlet::{Outlet, Settled};
use gridwatch_engine::settings::PaceSettings;
use gridwatch_engine::worker::{Step, Worker};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use support::readings::records;
use support::{lane, open, parts};

const SEEDS: u64 = 2_000;

/// One life of the process.
struct Life {
    worker: Worker,
    outlet: Outlet,
    store: MemoryStore,
}

impl Life {
    fn begin(sink: &MemorySink, store: &MemoryStore, feed: &MemoryFeed, rows_max: usize) -> Life {
        let pace = PaceSettings {
            batch_delay: Duration::from_millis(3),
            checkpoint_interval: Duration::from_secs(1 << 40),
            ..PaceSettings::default()
        };
        let (worker, outlet) = open(parts(rows_max), sink, store, Box::new(feed.clone()), pace);
        Life { worker, outlet, store: store.clone() }
    }

    fn step(&mut self, now: u64, checkpoint: bool) -> Step {
        let Life { worker, outlet, .. } = self;
        let step = worker
            .step(Duration::from_millis(now), Duration::ZERO, checkpoint, &mut |parcel| {
                outlet.receive(&lane(), parcel).unwrap();
            })
            .unwrap();
        let account = worker.lane().account();
        assert!(account.adds_up(), "{account:?}");
        step
    }

    /// The store does what it was asked to; until then checkpoints are on their way.
    fn store(&mut self) {
        self.outlet.do_chores(&self.store);
    }

    fn settle(&mut self) {
        assert_eq!(self.outlet.settle().unwrap(), Settled::Done);
    }
}

fn undisturbed(records: &[Vec<u8>], rows_max: usize) -> MemorySink {
    let (sink, store) = (MemorySink::default(), MemoryStore::default());
    let mut life = Life::begin(&sink, &store, &MemoryFeed::new(records.to_vec()), rows_max);
    while life.step(0, false) == Step::Again {}
    life.settle();
    sink
}

fn disturbed(
    random: &mut ChaCha8Rng,
    sink: MemorySink,
    records: &[Vec<u8>],
    rows_max: Option<usize>,
) -> (MemorySink, u32) {
    let store = MemoryStore::default();
    let mut kills = 0;
    loop {
        let rows = rows_max.unwrap_or_else(|| random.random_range(1..40));
        let feed = MemoryFeed::new(records.to_vec()).chunks_of(random.random_range(1..30));
        let mut life = Life::begin(&sink, &store, &feed, rows);
        let mut now = 0;
        let ended = loop {
            now += random.random_range(0..3);
            let step = life.step(now, random.random_range(0..12) == 0);
            if random.random_range(0..3) == 0 {
                life.store();
            }
            if random.random_range(0..5) == 0 {
                life.settle();
            }
            if step == Step::Ended {
                break true;
            }
            if kills < 12 && random.random_range(0..10) == 0 {
                break false;
            }
        };
        if ended {
            life.store();
            life.settle();
            return (sink, kills);
        }
        kills += 1;
        drop(life);
        sink.crash();
    }
}

fn lines(sink: &MemorySink, stream: Stream) -> Vec<String> {
    let of_stream = sink.committed().into_iter().filter(|message| message.stream() == stream);
    of_stream.map(|message| String::from_utf8_lossy(&message.json()).into_owned()).collect()
}

/// Where messages are out as soon as they are sent: nothing is lost, and what comes again was seen before.
fn compare_at_least_once(seed: u64, poison: bool) -> u32 {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let records = records(&mut random, 150, poison);
    let rows_max = poison.then_some(1);
    let expected = undisturbed(&records, rows_max.unwrap_or(64));
    let (seen, kills) = disturbed(&mut random, MemorySink::at_least_once(), &records, rows_max);
    for stream in [Stream::Anomalies, Stream::DeadLetters] {
        let (expected, seen) = (lines(&expected, stream), lines(&seen, stream));
        let mut first: Vec<&String> = Vec::new();
        let mut known = std::collections::HashSet::new();
        first.extend(seen.iter().filter(|line| known.insert(*line)));
        let differs = expected.iter().zip(&first).position(|(a, b)| a != *b);
        let at = differs.unwrap_or(expected.len().min(first.len()));
        assert!(
            expected.iter().eq(first.iter().copied()),
            "seed {seed} after {kills} kills: {stream:?} differ at {at}:\nexpected {:?}\nseen     {:?}",
            expected.get(at),
            first.get(at)
        );
    }
    kills
}

fn compare(seed: u64, poison: bool) -> u32 {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let records = records(&mut random, 150, poison);
    // Where a detector fails, it is out from the start of the batch that it failed in, so that then
    // the cut shows; with one row a batch there is only one cut.
    let rows_max = poison.then_some(1);
    let expected = undisturbed(&records, rows_max.unwrap_or(64));
    let (seen, kills) = disturbed(&mut random, MemorySink::new(), &records, rows_max);
    for stream in [Stream::Anomalies, Stream::DeadLetters] {
        let (expected, seen) = (lines(&expected, stream), lines(&seen, stream));
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

#[test]
fn killed_anywhere_at_least_once_loses_nothing_and_invents_nothing() {
    let kills: u32 = (0..SEEDS / 2).map(|seed| compare_at_least_once(2_000_000 + seed, false)).sum();
    assert!(kills > 500, "only {kills} kills");
    let kills: u32 = (0..SEEDS / 4).map(|seed| compare_at_least_once(3_000_000 + seed, true)).sum();
    assert!(kills > 250, "only {kills} kills");
}
