//! A running pipeline that the HTTP servers may look at.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use gridwatch_connectors::kafka::Group;
use gridwatch_engine::deployment::Deployment;
use gridwatch_engine::foundry::Evidence;
use gridwatch_engine::history::History;
use gridwatch_engine::lane::LaneParts;
use gridwatch_engine::pipeline::{Pipeline, PipelineError, Question, Snapshot, Unasked};

use super::Registered;
use super::sample::{Label, sample};
use crate::admission::is_name;
use crate::foundry::{Board, Steps};
use crate::metrics::{self, HttpSample, Sample};

/// How often somebody who waits looks whether it is over.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// Handles are copies of one thing. Before the start and after the end there is no pipeline.
#[derive(Clone, Default)]
pub struct Running {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    pipeline: Option<Pipeline>,
    labels: Vec<Label>,
    registered: Option<Registered>,
    group: Option<Group>,
    alone_since: Option<Instant>,
    steps: Steps,
    board: Arc<Board>,
}

impl Running {
    /// Detectors as `/metrics` names them.
    pub fn relabel(&self, labels: Vec<Label>) {
        self.lock().labels = labels;
    }

    pub fn labels(&self) -> Vec<Label> {
        self.lock().labels.clone()
    }

    /// What is to run, and what may not.
    pub fn board(&self) -> Arc<Board> {
        self.lock().board.clone()
    }

    pub fn show(&self, board: Board) {
        self.lock().board = Arc::new(board);
    }

    /// Asks a lane something; it answers between two batches.
    pub fn ask(&self, lane: &str, question: Question) -> Result<(), Unasked> {
        self.lock().pipeline.as_ref().ok_or(Unasked::Gone)?.ask(lane, question)
    }

    /// A lane's past, where it can be lived again.
    pub fn past(&self, lane: &str) -> Option<(History, LaneParts)> {
        self.lock().pipeline.as_ref()?.past(lane)
    }

    pub fn is_draining(&self) -> bool {
        self.lock().pipeline.as_ref().is_some_and(Pipeline::is_draining)
    }

    /// What all lanes are to run from now on, and who does not run but keeps what it knows.
    pub fn want(&self, deployments: Vec<Arc<Deployment>>, dormant: Vec<String>, read_at: Instant) {
        if let Some(pipeline) = &self.lock().pipeline {
            pipeline.want(deployments, dormant, read_at);
        }
    }

    /// What lanes have just read, as far as they say so in time.
    pub fn recent(&self, patience: Duration, most: usize) -> Vec<Evidence> {
        let asked = self.lock().pipeline.as_ref().map(Pipeline::ask_recent);
        asked.map(|asked| asked.wait(patience, most)).unwrap_or_default()
    }

    /// Whose state `/metrics` tells, too.
    pub fn checks_by(&self, registered: &Registered) {
        self.lock().registered = Some(registered.clone());
    }

    /// What was done about files in the detectors directory, which `/metrics` tells, too.
    pub fn counts(&self, steps: Steps) {
        self.lock().steps = steps;
    }

    /// Whose clients' figures `/metrics` tells, too.
    pub fn reads_from(&self, group: Group) {
        self.lock().group = Some(group);
    }

    /// Since when its clients are connected to no broker, where they should be to one.
    pub fn alone_since(&self) -> Option<Instant> {
        let mut shared = self.lock();
        let [(_, consumer), _] = shared.group.as_ref()?.figures();
        if consumer.brokers_up > 0 {
            shared.alone_since = None;
        } else {
            shared.alone_since.get_or_insert_with(Instant::now);
        }
        shared.alone_since
    }

    pub fn started(&self, pipeline: Pipeline) {
        self.lock().pipeline = Some(pipeline);
    }

    pub fn snapshot(&self) -> Snapshot {
        let shared = self.lock();
        shared.pipeline.as_ref().map(Pipeline::snapshot).unwrap_or_default()
    }

    /// The text of `/metrics`.
    pub fn metrics(&self, is_ready: bool, http: HttpSample) -> String {
        let snapshot = self.snapshot();
        let shared = {
            let shared = self.lock();
            let (labels, board) = (shared.labels.clone(), shared.board.clone());
            (labels, board, shared.registered.clone(), shared.group.clone(), shared.steps.counts())
        };
        let (labels, board, registered, group, steps) = shared;
        let kafka = group.map(|group| group.figures().into()).unwrap_or_default();
        let registry = registered.map(|registered| registered.sample());
        let refused = board.refused.keys().filter(|name| is_name(name)).cloned().collect();
        let sample = sample(&snapshot, &labels);
        metrics::text(&Sample { is_ready, refused, http, registry, kafka, steps, ..sample })
    }

    pub fn drain(&self) {
        if let Some(pipeline) = &self.lock().pipeline {
            pipeline.drain();
        }
    }

    fn has_ended(&self) -> bool {
        self.lock().pipeline.as_ref().is_none_or(Pipeline::has_ended)
    }

    /// Until the pipeline has ended. `look` is called again and again and says whether to go on; once it
    /// does not, the pipeline is asked to drain.
    pub fn wait(&self, mut look: impl FnMut(&Running) -> bool) -> (Snapshot, Result<(), PipelineError>) {
        let mut drains = false;
        while !self.has_ended() {
            if !look(self) && !drains {
                drains = true;
                self.drain();
            }
            std::thread::sleep(LOOK_INTERVAL);
        }
        let pipeline = self.lock().pipeline.take();
        match pipeline {
            Some(pipeline) => pipeline.wait(),
            None => (Snapshot::default(), Ok(())),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether `duration`, if there is one, is over.
pub fn is_over(since: Instant, duration: Option<Duration>) -> bool {
    duration.is_some_and(|duration| since.elapsed() >= duration)
}
