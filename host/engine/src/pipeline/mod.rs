//! Threads and bounded queues around lanes and outlet.
//!
//! One thread a lane reads and judges ([`lane`]). One thread owns the outlet ([`outlet`]): a queue that is
//! full makes its lane wait, and a lane that waits does not read, so that backpressure reaches the source.
//! One thread owns the source's coming and going of lanes ([`intake`]); one stores checkpoints ([`vault`]); one drops
//! instances that have left their lanes.
//! A stop is a drain: each lane judges what it has read, saves itself, and its last parcel is committed
//! before the threads end.

mod candidate;
mod change;
mod intake;
mod lane;
mod outlet;
mod quarantine;
mod question;
mod recent;
mod vault;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{bounded, unbounded};
use gridwatch_core::Timestamp;
use gridwatch_core::account::Account;
use gridwatch_core::durations::Durations;
use gridwatch_core::intake::Intake;
use gridwatch_core::record::{Past, Position, SourceError};
use gridwatch_core::sink::{LaneId, Sink, SinkError, Store};
use serde::Serialize;

use crate::deployment::{Deployment, Mode};
use crate::history::History;
use crate::lane::{Counts, DetectorSnapshot, Lane, LaneParts, LaneTemplate};
use crate::outlet::{Observer, Outlet, OutletError};
use crate::priority::yield_to_lanes;
use crate::settings::{OnMissing, PaceSettings};
use crate::start::StartError;
use crate::worker::{Worker, WorkerError};

use change::Wanted;
pub use change::{ChangeReport, Outcome, Outcomes, Refused};
use question::Questions;
pub use question::{Answered, Question, Unasked};
pub use recent::Asked;

/// How long a thread waits for something before it looks whether it is to stop.
const WAIT_MAX: Duration = Duration::from_millis(50);
/// A lane that wakes the graveyard goes on before it.
const GRAVEYARD_NICE: i32 = 10;

/// Everything a run is made of.
pub struct Plan {
    pub intake: Box<dyn Intake>,
    /// What all lanes have in common.
    pub template: LaneTemplate,
    pub sink: Box<dyn Sink>,
    pub store: Arc<dyn Store>,
    /// What the source has given before, where it can be had: with the store's checkpoints, the lanes' history.
    pub past: Option<Arc<dyn Past>>,
    pub pace: PaceSettings,
    pub on_missing: OnMissing,
    pub observers: Vec<Box<dyn Observer>>,
}

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PipelineError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Sink(#[from] SinkError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Worker(#[from] WorkerError),
    #[error(transparent)]
    Outlet(#[from] OutletError),
    #[error("not all could be committed in time: {what}. Nothing is lost: it is read again")]
    Unsettled { what: &'static str },
    #[error("{what}: the thread cannot be started or has died: {cause}")]
    Thread { what: String, cause: String },
}

/// How a lane stands.
#[derive(Debug, Clone, Default, Serialize)]
pub struct LaneSnapshot {
    pub lane: String,
    pub position: Position,
    pub replaying: bool,
    /// The source had no more for it, or it was given up.
    pub has_ended: bool,
    pub event_time: Option<Timestamp>,
    pub watermark: Option<Timestamp>,
    pub sensors: usize,
    pub lag: Option<u64>,
    /// Since the last durable checkpoint of this process.
    pub checkpoint_age_seconds: Option<f64>,
    /// Of that checkpoint.
    pub checkpoint_bytes: u64,
    /// How long it stood still for its last one.
    pub checkpoint_pause: Option<Duration>,
    pub account: Account,
    pub detectors: Vec<DetectorSnapshot>,
    pub changes: ChangeReport,
}

/// How the outlet stands.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct OutletSnapshot {
    pub commits: u64,
    pub commit_seconds: f64,
    pub checkpoints: u64,
    pub checkpoint_bytes: u64,
    pub checkpoint_failures: u64,
    /// How long commits took that could be made.
    #[serde(skip)]
    pub commit_durations: Durations,
    /// How long checkpoints took to be stored.
    #[serde(skip)]
    pub checkpoint_durations: Durations,
    /// From the receipt of the oldest record of what a lane handed on at once to the commit that covers it.
    #[serde(skip)]
    pub end_to_end: Durations,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct Snapshot {
    pub lanes: Vec<LaneSnapshot>,
    /// What was counted on lanes that are not ours any more.
    pub gone: Account,
    /// Of these lanes, too.
    #[serde(skip)]
    pub changes_gone: Outcomes,
    #[serde(skip)]
    pub pauses_gone: Durations,
    /// What shadows had found on them, by detector.
    #[serde(skip)]
    pub shadows_gone: BTreeMap<String, Counts>,
    pub outlet: OutletSnapshot,
    /// Lanes that are ours but are still being loaded.
    pub opening: usize,
    /// Their names.
    pub opening_lanes: Vec<String>,
    /// The source has given us lanes at least once.
    pub assigned: bool,
    /// Since the thread that listens to the source last came by.
    pub intake_silence: Duration,
}

/// A running pipeline.
pub struct Pipeline {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    ended: AtomicBool,
    assigned: AtomicBool,
    /// When the intake's thread last came by.
    listened: Mutex<Option<Instant>>,
    lanes: Mutex<BTreeMap<LaneId, Arc<LaneShared>>>,
    gone: Mutex<Account>,
    changes_gone: Mutex<Outcomes>,
    pauses_gone: Mutex<Durations>,
    shadows_gone: Mutex<BTreeMap<String, Counts>>,
    outlet: Mutex<OutletSnapshot>,
    failure: Mutex<Option<PipelineError>>,
    /// What all lanes are to run, where that changes while they do.
    wanted: Mutex<Option<Arc<Wanted>>>,
    /// Grows with every change of it.
    wanted_version: AtomicU64,
}

/// What a lane's thread shares with the others.
#[derive(Default)]
struct LaneShared {
    order: AtomicU8,
    /// It has loaded its checkpoint and reads.
    open: AtomicBool,
    /// The outlet wants it saved.
    save_wanted: AtomicBool,
    snapshot: Mutex<LaneSnapshot>,
    /// When a checkpoint was last stored.
    checkpointed: Mutex<Option<Instant>>,
    /// Its name, until the lane has heard of it.
    durable: Mutex<Option<String>>,
    /// Of the checkpoint that was made last.
    checkpoint_bytes: AtomicU64,
    changes: Mutex<ChangeReport>,
    recent: recent::Answer,
    questions: Questions,
    /// What it was made of, for whoever lives its past again.
    parts: Mutex<Option<LaneParts>>,
}

/// What a lane's thread is to do other than to go on, which is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Order {
    /// Judge what was read, save, hand on, end.
    Finish = 1,
    /// End at once and say nothing.
    Abandon = 2,
}

/// What the intake's thread is told by the others.
enum Notice {
    /// The lane reads.
    Open,
    /// The lane's thread has ended.
    Ended(LaneId),
    /// The sink has lost what was on its way.
    Reset,
}

impl Pipeline {
    /// Recovers the sink and starts. Where all lanes are there from the beginning, all of them read when
    /// this returns; elsewhere they come as the source gives them.
    pub fn start(plan: Plan) -> Result<Pipeline, PipelineError> {
        let Plan { intake, template, mut sink, store, past, pace, on_missing, observers } = plan;
        let commits = sink.recover()?;
        let rebuild_max = pace.rebuild_max;
        let history = past.map(|source| History { source, store: store.clone(), rebuild_max });
        let template = LaneTemplate { delivery: sink.delivery(), history, ..template };
        let shared = Arc::new(Shared::default());
        let mut pipeline = Pipeline { shared: shared.clone(), threads: Vec::new() };
        let (parcels, parcels_in) = bounded(pace.lane_queue_batches_max.max(1));
        let (controls, controls_in) = unbounded();
        let (notices, notices_in) = unbounded();
        let (chores, chores_in) = unbounded();
        let (capsules, capsules_in) = bounded(vault::CAPSULES_MAX);
        let (stored, stored_in) = unbounded();
        let (opened, opened_in) = bounded(1);
        let (graveyard, retired) = unbounded();
        let openings = lane::Openings {
            template,
            commits,
            store: store.clone(),
            pace,
            on_missing,
            shared: shared.clone(),
            parcels,
            notices: notices.clone(),
            is_patient: !intake.is_fixed(),
            start: Instant::now(),
            graveyard,
        };
        pipeline.spawn("graveyard", move || {
            yield_to_lanes(GRAVEYARD_NICE);
            retired.into_iter().for_each(drop);
        })?;
        let ours = store.clone();
        pipeline.spawn("vault", move || vault::run(&*ours, &chores_in, &stored))?;
        pipeline.spawn("capsules", move || vault::keep(&*store, &capsules_in))?;
        let doors = outlet::Doors {
            parcels: parcels_in,
            controls: controls_in,
            stored: stored_in,
            chores,
            capsules,
            notices,
        };
        let outlet = Outlet::new(sink, observers).keeping(pace.history_window);
        let ours = shared.clone();
        pipeline.spawn("outlet", move || outlet::run(outlet, &doors, &ours, pace.commit_interval))?;
        let is_fixed = intake.is_fixed();
        pipeline.spawn("intake", move || intake::run(intake, openings, &notices_in, &controls, &opened))?;
        // Nobody answers where the intake has failed.
        if is_fixed && opened_in.recv().is_err() {
            let (_, result) = pipeline.wait();
            result?;
            return Err(PipelineError::Thread { what: "intake".into(), cause: "it ended at once".into() });
        }
        Ok(pipeline)
    }

    pub fn snapshot(&self) -> Snapshot {
        let lanes = lock(&self.shared.lanes);
        let open = lanes.values().filter(|lane| lane.open.load(Ordering::Acquire));
        let snapshots: Vec<LaneSnapshot> = open.map(|lane| lane.snapshot()).collect();
        Snapshot {
            opening: lanes.len() - snapshots.len(),
            opening_lanes: lanes
                .iter()
                .filter(|(_, lane)| !lane.open.load(Ordering::Acquire))
                .map(|(lane, _)| lane.to_string())
                .collect(),
            lanes: snapshots,
            gone: lock(&self.shared.gone).clone(),
            changes_gone: lock(&self.shared.changes_gone).clone(),
            pauses_gone: *lock(&self.shared.pauses_gone),
            shadows_gone: lock(&self.shared.shadows_gone).clone(),
            outlet: *lock(&self.shared.outlet),
            assigned: self.shared.assigned.load(Ordering::Acquire),
            intake_silence: lock(&self.shared.listened).map_or(Duration::ZERO, |at| at.elapsed()),
        }
    }

    /// What all lanes are to run from now on. Each comes to it in its own time, with what its detectors know; a
    /// snapshot tells how far they are. `dormant` are names that are not to run, and keep what they know for when
    /// they are. `read_at` is when somebody began to find out: lanes that are opened later wait for what is found out
    /// later, since whoever had them before may have known more.
    pub fn want(&self, deployments: Vec<Arc<Deployment>>, dormant: Vec<String>, read_at: Instant) {
        let named = deployments.into_iter().map(|deployment| (deployment.name.clone(), deployment));
        let (deployments, shadows) =
            named.partition(|(_, deployment): &(String, Arc<Deployment>)| deployment.mode == Mode::Live);
        let wanted = Wanted { read_at, deployments, shadows, dormant };
        *lock(&self.shared.wanted) = Some(Arc::new(wanted));
        self.shared.wanted_version.fetch_add(1, Ordering::AcqRel);
    }

    /// Asks all lanes for what they have just read.
    pub fn ask_recent(&self) -> Asked {
        let lanes = lock(&self.shared.lanes);
        let open = lanes.values().filter(|lane| lane.open.load(Ordering::Acquire));
        Asked::of(open.cloned().collect())
    }

    /// Asks a lane something. It answers between two batches, a little at a time.
    pub fn ask(&self, lane: &str, question: Question) -> Result<(), Unasked> {
        let lanes = lock(&self.shared.lanes);
        let asked = lanes.iter().find(|(id, of)| *id.name == *lane && of.open.load(Ordering::Acquire));
        asked.ok_or(Unasked::Gone)?.1.questions.put(question)
    }

    /// A lane's past, and what it takes to live that again: what it was made of, with what it is to run now. `None`
    /// where the lane is not here, or its source has no past.
    pub fn past(&self, lane: &str) -> Option<(History, LaneParts)> {
        let shared = lock(&self.shared.lanes).iter().find(|(id, _)| *id.name == *lane)?.1.clone();
        let mut parts = lock(&shared.parts).clone()?;
        if let Some(wanted) = &*lock(&self.shared.wanted) {
            parts.deployments = wanted.deployments.values().cloned().collect();
        }
        Some((parts.history.clone()?, parts))
    }

    /// Whether it was asked to drain.
    pub fn is_draining(&self) -> bool {
        self.shared.stop.load(Ordering::Acquire)
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
                self.shared.fail(PipelineError::Thread { what: "a thread".into(), cause });
            }
        }
        let failure = lock(&self.shared.failure).take();
        (self.snapshot(), failure.map_or(Ok(()), Err))
    }

    fn spawn(&mut self, name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), PipelineError> {
        match std::thread::Builder::new().name(name.to_owned()).spawn(work) {
            Ok(thread) => {
                self.threads.push(thread);
                Ok(())
            }
            Err(error) => {
                self.drain();
                Err(PipelineError::Thread { what: name.to_owned(), cause: error.to_string() })
            }
        }
    }
}

impl Shared {
    /// The first failure counts; all stop.
    fn fail(&self, error: PipelineError) {
        lock(&self.failure).get_or_insert(error);
        self.stop.store(true, Ordering::Release);
    }

    fn lane(&self, lane: &LaneId) -> Option<Arc<LaneShared>> {
        lock(&self.lanes).get(lane).cloned()
    }

    /// The lane is not ours any more; what it counted stays counted.
    fn retire(&self, lane: &LaneId) {
        if let Some(lane) = lock(&self.lanes).remove(lane) {
            let LaneSnapshot { mut account, detectors, .. } = lane.snapshot();
            account.given_up += std::mem::take(&mut account.pending);
            lock(&self.gone).add(&account);
            let mut shadows = lock(&self.shadows_gone);
            for here in detectors {
                if let Some(comparison) = here.comparison {
                    shadows.entry(here.detector).or_default().add(comparison.counts);
                }
            }
            let mut gone = lock(&self.changes_gone);
            let changes = lock(&lane.changes);
            lock(&self.pauses_gone).add(&changes.pause_durations);
            for (change, count) in &changes.outcomes {
                *gone.entry(change.clone()).or_default() += count;
            }
        }
    }
}

impl LaneShared {
    /// An order is never taken back, only made stricter.
    fn order(&self, order: Order) {
        self.order.fetch_max(order as u8, Ordering::AcqRel);
    }

    fn is_ordered(&self, order: Order) -> bool {
        self.order.load(Ordering::Acquire) >= order as u8
    }

    fn want_saved(&self) {
        self.save_wanted.store(true, Ordering::Release);
    }

    fn snapshot(&self) -> LaneSnapshot {
        let checkpoint_age_seconds = lock(&self.checkpointed).map(|since| since.elapsed().as_secs_f64());
        let changes = lock(&self.changes).clone();
        let checkpoint_bytes = self.checkpoint_bytes.load(Ordering::Relaxed);
        let has_ended = self.questions.is_closed();
        let snapshot = lock(&self.snapshot).clone();
        LaneSnapshot { checkpoint_age_seconds, checkpoint_bytes, changes, has_ended, ..snapshot }
    }

    fn show(&self, worker: &Worker) {
        let lane = worker.lane();
        let snapshot = LaneSnapshot {
            lane: lane.name().to_owned(),
            position: lane.next(),
            replaying: lane.is_replaying(),
            has_ended: false,
            event_time: lane.event_time(),
            watermark: lane.watermark(),
            sensors: lane.sensors(),
            lag: worker.lag(),
            account: lane.account(),
            checkpoint_age_seconds: None,
            checkpoint_bytes: 0,
            checkpoint_pause: worker.checkpoint_pause(),
            detectors: lane.detectors().collect(),
            changes: ChangeReport::default(),
        };
        *lock(&self.snapshot) = snapshot;
    }
}

/// A snapshot is whole whoever panicked while holding it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
