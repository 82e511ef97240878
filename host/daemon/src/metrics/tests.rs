#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;

use expect_test::expect;
use gridwatch_core::account::{Account, AnomalyLabel};
use gridwatch_core::durations::Durations;
use gridwatch_core::finding::{Phase, Severity};
use gridwatch_core::reading::Reason;
use gridwatch_engine::pipeline::OutletSnapshot;

use super::*;

fn sample() -> Sample {
    let mut account = Account { received: 12, judged: 9, pending: 2, replayed: 3, ..Account::default() };
    account.dead_letter(Reason::NotJson);
    let label = AnomalyLabel {
        detector: "limits".into(),
        kind: "undervoltage".into(),
        severity: Severity::Critical,
        phase: Phase::Raised,
    };
    account.anomalies.insert(label, 4);
    account.skipped.insert("physics".into(), 5);
    let lane = LaneSample {
        name: "0".into(),
        account,
        sensors: 7,
        lag_readings: Some(100),
        watermark_lag_seconds: Some(1.5),
        checkpoint_age_seconds: None,
        checkpoint_bytes: 512,
        checkpoint_pause_seconds: Some(0.125),
        swap_pause_seconds_max: Some(0.25),
    };
    let detector = DetectorSample {
        name: "limits".into(),
        version: "0.1.0".into(),
        digest: "sha256:ab".into(),
        mode: "live",
        seconds: 0.25,
        readings: 9,
        batch_durations: durations(),
        state_bytes: 48,
        open_episodes: 6,
        memory_bytes: 65_536,
        faults: BTreeMap::from([("trap", 1)]),
        quarantined_lanes: 1,
        log_lines_dropped: 2,
    };
    let registry = RegistrySample { known_ids: 2, waiting_ids: 1, requests: 6, failures: 3 };
    let figures = ClientFigures {
        brokers_up: 3,
        round_trip_seconds: 0.002,
        received_bytes: 100,
        sent_bytes: 200,
        failed_requests: 4,
        queued_messages: 5,
        rebalances: 6,
    };
    let kafka = vec![("consumer", figures)];
    let steps = vec![("limits".to_owned(), "proposed", 2)];
    let swaps = vec![("limits".to_owned(), "swapped", 8)];
    let hidden =
        HiddenSample { detector: "limits".into(), role: "warm", seconds: 0.25, memory_bytes: 32_768 };
    let outlet = OutletSnapshot {
        checkpoint_failures: 3,
        end_to_end: durations(),
        commit_durations: durations(),
        checkpoint_durations: durations(),
        ..OutletSnapshot::default()
    };
    let requests = BTreeMap::from([(("/api/v1/overview".to_owned(), "2xx"), 11)]);
    Sample {
        is_ready: true,
        lanes: vec![lane],
        detectors: vec![detector],
        hidden: vec![hidden],
        shadows: vec![("limits".to_owned(), Counts { both: 5, only_new: 1, only_old: 0 })],
        swaps,
        steps,
        swap_pauses: durations(),
        refused: vec!["shift".to_owned()],
        outlet,
        http: HttpSample { requests, event_streams: 2, events_skipped: 1 },
        registry: Some(registry),
        kafka,
    }
}

/// 30 ms and 2 s.
fn durations() -> Durations {
    let mut durations = Durations::default();
    durations.note_ns(30_000_000);
    durations.note_ns(2_000_000_000);
    durations
}

#[test]
fn a_histogram_is_whole() {
    let text = text(&sample());
    let of = |start: &str| text.lines().filter(|line| line.starts_with(start)).collect::<Vec<_>>();
    let buckets = of("gridwatch_commit_seconds_bucket");
    assert_eq!(buckets.len(), 21);
    assert_eq!(buckets[10], "gridwatch_commit_seconds_bucket{le=\"0.025\"} 0");
    assert_eq!(buckets[11], "gridwatch_commit_seconds_bucket{le=\"0.05\"} 1");
    assert_eq!(buckets[20], "gridwatch_commit_seconds_bucket{le=\"+Inf\"} 2");
    assert_eq!(of("gridwatch_commit_seconds_sum"), ["gridwatch_commit_seconds_sum 2.03"]);
    assert_eq!(of("gridwatch_commit_seconds_count"), ["gridwatch_commit_seconds_count 2"]);
}

#[test]
fn the_process_is_on_the_page() {
    let text = text(&sample());
    for name in ["process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds"] {
        assert!(text.contains(&format!("# HELP {name} ")) && text.contains(&format!("\n{name} ")), "{name}");
    }
}

#[test]
fn the_page_is_what_prometheus_reads() {
    let text = text(&sample());
    let is_value = |line: &&str| line.starts_with("gridwatch_") && !line.contains("_bucket{");
    let values: Vec<&str> = text.lines().filter(is_value).collect();
    expect![[r#"
        gridwatch_info{version="0.1.0"} 1
        gridwatch_ready 1
        gridwatch_readings_total{lane="0"} 12
        gridwatch_judged_total{lane="0"} 9
        gridwatch_pending_readings{lane="0"} 2
        gridwatch_replayed_total{lane="0"} 3
        gridwatch_dead_letters_total{reason="not_json"} 1
        gridwatch_quantities_left_out_total 0
        gridwatch_anomalies_total{detector="limits",kind="undervoltage",severity="critical",phase="raised"} 4
        gridwatch_skipped_total{detector="physics"} 5
        gridwatch_lane_lag_readings{lane="0"} 100
        gridwatch_watermark_lag_seconds{lane="0"} 1.5
        gridwatch_sensors{lane="0"} 7
        gridwatch_end_to_end_seconds_sum 2.03
        gridwatch_end_to_end_seconds_count 2
        gridwatch_commit_seconds_sum 2.03
        gridwatch_commit_seconds_count 2
        gridwatch_checkpoint_seconds_sum 2.03
        gridwatch_checkpoint_seconds_count 2
        gridwatch_checkpoint_failures_total 3
        gridwatch_checkpoint_bytes{lane="0"} 512
        gridwatch_checkpoint_pause_seconds{lane="0"} 0.125
        gridwatch_detector_info{detector="limits",version="0.1.0",digest="sha256:ab",mode="live"} 1
        gridwatch_detector_seconds_total{detector="limits"} 0.25
        gridwatch_detector_batch_seconds_sum{detector="limits"} 2.03
        gridwatch_detector_batch_seconds_count{detector="limits"} 2
        gridwatch_detector_readings_total{detector="limits"} 9
        gridwatch_detector_state_bytes{detector="limits"} 48
        gridwatch_open_episodes{detector="limits"} 6
        gridwatch_detector_refused{detector="shift"} 1
        gridwatch_detector_memory_bytes{detector="limits"} 65536
        gridwatch_hidden_seconds_total{detector="limits",role="warm"} 0.25
        gridwatch_hidden_memory_bytes{detector="limits",role="warm"} 32768
        gridwatch_shadow_findings_total{detector="limits",side="both"} 5
        gridwatch_shadow_findings_total{detector="limits",side="only_new"} 1
        gridwatch_shadow_findings_total{detector="limits",side="only_old"} 0
        gridwatch_detector_faults_total{detector="limits",fault="trap"} 1
        gridwatch_detector_quarantined_lanes{detector="limits"} 1
        gridwatch_schemas_known 2
        gridwatch_schemas_waiting 1
        gridwatch_registry_requests_total 6
        gridwatch_registry_failures_total 3
        gridwatch_kafka_brokers_up{client="consumer"} 3
        gridwatch_kafka_round_trip_seconds{client="consumer"} 0.002
        gridwatch_kafka_received_bytes_total{client="consumer"} 100
        gridwatch_kafka_sent_bytes_total{client="consumer"} 200
        gridwatch_kafka_failed_requests_total{client="consumer"} 4
        gridwatch_kafka_queued_messages{client="consumer"} 5
        gridwatch_kafka_rebalances_total{client="consumer"} 6
        gridwatch_swaps_total{detector="limits",outcome="swapped"} 8
        gridwatch_foundry_steps_total{detector="limits",outcome="proposed"} 2
        gridwatch_swap_pause_seconds_sum 2.03
        gridwatch_swap_pause_seconds_count 2
        gridwatch_swap_pause_seconds_max{lane="0"} 0.25
        gridwatch_log_lines_dropped_total{detector="limits"} 2
        gridwatch_http_requests_total{route="/api/v1/overview",status="2xx"} 11
        gridwatch_event_streams 2
        gridwatch_events_skipped_total 1
        gridwatch_series_left_out 0"#]]
    .assert_eq(&values.join("\n"));
}

#[test]
fn the_readmes_list_of_metrics_is_the_table() {
    let rows: Vec<String> = table::ALL
        .iter()
        .map(|metric| {
            let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
            format!(
                "| `{}` | {} | {} | {} |",
                metric.name,
                metric.kind.name(),
                labels.join(", "),
                metric.help
            )
        })
        .collect();
    let readme = include_str!("../../../../README.md");
    let listed: Vec<&str> = readme.lines().filter(|line| line.starts_with("| `gridwatch_")).collect();
    assert_eq!(listed, rows, "README's rows should be:\n{}", rows.join("\n"));
}

#[test]
fn series_of_one_metric_are_limited() {
    let mut page = Page::default();
    for lane in 0..10_000 {
        page.add(&table::READINGS, &[&lane.to_string()], 1.0);
    }
    let text = page.text();
    assert_eq!(text.lines().filter(|line| line.starts_with("gridwatch_readings_total{")).count(), 2_000);
    assert!(text.contains("gridwatch_series_left_out 8000\n"), "it is told");
}
