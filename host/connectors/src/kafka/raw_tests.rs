//! A partition's queue on librdkafka's own mock of a cluster, where what stands in a batch can be arranged.
#![allow(clippy::unwrap_used)]

use std::time::Instant;

use rdkafka::Offset;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::DefaultConsumerContext;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};

use super::*;

const TOPIC: &str = "readings";
const PATIENCE: Duration = Duration::from_secs(30);

fn send(producer: &BaseProducer<DefaultProducerContext>, texts: &[&str]) {
    for text in texts {
        producer.send(BaseRecord::<(), str>::to(TOPIC).payload(text)).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
}

/// The end of the partition is told of as an error among the messages.
#[test]
fn an_error_in_the_midst_of_a_batch_hides_no_message() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic(TOPIC, 1, 1).unwrap();
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", cluster.bootstrap_servers());
    let producer: BaseProducer<DefaultProducerContext> = config.create().unwrap();
    send(&producer, &["a", "b", "c"]);
    config.set("group.id", "one").set("enable.partition.eof", "true").set("fetch.wait.max.ms", "10");
    let consumer: BaseConsumer<DefaultConsumerContext> =
        config.create_with_context(DefaultConsumerContext).unwrap();
    let consumer = Arc::new(consumer);
    let mut queue = PartitionQueue::split(consumer.clone(), TOPIC, 0).unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(TOPIC, 0, Offset::Beginning).unwrap();
    consumer.assign(&list).unwrap();

    // Three messages and the end; then two more, each perhaps with an end, all before anybody polls.
    until_waiting(&queue, 4);
    send(&producer, &["d", "e"]);
    until_waiting(&queue, 7);
    let mut chunk = Chunk::default();
    let polled = queue.poll(&mut chunk, PATIENCE, 1 << 20);
    assert_eq!(polled.unwrap_err(), RDKafkaErrorCode::PartitionEOF);
    let read: Vec<(u64, Vec<u8>)> =
        chunk.iter().map(|record| (record.meta.position, record.bytes.to_vec())).collect();
    let expected = [(0, "a"), (1, "b"), (2, "c"), (3, "d"), (4, "e")];
    assert_eq!(read, expected.map(|(position, text)| (position, text.as_bytes().to_vec())));

    // librdkafka goes on behind the error.
    send(&producer, &["f"]);
    until_waiting(&queue, 2);
    chunk.clear();
    assert_eq!(queue.poll(&mut chunk, PATIENCE, 1 << 20).unwrap_err(), RDKafkaErrorCode::PartitionEOF);
    assert_eq!(chunk.iter().map(|record| record.bytes.to_vec()).collect::<Vec<_>>(), [b"f"]);
}

fn until_waiting(queue: &PartitionQueue<DefaultConsumerContext>, wanted: usize) {
    let until = Instant::now() + PATIENCE;
    while queue.waiting() < wanted {
        assert!(Instant::now() < until, "{} of {wanted} wait", queue.waiting());
        std::thread::sleep(Duration::from_millis(1));
    }
}
