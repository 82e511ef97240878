//! Candidates in a running pipeline that take their time: the lane goes on, and does what it is told.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use gridwatch_connectors::memory::{MemorySink, MemoryStore};
use gridwatch_core::anomaly::Origin;
use gridwatch_core::finding::Descriptor;
use gridwatch_core::intake::{FixedLanes, Opening};
use gridwatch_core::judge::{Fault, GuestLog, Judge, Limits, Module};
use gridwatch_core::record::{Chunk, Feed, FeedStatus, Position, RecordFormat, RecordMeta, SourceError};
use gridwatch_engine::deployment::Deployment;
use gridwatch_engine::lane::LaneTemplate;
use gridwatch_engine::pipeline::{LaneSnapshot, Pipeline, Plan};
use gridwatch_engine::settings::{OnMissing, PaceSettings};
use support::judge::NativeModule;
use support::{deployment, lane, parts};

/// Readings without end, as fast as they are read; or no more.
struct Endless {
    position: Position,
    is_dry: Arc<AtomicBool>,
    /// Opened once so many readings were read since somebody has come to it.
    door: Arc<Door>,
    came_at: Option<Position>,
}

/// Far more than a candidate may lag behind and still be near.
const READ_BEFORE: u64 = 4_096;

impl Feed for Endless {
    fn seek(&mut self, position: Position) -> Result<(), SourceError> {
        self.position = position;
        Ok(())
    }

    fn poll(&mut self, chunk: &mut Chunk, wait: Duration) -> Result<FeedStatus, SourceError> {
        if self.is_dry.load(Ordering::Acquire) {
            std::thread::sleep(wait);
            return Ok(FeedStatus::Idle);
        }
        if self.door.has_come.load(Ordering::Acquire)
            && self.position >= *self.came_at.get_or_insert(self.position) + READ_BEFORE
        {
            self.door.open();
        }
        for _ in 0..512 {
            let (position, time) = (self.position, 1_767_225_600_000 + self.position);
            let reading = format!(r#"{{"sensor_id":"a","timestamp":{time},"voltage":230}}"#);
            chunk.bytes.extend_from_slice(reading.as_bytes());
            let (end, line) = (chunk.bytes.len(), position + 1);
            let meta = RecordMeta { position, next: position + 1, stored: None, line, end, truncated: false };
            chunk.records.push(meta);
            self.position += 1;
        }
        Ok(FeedStatus::More)
    }

    fn lag(&self) -> Option<u64> {
        None
    }
}

/// Nobody gets an instance of it before it is let go.
struct Held {
    module: NativeModule,
    door: Arc<Door>,
}

#[derive(Default)]
struct Door {
    is_open: Mutex<bool>,
    opened: Condvar,
    has_come: AtomicBool,
}

impl Door {
    fn open(&self) {
        *self.is_open.lock().unwrap() = true;
        self.opened.notify_all();
    }
}

impl Module for Held {
    fn descriptor(&self) -> &Descriptor {
        self.module.descriptor()
    }
    fn digest(&self) -> &str {
        self.module.digest()
    }
    fn instantiate(&self, limits: Limits, log: Arc<dyn GuestLog>) -> Result<Box<dyn Judge>, Fault> {
        self.door.has_come.store(true, Ordering::Release);
        let is_closed = |is_open: &mut bool| !*is_open;
        drop(self.door.opened.wait_while(self.door.is_open.lock().unwrap(), is_closed).unwrap());
        self.module.instantiate(limits, log)
    }
}

fn start(is_dry: bool, door: &Arc<Door>) -> Pipeline {
    let is_dry = Arc::new(AtomicBool::new(is_dry));
    let parts = parts(16);
    let opening = Opening {
        lane: lane(),
        origin: Origin::File { file: "readings.jsonl".into() },
        source: Vec::new(),
        format: RecordFormat::Json,
        feed: Box::new(Endless { position: 0, is_dry, door: door.clone(), came_at: None }),
    };
    let plan = Plan {
        intake: Box::new(FixedLanes::new(vec![opening])),
        past: None,
        template: LaneTemplate {
            history: None,
            settings: parts.settings,
            assets: parts.assets,
            delivery: parts.delivery,
            dormant: parts.dormant,
            deployments: parts.deployments,
            batch_rows_max: 16,
            schemas: None,
            past: None,
        },
        sink: Box::new(MemorySink::new()),
        store: Arc::new(MemoryStore::new()),
        pace: PaceSettings::default(),
        on_missing: OnMissing::Halt,
        observers: Vec::new(),
    };
    Pipeline::start(plan).unwrap()
}

fn wait_for(pipeline: &Pipeline, what: &str, is_there: impl Fn(&LaneSnapshot) -> bool) -> LaneSnapshot {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let lanes = pipeline.snapshot().lanes;
        if let Some(there) = lanes.into_iter().find(&is_there) {
            return there;
        }
        assert!(Instant::now() < until, "{what} does not happen");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn runs(lane: &LaneSnapshot, detector: &str, generation: u64) -> bool {
    lane.detectors.iter().any(|one| one.detector == detector && one.generation == generation)
}

fn want(pipeline: &Pipeline, deployments: Vec<Arc<Deployment>>) {
    pipeline.want(deployments, Vec::new(), Instant::now());
}

fn voltage() -> Arc<Deployment> {
    deployment(NativeModule::new("voltage", "voltage"), 0)
}

fn held(module: NativeModule, generation: u64, door: &Arc<Door>) -> Arc<Deployment> {
    let name = module.descriptor().name.clone();
    let plain = deployment(NativeModule::new(&name, ""), generation);
    let module = Held { module, door: door.clone() };
    Arc::new(Deployment { module: Arc::new(module), ..(*plain).clone() })
}

#[test]
fn a_candidate_that_is_slower_than_its_lane_is_refused_and_the_lane_waits_a_moment_for_it() {
    let door = Arc::new(Door::default());
    let pipeline = start(false, &door);
    let mut slow = NativeModule::versioned("every", "", 2);
    slow.batch_ms = 20;
    want(&pipeline, vec![held(slow, 1, &door), voltage()]);
    let lane = wait_for(&pipeline, "a refusal", |lane| lane.changes.refused.contains_key("every"));
    let fault = lane.changes.refused["every"].fault.to_string();
    assert!(fault.contains("it is slower than the lane: it comes to "), "{fault}");
    assert!(runs(&lane, "every", 0) && runs(&lane, "voltage", 0), "those who run go on");
    let [pause] = lane.changes.pauses[..] else { panic!("{:?}", lane.changes.pauses) };
    // A second, which the last of the waits may exceed by its own length; a wait may be long on a machine that is busy.
    assert!((Duration::from_secs(1)..Duration::from_secs(5)).contains(&pause), "{pause:?}");
    let next = wait_for(&pipeline, "a next reading", |now| now.position > lane.position);
    assert_eq!(next.changes.pauses.len(), 1, "it is not tried again");
    pipeline.drain();
    assert_eq!(pipeline.wait().1, Ok(()));
}

#[test]
fn what_is_wanted_meanwhile_does_not_wait_for_a_candidate() {
    let door = Arc::new(Door::default());
    let pipeline = start(true, &door);
    let first = held(NativeModule::versioned("every", "", 2), 1, &door);
    want(&pipeline, vec![first.clone(), voltage()]);
    wait_for(&pipeline, "a candidate", |_| door.has_come.load(Ordering::Acquire));
    // Another one leaves.
    want(&pipeline, vec![first]);
    let lane = wait_for(&pipeline, "a removal", |lane| !runs(lane, "voltage", 0));
    assert!(runs(&lane, "every", 0), "the candidate is still under way");
    // A newer one takes the candidate's place.
    want(&pipeline, vec![deployment(NativeModule::versioned("every", "", 3), 2)]);
    let lane = wait_for(&pipeline, "a newer one", |lane| runs(lane, "every", 2));
    assert!(lane.changes.refused.is_empty(), "{:?}", lane.changes.refused);
    // And a drain waits for nobody.
    let door_of_next = Arc::new(Door::default());
    want(&pipeline, vec![held(NativeModule::versioned("every", "", 4), 3, &door_of_next)]);
    wait_for(&pipeline, "a candidate", |_| door_of_next.has_come.load(Ordering::Acquire));
    pipeline.drain();
    assert_eq!(pipeline.wait().1, Ok(()));
    door.open();
    door_of_next.open();
}
