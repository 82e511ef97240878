//! What the engine's tests share.
#![allow(dead_code, reason = "each test binary uses a part")]

pub mod judge;
pub mod life;
pub mod readings;

use std::sync::Arc;
use std::time::Duration;

use gridwatch_connectors::memory::MemorySink;
use gridwatch_core::anomaly::Origin;
use gridwatch_core::assets::Assets;
use gridwatch_core::decode::DecodeSettings;
use gridwatch_core::judge::{Limits, Module};
use gridwatch_core::record::{Feed, RecordFormat};
use gridwatch_core::sink::{Delivery, LaneCommit, LaneId, Sink, Store};
use gridwatch_engine::deployment::{Deployment, Mode, OnFault, OnNewState};
use gridwatch_engine::lane::LaneParts;
use gridwatch_engine::outlet::{Outlet, first_checkpoint_name};
use gridwatch_engine::settings::{LaneSettings, OnMissing, PaceSettings};
use gridwatch_engine::start::begin;
use gridwatch_engine::worker::{Parcel, Worker};

use judge::{NativeModule, NoLog};

/// A detector as the roster's generation has it; without a roster that is 0.
pub fn deployment(module: NativeModule, generation: u64) -> Arc<Deployment> {
    Arc::new(Deployment {
        name: module.descriptor().name.clone(),
        module: Arc::new(module),
        parameters: "{}".into(),
        limits: Limits::default(),
        on_fault: OnFault::Quarantine,
        on_new_state: OnNewState::Refuse,
        faults_max: 5,
        generation,
        came_ms: None,
        rollback_window: Duration::from_secs(60),
        mode: Mode::Live,
        log: Arc::new(NoLog),
    })
}

/// A lane with two native detectors: one of all quantities, one of voltages.
pub fn parts(rows_max: usize) -> LaneParts {
    let deploy = |name: &str, prefix| deployment(NativeModule::new(name, prefix), 0);
    LaneParts {
        name: "0".into(),
        origin: Origin::File { file: "readings.jsonl".into() },
        settings: LaneSettings {
            decode: DecodeSettings::default(),
            format: RecordFormat::Json,
            assets_digest: String::new(),
            tick_ms: 10_000,
            lateness_ms: 5_000,
            time_ahead_max_ms: 300_000,
            time_ahead_reject_max_ms: 172_800_000,
            sensors_max: 5,
            checks_schemas: false,
        },
        assets: Arc::new(Assets::default()),
        source: Vec::new(),
        delivery: Delivery::ExactlyOnce,
        dormant: Vec::new(),
        deployments: vec![deploy("every", ""), deploy("voltage", "voltage")],
        batch_rows_max: rows_max,
        schemas: None,
        past: None,
        history: None,
    }
}

pub fn lane() -> LaneId {
    LaneId::only("0")
}

/// One life of a process with one lane, as the pipeline's threads begin it.
pub fn open(
    parts: LaneParts,
    sink: &MemorySink,
    store: &dyn Store,
    feed: Box<dyn Feed>,
    pace: PaceSettings,
) -> (Worker, Outlet) {
    let mut handle: Box<dyn Sink> = Box::new(sink.clone());
    let commits = handle.recover().unwrap();
    let parts = LaneParts { delivery: handle.delivery(), ..parts };
    let begun = begin(parts, commits.last(&lane()).unwrap(), store, OnMissing::Halt, || Ok(0)).unwrap();
    let mut outlet = Outlet::new(handle, Vec::new());
    let mut worker = Worker::new(begun.lane, feed, pace, Duration::ZERO).unwrap();
    let (commit, is_new) = match begun.commit {
        Some(commit) => (commit, false),
        None => (save_first(&mut worker, store), true),
    };
    worker.lane_mut().set_durable(commit.checkpoint.clone());
    outlet.receive(&lane(), Parcel::Opened { commit, is_new }).unwrap();
    outlet.settle().unwrap();
    (worker, outlet)
}

pub fn save_first(worker: &mut Worker, store: &dyn Store) -> LaneCommit {
    let mut commit = None;
    let mut hand_on = |parcel| {
        let Parcel::Checkpoint { checkpoint, .. } = parcel else { return };
        let (position, bytes) = (checkpoint.position, checkpoint.encode().unwrap());
        let checkpoint = first_checkpoint_name("0", position, &bytes);
        store.put(&checkpoint, bytes).unwrap();
        commit = Some(LaneCommit { position, checkpoint, decisions: vec![] });
    };
    worker.checkpoint(&mut hand_on).unwrap();
    commit.unwrap()
}
