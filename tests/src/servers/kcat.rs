//! A consumer that is not ours: Debian's kcat.

use std::collections::BTreeMap;
use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(120);

/// A record as kcat sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub partition: i32,
    pub offset: i64,
    /// Milliseconds since 1970.
    pub time_ms: i64,
    pub key: Option<Vec<u8>>,
    /// None is a tombstone.
    pub payload: Option<Vec<u8>>,
    /// In order; values as text, what is not UTF-8 replaced.
    pub headers: Vec<(String, String)>,
}

impl Record {
    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> &str {
        let payload = self.payload.as_deref().expect("a payload");
        std::str::from_utf8(payload).expect("a payload in UTF-8")
    }
}

/// Which part of a topic is read.
#[derive(Clone, Debug)]
pub struct Reading {
    bootstrap: String,
    topic: String,
    partition: Option<i32>,
    from: i64,
    to: i64,
    committed: bool,
    properties: Vec<(String, String)>,
}

/// All there is of a topic now, committed, by partition and offset.
pub fn read(bootstrap: &str, topic: &str) -> Vec<Record> {
    reading(bootstrap, topic).run()
}

pub fn reading(bootstrap: &str, topic: &str) -> Reading {
    Reading {
        bootstrap: bootstrap.to_owned(),
        topic: topic.to_owned(),
        partition: None,
        from: 0,
        to: i64::MAX,
        committed: true,
        properties: Vec::new(),
    }
}

impl Reading {
    pub fn partition(mut self, partition: i32) -> Reading {
        self.partition = Some(partition);
        self
    }

    /// Offsets from the first to before the second, of each partition.
    pub fn offsets(mut self, from: i64, to: i64) -> Reading {
        (self.from, self.to) = (from, to);
        self
    }

    /// Also what transactions wrote that are open or were aborted.
    pub fn uncommitted(mut self) -> Reading {
        self.committed = false;
        self
    }

    /// librdkafka's properties, such as those of [`super::Secured`].
    pub fn properties(mut self, properties: &[(String, String)]) -> Reading {
        self.properties.extend_from_slice(properties);
        self
    }

    /// To the end that there is now.
    ///
    /// kcat's formats give either exact bytes or exact headers, so it runs twice; what came between is in
    /// neither.
    pub fn run(&self) -> Vec<Record> {
        let mut records = parse_records(&self.kcat(&["-f", "%p %o %T %K %S\n%k%s\n"]));
        let mut headers = parse_headers(&self.kcat(&["-J"]));
        records.retain_mut(|record| {
            let found = headers.remove(&(record.partition, record.offset));
            record.headers = found.unwrap_or_default();
            (self.from..self.to).contains(&record.offset)
        });
        records.sort_by_key(|record| (record.partition, record.offset));
        records
    }

    fn kcat(&self, format: &[&str]) -> Vec<u8> {
        let isolation = if self.committed { "read_committed" } else { "read_uncommitted" };
        let mut command = Command::new("kcat");
        command.args(["-C", "-q", "-e", "-b", &self.bootstrap, "-t", &self.topic]);
        command.args(["-X", &format!("isolation.level={isolation}")]);
        command.args(["-o", &if self.from == 0 { "beginning".to_owned() } else { self.from.to_string() }]);
        if let Some(partition) = self.partition {
            command.args(["-p", &partition.to_string()]);
        }
        for (key, value) in &self.properties {
            command.args(["-X", &format!("{key}={value}")]);
        }
        command.args(format).stdin(Stdio::null());
        finish("kcat", command)
    }
}

/// Standard output of a client that is to succeed in time.
pub(super) fn finish(name: &str, mut command: Command) -> Vec<u8> {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect(name);
    let mut output = child.stdout.take().expect("a pipe");
    let mut errors = child.stderr.take().expect("a pipe");
    let bytes = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        output.read_to_end(&mut bytes).map(|_| bytes)
    });
    let words = std::thread::spawn(move || {
        let mut words = String::new();
        let _ = errors.read_to_string(&mut words);
        words
    });
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        match child.try_wait().expect("a child's state") {
            Some(status) => break Some(status),
            None if Instant::now() > deadline => break None,
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    if status.is_none() {
        let _ = child.kill();
        let _ = child.wait();
    }
    let words = words.join().unwrap_or_default();
    assert!(status.is_some_and(|status| status.success()), "{name}: {status:?}\n{words}");
    bytes.join().expect("a thread that reads").expect("what it has read")
}

/// Lines of `partition offset time key-length payload-length`, each followed by key and payload in so many
/// bytes; a length of -1 is none at all.
fn parse_records(mut bytes: &[u8]) -> Vec<Record> {
    let mut records = Vec::new();
    while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
        let (head, rest) = bytes.split_at(end);
        let head = std::str::from_utf8(head).expect("kcat's own line");
        let numbers: Vec<i64> = head.split(' ').map(|number| number.parse().expect("a number")).collect();
        let [partition, offset, time_ms, key_len, payload_len] = numbers[..] else {
            panic!("kcat: {head:?}")
        };
        let mut rest = &rest[1..];
        let mut take = |len: i64| {
            let len = usize::try_from(len).ok()?;
            let (bytes, after) = rest.split_at(len);
            rest = after;
            Some(bytes.to_vec())
        };
        let (key, payload) = (take(key_len), take(payload_len));
        let partition = i32::try_from(partition).expect("a partition");
        records.push(Record { partition, offset, time_ms, key, payload, headers: Vec::new() });
        bytes = &rest[1..];
    }
    records
}

/// Partition and offset to headers, from kcat's lines of JSON. Payloads in them may be no UTF-8 and are not used.
fn parse_headers(bytes: &[u8]) -> BTreeMap<(i32, i64), Vec<(String, String)>> {
    let text = String::from_utf8_lossy(bytes);
    let mut headers = BTreeMap::new();
    for line in text.lines() {
        let record: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("kcat: {error}: {line}"));
        let words = record["headers"].as_array().map(Vec::as_slice).unwrap_or_default();
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let pairs = words.chunks_exact(2).map(|pair| (word(&pair[0]), word(&pair[1]))).collect();
        let partition = record["partition"].as_i64().and_then(|partition| i32::try_from(partition).ok());
        headers
            .insert((partition.expect("a partition"), record["offset"].as_i64().expect("an offset")), pairs);
    }
    headers
}
