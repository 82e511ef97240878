//! The topic is not what it was, or the broker does not let us in: said at once, and nothing goes on in silence.

use std::process::Output;
use std::time::{Duration, Instant};

use gridwatch_connectors::kafka::{KafkaIntake, KafkaSettings, OnLost, Start, connect};
use gridwatch_core::intake::{Change, Intake, Opening};
use gridwatch_core::record::{Chunk, Feed, SourceError};
use gridwatch_core::sink::Delivery;
use gridwatch_tests::house::{House, errors, simulated};
use gridwatch_tests::servers::{Kafka, kcat};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

const TOPIC: &str = "sensor-readings";

/// A broker with topics, and a house to run gridwatch in.
struct Scene {
    kafka: Kafka,
    house: House,
}

impl Scene {
    fn new(kafka: Kafka) -> Scene {
        let topics = kafka.topics();
        topics.create(TOPIC, 2);
        topics.create("anomalies", 1);
        topics.create("sensor-readings.dlq", 1);
        let scene = Scene { kafka, house: House::with(&["limits", "vitals"]) };
        scene.configure(&scene.kafka.bootstrap(), "");
        scene
    }

    fn configure(&self, bootstrap: &str, source: &str) {
        let config = format!(
            "[sink]\nkind = \"kafka\"\n[detectors]\ndir = \"detectors\"\n[engine]\ninstance = \"a\"\n\
             [api]\nlisten = \"127.0.0.1:0\"\n[metrics]\nlisten = \"127.0.0.1:0\"\n\
             [source]\nkind = \"kafka\"\nbrokers = \"{bootstrap}\"\ngroup = \"g\"\n{source}"
        );
        self.house.write("gridwatch.toml", config);
    }

    fn produce(&self, lines: &str) {
        let producer: BaseProducer =
            ClientConfig::new().set("bootstrap.servers", self.kafka.bootstrap()).create().unwrap();
        for line in lines.lines() {
            let key = line.split('"').nth(3).unwrap();
            producer.send(BaseRecord::to(TOPIC).key(key).payload(line)).unwrap();
        }
        producer.flush(Duration::from_secs(20)).unwrap();
    }

    /// Runs for a while, and reads what there is.
    fn run(&self, duration: &str) -> Output {
        self.house.output(&["run", "-c", "gridwatch.toml", "--duration", duration, "--json"])
    }

    fn judged(&self) -> u64 {
        let output = self.run("4s");
        assert!(output.status.success(), "{}", errors(&output));
        let account: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(account["adds_up"], true, "{account}");
        account["judged"].as_u64().unwrap()
    }

    /// Until the group has committed so many readings.
    fn until_committed(&self, readings: i64) {
        let group: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", self.kafka.bootstrap())
            .set("group.id", "g")
            .create()
            .unwrap();
        let until = Instant::now() + Duration::from_secs(20);
        let mut committed = 0;
        while committed < readings {
            assert!(Instant::now() < until, "only {committed} of {readings} are committed");
            let mut list = TopicPartitionList::new();
            list.add_partition_range(TOPIC, 0, 1);
            // A group that has no coordinator yet has committed nothing.
            let found = match group.committed_offsets(list, Duration::from_secs(5)) {
                Ok(found) => found,
                Err(error) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::NotCoordinator) => {
                    continue;
                }
                Err(error) => panic!("{error}"),
            };
            let elements = found.elements();
            let offsets = elements.iter().filter_map(|lane| match lane.offset() {
                Offset::Offset(offset) => Some(offset),
                _ => None,
            });
            committed = offsets.sum();
        }
    }

    /// It ends by itself, soon and with a word.
    fn halts_with(&self, words: &[&str]) {
        let start = Instant::now();
        let output = self.run("60s");
        assert_eq!(output.status.code(), Some(1), "{}", errors(&output));
        assert!(start.elapsed() < Duration::from_secs(25), "only after {:?}", start.elapsed());
        for word in words {
            assert!(errors(&output).contains(word), "`{word}` is not in: {}", errors(&output));
        }
    }
}

/// A topic made anew under its name is another one, however its offsets look.
#[test]
fn a_topic_made_anew_halts() {
    let scene = Scene::new(Kafka::start());
    scene.produce(&simulated(1, 3_000));
    assert_eq!(scene.judged(), 3_000);
    let topics = scene.kafka.topics();
    topics.delete(TOPIC);
    topics.create(TOPIC, 2);
    scene.produce(&simulated(2, 5_000));
    // The broker has forgotten the group's commits with the topic.
    scene.halts_with(&["no commit names one", "the topic made anew", "begin anew"]);
}

/// While it is read, too, and also where it holds more than was read of the one before.
#[test]
fn a_topic_made_anew_while_it_is_read_halts() {
    let scene = Scene::new(Kafka::start());
    scene.produce(&simulated(1, 300));
    std::thread::scope(|scope| {
        let halts = scope.spawn(|| scene.halts_with(&["was recreated while it was read", "begin anew"]));
        scene.until_committed(300);
        let topics = scene.kafka.topics();
        topics.delete(TOPIC);
        topics.create(TOPIC, 2);
        scene.produce(&simulated(2, 5_000));
        halts.join().unwrap();
    });
}

#[test]
fn more_partitions_than_before_halt() {
    let scene = Scene::new(Kafka::start());
    scene.produce(&simulated(1, 2_000));
    assert_eq!(scene.judged(), 2_000);
    scene.kafka.topics().grow(TOPIC, 3);
    scene.halts_with(&["partitions was 2 and is 3"]);
}

/// Readings were deleted before they were read: stop, or go on as told and say how far.
#[test]
fn an_offset_that_is_gone_halts_or_goes_on_as_told() {
    let scene = Scene::new(Kafka::start());
    scene.produce(&simulated(1, 4_000));
    assert_eq!(scene.judged(), 4_000);
    scene.produce(&simulated(2, 4_000));
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", scene.kafka.bootstrap()).create().unwrap();
    let mut ends = TopicPartitionList::new();
    let offsets = scene.kafka.topics().offsets(TOPIC);
    for (partition, (_, high)) in offsets.iter().enumerate() {
        // Of what is new, all but the last hundred of each partition.
        ends.add_partition_offset(TOPIC, partition as i32, Offset::Offset(high - 100)).unwrap();
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(admin.delete_records(&ends, &AdminOptions::new())).unwrap();
    scene.halts_with(&["is not there any more", "on_lost"]);
    scene.configure(&scene.kafka.bootstrap(), "on_lost = \"earliest\"\n");
    assert_eq!(scene.judged(), 200);
}

/// Somebody has reset the group by hand: detectors would lose what they know.
#[test]
fn an_offset_set_by_hand_halts_with_the_choices() {
    let scene = Scene::new(Kafka::start());
    scene.produce(&simulated(1, 2_000));
    assert_eq!(scene.judged(), 2_000);
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", scene.kafka.bootstrap())
        .set("group.id", "g")
        .create()
        .unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(TOPIC, 0, Offset::Offset(5)).unwrap();
    // The group is empty once its only member has timed out.
    let until = Instant::now() + Duration::from_secs(30);
    while let Err(error) = consumer.commit(&list, CommitMode::Sync) {
        assert!(Instant::now() < until, "{error}");
    }
    scene.halts_with(&["position 5 was committed by somebody else", "on_missing"]);
}

#[test]
fn a_login_over_tls_works_and_a_wrong_one_is_said_within_seconds() {
    let kafka = Kafka::setup().secured().start();
    let secured = kafka.secured().clone();
    let scene = Scene::new(kafka);
    scene.produce(&simulated(1, 2_000));
    scene.house.write("password", secured.password);
    let properties = |password: &str| {
        format!(
            "[source.properties]\n\"security.protocol\" = \"SASL_SSL\"\n\"sasl.mechanism\" = \"SCRAM-SHA-256\"\n\
             \"sasl.username\" = \"{}\"\n\"ssl.ca.location\" = \"{}\"\n\
             [source.property_files]\n\"sasl.password\" = \"{password}\"\n",
            secured.user,
            secured.ca.display(),
        )
    };
    scene.configure(&secured.bootstrap, &properties("password"));
    assert_eq!(scene.judged(), 2_000);
    let seen = kcat::read(&scene.kafka.bootstrap(), "anomalies").len();
    scene.house.write("wrong", "not-the-secret");
    scene.configure(&secured.bootstrap, &properties("wrong"));
    scene.halts_with(&["uthentication"]);
    let text = errors(&scene.run("60s"));
    assert!(!text.contains("not-the-secret"), "a secret was said: {text}");
    assert_eq!(kcat::read(&scene.kafka.bootstrap(), "anomalies").len(), seen);
}

/// A broker holds a whole batch against what its topic takes of a message: nothing is left out of messages that fit.
#[test]
fn topics_that_take_little_at_a_time_get_all_of_it() {
    for delivery in ["exactly-once", "at-least-once"] {
        let kafka = Kafka::start();
        let topics = kafka.topics();
        topics.create(TOPIC, 2);
        for topic in ["anomalies", "sensor-readings.dlq"] {
            topics.create_with(topic, 1, &[("retention.ms", "-1"), ("max.message.bytes", "6000")]);
        }
        let scene = Scene { kafka, house: House::with(&["limits"]) };
        scene.configure(&scene.kafka.bootstrap(), "");
        let config = scene.house.text("gridwatch.toml");
        let engine = format!("[engine]\ndelivery = \"{delivery}\"");
        scene.house.write("gridwatch.toml", config.replace("[engine]", &engine));
        let line = |at: u32| {
            let (sensor, hertz) = (at % 40, if (at / 40).is_multiple_of(2) { 50 } else { 45 });
            format!(
                "{{\"sensor_id\":\"m{sensor}\",\"timestamp\":{},\"frequency\":{hertz},\"location\":\"{}\"}}\n",
                1_767_571_200 + at / 40,
                "x".repeat(200)
            )
        };
        scene.produce(&(0..4_000).map(line).collect::<String>());
        assert_eq!(scene.judged(), 4_000);
        let said = kcat::read(&scene.kafka.bootstrap(), "anomalies");
        assert!(said.len() > 1_000, "{} anomalies", said.len());
        let whole = said.iter().filter(|record| record.payload.as_deref().is_some_and(is_whole)).count();
        assert_eq!(whole, said.len(), "{delivery}: something was left out");
    }
}

/// With its attributes.
fn is_whole(anomaly: &[u8]) -> bool {
    let anomaly = String::from_utf8_lossy(anomaly);
    anomaly.contains(&"x".repeat(200)) && !anomaly.contains("left_out")
}

#[test]
fn what_is_not_there_is_said() {
    let scene = Scene::new(Kafka::start());
    scene.configure(&scene.kafka.bootstrap(), "topic = \"no-such-topic\"\n");
    scene.halts_with(&["no-such-topic", "Make it first"]);
    scene.configure("127.0.0.1:1", "");
    scene.halts_with(&["127.0.0.1:1", "do not answer"]);
}

/// A lane that was taken and came back is read by the new one alone: the old one, still waiting for messages,
/// would take them along into its grave.
#[test]
fn a_lane_of_before_takes_no_message_from_the_one_that_came_after() {
    const READINGS: u64 = 3_000;
    let scene = Scene::new(Kafka::start());
    scene.kafka.topics().create("single", 1);
    let producer: BaseProducer =
        ClientConfig::new().set("bootstrap.servers", scene.kafka.bootstrap()).create().unwrap();
    for line in simulated(1, READINGS as usize).lines() {
        producer.send(BaseRecord::<(), str>::to("single").payload(line)).unwrap();
    }
    producer.flush(Duration::from_secs(20)).unwrap();
    let settings = KafkaSettings {
        topic: "single".to_owned(),
        anomalies_topic: "anomalies".to_owned(),
        dead_letters_topic: "sensor-readings.dlq".to_owned(),
        group: "g".to_owned(),
        instance: "a".to_owned(),
        start: Start::Earliest,
        on_lost: OnLost::Halt,
        delivery: Delivery::ExactlyOnce,
        record_bytes_max: 1 << 20,
        properties: [("bootstrap.servers".to_owned(), scene.kafka.bootstrap())].into(),
    };
    let mut intake = KafkaIntake::new(connect(settings).unwrap());
    let until = Instant::now() + Duration::from_secs(30);
    let mut before = loop {
        assert!(Instant::now() < until, "no lane was given");
        let mut changes = intake.poll(Duration::from_millis(50)).unwrap().into_iter();
        if let Some(Change::Opened(Opening { feed, .. })) = changes.next() {
            break feed;
        }
    };
    before.seek(0).unwrap();
    assert_eq!(read(&mut *before, until).first(), Some(&0));
    let mut after = intake.reopen().unwrap().remove(0).feed;
    after.seek(0).unwrap();
    let waits = std::thread::spawn(move || {
        let polled = before.poll(&mut Chunk::default(), Duration::from_secs(5));
        assert!(matches!(polled, Err(SourceError::Revoked { .. })), "{polled:?}");
    });
    let mut positions = Vec::new();
    while positions.len() < READINGS as usize {
        positions.extend(read(&mut *after, until));
    }
    assert_eq!(positions, (0..READINGS).collect::<Vec<u64>>());
    waits.join().unwrap();
    intake.close();
}

/// Positions of the next records.
fn read(feed: &mut dyn Feed, until: Instant) -> Vec<u64> {
    let mut chunk = Chunk::default();
    while chunk.records.is_empty() {
        assert!(Instant::now() < until, "nothing comes");
        feed.poll(&mut chunk, Duration::from_millis(50)).unwrap();
    }
    chunk.records.iter().map(|meta| meta.position).collect()
}
