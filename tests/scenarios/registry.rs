//! The schema registry: registered once and for all, asked once an id, and lanes that go on without it.

use std::process::Output;
use std::time::{Duration, Instant};

use gridwatch_connectors::registry::{Answer as Known, CacheSettings, SchemaCache, Settings};
use gridwatch_core::schema::{self, Framing, Schemas, frame, unframe};
use gridwatch_tests::house::{House, errors, gridwatch, simulated};
use gridwatch_tests::servers::{Answer, Mode, Proxy, Registry};
use serde_json::{Value, json};

fn register(arguments: &[&str]) -> Output {
    gridwatch().args(["schemas", "register"]).args(arguments).output().unwrap()
}

fn registered(url: &str, more: &[&str]) -> Value {
    let output = register(&[&["--registry", url, "--json"], more].concat());
    assert!(output.status.success(), "{}", errors(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn cache(url: &str) -> SchemaCache {
    let registry = Settings { url: url.to_owned(), credentials: None, timeout: Duration::from_millis(300) };
    let settings = CacheSettings {
        pause_min: Duration::from_millis(10),
        pause_max: Duration::from_millis(200),
        ..CacheSettings::default()
    };
    SchemaCache::new(&registry, settings).unwrap()
}

/// Waits for something that another thread brings about.
fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn settled(cache: &SchemaCache, id: u32) -> Known {
    until("the registry's answer", || match cache.ensure(id) {
        Known::Waiting { .. } => None,
        answer => Some(answer),
    })
}

/// What is wrong with a framed record, by the schema that it names.
fn violation(cache: &SchemaCache, record: &[u8]) -> Option<String> {
    let Framing::Framed { id, body } = unframe(record) else { panic!("not framed") };
    assert_eq!(settled(cache, id), Known::Known);
    cache.find(id).unwrap().violation(body)
}

fn framed(id: u32, body: &str) -> Vec<u8> {
    let mut record = Vec::new();
    frame(id, &mut record);
    record.extend_from_slice(body.as_bytes());
    record
}

fn id_of(list: &Value, at: usize) -> u32 {
    list[at]["id"].as_u64().unwrap() as u32
}

#[test]
fn schemas_are_registered_once_and_again_changes_nothing() {
    let registry = Registry::start();
    let first = registered(&registry.url(), &[]);
    let subjects = [&first[0]["subject"], &first[1]["subject"]];
    assert_eq!(subjects, ["sensor-readings-value", "anomalies-value"]);
    for entry in first.as_array().unwrap() {
        assert_eq!((&entry["version"], &entry["registered"]), (&json!(1), &json!(true)));
    }
    let again = registered(&registry.url(), &[]);
    for (before, after) in first.as_array().unwrap().iter().zip(again.as_array().unwrap()) {
        assert_eq!((&before["id"], &before["version"]), (&after["id"], &after["version"]));
        assert_eq!(after["registered"], json!(false));
    }
    let house = House::with(&[]);
    house.write("gridwatch.toml", format!("[registry]\nurl = \"{}/\"\n", registry.url()));
    let table = house.output(&["schemas", "register", "-c", "gridwatch.toml", "--anomalies-topic", "found"]);
    let text = String::from_utf8(table.stdout.clone()).unwrap();
    assert!(table.status.success(), "{}", errors(&table));
    assert!(text.contains("sensor-readings-value") && text.contains("was there"), "{text}");
    assert!(text.contains("found-value") && text.contains("version 1    registered"), "{text}");
}

#[test]
fn a_schema_that_does_not_fit_is_refused_with_the_registrys_words() {
    let registry = Registry::start();
    registry.register("found-value", &json!({"type": "array", "items": {"type": "string"}}));
    let output = register(&["--registry", &registry.url(), "--anomalies-topic", "found"]);
    assert_eq!(output.status.code(), Some(1), "{}", errors(&output));
    let said = errors(&output);
    assert!(said.contains("found-value") && said.contains("BACKWARD"), "{said}");
    let subjects = registry.ask("GET", "/subjects", &Value::Null);
    assert_eq!(subjects, json!(["found-value"]), "nothing was registered, not even what would have fitted");

    registry.set_compatibility("found-value", "NONE");
    assert_eq!(registered(&registry.url(), &["--anomalies-topic", "found"])[1]["version"], 2);
}

#[test]
fn a_registry_that_cannot_be_asked_ends_in_a_clear_error() {
    let registry = Registry::start();
    let proxy = Proxy::to(registry.port());
    proxy.cut();
    let house = House::with(&[]);
    house.write("none.toml", "");
    house.write("bad.toml", "[registry]\nurl = \"registry\"\n");
    let url = proxy.url();
    let nowhere = format!("{}/apis/ccompat/v7", registry.url());
    for (arguments, status, word) in [
        (["--registry", &url], 1, "cannot be reached"),
        (["--registry", &nowhere], 1, "does its URL need another path?"),
        (["--registry", "registry:8080"], 2, "http"),
        (["-c", "none.toml"], 2, "no [registry]"),
        (["-c", "bad.toml"], 2, "bad.toml:2"),
    ] {
        let output = house.output(&[&["schemas", "register"], arguments.as_slice()].concat());
        let said = errors(&output);
        assert_eq!(output.status.code(), Some(status), "{said}");
        assert!(said.contains(word), "{arguments:?}: {said}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
    proxy.answer(Answer::garbage());
    let output = register(&["--registry", &url]);
    assert!(errors(&output).contains("no registry's answer"), "{}", errors(&output));
}

#[test]
fn framed_readings_are_checked_by_the_schema_they_name() {
    let registry = Registry::start();
    let id = id_of(&registered(&registry.url(), &[]), 0);
    let cache = cache(&registry.url());
    for line in simulated(3, 2_000).lines() {
        assert_eq!(violation(&cache, &framed(id, line)), None, "{line}");
    }
    let wrong = r#"{"sensor_id":"m","timestamp":"2026-01-05T00:00:00Z","voltage":"230"}"#;
    let said = violation(&cache, &framed(id, wrong)).unwrap();
    assert!(said.starts_with("/voltage: "), "{said}");

    // The schema evolves while records of the old one are still on their way.
    let mut evolved: Value = serde_json::from_str(schema::READING).unwrap();
    evolved["properties"]["firmware"] = json!({"type": ["number", "null", "string", "boolean"]});
    evolved["properties"]["voltage"] = json!({"type": ["number", "null", "string"]});
    let newer = registry.register("sensor-readings-value", &evolved) as u32;
    assert_ne!(newer, id);
    assert_eq!(violation(&cache, &framed(newer, wrong)), None);
    assert!(violation(&cache, &framed(id, wrong)).is_some());

    assert_eq!(settled(&cache, 4_711), Known::Absent);
    assert!(cache.find(4_711).is_none());
    assert_eq!(cache.status().known_ids, 2);
}

#[test]
fn known_ids_go_on_and_unknown_ones_wait_whatever_the_registry_does() {
    let registry = Registry::start();
    let known = id_of(&registered(&registry.url(), &[]), 0);
    let proxy = Proxy::to(registry.port());
    let cache = cache(&proxy.url());
    assert_eq!(settled(&cache, known), Known::Known);
    let disturbances = [
        (Mode::Cut, "cannot be reached"),
        (Mode::BlackHole, "no answer within"),
        (Mode::Delay(Duration::from_secs(2)), "no answer within"),
        (Mode::Answer(Answer::garbage()), "no registry's answer"),
        (Mode::Answer(Answer::status(503)), "status 503"),
        (Mode::Answer(Answer::status(404)), "status 404"),
        (Mode::Answer(Answer::raw("SSH-2.0-OpenSSH_9.2\r\n")), "no registry's answer"),
    ];
    for (at, (mode, word)) in disturbances.into_iter().enumerate() {
        let new = registry.register(&format!("new-{at}"), &json!({"title": format!("{at}")})) as u32;
        proxy.set(mode.clone());
        let since = Instant::now();
        assert!(matches!(cache.ensure(new), Known::Waiting { .. }));
        until(&format!("{mode:?} to be noticed"), || match cache.ensure(new) {
            Known::Waiting { why, .. } if why.contains(word) => Some(()),
            Known::Waiting { .. } => None,
            other => panic!("{mode:?}: {other:?}"),
        });
        let before = Instant::now();
        assert_eq!(cache.ensure(known), Known::Known);
        assert!(cache.find(known).unwrap().violation(b"{}").is_some());
        assert!(before.elapsed() < Duration::from_millis(100), "a known id waits for nobody");
        let status = cache.status();
        assert!(!status.reachable && status.waiting_ids == 1, "{status:?}");
        assert!(status.waiting_since.is_some_and(|waits| waits >= since));
        proxy.forward();
        assert_eq!(settled(&cache, new), Known::Known, "{mode:?}");
        assert!(cache.status().reachable);
    }
}

#[test]
fn a_registry_that_was_killed_is_asked_again_once_it_is_back() {
    let registry = Registry::start();
    let known = registry.register("before", &json!({"type": "object"})) as u32;
    let cache = cache(&registry.url());
    assert_eq!(settled(&cache, known), Known::Known);
    registry.kill();
    assert!(matches!(cache.ensure(known + 1), Known::Waiting { .. }));
    until("a failure", || (!cache.status().reachable).then_some(()));
    registry.restart();
    assert_eq!(settled(&cache, known + 1), Known::Absent, "it is back, and empty");
    assert_eq!(cache.ensure(known), Known::Known);
    let status = cache.status();
    assert!(status.reachable && status.waiting_ids == 0 && status.failures > 0, "{status:?}");
}

#[test]
fn every_anomaly_of_a_run_fits_the_schema_in_the_repository() {
    let registry = Registry::start();
    let id = id_of(&registered(&registry.url(), &[]), 1);
    let cache = cache(&registry.url());
    let house = House::with(&["limits", "physics", "shift", "vitals"]);
    house.write("readings.jsonl", simulated(11, 200_000));
    house.configure("kind = \"file\"\npath = \"readings.jsonl\"", "");
    house.run();
    let text = house.text("anomalies.jsonl");
    let mut phases = std::collections::BTreeSet::new();
    for line in text.lines() {
        assert_eq!(violation(&cache, &framed(id, line)), None, "{line}");
        let anomaly: Value = serde_json::from_str(line).unwrap();
        phases.insert(anomaly["phase"].as_str().unwrap().to_owned());
    }
    assert!(phases.contains("raised") && phases.contains("cleared"), "{phases:?}");
}
