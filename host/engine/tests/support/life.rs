//! One life of a process with one lane, driven by hand; it may end anywhere.

use std::time::Duration;

use gridwatch_connectors::memory::{MemoryFeed, MemorySink, MemoryStore};
use gridwatch_core::decision::Decision;
use gridwatch_core::sink::{Delivery, Sink, Store, Stream};
use gridwatch_engine::lane::LaneParts;
use gridwatch_engine::outlet::{Outlet, Settled};
use gridwatch_engine::settings::PaceSettings;
use gridwatch_engine::worker::{Parcel, Step, Worker};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::{lane, open};

pub struct Life<'s> {
    worker: Worker,
    outlet: Outlet,
    store: &'s dyn Store,
}

impl<'s> Life<'s> {
    pub fn begin(parts: LaneParts, sink: &MemorySink, store: &'s dyn Store, feed: &MemoryFeed) -> Life<'s> {
        let (worker, outlet) = open(parts, sink, store, Box::new(feed.clone()), pace());
        Life { worker, outlet, store }
    }

    pub fn step(&mut self, now: u64, checkpoint: bool) -> Step {
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
    pub fn store(&mut self) {
        self.outlet.do_chores(self.store);
    }

    pub fn settle(&mut self) {
        assert_eq!(self.outlet.settle().unwrap(), Settled::Done);
    }
}

/// Short batches, and a checkpoint only where the test asks for one.
pub fn pace() -> PaceSettings {
    PaceSettings {
        batch_delay: Duration::from_millis(3),
        checkpoint_interval: Duration::from_secs(1 << 40),
        ..PaceSettings::default()
    }
}

/// A lane with its outlet, and what of its decisions is final: that goes into `made`.
pub struct Decider {
    pub worker: Worker,
    pub outlet: Outlet,
    delivery: Delivery,
    pending: Vec<Decision>,
}

impl Decider {
    pub fn new((worker, outlet): (Worker, Outlet), sink: &MemorySink) -> Self {
        Decider { worker, outlet, delivery: sink.delivery(), pending: Vec::new() }
    }

    pub fn step(&mut self, now: u64, checkpoint: bool, made: &mut Vec<Decision>) -> Step {
        let Decider { worker, outlet, pending, delivery } = self;
        let mut hand_on = |parcel: Parcel| {
            if let Parcel::Output { output, .. } = &parcel {
                pending.extend(output.decisions.iter().cloned());
            }
            outlet.receive(&lane(), parcel).unwrap();
            // There a decision is committed before all that follows from it.
            if *delivery == Delivery::AtLeastOnce {
                made.append(pending);
            }
        };
        let step = worker.step(Duration::from_millis(now), Duration::ZERO, checkpoint, &mut hand_on).unwrap();
        assert!(worker.lane().account().adds_up(), "{:?}", worker.lane().account());
        step
    }

    pub fn settle(&mut self, made: &mut Vec<Decision>) {
        assert_eq!(self.outlet.settle().unwrap(), Settled::Done);
        made.append(&mut self.pending);
    }
}

pub fn undisturbed(parts: LaneParts, records: &[Vec<u8>]) -> MemorySink {
    let (sink, store) = (MemorySink::default(), MemoryStore::default());
    let mut life = Life::begin(parts, &sink, &store, &MemoryFeed::new(records.to_vec()));
    while life.step(0, false) == Step::Again {}
    life.settle();
    sink
}

/// Killed up to 12 times, anywhere; `parts` are asked for in each life, and `meanwhile` is called before
/// each step.
pub fn disturbed(
    random: &mut ChaCha8Rng,
    sink: MemorySink,
    records: &[Vec<u8>],
    parts: impl Fn(&mut ChaCha8Rng) -> LaneParts,
    mut meanwhile: impl FnMut(&mut ChaCha8Rng),
) -> (MemorySink, u32) {
    let store = MemoryStore::default();
    let mut kills = 0;
    loop {
        let parts = parts(random);
        let feed = MemoryFeed::new(records.to_vec()).chunks_of(random.random_range(1..30));
        let mut life = Life::begin(parts, &sink, &store, &feed);
        let mut now = 0;
        let ended = loop {
            meanwhile(random);
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

pub fn lines(sink: &MemorySink, stream: Stream) -> Vec<String> {
    let of_stream = sink.committed().into_iter().filter(|message| message.stream() == stream);
    of_stream.map(|message| String::from_utf8_lossy(&message.json()).into_owned()).collect()
}

/// The first of each, in order.
pub fn once_each(lines: Vec<String>) -> Vec<String> {
    let mut known = std::collections::HashSet::new();
    lines.into_iter().filter(|line| known.insert(line.clone())).collect()
}

pub fn assert_same(what: &str, expected: &[String], seen: &[String]) {
    let differs = expected.iter().zip(seen).position(|(a, b)| a != b);
    let at = differs.unwrap_or(expected.len().min(seen.len()));
    assert!(
        expected == seen,
        "{what} differ at {at}:\nexpected {:?}\nseen     {:?}",
        expected.get(at),
        seen.get(at)
    );
}
