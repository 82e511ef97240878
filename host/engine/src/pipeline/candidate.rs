//! A candidate that catches up with its lane on a thread of its own, while the lane goes on.
//!
//! The lane waits for it for a moment, where it lags far behind; one that is slower than the lane is refused then.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, bounded, unbounded};
use gridwatch_core::judge::{Call, Fault};
use gridwatch_core::record::Position;

use crate::deployment::Deployment;
use crate::lane::{Apprentice, Base, Event};
use crate::priority::yield_to_lanes;
use crate::stopwatch::timed;

/// Candidates have more time than lanes.
const NICE: i32 = 3;
/// Beyond that the lane waits for the candidate. About two million readings: what a full lane reads in half a minute.
const BEHIND_BYTES_MAX: usize = 128 << 20;
/// In all, for one candidate; …
const WAITED_MAX: Duration = Duration::from_secs(1);
/// … and at a time: then the lane looks at what it is told, and takes another step.
const WAIT_MAX: Duration = Duration::from_millis(20);
const LISTEN_WAIT: Duration = Duration::from_millis(1);
/// A candidate that has not caught up by then never will. Meanwhile the lane makes no checkpoints.
const CATCH_UP_MAX: Duration = Duration::from_secs(60);

/// One that is under way.
pub struct Candidate {
    pub deployment: Arc<Deployment>,
    /// When it was asked for.
    pub since: Instant,
    /// Where it began.
    pub began: Position,
    /// How long the lane stood still for it so far, …
    pub paused: Duration,
    /// … of that while it caught up.
    waited: Duration,
    set_off: Instant,
    /// That the lane has read since.
    rows: u64,
    course: Arc<Course>,
    events: Sender<Event>,
    done: Receiver<Result<Done, Fault>>,
}

/// One that has caught up, and what it has not lived yet.
pub struct Done {
    pub apprentice: Apprentice,
    pub rest: Receiver<Event>,
}

/// How far it is, as both threads see it.
#[derive(Default)]
struct Course {
    /// What it took over the readings that it has lived.
    busy_ns: AtomicU64,
    rows: AtomicU64,
    /// What it has not lived yet.
    behind_bytes: AtomicUsize,
    /// Nobody waits for it.
    is_over: AtomicBool,
}

impl Candidate {
    /// It begins with what is in `base`, and the lane has stood still for so long for that. An error: there is no
    /// thread for it.
    pub fn set_off(
        deployment: Arc<Deployment>,
        base: Base,
        (since, began, paused): (Instant, Position, Duration),
    ) -> Result<Candidate, Fault> {
        let (events, to_live) = unbounded();
        let (finished, done) = bounded(1);
        let course = Arc::new(Course::default());
        let (candidate, its_course) = (deployment.clone(), course.clone());
        std::thread::Builder::new()
            .name(format!("candidate {}", deployment.name))
            .spawn(move || {
                yield_to_lanes(NICE);
                // Nobody listens where it is not wanted any more.
                drop(finished.send(catch_up(candidate, base, to_live, &its_course)));
            })
            .map_err(|error| Fault::Host {
                call: Call::Instantiate,
                what: format!("no thread for it: {error}"),
            })?;
        let (waited, set_off) = (Duration::ZERO, Instant::now());
        Ok(Candidate { deployment, since, began, paused, waited, set_off, rows: 0, course, events, done })
    }

    /// Takes what the lane has lived since last asked; waits a little where the candidate lags far behind. None: it
    /// is not there yet.
    pub fn go_on(&mut self, events: Vec<Event>) -> Option<Result<Done, Fault>> {
        for event in events {
            self.rows += event.rows();
            self.course.behind_bytes.fetch_add(event.bytes(), Ordering::AcqRel);
            // A candidate that has ended has said why.
            let _ = self.events.send(event);
        }
        let mut done = self.done.try_recv();
        let is_waited_for = matches!(done, Err(TryRecvError::Empty)) && self.is_far_behind();
        let begun = Instant::now();
        while is_waited_for
            && matches!(done, Err(TryRecvError::Empty))
            && self.is_far_behind()
            && begun.elapsed() < WAIT_MAX
        {
            done = self.done.recv_timeout(LISTEN_WAIT).map_err(|error| match error {
                RecvTimeoutError::Timeout => TryRecvError::Empty,
                RecvTimeoutError::Disconnected => TryRecvError::Disconnected,
            });
        }
        if is_waited_for {
            let took = begun.elapsed();
            self.waited += took;
            self.paused += took;
        }
        let is_given_up =
            (self.waited >= WAITED_MAX && self.is_far_behind()) || self.since.elapsed() > CATCH_UP_MAX;
        match done {
            Ok(done) => Some(done),
            Err(TryRecvError::Disconnected) => Some(Err(host("its thread has died; see the log".to_owned()))),
            Err(TryRecvError::Empty) if is_given_up => Some(Err(host(self.how_slow()))),
            Err(TryRecvError::Empty) => None,
        }
    }

    fn is_far_behind(&self) -> bool {
        self.course.behind_bytes.load(Ordering::Acquire) > BEHIND_BYTES_MAX
    }

    /// Why it is waited for no longer.
    fn how_slow(&self) -> String {
        let (rows, busy_ns) =
            (self.course.rows.load(Ordering::Acquire), self.course.busy_ns.load(Ordering::Acquire));
        let waited_s = self.waited.as_secs_f64();
        let after_s = self.set_off.elapsed().as_secs_f64();
        if rows == 0 {
            return format!(
                "it was not ready after {after_s:.1} s, in which the lane has read {} readings and has waited {waited_s:.1} \
                 s for it: what it takes over takes too long to restore",
                self.rows
            );
        }
        let lane_ns = (after_s - waited_s).max(0.0) * 1e9 / self.rows.max(1) as f64;
        format!(
            "it is slower than the lane: it comes to {} ns a reading, the lane to {lane_ns:.0}, and after {after_s:.1} s, of \
             which the lane has waited {waited_s:.1} s for it, it lags {} readings behind",
            busy_ns / rows,
            self.rows.saturating_sub(rows)
        )
    }
}

/// One that is not wanted any more ends.
impl Drop for Candidate {
    fn drop(&mut self) {
        self.course.is_over.store(true, Ordering::Release);
    }
}

fn host(what: String) -> Fault {
    Fault::Host { call: Call::Observe, what }
}

/// Until nothing is left to live, or it has failed, or nobody waits for it any more. What comes meanwhile the lane lives
/// with it itself: the pause is no longer than that takes.
fn catch_up(
    deployment: Arc<Deployment>,
    base: Base,
    events: Receiver<Event>,
    course: &Course,
) -> Result<Done, Fault> {
    let mut apprentice = Apprentice::new(deployment, base)?;
    while let Ok(event) = events.try_recv() {
        let (rows, bytes, mut took_ns) = (event.rows(), event.bytes(), 0);
        timed(&mut took_ns, || apprentice.live(event))?;
        course.busy_ns.fetch_add(took_ns, Ordering::AcqRel);
        course.rows.fetch_add(rows, Ordering::AcqRel);
        course.behind_bytes.fetch_sub(bytes, Ordering::AcqRel);
        if course.is_over.load(Ordering::Acquire) {
            return Err(host("it is not wanted any more".to_owned()));
        }
    }
    Ok(Done { apprentice, rest: events })
}
