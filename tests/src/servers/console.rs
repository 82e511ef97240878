//! A consumer that is not ours, and not librdkafka's: Apache's own, in Java, from the broker's distribution.

use std::process::{Command, Stdio};

use super::kcat::{Record, finish};
use super::place::servers_dir;

/// Without a new record for so long it takes the topic's end for reached.
const SILENCE_MS: u32 = 8_000;
/// Ends a record: payloads may hold line ends.
const END: &str = "\u{1e}end\n";

/// All committed records of a topic, by partition and offset.
pub fn read(bootstrap: &str, topic: &str) -> Vec<Record> {
    let libs = servers_dir().join("kafka-4.1.0/libs");
    let mut command = Command::new("java");
    command.args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx256m"]);
    command.args(["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", &format!("{}/*", libs.display())]);
    command.args(["org.apache.kafka.tools.consumer.ConsoleConsumer", "--bootstrap-server", bootstrap]);
    command.args(["--topic", topic, "--from-beginning", "--isolation-level", "read_committed"]);
    command.args(["--timeout-ms", &SILENCE_MS.to_string()]);
    for part in ["timestamp", "partition", "offset", "headers", "key", "value"] {
        command.args(["--property", &format!("print.{part}=true")]);
    }
    command.args(["--property", &format!("line.separator={END}")]).stdin(Stdio::null());
    let output = finish("the console consumer", command);
    let mut rest = &output[..];
    let mut records = Vec::new();
    while let Some(end) = rest.windows(END.len()).position(|bytes| bytes == END.as_bytes()) {
        records.push(parse(&rest[..end]));
        rest = &rest[end + END.len()..];
    }
    assert!(rest.is_empty(), "after the last record: {}", String::from_utf8_lossy(rest));
    records.sort_by_key(|record| (record.partition, record.offset));
    records
}

/// `CreateTime:1…`, `Partition:0`, `Offset:0`, headers, key and value, with tabs between.
fn parse(line: &[u8]) -> Record {
    let shown = || String::from_utf8_lossy(line).into_owned();
    let fields: Vec<&[u8]> = line.splitn(6, |byte| *byte == b'\t').collect();
    let [time, partition, offset, headers, key, payload] = fields[..] else { panic!("{}", shown()) };
    let number = |field: &[u8]| -> i64 {
        let text = std::str::from_utf8(field).ok().and_then(|text| text.split_once(':'));
        text.and_then(|(_, number)| number.parse().ok()).unwrap_or_else(|| panic!("{}", shown()))
    };
    let header = |pair: &str| {
        let (name, value) = pair.split_once(':').unwrap_or_else(|| panic!("{}", shown()));
        (name.to_owned(), value.to_owned())
    };
    let headers = match String::from_utf8_lossy(headers).as_ref() {
        "NO_HEADERS" => Vec::new(),
        pairs => pairs.split(',').map(header).collect(),
    };
    let given = |bytes: &[u8]| (bytes != b"null").then(|| bytes.to_vec());
    Record {
        partition: i32::try_from(number(partition)).expect("a partition"),
        offset: number(offset),
        time_ms: number(time),
        key: given(key),
        payload: given(payload),
        headers,
    }
}
