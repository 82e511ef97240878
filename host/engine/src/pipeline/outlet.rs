//! The outlet's thread: parcels in, commits out, and what the intake wants settled or forgotten.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError, never, select_biased};
use gridwatch_core::sink::{LaneId, SinkError};

use super::vault::Capsule;
use super::{Notice, Order, PipelineError, Shared, lock};
use crate::outlet::{Outlet, OutletError, Settled};
use crate::vault::{Chore, Stored};
use crate::worker::Parcel;

/// Between two tries of a commit that could not be made.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);
/// Between two words about commits that cannot be made.
const SAY_INTERVAL: Duration = Duration::from_secs(10);
/// What waits for a commit is kept in memory until then: with more than this, it is made at once.
const PENDING_BYTES_MAX: usize = 16 << 20;
/// How long a checkpoint is waited for before its lane is given up without it.
const SAVE_WAIT_MAX: Duration = Duration::from_secs(10);

/// What the intake's thread wants.
pub enum Control {
    /// These lanes have said all they will: commit it, close them, and answer.
    Settle { lanes: Vec<LaneId>, reply: Sender<()> },
    /// These lanes are somebody else's.
    Forget { lanes: Vec<LaneId> },
    /// No lane is left: commit what there is by then, and end; `_done` is dropped then.
    End { until: Instant, _done: Sender<()> },
}

/// All that comes in and goes out of the thread.
pub struct Doors {
    pub parcels: Receiver<(LaneId, Parcel)>,
    pub controls: Receiver<Control>,
    pub stored: Receiver<Stored>,
    pub chores: Sender<Chore>,
    pub capsules: Sender<Capsule>,
    pub notices: Sender<Notice>,
}

pub fn run(outlet: Outlet, doors: &Doors, shared: &Shared, commit_interval: Duration) {
    let now = Instant::now();
    let mut thread = Thread {
        outlet,
        doors,
        shared,
        commit_interval,
        commit_due: now,
        is_behind: false,
        behind_since: None,
        leaving: None,
        saving: BTreeMap::new(),
    };
    if let Err(error) = thread.work() {
        shared.fail(error);
    }
}

struct Thread<'a> {
    outlet: Outlet,
    doors: &'a Doors,
    shared: &'a Shared,
    commit_interval: Duration,
    commit_due: Instant,
    /// A commit could not be made: no more parcels before it is.
    is_behind: bool,
    /// Since when that is so, and when it was last said.
    behind_since: Option<(Instant, Instant)>,
    leaving: Option<Leaving>,
    /// Lanes whose checkpoint is on its way to the store, and since when.
    saving: BTreeMap<LaneId, Instant>,
}

/// Lanes that are being given up in good order.
struct Leaving {
    lanes: Vec<LaneId>,
    reply: Sender<()>,
    /// Their checkpoints are waited for until then.
    until: Instant,
}

impl Thread<'_> {
    fn work(&mut self) -> Result<(), PipelineError> {
        let none = never();
        loop {
            let parcels = if self.is_behind || self.outlet.is_full() { &none } else { &self.doors.parcels };
            select_biased! {
                recv(self.doors.controls) -> control => match control {
                    Ok(Control::End { until, _done }) => return self.end(until),
                    Ok(Control::Settle { lanes, reply }) => {
                        self.drain_parcels()?;
                        let until = Instant::now() + SAVE_WAIT_MAX;
                        self.leaving = Some(Leaving { lanes, reply, until });
                    }
                    Ok(Control::Forget { lanes }) => {
                        self.leaving = None;
                        lanes.iter().for_each(|lane| self.outlet.forget(lane));
                    }
                    // The intake has failed and said so.
                    Err(_) => return Ok(()),
                },
                recv(self.doors.stored) -> stored => if let Ok(stored) = stored {
                    self.stored(stored);
                },
                recv(parcels) -> parcel => if let Ok((lane, parcel)) = parcel {
                    self.receive(&lane, parcel)?;
                },
                default(self.commit_due.saturating_duration_since(Instant::now())) => {}
            }
            if Instant::now() >= self.commit_due {
                self.settle()?;
            }
            self.leave()?;
            self.give_chores();
        }
    }

    fn receive(&mut self, lane: &LaneId, parcel: Parcel) -> Result<(), PipelineError> {
        if let Parcel::Checkpoint { .. } = &parcel {
            lock(&self.shared.outlet).checkpoints += 1;
        }
        let is_opening = matches!(&parcel, Parcel::Opened { .. });
        if is_opening && self.shared.lane(lane).is_none_or(|lane| lane.is_ordered(Order::Abandon)) {
            // It was taken away before it began.
            return Ok(());
        }
        match self.outlet.receive(lane, parcel) {
            Ok(true) => {
                if let Some(lane) = self.shared.lane(lane) {
                    lane.want_saved();
                }
            }
            Ok(false) => {}
            Err(error) => self.reset_after(error)?,
        }
        if self.outlet.is_waiting() {
            // A decision could not be committed yet: what comes later waits for it.
            self.is_behind = true;
            self.commit_due = self.commit_due.min(Instant::now() + RETRY_INTERVAL);
        }
        if is_opening || self.outlet.pending_bytes() > PENDING_BYTES_MAX {
            self.commit_due = Instant::now();
        }
        Ok(())
    }

    /// Lanes have ended: all they said is in the queue.
    fn drain_parcels(&mut self) -> Result<(), PipelineError> {
        while let Ok((lane, parcel)) = self.doors.parcels.try_recv() {
            self.receive(&lane, parcel)?;
        }
        Ok(())
    }

    fn stored(&mut self, stored: Stored) {
        let named = stored.result.as_ref().ok().cloned();
        // Before what follows is locked: who takes a snapshot locks that while it holds the lanes.
        if let (Some(named), Some(lane)) = (&named, self.shared.lane(&stored.lane)) {
            *lock(&lane.checkpointed) = Some(Instant::now());
            *lock(&lane.durable) = Some(named.name.clone());
            lane.checkpoint_bytes.store(named.bytes, Ordering::Relaxed);
        }
        let since = self.saving.remove(&stored.lane);
        self.outlet.stored(stored);
        let mut snapshot = lock(&self.shared.outlet);
        snapshot.checkpoint_failures = self.outlet.checkpoint_failures();
        if let Some(named) = named {
            snapshot.checkpoint_bytes = named.bytes;
            since.into_iter().for_each(|since| snapshot.checkpoint_durations.note(since.elapsed()));
        }
    }

    fn settle(&mut self) -> Result<Settled, PipelineError> {
        let start = Instant::now();
        let commits = self.outlet.commits();
        let settled = match self.outlet.settle() {
            Ok(settled) => settled,
            Err(error) => {
                self.reset_after(error)?;
                Settled::Done
            }
        };
        let took = start.elapsed();
        if settled == Settled::Done {
            self.behind_since = None;
        }
        if settled == Settled::Full {
            self.outlet
                .overfull()
                .filter_map(|lane| self.shared.lane(lane))
                .for_each(|lane| lane.want_saved());
        }
        self.is_behind = settled == Settled::Later;
        self.commit_due = match settled {
            Settled::Later | Settled::Full => Instant::now() + RETRY_INTERVAL,
            Settled::Done => start + self.commit_interval,
        };
        self.say_if_behind(settled);
        let mut snapshot = lock(&self.shared.outlet);
        snapshot.commits += u64::from(settled == Settled::Done);
        snapshot.commit_seconds += took.as_secs_f64();
        snapshot.end_to_end = self.outlet.end_to_end();
        if self.outlet.commits() > commits {
            snapshot.commit_durations.note(took);
        }
        Ok(settled)
    }

    /// Somebody should know why nothing comes out.
    fn say_if_behind(&mut self, settled: Settled) {
        if settled == Settled::Done {
            return;
        }
        let now = Instant::now();
        let (since, said) = self.behind_since.get_or_insert((now, now));
        if now < *said + SAY_INTERVAL {
            return;
        }
        *said = now;
        let seconds = (now - *since).as_secs();
        match settled {
            Settled::Full => {
                tracing::warn!(seconds, "no commit: decisions wait for a checkpoint to be stored")
            }
            _ => tracing::warn!(seconds, "no commit, tries again: {}", self.outlet.busy()),
        }
    }

    /// What was on its way is lost and unseen: lanes go back to their commits. All else is the end.
    fn reset_after(&mut self, error: OutletError) -> Result<(), PipelineError> {
        let OutletError::Sink(SinkError::Reset { place, what }) = &error else { return Err(error.into()) };
        tracing::warn!(place, "lanes go back to their last commits: {what}");
        self.outlet.reset();
        // An intake that is gone has failed and said so.
        let _ = self.doors.notices.send(Notice::Reset);
        Ok(())
    }

    /// Answers once the lanes' last words are committed, if it can be with their last checkpoints.
    fn leave(&mut self) -> Result<(), PipelineError> {
        let Some(leaving) = &self.leaving else { return Ok(()) };
        if self.outlet.is_saving() && Instant::now() < leaving.until {
            return Ok(());
        }
        if self.settle()? != Settled::Done {
            return Ok(());
        }
        if let Some(Leaving { lanes, reply, .. }) = self.leaving.take() {
            lanes.iter().for_each(|lane| self.outlet.close(lane));
            let _ = reply.send(());
        }
        Ok(())
    }

    fn give_chores(&mut self) {
        for chore in self.outlet.take_chores() {
            match chore {
                Chore::Keep { name, bytes } => {
                    if let Err(TrySendError::Full((name, _))) = self.doors.capsules.try_send((name, bytes)) {
                        tracing::warn!(name, "a capsule is not kept: too many wait for the store already");
                    }
                    continue;
                }
                Chore::Put { ref lane, .. } => {
                    self.saving.insert(lane.clone(), Instant::now());
                }
                Chore::Sweep { .. } => {}
            }
            // A vault that is gone has panicked, and that is said at the end.
            let _ = self.doors.chores.send(chore);
        }
    }

    fn end(&mut self, until: Instant) -> Result<(), PipelineError> {
        self.drain_parcels()?;
        self.give_chores();
        let save_until = until.min(Instant::now() + SAVE_WAIT_MAX);
        while self.outlet.is_saving()
            && let Ok(stored) = self.doors.stored.recv_deadline(save_until)
        {
            self.stored(stored);
            self.give_chores();
        }
        while self.settle()? != Settled::Done {
            if Instant::now() >= until {
                return Err(PipelineError::Unsettled { what: "the sink does not take it" });
            }
            std::thread::sleep(RETRY_INTERVAL);
        }
        self.give_chores();
        Ok(())
    }
}
