//! Threads and bounded queues around lanes and outlet: one thread a lane, one for the outlet.
//!
//! A queue that is full makes its lane wait, and a lane that waits does not read: backpressure reaches the
//! source. A stop is a drain: each lane judges what it has read, saves itself, and its last parcel is
//! committed before the threads end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use gridwatch_core::Timestamp;
use gridwatch_core::account::Account;
use gridwatch_core::record::{Feed, Position};
use gridwatch_core::sink::{Sink, SinkError, Store};
use serde::Serialize;

use crate::lane::{DetectorSnapshot, LaneParts};
use crate::outlet::{Observer, Outlet, OutletError};
use crate::settings::{OnMissing, PaceSettings};
use crate::start::{StartError, begin};
use crate::worker::{Parcel, Step, Worker, WorkerError};

/// How long a lane waits in its feed before it looks whether it is to stop.
const WAIT_MAX: Duration = Duration::from_millis(50);
/// How often a lane shows how it stands.
const SNAPSHOT_INTERVAL: Duration = Duration::from_millis(20);

/// Everything a run is made of.
pub struct Plan {
    pub lanes: Vec<(LaneParts, Box<dyn Feed>)>,
    pub sink: Box<dyn Sink>,
    pub store: Arc<dyn Store>,
    pub pace: PaceSettings,
    pub on_missing: OnMissing,
    pub observer: Option<Observer>,
}

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PipelineError {
    #[error(transparent)]
    Sink(#[from] SinkError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Worker(#[from] WorkerError),
    #[error(transparent)]
    Outlet(#[from] OutletError),
    #[error("{what}: the thread cannot be started or has died: {cause}")]
    Thread { what: String, cause: String },
}

/// How a lane stands.
#[derive(Debug, Clone, Default, Serialize)]
pub struct LaneSnapshot {
    pub lane: String,
    pub position: Position,
    pub replaying: bool,
    pub event_time: Option<Timestamp>,
    pub watermark: Option<Timestamp>,
    pub sensors: usize,
    pub lag: Option<u64>,
    /// Since the last durable checkpoint of this process.
    pub checkpoint_age_seconds: Option<f64>,
    pub account: Account,
    pub detectors: Vec<DetectorSnapshot>,
}

/// How the outlet stands.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct OutletSnapshot {
    pub commits: u64,
    pub commit_seconds: f64,
    pub checkpoints: u64,
    pub checkpoint_bytes: u64,
    pub checkpoint_failures: u64,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct Snapshot {
    pub lanes: Vec<LaneSnapshot>,
    pub outlet: OutletSnapshot,
}

/// A running pipeline.
pub struct Pipeline {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    stop: AtomicBool,
    ended: AtomicBool,
    /// By lane: the outlet wants it saved.
    wanted: Vec<AtomicBool>,
    lanes: Vec<Mutex<LaneSnapshot>>,
    /// By lane: when a checkpoint was last stored.
    checkpointed: Vec<Mutex<Option<Instant>>>,
    outlet: Mutex<OutletSnapshot>,
    failure: Mutex<Option<PipelineError>>,
    start: Instant,
}

enum Item {
    Parcel(usize, Parcel),
    Ended,
}

impl Pipeline {
    /// Recovers the sink, gives every lane its beginning, and starts. When this returns, all lanes read.
    pub fn start(plan: Plan) -> Result<Pipeline, PipelineError> {
        let Plan { lanes, mut sink, store, pace, on_missing, observer } = plan;
        let commit = sink.recover()?;
        let start = Instant::now();
        let names: Vec<String> = lanes.iter().map(|(parts, _)| parts.name.clone()).collect();
        let mut outlet = Outlet::new(sink, store.clone(), commit.clone(), observer)?;
        let mut workers = Vec::with_capacity(lanes.len());
        for (parts, feed) in lanes {
            let named = commit.as_ref().and_then(|commit| commit.lanes.get(&parts.name));
            let begun = begin(parts, named, &*store, on_missing)?;
            let mut worker = Worker::new(begun.lane, feed, pace, start.elapsed())?;
            if begun.is_new {
                let name = worker.lane().name().to_owned();
                let mut parcels = Vec::new();
                worker.checkpoint(&mut |parcel| parcels.push(parcel))?;
                for parcel in parcels {
                    outlet.receive(&name, parcel)?;
                }
            }
            workers.push(worker);
        }
        // New lanes are named from the first moment on.
        outlet.settle()?;
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            wanted: names.iter().map(|_| AtomicBool::new(false)).collect(),
            lanes: names.iter().map(|_| Mutex::default()).collect(),
            checkpointed: names.iter().map(|_| Mutex::default()).collect(),
            outlet: Mutex::default(),
            failure: Mutex::new(None),
            start,
        });
        let (sender, receiver) = bounded(pace.lane_queue_batches_max.max(1));
        let mut pipeline = Pipeline { shared: shared.clone(), threads: Vec::new() };
        for (at, worker) in workers.into_iter().enumerate() {
            shared.show(at, &worker);
            let (shared, sender) = (shared.clone(), sender.clone());
            pipeline.spawn(format!("lane-{at}"), move || lane_thread(at, worker, &shared, &sender))?;
        }
        drop(sender);
        pipeline.spawn("outlet".into(), move || {
            let result = outlet_thread(&mut outlet, &names, &receiver, &shared, pace.commit_interval);
            if let Err(error) = result {
                shared.fail(error.into());
            }
            // Lanes that still wait to hand something on are woken by the queue's end.
            drop(receiver);
            shared.ended.store(true, Ordering::Release);
        })?;
        Ok(pipeline)
    }

    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            lanes: self.shared.lanes.iter().zip(&self.shared.checkpointed).map(lane_snapshot).collect(),
            outlet: *lock(&self.shared.outlet),
        }
    }

    /// Asks for a drain; `wait` sees its end.
    pub fn drain(&self) {
        self.shared.stop.store(true, Ordering::Release);
    }

    pub fn has_ended(&self) -> bool {
        self.shared.ended.load(Ordering::Acquire)
    }

    /// Until everything that was read is judged and committed, or something failed.
    pub fn wait(mut self) -> (Snapshot, Result<(), PipelineError>) {
        for thread in std::mem::take(&mut self.threads) {
            if thread.join().is_err() {
                let cause = "it panicked; see the log".to_owned();
                self.shared.fail(PipelineError::Thread { what: "a lane or the outlet".into(), cause });
            }
        }
        let failure = lock(&self.shared.failure).take();
        (self.snapshot(), failure.map_or(Ok(()), Err))
    }

    fn spawn(&mut self, name: String, work: impl FnOnce() + Send + 'static) -> Result<(), PipelineError> {
        let what = name.clone();
        match std::thread::Builder::new().name(name).spawn(work) {
            Ok(thread) => {
                self.threads.push(thread);
                Ok(())
            }
            Err(error) => {
                self.drain();
                Err(PipelineError::Thread { what, cause: error.to_string() })
            }
        }
    }
}

impl Shared {
    fn fail(&self, error: PipelineError) {
        lock(&self.failure).get_or_insert(error);
        self.stop.store(true, Ordering::Release);
    }

    fn show(&self, at: usize, worker: &Worker) {
        let lane = worker.lane();
        let snapshot = LaneSnapshot {
            lane: lane.name().to_owned(),
            position: lane.next(),
            replaying: lane.is_replaying(),
            event_time: lane.event_time(),
            watermark: lane.watermark(),
            sensors: lane.sensors(),
            lag: worker.lag(),
            account: lane.account(),
            checkpoint_age_seconds: None,
            detectors: lane.detectors().collect(),
        };
        *lock(&self.lanes[at]) = snapshot;
    }
}

fn lane_thread(at: usize, mut worker: Worker, shared: &Shared, sender: &Sender<Item>) {
    if let Err(error) = run_lane(at, &mut worker, shared, sender) {
        shared.fail(error.into());
    }
    shared.show(at, &worker);
    // If the outlet is gone there is nobody to tell.
    let _ = sender.send(Item::Ended);
}

fn run_lane(
    at: usize,
    worker: &mut Worker,
    shared: &Shared,
    sender: &Sender<Item>,
) -> Result<(), WorkerError> {
    // An outlet that is gone has failed and has said so; the lane then stops.
    let mut hand_on = |parcel| {
        if sender.send(Item::Parcel(at, parcel)).is_err() {
            shared.stop.store(true, Ordering::Release);
        }
    };
    let mut shown = Duration::ZERO;
    loop {
        if shared.stop.load(Ordering::Acquire) {
            return worker.finish(&mut hand_on);
        }
        let now = shared.start.elapsed();
        let wanted = shared.wanted[at].swap(false, Ordering::AcqRel);
        let step = worker.step(now, WAIT_MAX, wanted, &mut hand_on)?;
        if now >= shown + SNAPSHOT_INTERVAL {
            shown = now;
            shared.show(at, worker);
        }
        if step == Step::Ended {
            return Ok(());
        }
    }
}

fn outlet_thread(
    outlet: &mut Outlet,
    names: &[String],
    receiver: &Receiver<Item>,
    shared: &Shared,
    commit_interval: Duration,
) -> Result<(), OutletError> {
    let mut lanes_left = names.len();
    let mut commit_due = Instant::now() + commit_interval;
    while lanes_left > 0 {
        match receiver.recv_deadline(commit_due) {
            Ok(Item::Parcel(at, parcel)) => {
                if let Parcel::Checkpoint { bytes, .. } = &parcel {
                    let mut snapshot = lock(&shared.outlet);
                    snapshot.checkpoints += 1;
                    snapshot.checkpoint_bytes = bytes.len() as u64;
                }
                let is_checkpoint = matches!(parcel, Parcel::Checkpoint { .. });
                let failures = outlet.checkpoint_failures();
                if outlet.receive(&names[at], parcel)? {
                    shared.wanted[at].store(true, Ordering::Release);
                }
                if is_checkpoint && outlet.checkpoint_failures() == failures {
                    *lock(&shared.checkpointed[at]) = Some(Instant::now());
                }
            }
            Ok(Item::Ended) => lanes_left -= 1,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if Instant::now() >= commit_due {
            settle(outlet, shared)?;
            commit_due = Instant::now() + commit_interval;
        }
    }
    settle(outlet, shared)
}

fn lane_snapshot((lane, checkpointed): (&Mutex<LaneSnapshot>, &Mutex<Option<Instant>>)) -> LaneSnapshot {
    let checkpoint_age_seconds = lock(checkpointed).map(|since| since.elapsed().as_secs_f64());
    LaneSnapshot { checkpoint_age_seconds, ..lock(lane).clone() }
}

fn settle(outlet: &mut Outlet, shared: &Shared) -> Result<(), OutletError> {
    let start = Instant::now();
    outlet.settle()?;
    let mut snapshot = lock(&shared.outlet);
    snapshot.commits += 1;
    snapshot.commit_seconds += start.elapsed().as_secs_f64();
    snapshot.checkpoint_failures = outlet.checkpoint_failures();
    Ok(())
}

/// A snapshot is whole whoever panicked while holding it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
