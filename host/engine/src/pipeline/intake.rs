//! The intake's thread: opens lanes as the source gives them, and gives them back in good order.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use gridwatch_core::intake::{Change, Intake, Revocation};
use gridwatch_core::sink::LaneId;

use super::lane::{Openings, Running};
use super::outlet::Control;
use super::{Notice, Order, PipelineError, WAIT_MAX};

/// How often the source is listened to while something else is waited for.
const LISTEN_WAIT: Duration = Duration::from_millis(1);
/// How long lanes that are to be given back may take to judge and commit what they have read. After that
/// they are given back without: it is read again, by whoever has them next.
const LEAVE_WAIT_MAX: Duration = Duration::from_secs(20);
/// The same at the end of the run.
const END_WAIT_MAX: Duration = Duration::from_secs(30);

pub fn run(
    mut intake: Box<dyn Intake>,
    openings: Openings,
    notices: &Receiver<Notice>,
    controls: &Sender<Control>,
    opened: &Sender<()>,
) {
    let shared = openings.shared.clone();
    let mut thread = Thread {
        openings: Arc::new(openings),
        running: BTreeMap::new(),
        abandoned: Vec::new(),
        heard: VecDeque::new(),
        notices,
        controls,
    };
    let ended = thread.work(&mut *intake, opened);
    if let Err(error) = ended {
        shared.fail(error);
    }
    thread.end(&mut *intake);
    // Only now: the last commit was made as a member of the group.
    intake.close();
    shared.ended.store(true, Ordering::Release);
}

struct Thread<'a> {
    openings: Arc<Openings>,
    running: BTreeMap<LaneId, Running>,
    /// Told to end at once, and not ended yet.
    abandoned: Vec<Running>,
    /// What the source has said and was not answered yet.
    heard: VecDeque<Change>,
    notices: &'a Receiver<Notice>,
    controls: &'a Sender<Control>,
}

impl Thread<'_> {
    fn work(&mut self, intake: &mut dyn Intake, opened: &Sender<()>) -> Result<(), PipelineError> {
        if intake.is_fixed() {
            return self.work_fixed(intake, opened);
        }
        while !self.must_stop() {
            while let Ok(notice) = self.notices.try_recv() {
                self.note(notice, intake)?;
            }
            self.heard.extend(intake.poll(WAIT_MAX)?);
            while let Some(change) = self.heard.pop_front() {
                self.apply(change, intake)?;
            }
            self.reap();
        }
        Ok(())
    }

    /// All lanes come now, and it is over when all of them are.
    fn work_fixed(&mut self, intake: &mut dyn Intake, opened: &Sender<()>) -> Result<(), PipelineError> {
        for change in intake.poll(Duration::ZERO)? {
            self.apply(change, intake)?;
        }
        let (lanes, mut open, mut ended) = (self.running.len(), 0, 0);
        while ended < lanes && !self.must_stop() {
            match self.notices.recv_timeout(WAIT_MAX) {
                Ok(Notice::Open) => {
                    open += 1;
                    if open == lanes {
                        let _ = opened.send(());
                    }
                }
                Ok(Notice::Ended(_)) => ended += 1,
                Ok(notice) => self.note(notice, intake)?,
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// Asked for in every round, which shows that this thread goes round.
    fn must_stop(&self) -> bool {
        self.come_by();
        self.openings.shared.stop.load(Ordering::Acquire)
    }

    fn come_by(&self) {
        *super::lock(&self.openings.shared.listened) = Some(Instant::now());
    }

    fn apply(&mut self, change: Change, intake: &mut dyn Intake) -> Result<(), PipelineError> {
        match change {
            Change::Opened(opening) => {
                self.openings.shared.assigned.store(true, Ordering::Release);
                let lane = opening.lane.clone();
                self.running.insert(lane, self.openings.spawn(opening)?);
            }
            Change::Revoked { lanes, how } => {
                match how {
                    Revocation::Asked => self.settle(&lanes, intake)?,
                    Revocation::Lost => self.forget(&lanes),
                }
                intake.released(&lanes)?;
            }
        }
        Ok(())
    }

    fn note(&mut self, notice: Notice, intake: &mut dyn Intake) -> Result<(), PipelineError> {
        match notice {
            Notice::Open => {}
            Notice::Ended(lane) => {
                if let Some(running) = self.running.remove(&lane) {
                    self.join(running);
                }
            }
            Notice::Reset => {
                let lanes: Vec<LaneId> = self.running.keys().cloned().collect();
                self.forget(&lanes);
                for opening in intake.reopen()? {
                    self.apply(Change::Opened(opening), intake)?;
                }
            }
        }
        Ok(())
    }

    /// In good order: what was read is judged and committed. Meanwhile the source is listened to: a lane that is
    /// lost has nothing to settle any more, and that only the source can tell.
    fn settle(&mut self, lanes: &[LaneId], intake: &mut dyn Intake) -> Result<(), PipelineError> {
        let until = Instant::now() + LEAVE_WAIT_MAX;
        if !self.finish(lanes, until, intake)? {
            tracing::warn!(
                "lanes did not finish in time; what they have read is read again by their next owner"
            );
            self.forget(lanes);
            return Ok(());
        }
        if self.is_committed(lanes, until, intake)? {
            self.retire(lanes);
            return Ok(());
        }
        tracing::warn!(
            "lanes were not committed in time; what they have read is read again by their next owner"
        );
        self.forget(lanes);
        Ok(())
    }

    /// Whether the outlet gets the lanes' last words committed.
    fn is_committed(
        &mut self,
        lanes: &[LaneId],
        until: Instant,
        intake: &mut dyn Intake,
    ) -> Result<bool, PipelineError> {
        let (reply, replied) = bounded(1);
        let mut answer = match self.controls.send(Control::Settle { lanes: lanes.to_vec(), reply }) {
            Ok(()) => Err(RecvTimeoutError::Timeout),
            Err(_) => Err(RecvTimeoutError::Disconnected),
        };
        while answer == Err(RecvTimeoutError::Timeout) && Instant::now() < until {
            answer = replied.recv_timeout(LISTEN_WAIT);
            self.listen(Duration::ZERO, intake)?;
        }
        Ok(answer.is_ok())
    }

    /// What it hears is answered later.
    fn listen(&mut self, wait: Duration, intake: &mut dyn Intake) -> Result<(), PipelineError> {
        self.come_by();
        if intake.is_fixed() {
            std::thread::sleep(wait);
        } else {
            self.heard.extend(intake.poll(wait)?);
        }
        Ok(())
    }

    /// They were taken from us: nothing of them may be seen. A lane that waits for the store ends later.
    fn forget(&mut self, lanes: &[LaneId]) {
        for lane in lanes {
            if let Some(running) = self.running.remove(lane) {
                running.shared.order(Order::Abandon);
                self.abandoned.push(running);
            }
        }
        // An outlet that is gone commits nothing any more.
        let _ = self.controls.send(Control::Forget { lanes: lanes.to_vec() });
        self.retire(lanes);
        self.reap();
    }

    /// Abandoned lanes whose threads have ended.
    fn reap(&mut self) {
        let (ended, left) =
            std::mem::take(&mut self.abandoned).into_iter().partition(|running| running.thread.is_finished());
        self.abandoned = left;
        let ended: Vec<Running> = ended;
        ended.into_iter().for_each(|running| self.join(running));
    }

    fn retire(&self, lanes: &[LaneId]) {
        lanes.iter().for_each(|lane| self.openings.shared.retire(lane));
    }

    /// Whether all of these lanes have judged and handed on what they have read.
    fn finish(
        &mut self,
        lanes: &[LaneId],
        until: Instant,
        intake: &mut dyn Intake,
    ) -> Result<bool, PipelineError> {
        for running in lanes.iter().filter_map(|lane| self.running.get(lane)) {
            running.shared.order(Order::Finish);
        }
        let is_under_way = |running: &Running| !running.thread.is_finished();
        while lanes.iter().filter_map(|lane| self.running.get(lane)).any(is_under_way) {
            if Instant::now() >= until {
                return Ok(false);
            }
            self.listen(LISTEN_WAIT, intake)?;
        }
        for lane in lanes {
            if let Some(running) = self.running.remove(lane) {
                self.join(running);
            }
        }
        Ok(true)
    }

    /// Everything is judged and committed, as far as it can be. Meanwhile the source is listened to, so that
    /// who we are in the group stays known; lanes that it gives now are left to others.
    fn end(&mut self, intake: &mut dyn Intake) {
        let until = Instant::now() + END_WAIT_MAX;
        let lanes: Vec<LaneId> = self.running.keys().cloned().collect();
        // A source that fails now has nothing to say any more; what was read is finished all the same.
        if !self.finish(&lanes, until, intake).unwrap_or(false) {
            self.forget(&lanes);
        }
        let (done, ended) = bounded::<()>(0);
        if self.controls.send(Control::End { until, _done: done }).is_ok() {
            // It never sends, it only hangs up.
            while ended.recv_timeout(WAIT_MAX) == Err(RecvTimeoutError::Timeout) {
                let _ = self.listen(Duration::ZERO, intake);
            }
        }
        // Ours until the last commit was made.
        for change in std::mem::take(&mut self.heard) {
            if let Change::Revoked { lanes, .. } = change {
                let _ = intake.released(&lanes);
            }
        }
        self.reap();
    }

    fn join(&self, running: Running) {
        if running.thread.join().is_err() {
            let (what, cause) = ("a lane".to_owned(), "it panicked; see the log".to_owned());
            self.openings.shared.fail(PipelineError::Thread { what, cause });
        }
    }
}
