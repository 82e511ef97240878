//! What a lane is to run, against what it runs: one difference after the other is mended, between batches.
//!
//! A candidate begins with what the one in the seat knows and catches up on a thread of its own, on what the lane
//! has lived since. Whoever wants something says what all lanes are to run; each comes to it in its own time, also
//! one that is opened later.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use gridwatch_core::durations::Durations;
use gridwatch_core::judge::{Call, Fault};
use gridwatch_core::record::Position;
use serde::Serialize;

use super::{LaneShared, Shared, lock};
use crate::deployment::{Deployment, Mode};
use crate::lane::{Apprentice, Base, Event, Fallen, Lane, LaneError};
use crate::worker::Worker;

/// So near behind, the lane lets the candidate live the rest itself: the pause is no longer than that takes.
const EVENTS_NEAR: usize = 2;
/// Beyond this the lane waits for the candidate: a batch a piece, so some tens of MiB.
const EVENTS_MAX: usize = 512;
/// For a candidate that is too slow to catch up; meanwhile the lane makes no checkpoints.
const CATCH_UP_MAX: Duration = Duration::from_secs(60);
/// A state that takes longer to save is saved for a candidate only where a checkpoint saves it anyway.
const SAVE_AT_ONCE_MAX: Duration = Duration::from_millis(1);
const LISTEN_WAIT: Duration = Duration::from_millis(1);

/// What all lanes are to run.
pub struct Wanted {
    /// When it was asked for. A lane that was somebody else's may be ahead of what was known before it came.
    pub read_at: Instant,
    /// Those that are heard, by name.
    pub deployments: BTreeMap<String, Arc<Deployment>>,
    /// Those that shadow them, or nobody.
    pub shadows: BTreeMap<String, Arc<Deployment>>,
    /// Not to run, and to keep what they know.
    pub dormant: Vec<String>,
}

/// How often what has become of changes, by detector and outcome.
pub type Outcomes = BTreeMap<(String, Outcome), u64>;

/// What has become of changes in a lane.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ChangeReport {
    #[serde(skip)]
    pub outcomes: Outcomes,
    /// How long the lane stood still for each that took a seat, the last ones.
    pub pauses: Vec<Duration>,
    /// Of all of them.
    #[serde(skip)]
    pub pause_durations: Durations,
    /// Of the generation that is wanted: why it does not run here.
    pub refused: BTreeMap<String, Refused>,
    /// The same of shadows.
    pub shadows_refused: BTreeMap<String, Refused>,
}

impl ChangeReport {
    fn refused_of(&mut self, mode: Mode) -> &mut BTreeMap<String, Refused> {
        match mode {
            Mode::Live => &mut self.refused,
            Mode::Shadow => &mut self.shadows_refused,
        }
    }
}

/// How many pauses are kept to be looked at.
const PAUSES_MAX: usize = 256;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Swapped,
    WentBack,
    /// The same goes on, under other settings.
    Renamed,
    /// It judges beside what runs, and is not heard.
    Shadows,
    /// What shadowed is heard.
    Promoted,
    /// It shadows no more.
    Unshaded,
    Removed,
    /// The one before it goes on.
    Failed,
}

impl Outcome {
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Swapped => "swapped",
            Outcome::WentBack => "went_back",
            Outcome::Renamed => "renamed",
            Outcome::Shadows => "shadows",
            Outcome::Promoted => "promoted",
            Outcome::Unshaded => "unshaded",
            Outcome::Removed => "removed",
            Outcome::Failed => "failed",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Refused {
    pub generation: u64,
    pub fault: Fault,
}

/// A lane's changes, in its thread.
pub struct Changes {
    opened: Instant,
    /// Of what is wanted, as of when there was nothing left to do.
    seen: u64,
    /// It begins at the next checkpoint.
    awaiting: Option<(Arc<Deployment>, Instant)>,
    under_way: Option<UnderWay>,
    warm_since: BTreeMap<String, (Instant, Duration)>,
}

/// A candidate that catches up.
struct UnderWay {
    deployment: Arc<Deployment>,
    since: Instant,
    /// Where it began, and how long the lane stood still for that.
    began: Position,
    paused: Duration,
    events: Sender<Event>,
    done: Receiver<Done>,
}

/// The candidate, and what it has not lived yet.
type Done = Result<(Apprentice, Receiver<Event>), Fault>;

enum Next {
    Bring(Arc<Deployment>),
    Remove { detector: String, is_kept: bool },
    Unshade(String),
}

impl Changes {
    /// Of a lane that is open from now on.
    pub fn new() -> Self {
        Changes {
            opened: Instant::now(),
            seen: 0,
            awaiting: None,
            under_way: None,
            warm_since: BTreeMap::new(),
        }
    }

    /// Between two steps of the worker.
    pub fn step(&mut self, worker: &mut Worker, shared: &Shared, ours: &LaneShared) -> Result<(), LaneError> {
        if let Some((deployment, since)) = self.awaiting.take() {
            match worker.take_begun() {
                Some(base) => self.set_off(deployment, base, since, Duration::ZERO, worker.lane_mut(), ours),
                None => self.awaiting = Some((deployment, since)),
            }
            return Ok(());
        }
        let lane = worker.lane_mut();
        self.cool(lane);
        for Fallen { detector, generation, mode, fault } in lane.take_fallen() {
            ours.refuse(&detector, generation, mode, fault);
        }
        if let Some(under_way) = self.under_way.take() {
            return self.go_on(under_way, lane, ours);
        }
        let version = shared.wanted_version.load(Ordering::Acquire);
        if version == self.seen || !lane.may_change() {
            return Ok(());
        }
        let Some(wanted) = lock(&shared.wanted).clone() else { return Ok(()) };
        if wanted.read_at < self.opened {
            return Ok(());
        }
        match next(lane, &wanted, ours) {
            None => self.seen = version,
            Some(Next::Remove { detector, is_kept }) => {
                lane.remove(&detector, is_kept)?;
                tracing::info!(lane = lane.name(), detector, position = lane.next(), "runs no more");
                ours.note(&detector, Mode::Live, Outcome::Removed);
            }
            Some(Next::Unshade(detector)) => {
                lane.unshade(&detector)?;
                tracing::info!(lane = lane.name(), detector, position = lane.next(), "shadows no more");
                ours.note(&detector, Mode::Shadow, Outcome::Unshaded);
            }
            Some(Next::Bring(deployment)) => self.bring(deployment, worker, ours)?,
        }
        Ok(())
    }

    fn bring(
        &mut self,
        deployment: Arc<Deployment>,
        worker: &mut Worker,
        ours: &LaneShared,
    ) -> Result<(), LaneError> {
        let since = Instant::now();
        let lane = worker.lane_mut();
        if let Some(outcome) = take_seat_at_once(&deployment, lane)? {
            let (detector, generation) = (&deployment.name, deployment.generation);
            let (lane, position) = (lane.name(), lane.next());
            match outcome {
                Outcome::Promoted => tracing::info!(lane, detector, generation, position, "promoted"),
                Outcome::Renamed => {
                    tracing::info!(lane, detector, generation, position, "goes on under other settings");
                }
                _ => tracing::info!(lane, detector, generation, position, "went back"),
            }
            ours.note(detector, Mode::Live, outcome);
            ours.paused(since.elapsed());
            return Ok(());
        }
        if lane.prepare_time(&deployment.name).is_some_and(|time| time > SAVE_AT_ONCE_MAX) {
            worker.await_checkpoint(deployment.clone());
            self.awaiting = Some((deployment, since));
            return Ok(());
        }
        let base = lane.prepare(&deployment)?;
        self.set_off(deployment, base, since, since.elapsed(), lane, ours);
        Ok(())
    }

    /// The candidate catches up with the lane, which stood still for so long when it began.
    fn set_off(
        &mut self,
        deployment: Arc<Deployment>,
        base: Base,
        since: Instant,
        paused: Duration,
        lane: &mut Lane,
        ours: &LaneShared,
    ) {
        let (events, to_live) = unbounded();
        let (finished, done) = bounded(1);
        let candidate = deployment.clone();
        let spawned =
            std::thread::Builder::new().name(format!("candidate {}", deployment.name)).spawn(move || {
                yield_to_lanes();
                drop(finished.send(catch_up(candidate, base, to_live)));
            });
        match spawned {
            Ok(_) => {
                let began = lane.next();
                self.under_way = Some(UnderWay { deployment, since, began, paused, events, done });
            }
            Err(error) => {
                lane.forget_candidate();
                let what = format!("no thread for it: {error}");
                refuse(&deployment, Fault::Host { call: Call::Instantiate, what }, lane, ours);
            }
        }
    }

    fn go_on(&mut self, under_way: UnderWay, lane: &mut Lane, ours: &LaneShared) -> Result<(), LaneError> {
        if !lane.is_preparing() {
            // A checkpoint was more urgent: it begins again.
            return Ok(());
        }
        for event in lane.take_events() {
            // A candidate that has ended has said why.
            let _ = under_way.events.send(event);
        }
        let mut done = under_way.done.try_recv();
        while under_way.events.len() > EVENTS_MAX && matches!(done, Err(error) if error.is_empty()) {
            done = under_way.done.recv_timeout(LISTEN_WAIT).map_err(|error| match error {
                crossbeam_channel::RecvTimeoutError::Timeout => crossbeam_channel::TryRecvError::Empty,
                crossbeam_channel::RecvTimeoutError::Disconnected => {
                    crossbeam_channel::TryRecvError::Disconnected
                }
            });
            if under_way.since.elapsed() > CATCH_UP_MAX {
                break;
            }
        }
        let host = |what: &str| Fault::Host { call: Call::Observe, what: what.to_owned() };
        let fault = match done {
            Ok(Ok((candidate, rest))) => match self.hand_over(&under_way, candidate, &rest, lane, ours)? {
                Ok(()) => return Ok(()),
                Err(fault) => fault,
            },
            Ok(Err(fault)) => fault,
            Err(crossbeam_channel::TryRecvError::Disconnected) => host("its thread has died; see the log"),
            Err(crossbeam_channel::TryRecvError::Empty) if under_way.since.elapsed() > CATCH_UP_MAX => {
                host("it did not catch up with the lane within a minute: it costs more than the lane itself")
            }
            Err(crossbeam_channel::TryRecvError::Empty) => {
                self.under_way = Some(under_way);
                return Ok(());
            }
        };
        lane.forget_candidate();
        refuse(&under_way.deployment, fault, lane, ours);
        Ok(())
    }

    /// The inner error: the candidate has failed, and everything is as it was.
    fn hand_over(
        &mut self,
        under_way: &UnderWay,
        mut candidate: Apprentice,
        rest: &Receiver<Event>,
        lane: &mut Lane,
        ours: &LaneShared,
    ) -> Result<Result<(), Fault>, LaneError> {
        let begun = Instant::now();
        if let Err(fault) = rest.try_iter().try_for_each(|event| candidate.live(event)) {
            return Ok(Err(fault));
        }
        if let Err(fault) = lane.swap(candidate)? {
            return Ok(Err(fault));
        }
        let UnderWay { deployment, since, began, paused, .. } = under_way;
        let paused = *paused + begun.elapsed();
        let (detector, generation) = (&deployment.name, deployment.generation);
        let (what, outcome) = match deployment.mode {
            Mode::Live => ("swapped", Outcome::Swapped),
            Mode::Shadow => ("shadows", Outcome::Shadows),
        };
        tracing::info!(
            lane = lane.name(),
            detector,
            generation,
            began,
            position = lane.next(),
            pause_ms = paused.as_secs_f64() * 1e3,
            after_ms = since.elapsed().as_millis() as u64,
            "{what}"
        );
        ours.note(detector, deployment.mode, outcome);
        ours.paused(paused);
        Ok(Ok(()))
    }

    /// What was kept warm for long enough is let go.
    fn cool(&mut self, lane: &mut Lane) {
        if lane.kept_warm().next().is_none() {
            self.warm_since.clear();
            return;
        }
        let now = Instant::now();
        let mut cold = Vec::new();
        for detector in lane.kept_warm() {
            let (since, window) = match self.warm_since.get(detector) {
                Some(known) => *known,
                None => {
                    let window = lane.rollback_window(detector);
                    self.warm_since.insert(detector.to_owned(), (now, window));
                    (now, window)
                }
            };
            if now >= since + window {
                cold.push(detector.to_owned());
            }
        }
        for detector in cold {
            self.warm_since.remove(&detector);
            lane.let_go(&detector);
            tracing::debug!(lane = lane.name(), detector, "what ran before is not kept any longer");
        }
    }
}

/// The first thing that is not as it should be. What was refused here is not tried again.
fn next(lane: &Lane, wanted: &Wanted, ours: &LaneShared) -> Option<Next> {
    let running: BTreeMap<&str, u64> = lane.generations().collect();
    if let Some(detector) = running.keys().find(|name| !wanted.deployments.contains_key(**name)) {
        let is_kept = wanted.shadows.contains_key(*detector)
            || wanted.dormant.iter().any(|dormant| dormant == detector);
        return Some(Next::Remove { detector: (*detector).to_owned(), is_kept });
    }
    let mut report = lock(&ours.changes);
    // Nobody goes back a generation: what runs may be newer than what this process has heard of.
    if let Some(deployment) = newer(&wanted.deployments, &running, report.refused_of(Mode::Live)) {
        return Some(Next::Bring(deployment));
    }
    let shadows: BTreeMap<&str, u64> = lane.shadows().collect();
    if let Some(detector) = shadows.keys().find(|name| !wanted.shadows.contains_key(**name)) {
        return Some(Next::Unshade((*detector).to_owned()));
    }
    newer(&wanted.shadows, &shadows, report.refused_of(Mode::Shadow)).map(Next::Bring)
}

/// The first that is newer than what is there under its name, and was not refused.
fn newer(
    wanted: &BTreeMap<String, Arc<Deployment>>,
    there: &BTreeMap<&str, u64>,
    refused: &BTreeMap<String, Refused>,
) -> Option<Arc<Deployment>> {
    let is_newer = |deployment: &&Arc<Deployment>| {
        let (name, generation) = (deployment.name.as_str(), deployment.generation);
        there.get(name).is_none_or(|known| *known < generation)
            && refused.get(name).is_none_or(|refused| refused.generation < generation)
    };
    wanted.values().find(is_newer).cloned()
}

/// Who is warm in the lane, in the seat, kept from before or as a shadow, needs no catching up.
fn take_seat_at_once(deployment: &Arc<Deployment>, lane: &mut Lane) -> Result<Option<Outcome>, LaneError> {
    if deployment.mode == Mode::Shadow {
        return Ok(None);
    }
    if lane.rename(deployment)? {
        return Ok(Some(Outcome::Renamed));
    }
    if lane.go_back(deployment)? {
        return Ok(Some(Outcome::WentBack));
    }
    Ok(lane.promote(deployment)?.then_some(Outcome::Promoted))
}

fn refuse(deployment: &Deployment, fault: Fault, lane: &Lane, ours: &LaneShared) {
    let (detector, generation) = (deployment.name.clone(), deployment.generation);
    tracing::error!(lane = lane.name(), detector, generation, "does not take the seat: {fault}");
    ours.refuse(&detector, generation, deployment.mode, fault);
}

/// Candidates have more time than lanes. Where it cannot be so, they take what they get.
fn yield_to_lanes() {
    const NICE: i32 = 5;
    // Of this thread alone, as Linux has it.
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!(%error, "a candidate's thread has the priority of a lane's");
    }
}

/// Until it is near, or has failed, or nobody waits for it any more.
fn catch_up(deployment: Arc<Deployment>, base: Base, events: Receiver<Event>) -> Done {
    let mut candidate = Apprentice::new(deployment, base)?;
    loop {
        while events.len() > EVENTS_NEAR
            && let Ok(event) = events.try_recv()
        {
            candidate.live(event)?;
        }
        if events.len() <= EVENTS_NEAR {
            return Ok((candidate, events));
        }
    }
}

impl LaneShared {
    fn note(&self, detector: &str, mode: Mode, outcome: Outcome) {
        let mut report = lock(&self.changes);
        *report.outcomes.entry((detector.to_owned(), outcome)).or_default() += 1;
        report.refused_of(mode).remove(detector);
    }

    fn refuse(&self, detector: &str, generation: u64, mode: Mode, fault: Fault) {
        self.note(detector, mode, Outcome::Failed);
        lock(&self.changes).refused_of(mode).insert(detector.to_owned(), Refused { generation, fault });
    }

    fn paused(&self, pause: Duration) {
        let mut report = lock(&self.changes);
        if report.pauses.len() >= PAUSES_MAX {
            report.pauses.remove(0);
        }
        report.pauses.push(pause);
        report.pause_durations.note(pause);
    }
}
