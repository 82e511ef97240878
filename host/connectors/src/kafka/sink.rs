//! Anomalies, dead letters and positions, out together.
//!
//! The records of an interval are kept until their commit is acknowledged. Exactly once, they and the
//! positions are one transaction: one that is aborted (each rebalance has a window of that) is sent again
//! as another; one whose end is in doubt is ended again; one that is lost for good brings all lanes back
//! to their commits. At least once, the records are acknowledged first and the positions committed after.
//!
//! What goes into a commit is of lanes that are ours as of the last rebalance that was handled, and of the
//! generation that goes with it: the broker checks membership, not whose partition it is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gridwatch_core::sink::{Commit, Commits, Delivery, LaneCommit, LaneId, Outgoing, Sink, SinkError};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::Producer;
use rdkafka::{Offset, TopicPartitionList};

use super::group::{Assignment, Group};
use super::producer::{self, BATCH_BYTES, Cut, KafkaProducer};
use super::refusal::{Fencing, is_forbidden};
use super::settings::TRANSACTION_TIMEOUT;
use super::{metadata, raw};

/// How long one step of a commit may take before the outlet has a look at what else there is.
const STEP_WAIT: Duration = Duration::from_secs(2);
/// One failure may be told several times, by the message and by the transaction.
const TOO_LARGE_MAX: u32 = 10;
const INIT_WAIT: Duration = Duration::from_secs(15);

pub struct KafkaSink {
    group: Group,
    producer: Option<KafkaProducer>,
    /// Since the last commit.
    interval: Vec<(LaneId, Outgoing)>,
    /// So many of these are handed over to the producer.
    sent: usize,
    /// Bytes of these that may be on their way in one batch, where batches are kept small.
    batch_bytes: usize,
    stage: Stage,
    /// What the transaction commits that is being ended, and the lanes that it leaves out.
    ending: (Commit, Vec<LaneId>),
    /// When the transaction was begun.
    begun: Option<Instant>,
    /// How messages are sent until the next commit: a topic may take less than the producer does.
    cut: Cut,
    /// What was sent last was too large, and the next time less is sent: both the message and its transaction tell.
    is_cut: bool,
    /// How often a topic was too small since the last commit.
    too_large: u32,
    fencing: Fencing,
}

/// Where the transaction stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    None,
    Open,
    /// It is to be ended, and whether it was is not known.
    Ending,
    /// It is to be aborted before anything else.
    Aborting,
}

impl KafkaSink {
    pub fn new(group: Group) -> Self {
        KafkaSink {
            group,
            producer: None,
            interval: Vec::new(),
            sent: 0,
            batch_bytes: 0,
            stage: Stage::None,
            ending: Default::default(),
            begun: None,
            cut: Cut::None,
            is_cut: false,
            too_large: 0,
            fencing: Fencing::default(),
        }
    }

    fn place(&self) -> String {
        self.group.place()
    }

    fn busy(&self, what: impl ToString) -> SinkError {
        SinkError::Busy { place: self.place(), what: what.to_string() }
    }

    /// Makes the producer where there is none; a new one fences what an earlier life has left.
    fn make_producer(&mut self) -> Result<(), SinkError> {
        if self.producer.is_some() {
            return Ok(());
        }
        let failed = |what: String| SinkError::Write { place: self.place(), what };
        let made = producer::new(&self.group.settings, self.group.producer_figures.clone())
            .map_err(|error| failed(error.to_string()))?;
        if self.is_exactly_once()
            && let Err(error) = made.init_transactions(INIT_WAIT)
        {
            if let Some(what) = made.context().fatal() {
                return Err(failed(what));
            }
            if error.rdkafka_error_code().is_some_and(is_final) {
                return Err(failed(error.to_string()));
            }
            tracing::warn!("transactions cannot begin yet, tries again: {error}");
            return Err(self.busy(format!("transactions cannot begin: {error}")));
        }
        self.producer = Some(made);
        Ok(())
    }

    fn is_exactly_once(&self) -> bool {
        self.group.settings.delivery == Delivery::ExactlyOnce
    }

    /// Hands over what was not yet. False: not all for now; the queue is full, or it takes too long.
    fn send(&mut self) -> Result<bool, SinkError> {
        if self.sent == self.interval.len() {
            return Ok(true);
        }
        self.begin()?;
        self.is_cut &= self.sent > 0;
        let (settings, cut, begun) = (self.group.settings.clone(), self.cut, Instant::now());
        while self.sent < self.interval.len() {
            let Some(producer) = &self.producer else { return Ok(false) };
            let message = &self.interval[self.sent].1;
            if cut != Cut::None {
                let bytes = message.size_bytes();
                if self.batch_bytes + bytes > BATCH_BYTES {
                    if begun.elapsed() > STEP_WAIT || !producer::flush(producer, STEP_WAIT) {
                        return Ok(false);
                    }
                    self.batch_bytes = 0;
                }
                self.batch_bytes += bytes;
            }
            match producer::send(producer, &settings, message, cut) {
                Ok(true) => self.sent += 1,
                Ok(false) => return Ok(false),
                // It has cut all that can be: the producer's own limit is too small.
                Err(error) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::MessageSizeTooLarge) => {
                    return Err(self.too_small("the producer", "message.max.bytes"));
                }
                Err(error) => return Err(self.after(error)),
            }
        }
        Ok(true)
    }

    fn begin(&mut self) -> Result<(), SinkError> {
        self.make_producer()?;
        if !self.is_exactly_once() || self.stage != Stage::None {
            return Ok(());
        }
        if let Some(Err(error)) = self.producer.as_ref().map(Producer::begin_transaction) {
            return Err(self.after(error));
        }
        (self.stage, self.begun) = (Stage::Open, Some(Instant::now()));
        Ok(())
    }

    /// What an error means: the same again, an abort first, all is lost, or the end.
    fn after(&mut self, error: KafkaError) -> SinkError {
        let code = error.rdkafka_error_code();
        if let Some(end) = self.cut_after(code) {
            return end;
        }
        if code.is_some_and(is_final) {
            return SinkError::Write { place: self.place(), what: error.to_string() };
        }
        if let KafkaError::Transaction(details) = &error {
            if details.is_fatal() {
                return self.lost(code, error.to_string());
            }
            if details.txn_requires_abort() {
                self.stage = Stage::Aborting;
            }
            return self.busy(error);
        }
        match code {
            Some(
                RDKafkaErrorCode::Fatal | RDKafkaErrorCode::Fenced | RDKafkaErrorCode::InvalidProducerEpoch,
            ) => self.lost(code, error.to_string()),
            Some(RDKafkaErrorCode::State) if self.stage == Stage::Open => {
                // The transaction was aborted under us.
                self.stage = Stage::Aborting;
                self.busy(error)
            }
            Some(RDKafkaErrorCode::MessageSizeTooLarge) => self.busy(error),
            _ if may_pass(&error) => self.busy(error),
            _ => SinkError::Write { place: self.place(), what: error.to_string() },
        }
    }

    /// The producer is of no use any more, and what was on its way is lost, unseen.
    fn lost(&mut self, code: Option<RDKafkaErrorCode>, what: String) -> SinkError {
        let place = self.place();
        self.producer = None;
        self.interval.clear();
        self.start_over();
        self.stage = Stage::None;
        // A transaction that was open for too long is told by the same error as another process.
        let is_late = self.begun.take().is_some_and(|begun| begun.elapsed() >= TRANSACTION_TIMEOUT);
        let fenced = matches!(code, Some(RDKafkaErrorCode::Fenced | RDKafkaErrorCode::ProducerFenced));
        let cut_off = self.group.current().membership().cut_off();
        if fenced
            && !is_late
            && let Some(end) = self.fencing.note(&self.group.settings.instance, cut_off)
        {
            return SinkError::Commit { place, what: format!("{end} ({what})") };
        }
        SinkError::Reset { place, what }
    }

    /// What was handed over is taken back: it is sent again with the next transaction.
    fn abort(&mut self) -> Result<(), SinkError> {
        let Some(producer) = &self.producer else { return Ok(()) };
        self.stage = Stage::Aborting;
        if let Err(error) = producer.abort_transaction(STEP_WAIT) {
            return Err(match &error {
                KafkaError::Transaction(details) if details.is_fatal() => {
                    self.lost(error.rdkafka_error_code(), error.to_string())
                }
                _ => self.busy(error),
            });
        }
        let failure = producer.context().take_failure();
        self.start_over();
        self.stage = Stage::None;
        self.cut_after(failure).map_or(Ok(()), Err)
    }

    /// What a topic was too small for is sent again with less in it; where that does not help, nothing will.
    fn cut_after(&mut self, failure: Option<RDKafkaErrorCode>) -> Option<SinkError> {
        if failure != Some(RDKafkaErrorCode::MessageSizeTooLarge) {
            return None;
        }
        if std::mem::replace(&mut self.is_cut, true) {
            return None;
        }
        self.too_large += 1;
        // The producer's own cuts come first by themselves.
        let further = match self.cut {
            Cut::Batch | Cut::Record => Cut::Record.further(),
            cut => cut.further(),
        };
        self.cut = further.unwrap_or(self.cut);
        (further.is_none() && self.too_large > TOO_LARGE_MAX).then(|| {
            let settings = &self.group.settings;
            let topics = format!("topic {} or {}", settings.anomalies_topic, settings.dead_letters_topic);
            self.too_small(&topics, "max.message.bytes")
        })
    }

    fn too_small(&self, who: &str, limit: &str) -> SinkError {
        let what =
            format!("{who} does not even take a message that was cut to its essentials: raise its {limit}");
        SinkError::Write { place: self.place(), what }
    }

    /// Of what is to be sent nothing is handed over, and nothing else is on its way.
    fn start_over(&mut self) {
        (self.sent, self.batch_bytes) = (0, 0);
    }

    fn end(&mut self) -> Result<(), SinkError> {
        let Some(producer) = &self.producer else { return Ok(()) };
        self.stage = Stage::Ending;
        if !producer::flush(producer, STEP_WAIT) {
            return Err(self.busy("not all is acknowledged yet"));
        }
        match producer.commit_transaction(STEP_WAIT) {
            Ok(()) => {
                self.stage = Stage::None;
                self.settled();
                Ok(())
            }
            Err(error) => Err(self.after(error)),
        }
    }

    /// All of the interval is out for good.
    fn settled(&mut self) {
        self.interval.drain(..self.sent);
        self.start_over();
        (self.begun, self.cut, self.too_large) = (None, Cut::None, 0);
    }

    /// Lanes that are not ours any more say nothing.
    fn keep_ours(&mut self, ours: &Assignment) -> Result<(), SinkError> {
        let is_ours = |lane: &LaneId| ours.partitions.contains_key(lane);
        if self.interval.iter().all(|(lane, _)| is_ours(lane)) {
            return Ok(());
        }
        if self.stage != Stage::None {
            self.abort()?;
        }
        self.interval.retain(|(lane, _)| is_ours(lane));
        Ok(())
    }

    fn offsets(
        &self,
        commit: &Commit,
        ours: &BTreeMap<LaneId, i32>,
    ) -> Result<TopicPartitionList, SinkError> {
        let failed = |what: String| SinkError::Commit { place: self.place(), what };
        let topic = &self.group.settings.topic;
        let mut list = TopicPartitionList::new();
        for (lane, entry) in &commit.lanes {
            let Some(partition) = ours.get(lane) else { continue };
            let text = metadata::encode(&lane.name, entry).map_err(|error| failed(error.to_string()))?;
            let mut element = list.add_partition(topic, *partition);
            element
                .set_offset(Offset::Offset(entry.position as i64))
                .map_err(|error| failed(error.to_string()))?;
            element.set_metadata(text);
        }
        Ok(list)
    }

    fn commit_exactly_once(&mut self, commit: &Commit) -> Result<Vec<LaneId>, SinkError> {
        match self.stage {
            // Its positions were accepted before the end was asked for: whatever came after, it stands.
            Stage::Ending => {
                self.end()?;
                if self.ending.0 == *commit {
                    return Ok(std::mem::take(&mut self.ending.1));
                }
            }
            Stage::Aborting => self.abort()?,
            Stage::None | Stage::Open => {}
        }
        let ours = self.group.current().membership().assignment();
        self.keep_ours(&ours)?;
        let offsets = self.offsets(commit, &ours.partitions)?;
        if offsets.count() == 0 {
            if self.stage == Stage::Open {
                self.abort()?;
            }
            return Ok(left_out(commit, &ours.partitions));
        }
        let Some(member) = &ours.metadata else {
            return Err(self.busy("waits for the group's next generation"));
        };
        self.begin()?;
        if !self.send()? {
            return Err(self.busy("the producer's queue is full"));
        }
        let sent = match &self.producer {
            Some(producer) => producer.send_offsets_to_transaction(&offsets, member, STEP_WAIT),
            None => return Err(self.busy("no producer")),
        };
        if let Err(error) = sent {
            return Err(self.after(error));
        }
        self.ending = (commit.clone(), left_out(commit, &ours.partitions));
        self.end()?;
        Ok(std::mem::take(&mut self.ending.1))
    }

    fn commit_at_least_once(&mut self, commit: &Commit) -> Result<Vec<LaneId>, SinkError> {
        // Also where there is nothing to send: what is committed may be positions alone.
        self.make_producer()?;
        let sent = self.send()?;
        let Some(producer) = &self.producer else { return Err(self.busy("no producer")) };
        if !producer::flush(producer, STEP_WAIT) {
            // What is still on its way is not to be told of what is sent next.
            return Err(self.busy("not all is acknowledged yet"));
        }
        if let Some(code) = producer.context().take_failure() {
            // Those that arrived come again: that is what this delivery allows.
            self.start_over();
            if let Some(end) = self.cut_after(Some(code)) {
                return Err(end);
            }
            if is_final(code) {
                return Err(SinkError::Write { place: self.place(), what: code.to_string() });
            }
            return Err(self.busy(format!("not all was delivered: {code}")));
        }
        if !sent {
            return Err(self.busy("not all is handed over yet"));
        }
        // Nobody may take a lane between the look at whose it is and the commit.
        let group = self.group.current();
        let committed = group.membership().while_unchanged(|ours| {
            let offsets = self.offsets(commit, ours)?;
            if offsets.count() > 0 {
                raw::commit(&group.consumer, &offsets, STEP_WAIT).map_err(|code| self.busy(code))?;
            }
            Ok(left_out(commit, ours))
        });
        let left_out = committed?;
        self.settled();
        Ok(left_out)
    }
}

impl Sink for KafkaSink {
    /// What an earlier life of this process has left open is aborted. Commits are asked for lane by lane.
    fn recover(&mut self) -> Result<Arc<dyn Commits>, SinkError> {
        match self.make_producer() {
            Ok(()) | Err(SinkError::Busy { .. }) => {}
            Err(error) => return Err(error),
        }
        Ok(Arc::new(GroupCommits(self.group.clone())))
    }

    fn append(&mut self, lane: &LaneId, messages: Vec<Outgoing>) -> Result<(), SinkError> {
        self.interval.extend(messages.into_iter().map(|message| (lane.clone(), message)));
        if self.stage == Stage::Ending || self.stage == Stage::Aborting {
            return Ok(());
        }
        match self.send() {
            Ok(_) | Err(SinkError::Busy { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn commit(&mut self, commit: &Commit) -> Result<Vec<LaneId>, SinkError> {
        if let Some(what) = self.producer.as_ref().and_then(|producer| producer.context().fatal()) {
            return Err(SinkError::Write { place: self.place(), what });
        }
        if self.is_exactly_once() {
            self.commit_exactly_once(commit)
        } else {
            self.commit_at_least_once(commit)
        }
    }

    fn forget(&mut self, lane: &LaneId) {
        if !self.interval.iter().any(|(of, _)| of == lane) {
            return;
        }
        if self.stage == Stage::Ending {
            // What is in the transaction stands or falls with it; what is not must not come.
            let rest = self.interval.split_off(self.sent);
            self.interval.extend(rest.into_iter().filter(|(of, _)| of != lane));
            return;
        }
        if self.stage == Stage::Open && self.sent > 0 {
            self.stage = Stage::Aborting;
        }
        self.sent = 0;
        self.interval.retain(|(of, _)| of != lane);
    }

    fn delivery(&self) -> Delivery {
        self.group.settings.delivery
    }
}

/// Lanes of the commit that are not ours any more.
fn left_out(commit: &Commit, ours: &BTreeMap<LaneId, i32>) -> Vec<LaneId> {
    commit.lanes.keys().filter(|lane| !ours.contains_key(lane)).cloned().collect()
}

/// No waiting will mend it.
fn is_final(code: RDKafkaErrorCode) -> bool {
    is_forbidden(code) || code == RDKafkaErrorCode::InvalidTransactionTimeout
}

/// Whether the same may succeed later. rdkafka's commit of a transaction flushes first, and answers with that
/// error where the brokers are slow or away: nothing is decided by it.
fn may_pass(error: &KafkaError) -> bool {
    matches!(error, KafkaError::Flush(_))
        || matches!(
            error.rdkafka_error_code(),
            Some(
                RDKafkaErrorCode::OperationTimedOut
                    | RDKafkaErrorCode::MessageTimedOut
                    | RDKafkaErrorCode::RequestTimedOut
                    | RDKafkaErrorCode::BrokerTransportFailure
                    | RDKafkaErrorCode::AllBrokersDown
                    | RDKafkaErrorCode::QueueFull
            )
        )
}

/// The group's own commits.
struct GroupCommits(Group);

impl Commits for GroupCommits {
    fn last(&self, lane: &LaneId) -> Result<Option<LaneCommit>, SinkError> {
        let group = self.0.current();
        match group.membership().assignment().partitions.get(lane) {
            Some(partition) => group.last_commit(lane, *partition),
            None => Err(SinkError::Busy { place: lane.to_string(), what: "is not ours any more".into() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frozen process that thaws, or a broker that is slow, must not end the run: seen by `make chaos`.
    #[test]
    fn a_flush_that_takes_too_long_is_tried_again() {
        assert!(may_pass(&KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut)));
        assert!(may_pass(&KafkaError::MessageProduction(RDKafkaErrorCode::BrokerTransportFailure)));
        assert!(!may_pass(&KafkaError::MessageProduction(RDKafkaErrorCode::UnknownTopicOrPartition)));
        assert!(!may_pass(&KafkaError::Canceled));
    }
}
