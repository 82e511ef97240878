//! Readings that name their schema, on a real broker beside a real registry: what does not fit is a dead
//! letter with its frame; a registry that is away holds back only what only it could tell.

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use gridwatch_core::schema::{READING, frame};
use gridwatch_tests::house::{House, errors};
use gridwatch_tests::servers::{Answer, Kafka, Mode, Proxy, Registry, free_port, kcat};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::{Value, json};

const TOPIC: &str = "sensor-readings";
const LETTERS: &str = "sensor-readings.dlq";

/// A broker with topics.
struct Scene {
    kafka: Kafka,
    producer: BaseProducer,
}

impl Scene {
    fn new() -> Scene {
        let kafka = Kafka::start();
        let topics = kafka.topics();
        topics.create(TOPIC, 2);
        topics.create("anomalies", 1);
        topics.create(LETTERS, 1);
        let producer = ClientConfig::new().set("bootstrap.servers", kafka.bootstrap()).create().unwrap();
        Scene { kafka, producer }
    }

    fn send(&self, partition: i32, payload: &[u8]) {
        self.producer.send(BaseRecord::<(), [u8]>::to(TOPIC).partition(partition).payload(payload)).unwrap();
        self.producer.flush(Duration::from_secs(20)).unwrap();
    }

    /// Of the dead letters: reason and bytes, in order.
    fn letters(&self) -> Vec<(String, Vec<u8>)> {
        let letters = kcat::read(&self.kafka.bootstrap(), LETTERS).into_iter().map(|letter| {
            let reason = letter.headers.iter().find(|(name, _)| name.ends_with("reason")).unwrap().1.clone();
            (reason, letter.payload.unwrap())
        });
        letters.collect()
    }

    /// A house with a configuration; `registry` is its `[registry]`.
    fn house(&self, group: &str, registry: &str) -> (House, u16, u16) {
        let (api, metrics) = (free_port().unwrap(), free_port().unwrap());
        let house = House::with(&["vitals"]);
        house.write(
            "gridwatch.toml",
            format!(
                "[source]\nkind = \"kafka\"\nbrokers = \"{}\"\ngroup = \"{group}\"\n[sink]\nkind = \"kafka\"\n\
                 [detectors]\ndir = \"detectors\"\n[engine]\ninstance = \"a\"\ncommit_interval = \"50ms\"\n\
                 [api]\nlisten = \"127.0.0.1:{api}\"\n[metrics]\nlisten = \"127.0.0.1:{metrics}\"\n{registry}",
                self.kafka.bootstrap()
            ),
        );
        (house, api, metrics)
    }

    fn host(&self, group: &str, registry: &str) -> Host {
        let (house, api, metrics) = self.house(group, registry);
        let log = File::create(house.path("log")).unwrap();
        let mut command = house.command(&["run", "-c", "gridwatch.toml", "--json"]);
        let child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let mut host = Host { house, child, api, metrics };
        host.until("ready", |host| host.ready().is_ok());
        host
    }
}

/// A gridwatch that runs.
struct Host {
    house: House,
    child: Child,
    api: u16,
    metrics: u16,
}

impl Host {
    fn until(&mut self, what: &str, look: impl Fn(&Host) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !look(self) {
            let ended = self.child.try_wait().unwrap();
            let log = || self.house.text("log");
            assert!(ended.is_none(), "ended ({ended:?}), waiting for {what}:\n{}", log());
            assert!(Instant::now() < deadline, "waited in vain for {what}: {:?}\n{}", self.ready(), log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The conditions that are missing, otherwise.
    fn ready(&self) -> Result<(), Value> {
        let page = get(self.api, "/readyz");
        let body = page.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        if page.contains(" 200 ") {
            return Ok(());
        }
        Err(serde_json::from_str::<Value>(body).unwrap_or_default()["missing"].take())
    }

    /// The value of a series, with its labels as they are written; 0 where there is none.
    fn metric(&self, series: &str) -> f64 {
        let page = get(self.metrics, "/metrics");
        let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().unwrap())
    }

    fn judged(&self, partition: i32) -> f64 {
        self.metric(&format!("gridwatch_judged_total{{lane=\"{TOPIC}-{partition}\"}}"))
    }

    fn until_judged(&mut self, partition: i32, count: f64) {
        let what = format!("{count} readings of partition {partition}");
        self.until(&what, |host| host.judged(partition) >= count);
        assert_eq!(self.judged(partition), count);
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An answer of a server on this machine; empty where there is none.
fn get(port: u16, path: &str) -> String {
    let mut answer = String::new();
    if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let _ = stream.write_all(request.as_bytes());
        let _ = stream.read_to_string(&mut answer);
    }
    answer
}

/// A reading of a sensor's own, so that none is remarkable.
fn reading(at: usize) -> String {
    format!(r#"{{"sensor_id":"m{at}","timestamp":"2026-01-01T00:00:00Z","voltage":230}}"#)
}

fn framed(id: i32, body: &str) -> Vec<u8> {
    let mut record = Vec::new();
    frame(u32::try_from(id).unwrap(), &mut record);
    record.extend_from_slice(body.as_bytes());
    record
}

fn schema() -> Value {
    serde_json::from_str(READING).unwrap()
}

fn section(url: &str, more: &str) -> String {
    format!("[registry]\nurl = \"{url}\"\ntimeout = \"300ms\"\n{more}")
}

#[test]
fn what_does_not_fit_its_schema_is_a_dead_letter_with_its_frame() {
    let (scene, registry) = (Scene::new(), Registry::start());
    let id = registry.register("sensor-readings-value", &schema());
    let mut host = scene.host("g", &section(&registry.url(), ""));
    let wrong = framed(id, &reading(1).replace("230", "[230]"));
    let unknown = framed(4_711, &reading(2));
    let broken = framed(id, "{\"sensor_id\":");
    for record in [
        reading(0).into_bytes(),
        framed(id, &reading(0)),
        wrong.clone(),
        unknown.clone(),
        b"\0\0\x01".to_vec(),
        broken.clone(),
        framed(id, &reading(3)),
    ] {
        scene.send(0, &record);
    }
    host.until_judged(0, 3.0);

    // The next version, while it runs: each record is checked by the one that it names.
    let mut evolved = schema();
    evolved["properties"]["voltage"] = json!({"type": "array"});
    registry.set_compatibility("sensor-readings-value", "NONE");
    let newer = registry.register("sensor-readings-value", &evolved);
    assert_ne!(newer, id);
    let outdated = framed(newer, &reading(4));
    scene.send(0, &outdated);
    scene.send(0, &framed(newer, &reading(5).replace("230", "[]").replace("}", r#","current":1}"#)));
    scene.send(0, &framed(id, &reading(6)));
    host.until_judged(0, 5.0);
    host.until("all dead letters", |_| scene.letters().len() >= 5);
    let expected = [
        ("schema_violation", wrong),
        ("unknown_schema", unknown),
        ("truncated_frame", b"\0\0\x01".to_vec()),
        ("not_json", broken),
        ("schema_violation", outdated),
    ];
    assert_eq!(scene.letters(), expected.map(|(reason, bytes)| (reason.to_owned(), bytes)));
    let letters = kcat::read(&scene.kafka.bootstrap(), LETTERS);
    let detail = letters[0].headers.iter().find(|(name, _)| name.ends_with("detail")).unwrap().1.clone();
    assert!(detail.contains(&format!("schema {id}: /voltage: ")), "{detail}");
    assert_eq!(host.metric("gridwatch_schemas_known"), 2.0);
    assert_eq!(host.metric("gridwatch_schemas_waiting"), 0.0);
    assert_eq!(host.ready(), Ok(()));
    host.until("what librdkafka tells of itself", |host| {
        let of = |metric: &str, client: &str| {
            host.metric(&format!("gridwatch_kafka_{metric}{{client=\"{client}\"}}"))
        };
        let is_up = |client: &str| of("brokers_up", client) == 1.0 && of("sent_bytes_total", client) > 0.0;
        ["consumer", "producer"].into_iter().all(is_up) && of("rebalances_total", "consumer") > 0.0
    });

    // Without a registry the same records are judged unchecked, and that is said once.
    let mut unchecked = scene.host("h", "");
    unchecked.until_judged(0, 8.0);
    let said = unchecked.house.text("log");
    assert_eq!(said.matches("judged unchecked").count(), 1, "{said}");
}

/// Held back: the record whose schema only the registry could tell, and those behind it in its lane.
fn holds_back(scene: &Scene, host: &mut Host, known: i32, new: i32, word: &str) {
    let (before, other) = (host.judged(0), host.judged(1));
    scene.send(0, &framed(known, &reading(10)));
    scene.send(0, &framed(new, &reading(11)));
    scene.send(0, &framed(known, &reading(12)));
    host.until_judged(0, before + 1.0);
    for at in 0..3 {
        scene.send(1, &framed(known, &reading(20 + at)));
    }
    host.until_judged(1, other + 3.0);
    host.until(&format!("`{word}` in /readyz"), |host| {
        host.ready().is_err_and(|missing| missing["registry"]["reason"].to_string().contains(word))
    });
    assert_eq!(host.metric("gridwatch_schemas_waiting"), 1.0);
    assert!(host.metric("gridwatch_registry_failures_total") > 0.0);
    assert_eq!(host.judged(0), before + 1.0, "what the registry has not told is judged");
}

fn goes_on(host: &mut Host, judged: f64) {
    host.until_judged(0, judged);
    host.until("ready", |host| host.ready().is_ok());
    assert_eq!(host.metric("gridwatch_schemas_waiting"), 0.0);
}

#[test]
fn a_registry_that_is_away_slow_or_mad_holds_back_only_what_it_must_tell() {
    let (scene, registry) = (Scene::new(), Registry::start());
    let known = registry.register("known", &schema());
    let proxy = Proxy::to(registry.port());
    let mut host = scene.host("g", &section(&proxy.url(), ""));
    scene.send(0, &framed(known, &reading(0)));
    host.until_judged(0, 1.0);
    let disturbances = [
        (Mode::Cut, "cannot be reached"),
        (Mode::BlackHole, "no answer within"),
        (Mode::Delay(Duration::from_secs(2)), "no answer within"),
        (Mode::Answer(Answer::garbage()), "no registry's answer"),
        (Mode::Answer(Answer::status(503)), "status 503"),
    ];
    let mut registered = vec![("known".to_owned(), schema())];
    for (at, (mode, word)) in disturbances.into_iter().enumerate() {
        let mut next = schema();
        next["title"] = json!(format!("{at}"));
        registered.push((format!("new-{at}"), next.clone()));
        let new = registry.register(&format!("new-{at}"), &next);
        let judged = host.judged(0);
        proxy.set(mode);
        holds_back(&scene, &mut host, known, new, word);
        proxy.forward();
        goes_on(&mut host, judged + 3.0);
    }

    // Killed, and back with the same content, as one with a disk is.
    registry.kill();
    let judged = host.judged(0);
    let next = i32::try_from(registered.len()).unwrap() + 1;
    holds_back(&scene, &mut host, known, next, "connection closed");
    proxy.cut();
    registry.restart();
    registered.push(("last".to_owned(), json!({"title": "last", "type": "object"})));
    let ids = registered.iter().map(|(subject, schema)| registry.register(subject, schema));
    assert_eq!(ids.last(), Some(next));
    proxy.forward();
    goes_on(&mut host, judged + 3.0);
    assert_eq!(scene.letters(), []);
}

#[test]
fn an_unknown_schema_halts_where_it_is_told_to() {
    let (scene, registry) = (Scene::new(), Registry::start());
    let (house, ..) = scene.house("g", &section(&registry.url(), "unknown_schema = \"halt\"\n"));
    scene.send(0, &framed(4_711, &reading(0)));
    let output = house.output(&["run", "-c", "gridwatch.toml", "--duration", "60s", "--json"]);
    let said = errors(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("names schema 4711") && said.contains("unknown_schema"), "{said}");
}
