//! A topic's records up to its present end, to be sent into another topic: each once.
//!
//! What was sent, and that it was, is one transaction, so that a run that dies sends nothing twice. Which
//! records were sent is kept by a consumer group of its own ([`Progress`]): also where some in between were not.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gridwatch_core::record::Header;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::producer::Producer;
use rdkafka::{Message, Offset, TopicPartitionList};

use super::progress::Progress;
use super::publish::{Heard, Outbound, Publisher, ToolError, place_of, reader};
use super::raw;

const ASK_WAIT: Duration = Duration::from_secs(10);
/// A topic that has an end gives a record or that end by then.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// An earlier run that died may leave a transaction, which has its own time.
const SETTLE_WAIT: Duration = Duration::from_secs(45);

/// Between which topics, and as whom.
#[derive(Debug, Clone)]
pub struct LettersSettings {
    pub from: String,
    pub to: String,
    /// Keeps what was sent; also the name under which it is sent.
    pub group: String,
    pub properties: BTreeMap<String, String>,
    /// Nothing is sent or kept.
    pub dry_run: bool,
}

/// A record as it was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    pub partition: i32,
    pub offset: i64,
    /// Milliseconds since 1970.
    pub time_ms: Option<i64>,
    pub key: Option<Vec<u8>>,
    pub payload: Vec<u8>,
    pub headers: Vec<Header>,
}

struct Last {
    begins: i64,
    ends: i64,
    is_done: bool,
}

pub struct Letters {
    settings: LettersSettings,
    consumer: Arc<BaseConsumer<Heard>>,
    publisher: Publisher,
    /// By partition; without those whose present end was reached.
    ends: BTreeMap<i32, i64>,
    progress: BTreeMap<i32, Progress>,
    /// By partition: where the record given out last begins, and whether it is handled. What lies between two
    /// that are (a transaction's marker, what compaction took) belongs to the later one.
    last: BTreeMap<i32, Last>,
    topic_id: String,
    place: String,
    is_open: bool,
}

impl Letters {
    /// Reaches the brokers, finds both topics, and what was sent before.
    pub fn open(settings: LettersSettings) -> Result<Letters, ToolError> {
        let place = place_of(&settings.properties);
        let more = [
            ("queued.max.messages.kbytes", "8192"),
            ("isolation.level", "read_committed"),
            ("auto.offset.reset", "error"),
        ];
        let (consumer, partitions) = reader(&settings.properties, &settings.from, &settings.group, &more)?;
        let consumer = Arc::new(consumer);
        // No instance has an empty name: the id is nobody else's.
        let id = (!settings.dry_run).then(|| format!("{}/", settings.group));
        let publisher = Publisher::with(&settings.properties, &settings.to, id.as_deref())?;
        if id.is_some() {
            publisher.producer.init_transactions(ASK_WAIT).map_err(|error| ToolError::Refused {
                place: place.clone(),
                what: format!("transactions cannot begin: {error}"),
            })?;
        }
        let topic_id =
            raw::topic_id(&consumer, &settings.from, ASK_WAIT).map_err(|code| ToolError::Read {
                place: place.clone(),
                topic: settings.from.clone(),
                what: format!("the topic's id cannot be had: {code}"),
            })?;
        let mut letters = Letters {
            settings,
            consumer,
            publisher,
            ends: BTreeMap::new(),
            progress: BTreeMap::new(),
            last: BTreeMap::new(),
            topic_id,
            place,
            is_open: false,
        };
        letters.begin(partitions)?;
        Ok(letters)
    }

    fn failed(&self, what: impl ToString) -> ToolError {
        ToolError::Read {
            place: self.place.clone(),
            topic: self.settings.from.clone(),
            what: what.to_string(),
        }
    }

    fn begin(&mut self, partitions: i32) -> Result<(), ToolError> {
        let topic = self.settings.from.clone();
        let mut list = TopicPartitionList::new();
        for partition in 0..partitions {
            let extent = self.consumer.fetch_watermarks(&topic, partition, ASK_WAIT);
            let (low, high) = extent.map_err(|error| self.failed(error))?;
            let mut progress = self.committed(partition, low, high)?;
            progress.begin_at(low);
            if progress.base() < high {
                list.add_partition_offset(&topic, partition, Offset::Offset(progress.base()))
                    .map_err(|error| self.failed(error))?;
                self.ends.insert(partition, high);
            }
            self.progress.insert(partition, progress);
        }
        self.consumer.assign(&list).map_err(|error| self.failed(error))
    }

    fn committed(&self, partition: i32, low: i64, high: i64) -> Result<Progress, ToolError> {
        let asked = raw::committed(&self.consumer, &self.settings.from, partition, ASK_WAIT);
        let found =
            asked.map_err(|code| self.failed(format!("what was sent before is not known: {code}")))?;
        let Some(found) = found else { return Ok(Progress::from(low)) };
        match Progress::decode(&self.topic_id, found.offset, &found.metadata) {
            Some(progress) if progress.base() <= high => Ok(progress),
            _ => {
                tracing::warn!(
                    partition,
                    group = self.settings.group,
                    "the group's progress is of another topic of this name, or not ours; begins at the first record"
                );
                Ok(Progress::from(low))
            }
        }
    }

    pub fn partitions_to(&self) -> i32 {
        self.publisher.partitions()
    }

    /// Whether it was sent by this run or an earlier one.
    pub fn is_done(&self, record: &Stored) -> bool {
        self.progress.get(&record.partition).is_some_and(|progress| progress.is_done(record.offset))
    }

    /// The next record, sent or not; `None` at the end that there was when this began.
    pub fn read(&mut self) -> Result<Option<Stored>, ToolError> {
        let mut silent_since = Instant::now();
        while !self.ends.is_empty() {
            let polled = match self.consumer.poll(Duration::from_millis(200)) {
                None => None,
                Some(Ok(message)) => Some(Ok(stored(&message))),
                Some(Err(error)) => Some(Err(error)),
            };
            match polled {
                Some(Ok(record)) => {
                    silent_since = Instant::now();
                    if let Some(record) = self.given(record) {
                        return Ok(Some(record));
                    }
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    self.ends.remove(&partition);
                }
                Some(Err(error)) if is_final(&error) => return Err(self.failed(error)),
                // librdkafka goes on by itself: brokers come back, leaders are elected.
                Some(Err(_)) | None => {
                    if let Some(what) = self.consumer.context().refused() {
                        return Err(ToolError::Refused { place: self.place.clone(), what });
                    }
                    if silent_since.elapsed() > SILENCE_MAX {
                        return Err(self.failed("no record and no end comes from the brokers"));
                    }
                }
            }
        }
        Ok(None)
    }

    /// Only those that were there when this began.
    fn given(&mut self, record: Stored) -> Option<Stored> {
        let end = *self.ends.get(&record.partition)?;
        if record.offset + 1 >= end {
            self.ends.remove(&record.partition);
        }
        if record.offset >= end {
            return None;
        }
        let begins = match self.last.get(&record.partition) {
            Some(last) if last.is_done => last.ends,
            Some(_) => record.offset,
            None => self.progress.get(&record.partition).map_or(record.offset, Progress::base),
        };
        let last = Last { begins, ends: record.offset + 1, is_done: self.is_done(&record) };
        self.last.insert(record.partition, last);
        Some(record)
    }

    /// Sends `record` for the one that `read` gave last. It is out once settled.
    pub fn send(&mut self, given: &Stored, record: &Outbound<'_>) -> Result<(), ToolError> {
        if self.settings.dry_run {
            return Ok(());
        }
        if !self.is_open {
            self.publisher.producer.begin_transaction().map_err(|error| self.unsettled(error))?;
            self.is_open = true;
        }
        self.publisher.send(record)?;
        if let Some(last) = self.last.get_mut(&given.partition) {
            last.is_done = true;
            let (begins, ends) = (last.begins.min(given.offset), given.offset + 1);
            self.progress.entry(given.partition).or_default().mark(begins, ends);
        }
        Ok(())
    }

    fn unsettled(&self, what: impl ToString) -> ToolError {
        ToolError::Settle { place: self.place.clone(), what: what.to_string() }
    }

    /// All that was sent since the last call is out for good, and known to be.
    pub fn settle(&mut self) -> Result<(), ToolError> {
        if !std::mem::take(&mut self.is_open) {
            return Ok(());
        }
        let settled = self.end();
        if settled.is_err() {
            // The error that led here says more than this one could.
            let _ = self.publisher.producer.abort_transaction(ASK_WAIT);
        }
        settled
    }

    fn end(&self) -> Result<(), ToolError> {
        let mut list = TopicPartitionList::new();
        for (partition, progress) in &self.progress {
            let text = progress.encode(&self.topic_id).ok_or_else(|| {
                self.unsettled(
                    "sent and unsent dead letters alternate too often for what Kafka remembers; send the others of \
                     this stretch, too (without --reason), or less of it (--to)",
                )
            })?;
            let mut element = list.add_partition(&self.settings.from, *partition);
            element.set_offset(Offset::Offset(progress.base())).map_err(|error| self.unsettled(error))?;
            element.set_metadata(text);
        }
        self.publisher.flush()?;
        let member = self.consumer.group_metadata().ok_or_else(|| self.unsettled("there is no group"))?;
        let until = Instant::now() + SETTLE_WAIT;
        let producer = &self.publisher.producer;
        self.insist(until, || producer.send_offsets_to_transaction(&list, &member, ASK_WAIT))?;
        self.insist(until, || producer.commit_transaction(ASK_WAIT))
    }

    /// The same again while that may help.
    fn insist(&self, until: Instant, work: impl Fn() -> Result<(), KafkaError>) -> Result<(), ToolError> {
        loop {
            match work() {
                Ok(()) => return Ok(()),
                Err(KafkaError::Transaction(error))
                    if error.is_retriable() && !error.txn_requires_abort() && Instant::now() < until =>
                {
                    tracing::debug!("{error}; again");
                }
                Err(error) => return Err(self.unsettled(error)),
            }
        }
    }
}

impl Drop for Letters {
    /// Readers are not to wait for a transaction that nobody will end.
    fn drop(&mut self) {
        if self.is_open {
            let _ = self.publisher.producer.abort_transaction(ASK_WAIT);
        }
    }
}

/// What no waiting mends.
fn is_final(error: &KafkaError) -> bool {
    let codes = [
        RDKafkaErrorCode::AutoOffsetReset,
        RDKafkaErrorCode::OffsetOutOfRange,
        RDKafkaErrorCode::UnknownTopicOrPartition,
        RDKafkaErrorCode::UnknownTopic,
    ];
    error.rdkafka_error_code().is_some_and(|code| codes.contains(&code))
}

fn stored(message: &BorrowedMessage<'_>) -> Stored {
    Stored {
        partition: message.partition(),
        offset: message.offset(),
        time_ms: message.timestamp().to_millis(),
        key: message.key().map(<[u8]>::to_vec),
        payload: message.payload().unwrap_or_default().to_vec(),
        headers: raw::headers(message),
    }
}
