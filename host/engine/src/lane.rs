//! A lane: what it says is a function of what it read.
//!
//! No threads, no clock, no I/O: the lane is told everything, record by record. Its output depends on the
//! modules and parameters, the starting state, the readings and the decisions, and on nothing else; not
//! on how the readings were cut into batches, nor on how often the lane was killed and resumed.

mod account;
mod apprentice;
mod builder;
mod capsule;
mod comparison;
mod episodes;
mod fallen;
mod faults;
mod judging;
mod publisher;
mod quarantine;
mod recent;
mod replay;
mod resume;
mod schemas;
mod seat;
mod shadow;
mod succession;
mod template;
mod trace;
mod way_back;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;

use crossbeam_channel::Sender;
use gridwatch_core::Timestamp;
use gridwatch_core::account::Account;
use gridwatch_core::anomaly::{EpisodeKey, Origin};
use gridwatch_core::assets::Assets;
use gridwatch_core::checkpoint::{CheckpointError, DetectorState, OpenEpisode, SourcePart};
use gridwatch_core::clock::{LaneClock, Seen};
use gridwatch_core::dead_letter::DeadLetter;
use gridwatch_core::decision::{Chronicle, Decision, What};
use gridwatch_core::decode::{AttributePath, Decoder};
use gridwatch_core::judge::Fault;
use gridwatch_core::reading::{Quantity, Reading, Reason, Rejection};
use gridwatch_core::record::{Position, Record, RecordMeta};
use gridwatch_core::sensors::{Attributes, SensorTable};
use gridwatch_core::sink::{Delivery, Outgoing};
use gridwatch_core::unfound::Sought;

use crate::deployment::GoneDeployment;
use crate::foundry::Evidence;
use crate::history::Patience;
use crate::settings::LaneSettings;
use builder::Builder;
use capsule::Watched;
use faults::Skipped;
use recent::Recent;
use schemas::Schooling;
use seat::Seat;
pub use succession::Retired;
use succession::{Hidden, Tape};

pub use apprentice::{Apprentice, Base, Event};
pub use capsule::NamedCapsule;
pub use comparison::{Comparison, Cost, Counts, Example, Identity, Named, OfKind, OfSubject, Side};
pub use fallen::Fallen;
pub use quarantine::Quarantined;
use replay::Replay;
pub(crate) use replay::{is_of_the_live_one, may_need_warm};
pub use resume::{LaneParts, Resume};
pub use schemas::{OnUnknown, SchemaSource};
pub use seat::{DetectorSnapshot, Usage};
pub use template::LaneTemplate;
pub use trace::{Traced, Witness};

/// What a lane has to say since it was last asked. Consistent: all of it follows from the records before
/// `position`, and all that follows from them is in it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Output {
    pub messages: Vec<Outgoing>,
    pub decisions: Vec<Decision>,
    pub position: Position,
}

/// Why a lane cannot go on.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum LaneError {
    #[error("lane {lane}: detector {detector} failed and is set to halt the process (on_fault): {fault}")]
    Halt { lane: String, detector: String, fault: Fault },
    #[error("lane {lane}: detector {detector} cannot start: {fault}")]
    Start { lane: String, detector: String, fault: Fault },
    #[error(
        "lane {lane}: detector {detector} cannot take over the state it left (state version {from_version}): \
         {fault}. Put the module before back, or set on_new_state = \"cold\" in {detector}.toml to begin anew"
    )]
    State { lane: String, detector: String, from_version: u32, fault: Fault },
    #[error("lane {lane}: its checkpoint {what}")]
    Checkpoint { lane: String, what: CheckpointError },
    #[error(
        "lane {lane}: the source is not the one whose position {position} was committed: {what}. A file was replaced, \
         renamed or put in between, a topic was made anew or has more partitions (its keys are elsewhere now), or a \
         simulator has another scenario. Put it back, or begin anew with another sink or group and [checkpoints]"
    )]
    OtherSource { lane: String, position: Position, what: String },
    #[error(
        "lane {lane}: the record at {position} reaches over {silent_until}, up to which everything was published: \
         the source is not the one that was read before, or a file's last line was read half-written, and the rest \
         of it has been added since. Then put a line end at that position, and the whole line once more behind it"
    )]
    Misaligned { lane: String, position: Position, silent_until: Position },
    #[error(
        "lane {lane}: the record at {position} names schema {id}: {why}. Register it, or set [registry] \
         unknown_schema = \"dead-letter\" to go on without such records"
    )]
    UnknownSchema { lane: String, position: Position, id: u32, why: String },
    #[error(
        "lane {lane}: the record at {position} was checked by schema {id} before the restart, and cannot be now: \
         {why}. Bring that schema back under its id; the lane goes on from there"
    )]
    SchemaGone { lane: String, position: Position, id: u32, why: String },
    #[error(
        "lane {lane}: detector {detector} ran as of generation {generation} of the roster, and cannot be had: {what}"
    )]
    Past { lane: String, detector: String, generation: u64, what: GoneDeployment },
    #[error(
        "lane {lane}: what was decided about detector {detector} at {position} before the restart cannot be done \
         again: {what}. From there on it would say something else, so it stands still: start again, as soon as the \
         store has all that it had; what took too long may not do so twice"
    )]
    NotAgain { lane: String, detector: String, position: Position, what: String },
    #[error("lane {lane}: its settings do not hold: {what}")]
    Settings { lane: String, what: String },
    #[error("lane {lane}: its checkpoint does not fit: {what}")]
    Inconsistent { lane: String, what: String },
}

pub struct Lane {
    name: String,
    origin: Origin,
    settings: LaneSettings,
    assets: Arc<Assets>,
    source: Vec<SourcePart>,
    delivery: Delivery,
    schooling: Schooling,
    decoder: Decoder,
    sought: Sought,
    sensors: SensorTable,
    clock: LaneClock,
    /// The last multiple of the tick that was told.
    tick: Option<Timestamp>,
    batch: Builder,
    /// Dead letters among the records of the batch in the making; they go out with it.
    rejected: Vec<Outgoing>,
    /// In the order of their names.
    seats: Vec<Seat>,
    /// Those who judge what the others judge, and are not heard.
    hidden: Vec<Hidden>,
    /// Who has failed and is gone, for who wants to know.
    fallen: Vec<Fallen>,
    /// Where those go who leave.
    graveyard: Option<Sender<Retired>>,
    tape: Option<Tape>,
    /// What candidates are tried on.
    recent: Recent,
    /// States of detectors that are there, but may not run now; kept as they are until they may.
    dormant: Vec<DetectorState>,
    /// All records before it were accepted.
    next: Position,
    replay: Replay,
    output: Output,
    /// What was decided, now or in an earlier life, and took effect.
    chronicle: Chronicle,
    /// The last checkpoint that is known to be stored.
    durable: Option<String>,
    /// What it takes to live again what was lived since; None where nobody can.
    recipe: Option<Box<LaneParts>>,
    /// How long it may still take to rebuild who has failed, for all who fail before it breathes.
    patience: Cell<Option<Patience<'static>>>,
    /// Rows of the batch in the making that a detector is not to be shown.
    skips: Vec<Skipped>,
    /// The last tick that detectors were told.
    told: Option<Timestamp>,
    /// Whose doings are written down.
    watched: Option<Watched>,
    /// On their way to the store.
    capsules: Vec<NamedCapsule>,
    /// Detectors are not told of this tick, once this far.
    withheld: Option<(Timestamp, Position)>,
    /// The position that was last handed on with its output.
    settled: Position,
    account: Account,
    reading: Reading,
    /// In a past that is lived again to be looked at.
    witness: Option<Witness>,
}

impl Lane {
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where to read next.
    pub fn next(&self) -> Position {
        self.next
    }

    /// Readings waiting to be judged.
    pub fn pending(&self) -> usize {
        self.batch.rows()
    }

    pub fn is_replaying(&self) -> bool {
        self.next < self.replay.silent_until
    }

    /// Everything before it was published by an earlier life.
    pub fn silent_until(&self) -> Position {
        self.replay.silent_until
    }

    pub fn sensors(&self) -> usize {
        self.sensors.len()
    }

    /// A checkpoint of this lane is stored under this name: from there its past can be lived again.
    pub fn set_durable(&mut self, name: String) {
        self.durable = Some(name);
    }

    /// The last checkpoint that is known to be stored.
    pub fn durable(&self) -> Option<&str> {
        self.durable.as_deref()
    }

    /// What was decided and took effect.
    pub fn chronicle(&self) -> &Chronicle {
        &self.chronicle
    }

    /// Who they are.
    pub fn sensor_table(&self) -> &SensorTable {
        &self.sensors
    }

    pub fn quantities(&self) -> &[Quantity] {
        self.decoder.quantities()
    }

    /// Episodes that are open, by detector.
    pub fn open_episodes(&self) -> impl Iterator<Item = (&str, &BTreeMap<EpisodeKey, OpenEpisode>)> {
        self.seats.iter().map(|seat| (seat.deployment.name.as_str(), seat.episodes.open()))
    }

    /// Event time so far, less the allowed lateness.
    pub fn watermark(&self) -> Option<Timestamp> {
        self.clock.time().map(|time| time - self.settings.lateness_ms)
    }

    /// What was just read, as far as it is kept.
    pub fn recent(&self) -> Option<Evidence> {
        self.recent.evidence(&self.name, self.decoder.quantities(), &self.sensors)
    }

    pub fn event_time(&self) -> Option<Timestamp> {
        self.clock.time()
    }

    /// The lane has come round, and whoever waits for it has had a turn: who fails from here on may be rebuilt for as
    /// long as that may take, and all who fail before the next time share that.
    pub fn breathe(&self) {
        self.patience.set(None);
    }

    /// Takes one record: decodes it, adds it to the batch, and judges where a batch must end.
    pub fn accept(&mut self, record: &Record<'_>) -> Result<(), LaneError> {
        let meta = &record.meta;
        if !self.replay.decisions.is_empty() {
            self.relive_skips(record);
        }
        self.relive(meta.position)?;
        if meta.position < self.replay.silent_until && meta.next > self.replay.silent_until {
            let (lane, silent_until) = (self.name.clone(), self.replay.silent_until);
            return Err(LaneError::Misaligned { lane, position: meta.position, silent_until });
        }
        if self.is_live(meta.position) {
            self.account.received += 1;
            self.account.pending += 1;
        } else {
            self.account.replayed += 1;
        }
        if let Err(rejection) = self.take(meta, record.bytes)? {
            self.reject(record, &rejection);
        }
        self.next = meta.next;
        if self.batch.is_full() {
            self.flush()?;
        }
        self.relive(meta.next)
    }

    /// Judges what is waiting. Records before `next` are settled then; a record in hand is one of them
    /// only once `next` has moved past it.
    pub fn flush(&mut self) -> Result<(), LaneError> {
        if !self.batch.is_empty() {
            self.judge_batch()?;
        }
        self.rejected.sort_by_key(Outgoing::position);
        self.output.messages.append(&mut self.rejected);
        self.output.position = self.next;
        Ok(())
    }

    /// What there is to publish and to settle, as of the last batch, if it is anything new. In a replay
    /// there is nothing: its positions are settled.
    pub fn take_output(&mut self) -> Option<Output> {
        let position = self.output.position;
        let nothing_new =
            position == self.settled && self.output.messages.is_empty() && self.output.decisions.is_empty();
        if nothing_new || self.replay.active || position < self.replay.silent_until {
            return None;
        }
        self.settled = position;
        Some(std::mem::replace(&mut self.output, Output { position, ..Output::default() }))
    }

    /// No readings for a while: event time is taken to be `time`. A decision, as readings do not imply it.
    pub fn idle(&mut self, time: Timestamp) -> Result<(), LaneError> {
        let tick = |time: Timestamp| (time - self.settings.lateness_ms).div_euclid(self.settings.tick_ms);
        // Less than a tick is not worth a decision; before the clock runs there is nothing to go on.
        if self.clock.time().is_none_or(|now| tick(time) <= tick(now)) {
            return Ok(());
        }
        self.flush()?;
        self.decide(What::IdleTick { time });
        self.pass_time(time, self.next, true)
    }

    fn pass_time(&mut self, time: Timestamp, position: Position, live: bool) -> Result<(), LaneError> {
        self.clock.advance_to(time);
        match self.tick_reached() {
            Some(watermark) => self.advance(watermark, position, live),
            None => Ok(()),
        }
    }

    /// The outer result: the lane cannot go on. The inner one: the record is no reading.
    fn take(&mut self, meta: &RecordMeta, record: &[u8]) -> Result<Result<(), Rejection>, LaneError> {
        if meta.truncated {
            let detail = format!("more than {} bytes", self.settings.decode.record_bytes_max);
            return Ok(Err(Rejection { reason: Reason::TooLarge, detail }));
        }
        let record = match self.unframe(meta, record)? {
            Ok(message) => message,
            Err(rejection) => return Ok(Err(rejection)),
        };
        let quantities = self.decoder.quantities().len();
        let decoded = self.decoder.decode(record, &mut self.reading);
        if self.decoder.quantities().len() > quantities {
            self.requantify()?;
        }
        if let Err(rejection) = decoded.and_then(|()| self.check_time(meta)) {
            return Ok(Err(rejection));
        }
        let sensor = match self.identify()? {
            Ok(sensor) => sensor,
            Err(rejection) => return Ok(Err(rejection)),
        };
        let time = self.reading.timestamp;
        // A sensor's own rhythm is not ahead of anything: an hourly reading comes an hour after the last.
        let ahead_max = self.settings.time_ahead_max_ms + self.sensors.interval_ms(sensor) * 3 / 2;
        let seen = self.clock.observe(sensor, time, self.sensors.len(), ahead_max);
        if seen == Seen::SetBack {
            tracing::warn!(
                lane = self.name,
                "the lane's clock was set by few, and is set back: nobody else speaks of its time"
            );
            self.tick = None;
        }
        let marks = self.sensors.note_time(sensor, time, seen == Seen::Ahead);
        let disorder = self.sensors.disorder(sensor);
        self.batch.push(sensor, &self.reading, marks, meta.position, disorder, self.clock.time());
        if let Some(watermark) = self.tick_reached() {
            self.next = meta.next;
            self.flush()?;
            self.advance(watermark, meta.position, self.is_live(meta.position))?;
        }
        Ok(Ok(()))
    }

    fn check_time(&self, meta: &RecordMeta) -> Result<(), Rejection> {
        let Some(stored) = meta.stored else { return Ok(()) };
        let ahead = self.reading.timestamp.saturating_sub(stored);
        if ahead <= self.settings.time_ahead_reject_max_ms {
            return Ok(());
        }
        let detail = format!("the reading's time is {} s after the record was stored", ahead / 1000);
        Err(Rejection { reason: Reason::TimeAhead, detail })
    }

    /// The number of the reading's sensor; its attributes are brought up to date.
    fn identify(&mut self) -> Result<Result<u32, Rejection>, LaneError> {
        let given = &self.reading.attributes[..self.reading.attributes_len];
        let names = &self.settings.decode.attributes;
        match self.sensors.find(&self.reading.sensor_id) {
            None => {
                let attributes = merged(names, given, self.assets.get(&self.reading.sensor_id));
                let added = self.sensors.add(&self.reading.sensor_id, attributes);
                if let Ok(sensor) = added {
                    self.sensors.note_given(sensor, given.iter().map(|(at, _)| *at));
                    self.record(|lane| Event::of_sensor(&lane.sensors, sensor));
                }
                Ok(added
                    .map_err(|error| Rejection { reason: Reason::TooManySensors, detail: error.to_string() }))
            }
            Some(sensor) => {
                self.sensors.note_given(sensor, given.iter().map(|(at, _)| *at));
                let known = self.sensors.attributes(sensor);
                if given.iter().all(|(at, value)| lookup(known, &names[usize::from(*at)].name) == Some(value))
                {
                    return Ok(Ok(sensor));
                }
                let changed = merged(names, given, known);
                self.flush()?;
                self.change_attributes(sensor, changed)?;
                Ok(Ok(sensor))
            }
        }
    }

    fn reject(&mut self, record: &Record<'_>, rejection: &Rejection) {
        if !self.is_live(record.meta.position) {
            return;
        }
        self.account.pending -= 1;
        let count = self.account.dead_letter(rejection.reason);
        let letter = DeadLetter::new(rejection, &self.name, record);
        if count == 1 {
            account::say_first(&letter);
        }
        self.rejected.push(Outgoing::DeadLetter(Box::new(letter)));
    }

    /// The watermark has passed a multiple of the tick that was not told yet: that multiple.
    fn tick_reached(&mut self) -> Option<Timestamp> {
        let watermark = self.watermark()?;
        let tick = watermark.div_euclid(self.settings.tick_ms) * self.settings.tick_ms;
        let before = self.tick.replace(self.tick.map_or(tick, |told| told.max(tick)))?;
        (tick > before).then_some(tick)
    }

    /// Stands between what was judged and what comes next.
    fn decide(&mut self, what: What) {
        self.decide_at(self.next, what);
    }

    fn decide_at(&mut self, position: Position, what: What) {
        let decision = Decision { position, what };
        self.chronicle.note(decision.clone());
        self.output.decisions.push(decision);
    }

    fn is_live(&self, position: Position) -> bool {
        position >= self.replay.silent_until
    }
}

/// Attributes by name: those that the reading gives, then those known before or from the assets.
fn merged(names: &[AttributePath], given: &[(u16, String)], known: &[(String, String)]) -> Attributes {
    let mut attributes: Attributes =
        given.iter().map(|(at, value)| (names[usize::from(*at)].name.clone(), value.clone())).collect();
    for (name, value) in known {
        if lookup(&attributes, name).is_none() {
            attributes.push((name.clone(), value.clone()));
        }
    }
    attributes.sort();
    attributes
}

fn lookup<'a>(attributes: &'a [(String, String)], name: &str) -> Option<&'a String> {
    attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value)
}
