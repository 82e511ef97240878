//! What a deployment has said, as a reader of committed records sees it.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::Value;

use super::Deployment;
use super::offsets::Commit;

const PATIENCE: Duration = Duration::from_secs(60);

/// One record of the output: who says it is the same, and all that a reader gets of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// An anomaly's id; of a dead letter what it is of.
    pub id: String,
    /// Key, headers and payload.
    pub text: String,
}

impl Said {
    /// The payload is the last line.
    fn json(&self) -> Value {
        serde_json::from_str(self.text.rsplit('\n').next().unwrap()).unwrap()
    }
}

/// In the order in which readers see it, by the partition of readings that it comes of.
#[derive(Clone, Debug, Default)]
pub struct Output {
    pub anomalies: BTreeMap<i64, Vec<Said>>,
    pub dead_letters: BTreeMap<i64, Vec<Said>>,
}

impl Output {
    /// All there is.
    pub fn of(deployment: &Deployment, bootstrap: &str) -> Output {
        let mut output = Output::default();
        read(bootstrap, &deployment.anomalies(), |message| {
            let payload = message.payload().unwrap_or_default();
            let anomaly: Value = serde_json::from_slice(payload).unwrap();
            let partition = anomaly["source"]["partition"].as_i64().unwrap();
            let id = anomaly["id"].as_str().unwrap().to_owned();
            output.anomalies.entry(partition).or_default().push(Said { id, text: text_of(message) });
        });
        read(bootstrap, &deployment.dead_letters(), |message| {
            let partition = header(message, "gridwatch-partition").unwrap_or_default();
            let said = Said { id: letter_of(message), text: text_of(message) };
            output.dead_letters.entry(partition.parse().unwrap()).or_default().push(said);
        });
        output
    }

    /// What follows from readings before these commits.
    pub fn before(mut self, commits: &[Commit]) -> Output {
        let is_before = |lane: i64, offset: i64| {
            usize::try_from(lane)
                .ok()
                .and_then(|lane| commits.get(lane))
                .is_some_and(|to| offset < to.position)
        };
        for (lane, said) in &mut self.anomalies {
            said.retain(|said| is_before(*lane, said.json()["source"]["offset"].as_i64().unwrap()));
        }
        for (lane, said) in &mut self.dead_letters {
            said.retain(|said| is_before(*lane, said.id.split('/').nth(1).unwrap().parse().unwrap()));
        }
        self
    }

    /// By lane and detector, which builds spoke, one after the other.
    pub fn digests(&self) -> BTreeMap<(i64, String), Vec<String>> {
        let mut digests: BTreeMap<(i64, String), Vec<String>> = BTreeMap::new();
        for (lane, said) in &self.anomalies {
            for said in said {
                let anomaly = said.json();
                let text = |key: &str| anomaly[key].as_str().unwrap().to_owned();
                let builds = digests.entry((*lane, text("detector"))).or_default();
                let digest = text("detector_digest");
                if builds.last() != Some(&digest) {
                    builds.push(digest);
                }
            }
        }
        digests
    }

    /// As if all builds of a detector were one.
    pub fn without_digests(mut self) -> Output {
        const KEY: &str = "\"detector_digest\":\"";
        for said in self.anomalies.values_mut().flatten() {
            let Some(at) = said.text.find(KEY).map(|at| at + KEY.len()) else { continue };
            let end = said.text[at..].find('"').map_or(at, |end| at + end);
            said.text.replace_range(at..end, "");
        }
        self
    }

    /// Leaves out what was said of silence in a lane.
    pub fn without_dropouts(&mut self, lane: i64) {
        let said = self.anomalies.entry(lane).or_default();
        said.retain(|said| said.json()["kind"] != "dropout");
    }

    pub fn count(&self) -> usize {
        self.anomalies.values().map(Vec::len).sum()
    }

    /// Anomalies of one partition as JSON.
    pub fn parsed(&self, partition: i64) -> Vec<Value> {
        let said = self.anomalies.get(&partition).map_or(&[][..], Vec::as_slice);
        said.iter().map(Said::json).collect()
    }
}

/// What a dead letter is of, and why.
pub fn letter_of(message: &BorrowedMessage<'_>) -> String {
    let header = |name: &str| header(message, name).unwrap_or_default();
    let [partition, offset, reason] =
        ["partition", "offset", "reason"].map(|name| format!("gridwatch-{name}"));
    format!("{}/{}/{}", header(&partition), header(&offset), header(&reason))
}

fn header(message: &BorrowedMessage<'_>, name: &str) -> Option<String> {
    let headers = message.headers()?;
    let found = headers.iter().find(|header| header.key == name)?;
    found.value.map(|value| String::from_utf8_lossy(value).into_owned())
}

/// The payload is the last line: it has no line ends of its own.
fn text_of(message: &BorrowedMessage<'_>) -> String {
    let mut text = String::from_utf8_lossy(message.key().unwrap_or_default()).into_owned();
    for header in message.headers().into_iter().flat_map(|headers| headers.iter()) {
        let value = String::from_utf8_lossy(header.value.unwrap_or_default()).into_owned();
        text.push_str(&format!("\n{}: {value}", header.key));
    }
    format!("{text}\n{}", String::from_utf8_lossy(message.payload().unwrap_or_default()))
}

/// A consumer of committed records of a topic of one partition, from the first or the next one on.
pub fn reader(bootstrap: &str, topic: &str, from: Offset) -> BaseConsumer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap).set("group.id", "reader").set("enable.auto.commit", "false");
    config.set("isolation.level", "read_committed").set("enable.partition.eof", "true");
    config.set("reconnect.backoff.max.ms", "200");
    let consumer: BaseConsumer = config.create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, from).unwrap();
    consumer.assign(&list).unwrap();
    consumer
}

/// What is there now. Where more keeps coming, no end is ever told: then the first that came after tells it.
fn read(bootstrap: &str, topic: &str, mut take: impl FnMut(&BorrowedMessage<'_>)) {
    let consumer = reader(bootstrap, topic, Offset::Beginning);
    let (_, end) = consumer.fetch_watermarks(topic, 0, PATIENCE).unwrap();
    loop {
        match consumer.poll(PATIENCE) {
            Some(Ok(message)) if message.offset() >= end => return,
            Some(Ok(message)) => take(&message),
            Some(Err(KafkaError::PartitionEOF(_))) => return,
            Some(Err(error)) => eprintln!("{topic}: {error}; reads on"),
            None => panic!("{topic} cannot be read to its end"),
        }
    }
}
