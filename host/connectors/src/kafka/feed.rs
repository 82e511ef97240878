//! A partition's messages as a lane reads them.

use std::time::Duration;

use gridwatch_core::record::{Chunk, Feed, FeedStatus, Position, SourceError};
use gridwatch_core::sink::LaneId;
use rdkafka::consumer::Consumer;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use super::group::{ASK_WAIT, Connected, Membership, Reader};
use super::raw::PartitionQueue;
use super::settings::{OnLost, Start};
use crate::locked;

pub struct KafkaFeed {
    group: Connected,
    lane: LaneId,
    partition: i32,
    reader: Reader,
    /// None before `seek`: nothing is fetched before it is known where to begin.
    queue: Option<PartitionQueue<Membership>>,
    next: Position,
    /// The broker has said that `next` is not there; told once, so it is kept in mind.
    is_out_of_range: bool,
    /// Where it goes on behind what is gone, once it is not fetched from there any more.
    goes_on_at: Option<Position>,
}

impl KafkaFeed {
    pub fn new(group: Connected, lane: LaneId, partition: i32) -> Self {
        let reader = group.membership().reader(partition);
        KafkaFeed {
            group,
            lane,
            partition,
            reader,
            queue: None,
            next: 0,
            is_out_of_range: false,
            goes_on_at: None,
        }
    }

    fn place(&self) -> String {
        format!("partition {} of topic {}", self.partition, self.group.settings.topic)
    }

    /// The first offset that is there, and the one behind the last.
    fn extent(&self) -> Result<(i64, i64), SourceError> {
        let topic = &self.group.settings.topic;
        self.group.consumer.fetch_watermarks(topic, self.partition, ASK_WAIT).map_err(|error| {
            SourceError::Away { place: self.place(), what: format!("its extent cannot be had: {error}") }
        })
    }

    /// From here on messages are fetched. The lane may be somebody else's by now.
    fn assign(&mut self, position: Position) -> Result<(), SourceError> {
        let topic = &self.group.settings.topic;
        let revoked = || SourceError::Revoked { place: self.place() };
        let failed = |what: String| SourceError::Read { place: self.place(), what };
        let queue =
            PartitionQueue::split(self.group.consumer.clone(), topic, self.partition).ok_or_else(revoked)?;
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition_offset(topic, self.partition, Offset::Offset(position as i64))
            .map_err(|error| failed(error.to_string()))?;
        {
            let mut reader = locked(&self.reader);
            let consumer = &self.group.consumer;
            let assigned =
                self.group.membership().while_held(&self.lane, || consumer.incremental_assign(&list));
            assigned.ok_or_else(revoked)?.map_err(|error| failed(error.to_string()))?;
            *reader = self.lane.incarnation;
        }
        self.queue = Some(queue);
        self.next = position;
        Ok(())
    }

    /// Brokers may be away while it is asked what there is.
    fn find_range(&mut self) -> Result<FeedStatus, SourceError> {
        match self.out_of_range() {
            Err(error @ SourceError::Away { .. }) => {
                tracing::warn!(lane = %self.lane, "{error}; tries again");
                Ok(FeedStatus::Away)
            }
            found => found,
        }
    }

    /// The offset to go on from was deleted, or never was.
    fn out_of_range(&mut self) -> Result<FeedStatus, SourceError> {
        let (low, high) = self.extent()?;
        let (place, position) = (self.place(), self.next);
        let lost = |what: String| SourceError::Lost { place: place.clone(), position, what };
        let to = match self.group.settings.on_lost {
            OnLost::Halt => {
                return Err(lost(format!(
                    "the topic holds {low} to {high}: was it recreated, or are readings deleted before they are read? \
                     Set [source] on_lost = \"earliest\" or \"latest\" to go on from there"
                )));
            }
            OnLost::Earliest => low,
            OnLost::Latest => high,
        };
        if to < self.next as i64 {
            return Err(lost(format!(
                "the topic ends at {high}, before what was committed: it was recreated. Remove the group's commits and \
                 the lane's checkpoints to begin anew"
            )));
        }
        tracing::error!(lane = %self.lane, from = self.next, to, "readings are gone before they were read; goes on behind them");
        self.goes_on_at = Some(to as Position);
        Ok(FeedStatus::Away)
    }

    /// Behind a gap, as soon as the intake has stopped what is fetched.
    fn go_on(&mut self, to: Position, wait: Duration) -> Result<FeedStatus, SourceError> {
        let is_stopped = self.group.membership().stop(&self.lane);
        if !is_stopped.ok_or_else(|| SourceError::Revoked { place: self.place() })? {
            std::thread::sleep(wait);
            return Ok(FeedStatus::Away);
        }
        self.queue = None;
        self.assign(to)?;
        (self.is_out_of_range, self.goes_on_at) = (false, None);
        Ok(FeedStatus::More)
    }
}

impl Feed for KafkaFeed {
    fn seek(&mut self, position: Position) -> Result<(), SourceError> {
        self.assign(position)
    }

    fn poll(&mut self, chunk: &mut Chunk, wait: Duration) -> Result<FeedStatus, SourceError> {
        if let Some(to) = self.goes_on_at {
            return self.go_on(to, wait);
        }
        if self.is_out_of_range {
            return self.find_range();
        }
        let bytes_max = self.group.settings.record_bytes_max;
        let Some(queue) = &mut self.queue else {
            return Err(SourceError::Revoked { place: self.place() });
        };
        let polled = {
            let reader = locked(&self.reader);
            if *reader != self.lane.incarnation {
                return Err(SourceError::Revoked { place: self.place() });
            }
            queue.poll(chunk, wait, bytes_max)
        };
        if let Some(last) = chunk.records.last() {
            self.next = last.next;
        }
        match polled {
            Ok(status) => Ok(status),
            Err(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) => {
                self.is_out_of_range = true;
                self.find_range()
            }
            Err(RDKafkaErrorCode::TopicAuthorizationFailed) => {
                let what = "this user may not read it".to_owned();
                Err(SourceError::Read { place: self.place(), what })
            }
            // librdkafka goes on by itself: brokers come back, leaders are elected.
            Err(code) => {
                tracing::warn!(lane = %self.lane, "{}: {code}", self.place());
                Ok(FeedStatus::Away)
            }
        }
    }

    fn beginning(&mut self) -> Result<Position, SourceError> {
        let (low, high) = self.extent()?;
        Ok(match self.group.settings.start {
            Start::Earliest => low,
            Start::Latest => high,
        }
        .max(0) as Position)
    }

    fn lag(&self) -> Option<u64> {
        self.queue.as_ref()?;
        let high =
            super::raw::high_watermark(&self.group.consumer, &self.group.settings.topic, self.partition)?;
        Some(high.saturating_sub(self.next))
    }
}
