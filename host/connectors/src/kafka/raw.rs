//! librdkafka where `rdkafka` does not reach: a partition's queue read many messages at a time, and
//! offsets with metadata that need not be text.
//!
//! Why this is sound. Every pointer comes from a call made here or from a client that the caller keeps
//! alive by an `Arc`; queues and messages are destroyed exactly once, before their client, by `Drop` or at
//! the end of the call that took them. librdkafka's functions used here may be called from any thread.
//! Bytes of a message are borrowed from what owns it, and from nothing else.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString};
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, ptr};

use gridwatch_core::record::{Chunk, FeedStatus, Header, Kept, RecordMeta};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::BorrowedMessage;
use rdkafka_sys as sys;
use sys::rd_kafka_resp_err_t::{RD_KAFKA_RESP_ERR__TIMED_OUT, RD_KAFKA_RESP_ERR_NO_ERROR};

#[cfg(test)]
#[path = "raw_tests.rs"]
mod tests;

/// Messages a call.
const BATCH_MESSAGES: usize = 1024;

/// A partition's own queue. Messages of it come nowhere else from the moment it is made.
pub struct PartitionQueue<C: ConsumerContext> {
    queue: ptr::NonNull<sys::rd_kafka_queue_t>,
    /// Kept alive until after the queue.
    consumer: Arc<BaseConsumer<C>>,
}

// SAFETY: librdkafka's queues may be used from any thread.
unsafe impl<C: ConsumerContext> Send for PartitionQueue<C> {}

impl<C: ConsumerContext + 'static> PartitionQueue<C> {
    /// None where the topic's name is none, or the client is going down.
    pub fn split(consumer: Arc<BaseConsumer<C>>, topic: &str, partition: i32) -> Option<Self> {
        let topic = CString::new(topic).ok()?;
        let client = consumer.client().native_ptr();
        // SAFETY: the client lives as long as `consumer`; the name is read during the call only.
        let queue = unsafe { sys::rd_kafka_queue_get_partition(client, topic.as_ptr(), partition) };
        let queue = ptr::NonNull::new(queue)?;
        // SAFETY: the queue is ours; forwarding to none takes it out of the consumer's common queue.
        unsafe { sys::rd_kafka_queue_forward(queue.as_ptr(), ptr::null_mut()) };
        Some(PartitionQueue { queue, consumer })
    }

    /// Messages into an empty `chunk`, waiting at most `wait` for the first, and whether there may be more at
    /// once. An error among them, the last of several, is answered with; all messages are in the chunk, also
    /// those behind it: librdkafka goes on behind them.
    pub fn poll(
        &mut self,
        chunk: &mut Chunk,
        wait: Duration,
        record_bytes_max: usize,
    ) -> Result<FeedStatus, RDKafkaErrorCode> {
        let mut messages =
            Messages { pointers: Vec::new(), record_bytes_max, _consumer: self.consumer.clone() };
        // A batch is waited for until it is full, so it is not asked for before there is something.
        self.take(&mut messages, wait, 1);
        if messages.pointers.is_empty() {
            return Ok(FeedStatus::Idle);
        }
        self.take(&mut messages, Duration::ZERO, BATCH_MESSAGES - 1);
        let is_full = messages.pointers.len() == BATCH_MESSAGES;
        let failed = messages.take_errors();
        // SAFETY: all that are left are messages.
        chunk.records.extend((0..messages.pointers.len()).map(|at| unsafe { messages.meta(at) }));
        chunk.kept = Some(Box::new(messages));
        match failed {
            Some(error) => Err(error.into()),
            None => Ok(if is_full { FeedStatus::More } else { FeedStatus::Idle }),
        }
    }

    /// So many messages and errors wait in it.
    #[cfg(test)]
    fn waiting(&self) -> usize {
        // SAFETY: the queue is ours and alive.
        unsafe { sys::rd_kafka_queue_length(self.queue.as_ptr()) }
    }

    /// Appends as many as there are, at most `max`, waiting at most `wait` for so many.
    fn take(&mut self, messages: &mut Messages<C>, wait: Duration, max: usize) {
        let wait_ms = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
        let pointers = &mut messages.pointers;
        pointers.reserve(max);
        // SAFETY: there is room for `max` more pointers, and as many as returned are set and ours.
        unsafe {
            let free = pointers.as_mut_ptr().add(pointers.len());
            let count = sys::rd_kafka_consume_batch_queue(self.queue.as_ptr(), wait_ms, free, max);
            pointers.set_len(pointers.len() + usize::try_from(count).unwrap_or(0));
        }
    }
}

impl<C: ConsumerContext> Drop for PartitionQueue<C> {
    fn drop(&mut self) {
        // SAFETY: our reference, given back once; the consumer is dropped after it.
        unsafe { sys::rd_kafka_queue_destroy(self.queue.as_ptr()) };
    }
}

/// A batch as librdkafka has it, without a copy.
struct Messages<C: ConsumerContext> {
    /// Ours, and alive until this is dropped.
    pointers: Vec<*mut sys::rd_kafka_message_t>,
    /// Of a longer one only the beginning is shown.
    record_bytes_max: usize,
    /// Kept alive until after the messages.
    _consumer: Arc<BaseConsumer<C>>,
}

// SAFETY: messages may be read and destroyed by any thread, one at a time.
unsafe impl<C: ConsumerContext> Send for Messages<C> {}

impl<C: ConsumerContext> Messages<C> {
    /// Takes out what stands among the messages to tell of an error, and answers with the last.
    fn take_errors(&mut self) -> Option<sys::rd_kafka_resp_err_t> {
        let mut last = None;
        self.pointers.retain(|message| {
            // SAFETY: it is whole; one that is not kept is destroyed here and nowhere else.
            unsafe {
                let error = (**message).err;
                if error != RD_KAFKA_RESP_ERR_NO_ERROR {
                    last = Some(error);
                    sys::rd_kafka_message_destroy(*message);
                }
                error == RD_KAFKA_RESP_ERR_NO_ERROR
            }
        });
        last
    }

    /// # Safety
    /// That message has no error.
    unsafe fn meta(&self, at: usize) -> RecordMeta {
        let message = self.pointers[at];
        let mut kind = sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the message is whole.
        let (time, message) = unsafe { (sys::rd_kafka_message_timestamp(message, &mut kind), &*message) };
        let position = message.offset.max(0) as u64;
        RecordMeta {
            position,
            next: position + 1,
            stored: (time >= 0).then_some(time),
            line: 0,
            end: 0,
            truncated: message.len > self.record_bytes_max,
        }
    }
}

impl<C: ConsumerContext> Kept for Messages<C> {
    fn record(&self, at: usize) -> (&[u8], Option<&[u8]>) {
        // SAFETY: the message is whole as long as `self`, and so are payload and key; a null one has no length.
        unsafe {
            let message = &*self.pointers[at];
            let length = message.len.min(self.record_bytes_max);
            let payload = bytes_of(message.payload, length).unwrap_or_default();
            (payload, bytes_of(message.key, message.key_len))
        }
    }

    fn headers(&self, at: usize) -> Vec<Header> {
        // SAFETY: the message is whole as long as `self`.
        unsafe { headers_of(self.pointers[at]) }
    }
}

impl<C: ConsumerContext> fmt::Debug for Messages<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} messages", self.pointers.len())
    }
}

impl<C: ConsumerContext> Drop for Messages<C> {
    fn drop(&mut self) {
        for message in self.pointers.drain(..) {
            // SAFETY: ours, destroyed just once, and nobody has a reference into it without one to `self`.
            unsafe { sys::rd_kafka_message_destroy(message) };
        }
    }
}

/// # Safety
/// `start` is null, or the start of `length` bytes that outlive `'a`.
unsafe fn bytes_of<'a>(start: *const std::ffi::c_void, length: usize) -> Option<&'a [u8]> {
    // SAFETY: the caller's promise.
    (!start.is_null()).then(|| unsafe { std::slice::from_raw_parts(start.cast(), length) })
}

/// A message's headers, whatever bytes their names are; `rdkafka`'s accessor panics where one is no UTF-8.
pub fn headers(message: &BorrowedMessage<'_>) -> Vec<Header> {
    // SAFETY: a borrowed message is whole.
    unsafe { headers_of(message.ptr()) }
}

/// # Safety
/// `message` is a whole message.
unsafe fn headers_of(message: *mut sys::rd_kafka_message_t) -> Vec<Header> {
    let mut list = ptr::null_mut();
    let mut headers = Vec::new();
    // SAFETY: the list, its names and values belong to the message and live as long.
    unsafe {
        if sys::rd_kafka_message_headers(message, &mut list) != RD_KAFKA_RESP_ERR_NO_ERROR {
            return headers;
        }
        loop {
            let (mut name, mut value, mut length) = (ptr::null(), ptr::null(), 0);
            let found = sys::rd_kafka_header_get_all(list, headers.len(), &mut name, &mut value, &mut length);
            if found != RD_KAFKA_RESP_ERR_NO_ERROR {
                return headers;
            }
            let name = CStr::from_ptr(name).to_string_lossy().into_owned();
            headers.push((name, bytes_of(value, length).unwrap_or_default().to_vec()));
        }
    }
}

/// What a group has committed of a partition.
pub struct Committed {
    pub offset: i64,
    pub metadata: Vec<u8>,
}

/// None where nothing is committed. Waits for transactions under way where the consumer reads committed.
pub fn committed<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    partition: i32,
    wait: Duration,
) -> Result<Option<Committed>, RDKafkaErrorCode> {
    let mut list = TopicPartitionList::with_capacity(1);
    list.add_partition(topic, partition);
    let wait_ms = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: client and list live through the call, which fills the list's elements in place; metadata
    // belongs to the list and is copied.
    unsafe {
        let error = sys::rd_kafka_committed(consumer.client().native_ptr(), list.ptr(), wait_ms);
        if error != RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(error.into());
        }
        let element = &*(*list.ptr()).elems;
        if element.err != RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(element.err.into());
        }
        let metadata = bytes_of(element.metadata, element.metadata_size).unwrap_or_default().to_vec();
        Ok((element.offset >= 0).then_some(Committed { offset: element.offset, metadata }))
    }
}

/// Commits outside of a transaction, and waits for the answer.
pub fn commit<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    offsets: &TopicPartitionList,
    wait: Duration,
) -> Result<(), RDKafkaErrorCode> {
    let wait_ms = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
    let client = consumer.client().native_ptr();
    // SAFETY: the queue is made and destroyed here; the event is ours and destroyed once; the list that
    // belongs to the event is read before that.
    unsafe {
        let queue = sys::rd_kafka_queue_new(client);
        let asked = sys::rd_kafka_commit_queue(client, offsets.ptr(), queue, None, ptr::null_mut());
        let mut error = asked;
        if asked == RD_KAFKA_RESP_ERR_NO_ERROR {
            let event = sys::rd_kafka_queue_poll(queue, wait_ms);
            if event.is_null() {
                error = RD_KAFKA_RESP_ERR__TIMED_OUT;
            } else {
                error = sys::rd_kafka_event_error(event);
                let answered = sys::rd_kafka_event_topic_partition_list(event);
                if error == RD_KAFKA_RESP_ERR_NO_ERROR && !answered.is_null() {
                    let count = usize::try_from((*answered).cnt).unwrap_or(0);
                    let elements = (0..count).map(|at| (*(*answered).elems.add(at)).err);
                    error = elements.into_iter().find(|e| *e != RD_KAFKA_RESP_ERR_NO_ERROR).unwrap_or(error);
                }
                sys::rd_kafka_event_destroy(event);
            }
        }
        sys::rd_kafka_queue_destroy(queue);
        if error == RD_KAFKA_RESP_ERR_NO_ERROR { Ok(()) } else { Err(error.into()) }
    }
}

/// What the group's coordinator calls this member now; None while it is none.
pub fn member_id<C: ConsumerContext>(consumer: &BaseConsumer<C>) -> Option<String> {
    let client = consumer.client().native_ptr();
    // SAFETY: the text is ours, read before it is freed by librdkafka's own function, once.
    unsafe {
        let id = sys::rd_kafka_memberid(client);
        if id.is_null() {
            return None;
        }
        let text = CStr::from_ptr(id).to_string_lossy().into_owned();
        sys::rd_kafka_mem_free(client, id.cast());
        Some(text).filter(|text| !text.is_empty())
    }
}

/// So many events wait to be served by a poll of the consumer.
pub fn events_waiting<C: ConsumerContext>(consumer: &BaseConsumer<C>) -> usize {
    // SAFETY: the queue is ours, asked while the client lives, and given back once.
    unsafe {
        let queue = sys::rd_kafka_queue_get_consumer(consumer.client().native_ptr());
        if queue.is_null() {
            return 0;
        }
        let length = sys::rd_kafka_queue_length(queue);
        sys::rd_kafka_queue_destroy(queue);
        length
    }
}

/// What is the id that a topic keeps for life, as text? Another one of the same name has another id.
pub struct TopicQuestion<C: ConsumerContext> {
    queue: ptr::NonNull<sys::rd_kafka_queue_t>,
    /// Kept alive until after the queue.
    _consumer: Arc<BaseConsumer<C>>,
}

// SAFETY: librdkafka's queues may be used from any thread.
unsafe impl<C: ConsumerContext> Send for TopicQuestion<C> {}

/// A topic as the brokers have it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    pub id: String,
    pub partitions: usize,
}

/// The topic's id as the brokers have it now.
pub fn topic_id<C: ConsumerContext>(
    consumer: &Arc<BaseConsumer<C>>,
    topic: &str,
    wait: Duration,
) -> Result<String, RDKafkaErrorCode> {
    let answer = TopicQuestion::ask(consumer, topic)?.answer(wait);
    answer.unwrap_or(Err(RDKafkaErrorCode::OperationTimedOut)).map(|topic| topic.id)
}

impl<C: ConsumerContext> TopicQuestion<C> {
    pub fn ask(consumer: &Arc<BaseConsumer<C>>, topic: &str) -> Result<Self, RDKafkaErrorCode> {
        let name = CString::new(topic).map_err(|_| RDKafkaErrorCode::InvalidTopic)?;
        let client = consumer.client().native_ptr();
        let mut names = [name.as_ptr()];
        // SAFETY: the collection is made and destroyed here and copied by the call; the queue is made here.
        unsafe {
            let queue = ptr::NonNull::new(sys::rd_kafka_queue_new(client)).ok_or(RDKafkaErrorCode::Fail)?;
            let topics = sys::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len());
            sys::rd_kafka_DescribeTopics(client, topics, ptr::null(), queue.as_ptr());
            sys::rd_kafka_TopicCollection_destroy(topics);
            Ok(TopicQuestion { queue, _consumer: consumer.clone() })
        }
    }

    /// None: there is no answer within `wait`. There is just one.
    pub fn answer(&mut self, wait: Duration) -> Option<Result<Described, RDKafkaErrorCode>> {
        let wait_ms = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the event is ours, read before it is destroyed, once.
        unsafe {
            let event = sys::rd_kafka_queue_poll(self.queue.as_ptr(), wait_ms);
            if event.is_null() {
                return None;
            }
            let topic = described(event);
            sys::rd_kafka_event_destroy(event);
            Some(topic.map_err(RDKafkaErrorCode::from))
        }
    }
}

impl<C: ConsumerContext> Drop for TopicQuestion<C> {
    fn drop(&mut self) {
        // SAFETY: our reference, given back once; the consumer is dropped after it.
        unsafe { sys::rd_kafka_queue_destroy(self.queue.as_ptr()) };
    }
}

/// # Safety
/// `event` is the answer to `DescribeTopics` of one topic.
unsafe fn described(event: *mut sys::rd_kafka_event_t) -> Result<Described, sys::rd_kafka_resp_err_t> {
    // SAFETY: the caller's promise; all that is read here belongs to the event.
    unsafe {
        let error = sys::rd_kafka_event_error(event);
        if error != RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(error);
        }
        let result = sys::rd_kafka_event_DescribeTopics_result(event);
        let mut count = 0;
        let descriptions = sys::rd_kafka_DescribeTopics_result_topics(result, &mut count);
        if count != 1 {
            return Err(RD_KAFKA_RESP_ERR__TIMED_OUT);
        }
        let description = *descriptions;
        let error = sys::rd_kafka_error_code(sys::rd_kafka_TopicDescription_error(description));
        if error != RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(error);
        }
        let id = sys::rd_kafka_Uuid_base64str(sys::rd_kafka_TopicDescription_topic_id(description));
        let mut partitions = 0;
        sys::rd_kafka_TopicDescription_partitions(description, &mut partitions);
        Ok(Described { id: CStr::from_ptr(id).to_string_lossy().into_owned(), partitions })
    }
}

/// The offset behind the last message that a fetch has told of; asks nobody.
pub fn high_watermark<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    partition: i32,
) -> Option<u64> {
    let topic = CString::new(topic).ok()?;
    let (mut low, mut high) = (-1, -1);
    // SAFETY: client and name live through the call, which sets two numbers.
    let error = unsafe {
        sys::rd_kafka_get_watermark_offsets(
            consumer.client().native_ptr(),
            topic.as_ptr(),
            partition,
            &mut low,
            &mut high,
        )
    };
    if error == RD_KAFKA_RESP_ERR_NO_ERROR { u64::try_from(high).ok() } else { None }
}
