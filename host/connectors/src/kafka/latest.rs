//! How far the records of a topic have come, for who is to go on behind them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};

use super::publish::{Heard, ToolError, partitions_of, place_of, take, wrong};

/// One look at what a broker has.
const ASK_WAIT: Duration = Duration::from_secs(10);
/// All last records are there by then.
const READ_WAIT: Duration = Duration::from_secs(10);

/// The latest time of any partition's last record, in milliseconds since 1970; `None`: the topic is empty, or ends with
/// what is no record. `properties` are librdkafka's, `bootstrap.servers` among them.
pub fn latest_ms(properties: &BTreeMap<String, String>, topic: &str) -> Result<Option<i64>, ToolError> {
    let place = place_of(properties);
    let failed = |what: KafkaError| ToolError::Read {
        place: place.clone(),
        topic: topic.to_owned(),
        what: what.to_string(),
    };
    let mut config = ClientConfig::new();
    config.set("client.id", "gridwatch-tool");
    take(&mut config, properties);
    config.set("group.id", "gridwatch-tool").set("enable.auto.commit", "false");
    config.set("enable.partition.eof", "true");
    let consumer: BaseConsumer<Heard> =
        config.create_with_context(Heard::default()).map_err(|error| wrong(&error))?;
    let partitions = partitions_of(consumer.client(), &place, topic, || {
        let _ = consumer.poll(Duration::ZERO);
    })?;
    let mut list = TopicPartitionList::new();
    for partition in 0..partitions {
        let (low, high) = consumer.fetch_watermarks(topic, partition, ASK_WAIT).map_err(failed)?;
        if low < high {
            list.add_partition_offset(topic, partition, Offset::Offset(high - 1)).map_err(failed)?;
        }
    }
    let mut left = list.count();
    consumer.assign(&list).map_err(failed)?;
    let (until, mut latest) = (Instant::now() + READ_WAIT, None);
    while left > 0 {
        match consumer.poll(until.saturating_duration_since(Instant::now())) {
            Some(Ok(message)) => latest = latest.max(message.timestamp().to_millis()),
            // It comes once for each, after its last record.
            Some(Err(KafkaError::PartitionEOF(_))) => left -= 1,
            // librdkafka goes on by itself.
            Some(Err(_)) => {}
            None => {
                let what = "no record and no end comes from the brokers".to_owned();
                return Err(ToolError::Read { place, topic: topic.to_owned(), what });
            }
        }
    }
    Ok(latest)
}
