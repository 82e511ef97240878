//! A lane's thread: loads what was committed of it, reads and judges until it is told to stop.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{SendTimeoutError, Sender};
use gridwatch_core::intake::Opening;
use gridwatch_core::record::{Feed, SourceError};
use gridwatch_core::sink::{Commits, LaneCommit, LaneId, SinkError, Store};

use super::change::Changes;
use super::quarantine::Quarantines;
use super::{LaneShared, Notice, Order, PipelineError, Shared, WAIT_MAX, lock};
use crate::lane::{LaneParts, LaneTemplate, Retired};
use crate::outlet::first_checkpoint_name;
use crate::settings::{OnMissing, PaceSettings};
use crate::start::{Begun, StartError, begin};
use crate::vault;
use crate::worker::{Parcel, Step, Worker, WorkerError};

/// How often a lane shows how it stands.
const SNAPSHOT_INTERVAL: Duration = Duration::from_millis(20);
/// Between two tries to load a lane.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// What opening a lane takes.
pub struct Openings {
    pub template: LaneTemplate,
    pub commits: Arc<dyn Commits>,
    pub store: Arc<dyn Store>,
    pub pace: PaceSettings,
    pub on_missing: OnMissing,
    pub shared: Arc<Shared>,
    pub parcels: Sender<(LaneId, Parcel)>,
    pub notices: Sender<Notice>,
    /// Waits for a store or a broker that is away, rather than to fail.
    pub is_patient: bool,
    pub start: Instant,
    /// Where those go who leave a lane.
    pub graveyard: Sender<Retired>,
}

/// A lane's thread as the intake's sees it.
pub struct Running {
    pub shared: Arc<LaneShared>,
    pub thread: JoinHandle<()>,
}

impl Openings {
    /// Starts the lane's thread.
    pub fn spawn(self: &Arc<Self>, opening: Opening) -> Result<Running, PipelineError> {
        let (lane, shared) = (opening.lane.clone(), Arc::new(LaneShared::default()));
        lock(&self.shared.lanes).insert(lane.clone(), shared.clone());
        let thread = Thread { lane: lane.clone(), shared: shared.clone(), openings: self.clone() };
        let spawned = std::thread::Builder::new().name(format!("lane {lane}")).spawn(move || {
            if let Err(error) = thread.run(opening) {
                thread.openings.shared.fail(error);
            }
            thread.shared.questions.close();
            // An intake that is gone has seen to it.
            let _ = thread.openings.notices.send(Notice::Ended(thread.lane));
        });
        let thread = spawned.map_err(|error| PipelineError::Thread {
            what: format!("lane {lane}"),
            cause: error.to_string(),
        })?;
        Ok(Running { shared, thread })
    }
}

struct Thread {
    lane: LaneId,
    shared: Arc<LaneShared>,
    openings: Arc<Openings>,
}

impl Thread {
    fn run(&self, opening: Opening) -> Result<(), PipelineError> {
        let Openings { template, pace, start, .. } = &*self.openings;
        let Opening { origin, source, format, mut feed, .. } = opening;
        let mut parts = template.parts(&self.lane, origin, source, format);
        if let Some(wanted) = &*lock(&self.openings.shared.wanted) {
            parts.deployments = wanted.deployments.values().cloned().collect();
        }
        *lock(&self.shared.parts) = Some(parts.clone());
        let Some(Begun { lane, commit }) = self.load(&parts, &mut *feed)? else { return Ok(()) };
        // Before anybody hears that it is open: what is wanted from then on counts.
        let changes = Changes::new();
        let is_new = commit.is_none();
        let mut worker = match Worker::new(lane, feed, *pace, start.elapsed()) {
            Err(WorkerError::Source(SourceError::Revoked { .. })) => return Ok(()),
            worker => worker?,
        };
        worker.lane_mut().retire_to(self.openings.graveyard.clone());
        let commit = match commit {
            Some(commit) => commit,
            None => match self.save_first(&mut worker)? {
                Some(commit) => commit,
                None => return Ok(()),
            },
        };
        *lock(&self.shared.checkpointed) = Some(Instant::now());
        worker.lane_mut().set_durable(commit.checkpoint.clone());
        self.hand_on(Parcel::Opened { commit, is_new });
        self.shared.show(&worker);
        self.shared.open.store(true, Ordering::Release);
        let _ = self.openings.notices.send(Notice::Open);
        let ended = self.work(&mut worker, changes);
        self.shared.show(&worker);
        match ended {
            Err(WorkerError::Source(SourceError::Revoked { .. })) => Ok(()),
            ended => Ok(ended?),
        }
    }

    fn work(&self, worker: &mut Worker, mut changes: Changes) -> Result<(), WorkerError> {
        let mut hand_on = |parcel| self.hand_on(parcel);
        let mut shown = Duration::ZERO;
        let mut quarantines = Quarantines::default();
        loop {
            if self.shared.is_ordered(Order::Abandon) {
                return Ok(());
            }
            if self.shared.is_ordered(Order::Finish) {
                return worker.finish(&mut hand_on);
            }
            let now = self.openings.start.elapsed();
            let wanted = self.shared.save_wanted.swap(false, Ordering::AcqRel);
            if let Some(name) = lock(&self.shared.durable).take() {
                worker.lane_mut().set_durable(name);
            }
            let wait = if self.shared.questions.is_empty() { WAIT_MAX } else { Duration::ZERO };
            let step = worker.step(now, wait, wanted, &mut hand_on)?;
            self.shared.questions.answer(worker.lane());
            if now >= shown + SNAPSHOT_INTERVAL {
                shown = now;
                self.shared.show(worker);
            }
            if step == Step::Ended {
                return Ok(());
            }
            self.shared.recent.give(worker.lane());
            changes.step(worker, &self.openings.shared, &self.shared)?;
            if quarantines.step(worker.lane_mut(), &self.openings.pace)? {
                self.shared.want_saved();
            }
        }
    }

    /// Waits where the queue is full: that is backpressure. An outlet that is gone has failed and said so.
    fn hand_on(&self, parcel: Parcel) {
        let mut item = (self.lane.clone(), parcel);
        while !self.shared.is_ordered(Order::Abandon) {
            match self.openings.parcels.send_timeout(item, WAIT_MAX) {
                Err(SendTimeoutError::Timeout(back)) => item = back,
                Ok(()) => return,
                Err(SendTimeoutError::Disconnected(_)) => {
                    self.shared.order(Order::Abandon);
                    return;
                }
            }
        }
    }

    /// The lane as the last commit has it. None: told to stop meanwhile.
    fn load(&self, parts: &LaneParts, feed: &mut dyn Feed) -> Result<Option<Begun>, PipelineError> {
        let Openings { commits, store, on_missing, .. } = &*self.openings;
        let mut missed: Option<LaneCommit> = None;
        while !self.shared.is_ordered(Order::Finish) {
            let error = match commits.last(&self.lane) {
                Err(error @ SinkError::Busy { .. }) => PipelineError::from(error),
                Err(error) => return Err(error.into()),
                Ok(commit) => {
                    let begun =
                        begin(parts.clone(), commit.clone(), &**store, *on_missing, || feed.beginning());
                    match begun {
                        Ok(begun) => return Ok(Some(begun)),
                        Err(StartError::Source(SourceError::Revoked { .. })) => return Ok(None),
                        Err(error @ StartError::Source(SourceError::Away { .. })) => error.into(),
                        // Somebody else may have owned the lane until just now, and have gone on.
                        Err(StartError::Missing { name, .. }) if missed != commit => {
                            missed = commit;
                            tracing::debug!(name, "the checkpoint is missing; reading the commit again");
                            continue;
                        }
                        Err(error @ StartError::Store { .. }) => error.into(),
                        Err(error) => return Err(error.into()),
                    }
                }
            };
            self.wait_after(error)?;
        }
        Ok(None)
    }

    /// A lane without a past is saved before it says anything, so that every commit names a checkpoint.
    fn save_first(&self, worker: &mut Worker) -> Result<Option<LaneCommit>, PipelineError> {
        let mut saved = None;
        worker.checkpoint(&mut |parcel| {
            if let Parcel::Checkpoint { checkpoint, .. } = parcel {
                saved = Some(checkpoint);
            }
        })?;
        let Some(saved) = saved else { return Ok(None) };
        let (lane, position) = (&self.lane.name, saved.position);
        let failed = |what| StartError::Store { lane: self.lane.to_string(), what };
        let bytes = vault::encoded(lane, *saved).map_err(failed)?;
        let checkpoint = first_checkpoint_name(lane, position, &bytes);
        while !self.shared.is_ordered(Order::Finish) {
            match self.openings.store.put(&checkpoint, bytes.clone()) {
                Ok(()) => {
                    return Ok(Some(LaneCommit { position, checkpoint, decisions: Vec::new() }));
                }
                Err(what) => self.wait_after(failed(what).into())?,
            }
        }
        Ok(None)
    }

    /// Where lanes come and go, a store that is away is waited for.
    fn wait_after(&self, error: PipelineError) -> Result<(), PipelineError> {
        if !self.openings.is_patient {
            return Err(error);
        }
        tracing::warn!(lane = %self.lane, "cannot begin yet, tries again: {error}");
        let until = Instant::now() + RETRY_INTERVAL;
        while Instant::now() < until && !self.shared.is_ordered(Order::Finish) {
            std::thread::sleep(WAIT_MAX);
        }
        Ok(())
    }
}
