//! librdkafka where `rdkafka` does not reach: a partition's queue read many messages at a time, and
//! offsets with metadata that need not be text.
//!
//! Why this is sound. Every pointer comes from a call made here or from a client that the caller keeps
//! alive by an `Arc`; queues and messages are destroyed exactly once, before their client, by `Drop` or at
//! the end of the call that took them. librdkafka's functions used here may be called from any thread.
//! Bytes are copied out of a message before it is destroyed.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString};
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use gridwatch_core::record::{Chunk, Header, RecordMeta};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka_sys as sys;
use sys::rd_kafka_resp_err_t::{RD_KAFKA_RESP_ERR__TIMED_OUT, RD_KAFKA_RESP_ERR_NO_ERROR};

/// Messages a call.
const BATCH_MESSAGES: usize = 1024;

/// A partition's own queue. Messages of it come nowhere else from the moment it is made.
pub struct PartitionQueue<C: ConsumerContext> {
    queue: ptr::NonNull<sys::rd_kafka_queue_t>,
    messages: Vec<*mut sys::rd_kafka_message_t>,
    /// Kept alive until after the queue.
    _consumer: Arc<BaseConsumer<C>>,
}

// SAFETY: librdkafka's queues may be used from any thread; `messages` is empty between calls.
unsafe impl<C: ConsumerContext> Send for PartitionQueue<C> {}

impl<C: ConsumerContext> PartitionQueue<C> {
    /// None where the topic's name is none, or the client is going down.
    pub fn split(consumer: Arc<BaseConsumer<C>>, topic: &str, partition: i32) -> Option<Self> {
        let topic = CString::new(topic).ok()?;
        let client = consumer.client().native_ptr();
        // SAFETY: the client lives as long as `consumer`; the name is read during the call only.
        let queue = unsafe { sys::rd_kafka_queue_get_partition(client, topic.as_ptr(), partition) };
        let queue = ptr::NonNull::new(queue)?;
        // SAFETY: the queue is ours; forwarding to none takes it out of the consumer's common queue.
        unsafe { sys::rd_kafka_queue_forward(queue.as_ptr(), ptr::null_mut()) };
        Some(PartitionQueue { queue, messages: Vec::with_capacity(BATCH_MESSAGES), _consumer: consumer })
    }

    /// Appends messages to `chunk`, waiting at most `wait` for the first. An error among them ends the
    /// batch: what came before it is in the chunk.
    pub fn poll(
        &mut self,
        chunk: &mut Chunk,
        wait: Duration,
        record_bytes_max: usize,
    ) -> Result<usize, RDKafkaErrorCode> {
        let wait_ms = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
        self.messages.clear();
        // SAFETY: `messages` has room for `BATCH_MESSAGES` pointers, and as many as returned are set.
        let count = unsafe {
            let count = sys::rd_kafka_consume_batch_queue(
                self.queue.as_ptr(),
                wait_ms,
                self.messages.as_mut_ptr(),
                BATCH_MESSAGES,
            );
            let count = usize::try_from(count).unwrap_or(0);
            self.messages.set_len(count);
            count
        };
        let mut failed = None;
        for message in self.messages.drain(..) {
            // SAFETY: the message is ours until destroyed, just once, below.
            unsafe {
                let error = (*message).err;
                if error != RD_KAFKA_RESP_ERR_NO_ERROR {
                    failed.get_or_insert(RDKafkaErrorCode::from(error));
                } else if failed.is_none() {
                    append(chunk, message, record_bytes_max);
                }
                sys::rd_kafka_message_destroy(message);
            }
        }
        failed.map_or(Ok(count), Err)
    }
}

impl<C: ConsumerContext> Drop for PartitionQueue<C> {
    fn drop(&mut self) {
        // SAFETY: our reference, given back once; the consumer is dropped after it.
        unsafe { sys::rd_kafka_queue_destroy(self.queue.as_ptr()) };
    }
}

/// # Safety
/// `message` is a whole message without error.
unsafe fn append(chunk: &mut Chunk, message: *mut sys::rd_kafka_message_t, record_bytes_max: usize) {
    // SAFETY: librdkafka keeps payload and key until the message is destroyed; a null one has no length.
    let (payload, key, offset) = unsafe {
        let message = &*message;
        let key = bytes_of(message.key, message.key_len);
        (bytes_of(message.payload, message.len).unwrap_or_default(), key, message.offset)
    };
    // SAFETY: as above.
    let stored = unsafe {
        let mut kind = sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        let time = sys::rd_kafka_message_timestamp(message, &mut kind);
        (time >= 0).then_some(time)
    };
    let kept = payload.len().min(record_bytes_max);
    chunk.bytes.extend_from_slice(&payload[..kept]);
    chunk.keys.extend_from_slice(key.unwrap_or_default());
    chunk.key_ends.push(key.map(|_| chunk.keys.len()));
    // SAFETY: as above.
    let headers = unsafe { headers_of(message) };
    if !headers.is_empty() {
        chunk.headers.push((chunk.records.len(), headers));
    }
    let position = offset.max(0) as u64;
    chunk.records.push(RecordMeta {
        position,
        next: position + 1,
        stored,
        line: 0,
        end: chunk.bytes.len(),
        truncated: kept < payload.len(),
    });
}

/// # Safety
/// `start` is null, or the start of `length` bytes that outlive `'a`.
unsafe fn bytes_of<'a>(start: *const std::ffi::c_void, length: usize) -> Option<&'a [u8]> {
    // SAFETY: the caller's promise.
    (!start.is_null()).then(|| unsafe { std::slice::from_raw_parts(start.cast(), length) })
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

/// The id that a topic keeps for life, as text: another one of the same name has another id.
pub fn topic_id<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    wait: Duration,
) -> Result<String, RDKafkaErrorCode> {
    let name = CString::new(topic).map_err(|_| RDKafkaErrorCode::InvalidTopic)?;
    let wait_ms = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
    let client = consumer.client().native_ptr();
    let mut names = [name.as_ptr()];
    // SAFETY: collection, queue and event are made and destroyed here, each once; descriptions and ids
    // belong to the event and are read before that.
    unsafe {
        let topics = sys::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len());
        let queue = sys::rd_kafka_queue_new(client);
        sys::rd_kafka_DescribeTopics(client, topics, ptr::null(), queue);
        let event = sys::rd_kafka_queue_poll(queue, wait_ms);
        let id = id_of(event);
        if !event.is_null() {
            sys::rd_kafka_event_destroy(event);
        }
        sys::rd_kafka_queue_destroy(queue);
        sys::rd_kafka_TopicCollection_destroy(topics);
        id.map_err(RDKafkaErrorCode::from)
    }
}

/// # Safety
/// `event` is null or the answer to `DescribeTopics` of one topic.
unsafe fn id_of(event: *mut sys::rd_kafka_event_t) -> Result<String, sys::rd_kafka_resp_err_t> {
    if event.is_null() {
        return Err(RD_KAFKA_RESP_ERR__TIMED_OUT);
    }
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
        Ok(CStr::from_ptr(id).to_string_lossy().into_owned())
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
