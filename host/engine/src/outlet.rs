//! The outlet: takes what lanes say, and makes it final together with where they stand.
//!
//! One commit covers all lanes of the process: output, positions, names of checkpoints, decisions since.
//! A commit names a checkpoint only when that is durable already. Checkpoints are stored by somebody else
//! (see [`crate::vault`]), who reports back; until then commits name the one before.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use gridwatch_core::checkpoint::{Checkpoint, short_digest};
use gridwatch_core::decision::{self, Decision, DecisionsError};
use gridwatch_core::durations::Durations;
use gridwatch_core::record::Position;
use gridwatch_core::sink::{Commit, Delivery, LaneCommit, LaneId, Outgoing, Sink, SinkError, Store};

use crate::lane::{NamedCapsule, Output};
use crate::vault::{Chore, Kept, Named, Place, Stored};
use crate::worker::Parcel;

/// Bytes of decisions in a commit beyond which a checkpoint is asked for.
const DECISION_BYTES_ASK: usize = 1 << 10;
/// Beyond this nothing is committed before a checkpoint has made decisions obsolete: as base64 and with
/// the checkpoint's name they must fit into Kafka's 4 KiB of offset metadata.
const DECISION_BYTES_MAX: usize = 2_800;

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum OutletError {
    #[error(transparent)]
    Sink(#[from] SinkError),
    #[error("lane {lane}: {what}")]
    Decisions { lane: String, what: DecisionsError },
}

/// Whether all that was received is final.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    Done,
    /// The sink does not take it yet; ask again. Nothing more should be received until then.
    Later,
    /// A lane's decisions fit into no commit before a checkpoint has made them obsolete: go on receiving
    /// until that has come.
    Full,
}

pub struct Outlet {
    sink: Box<dyn Sink>,
    lanes: BTreeMap<LaneId, Ledger>,
    /// Something was taken that no commit covers yet.
    dirty: bool,
    /// Of messages that no commit covers yet.
    pending_bytes: usize,
    /// What waits for a decision to be committed, and what came after it.
    backlog: VecDeque<(LaneId, Parcel)>,
    /// Why the last commit could not be made.
    busy: String,
    chores: Vec<Chore>,
    observers: Vec<Box<dyn Observer>>,
    /// Checkpoints that could not be stored since the start.
    checkpoint_failures: u64,
    /// How far back (event time) some of the lanes' checkpoints are kept.
    history_window: Duration,
    /// Made since the start.
    commits: u64,
    /// When the oldest record of each parcel was received that no commit covers yet.
    unsettled: Vec<Instant>,
    /// From there to the commit.
    end_to_end: Durations,
}

/// Told of messages as they go to the sink and become final; must not wait for anything.
pub trait Observer: Send {
    /// They are on their way to the sink, and final with the next commit.
    fn taken(&mut self, lane: &LaneId, messages: &[Outgoing]);
    /// All that was taken is final, but for what these lanes said.
    fn committed(&mut self, _left_out: &[LaneId]) {}
    /// What the lane said since the last commit is never seen.
    fn forgotten(&mut self, _lane: &LaneId) {}
    /// Nothing that was taken since the last commit is ever seen: lanes say it again.
    fn reset(&mut self) {}
}

/// Where a lane stands.
struct Ledger {
    position: Position,
    /// The newest durable checkpoint.
    checkpoint: String,
    /// So many checkpoints were made of the lane, by all its owners.
    sequence: u64,
    /// The one before it; kept, in case the newest turns out damaged.
    previous: Option<String>,
    /// So many were made of it by its owners before.
    found: u64,
    /// Those of this owner that are stored and may be kept for the lane's history.
    ours: Vec<String>,
    /// The last commit does not name `checkpoint` yet.
    is_renamed: bool,
    /// Since the checkpoint.
    decisions: Vec<Decision>,
    decision_bytes: usize,
    /// On its way to the store.
    saving: Option<Saving>,
    /// To be stored after that one; a newer one takes its place.
    waiting: Option<(Saving, Box<Checkpoint>)>,
}

impl Ledger {
    /// What is to be kept of the lane's checkpoints, which is all that needs to be remembered of our own.
    fn history(&mut self, window: Duration) -> Kept {
        let (window_ms, found) = (window.as_millis() as i64, self.found);
        let all = Kept { window_ms, found, ours: self.ours.clone() };
        if let Some(newest) = Place::of(&self.checkpoint) {
            let is_last = |name: &String| *name == self.checkpoint || Some(name) == self.previous.as_ref();
            let thinned = all.thinned(&self.ours, newest);
            self.ours.retain(|name| is_last(name) || thinned.contains(name));
        }
        Kept { ours: self.ours.clone(), ..all }
    }

    /// Its decisions fit into no commit.
    fn is_overfull(&self) -> bool {
        self.decision_bytes > DECISION_BYTES_MAX
    }
}

/// A checkpoint that is not durable yet.
struct Saving {
    place: Place,
    /// So many of the ledger's decisions were made before it; they are in it but for those `ahead`.
    decisions: usize,
    ahead: Vec<Decision>,
}

impl Outlet {
    pub fn new(sink: Box<dyn Sink>, observers: Vec<Box<dyn Observer>>) -> Self {
        let (lanes, chores) = (BTreeMap::new(), Vec::new());
        Outlet {
            sink,
            lanes,
            dirty: false,
            pending_bytes: 0,
            backlog: VecDeque::new(),
            busy: String::new(),
            chores,
            observers,
            checkpoint_failures: 0,
            history_window: Duration::ZERO,
            commits: 0,
            unsettled: Vec::new(),
            end_to_end: Durations::default(),
        }
    }

    /// Beside the last two checkpoints of a lane, one an hour is kept for so long.
    pub fn keeping(self, history_window: Duration) -> Self {
        Outlet { history_window, ..self }
    }

    /// Takes one parcel; answers whether the lane should be saved soon, as its decisions pile up. What comes
    /// of a lane that is not open any more is dropped: another one judges it.
    pub fn receive(&mut self, lane: &LaneId, parcel: Parcel) -> Result<bool, OutletError> {
        match parcel {
            Parcel::Opened { commit, is_new } => self.open(lane, commit, is_new)?,
            Parcel::Capsule(NamedCapsule { name, bytes }) => self.chores.push(Chore::Keep { name, bytes }),
            _ if !self.lanes.contains_key(lane) => {}
            parcel if !self.backlog.is_empty() => self.backlog.push_back((lane.clone(), parcel)),
            parcel => {
                self.take(lane, parcel)?;
                if !self.backlog.is_empty() {
                    self.settle()?;
                }
            }
        }
        let ledger = self.lanes.get(lane);
        Ok(ledger.is_some_and(|ledger| ledger.decision_bytes > DECISION_BYTES_ASK && ledger.saving.is_none()))
    }

    fn take(&mut self, lane: &LaneId, parcel: Parcel) -> Result<(), OutletError> {
        match parcel {
            Parcel::Opened { .. } | Parcel::Capsule(_) => Ok(()),
            Parcel::Checkpoint { checkpoint, ahead } => {
                self.save(lane, checkpoint, ahead);
                Ok(())
            }
            Parcel::Output { output, received } => self.publish(lane, output, received),
        }
    }

    fn open(&mut self, lane: &LaneId, commit: LaneCommit, is_new: bool) -> Result<(), OutletError> {
        let decisions = decision::decode(&commit.decisions)
            .map_err(|what| OutletError::Decisions { lane: lane.to_string(), what })?;
        let sequence = Place::of(&commit.checkpoint).map_or(0, |place| place.sequence);
        let ledger = Ledger {
            position: commit.position,
            sequence,
            found: sequence,
            ours: Vec::new(),
            checkpoint: commit.checkpoint,
            previous: None,
            is_renamed: is_new,
            decision_bytes: commit.decisions.len(),
            decisions,
            saving: None,
            waiting: None,
        };
        self.lanes.insert(lane.clone(), ledger);
        // A new lane is named from the first moment on.
        self.dirty |= is_new;
        Ok(())
    }

    fn publish(
        &mut self,
        lane: &LaneId,
        output: Output,
        received: Option<Instant>,
    ) -> Result<(), OutletError> {
        let Output { messages, decisions, position } = output;
        let decides = !decisions.is_empty();
        self.decide(lane, decisions)?;
        if !decides || self.sink.delivery() == Delivery::ExactlyOnce {
            self.unsettled.extend(received);
            return self.append(lane, messages, position);
        }
        // What follows from a decision is published only once the decision is committed: a later life
        // might decide otherwise, and what was seen would have no reason. All that comes later waits, too.
        let output = Output { messages, decisions: Vec::new(), position };
        self.backlog.push_front((lane.clone(), Parcel::Output { output, received }));
        Ok(())
    }

    fn append(
        &mut self,
        lane: &LaneId,
        messages: Vec<Outgoing>,
        position: Position,
    ) -> Result<(), OutletError> {
        let Some(ledger) = self.lanes.get_mut(lane) else { return Ok(()) };
        ledger.position = position;
        self.dirty = true;
        self.pending_bytes += messages.iter().map(Outgoing::size_bytes).sum::<usize>();
        self.observers.iter_mut().for_each(|observer| observer.taken(lane, &messages));
        Ok(self.sink.append(lane, messages)?)
    }

    fn decide(&mut self, lane: &LaneId, decisions: Vec<Decision>) -> Result<(), OutletError> {
        if decisions.is_empty() {
            return Ok(());
        }
        self.dirty = true;
        let Some(ledger) = self.lanes.get_mut(lane) else { return Ok(()) };
        ledger.decisions.extend(decisions);
        ledger.decision_bytes = encoded(lane, &ledger.decisions)?.len();
        Ok(())
    }

    /// Makes all that was received final. Nothing to do where nothing was.
    pub fn settle(&mut self) -> Result<Settled, OutletError> {
        loop {
            if self.dirty {
                match self.commit()? {
                    Settled::Done => {}
                    later => return Ok(later),
                }
            }
            match self.backlog.pop_front() {
                None => return Ok(Settled::Done),
                Some((lane, parcel)) => self.take(&lane, parcel)?,
            }
        }
    }

    fn commit(&mut self) -> Result<Settled, OutletError> {
        if self.overfull().next().is_some() {
            return Ok(Settled::Full);
        }
        let mut commit = Commit::default();
        for (lane, ledger) in &self.lanes {
            let decisions =
                if ledger.decisions.is_empty() { Vec::new() } else { encoded(lane, &ledger.decisions)? };
            let entry =
                LaneCommit { position: ledger.position, checkpoint: ledger.checkpoint.clone(), decisions };
            commit.lanes.insert(lane.clone(), entry);
        }
        let left_out = match self.sink.commit(&commit) {
            Ok(left_out) => left_out,
            Err(SinkError::Busy { what, .. }) => {
                self.busy = what;
                return Ok(Settled::Later);
            }
            Err(error) => return Err(error.into()),
        };
        (self.dirty, self.pending_bytes) = (false, 0);
        self.commits += 1;
        self.observers.iter_mut().for_each(|observer| observer.committed(&left_out));
        for received in self.unsettled.drain(..) {
            self.end_to_end.note(received.elapsed());
        }
        for (lane, ledger) in &mut self.lanes {
            // Whose commit names an older one still needs that.
            if !left_out.contains(lane) && std::mem::take(&mut ledger.is_renamed) {
                let keep: Vec<String> = ledger.previous.iter().chain([&ledger.checkpoint]).cloned().collect();
                let history = ledger.history(self.history_window);
                self.chores.push(Chore::Sweep { lane: lane.clone(), keep, history });
            }
        }
        Ok(Settled::Done)
    }

    /// A decision is to be committed before anything else is taken.
    pub fn is_waiting(&self) -> bool {
        !self.backlog.is_empty()
    }

    /// Why the last commit could not be made.
    pub fn busy(&self) -> &str {
        &self.busy
    }

    /// Lanes whose decisions fit into no commit: they are to be saved first.
    pub fn overfull(&self) -> impl Iterator<Item = &LaneId> {
        self.lanes.iter().filter(|(_, ledger)| ledger.is_overfull()).map(|(lane, _)| lane)
    }

    /// Of messages that wait for a commit.
    pub fn pending_bytes(&self) -> usize {
        self.pending_bytes
    }

    /// No more parcels should be taken before a checkpoint is stored.
    pub fn is_full(&self) -> bool {
        self.lanes.values().any(|ledger| ledger.is_overfull() && ledger.saving.is_some())
    }

    /// A checkpoint is on its way to the store.
    pub fn is_saving(&self) -> bool {
        self.lanes.values().any(|ledger| ledger.saving.is_some())
    }

    /// The lane was settled and given up.
    pub fn close(&mut self, lane: &LaneId) {
        self.lanes.remove(lane);
    }

    /// The lane is somebody else's: what it said and no commit covers must not be seen.
    pub fn forget(&mut self, lane: &LaneId) {
        self.lanes.remove(lane);
        self.backlog.retain(|(of, _)| of != lane);
        self.observers.iter_mut().for_each(|observer| observer.forgotten(lane));
        self.sink.forget(lane);
    }

    /// What was on its way is lost: all lanes begin again from their commits.
    pub fn reset(&mut self) {
        self.lanes.clear();
        self.backlog.clear();
        self.unsettled.clear();
        self.observers.iter_mut().for_each(|observer| observer.reset());
        (self.dirty, self.pending_bytes) = (false, 0);
    }

    pub fn commits(&self) -> u64 {
        self.commits
    }

    /// From the receipt of the oldest record of each parcel to the commit that makes final what follows from it.
    pub fn end_to_end(&self) -> Durations {
        self.end_to_end
    }

    pub fn checkpoint_failures(&self) -> u64 {
        self.checkpoint_failures
    }

    /// What is to be done in the store since last asked.
    pub fn take_chores(&mut self) -> Vec<Chore> {
        std::mem::take(&mut self.chores)
    }

    /// Does all chores at once, here and now.
    pub fn do_chores(&mut self, store: &dyn Store) {
        while !self.chores.is_empty() {
            for chore in self.take_chores() {
                if let Some(stored) = chore.run(store) {
                    self.stored(stored);
                }
            }
        }
    }

    fn save(&mut self, lane: &LaneId, checkpoint: Box<Checkpoint>, ahead: Vec<Decision>) {
        let Some(ledger) = self.lanes.get_mut(lane) else { return };
        let (position, time) = (checkpoint.position, checkpoint.time());
        ledger.position = position;
        ledger.sequence += 1;
        let place = Place { position, sequence: ledger.sequence, time };
        let saving = Saving { place, decisions: ledger.decisions.len(), ahead };
        if ledger.saving.is_some() {
            ledger.waiting = Some((saving, checkpoint));
            return;
        }
        self.dirty = true;
        self.chores.push(Chore::Put { lane: lane.clone(), place, checkpoint });
        ledger.saving = Some(saving);
    }

    /// A checkpoint is durable, or could not be stored: then the lane keeps the one it has, and only the
    /// replay after a crash grows longer.
    pub fn stored(&mut self, stored: Stored) {
        let Stored { lane, place, result } = stored;
        self.checkpoint_failures += u64::from(result.is_err());
        let Some(ledger) = self.lanes.get_mut(&lane) else { return };
        let Some(saving) = ledger.saving.take_if(|saving| saving.place == place) else { return };
        match result {
            Err(error) => tracing::warn!(%lane, %error, "cannot be stored; the checkpoint before stays"),
            Ok(Named { name, .. }) => {
                self.dirty = true;
                // What it was made for may have been published already: a later life must be told again.
                let ahead = saving.ahead.len();
                ledger.decisions.splice(..saving.decisions, saving.ahead);
                ledger.decision_bytes = encoded(&lane, &ledger.decisions).map_or(0, |bytes| bytes.len());
                if let Some((waiting, _)) = &mut ledger.waiting {
                    waiting.decisions = waiting.decisions + ahead - saving.decisions;
                }
                ledger.ours.push(name.clone());
                if ledger.checkpoint != name {
                    ledger.previous = Some(std::mem::replace(&mut ledger.checkpoint, name));
                    ledger.is_renamed = true;
                }
            }
        }
        if let Some((waiting, checkpoint)) = ledger.waiting.take() {
            self.chores.push(Chore::Put { lane, place: waiting.place, checkpoint });
            ledger.saving = Some(waiting);
        }
    }
}

/// Of a lane that begins here and knows nothing yet.
pub fn first_checkpoint_name(lane: &str, position: Position, bytes: &[u8]) -> String {
    Place { position, sequence: 0, time: None }.name(lane, &short_digest(bytes)) + FIRST
}

const FIRST: &str = "-first";

/// Whether a checkpoint by this name knows nothing yet, so that nothing is lost with it.
pub fn is_first(name: &str) -> bool {
    name.ends_with(FIRST) || Place::of(name).is_some_and(|place| place.position == 0)
}

fn encoded(lane: &LaneId, decisions: &[Decision]) -> Result<Vec<u8>, OutletError> {
    decision::encode(decisions).map_err(|what| OutletError::Decisions { lane: lane.to_string(), what })
}
