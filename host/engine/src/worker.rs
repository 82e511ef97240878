//! A lane at work: reads its feed, cuts batches in time, and hands on what there is to publish.
//!
//! One step at a time and told the time, so that a test can drive it and stop it anywhere.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gridwatch_core::checkpoint::Checkpoint;
use gridwatch_core::decision::Decision;
use gridwatch_core::record::{Chunk, Feed, FeedStatus, SourceError};
use gridwatch_core::sink::LaneCommit;

use crate::deployment::Deployment;
use crate::lane::{Base, Lane, LaneError, NamedCapsule, Output};
use crate::settings::PaceSettings;
use crate::stopwatch::{self, timed};

/// What a lane hands to the outlet, in this order and no other.
#[derive(Debug, Clone, PartialEq)]
pub enum Parcel {
    /// The lane begins, from what was committed of it. All that it says comes later.
    Opened { commit: LaneCommit, is_new: bool },
    Output {
        output: Output,
        /// When the oldest record that it follows from was received.
        received: Option<Instant>,
    },
    /// To be kept in the store.
    Capsule(NamedCapsule),
    /// The lane as of the checkpoint's position; all output before it was handed on before.
    Checkpoint {
        checkpoint: Box<Checkpoint>,
        /// Committed by an earlier life, and not come to yet: they are not in it.
        ahead: Vec<Decision>,
    },
}

/// Whether the worker is to be stepped again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Again,
    /// The source has ended and everything is handed on.
    Ended,
}

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum WorkerError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Lane(#[from] LaneError),
}

/// A candidate waits no longer for a checkpoint, …
const AWAITED_MAX: Duration = Duration::from_secs(10);
/// … and for none that holds the lane up as little as that.
const SHORT_MAX: Duration = Duration::from_millis(20);

pub struct Worker {
    lane: Lane,
    feed: Box<dyn Feed>,
    pace: PaceSettings,
    chunk: Chunk,
    /// When the oldest reading of the batch in the making came.
    waiting_since: Option<Duration>,
    /// The same, for statistics: of all that was not handed on.
    received: Option<Instant>,
    checkpoint_due: Duration,
    records_since_checkpoint: u64,
    /// When it was last told to go on.
    stepped: Duration,
    /// When something was last read.
    read_last: Duration,
    /// Event time when something was last read, to let it go on from there.
    event_time_last: Option<i64>,
    /// Whose state the next checkpoint hands on, too.
    awaited: Option<Arc<Deployment>>,
    begun: Option<Base>,
    /// How long the lane stood still for its last checkpoint.
    checkpoint_pause: Option<Duration>,
}

impl Worker {
    /// `now` is any clock that only goes forward, as in `step`. The feed is moved to where the lane begins.
    pub fn new(
        lane: Lane,
        mut feed: Box<dyn Feed>,
        pace: PaceSettings,
        now: Duration,
    ) -> Result<Self, WorkerError> {
        feed.seek(lane.next())?;
        let event_time_last = lane.event_time();
        Ok(Worker {
            lane,
            feed,
            pace,
            chunk: Chunk::default(),
            waiting_since: None,
            received: None,
            checkpoint_due: now + pace.checkpoint_interval,
            records_since_checkpoint: 0,
            stepped: now,
            read_last: now,
            event_time_last,
            awaited: None,
            begun: None,
            checkpoint_pause: None,
        })
    }

    pub fn lane(&self) -> &Lane {
        &self.lane
    }

    /// The lane between two steps, for who changes what sits in it.
    pub fn lane_mut(&mut self) -> &mut Lane {
        &mut self.lane
    }

    /// A candidate for a seat whose state takes long to save begins at the lane's next checkpoint, where it is saved
    /// anyway. Where the last one was short, that is made now; else in its time, so that the lane stands still no more
    /// often than it does without candidates. One that is far off is made earlier. `take_begun` has where it begins.
    pub fn await_checkpoint(&mut self, deployment: Arc<Deployment>) {
        self.awaited = Some(deployment);
        let is_short = self.checkpoint_pause.is_some_and(|pause| pause <= SHORT_MAX);
        let wait_max = if is_short { Duration::ZERO } else { AWAITED_MAX };
        self.checkpoint_due = self.checkpoint_due.min(self.stepped + wait_max);
    }

    /// Where the candidate that was waited for begins, once there was a checkpoint; the lane's tape runs since then.
    pub fn take_begun(&mut self) -> Option<Base> {
        self.begun.take()
    }

    /// How long the lane stood still for its last checkpoint.
    pub fn checkpoint_pause(&self) -> Option<Duration> {
        self.checkpoint_pause
    }

    pub fn lag(&self) -> Option<u64> {
        self.feed.lag()
    }

    /// Reads once, waiting at most `wait`, and judges what is due.
    pub fn step(
        &mut self,
        now: Duration,
        wait: Duration,
        checkpoint_wanted: bool,
        hand_on: &mut dyn FnMut(Parcel),
    ) -> Result<Step, WorkerError> {
        self.lane.breathe();
        self.stepped = now;
        self.chunk.clear();
        let wait = self
            .waiting_since
            .map_or(wait, |since| wait.min((since + self.pace.batch_delay).saturating_sub(now)));
        let polled = self.feed.poll(&mut self.chunk, wait);
        if !self.chunk.records.is_empty() {
            self.received.get_or_insert_with(stopwatch::now);
        }
        // What was read before an error counts.
        for record in self.chunk.iter() {
            self.lane.accept(&record)?;
        }
        self.records_since_checkpoint += self.chunk.records.len() as u64;
        self.lane.look_for_mapped(&self.chunk);
        let status = polled?;
        if status == FeedStatus::Away {
            // Silence of the source, not of the sensors.
            self.read_last = now;
        } else if self.chunk.records.is_empty() {
            self.idle(now, status)?;
        } else {
            self.read_last = now;
            self.event_time_last = self.lane.event_time();
            self.waiting_since.get_or_insert(now);
        }
        let due = self.waiting_since.is_some_and(|since| now >= since + self.pace.batch_delay);
        if due || status != FeedStatus::More {
            self.lane.flush()?;
        }
        if self.lane.pending() == 0 {
            self.waiting_since = None;
        }
        if status == FeedStatus::End && self.lane.is_replaying() {
            return Err(WorkerError::Source(SourceError::Lost {
                place: format!("lane {}", self.lane.name()),
                position: self.lane.silent_until(),
                what: "it was committed, but the source ends before it: was it cut or replaced?".into(),
            }));
        }
        if status == FeedStatus::End {
            self.finish(hand_on)?;
            return Ok(Step::Ended);
        }
        // A candidate that is under way would be forgotten.
        let due =
            now >= self.checkpoint_due || self.records_since_checkpoint >= self.pace.checkpoint_records_max;
        let due = due && !self.lane.is_preparing();
        if checkpoint_wanted || due {
            self.checkpoint_due = now + self.pace.checkpoint_interval;
            self.checkpoint(hand_on)?;
        } else {
            self.hand_on_output(hand_on);
        }
        Ok(Step::Again)
    }

    /// Judges what was read and saves the lane, so that the next life begins just here.
    pub fn finish(&mut self, hand_on: &mut dyn FnMut(Parcel)) -> Result<(), WorkerError> {
        self.lane.flush()?;
        self.checkpoint(hand_on)
    }

    /// Saves the lane, unless it still lives again what an earlier life has lived.
    pub fn checkpoint(&mut self, hand_on: &mut dyn FnMut(Parcel)) -> Result<(), WorkerError> {
        if self.lane.is_replaying() || self.lane.relives_candidate() {
            self.hand_on_output(hand_on);
            return Ok(());
        }
        let awaited = self.awaited.take();
        let mut took_ns = 0;
        let checkpoint = timed(&mut took_ns, || self.lane.checkpoint())?;
        self.checkpoint_pause = Some(Duration::from_nanos(took_ns));
        self.hand_on_output(hand_on);
        let ahead = self.lane.decisions_ahead();
        self.records_since_checkpoint = 0;
        let awaited = awaited.map(|awaited| (checkpoint.part_of(&awaited.name), awaited));
        hand_on(Parcel::Checkpoint { checkpoint: Box::new(checkpoint), ahead });
        // Behind the checkpoint, which does not know of it.
        self.begun = awaited.map(|(part, awaited)| self.lane.prepare_with(&awaited, part));
        Ok(())
    }

    fn hand_on_output(&mut self, hand_on: &mut dyn FnMut(Parcel)) {
        self.lane.take_capsules().into_iter().for_each(|capsule| hand_on(Parcel::Capsule(capsule)));
        if let Some(output) = self.lane.take_output() {
            hand_on(Parcel::Output { output, received: self.received.take() });
        }
    }

    /// Event time goes on where a lane that should have readings has none.
    fn idle(&mut self, now: Duration, status: FeedStatus) -> Result<(), WorkerError> {
        let (Some(after), Some(time), FeedStatus::Idle) =
            (self.pace.idle_after, self.event_time_last, status)
        else {
            return Ok(());
        };
        let silence = now.saturating_sub(self.read_last);
        if silence >= after && !self.lane.is_replaying() {
            self.lane.idle(time.saturating_add(silence.as_millis() as i64))?;
        }
        Ok(())
    }
}
