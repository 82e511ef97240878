//! What people do by hand with a real broker: readings sent, dead letters sent again, and a clear word where
//! that cannot be.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use gridwatch_core::schema::frame;
use gridwatch_tests::bench::root;
use gridwatch_tests::house::{House, errors, gridwatch};
use gridwatch_tests::servers::{Kafka, Registry, free_port, kcat};
use rdkafka::config::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);
/// Nobody who mistyped an address is to wait longer.
const CLEAR_WITHIN: Duration = Duration::from_secs(12);
const START: &str = "2026-01-05T00:00:00Z";

fn simulate(arguments: &[&str]) -> Output {
    gridwatch().arg("simulate").args(arguments).output().unwrap()
}

/// Standard output of a command that is to succeed.
fn good(output: &Output) -> String {
    assert!(output.status.success(), "{}", errors(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn until(what: &str, look: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !look() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Payloads by sensor, in the order of each.
fn by_sensor<'a>(lines: impl Iterator<Item = &'a str>) -> BTreeMap<String, Vec<&'a str>> {
    let mut sensors: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for line in lines {
        let reading: Value = serde_json::from_str(line).unwrap();
        sensors.entry(reading["sensor_id"].as_str().unwrap().to_owned()).or_default().push(line);
    }
    sensors
}

#[test]
fn simulated_readings_arrive_as_they_are_written() {
    let (kafka, registry) = (Kafka::start(), Registry::start());
    let bootstrap = kafka.bootstrap();
    for topic in ["plain", "framed"] {
        kafka.topics().create(topic, 4);
    }
    let usual = ["--seed", "5", "--readings", "3000", "--start", START];
    let printed = good(&simulate(&usual));
    let sent = simulate(&[&usual[..], &["--kafka", &bootstrap, "--topic", "plain"]].concat());
    assert_eq!(good(&sent), "", "data goes to Kafka alone");
    assert!(errors(&sent).contains("3,000 readings") && errors(&sent).contains("all acknowledged"));

    let records = kcat::read(&bootstrap, "plain");
    assert_eq!(by_sensor(records.iter().map(kcat::Record::text)), by_sensor(printed.lines()));
    let mut partitions = BTreeMap::new();
    for record in &records {
        let reading: Value = serde_json::from_str(record.text()).unwrap();
        assert_eq!(record.key.as_deref(), reading["sensor_id"].as_str().map(str::as_bytes));
        let partition = *partitions.entry(record.key.clone()).or_insert(record.partition);
        assert_eq!(partition, record.partition, "a sensor stays on its partition");
        assert!(record.time_ms >= 1_767_571_200_000 && record.time_ms < 1_767_700_000_000);
    }
    assert!(records.iter().any(|record| record.partition != records[0].partition), "all on one partition");

    let url = registry.url();
    let framed =
        ["--kafka", &bootstrap, "--topic", "framed", "--registry", &url, "--framed", "--key", "feeder"];
    good(&simulate(&[&usual[..], &framed].concat()));
    let latest = registry.ask("GET", "/subjects/framed-value/versions/latest", &Value::Null);
    let mut prefix = Vec::new();
    frame(u32::try_from(latest["id"].as_u64().unwrap()).unwrap(), &mut prefix);
    let records = kcat::read(&bootstrap, "framed");
    let bodies: Vec<&str> = records
        .iter()
        .map(|record| {
            let body = record.payload.as_deref().unwrap().strip_prefix(&prefix[..]).expect("the schema's id");
            std::str::from_utf8(body).unwrap()
        })
        .collect();
    assert_eq!(by_sensor(bodies.iter().copied()), by_sensor(printed.lines()));
    for (record, body) in records.iter().zip(&bodies) {
        let reading: Value = serde_json::from_str(body).unwrap();
        assert_eq!(record.key.as_deref(), reading["location"].as_str().map(str::as_bytes));
    }
}

#[test]
fn event_time_never_passes_the_wall_clock() {
    let kafka = Kafka::start();
    kafka.topics().create("sensor-readings", 1);
    let bootstrap = kafka.bootstrap();
    let now_ms = || {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        i64::try_from(since.unwrap().as_millis()).unwrap()
    };
    // The simulated hour has its end now.
    let line = ["--kafka", &bootstrap, "--duration", "1h", "--no-faults", "--meters-per-feeder", "1"];
    good(&simulate(&line));
    let records = kcat::read(&bootstrap, "sensor-readings");
    assert!((690..=720).contains(&records.len()), "{}", records.len());
    let (first, last) = (records[0].time_ms, records[records.len() - 1].time_ms);
    assert!(last <= now_ms() && last > now_ms() - 180_000, "{last} at {}", now_ms());
    assert!((3_500_000..3_600_000).contains(&(last - first)), "{first} to {last}");

    // Without an end it goes on at the pace of the clock, and stops in good order.
    kafka.topics().create("more", 1);
    let more = ["simulate", "--endless", "--interval", "500ms", "--topic", "more"];
    let count = || kafka.topics().offsets("more")[0].1;
    let endless_until = |beyond: i64| {
        let mut child = Killed(gridwatch().args(more).args(line).stderr(Stdio::piped()).spawn().unwrap());
        until("readings without an end", || count() > beyond);
        let pid = rustix::process::Pid::from_child(&child.0);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        assert!(child.0.wait().unwrap().success());
    };
    // An hour of twelve sensors twice a second, and then some.
    endless_until(86_400);
    let ended = count();
    // Begun again, it goes on behind what is there, and not with another hour of the past.
    endless_until(ended + 24);
    let records = kcat::read(&bootstrap, "more");
    assert!(records[records.len() - 1].time_ms <= now_ms());
    let (before, after) = records.split_at(ended as usize);
    let latest = before.iter().map(|record| record.time_ms).max();
    assert!(after.iter().all(|record| Some(record.time_ms) > latest), "{latest:?}: {:?}", after[0].time_ms);
}

/// A process that does not outlive its test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A service on `readings`, and what is sent to it.
struct Service {
    // The first to go: it has much to say of a broker that went before it.
    _process: Killed,
    house: House,
    kafka: Kafka,
    producer: BaseProducer,
}

impl Service {
    fn start() -> Service {
        let kafka = Kafka::start();
        for (topic, partitions) in [("readings", 2), ("anomalies", 1), ("readings.dlq", 1)] {
            kafka.topics().create(topic, partitions);
        }
        let house = House::with(&["limits"]);
        house.write(
            "gridwatch.toml",
            format!(
                "[source]\nkind = \"kafka\"\nbrokers = \"{}\"\ntopic = \"readings\"\n[sink]\nkind = \"kafka\"\n\
                 [engine]\ninstance = \"a\"\ncommit_interval = \"50ms\"\n[api]\nlisten = \"127.0.0.1:0\"\n\
                 [metrics]\nlisten = \"127.0.0.1:0\"\n",
                kafka.bootstrap()
            ),
        );
        let process = Killed(house.spawn());
        let mut config = ClientConfig::new();
        let producer = config.set("bootstrap.servers", kafka.bootstrap()).create().unwrap();
        Service { _process: process, house, kafka, producer }
    }

    fn send(&self, topic: &str, partition: i32, key: Option<&str>, payload: &str, headers: &[(&str, &str)]) {
        let headers = headers.iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
            headers.insert(Header { key, value: Some(*value) })
        });
        let mut record = BaseRecord::to(topic).payload(payload).partition(partition).headers(headers);
        if let Some(key) = key {
            record = record.key(key);
        }
        self.producer.send(record).unwrap();
        self.producer.flush(PATIENCE).unwrap();
    }

    /// With a header whose name is no text, which brokers take.
    fn send_somebody_elses(&self, topic: &str) {
        let mut kcat = Command::new("kcat");
        kcat.args(["-b", &self.kafka.bootstrap(), "-P", "-t", topic, "-p", "0", "-H"]);
        kcat.arg(OsStr::from_bytes(b"\xff\xfe=b")).stdin(Stdio::piped());
        let mut process = kcat.spawn().unwrap();
        process.stdin.take().unwrap().write_all(b"somebody else's").unwrap();
        assert!(process.wait().unwrap().success());
    }

    fn records(&self, topic: &str) -> Vec<kcat::Record> {
        kcat::read(&self.kafka.bootstrap(), topic)
    }

    fn until_letters(&self, count: usize) -> Vec<kcat::Record> {
        let end = || self.kafka.topics().offsets("readings.dlq")[0].1;
        // Markers of transactions have offsets, too, so that the count is looked for from there on.
        until("dead letters", || end() >= count as i64 && self.records("readings.dlq").len() >= count);
        let letters = self.records("readings.dlq");
        assert_eq!(letters.len(), count, "{letters:#?}");
        letters
    }

    fn replay(&self, more: &[&str]) -> Value {
        let line = ["dead-letters", "replay", "-c", "gridwatch.toml", "--json"];
        let output = self.house.output(&[&line[..], more].concat());
        serde_json::from_str(&good(&output)).unwrap()
    }
}

#[test]
fn dead_letters_are_sent_again_each_once() {
    let service = Service::start();
    service.send("readings", 1, Some("m1"), "nonsense", &[("trace", "a=1"), ("trace", "b")]);
    service.send("readings", 0, None, "{\"sensor_id\":\"m2\",\"voltage\":230}", &[]);
    service.send("readings", 0, Some("m3"), "\u{1}more nonsense", &[]);
    service.until_letters(3);
    let read = service.records("readings").len();

    let dry = service.replay(&["--dry-run"]);
    assert_eq!(dry["sent"], json!({"no_timestamp": 1, "not_json": 2}), "{dry}");
    assert_eq!(service.records("readings").len(), read, "a dry run sends nothing");

    // One kind first, then the rest: what lies between is remembered.
    let first = service.replay(&["--reason", "not_json", "--limit", "1"]);
    assert_eq!(first["sent"], json!({"not_json": 1}), "{first}");
    let second = service.replay(&["--reason", "no_timestamp"]);
    assert_eq!(second["sent"], json!({"no_timestamp": 1}), "{second}");
    service.until_letters(5);
    let third = service.replay(&["--to", "2100-01-01T00:00:00Z", "--reason", "not_json", "--limit", "1"]);
    assert_eq!(third["sent"], json!({"not_json": 1}), "{third}");
    let letters = service.until_letters(6);

    let again: Vec<kcat::Record> = service
        .records("readings")
        .into_iter()
        .filter(|record| record.header("gridwatch-replays").is_some())
        .collect();
    assert_eq!(again.len(), 3);
    let m1 = again.iter().find(|record| record.key.as_deref() == Some(b"m1")).unwrap();
    assert_eq!((m1.partition, m1.text()), (1, "nonsense"));
    let headers = [("trace", "a=1"), ("trace", "b"), ("gridwatch-replays", "1")];
    assert_eq!(m1.headers, headers.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let keyless = again.iter().find(|record| record.key.is_none()).unwrap();
    assert_eq!((keyless.partition, keyless.text()), (0, "{\"sensor_id\":\"m2\",\"voltage\":230}"));
    let back = letters.iter().filter(|letter| letter.header("gridwatch-replays") == Some("1")).count();
    assert_eq!(back, 3, "what fails again says how often it was sent: {letters:#?}");
}

#[test]
fn what_comes_back_again_and_again_is_not_sent_for_ever() {
    let service = Service::start();
    service.send("readings", 0, Some("m1"), "nonsense", &[]);
    for round in 1..=4 {
        let letters = service.until_letters(round);
        let count = (round > 1).then(|| (round - 1).to_string());
        assert_eq!(letters[round - 1].header("gridwatch-replays"), count.as_deref());
        if round < 4 {
            assert_eq!(service.replay(&[])["sent"], json!({"not_json": 1}), "round {round}");
        }
    }
    let refused = service.replay(&[]);
    assert_eq!((&refused["sent"], &refused["refused"]), (&json!({}), &json!({"not_json": 1})));
    assert_eq!(service.replay(&[])["sent"], json!({}), "a second run sends nothing");
    assert_eq!(service.replay(&["--force"])["sent"], json!({"not_json": 1}));
    service.until_letters(5);

    let ours = [("gridwatch-reason", "too_large"), ("gridwatch-topic", "readings")];
    let cut = [&ours[..], &[("gridwatch-truncated", "true")]].concat();
    service.send("readings.dlq", 0, None, "{\"sensor_id\":", &cut);
    service.send_somebody_elses("readings.dlq");
    let output = service.house.output(&["dead-letters", "replay", "-c", "gridwatch.toml", "--from", "5"]);
    let table = good(&output);
    assert!(errors(&output).contains("truncated"), "{}", errors(&output));
    let row = |name: &str| {
        let line = table.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{table}"));
        line.split_whitespace().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(row("too_large"), ["0", "1", "0", "0"], "{table}");
    assert_eq!(row("(none)"), ["0", "1", "0", "0"], "{table}");
}

/// Status and words of a command that is to fail soon.
fn fails(arguments: &[&str], house: &House) -> (Option<i32>, String) {
    let since = Instant::now();
    let output = house.output(arguments);
    assert!(since.elapsed() < CLEAR_WITHIN, "{arguments:?} took {:?}", since.elapsed());
    assert!(output.stdout.is_empty());
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn mistakes_are_told_within_seconds() {
    let kafka = Kafka::setup().secured().start();
    let house = House::with(&[]);
    let nobody = format!("127.0.0.1:{}", free_port().unwrap());
    let bootstrap = kafka.bootstrap();
    let check = |arguments: &[&str], status: i32, words: &[&str]| {
        let (code, said) = fails(arguments, &house);
        assert_eq!(code, Some(status), "{arguments:?}: {said}");
        for word in words {
            assert!(said.contains(word), "{arguments:?}: no `{word}` in: {said}");
        }
    };
    check(&["simulate", "--kafka", &nobody], 1, &[&nobody, "no broker answers", "is it up"]);
    let absent = ["simulate", "--kafka", &bootstrap, "--topic", "nowhere"];
    check(&absent, 1, &["topic `nowhere` does not exist", "make it first"]);
    assert_eq!(kafka.topics().partitions("nowhere"), 0, "it is not made by looking");
    let wrong = ["simulate", "--kafka", &bootstrap, "--property", "compression.tpye=lz4"];
    check(&wrong, 2, &["compression.tpye"]);

    house.write(
        "gridwatch.toml",
        format!(
            "[source]\nkind = \"kafka\"\nbrokers = \"{bootstrap}\"\n[sink]\nkind = \"kafka\"\n\
             [detectors]\ndir = \".\"\n"
        ),
    );
    let replay = ["dead-letters", "replay", "-c", "gridwatch.toml"];
    check(&replay, 1, &["topic `sensor-readings.dlq` does not exist"]);
    check(&[&replay[..], &["--reason", "poisonous"]].concat(), 2, &["known: not_json"]);

    kafka.topics().create("sensor-readings", 1);
    let secured = kafka.secured();
    house.write("right", secured.password);
    house.write("wrong", "guessed");
    let ca = format!("ssl.ca.location={}", secured.ca.display());
    let user = format!("sasl.username={}", secured.user);
    let with = |file: &'static str| {
        let mut line = vec!["simulate", "--readings", "10", "--kafka", &secured.bootstrap];
        for property in ["security.protocol=SASL_SSL", "sasl.mechanism=SCRAM-SHA-256", &ca, &user] {
            line.extend(["--property", property]);
        }
        line.extend(["--property-file", file]);
        line
    };
    check(&with("sasl.password=wrong"), 1, &["refused", "security settings"]);
    good(&house.output(&with("sasl.password=right")));
    assert_eq!(kafka.topics().offsets("sensor-readings"), [(0, 10)]);
}

#[test]
fn a_broker_that_goes_away_leaves_an_account() {
    let kafka = Kafka::setup().proxied().start();
    kafka.topics().create("sensor-readings", 1);
    let house = House::with(&[]);
    let bootstrap = kafka.proxied_bootstrap();
    let line = ["simulate", "--kafka", &bootstrap, "--rate", "200", "--property", "message.timeout.ms=1500"];
    let mut child = Killed(house.command(&line).stderr(Stdio::piped()).spawn().unwrap());
    until("readings", || kafka.topics().offsets("sensor-readings")[0].1 > 0);
    kafka.proxy().cut();
    let since = Instant::now();
    let status = loop {
        if let Some(status) = child.0.try_wait().unwrap() {
            break status;
        }
        assert!(since.elapsed() < CLEAR_WITHIN, "it goes on without a broker");
        std::thread::sleep(Duration::from_millis(20));
    };
    let mut said = String::new();
    child.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("not acknowledged in time") && said.contains("records are acknowledged"), "{said}");
}

#[test]
fn schemas_are_registered_for_the_topics_of_a_configuration() {
    let registry = Registry::start();
    let house = House::with(&[]);
    house.write(
        "gridwatch.toml",
        format!(
            "[source]\nkind = \"kafka\"\nbrokers = \"localhost:9092\"\ntopic = \"meters\"\n[sink]\nkind = \"kafka\"\n\
             topic = \"found\"\n[registry]\nurl = \"{}\"\n[detectors]\ndir = \".\"\n",
            registry.url()
        ),
    );
    let text = good(&house.output(&["schemas", "register", "-c", "gridwatch.toml", "--json"]));
    let list: Value = serde_json::from_str(&text).unwrap();
    assert_eq!([&list[0]["subject"], &list[1]["subject"]], ["meters-value", "found-value"]);
}

#[test]
fn the_examples_hold() {
    for example in ["examples/kafka", "examples/cluster"] {
        let file = root().join(example).join("gridwatch.toml");
        good(&gridwatch().args(["config", "check"]).arg(file).output().unwrap());
    }
    let house = House::with(&[]);
    good(&house.output(&["simulate", "--readings", "0", "--assets", "assets.csv"]));
    let shown = std::fs::read_to_string(root().join("examples/kafka/assets.csv")).unwrap();
    assert_eq!(shown, house.text("assets.csv"), "the example's meters are the simulator's");
}
