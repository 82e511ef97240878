//! How far the records of a topic have come, for who is to go on behind them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::{Message, Offset, TopicPartitionList};

use super::publish::{ToolError, place_of, reader};

/// One look at what a broker has.
const ASK_WAIT: Duration = Duration::from_secs(10);
/// All last records are there by then.
const READ_WAIT: Duration = Duration::from_secs(10);
const GROUP: &str = "gridwatch-tool";

/// The latest time of any partition's last record, in milliseconds since 1970; `None`: the topic is empty, or ends with
/// what is no record. `properties` are librdkafka's, `bootstrap.servers` among them.
pub fn latest_ms(properties: &BTreeMap<String, String>, topic: &str) -> Result<Option<i64>, ToolError> {
    let place = place_of(properties);
    let failed = |what: &dyn ToString| ToolError::Read {
        place: place.clone(),
        topic: topic.to_owned(),
        what: what.to_string(),
    };
    let (consumer, partitions) = reader(properties, topic, GROUP, &[])?;
    let (mut list, mut left) = (TopicPartitionList::new(), BTreeSet::new());
    for partition in 0..partitions {
        let (low, high) =
            consumer.fetch_watermarks(topic, partition, ASK_WAIT).map_err(|error| failed(&error))?;
        if low < high {
            list.add_partition_offset(topic, partition, Offset::Offset(high - 1))
                .map_err(|error| failed(&error))?;
            left.insert(partition);
        }
    }
    consumer.assign(&list).map_err(|error| failed(&error))?;
    let (until, mut latest) = (Instant::now() + READ_WAIT, None);
    while !left.is_empty() {
        match consumer.poll(until.saturating_duration_since(Instant::now())) {
            Some(Ok(message)) => latest = latest.max(message.timestamp().to_millis()),
            // Behind a partition's last record.
            Some(Err(KafkaError::PartitionEOF(partition))) => drop(left.remove(&partition)),
            // librdkafka goes on by itself, unless nothing would mend it.
            Some(Err(_)) => {
                if let Some(what) = consumer.context().refused() {
                    return Err(ToolError::Refused { place, what });
                }
            }
            None => return Err(failed(&"no record and no end comes from the brokers")),
        }
    }
    Ok(latest)
}
