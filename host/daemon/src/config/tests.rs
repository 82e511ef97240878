#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use expect_test::{expect, expect_file};
use gridwatch_connectors::kafka::{OnLost, Start};
use gridwatch_core::decode::{IdSource, Mapping, Selection, TimeFormat};
use serde_json::json;

use super::*;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/configs")
}

/// The files of a folder of golden files, sorted; `.toml` only.
fn files(folder: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(golden().join(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no golden files in {folder}");
    files
}

/// Messages name the file as it was given; tests must not depend on where the repository lies.
fn without_folder(text: &str) -> String {
    text.replace(&format!("{}/", golden().display()), "") + "\n"
}

#[test]
fn every_mistake_of_a_configuration_is_told_with_its_place() {
    for file in files("bad") {
        let mistakes = load(&file).expect_err(&format!("{} is wrong on purpose", file.display()));
        expect_file![file.with_extension("expected")].assert_eq(&without_folder(&mistakes.to_string()));
    }
}

#[test]
fn every_mistake_of_a_detectors_settings_is_told_with_its_place() {
    for file in files("bad-detector") {
        let text = text_of(&file).unwrap();
        let mistakes =
            read_settings(&file, &text).expect_err(&format!("{} is wrong on purpose", file.display()));
        expect_file![file.with_extension("expected")].assert_eq(&without_folder(&mistakes.to_string()));
    }
}

#[test]
fn good_configurations_and_examples_are_accepted() {
    for file in files("good").into_iter().chain(files("../../../../examples")) {
        if let Err(mistakes) = load(&file) {
            panic!("{mistakes}");
        }
    }
}

/// Tables and keys as mistakes list them, when asked for one that nobody knows.
fn known_keys() -> Vec<(String, String)> {
    let tables = ["source", "decode", "assets", "sink", "dead_letters", "detectors", "engine", "checkpoints"];
    let tables = tables.into_iter().chain(["registry", "api", "metrics"]);
    let text: String = tables.clone().map(|table| format!("[{table}]\nQQ = 1\n")).collect();
    let text = format!("QQ = 1\n{}", text.replace("[source]", "[source]\nkind = \"file\""));
    let of_service = read(Path::new("x.toml"), &text).unwrap_err();
    let of_detector = read_settings(Path::new("y.toml"), "QQ = 1\n[limits]\nQQ = 1\n").unwrap_err();
    let mut known = Vec::new();
    for mistake in of_service.0.iter().chain(&of_detector.0) {
        let Some(rest) = mistake.message.strip_prefix("unknown key \"QQ\"") else { continue };
        let (place, list) = rest.split_once("; known: ").unwrap();
        let table = place.trim_start_matches(" in ").to_owned();
        known.extend(list.split(", ").map(|key| (table.clone(), key.trim_matches('"').to_owned())));
    }
    let found: Vec<&str> = known.iter().map(|(table, _)| table.as_str()).collect();
    assert!(tables.into_iter().all(|table| found.contains(&format!("[{table}]").as_str())), "{known:?}");
    known
}

#[test]
fn the_readme_names_every_key_of_every_table() {
    let readme = std::fs::read_to_string(golden().join("../../../../README.md")).unwrap();
    let section = readme.split("\n## Configuration\n").nth(1).unwrap().split("\n## ").next().unwrap();
    // Rows belong to the last table that was named in the first column; a kind is one of sources.
    let (mut table, mut named) = (String::new(), Vec::new());
    for cells in section.lines().map(|line| line.split('|').map(str::trim).collect::<Vec<_>>()) {
        match cells[..] {
            ["", "table", ..] => table.clear(),
            ["", first, keys, ..] => {
                if first.starts_with("`[") {
                    table = first.trim_matches('`').to_owned();
                } else if first.starts_with("kind ") {
                    table = "[source]".to_owned();
                }
                named.extend(keys.split(", ").map(|key| (table.clone(), key.trim_matches('`').to_owned())));
            }
            _ => {}
        }
    }
    let is_named = |(table, key): &(String, String)| {
        let below =
            if table.is_empty() { format!("[{key}]") } else { table.replace(']', &format!(".{key}]")) };
        named.contains(&(table.clone(), key.clone())) || named.iter().any(|(table, _)| *table == below)
    };
    let missing: Vec<_> = known_keys().into_iter().filter(|key| !is_named(key)).collect();
    assert!(missing.is_empty(), "the README does not name {missing:?}");
}

#[test]
fn an_empty_file_is_all_defaults() {
    let config = read(Path::new("/etc/gridwatch/gridwatch.toml"), "").unwrap();
    assert_eq!(config.source, None);
    assert_eq!(config.sink, Sink::Stdout);
    assert_eq!(config.dead_letters, Path::new("/etc/gridwatch/dead-letters.jsonl"));
    assert_eq!(config.engine, Engine { delivery: Delivery::AtLeastOnce, ..Engine::default() });
    assert_eq!(config.api.listen.to_string(), "127.0.0.1:8081");
    assert_eq!(config.metrics_listen.to_string(), "127.0.0.1:9249");
    assert_eq!(config.decode, DecodeSettings::default());
}

#[test]
fn values_end_up_where_they_belong() {
    let config = load(&golden().join("good/files.toml")).unwrap();
    let Some(Source::Files(files)) = &config.source else { panic!("{:?}", config.source) };
    assert_eq!(files.paths, [golden().join("good/readings.csv")]);
    assert_eq!(files.format, Format::Csv);
    assert_eq!(config.decode.id, IdSource::Fixed("feeder-1".into()));
    let time = TimeFormat::Pattern { pattern: "%Y-%m-%d %H:%M:%S".into(), zone: "Europe/Madrid".into() };
    assert_eq!(config.decode.time, time);
    let voltage =
        Mapping { name: "voltage_l1".into(), path: "V1".into(), factor: 1000.0, unit: Some("V".into()) };
    assert!(config.decode.mappings.contains(&voltage));
    assert_eq!(config.decode.quantities, Selection::Listed);
    let nominal = ("nominal_voltage".to_owned(), "27430".to_owned());
    assert_eq!(config.assets.assets.get("feeder-1"), [nominal]);
    assert!(config.assets.digest.starts_with("sha256:"));
    assert_eq!(config.engine.tick, Duration::from_secs(2));
    assert_eq!(config.sink, Sink::File(golden().join("good/anomalies.jsonl")));
    assert_eq!(config.engine.delivery, Delivery::ExactlyOnce);
}

#[test]
fn kafka_at_both_ends_and_a_bucket_between() {
    let config = load(&golden().join("good/kafka.toml")).unwrap();
    let Some(Source::Kafka(kafka)) = &config.source else { panic!("{:?}", config.source) };
    assert_eq!((kafka.topic.as_str(), kafka.group.as_str()), ("readings", "grid"));
    assert_eq!((kafka.start, kafka.on_lost), (Start::Latest, OnLost::Earliest));
    let all = kafka.all_properties().unwrap();
    assert_eq!(all["bootstrap.servers"], "kafka-1:9092,kafka-2:9092");
    assert_eq!(all["fetch.wait.max.ms"], "50");
    let secret = std::fs::read_to_string(golden().join("good/readings.csv")).unwrap();
    assert_eq!(all["sasl.password"], secret.trim_end());
    assert_eq!(config.sink, Sink::Kafka { topic: "found".into() });
    assert_eq!(config.dead_letters_topic.as_deref(), Some("dead"));
    assert_eq!(config.engine.instance.as_deref(), Some("host-7"));
    assert_eq!(config.engine.delivery, Delivery::AtLeastOnce);
    let Place::S3(s3) = &config.checkpoints.place else { panic!("{:?}", config.checkpoints) };
    assert_eq!(s3.url, "s3://grid/gridwatch");
    assert_eq!(s3.endpoint.as_deref(), Some("http://127.0.0.1:9000"));
}

#[test]
fn a_detectors_settings_are_read() {
    let text = "enabled = false\non_fault = \"halt\"\n[parameters]\nwindow = 5\nlevels = [0.1, 2]\n[limits]\nmemory_max = \"64MiB\"\n";
    let settings = read_settings(Path::new("x.toml"), text).unwrap();
    assert!(!settings.enabled);
    assert_eq!(settings.on_fault, gridwatch_core::roster::OnFault::Halt);
    assert_eq!(settings.limits.memory_bytes_max, 64 << 20);
    assert_eq!(serde_json::Value::Object(settings.parameters), json!({"window": 5, "levels": [0.1, 2]}));
}

#[test]
fn parameters_are_checked_against_the_modules_schema() {
    let schema = json!({
        "type": "object",
        "properties": {
            "threshold": {"type": "number", "minimum": 0},
            "bands": {"type": "array", "items": {"type": "object", "properties": {"low": {"type": "number"}}}},
        },
    });
    let schema = ParameterSchema::parse(&schema.to_string()).unwrap();
    let good = json!({"threshold": 2.5});
    assert_eq!(schema.check(good.as_object().unwrap()).unwrap(), r#"{"threshold":2.5}"#);

    let bad = json!({"threshold": -1, "treshold": 2, "bands": [{"low": "x"}]});
    expect![[r#"
        parameters: unknown key "treshold"; did you mean "threshold"?
        parameters.bands.0.low: "x" is not of type "number"
        parameters.threshold: -1 is less than the minimum of 0"#]]
    .assert_eq(&schema.check(bad.as_object().unwrap()).unwrap_err().to_string());

    let none = ParameterSchema::parse("").unwrap();
    assert_eq!(none.check(&Map::new()).unwrap(), "{}");
    assert!(none.check(good.as_object().unwrap()).is_err());
    assert!(matches!(ParameterSchema::parse("{"), Err(ParameterError::Schema { .. })));
}

use serde_json::Map;
