//! What the examples promise, on the real readings.

use std::process::Command;

use gridwatch_tests::bench::root;
use gridwatch_tests::house::{House, errors, gridwatch};
use serde_json::Value;

use crate::live::{Live, following};

/// The anomalies of `gridwatch replay` with an example's configuration, or a copy of it.
fn replay(config: &std::path::Path) -> Vec<Value> {
    let output =
        gridwatch().arg("replay").arg("-c").arg(config).arg("--json").current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{}", errors(&output));
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn between<'a>(anomalies: &'a [Value], start: &'a str, end: &'a str) -> impl Iterator<Item = &'a Value> {
    anomalies.iter().filter(move |anomaly| (start..end).contains(&anomaly["timestamp"].as_str().unwrap()))
}

fn is(anomaly: &Value, phase: &str, severity: &str) -> bool {
    anomaly["phase"] == phase && anomaly["severity"] == severity
}

#[test]
fn the_blackout_is_seen_before_it_is_dark() {
    let anomalies = replay(&root().join("examples/blackout/gridwatch.toml"));
    let first = anomalies.iter().find(|a| a["severity"] == "critical").unwrap();
    assert!(first["timestamp"].as_str().unwrap() <= "2025-04-28T10:33:16.000Z", "{first}");

    let hour: Vec<&Value> = between(&anomalies, "2025-04-28T09:30:00", "2025-04-28T10:30:00").collect();
    assert!(hour.iter().all(|a| a["severity"] != "critical"), "{hour:#?}");
    let raised: Vec<&str> = hour
        .iter()
        .filter(|a| is(a, "raised", "warning") || is(a, "single", "warning"))
        .map(|a| a["timestamp"].as_str().unwrap())
        .collect();
    // Both oscillations of the European grid, each within a minute of its start.
    for (start, latest) in [("10:02:30", "10:04:16.000Z"), ("10:17:00", "10:19:00.000Z")] {
        let window = format!("2025-04-28T{start}")..=format!("2025-04-28T{latest}");
        assert!(raised.iter().any(|time| window.contains(&(*time).to_owned())), "{window:?}: {raised:?}");
    }
    let apart = raised.iter().filter(|time| {
        let inside = |start: &str, end: &str| (start..=end).contains(&&time[11..16]);
        !inside("10:03", "10:10") && !inside("10:15", "10:26")
    });
    assert!(apart.count() <= 2, "{raised:?}");
    let cleared = hour.iter().filter(|a| a["phase"] == "cleared").count();
    assert!(cleared >= 2, "the oscillations' episodes are cleared: {hour:#?}");
}

#[test]
fn a_file_cut_anywhere_gives_the_anomalies_up_to_there() {
    let whole = replay(&root().join("examples/blackout/gridwatch.toml"));
    let config = std::fs::read_to_string(root().join("examples/blackout/gridwatch.toml")).unwrap();
    let data =
        std::fs::read_to_string(root().join("examples/blackout/toledo_blackout_2025-04-28.csv")).unwrap();
    let house = House::with(&["limits", "physics", "shift", "vitals"]);
    house.write("gridwatch.toml", config.replace("../../detectors", "detectors"));
    for rows in [1, 700, 1_900, 2_797, 2_800, 2_812, 3_300] {
        let cut: String = data.lines().take(rows + 1).map(|line| format!("{line}\n")).collect();
        let end = cut.len() as u64;
        house.write("toledo_blackout_2025-04-28.csv", cut);
        let seen = replay(&house.path("gridwatch.toml"));
        let up_to: Vec<&Value> =
            whole.iter().filter(|anomaly| anomaly["source"]["offset"].as_u64().unwrap() < end).collect();
        assert_eq!(seen.iter().collect::<Vec<_>>(), up_to, "cut after {rows} rows");
    }
}

#[test]
fn the_transformer_is_left_in_peace() {
    let anomalies = replay(&root().join("examples/transformer/gridwatch.toml"));
    let mut months: std::collections::BTreeMap<&str, u32> = Default::default();
    for anomaly in &anomalies {
        let loud = anomaly["severity"] == "warning" || anomaly["severity"] == "critical";
        if loud && (anomaly["phase"] == "raised" || anomaly["phase"] == "single") {
            *months.entry(&anomaly["timestamp"].as_str().unwrap()[..7]).or_default() += 1;
        }
    }
    assert!(!months.is_empty(), "three real ones are explained in its README");
    assert!(months.values().all(|&count| count <= 1), "{months:?}");
}

/// One rule, as it comes from anywhere, built as the examples' READMEs say: by cargo, by cargo-component for two
/// targets, by gridwatch's own script, and by a C compiler.
const BUILT: [&str; 5] = [
    "first-detector",
    "first-detector-plain",
    "first-detector-component",
    "first-detector-wasi",
    "c-detector",
];

#[test]
fn a_first_detector_goes_live_and_judges_wherever_it_comes_from() {
    let source = std::fs::read_to_string(root().join("examples/first-detector/src/lib.rs")).unwrap();
    assert!(source.lines().filter(|line| !line.trim().is_empty()).count() <= 20, "it is no longer short");
    let file = |name: &str| root().join("target/examples").join(name).with_extension("wasm");
    let toml = "[parameters]\njump_max_v = 5.0\n";
    let volts = |minute: u32, volts: f64| {
        format!(
            "{{\"sensor_id\":\"m\",\"timestamp\":\"2026-01-05T00:{minute:02}:00Z\",\"voltage\":{volts}}}\n"
        )
    };
    let readings = [volts(0, 230.0), volts(1, 231.0), volts(2, 237.5)].concat();

    let house = following(&["limits"]);
    let live = Live::start(&house);
    for name in BUILT {
        house.detector(name, &file(name), toml);
    }
    live.until(" swapped ", BUILT.len());
    live.feed(&readings);
    live.stop();
    for name in BUILT {
        let said = house.anomalies_of(name);
        let found: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(found.len(), 1, "{name}: {said}");
        assert_eq!((&found[0]["kind"], found[0]["value"].as_f64()), (&"step".into(), Some(237.5)), "{name}");
    }
    let shown = house.output(&["detectors", "--dir", "detectors"]);
    assert!(shown.status.success(), "{}", errors(&shown));
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(BUILT.iter().all(|name| shown.contains(name)), "{shown}");

    // On history, before it is deployed.
    house.write("history.jsonl", readings);
    std::fs::write(house.path("tried.toml"), toml).unwrap();
    std::fs::copy(file("c-detector"), house.path("tried.wasm")).unwrap();
    let replayed = house.output(&["replay", "history.jsonl", "--detector", "tried.wasm"]);
    assert!(replayed.status.success(), "{}", errors(&replayed));
    assert_eq!(String::from_utf8_lossy(&replayed.stdout).lines().count(), 1);
}

/// Built with `-g`, which divides by zero where the test run has built it to.
#[test]
fn a_refusal_names_the_line_of_the_authors_source() {
    let source = std::fs::read_to_string(root().join("tests/hostile/flawed.c")).unwrap();
    let line = 1 + source.lines().position(|line| line.contains("/ zero")).unwrap();
    let house = House::with(&[]);
    house.detector("flawed", &root().join("target/examples/flawed.wasm"), "");
    let shown = house.output(&["detectors", "--dir", "detectors"]);
    assert_eq!(shown.status.code(), Some(1), "{}", errors(&shown));
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("flawed (") && shown.contains(&format!("flawed.c:{line})")), "{shown}");
    assert!(shown.contains("observe"), "{shown}");
}

#[test]
fn the_demo_finds_what_is_injected() {
    let house = House::with(&["limits", "physics", "shift", "vitals"]);
    let mut command: Command = house.command(&["demo", "--seed", "77", "--duration", "10s", "--json"]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", errors(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["account"]["adds_up"], true, "{report}");
    assert!(!house.path(".gridwatch").exists(), "its folder is left behind");
}
