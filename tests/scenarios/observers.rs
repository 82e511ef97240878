//! Prometheus's rules and Grafana's boards are what their own tools say they are; and in the whole stack, every target
//! is up and every query has data.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Output, Stdio};

use gridwatch_tests::bench::root;
use gridwatch_tests::house::House;
use gridwatch_tests::servers::{free_port, http, installed};
use gridwatch_tests::stack::parts::Stack;
use gridwatch_tests::stack::{boards, check, read};

fn run(command: &mut Command) -> Output {
    command.current_dir(root().join("compose")).output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn promtool_takes_configuration_and_rules_and_each_alert_comes_and_goes() {
    for arguments in [
        ["check", "config", "prometheus/prometheus.yml"],
        ["check", "rules", "prometheus/rules/alerts.yml"],
        ["check", "rules", "prometheus/rules/recording.yml"],
        ["test", "rules", "prometheus/tests/alerts.yml"],
    ] {
        let output = run(Command::new("promtool").args(arguments));
        assert!(output.status.success(), "{arguments:?}: {}", said(&output));
    }
}

#[test]
fn each_alert_is_tried_and_says_what_to_do() {
    let rules: serde_yaml_ng::Value = serde_yaml_ng::from_str(&read("prometheus/rules/alerts.yml")).unwrap();
    let tests = read("prometheus/tests/alerts.yml");
    let mut names = BTreeSet::new();
    for rule in rules["groups"][0]["rules"].as_sequence().unwrap() {
        let name = rule["alert"].as_str().unwrap();
        assert!(names.insert(name.to_owned()), "{name} twice");
        for word in ["summary", "description", "what_to_do"] {
            let text = rule["annotations"][word].as_str().unwrap_or_default();
            assert!(text.len() > 15, "{name}: {word}");
        }
        assert!(["warning", "critical"].contains(&rule["labels"]["severity"].as_str().unwrap()), "{name}");
        let fires = tests.contains(&format!("ALERTS{{alertname=\"{name}\",alertstate=\"firing\","));
        assert!(fires, "{name} is not seen to fire in any test");
    }
    // Before and after: each test of alerts has at least two moments without one.
    for test in tests.split("  - name: ").skip(1) {
        assert!(test.matches("exp_samples: []").count() >= 2, "{}", test.lines().next().unwrap());
    }
}

#[test]
fn boards_are_grafanas_by_its_own_model_and_say_what_they_show() {
    let checker = installed("board-check/bin/board-check").unwrap();
    let output = run(Command::new(&checker).args(boards::files()));
    assert!(output.status.success(), "{}", said(&output));
    // It would notice.
    let mut wrong = tempfile::NamedTempFile::new().unwrap();
    let board = std::fs::read_to_string(&boards::files()[0]).unwrap();
    wrong.write_all(board.replacen("\"unit\"", "\"unti\"", 1).as_bytes()).unwrap();
    let output = run(Command::new(&checker).arg(wrong.path()));
    assert!(!output.status.success() && said(&output).contains("unti"), "{}", said(&output));

    let source = read("grafana/provisioning/datasources/prometheus.yml");
    let mut uids = BTreeSet::new();
    for file in boards::files() {
        let board = boards::read(&file);
        let uid = board["uid"].as_str().unwrap();
        assert!(uids.insert(uid.to_owned()) && uid.starts_with("gridwatch-"), "{uid}");
        assert!(!board["templating"]["list"].as_array().unwrap().is_empty(), "{uid} has no variables");
        assert!(!board["links"].as_array().unwrap().is_empty(), "{uid} leads nowhere");
        let mut ids = BTreeSet::new();
        for panel in boards::panels(&board) {
            let title = panel["title"].as_str().unwrap();
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{uid}: {title}: its id");
            if panel["type"] == "row" {
                continue;
            }
            assert!(
                panel["description"].as_str().is_some_and(|text| text.len() > 8),
                "{uid}: {title}: description"
            );
            let has_unit = panel["fieldConfig"]["defaults"]["unit"].is_string() || panel["type"] == "table";
            assert!(has_unit, "{uid}: {title}: unit");
            assert!(panel["fieldConfig"]["defaults"]["thresholds"].is_object(), "{uid}: {title}: thresholds");
            for target in panel["targets"].as_array().unwrap() {
                let uid = target["datasource"]["uid"].as_str().unwrap();
                assert!(source.contains(&format!("uid: {uid}\n")), "{title}: no data source {uid}");
                let has_legend = target["legendFormat"].as_str().is_some_and(|text| !text.is_empty());
                assert!(has_legend || panel["type"] == "table", "{title}: legend");
            }
        }
    }
    assert_eq!(uids.len(), 3);
}

/// What rules and boards ask for is what the README lists: a metric that is renamed fails here at once.
#[test]
fn rules_and_boards_ask_for_metrics_that_there_are() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let recorded = read("prometheus/rules/recording.yml");
    let mut texts = vec![recorded.clone(), read("prometheus/rules/alerts.yml")];
    texts.extend(boards::files().iter().map(|file| std::fs::read_to_string(file).unwrap()));
    let mut asked = 0;
    for text in texts {
        for word in text.split(|c: char| !(c.is_ascii_alphanumeric() || "_:".contains(c))) {
            let is_recorded = word.contains(":gridwatch_") || word.contains(":kafka_");
            if is_recorded {
                assert!(recorded.contains(&format!("record: {word}\n")), "{word} is not recorded");
            } else if word.starts_with("gridwatch_") {
                let name = word.strip_suffix("_bucket").unwrap_or(word);
                assert!(readme.contains(&format!("| `{name}` |")), "{word} is no metric of the README");
                asked += 1;
            }
        }
    }
    assert!(asked > 50, "only {asked} metrics found");
}

fn complaints(page: &str) -> String {
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = promtool.spawn().unwrap();
    child.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = said(&output);
    if output.status.success() { said } else { format!("{}: {said}", output.status) }
}

#[test]
fn prometheus_has_no_complaint_about_the_page_while_simulated_readings_run() {
    let house = House::with(&["limits", "vitals"]);
    house.configure("kind = \"simulator\"\nspeed = 36000.0", "");
    let port = free_port().unwrap();
    let config = house
        .text("gridwatch.toml")
        .replace("[metrics]\nlisten = \"127.0.0.1:0\"", &format!("[metrics]\nlisten = \"127.0.0.1:{port}\""));
    house.write("gridwatch.toml", config);
    let mut child = house.spawn();
    let page = (0..3000).find_map(|_| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        let page = http::request(port, "GET", "/metrics", "").ok()?.1;
        page.contains("gridwatch_anomalies_total{").then_some(page)
    });
    child.kill().unwrap();
    child.wait().unwrap();
    let page = page.expect("a page with anomalies within half a minute");
    assert_eq!(complaints(&page), "");
}

/// The whole, from the files that containers run.
#[test]
fn in_the_stack_every_target_is_up_and_every_query_has_data() {
    let stack = Stack::start().unwrap_or_else(|failure| panic!("{failure}"));
    let report = check::check(&stack).unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(report.by_source.len(), 4, "{report:?}");
    assert!(report.by_source.values().sum::<usize>() > 80, "{report:?}");
    for worker in stack.places.workers {
        let page = http::request(worker.metrics, "GET", "/metrics", "").unwrap().1;
        assert_eq!(complaints(&page), "", "{}", worker.name);
    }
    let exported = http::request(stack.places.exporter, "GET", "/metrics", "").unwrap().1;
    assert_eq!(complaints(&exported), "");
}
