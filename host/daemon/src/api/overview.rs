//! What somebody sees first: how much goes through, how far behind, what is wrong.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use gridwatch_core::finding::Severity;
use gridwatch_core::sink::Delivery;
use gridwatch_core::time::rfc3339;
use gridwatch_engine::pipeline::Snapshot;
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::seen::{Timeline, now_ms};
use crate::http::State as Condition;
use crate::wiring;

/// The process as a whole.
#[derive(Debug, Serialize, ToSchema)]
pub struct Overview {
    pub version: &'static str,
    /// Its name in the group.
    pub instance: String,
    /// Where readings come from, in words.
    pub source: String,
    /// `exactly-once` or `at-least-once`.
    pub delivery: &'static str,
    pub started_at: String,
    pub now: String,
    pub state: ProcessState,
    pub ready: bool,
    pub not_ready: Vec<NotReady>,
    /// Records received since the start.
    pub readings_total: u64,
    pub readings_per_second: f64,
    /// Known to wait in the source; null where that cannot be told.
    pub lag_readings: Option<u64>,
    /// Of the lane that is furthest behind.
    pub watermark: Option<String>,
    pub dead_letters_total: u64,
    pub anomalies_total: u64,
    pub open_episodes: OpenBySeverity,
    pub lanes: usize,
    pub sensors: usize,
    pub timeline: Timeline,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProcessState {
    Starting,
    Running,
    Draining,
}

/// What is missing until it is ready.
#[derive(Debug, Serialize, ToSchema)]
pub struct NotReady {
    pub part: &'static str,
    pub why: String,
}

#[derive(Debug, Clone, Copy, Default, Serialize, ToSchema)]
pub struct OpenBySeverity {
    pub info: u64,
    pub warning: u64,
    pub critical: u64,
}

impl OpenBySeverity {
    fn of(counts: &BTreeMap<Severity, u64>) -> Self {
        let of = |severity| counts.get(&severity).copied().unwrap_or(0);
        OpenBySeverity {
            info: of(Severity::Info),
            warning: of(Severity::Warning),
            critical: of(Severity::Critical),
        }
    }
}

/// The process as a whole: what comes in, how far behind it is, what is open, and anomalies over the last hour.
#[utoipa::path(get, path = "/overview", tag = "pipeline", responses((status = 200, body = Overview)))]
pub async fn overview(State(api): State<Api>) -> Json<Overview> {
    Json(of(&api).await)
}

pub async fn of(api: &Api) -> Overview {
    let snapshot = api.running.snapshot();
    let open = super::ask::open_episodes(&api.running, &api.open).await;
    let account = wiring::account_of(&snapshot);
    let about = api.about();
    let not_ready = api.readiness.missing().into_iter().map(|(part, state)| {
        let why = match state {
            Condition::Failed(why) => why,
            _ => "not yet".to_owned(),
        };
        NotReady { part, why }
    });
    let not_ready: Vec<NotReady> = not_ready.collect();
    Overview {
        version: env!("CARGO_PKG_VERSION"),
        instance: about.instance,
        source: about.source,
        delivery: match about.delivery {
            Delivery::ExactlyOnce => "exactly-once",
            Delivery::AtLeastOnce => "at-least-once",
        },
        started_at: rfc3339(api.pulse.started_at()),
        now: rfc3339(now_ms()),
        state: state_of(api, &snapshot),
        ready: not_ready.is_empty(),
        not_ready,
        readings_total: account.received,
        readings_per_second: api.pulse.rates().values().sum(),
        lag_readings: lag_of(&snapshot),
        watermark: snapshot.lanes.iter().filter_map(|lane| lane.watermark).min().map(rfc3339),
        dead_letters_total: account.dead_lettered(),
        anomalies_total: account.anomalies.values().sum(),
        open_episodes: OpenBySeverity::of(&open),
        lanes: snapshot.lanes.len() + snapshot.opening,
        sensors: snapshot.lanes.iter().map(|lane| lane.sensors).sum(),
        timeline: api.pulse.timeline(),
    }
}

fn state_of(api: &Api, snapshot: &Snapshot) -> ProcessState {
    if api.running.is_draining() {
        ProcessState::Draining
    } else if snapshot.lanes.is_empty() {
        ProcessState::Starting
    } else {
        ProcessState::Running
    }
}

/// Known only where each lane knows its own.
fn lag_of(snapshot: &Snapshot) -> Option<u64> {
    let lags: Option<Vec<u64>> = snapshot.lanes.iter().map(|lane| lane.lag).collect();
    lags.filter(|lags| !lags.is_empty()).map(|lags| lags.iter().sum())
}
