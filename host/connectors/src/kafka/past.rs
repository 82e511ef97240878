//! A partition's messages once more, beside the group: by a consumer of its own, which joins nothing and commits
//! nothing.

use std::sync::Arc;
use std::time::Duration;

use gridwatch_core::record::{Chunk, Feed, FeedStatus, Past, Position, SourceError};
use rdkafka::consumer::{BaseConsumer, Consumer, DefaultConsumerContext};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use super::group::Group;
use super::publish::place_of;
use super::raw::PartitionQueue;
use super::settings::KafkaSettings;

/// What the topic still has.
pub struct KafkaPast {
    settings: Arc<KafkaSettings>,
}

impl KafkaPast {
    pub fn of(group: &Group) -> Self {
        KafkaPast { settings: group.settings.clone() }
    }

    pub fn new(settings: KafkaSettings) -> Self {
        KafkaPast { settings: Arc::new(settings) }
    }

    fn failed(&self, what: impl ToString) -> SourceError {
        SourceError::Read { place: place_of(&self.settings.properties), what: what.to_string() }
    }
}

impl Past for KafkaPast {
    fn open(&self, lane: &str, position: Position) -> Result<Box<dyn Feed>, SourceError> {
        let partition =
            lane.strip_prefix(self.settings.topic.as_str()).and_then(|rest| rest.strip_prefix('-'));
        let partition: i32 = partition
            .and_then(|number| number.parse().ok())
            .ok_or_else(|| self.failed(format!("lane {lane} is none of topic {}", self.settings.topic)))?;
        let consumer: BaseConsumer<DefaultConsumerContext> =
            self.settings.reader().create().map_err(|error| self.failed(error))?;
        let consumer = Arc::new(consumer);
        let topic = &self.settings.topic;
        let queue = PartitionQueue::split(consumer.clone(), topic, partition)
            .ok_or_else(|| self.failed(format!("{topic} is no topic's name")))?;
        let mut feed = KafkaPastFeed { settings: self.settings.clone(), partition, consumer, queue };
        feed.seek(position)?;
        Ok(Box::new(feed))
    }
}

/// Ends where the partition ends.
struct KafkaPastFeed {
    settings: Arc<KafkaSettings>,
    partition: i32,
    /// Dropped before its consumer.
    queue: PartitionQueue<DefaultConsumerContext>,
    consumer: Arc<BaseConsumer<DefaultConsumerContext>>,
}

impl KafkaPastFeed {
    fn place(&self) -> String {
        format!("partition {} of topic {}", self.partition, self.settings.topic)
    }
}

impl Feed for KafkaPastFeed {
    fn seek(&mut self, position: Position) -> Result<(), SourceError> {
        let failed = |error: rdkafka::error::KafkaError| SourceError::Read {
            place: format!("partition {} of topic {}", self.partition, self.settings.topic),
            what: error.to_string(),
        };
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition_offset(&self.settings.topic, self.partition, Offset::Offset(position as i64))
            .map_err(failed)?;
        self.consumer.assign(&list).map_err(failed)
    }

    fn poll(&mut self, chunk: &mut Chunk, wait: Duration) -> Result<FeedStatus, SourceError> {
        // Its own events: errors of connections, which librdkafka mends.
        let _ = self.consumer.poll(Duration::ZERO);
        match self.queue.poll(chunk, wait, self.settings.record_bytes_max) {
            Ok(status) => Ok(status),
            Err(RDKafkaErrorCode::PartitionEOF) => Ok(FeedStatus::End),
            Err(code @ (RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange)) => {
                let position = chunk.records.last().map_or(0, |last| last.next);
                Err(SourceError::Lost { place: self.place(), position, what: code.to_string() })
            }
            Err(code) => Err(SourceError::Away { place: self.place(), what: code.to_string() }),
        }
    }
}
