//! A sensor's readings around a time, with what a detector expected: lived once more from a checkpoint before it, with
//! what the source still has. The lane itself does not notice.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use gridwatch_core::Timestamp;
use gridwatch_core::decode::parse_rfc3339;
use gridwatch_core::finding::Phase;
use gridwatch_core::time::rfc3339;
use gridwatch_engine::history::{HistoryError, Patience, Seen, Series, Window as Wanted};
use gridwatch_engine::lane::Lane;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::anomalies::time;
use super::aside::aside;
use super::paging::{Named, Params};
use super::problem::Problem;
use super::{ask, sensors};

/// Of all sensors of an answer.
const ROWS_MAX: usize = 20_000;
const SPAN_SECONDS_MAX: f64 = 7.0 * 86_400.0;
const USUAL_SECONDS: f64 = 1_800.0;
const NEIGHBOURS_MAX: usize = 8;
const TIME_MAX: Duration = Duration::from_secs(8);

/// A sensor's readings over a stretch of event time.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Window {
    pub sensor_id: String,
    pub quantity: String,
    pub unit: Option<String>,
    pub from: String,
    pub to: String,
    pub points: Points,
    /// What the detector made of each; null where it does not say.
    pub trace: Option<Trace>,
    pub neighbours: Vec<Neighbour>,
    /// Of the sensor, that overlap with the window.
    pub episodes: Vec<Span>,
    /// There was more than is here.
    pub truncated: bool,
    /// Why there are no readings, or no trace.
    pub why: Option<String>,
}

/// In the order in which they came.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct Points {
    /// Milliseconds since 1970.
    pub timestamps: Vec<Timestamp>,
    /// Null where a reading does not have the quantity.
    pub values: Vec<Option<f64>>,
}

/// One of each for each point.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Trace {
    pub detector: String,
    pub score: Vec<Option<f64>>,
    pub expected: Vec<Option<f64>>,
    pub lower: Vec<Option<f64>>,
    pub upper: Vec<Option<f64>>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Neighbour {
    pub sensor_id: String,
    pub timestamps: Vec<Timestamp>,
    pub values: Vec<Option<f64>>,
}

/// An episode, as far as it is known from the last anomalies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Span {
    pub episode: String,
    pub detector: String,
    pub kind: String,
    /// `info`, `warning` or `critical`.
    pub severity: &'static str,
    pub since: String,
    /// Null: it is open.
    pub until: Option<String>,
}

/// Which stretch.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Around {
    /// RFC 3339; the sensor's latest reading if not said.
    pub around: Option<String>,
    /// Seconds before that time; 1800 if not said. Both together at most a week.
    pub before: Option<f64>,
    /// Seconds after it.
    pub after: Option<f64>,
    /// The first that the lane has read of anybody if not said.
    pub quantity: Option<String>,
    /// Whose expectations.
    pub detector: Option<String>,
    /// With some of the same feeder beside it, 8 at most.
    pub neighbours: Option<bool>,
}

/// Readings around a time, as values and with what a detector expected. It is lived again from a checkpoint before the
/// window, so that it reaches as far back as these are kept and the source still has the readings.
#[utoipa::path(get, path = "/sensors/{id}/window", tag = "sensors",
    params(("id" = String, Path, description = "The sensor's id"), Around),
    responses((status = 200, body = Window),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json")))]
pub async fn window(
    State(api): State<Api>,
    Named(id): Named,
    Params(params): Params<Around>,
) -> Result<Json<Window>, Problem> {
    let around = time("around", params.around.as_deref())?;
    let before_ms = span_ms("before", params.before)?;
    let after_ms = span_ms("after", params.after)?;
    let Some((lane, number)) = sensors::find(&api, &id).await? else { return Err(sensors::unknown(&id)) };
    let work = move |lane: &Lane| {
        let first = lane.quantities().first().map(|quantity| quantity.name.clone());
        Some((sensors::of(lane, number), first, lane.next()))
    };
    let Some((sensor, first, until)) = ask::ask(&api.running, &lane, work).await? else {
        return Err(sensors::unknown(&id));
    };
    let latest = sensor.last_seen.as_deref().and_then(parse_rfc3339);
    let around = around.or(latest).unwrap_or_default();
    let quantity = params.quantity.or(first).unwrap_or_default();
    let beside = match params.neighbours {
        Some(true) => sensors::neighbours(&api, &sensor).await?,
        _ => Vec::new(),
    };
    let wanted = Wanted {
        sensors: std::iter::once(id.clone()).chain(beside.into_iter().take(NEIGHBOURS_MAX)).collect(),
        quantity: quantity.clone(),
        from: around.saturating_sub(before_ms),
        to: around.saturating_add(after_ms),
        detector: params.detector,
        until,
        rows_max: ROWS_MAX,
    };
    let (seen, why) = match live_again(&api, lane, wanted.clone()).await? {
        Ok(seen) => (seen, None),
        Err(error) => (Seen::default(), Some(error)),
    };
    let why = why.or_else(|| why_nothing(&seen, &wanted));
    Ok(Json(answer(&api, wanted, seen, why)))
}

/// The inner error: why it cannot be seen any more.
async fn live_again(api: &Api, lane: String, wanted: Wanted) -> Result<Result<Seen, String>, Problem> {
    let _place = api.windows.acquire().await.map_err(|_| Problem::busy("this process ends"))?;
    let Some((history, parts)) = api.running.past(&lane) else {
        return Ok(Err("what was read cannot be read again: the source keeps nothing".to_owned()));
    };
    match aside(move || history.window(parts, &wanted, Patience::of(TIME_MAX))).await? {
        Ok(seen) => Ok(Ok(seen)),
        Err(error @ HistoryError::Store(_)) => Err(Problem::busy(error.to_string())),
        Err(error) => Ok(Err(error.to_string())),
    }
}

fn why_nothing(seen: &Seen, wanted: &Wanted) -> Option<String> {
    let own = wanted.sensors.first().and_then(|id| seen.series.get(id));
    match (own, &wanted.detector) {
        (None, _) => Some(format!("no reading of {} came from the sensor in this time", wanted.quantity)),
        (Some(series), Some(detector)) if series.traces.is_empty() => {
            Some(format!("{detector} says nothing of what it expects of {}", wanted.quantity))
        }
        _ => None,
    }
}

fn answer(api: &Api, wanted: Wanted, mut seen: Seen, why: Option<String>) -> Window {
    let id = wanted.sensors.first().cloned().unwrap_or_default();
    let own = seen.series.remove(&id).unwrap_or_default();
    let trace = wanted.detector.filter(|_| !own.traces.is_empty()).map(|detector| {
        let of = |which: usize| own.traces.iter().map(|trace| finite(trace[which])).collect();
        Trace { detector, score: of(0), expected: of(1), lower: of(2), upper: of(3) }
    });
    let neighbour = |(sensor_id, series): (String, Series)| {
        let Points { timestamps, values } = points(series);
        Neighbour { sensor_id, timestamps, values }
    };
    Window {
        episodes: episodes(api, &id, wanted.from, wanted.to),
        sensor_id: id,
        quantity: wanted.quantity,
        unit: seen.unit,
        from: rfc3339(wanted.from),
        to: rfc3339(wanted.to),
        points: points(own),
        trace,
        neighbours: seen.series.into_iter().map(neighbour).collect(),
        truncated: seen.is_cut,
        why,
    }
}

fn points(series: Series) -> Points {
    Points { timestamps: series.timestamps, values: series.values.into_iter().map(finite).collect() }
}

/// JSON has no NaN.
fn finite(value: f64) -> Option<f64> {
    Some(value).filter(|value| value.is_finite())
}

fn span_ms(name: &str, seconds: Option<f64>) -> Result<i64, Problem> {
    match seconds.unwrap_or(USUAL_SECONDS) {
        seconds if (0.0..=SPAN_SECONDS_MAX / 2.0).contains(&seconds) => Ok((seconds * 1000.0) as i64),
        _ => Err(Problem::bad(format!("{name}: from 0 to {} seconds", SPAN_SECONDS_MAX / 2.0))),
    }
}

fn episodes(api: &Api, sensor: &str, from: Timestamp, to: Timestamp) -> Vec<Span> {
    let mut spans: BTreeMap<String, (Timestamp, Option<Timestamp>, Span)> = BTreeMap::new();
    for entry in api.seen.anomalies.newest_first().iter().rev() {
        let Some(index) = entry.index().filter(|index| index.sensor_id.as_deref() == Some(sensor)) else {
            continue;
        };
        let end = match index.phase {
            Phase::Raised | Phase::Updated => None,
            Phase::Cleared | Phase::Single => Some(index.timestamp),
        };
        let (since, until, span) = spans.entry(index.episode.clone()).or_insert_with(|| {
            let span = Span {
                episode: index.episode.clone(),
                detector: index.detector.clone(),
                kind: index.kind.clone(),
                severity: index.severity.name(),
                since: rfc3339(index.since),
                until: None,
            };
            (index.since, None, span)
        });
        (*since, *until) = (index.since, end);
        span.until = end.map(rfc3339);
        span.severity = index.severity.name();
    }
    let overlaps =
        |since: Timestamp, until: Option<Timestamp>| since <= to && until.is_none_or(|until| until >= from);
    let spans = spans.into_values().filter(|(since, until, _)| overlaps(*since, *until));
    spans.map(|(_, _, span)| span).collect()
}
