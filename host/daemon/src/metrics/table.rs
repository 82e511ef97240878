//! Every metric there is, in one table. The README's list is checked against it.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    /// Durations by class.
    Histogram,
}

impl Kind {
    #[cfg(test)]
    pub fn name(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

/// Base units; labels come from bounded sets.
#[derive(Debug, PartialEq, Eq)]
pub struct Metric {
    pub name: &'static str,
    pub kind: Kind,
    pub labels: &'static [&'static str],
    pub help: &'static str,
}

macro_rules! metrics {
    ($($constant:ident = $name:literal $kind:ident [$($label:literal),*] $help:literal;)*) => {
        $(pub const $constant: Metric = Metric {
            name: concat!("gridwatch_", $name),
            kind: Kind::$kind,
            labels: &[$($label),*],
            help: $help,
        };)*
        pub const ALL: &[&Metric] = &[$(&$constant),*];
    };
}

metrics! {
    INFO = "info" Gauge ["version"] "1; which version runs.";
    READY = "ready" Gauge [] "1 where /readyz says so, else 0.";
    READINGS = "readings_total" Counter ["lane"] "Records received.";
    JUDGED = "judged_total" Counter ["lane"] "Readings judged by every detector that is not quarantined.";
    PENDING = "pending_readings" Gauge ["lane"] "Readings in a batch that is not judged yet.";
    REPLAYED = "replayed_total" Counter ["lane"] "Readings read again in silence after a restart.";
    DEAD_LETTERS = "dead_letters_total" Counter ["reason"] "Records that are no readings, and readings that a detector fails on (poison).";
    QUANTITIES_LEFT_OUT = "quantities_left_out_total" Counter [] "Numbers beyond quantities_max that were left out of readings.";
    ANOMALIES = "anomalies_total" Counter ["detector", "kind", "severity", "phase"] "Anomalies published; of an episode one is raised, one cleared.";
    SKIPPED = "skipped_total" Counter ["detector"] "Readings that a detector did not see.";
    LANE_LAG = "lane_lag_readings" Gauge ["lane"] "Readings known to wait in the source.";
    WATERMARK_LAG = "watermark_lag_seconds" Gauge ["lane"] "Real time less the lane's watermark.";
    SENSORS = "sensors" Gauge ["lane"] "Sensors known to a lane.";
    END_TO_END = "end_to_end_seconds" Histogram [] "From the receipt of the oldest reading of a batch to the acknowledged commit that makes final what follows from it; one for each batch.";
    COMMIT = "commit_seconds" Histogram [] "Time that commits took.";
    CHECKPOINT = "checkpoint_seconds" Histogram [] "Time that checkpoints took to be stored.";
    CHECKPOINT_FAILURES = "checkpoint_failures_total" Counter [] "Checkpoints that could not be stored; the one before stays.";
    CHECKPOINT_BYTES = "checkpoint_bytes" Gauge ["lane"] "Size of the lane's last checkpoint.";
    CHECKPOINT_AGE = "checkpoint_age_seconds" Gauge ["lane"] "Time since the lane's last durable checkpoint.";
    CHECKPOINT_PAUSE = "checkpoint_pause_seconds" Gauge ["lane"] "How long the lane stood still for its last checkpoint.";
    DETECTOR_INFO = "detector_info" Gauge ["detector", "version", "digest", "mode"] "1; which detectors run.";
    DETECTOR_SECONDS = "detector_seconds_total" Counter ["detector"] "Time spent in a detector's calls.";
    DETECTOR_BATCH = "detector_batch_seconds" Histogram ["detector"] "Time that a detector took over each batch.";
    DETECTOR_READINGS = "detector_readings_total" Counter ["detector"] "Readings that a detector has seen.";
    DETECTOR_STATE = "detector_state_bytes" Gauge ["detector"] "Size of a detector's state in the last checkpoints.";
    OPEN_EPISODES = "open_episodes" Gauge ["detector"] "Episodes that a detector holds open.";
    DETECTOR_REFUSED = "detector_refused" Gauge ["detector"] "1: what lies in the directory under this name was refused.";
    DETECTOR_MEMORY = "detector_memory_bytes" Gauge ["detector"] "Linear memory of a detector's instances.";
    HIDDEN_SECONDS = "hidden_seconds_total" Counter ["detector", "role"] "Time spent in calls of instances that are not heard: warm (kept to go back to), shadow.";
    HIDDEN_MEMORY = "hidden_memory_bytes" Gauge ["detector", "role"] "Linear memory of instances that are not heard: warm (kept to go back to), shadow.";
    SHADOW_FINDINGS = "shadow_findings_total" Counter ["detector", "side"] "Findings of a shadow against those of the live one: both, only_new, only_old.";
    DETECTOR_FAULTS = "detector_faults_total" Counter ["detector", "fault"] "Faults of a detector.";
    DETECTOR_QUARANTINED = "detector_quarantined_lanes" Gauge ["detector"] "Lanes in which a detector is quarantined.";
    SCHEMAS_KNOWN = "schemas_known" Gauge [] "Schemas that records are checked by.";
    SCHEMAS_WAITING = "schemas_waiting" Gauge [] "Schemas that the registry was asked for and has not answered; their records wait.";
    REGISTRY_REQUESTS = "registry_requests_total" Counter [] "Questions to the schema registry.";
    REGISTRY_FAILURES = "registry_failures_total" Counter [] "Questions that the schema registry did not answer.";
    KAFKA_BROKERS = "kafka_brokers_up" Gauge ["client"] "Brokers that a Kafka client is connected to.";
    KAFKA_ROUND_TRIP = "kafka_round_trip_seconds" Gauge ["client"] "Mean time to an answer of the slowest broker, over 5 s.";
    KAFKA_RECEIVED = "kafka_received_bytes_total" Counter ["client"] "Bytes from the brokers.";
    KAFKA_SENT = "kafka_sent_bytes_total" Counter ["client"] "Bytes to the brokers.";
    KAFKA_FAILED = "kafka_failed_requests_total" Counter ["client"] "Requests that were not answered in time, or not sent or read.";
    KAFKA_QUEUED = "kafka_queued_messages" Gauge ["client"] "Messages fetched and not read yet, or sent and not acknowledged yet.";
    KAFKA_REBALANCES = "kafka_rebalances_total" Counter ["client"] "Rebalances of the group that this process took part in.";
    SWAPS = "swaps_total" Counter ["detector", "outcome"] "Changes of what runs, by lane: swapped, went_back, renamed, shadows, promoted, unshaded, removed, failed.";
    FOUNDRY = "foundry_steps_total" Counter ["detector", "outcome"] "Files of the detectors directory that were looked at, by what was done: proposed, removed, refused, unchanged, overtaken, rolled_back, differs; and taken_back, where a lane could not.";
    SWAP_PAUSE = "swap_pause_seconds" Histogram [] "Time that lanes stood still for changes of what runs; one for each change in a lane.";
    SWAP_PAUSE_MAX = "swap_pause_seconds_max" Gauge ["lane"] "The longest that a lane stood still for one of its last 256 changes.";
    LOG_LINES_DROPPED = "log_lines_dropped_total" Counter ["detector"] "Log lines of a detector beyond its rate.";
    HTTP_REQUESTS = "http_requests_total" Counter ["route", "status"] "Answers of the API's port, by kind of route and class of status.";
    EVENT_STREAMS = "event_streams" Gauge [] "Clients that listen to events.";
    EVENTS_SKIPPED = "events_skipped_total" Counter [] "Events that were not sent to a client because it reads too slowly.";
    SERIES_LEFT_OUT = "series_left_out" Gauge [] "Series of this page beyond the 2,000 of a metric, which are left out.";
}
