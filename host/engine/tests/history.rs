//! What a lane has lived, lived again: bit for bit what it was, whenever it is asked for.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use gridwatch_connectors::memory::{MemoryFeed, MemorySink, MemoryStore};
use gridwatch_core::checkpoint::Checkpoint;
use gridwatch_core::decision::{Decision, What};
use gridwatch_core::record::Position;
use gridwatch_core::sink::Store;
use gridwatch_engine::history::{At, History, HistoryError, Patience, Stretch};
use gridwatch_engine::lane::LaneParts;
use gridwatch_engine::outlet::Outlet;
use gridwatch_engine::settings::PaceSettings;
use gridwatch_engine::vault::Place;
use gridwatch_engine::worker::{Step, Worker};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use support::readings::records;
use support::{lane, open, parts};

const BOTH: [&str; 2] = ["every", "voltage"];

fn patience() -> Patience<'static> {
    Patience::of(Duration::from_secs(60))
}

struct Life {
    worker: Worker,
    outlet: Outlet,
    store: MemoryStore,
    history: History,
}

impl Life {
    fn begin(random: &mut ChaCha8Rng, records: &[Vec<u8>]) -> Life {
        let store = MemoryStore::new();
        let feed = MemoryFeed::new(records.to_vec());
        let history = History {
            source: Arc::new(feed.clone()),
            store: Arc::new(store.clone()),
            rebuild_max: Duration::from_secs(60),
        };
        let feed = feed.chunks_of(random.random_range(1..30));
        let parts = parts(random.random_range(1..40));
        let pace = PaceSettings { batch_delay: Duration::from_millis(3), ..PaceSettings::default() };
        let (worker, outlet) = open(parts, &MemorySink::new(), &store, Box::new(feed), pace);
        let outlet = outlet.keeping(Duration::from_secs(1 << 30));
        Life { worker, outlet, store, history }
    }

    /// Reads once; now and then time passes without readings, and the lane is saved.
    fn step(&mut self, random: &mut ChaCha8Rng) -> Step {
        let Life { worker, outlet, store, .. } = self;
        let saves = random.random_range(0..6) == 0;
        let mut hand_on = |parcel| {
            let _ = outlet.receive(&lane(), parcel).unwrap();
        };
        let step = worker.step(Duration::ZERO, Duration::ZERO, saves, &mut hand_on).unwrap();
        if random.random_range(0..5) == 0
            && let Some(time) = worker.lane().event_time()
        {
            worker.lane_mut().idle(time + 25_000).unwrap();
        }
        if random.random_range(0..2) == 0 {
            for chore in outlet.take_chores() {
                if let Some(stored) = chore.run(store) {
                    worker.lane_mut().set_durable(stored.result.clone().unwrap().name);
                    outlet.stored(stored);
                }
            }
            outlet.settle().unwrap();
        }
        step
    }
}

#[test]
fn whenever_it_is_lived_again_it_is_the_same_lane() {
    let mut compared = 0;
    for seed in 0..300 {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let records = records(&mut random, 150, false);
        let mut life = Life::begin(&mut random, &records);
        while life.step(&mut random) == Step::Again {
            if random.random_range(0..4) > 0 {
                continue;
            }
            let now = life.worker.lane_mut().checkpoint().unwrap();
            let lane = life.worker.lane();
            let Some(durable) = lane.durable() else { continue };
            let decisions = |decided| lane.chronicle().since(decided);
            let past = Stretch { whom: &BOTH, decisions: &decisions, speaks_from: Position::MAX };
            let mut reliving =
                life.history.relive(parts(random.random_range(1..40)), durable, past, patience()).unwrap();
            reliving.until(now.position, patience()).unwrap();
            let again = reliving.lane_mut().checkpoint().unwrap();
            assert!(again == now, "seed {seed} at {}:\n{now:?}\n{again:?}", now.position);
            assert_eq!(reliving.lane_mut().take_output(), None, "seed {seed}: it said something");
            compared += 1;
        }
    }
    assert!(compared > 500, "only {compared}");
}

/// What an owner leaves who has decided otherwise there, and could not commit it.
fn leave_orphan(store: &MemoryStore, then: &Checkpoint) {
    let mut orphan = Checkpoint { detectors: vec![], ..then.clone() };
    orphan.chronicle.note(Decision { position: then.position, what: What::IdleTick { time: 1 } });
    let place = Place { position: then.position, sequence: 1 << 20, time: then.time() };
    store.put(&place.name("0", "0123456789abcdef"), orphan.encode().unwrap()).unwrap();
}

/// By what lies in the store alone, from a checkpoint that is long past.
#[test]
fn a_moment_long_past_is_found_by_position_and_by_time() {
    let mut found = 0;
    for seed in 0..100 {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let records = records(&mut random, 300, false);
        let mut life = Life::begin(&mut random, &records);
        let mut moments = Vec::new();
        while life.step(&mut random) == Step::Again {
            moments.push(life.worker.lane_mut().checkpoint().unwrap());
        }
        let mut hand_on = |parcel| {
            let _ = life.outlet.receive(&lane(), parcel).unwrap();
        };
        life.worker.finish(&mut hand_on).unwrap();
        life.outlet.do_chores(&life.store);
        life.outlet.settle().unwrap();
        life.outlet.do_chores(&life.store);
        let end = life.worker.lane().next();
        for then in moments.iter().skip(3).step_by(7) {
            if then.position < end {
                leave_orphan(&life.store, then);
            }
            let ats = [Some(At::Position(then.position)), then.clock.time().map(At::Time)];
            for at in ats.into_iter().flatten() {
                let relive = life.history.relive_from(parts(8), at, &BOTH, Position::MAX, patience());
                let mut reliving = match relive {
                    Err(HistoryError::Beyond { .. }) => continue,
                    reliving => reliving.unwrap(),
                };
                if matches!(at, At::Time(_)) && reliving.lane().next() > then.position {
                    // Its clock was set back since: a time that was lived twice is found where it was lived last.
                    continue;
                }
                assert!(
                    reliving.lane().next() <= then.position,
                    "seed {seed}: it begins too late for {at:?}"
                );
                reliving.until(then.position, patience()).unwrap();
                let again = reliving.lane_mut().checkpoint().unwrap();
                // Idle ticks at one position may stand on either side of a moment.
                if again.chronicle == then.chronicle {
                    assert!(again == *then, "seed {seed} at {at:?}");
                    found += 1;
                }
            }
        }
    }
    assert!(found > 100, "only {found}");
}

fn lived(random: &mut ChaCha8Rng) -> (Life, String) {
    let records = records(random, 200, false);
    let mut life = Life::begin(random, &records);
    for _ in 0..3 {
        life.step(random);
    }
    let name = life.store.list("checkpoints/").unwrap().remove(0);
    (life, name)
}

#[test]
fn what_cannot_be_lived_again_says_why() {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let (life, name) = lived(&mut random);
    let none = |_: u64| Some(Vec::new());
    let relive = |parts: LaneParts, name: &str, decisions: &dyn Fn(u64) -> _| {
        let past = Stretch { whom: &BOTH, decisions, speaks_from: Position::MAX };
        life.history.relive(parts, name, past, patience())
    };
    let mut others = parts(8);
    others.settings.tick_ms += 1;
    assert!(matches!(relive(others, &name, &none), Err(HistoryError::Changed { .. })));
    assert!(matches!(relive(parts(8), &name, &|_| None), Err(HistoryError::Forgotten { .. })));
    assert!(matches!(relive(parts(8), "checkpoints/0/7", &none), Err(HistoryError::Store(_))));
    life.store.put(&name, vec![1, 2, 3]).unwrap();
    assert!(matches!(relive(parts(8), &name, &none), Err(HistoryError::Damaged { .. })));
    // Where the lane began is before every moment; without that, not every moment is to be had.
    let begun = life.history.relive_from(parts(8), At::Time(0), &BOTH, Position::MAX, patience());
    assert!(matches!(begun, Err(HistoryError::Damaged { .. })));
    life.store.delete(&name).unwrap();
    let beyond = life.history.relive_from(parts(8), At::Time(0), &BOTH, Position::MAX, patience());
    assert!(beyond.err().unwrap().to_string().contains("1970-01-01"), "it says how far back was wanted");
}

#[test]
fn it_takes_no_longer_than_it_may() {
    let mut random = ChaCha8Rng::seed_from_u64(8);
    let (life, name) = lived(&mut random);
    let none = |_: u64| Some(Vec::new());
    let relive = || {
        let past = Stretch { whom: &BOTH, decisions: &none, speaks_from: Position::MAX };
        life.history.relive(parts(8), &name, past, patience()).unwrap()
    };
    let too_long = relive().until(150, Patience::of(Duration::ZERO));
    assert!(matches!(too_long, Err(HistoryError::TooLong { .. })));
    let cancel = AtomicBool::new(true);
    let cancelled = relive().until(150, patience().unless(&cancel));
    assert_eq!(cancelled, Err(HistoryError::Cancelled));
}

#[test]
fn a_record_of_the_past_comes_as_it_was() {
    let mut random = ChaCha8Rng::seed_from_u64(9);
    let (life, name) = lived(&mut random);
    let none = |_: u64| Some(Vec::new());
    let past = Stretch { whom: &[], decisions: &none, speaks_from: Position::MAX };
    let mut reliving = life.history.relive(parts(8), &name, past, patience()).unwrap();
    reliving.until(20, patience()).unwrap();
    assert_eq!(reliving.lane().next(), 20);
    let record = reliving.record_at(20, patience()).unwrap().unwrap();
    let further = reliving.record_at(40, patience()).unwrap().unwrap();
    assert_eq!((record.meta.position, further.meta.position), (20, 40));
    assert_eq!(reliving.record_at(1_000, patience()).unwrap(), None);
}
