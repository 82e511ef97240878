//! The harness itself: real servers start, die as told, come back with their data, and leave nothing behind.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use gridwatch_tests::servers::{Answer, Direction, Kafka, Minio, Proxy, Registry, Topics, kcat, left};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::json;

const PATIENCE: Duration = Duration::from_secs(60);

fn producer(bootstrap: &str, properties: &[(&str, &str)]) -> BaseProducer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap).set("reconnect.backoff.max.ms", "200");
    for (key, value) in properties {
        config.set(*key, *value);
    }
    config.create().unwrap()
}

fn send(producer: &BaseProducer, topic: &str, partition: i32, payload: &[u8]) {
    let headers = OwnedHeaders::new().insert(Header { key: "reason", value: Some("a, b=c\nd") });
    let record = BaseRecord::to(topic).key(b"key\n\0".as_slice()).payload(payload);
    producer.send(record.partition(partition).headers(headers)).unwrap();
}

fn payloads(bootstrap: &str, topic: &str) -> Vec<(i32, Vec<u8>)> {
    let records = kcat::read(bootstrap, topic);
    records.into_iter().map(|record| (record.partition, record.payload.unwrap())).collect()
}

#[test]
fn a_broker_keeps_its_data_through_kills_and_stops() {
    let kafka = Kafka::start();
    let (topics, bootstrap) = (kafka.topics(), kafka.bootstrap());
    topics.create("readings", 2);
    let producer = producer(&bootstrap, &[]);
    let binary: &[u8] = b"\0\xff\n1 2 3 4 5\n";
    send(&producer, "readings", 0, b"first");
    send(&producer, "readings", 1, binary);
    producer.flush(PATIENCE).unwrap();

    let record = kcat::reading(&bootstrap, "readings").partition(1).run().remove(0);
    assert_eq!((record.partition, record.offset), (1, 0));
    assert_eq!(record.payload.as_deref(), Some(binary));
    assert_eq!(record.key.as_deref(), Some(b"key\n\0".as_slice()));
    assert_eq!(record.header("reason"), Some("a, b=c\nd"));

    kafka.kill();
    assert!(TcpStream::connect(&bootstrap).is_err(), "a killed broker listens");
    kafka.restart();
    send(&producer, "readings", 0, b"second");
    producer.flush(PATIENCE).unwrap();
    kafka.restart();
    topics.grow("readings", 3);
    // A producer that was there before learns of it minutes later.
    let newcomer = self::producer(&bootstrap, &[]);
    send(&newcomer, "readings", 2, b"third");
    newcomer.flush(PATIENCE).unwrap();
    let expected: [(i32, &[u8]); 4] = [(0, b"first"), (0, b"second"), (1, binary), (2, b"third")];
    assert_eq!(
        payloads(&bootstrap, "readings"),
        expected.map(|(partition, bytes)| (partition, bytes.to_vec()))
    );
    assert_eq!(topics.offsets("readings"), [(0, 2), (0, 1), (0, 1)]);
    let later = kcat::reading(&bootstrap, "readings").offsets(1, 2).run();
    assert_eq!(later.iter().map(|record| record.text()).collect::<Vec<_>>(), ["second"]);

    topics.delete("readings");
    topics.create("readings", 1);
    assert_eq!(topics.offsets("readings"), [(0, 0)]);
    let (folder, pid) = (kafka.folder().to_owned(), kafka.pid().unwrap());
    drop(kafka);
    assert!(!folder.exists(), "{} is left", folder.display());
    assert!(!Path::new(&format!("/proc/{pid}")).exists(), "the broker is left");
}

#[test]
fn a_frozen_broker_answers_once_thawed_and_transactions_hide_what_is_open() {
    let kafka = Kafka::start();
    kafka.topics().create("out", 1);
    let producer = producer(&kafka.bootstrap(), &[("transactional.id", "one")]);
    producer.init_transactions(PATIENCE).unwrap();
    producer.begin_transaction().unwrap();
    send(&producer, "out", 0, b"open");
    producer.flush(PATIENCE).unwrap();
    assert_eq!(payloads(&kafka.bootstrap(), "out"), []);
    let open = kcat::reading(&kafka.bootstrap(), "out").uncommitted().run();
    assert_eq!(open.len(), 1);

    kafka.freeze();
    let late = producer.commit_transaction(Duration::from_millis(300));
    assert!(late.is_err(), "a frozen broker answered");
    kafka.thaw();
    producer.commit_transaction(PATIENCE).unwrap();
    assert_eq!(payloads(&kafka.bootstrap(), "out"), [(0, b"open".to_vec())]);
}

#[test]
fn clients_of_a_proxied_broker_say_everything_through_the_proxy() {
    let kafka = Kafka::setup().proxied().start();
    kafka.topics().create("readings", 1);
    let producer = producer(&kafka.proxied_bootstrap(), &[("enable.idempotence", "true")]);
    send(&producer, "readings", 0, b"one");
    producer.flush(PATIENCE).unwrap();

    kafka.proxy().black_hole();
    send(&producer, "readings", 0, b"two");
    assert!(producer.flush(Duration::from_millis(200)).is_err(), "it came through a black hole");
    assert_eq!(
        payloads(&kafka.bootstrap(), "readings").len(),
        1,
        "straight to the broker nothing is disturbed"
    );
    kafka.proxy().cut();
    send(&producer, "readings", 0, b"three");
    assert!(producer.flush(Duration::from_millis(200)).is_err(), "it came through a cut");
    let delay = Duration::from_millis(100);
    kafka.proxy().delay(delay);
    producer.flush(PATIENCE).unwrap();
    let start = Instant::now();
    send(&producer, "readings", 0, b"four");
    producer.flush(PATIENCE).unwrap();
    assert!(start.elapsed() >= 2 * delay, "there and back in {:?}", start.elapsed());
    kafka.proxy().forward();
    kafka.proxy().reset();
    send(&producer, "readings", 0, b"five");
    producer.flush(PATIENCE).unwrap();
    kafka.proxy().half_close(Direction::ToServer);
    send(&producer, "readings", 0, b"six");
    producer.flush(PATIENCE).unwrap();
    kafka.proxy().half_close(Direction::ToClient);
    send(&producer, "readings", 0, b"seven");
    producer.flush(PATIENCE).unwrap();
    let texts: Vec<_> =
        kcat::read(&kafka.bootstrap(), "readings").iter().map(|r| r.text().to_owned()).collect();
    assert_eq!(texts, ["one", "two", "three", "four", "five", "six", "seven"]);
}

#[test]
fn sasl_over_tls_lets_in_who_knows_the_password() {
    let kafka = Kafka::setup().secured().start();
    kafka.topics().create("readings", 1);
    let secured = kafka.secured();
    for mechanism in ["SCRAM-SHA-256", "PLAIN"] {
        let properties = secured.properties(mechanism);
        let pairs: Vec<_> = properties.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let producer = producer(&secured.bootstrap, &pairs);
        send(&producer, "readings", 0, mechanism.as_bytes());
        producer.flush(PATIENCE).unwrap();
        assert_eq!(kcat::read(&kafka.bootstrap(), "readings").last().unwrap().text(), mechanism);

        let mut config: ClientConfig = properties.into_iter().collect();
        config.set("bootstrap.servers", &secured.bootstrap).set("sasl.password", "wrong");
        let stranger: BaseConsumer = config.create().unwrap();
        let refused = stranger.fetch_metadata(None, Duration::from_secs(2));
        assert!(refused.is_err(), "{mechanism}: a wrong password was taken");
    }
    let plain = kcat::reading(&secured.bootstrap, "readings").properties(&secured.properties("PLAIN"));
    assert_eq!(plain.run().len(), 2);
}

#[test]
fn a_registry_and_a_store_behind_proxies_that_answer_in_their_place() {
    let registry = Registry::start();
    let schema = json!({"type": "object", "properties": {"value": {"type": "number"}}});
    let id = registry.register("readings-value", &schema);
    let proxy = Proxy::to(registry.port());
    let path = format!("/schemas/ids/{id}");
    assert!(get(&proxy, &path).starts_with("HTTP/1.1 200"));
    proxy.answer(Answer::status(503));
    assert!(get(&proxy, &path).starts_with("HTTP/1.1 503"));
    proxy.answer(Answer::garbage());
    assert!(get(&proxy, &path).contains("garbage"));
    assert_eq!(proxy.wait(PATIENCE, |counts| counts.answers >= 2).answers, 2);
    registry.kill();
    proxy.forward();
    assert_eq!(get(&proxy, &path), "", "a server that is down closes the connection");
    registry.restart();
    assert!(get(&proxy, &path).starts_with("HTTP/1.1 404"), "a registry forgets");

    let minio = Minio::start();
    minio.create_bucket("gridwatch");
    let proxy = Proxy::to(minio.port());
    let unsigned = get(&proxy, "/gridwatch");
    assert!(unsigned.contains("AccessDenied"), "{unsigned}");
    minio.restart();
    assert!(get(&proxy, "/minio/health/ready").starts_with("HTTP/1.1 200"));
}

#[test]
fn half_closed_the_other_direction_goes_on() {
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Proxy::to(server.local_addr().unwrap().port());
    let mut client = TcpStream::connect(proxy.address()).unwrap();
    let mut inside = server.accept().unwrap().0;
    client.write_all(b"before").unwrap();
    let mut six = [0; 6];
    inside.read_exact(&mut six).unwrap();
    assert_eq!(proxy.wait(PATIENCE, |counts| counts.to_server_bytes == 6).connections, 1);
    proxy.half_close(Direction::ToServer);
    client.write_all(b"lost").unwrap();
    let mut rest = Vec::new();
    inside.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"", "the server reads an end");
    inside.write_all(b"behind").unwrap();
    drop(inside);
    client.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"behind");
}

fn get(proxy: &Proxy, path: &str) -> String {
    let mut stream = TcpStream::connect(proxy.address()).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", proxy.address());
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    // A connection that is reset has said all that it will.
    let _ = stream.read_to_string(&mut answer);
    answer
}

#[test]
fn servers_die_with_the_process_that_started_them() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_servers"));
    command.arg("hold").env("TMPDIR", folder.path());
    let mut holder = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(holder.stdout.take().unwrap()).lines().take(3);
    let pid = |line: String| line.rsplit_once(' ').unwrap().1.parse().unwrap();
    let pids: Vec<u32> = lines.map(|line| pid(line.unwrap())).collect();
    assert!(pids.iter().all(|pid| left::is_alive(*pid)), "{pids:?}");
    holder.kill().unwrap();
    holder.wait().unwrap();
    let deadline = Instant::now() + PATIENCE;
    while pids.iter().any(|pid| left::is_alive(*pid)) {
        assert!(Instant::now() < deadline, "{pids:?} are left");
        std::thread::yield_now();
    }
}

#[test]
fn a_topic_that_is_not_there_has_no_partitions() {
    let kafka = Kafka::start();
    assert_eq!(Topics::of(&kafka.bootstrap()).partitions("nothing"), 0);
}
