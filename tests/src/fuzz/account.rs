//! What became of each message, and whether that is what had to.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::Value;

use super::RECORD_BYTES_MAX;
use super::oracle::JUDGED;
use super::sending::Sent;
use crate::chaos::Process;

const OURS: &str = "gridwatch-";
const PATIENCE: Duration = Duration::from_secs(60);

/// Messages by what became of them, and everything that is not as it must be.
#[derive(Debug)]
pub struct Account {
    pub seed: u64,
    pub messages: usize,
    /// By partition and offset.
    expected: Vec<Vec<&'static str>>,
    pub anomalies: usize,
    pub peak_mib: u64,
    pub wrong: Vec<String>,
}

impl Account {
    pub fn new(seed: u64, messages: usize) -> Account {
        Account { seed, messages, expected: Vec::new(), anomalies: 0, peak_mib: 0, wrong: Vec::new() }
    }

    pub fn expect(&mut self, expected: Vec<Vec<&'static str>>) {
        self.expected = expected;
        let (counts, messages) = (self.counts(), self.messages);
        self.require(counts.values().sum::<usize>() == messages, || format!("{counts:?} of {messages}"));
        self.require(counts.len() >= 10, || format!("too few kinds of outcomes: {counts:?}"));
    }

    /// How many messages there must be of each outcome.
    pub fn counts(&self) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        for outcome in self.expected.iter().flatten() {
            *counts.entry(*outcome).or_default() += 1;
        }
        counts
    }

    pub fn require(&mut self, is: bool, what: impl FnOnce() -> String) {
        if !is {
            self.wrong.push(what());
        }
    }

    pub fn is_good(&self) -> bool {
        self.wrong.is_empty()
    }

    /// Each message that is to be refused has one letter, no other has any; each is as it was sent.
    pub fn compare_letters(&mut self, bootstrap: &str, topic: &str, sent: &[Vec<Sent>], stored_ms: i64) {
        let mut seen = BTreeSet::new();
        for letter in read(bootstrap, topic) {
            let number = |name: &str| letter.said(name).and_then(|text| text.parse::<usize>().ok());
            let place = number("partition").zip(number("offset"));
            let found = place.and_then(|(lane, offset)| Some((sent.get(lane)?.get(offset)?, lane, offset)));
            let Some((message, lane, offset)) = found else {
                self.wrong.push(format!("a letter of nothing: {letter:?}"));
                continue;
            };
            let expected = self.expected[lane][offset];
            self.require(seen.insert((lane, offset)), || format!("{lane}/{offset} has two letters"));
            let differs = letter.differs(message, expected, stored_ms);
            self.require(differs.is_none(), || {
                let differs = differs.unwrap_or_default();
                format!("{lane}/{offset} {expected}: {differs}: {message:?}: {letter:?}")
            });
        }
        let expected = self.expected.iter().flatten().filter(|outcome| **outcome != JUDGED).count();
        self.require(seen.len() == expected, || format!("{} letters, {expected} expected", seen.len()));
    }

    /// The process's own account says the same.
    pub fn compare_metrics(&mut self, process: &Process) {
        let sum = |name: &str| process.metric(name).iter().sum::<f64>();
        let judged = self.counts().get(JUDGED).copied().unwrap_or(0);
        let dead = self.messages - judged;
        for (name, expected) in [
            ("gridwatch_readings_total", self.messages),
            ("gridwatch_judged_total", judged),
            ("gridwatch_dead_letters_total", dead),
            ("gridwatch_pending_readings", 0),
            ("gridwatch_skipped_total", 0),
            ("gridwatch_detector_faults_total", 0),
        ] {
            let said = sum(name);
            self.require(said == expected as f64, || format!("{name} is {said}, not {expected}"));
        }
    }

    /// Whatever the readings hold, what is said of them is JSON, and some is.
    pub fn look_at_anomalies(&mut self, bootstrap: &str, topic: &str) {
        let anomalies = read(bootstrap, topic);
        self.anomalies = anomalies.len();
        self.require(!anomalies.is_empty(), || "no anomalies".to_owned());
        for anomaly in anomalies {
            let parsed: Result<Value, _> = serde_json::from_slice(anomaly.sent.bytes());
            self.require(parsed.is_ok_and(|value| value["id"].is_string()), || format!("{anomaly:?}"));
        }
    }
}

/// A record as it is read.
#[derive(Debug)]
struct Read {
    sent: Sent,
}

impl Read {
    fn of(message: &BorrowedMessage<'_>) -> Read {
        let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
        let headers = headers.map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec)));
        let (key, payload) = (message.key().map(<[u8]>::to_vec), message.payload().map(<[u8]>::to_vec));
        Read { sent: Sent { key, payload, headers: headers.collect() } }
    }

    /// The last header of that name of ours: a message may have brought one like it.
    fn said(&self, name: &str) -> Option<String> {
        let name = format!("{OURS}{name}");
        let (_, value) = self.sent.headers.iter().rfind(|(key, _)| *key == name)?;
        Some(String::from_utf8_lossy(value.as_deref().unwrap_or_default()).into_owned())
    }

    /// In what the letter is not the message's.
    fn differs(&self, message: &Sent, reason: &str, stored_ms: i64) -> Option<String> {
        let is_cut = message.bytes().len() > RECORD_BYTES_MAX;
        let kept = &message.bytes()[..message.bytes().len().min(RECORD_BYTES_MAX)];
        // One without a value comes back with an empty one.
        let given =
            |(name, value): &(String, Option<Vec<u8>>)| (name.clone(), value.clone().unwrap_or_default());
        let originals: Vec<_> = self.sent.headers.iter().take(message.headers.len()).map(given).collect();
        let names: Vec<&str> =
            self.sent.headers.iter().skip(message.headers.len()).map(|it| &*it.0).collect();
        let usual = ["reason", "detail", "topic", "partition", "offset", "time", "truncated"];
        let usual = usual.iter().take(if is_cut { 7 } else { 6 }).map(|name| format!("{OURS}{name}"));
        [
            ("reason", self.said("reason").as_deref() == Some(reason)),
            ("detail", self.said("detail").is_some_and(|detail| !detail.is_empty())),
            ("time", self.said("time") == Some(stored_ms.to_string())),
            ("bytes", self.sent.bytes() == kept),
            ("key", self.sent.key == message.key),
            ("headers", originals == message.headers.iter().map(given).collect::<Vec<_>>()),
            ("names of headers", names == usual.collect::<Vec<_>>()),
        ]
        .into_iter()
        .find_map(|(what, is)| (!is).then(|| format!("another {what}")))
    }
}

/// All committed records of a topic of one partition.
fn read(bootstrap: &str, topic: &str) -> Vec<Read> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap).set("group.id", "fuzz-reader");
    config.set("isolation.level", "read_committed").set("enable.partition.eof", "true");
    let consumer: BaseConsumer = config.create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, Offset::Beginning).unwrap();
    consumer.assign(&list).unwrap();
    let mut records = Vec::new();
    loop {
        match consumer.poll(PATIENCE) {
            Some(Ok(message)) => records.push(Read::of(&message)),
            Some(Err(KafkaError::PartitionEOF(_))) => return records,
            other => panic!("{topic} cannot be read to its end: {other:?}"),
        }
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Account { seed, messages, anomalies, peak_mib, .. } = self;
        let word = if self.is_good() { "ok" } else { "FAIL" };
        writeln!(f, "{word:4} fuzz seed {seed}: {messages} messages through Kafka")?;
        for (outcome, count) in self.counts() {
            writeln!(f, "     {outcome:17} {count:>9}")?;
        }
        write!(f, "     {anomalies} anomalies; peak {peak_mib} MiB; {} wrong", self.wrong.len())?;
        for wrong in self.wrong.iter().take(5) {
            write!(f, "\n     {}", wrong.chars().take(1_000).collect::<String>())?;
        }
        Ok(())
    }
}
