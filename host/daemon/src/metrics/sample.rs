//! What a running pipeline shows of itself, as plain numbers.

use std::collections::BTreeMap;

use gridwatch_connectors::kafka::ClientFigures;
use gridwatch_core::account::Account;
use gridwatch_core::durations::Durations;
use gridwatch_engine::lane::Counts;
use gridwatch_engine::pipeline::OutletSnapshot;

#[derive(Debug, Clone, Default)]
pub struct Sample {
    pub is_ready: bool,
    pub lanes: Vec<LaneSample>,
    pub detectors: Vec<DetectorSample>,
    /// Those that are not heard.
    pub hidden: Vec<HiddenSample>,
    /// Detector, findings of its shadow against its own.
    pub shadows: Vec<(String, Counts)>,
    /// Detector, what became of a change, how often.
    pub swaps: Vec<(String, &'static str, u64)>,
    /// Detector, what was done about its file, how often.
    pub steps: Vec<(String, &'static str, u64)>,
    pub swap_pauses: Durations,
    /// Names in the directory whose files may not run.
    pub refused: Vec<String>,
    pub outlet: OutletSnapshot,
    pub http: HttpSample,
    /// Where there is one.
    pub registry: Option<RegistrySample>,
    /// By client; empty where the source is no topic.
    pub kafka: Vec<(&'static str, ClientFigures)>,
}

#[derive(Debug, Clone, Copy, Default)]
pub struct RegistrySample {
    pub known_ids: u64,
    /// Records of these are held back.
    pub waiting_ids: u64,
    pub requests: u64,
    pub failures: u64,
}

/// What was asked of the API's port.
#[derive(Debug, Clone, Default)]
pub struct HttpSample {
    /// By kind of route and class of status (`2xx`).
    pub requests: BTreeMap<(String, &'static str), u64>,
    pub event_streams: u64,
    pub events_skipped: u64,
}

#[derive(Debug, Clone, Default)]
pub struct LaneSample {
    pub name: String,
    pub account: Account,
    pub sensors: u64,
    /// Where the source can tell.
    pub lag_readings: Option<u64>,
    /// `None` before the first reading.
    pub watermark_lag_seconds: Option<f64>,
    /// `None` before the first checkpoint.
    pub checkpoint_age_seconds: Option<f64>,
    /// 0 before it.
    pub checkpoint_bytes: u64,
    /// `None` before the first checkpoint.
    pub checkpoint_pause_seconds: Option<f64>,
    /// `None` before the first swap.
    pub swap_pause_seconds_max: Option<f64>,
}

/// A detector, over all lanes.
#[derive(Debug, Clone, Default)]
pub struct DetectorSample {
    pub name: String,
    pub version: String,
    pub digest: String,
    pub mode: &'static str,
    pub seconds: f64,
    pub readings: u64,
    pub batch_durations: Durations,
    pub memory_bytes: u64,
    pub state_bytes: u64,
    pub open_episodes: u64,
    /// `Fault::label` -> count.
    pub faults: BTreeMap<&'static str, u64>,
    pub quarantined_lanes: u64,
    pub log_lines_dropped: u64,
}

/// What those cost that play one role for a detector, over all lanes.
#[derive(Debug, Clone, Default)]
pub struct HiddenSample {
    pub detector: String,
    pub role: &'static str,
    pub seconds: f64,
    pub memory_bytes: u64,
}

impl Sample {
    /// The account over all lanes.
    pub fn account(&self) -> Account {
        let mut sum = Account::default();
        for lane in &self.lanes {
            sum.add(&lane.account);
        }
        sum
    }
}
