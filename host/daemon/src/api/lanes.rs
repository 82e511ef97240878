//! Lanes: how far each is.

use axum::Json;
use axum::extract::State;
use gridwatch_core::time::rfc3339;
use gridwatch_engine::pipeline::LaneSnapshot;
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::paging::{Page, Paging, Params};
use super::problem::Problem;

/// A partition of the topic, a file or a simulator, and who judges it here.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Lane {
    pub lane: String,
    /// All records before it were read.
    pub position: u64,
    pub lag_readings: Option<u64>,
    pub watermark: Option<String>,
    pub event_time: Option<String>,
    pub checkpoint_age_seconds: Option<f64>,
    pub readings_total: u64,
    pub readings_per_second: f64,
    /// Read, and not judged yet.
    pub pending: u64,
    pub sensors: usize,
    pub state: LaneState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LaneState {
    /// Its checkpoint is being loaded.
    Opening,
    /// It lives again in silence what was published before.
    Replaying,
    Running,
    /// The source had no more for it.
    Ended,
}

/// The lanes of this process.
#[utoipa::path(get, path = "/lanes", tag = "pipeline", params(Paging),
    responses((status = 200, body = Page<Lane>), (status = 400, body = Problem, content_type = "application/problem+json")))]
pub async fn lanes(
    State(api): State<Api>,
    Params(paging): Params<Paging>,
) -> Result<Json<Page<Lane>>, Problem> {
    let start = paging.number()?.unwrap_or(0);
    Ok(Json(Page::of(all(&api), start, paging.limit()?)))
}

pub fn all(api: &Api) -> Vec<Lane> {
    let rates = api.pulse.rates();
    let snapshot = api.running.snapshot();
    let open = snapshot.lanes.iter().map(|lane| {
        let rate = rates.get(&lane.lane).copied().unwrap_or(0.0);
        of(lane, rate)
    });
    let opening = snapshot.opening_lanes.iter().map(|lane| {
        let lane = LaneSnapshot { lane: lane.clone(), ..LaneSnapshot::default() };
        Lane { state: LaneState::Opening, ..of(&lane, 0.0) }
    });
    let mut lanes: Vec<Lane> = open.chain(opening).collect();
    lanes.sort_by_key(|lane| natural(&lane.lane));
    lanes
}

fn of(lane: &LaneSnapshot, readings_per_second: f64) -> Lane {
    Lane {
        lane: lane.lane.clone(),
        position: lane.position,
        lag_readings: lane.lag,
        watermark: lane.watermark.map(rfc3339),
        event_time: lane.event_time.map(rfc3339),
        checkpoint_age_seconds: lane.checkpoint_age_seconds,
        readings_total: lane.account.received,
        readings_per_second,
        pending: lane.account.pending,
        sensors: lane.sensors,
        state: match (lane.has_ended, lane.replaying) {
            (true, _) => LaneState::Ended,
            (_, true) => LaneState::Replaying,
            _ => LaneState::Running,
        },
    }
}

/// 2 before 10.
fn natural(lane: &str) -> (String, u64, String) {
    let digits = lane.len() - lane.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    let (word, number) = lane.split_at(lane.len() - digits);
    (word.to_owned(), number.parse().unwrap_or(0), lane.to_owned())
}
