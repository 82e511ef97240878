//! What a lane is to run, against what it runs: one difference after the other is mended, between batches.
//!
//! A candidate begins with what the one in the seat knows and catches up on a thread of its own, on what the lane
//! has lived since. Whoever wants something says what all lanes are to run; each comes to it in its own time, also
//! one that is opened later.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use gridwatch_core::durations::Durations;
use gridwatch_core::judge::Fault;
use serde::Serialize;

use super::candidate::{Candidate, Done};
use super::{LaneShared, Shared, lock};
use crate::deployment::{Deployment, Mode};
use crate::lane::{Base, Fallen, Lane, LaneError};
use crate::worker::Worker;

/// A state that takes longer to save is saved for a candidate only where a checkpoint saves it anyway.
const SAVE_AT_ONCE_MAX: Duration = Duration::from_millis(1);

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

impl Wanted {
    /// Still, and nothing newer in its place.
    fn is_wanted(&self, deployment: &Deployment) -> bool {
        let of_mode = match deployment.mode {
            Mode::Live => &self.deployments,
            Mode::Shadow => &self.shadows,
        };
        of_mode.get(&deployment.name).is_some_and(|wanted| wanted.generation == deployment.generation)
    }
}

/// How often what has become of changes, by detector and outcome.
pub type Outcomes = BTreeMap<(String, Outcome), u64>;

/// What has become of changes in a lane.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ChangeReport {
    #[serde(skip)]
    pub outcomes: Outcomes,
    /// How long the lane stood still for each that took a seat, or was waited for and did not, the last ones.
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
    loaded: Instant,
    /// Of what is wanted, as of when there was nothing left to do.
    seen: u64,
    /// It begins at the next checkpoint.
    awaiting: Option<(Arc<Deployment>, Instant)>,
    under_way: Option<Candidate>,
    /// Of what is wanted, as of when a candidate was under way.
    looked_at: u64,
    /// Who is kept warm, by name, and until when. None before the first look: those were kept by an earlier life.
    warm: Option<BTreeMap<String, Warm>>,
}

/// A build that is kept to go back to, for the window of the one that came.
struct Warm {
    generation: u64,
    until: Instant,
}

enum Next {
    Bring(Arc<Deployment>),
    Remove { detector: String, is_kept: bool },
    Unshade(String),
}

impl Changes {
    /// Of a lane that was loaded just now: who had it before knew no more than what is found out from now on.
    pub fn new() -> Self {
        Changes { loaded: Instant::now(), seen: 0, awaiting: None, under_way: None, looked_at: 0, warm: None }
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
        let version = shared.wanted_version.load(Ordering::Acquire);
        let known = if self.under_way.is_some() { &mut self.looked_at } else { &mut self.seen };
        let wanted = if version == *known { None } else { lock(&shared.wanted).clone() };
        let wanted = wanted.filter(|wanted| wanted.read_at >= self.loaded && lane.may_change());
        if let Some(candidate) = self.under_way.take() {
            let overtaken = wanted.as_ref().is_some_and(|wanted| !wanted.is_wanted(&candidate.deployment));
            if overtaken {
                let (detector, generation) = (&candidate.deployment.name, candidate.deployment.generation);
                tracing::info!(lane = lane.name(), detector, generation, "is not wanted any more");
                lane.forget_candidate();
                return Ok(());
            }
            let busy_with = candidate.deployment.name.clone();
            self.go_on(candidate, lane, ours)?;
            // Others do not wait for it who need no catching up.
            return match wanted.filter(|_| self.under_way.is_some()) {
                Some(wanted) => self.come_to(&wanted, version, Some(&busy_with), worker, ours),
                None => Ok(()),
            };
        }
        match wanted {
            Some(wanted) => self.come_to(&wanted, version, None, worker, ours),
            None => Ok(()),
        }
    }

    /// The next difference is mended; where a candidate is under way, none that takes another one.
    fn come_to(
        &mut self,
        wanted: &Wanted,
        version: u64,
        busy_with: Option<&str>,
        worker: &mut Worker,
        ours: &LaneShared,
    ) -> Result<(), LaneError> {
        let lane = worker.lane_mut();
        match next(lane, wanted, busy_with, ours) {
            None if busy_with.is_some() => self.looked_at = version,
            None => self.seen = version,
            Some(Next::Remove { detector, is_kept }) => {
                let runs = lane.generations().any(|(name, _)| name == detector);
                lane.remove(&detector, is_kept)?;
                let position = lane.next();
                if runs {
                    tracing::info!(lane = lane.name(), detector, position, "runs no more");
                    ours.note(&detector, Mode::Live, Outcome::Removed);
                } else {
                    tracing::info!(
                        lane = lane.name(),
                        detector,
                        position,
                        "what it knew is not kept any longer"
                    );
                }
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
        if self.under_way.is_some() {
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
        match Candidate::set_off(deployment.clone(), base, (since, lane.next(), paused)) {
            Ok(candidate) => self.under_way = Some(candidate),
            Err(fault) => {
                lane.forget_candidate();
                refuse(&deployment, fault, lane, ours);
            }
        }
    }

    fn go_on(
        &mut self,
        mut candidate: Candidate,
        lane: &mut Lane,
        ours: &LaneShared,
    ) -> Result<(), LaneError> {
        if !lane.is_preparing() {
            // A checkpoint was more urgent: it begins again.
            return Ok(());
        }
        let fault = match candidate.go_on(lane.take_events()) {
            None => {
                self.under_way = Some(candidate);
                return Ok(());
            }
            Some(Ok(done)) => match self.hand_over(&candidate, done, lane, ours)? {
                Ok(()) => return Ok(()),
                Err(fault) => fault,
            },
            Some(Err(fault)) => fault,
        };
        lane.forget_candidate();
        refuse(&candidate.deployment, fault, lane, ours);
        ours.paused(candidate.paused);
        Ok(())
    }

    /// The inner error: the candidate has failed, and everything is as it was.
    fn hand_over(
        &mut self,
        candidate: &Candidate,
        Done { mut apprentice, rest }: Done,
        lane: &mut Lane,
        ours: &LaneShared,
    ) -> Result<Result<(), Fault>, LaneError> {
        let begun = Instant::now();
        if let Err(fault) = rest.try_iter().try_for_each(|event| apprentice.live(event)) {
            return Ok(Err(fault));
        }
        if let Err(fault) = lane.swap(apprentice)? {
            return Ok(Err(fault));
        }
        let Candidate { deployment, since, began, paused, .. } = candidate;
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

    /// What was kept warm for long enough is let go. The time of one that an earlier life has kept goes on from when
    /// the roster brought what took its place.
    fn cool(&mut self, lane: &mut Lane) {
        let now = Instant::now();
        let is_ours = self.warm.is_some() && lane.may_change();
        let mut known = self.warm.take().unwrap_or_default();
        let mut warm = BTreeMap::new();
        for (detector, generation) in lane.kept_warm() {
            let known = known.remove(detector).filter(|known| known.generation == generation);
            let known = known.unwrap_or_else(|| {
                let (window, came_ms) = lane.rollback_window(detector);
                let over = if is_ours { Duration::ZERO } else { came_ms.map_or(Duration::ZERO, since) };
                Warm { generation, until: now + window.saturating_sub(over) }
            });
            warm.insert(detector.to_owned(), known);
        }
        warm.retain(|detector, warm| {
            let is_kept = now < warm.until;
            if !is_kept {
                lane.let_go(detector);
                tracing::debug!(lane = lane.name(), detector, "what ran before is not kept any longer");
            }
            is_kept
        });
        self.warm = Some(warm);
    }
}

/// How long ago that was, in ms since 1970.
fn since(came_ms: i64) -> Duration {
    let came = UNIX_EPOCH + Duration::from_millis(came_ms.max(0) as u64);
    SystemTime::now().duration_since(came).unwrap_or_default()
}

/// The first thing that is not as it should be. What was refused here is not tried again.
/// While a candidate is under way, only what takes no other one, and is not about that detector.
fn next(lane: &Lane, wanted: &Wanted, busy_with: Option<&str>, ours: &LaneShared) -> Option<Next> {
    let is_free = |name: &str| busy_with != Some(name);
    let may_come = |deployment: &Deployment| {
        busy_with.is_none() || (is_free(&deployment.name) && lane.takes_seat_at_once(deployment))
    };
    let is_named = |name: &str| {
        let is_dormant = wanted.dormant.iter().any(|dormant| dormant == name);
        is_dormant || wanted.deployments.contains_key(name) || wanted.shadows.contains_key(name)
    };
    // What was taken out long ago is not remembered any longer.
    if let Some(detector) = lane.dormant().find(|name| is_free(name) && !is_named(name)) {
        return Some(Next::Remove { detector: detector.to_owned(), is_kept: false });
    }
    let running: BTreeMap<&str, u64> = lane.generations().filter(|(name, _)| is_free(name)).collect();
    if let Some(detector) = running.keys().find(|name| !wanted.deployments.contains_key(**name)) {
        return Some(Next::Remove { detector: (*detector).to_owned(), is_kept: is_named(detector) });
    }
    let mut report = lock(&ours.changes);
    // Nobody goes back a generation: what runs may be newer than what this process has heard of.
    if let Some(deployment) = newer(&wanted.deployments, &running, report.refused_of(Mode::Live), may_come) {
        return Some(Next::Bring(deployment));
    }
    let shadows: BTreeMap<&str, u64> = lane.shadows().filter(|(name, _)| is_free(name)).collect();
    if let Some(detector) = shadows.keys().find(|name| !wanted.shadows.contains_key(**name)) {
        return Some(Next::Unshade((*detector).to_owned()));
    }
    newer(&wanted.shadows, &shadows, report.refused_of(Mode::Shadow), may_come).map(Next::Bring)
}

/// The first that is newer than what is there under its name, and was not refused.
fn newer(
    wanted: &BTreeMap<String, Arc<Deployment>>,
    there: &BTreeMap<&str, u64>,
    refused: &BTreeMap<String, Refused>,
    may_come: impl Fn(&Deployment) -> bool,
) -> Option<Arc<Deployment>> {
    let is_newer = |deployment: &&Arc<Deployment>| {
        let (name, generation) = (deployment.name.as_str(), deployment.generation);
        there.get(name).is_none_or(|known| *known < generation)
            && refused.get(name).is_none_or(|refused| refused.generation < generation)
            && may_come(deployment)
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
