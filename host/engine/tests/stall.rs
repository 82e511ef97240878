//! Whatever a detector does, and whoever does not answer, its lane stands still for a deadline, a batch and one rebuild.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use gridwatch_connectors::memory::{MemoryFeed, MemorySink, MemoryStore};
use gridwatch_core::decision::{Decision, What};
use gridwatch_core::sink::{Store, StoreError};
use gridwatch_engine::deployment::Deployment;
use gridwatch_engine::history::History;
use gridwatch_engine::lane::LaneParts;
use gridwatch_engine::settings::PaceSettings;
use gridwatch_engine::worker::{Parcel, Step, Worker};
use support::judge::{NativeModule, POISON};
use support::{deployment, open, parts};

/// Far above what one rebuild may take here, and far below what several would: machines are shared.
const GAP_MAX: Duration = Duration::from_secs(4);

/// A store that does not answer who wants to read, until it is let go.
#[derive(Clone, Default)]
struct Hanging {
    store: MemoryStore,
    hangs: Arc<(Mutex<bool>, Condvar)>,
    asked: Arc<AtomicU32>,
}

impl Hanging {
    fn hang(&self, hangs: bool) {
        *self.hangs.0.lock().unwrap() = hangs;
        self.hangs.1.notify_all();
    }

    fn wait(&self) {
        self.asked.fetch_add(1, Ordering::Relaxed);
        drop(self.hangs.1.wait_while(self.hangs.0.lock().unwrap(), |hangs| *hangs).unwrap());
    }
}

impl Store for Hanging {
    fn put(&self, name: &str, bytes: Vec<u8>) -> Result<(), StoreError> {
        self.store.put(name, bytes)
    }
    fn create(&self, name: &str, bytes: Vec<u8>) -> Result<bool, StoreError> {
        self.store.create(name, bytes)
    }
    fn get(&self, name: &str) -> Result<Vec<u8>, StoreError> {
        self.wait();
        self.store.get(name)
    }
    fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        self.wait();
        self.store.list(prefix)
    }
    fn delete(&self, name: &str) -> Result<(), StoreError> {
        self.store.delete(name)
    }
}

fn reading(at: i64, voltage: f64) -> Vec<u8> {
    let time = 1_767_225_600_000 + at;
    format!(r#"{{"sensor_id":"a","timestamp":{time},"voltage":{voltage}}}"#).into_bytes()
}

struct Lived {
    worker: Worker,
    decisions: Vec<Decision>,
    gap: Duration,
}

/// The whole feed, a chunk a step; `then` is called before each step.
fn live(parts: LaneParts, store: &Hanging, feed: &MemoryFeed, mut then: impl FnMut(u64)) -> Lived {
    let pace = PaceSettings { checkpoint_interval: Duration::from_secs(1 << 40), ..PaceSettings::default() };
    let (mut worker, _outlet) = open(parts, &MemorySink::new(), store, Box::new(feed.clone()), pace);
    let (mut decisions, mut gap, mut now) = (Vec::new(), Duration::ZERO, 0);
    loop {
        then(worker.lane().next());
        now += 1_000;
        let since = Instant::now();
        let mut hand_on = |parcel: Parcel| {
            if let Parcel::Output { output, .. } = parcel {
                decisions.extend(output.decisions);
            }
        };
        let step = worker.step(Duration::from_millis(now), Duration::ZERO, false, &mut hand_on).unwrap();
        gap = gap.max(since.elapsed());
        assert!(worker.lane().account().adds_up(), "{:?}", worker.lane().account());
        if step == Step::Ended {
            return Lived { worker, decisions, gap };
        }
    }
}

fn with_history(
    modules: Vec<NativeModule>,
    feed: &MemoryFeed,
    store: &Hanging,
    rebuild_max: Duration,
) -> LaneParts {
    let history = History { source: Arc::new(feed.clone()), store: Arc::new(store.clone()), rebuild_max };
    let deploy = |module| Arc::new(Deployment { faults_max: 10_000, ..(*deployment(module, 0)).clone() });
    let deployments = modules.into_iter().map(deploy).collect();
    LaneParts { deployments, history: Some(history), ..parts(1024) }
}

/// Eight of them fail on one reading, and share the time of one rebuild.
#[test]
fn a_store_that_does_not_answer_holds_a_lane_up_for_one_rebuild_and_no_more() {
    let mut readings: Vec<_> = (0..200).map(|at| reading(at, 230.0)).collect();
    readings[100] = reading(100, POISON);
    let (feed, store) = (MemoryFeed::new(readings), Hanging::default());
    let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let mut modules: Vec<_> = names.iter().map(|name| NativeModule::new(name, "voltage")).collect();
    modules.push(NativeModule::new("neighbour", "current"));
    let rebuild_max = Duration::from_millis(2_500);
    let parts = with_history(modules, &feed, &store, rebuild_max);
    let hangs = store.clone();
    let lived = live(parts, &store, &feed.chunks_of(20), move |next| hangs.hang(next >= 60));
    let Lived { mut worker, decisions, gap } = lived;
    assert!(gap >= rebuild_max, "nobody has asked the store: {gap:?}");
    assert!(gap < GAP_MAX + rebuild_max / 2, "the lane stood still for {gap:?}");
    // Once when the lane began.
    assert_eq!(store.asked.load(Ordering::Relaxed), 2, "who has no time left does not ask");
    let out: Vec<String> = worker.lane().quarantined().map(|out| out.detector).collect();
    assert_eq!(out, names);
    assert!(
        decisions.iter().all(|decision| matches!(decision.what, What::Quarantine { .. })),
        "{decisions:?}"
    );
    assert_eq!(worker.lane().account().judged, 200, "the lane and the neighbour go on");
    worker.lane().breathe();
    // Neither does it hold up the end of a quarantine; and what they knew is found once the store answers.
    let since = Instant::now();
    assert!(!worker.lane_mut().release("a").unwrap());
    assert!(since.elapsed() < GAP_MAX, "{:?}", since.elapsed());
    store.hang(false);
    worker.lane().breathe();
    assert!(worker.lane_mut().release("a").unwrap());
}

/// The last `poisoned` of so many.
fn readings(count: i64, poisoned: i64) -> Vec<Vec<u8>> {
    let voltage = |at| if at < count - poisoned { 230.0 } else { POISON };
    (0..count).map(|at| reading(at, voltage(at))).collect()
}

/// A detector that takes its time over each reading, and then fails.
#[test]
fn who_fails_on_every_reading_is_out_when_the_time_is_over_and_keeps_what_it_knew() {
    const LASTS_MS: u32 = 20;
    let (feed, store) = (MemoryFeed::new(readings(2_000, 1_000)), Hanging::default());
    let module = NativeModule::new("every", "");
    let poison = module.poison.clone();
    poison.lasts_ms.store(LASTS_MS, Ordering::Relaxed);
    let parts = with_history(vec![module], &feed, &store, Duration::from_millis(400));
    let lived = live(parts, &store, &feed.chunks_of(1_000), |_| {});
    let shown = poison.shown.load(Ordering::Relaxed);
    assert!(shown <= 2 + 400 / LASTS_MS, "it was shown {shown} readings one by one");
    assert!(lived.gap < GAP_MAX, "the lane stood still for {:?}", lived.gap);
    let whats: Vec<_> = lived.decisions.iter().map(|decision| &decision.what).collect();
    assert!(matches!(whats[..], [What::Suspend { .. }]), "{whats:?}");
    assert_eq!(lived.worker.lane().account().judged, 2_000);
}

/// However many faults it may have: each is a rebuild, a dead letter and a decision.
#[test]
fn not_all_readings_of_a_batch_are_blamed_one_by_one() {
    let (feed, store) = (MemoryFeed::new(readings(1_000, 500)), Hanging::default());
    let module = NativeModule::new("every", "");
    let parts = with_history(vec![module], &feed, &store, Duration::from_secs(60));
    let lived = live(parts, &store, &feed.chunks_of(500), |_| {});
    let is_skip = |decision: &&Decision| matches!(decision.what, What::Skip { .. });
    assert_eq!(lived.decisions.iter().filter(is_skip).count(), 64);
    let is_kept = |decision: &Decision| matches!(decision.what, What::Suspend { .. });
    assert!(lived.decisions.iter().any(is_kept), "it is out, and what it knew is kept");
}
