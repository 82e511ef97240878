//! What lies in the topics is what it is said to be, in the eyes of clients that are not ours: kcat, and Apache's
//! own in Java, which shares not a line with the library that we write with.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use gridwatch_core::schema::ANOMALY;
use gridwatch_tests::chaos::{Offsets, Stage};
use gridwatch_tests::house::{errors, gridwatch};
use gridwatch_tests::servers::kcat::{self, Record};
use gridwatch_tests::servers::{Kafka, Registry, console};
use jsonschema::Validator;
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::Value;

const READINGS: &str = "readings";
const PATIENCE: Duration = Duration::from_secs(30);

fn simulate(bootstrap: &str, registry: &str, seed: &str, start: &str) {
    let output = gridwatch()
        .args(["simulate", "--kafka", bootstrap, "--topic", READINGS, "--registry", registry, "--framed"])
        .args(["--seed", seed, "--readings", "30000", "--start", start])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", errors(&output));
}

/// Three records that nobody who reads committed ones may ever see.
fn write_and_abort(bootstrap: &str, topic: &str) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap).set("transactional.id", "somebody-else");
    let producer: BaseProducer = config.create().unwrap();
    producer.init_transactions(PATIENCE).unwrap();
    producer.begin_transaction().unwrap();
    for _ in 0..3 {
        producer.send(BaseRecord::to(topic).key("never").payload("never said")).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
    producer.abort_transaction(PATIENCE).unwrap();
}

/// Both clients see the same bytes at the same places. In that order: committed, and all.
fn seen_alike(bootstrap: &str, topic: &str) -> (Vec<Record>, usize) {
    let theirs = {
        let (bootstrap, topic) = (bootstrap.to_owned(), topic.to_owned());
        thread::spawn(move || console::read(&bootstrap, &topic))
    };
    let ours = kcat::read(bootstrap, topic);
    let all = kcat::reading(bootstrap, topic).uncommitted().run();
    let theirs = theirs.join().unwrap();
    assert_eq!(theirs.len(), ours.len(), "{topic}: another number of records is committed");
    for (their, our) in theirs.iter().zip(&ours) {
        assert_eq!(their, our, "{topic}");
    }
    (ours, all.len())
}

fn validator(schema: &Value) -> Validator {
    jsonschema::draft7::options().build(schema).unwrap()
}

fn check(validator: &Validator, value: &Value) {
    let wrong: Vec<String> = validator.iter_errors(value).map(|error| error.to_string()).collect();
    assert!(wrong.is_empty(), "{wrong:?}: {value}");
}

/// The schema that a record's frame names, as the registry gives it to anybody.
fn schema_of(registry: &Registry, id: u32) -> Validator {
    let found = registry.ask("GET", &format!("/schemas/ids/{id}"), &Value::Null);
    validator(&serde_json::from_str(found["schema"].as_str().unwrap()).unwrap())
}

fn readings_are_what_their_schema_says(registry: &Registry, records: &[Record]) {
    let mut schemas: BTreeMap<u32, Validator> = BTreeMap::new();
    for record in records {
        let payload = record.payload.as_deref().unwrap();
        let [0, a, b, c, d, body @ ..] = payload else { panic!("no frame: {record:?}") };
        let id = u32::from_be_bytes([*a, *b, *c, *d]);
        let reading: Value = serde_json::from_slice(body).unwrap();
        check(schemas.entry(id).or_insert_with(|| schema_of(registry, id)), &reading);
        assert_eq!(record.key.as_deref(), reading["sensor_id"].as_str().map(str::as_bytes));
    }
    assert_eq!(schemas.len(), 1, "one producer has one schema");
}

fn anomalies_are_what_their_schema_says(records: &[Record]) {
    let schema = validator(&serde_json::from_str(ANOMALY).unwrap());
    for record in records {
        let anomaly: Value = serde_json::from_str(record.text()).unwrap();
        check(&schema, &anomaly);
        let subject = anomaly["sensor_id"].as_str().or(anomaly["group"].as_str());
        assert_eq!(record.key.as_deref(), subject.map(str::as_bytes), "{anomaly}");
        let header = |name: &str| (name.to_owned(), anomaly[name].as_str().unwrap().to_owned());
        assert_eq!(record.headers, ["id", "detector", "severity"].map(header), "{anomaly}");
        assert_eq!(anomaly["source"]["topic"], READINGS);
    }
}

#[test]
fn others_read_the_same_bytes_and_they_are_what_the_schemas_say() {
    let stage = Stage::new("wire", 1, Kafka::setup());
    let registry = Registry::start();
    let bootstrap = stage.kafka.bootstrap();
    // A table of its own, behind that of the engine.
    let deployment = stage.deployment("wire").engine(&format!("[registry]\nurl = \"{}\"\n", registry.url()));
    let offsets = Offsets::of(&deployment, &bootstrap);
    let mut process = deployment.process("a");
    process.start();
    simulate(&bootstrap, &registry.url(), "1", "2026-01-05T00:00:00Z");
    offsets.until_all_is_judged(&mut [&mut process]);
    write_and_abort(&bootstrap, &deployment.anomalies());
    simulate(&bootstrap, &registry.url(), "2", "2026-02-05T00:00:00Z");
    offsets.until_all_is_judged(&mut [&mut process]);
    process.stop();

    let (readings, all) = seen_alike(&bootstrap, READINGS);
    assert_eq!((readings.len(), all), (60_000, 60_000));
    readings_are_what_their_schema_says(&registry, &readings);
    let (anomalies, all) = seen_alike(&bootstrap, &deployment.anomalies());
    assert!(anomalies.len() >= 50, "only {} anomalies", anomalies.len());
    assert!(all >= anomalies.len() + 3, "the aborted ones are there for whoever asks: {all}");
    anomalies_are_what_their_schema_says(&anomalies);
    stage.clear();
}
