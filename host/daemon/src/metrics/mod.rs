//! `/metrics`: one typed table, filled from a sample of the pipeline when Prometheus asks.

mod page;
mod process;
mod sample;
mod table;

#[cfg(test)]
mod tests;

pub use sample::{DetectorSample, HiddenSample, HttpSample, LaneSample, RegistrySample, Sample};

use gridwatch_connectors::kafka::ClientFigures;
use gridwatch_core::reading::Reason;
use gridwatch_engine::lane::Counts;
use page::Page;

/// The page for a sample.
pub fn text(sample: &Sample) -> String {
    let mut page = Page::default();
    page.add(&table::INFO, &[env!("CARGO_PKG_VERSION")], 1.0);
    page.add(&table::READY, &[], f64::from(u8::from(sample.is_ready)));
    for lane in &sample.lanes {
        add_lane(&mut page, lane);
    }
    add_account(&mut page, sample);
    for detector in &sample.detectors {
        add_detector(&mut page, detector);
    }
    for name in &sample.refused {
        page.add(&table::DETECTOR_REFUSED, &[name], 1.0);
    }
    for HiddenSample { detector, role, seconds, memory_bytes } in &sample.hidden {
        page.add(&table::HIDDEN_SECONDS, &[detector, role], *seconds);
        page.add(&table::HIDDEN_MEMORY, &[detector, role], *memory_bytes as f64);
    }
    for (detector, Counts { both, only_new, only_old }) in &sample.shadows {
        for (side, count) in [("both", both), ("only_new", only_new), ("only_old", only_old)] {
            page.add(&table::SHADOW_FINDINGS, &[detector, side], *count as f64);
        }
    }
    for (detector, outcome, count) in &sample.swaps {
        page.add(&table::SWAPS, &[detector, outcome], *count as f64);
    }
    for (detector, outcome, count) in &sample.steps {
        page.add(&table::FOUNDRY, &[detector, outcome], *count as f64);
    }
    page.add_durations(&table::SWAP_PAUSE, &[], &sample.swap_pauses);
    add_outlet(&mut page, sample);
    add_http(&mut page, &sample.http);
    if let Some(registry) = &sample.registry {
        page.add(&table::SCHEMAS_KNOWN, &[], registry.known_ids as f64);
        page.add(&table::SCHEMAS_WAITING, &[], registry.waiting_ids as f64);
        page.add(&table::REGISTRY_REQUESTS, &[], registry.requests as f64);
        page.add(&table::REGISTRY_FAILURES, &[], registry.failures as f64);
    }
    for (client, figures) in &sample.kafka {
        add_client(&mut page, client, figures);
    }
    page.text()
}

fn add_outlet(page: &mut Page, sample: &Sample) {
    let outlet = &sample.outlet;
    page.add_durations(&table::END_TO_END, &[], &outlet.end_to_end);
    page.add_durations(&table::COMMIT, &[], &outlet.commit_durations);
    page.add_durations(&table::CHECKPOINT, &[], &outlet.checkpoint_durations);
    page.add(&table::CHECKPOINT_FAILURES, &[], outlet.checkpoint_failures as f64);
}

fn add_http(page: &mut Page, http: &HttpSample) {
    for ((route, status), count) in &http.requests {
        page.add(&table::HTTP_REQUESTS, &[route, status], *count as f64);
    }
    page.add(&table::EVENT_STREAMS, &[], http.event_streams as f64);
    page.add(&table::EVENTS_SKIPPED, &[], http.events_skipped as f64);
}

fn add_client(page: &mut Page, client: &str, figures: &ClientFigures) {
    page.add(&table::KAFKA_BROKERS, &[client], figures.brokers_up as f64);
    page.add(&table::KAFKA_ROUND_TRIP, &[client], figures.round_trip_seconds);
    page.add(&table::KAFKA_RECEIVED, &[client], figures.received_bytes as f64);
    page.add(&table::KAFKA_SENT, &[client], figures.sent_bytes as f64);
    page.add(&table::KAFKA_FAILED, &[client], figures.failed_requests as f64);
    page.add(&table::KAFKA_QUEUED, &[client], figures.queued_messages as f64);
    page.add(&table::KAFKA_REBALANCES, &[client], figures.rebalances as f64);
}

fn add_lane(page: &mut Page, lane: &LaneSample) {
    let name = [lane.name.as_str()];
    page.add(&table::READINGS, &name, lane.account.received as f64);
    page.add(&table::JUDGED, &name, lane.account.judged as f64);
    page.add(&table::PENDING, &name, lane.account.pending as f64);
    page.add(&table::REPLAYED, &name, lane.account.replayed as f64);
    page.add(&table::SENSORS, &name, lane.sensors as f64);
    page.add(&table::CHECKPOINT_BYTES, &name, lane.checkpoint_bytes as f64);
    let known = [
        (&table::LANE_LAG, lane.lag_readings.map(|lag| lag as f64)),
        (&table::WATERMARK_LAG, lane.watermark_lag_seconds),
        (&table::CHECKPOINT_AGE, lane.checkpoint_age_seconds),
        (&table::CHECKPOINT_PAUSE, lane.checkpoint_pause_seconds),
        (&table::SWAP_PAUSE_MAX, lane.swap_pause_seconds_max),
    ];
    for (metric, value) in known {
        if let Some(value) = value {
            page.add(metric, &name, value);
        }
    }
}

fn add_account(page: &mut Page, sample: &Sample) {
    let account = sample.account();
    for (reason, count) in &account.dead_letters {
        page.add(&table::DEAD_LETTERS, &[reason], *count as f64);
    }
    if account.poison > 0 {
        page.add(&table::DEAD_LETTERS, &[Reason::Poison.name()], account.poison as f64);
    }
    page.add(&table::QUANTITIES_LEFT_OUT, &[], account.quantities_left_out as f64);
    for (label, count) in &account.anomalies {
        let labels = [label.detector.as_str(), &label.kind, label.severity.name(), label.phase.name()];
        page.add(&table::ANOMALIES, &labels, *count as f64);
    }
    for (detector, count) in &account.skipped {
        page.add(&table::SKIPPED, &[detector], *count as f64);
    }
}

fn add_detector(page: &mut Page, detector: &DetectorSample) {
    let name = detector.name.as_str();
    page.add(&table::DETECTOR_INFO, &[name, &detector.version, &detector.digest, detector.mode], 1.0);
    page.add(&table::DETECTOR_SECONDS, &[name], detector.seconds);
    page.add(&table::DETECTOR_READINGS, &[name], detector.readings as f64);
    page.add_durations(&table::DETECTOR_BATCH, &[name], &detector.batch_durations);
    page.add(&table::DETECTOR_STATE, &[name], detector.state_bytes as f64);
    page.add(&table::OPEN_EPISODES, &[name], detector.open_episodes as f64);
    page.add(&table::DETECTOR_MEMORY, &[name], detector.memory_bytes as f64);
    page.add(&table::DETECTOR_QUARANTINED, &[name], detector.quarantined_lanes as f64);
    page.add(&table::LOG_LINES_DROPPED, &[name], detector.log_lines_dropped as f64);
    for (fault, count) in &detector.faults {
        page.add(&table::DETECTOR_FAULTS, &[name, fault], *count as f64);
    }
}
