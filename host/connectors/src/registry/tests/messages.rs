//! The schemas in the repository against what is really sent.

use gridwatch_core::anomaly::{Anomaly, EpisodeKey, Ordinal, Origin, PublicSubject};
use gridwatch_core::finding::{Phase, Severity};
use gridwatch_core::schema::{ANOMALY, READING, Schema};
use gridwatch_core::sensors::Attributes;
use serde_json::{Value, json};

use super::super::{Compiled, Definition};
use crate::simulator::{Scenario, Simulation, World};

fn compiled(text: &str) -> Compiled {
    Compiled::new(&Definition { text: text.to_owned(), references: Default::default() }).unwrap()
}

/// Calls `check` with every mixture of phases, severities, subjects, origins, and of what may be absent.
fn all_anomalies(mut check: impl FnMut(&[u8])) {
    let attributes: Attributes = vec![("location".into(), "feeder-07".into())];
    let none = Attributes::new();
    let details = [("window".to_owned(), "10 min".to_owned())];
    let digest = format!("sha256:{}", "0123456789abcdef".repeat(4));
    let subjects = [PublicSubject::Sensor("m".into()), PublicSubject::Group("feeder-07".into())];
    let origins = [
        Origin::Topic { topic: "sensor-readings".into(), partition: 3 },
        Origin::File { file: "a.csv".into() },
        Origin::Simulator { simulator: "seed 1".into() },
    ];
    let phases = [Phase::Raised, Phase::Updated, Phase::Cleared, Phase::Single];
    let severities = [Severity::Info, Severity::Warning, Severity::Critical];
    for case in 0..phases.len() * severities.len() * subjects.len() * origins.len() * 2 {
        let (phase, rest) = (phases[case % 4], case / 4);
        let (severity, rest) = (severities[rest % 3], rest / 3);
        let (subject, rest) = (&subjects[rest % 2], rest / 2);
        let (origin, full) = (&origins[rest % 3], rest / 3 == 0);
        let number = |number: f64| full.then_some(number);
        let quantity = full.then(|| "voltage".to_owned());
        let key = EpisodeKey { subject: subject.clone(), quantity, kind: "undervoltage".into() };
        let anomaly = Anomaly {
            detector: "limits",
            detector_version: "1.2.0",
            detector_digest: &digest,
            lane: "0",
            key: &key,
            phase,
            severity,
            score: if full { 1.0 } else { 0.0 },
            timestamp: if full { i64::MAX } else { 0 },
            since: 0,
            value: number(-1e308),
            expected: number(0.0),
            lower: number(f64::NAN),
            upper: number(1e-308),
            explanation: full.then_some(""),
            details: if full { &details } else { &[] },
            attributes: if full { &attributes } else { &none },
            origin,
            position: if full { u64::MAX } else { 0 },
            ordinal: Ordinal::default(),
        };
        check(&anomaly.to_json());
    }
}

#[test]
fn every_anomaly_that_is_written_fits_its_schema() {
    let schema = compiled(ANOMALY);
    let mut seen = 0;
    all_anomalies(|anomaly| {
        assert_eq!(schema.violation(anomaly), None, "{}", String::from_utf8_lossy(anomaly));
        seen += 1;
    });
    assert_eq!(seen, 144);
}

#[test]
fn the_anomaly_schema_lists_every_member_and_refuses_others() {
    let schema = compiled(ANOMALY);
    let listed: Value = serde_json::from_str(ANOMALY).unwrap();
    let mut written = std::collections::BTreeSet::new();
    all_anomalies(|anomaly| {
        let anomaly: Value = serde_json::from_slice(anomaly).unwrap();
        written.extend(anomaly.as_object().unwrap().keys().cloned());
        for change in [
            json!({"phase": "begun"}),
            json!({"score": 1.1}),
            json!({"timestamp": "2026-01-01"}),
            json!({"id": "1"}),
            json!({"source": {"topic": "a"}}),
            json!({"attributes": {"a": 1}}),
            json!({"more": 1}),
            json!({"sensor_id": "m", "group": "g"}),
        ] {
            let mut changed = anomaly.clone();
            changed.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            assert!(schema.violation(changed.to_string().as_bytes()).is_some(), "{change}");
        }
    });
    let listed: std::collections::BTreeSet<_> =
        listed["properties"].as_object().unwrap().keys().cloned().collect();
    // Of the numbers one is never finite above, so it is never written.
    assert_eq!(&listed - &written, ["lower".to_owned()].into());
    assert!(written.is_subset(&listed));
}

#[test]
fn every_simulated_reading_fits_its_schema() {
    let schema = compiled(READING);
    let world = World::new(Scenario { days: 2.0, faults_per_kind: 3, ..Scenario::default() }).unwrap();
    let mut simulation = Simulation::lane(world, 0, 1).unwrap();
    let (mut readings, mut line) = (0, Vec::new());
    while let Some(reading) = simulation.next() {
        line.clear();
        simulation.write_json(&reading, &mut line);
        assert_eq!(schema.violation(&line), None, "{}", String::from_utf8_lossy(&line));
        readings += 1;
        if readings == 30_000 {
            break;
        }
    }
    assert_eq!(readings, 30_000);
}

#[test]
fn the_reading_schema_takes_what_the_decoder_takes() {
    let schema = compiled(READING);
    let base = json!({"sensor_id": "m", "timestamp": "2026-01-01T00:00:00+02:00", "voltage": 230.1});
    let with = |change: &Value| {
        let mut reading = base.clone();
        reading.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        reading.to_string()
    };
    for good in [
        json!({}),
        json!({"voltage": null}),
        json!({"humidity": 4, "wind": null, "site": "a", "tampered": false}),
        json!({"sensor_id": 17}),
        json!({"timestamp": 1767225600123_i64}),
        json!({"timestamp": 1767225600.5}),
        json!({"location": null}),
    ] {
        assert_eq!(schema.violation(with(&good).as_bytes()), None, "{good}");
    }
    for (bad, path) in [
        (json!({"sensor_id": ""}), "/sensor_id"),
        (json!({"sensor_id": null}), "/sensor_id"),
        (json!({"timestamp": null}), "/timestamp"),
        (json!({"voltage": "230"}), "/voltage"),
        (json!({"location": 7}), "/location"),
        (json!({"nested": {}}), "/nested"),
    ] {
        let violation = schema.violation(with(&bad).as_bytes()).unwrap();
        assert!(violation.starts_with(path), "{violation}");
    }
    for missing in ["sensor_id", "timestamp"] {
        let mut reading = base.clone();
        reading.as_object_mut().unwrap().remove(missing);
        assert!(schema.violation(reading.to_string().as_bytes()).unwrap().contains(missing));
    }
}
