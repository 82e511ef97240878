//! Episodes that are open now, as lanes hold them.

use std::collections::HashMap;

use axum::Json;
use axum::extract::State;
use gridwatch_core::anomaly::{EpisodeKey, PublicSubject, episode_id};
use gridwatch_core::checkpoint::OpenEpisode;
use gridwatch_core::finding::{Phase, Severity};
use gridwatch_core::time::rfc3339;
use gridwatch_engine::lane::Lane;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::anomalies::word;
use super::ask;
use super::paging::{Page, Params, limit_of, number_of};
use super::problem::Problem;

/// Of a lane, that are looked at; more than the detectors of a lane should hold.
const EPISODES_MAX: usize = 20_000;

/// Something that was raised and not cleared yet.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Episode {
    /// As its anomalies have it.
    pub episode: String,
    pub detector: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sensor_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    pub quantity: Option<String>,
    pub kind: String,
    /// `info`, `warning` or `critical`.
    pub severity: &'static str,
    pub since: String,
    /// Id of its last anomaly, where that is among the last 10,000.
    pub last: Option<String>,
    pub explanation: Option<String>,
    pub lane: String,
}

/// Which episodes.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// `info`, `warning`, `critical`.
    pub severity: Option<String>,
    pub detector: Option<String>,
    pub sensor: Option<String>,
    pub group: Option<String>,
    /// Items on the page: 1 to 500; 100 if not said.
    pub limit: Option<usize>,
    /// `next` of the page before.
    pub cursor: Option<String>,
}

/// Episodes that are open, the gravest first, among equal ones the youngest.
#[utoipa::path(get, path = "/episodes", tag = "anomalies", params(Filter),
    responses((status = 200, body = Page<Episode>),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json")))]
pub async fn episodes(
    State(api): State<Api>,
    Params(filter): Params<Filter>,
) -> Result<Json<Page<Episode>>, Problem> {
    let limit = limit_of(filter.limit)?;
    let start = number_of(filter.cursor.as_deref())?.unwrap_or(0);
    let severity: Option<Severity> = word("severity", filter.severity.as_deref(), "info, warning, critical")?;
    let subject = match (filter.sensor, filter.group) {
        (Some(_), Some(_)) => return Err(Problem::bad("sensor and group: one of them at most")),
        (Some(sensor), None) => Some(PublicSubject::Sensor(sensor)),
        (None, Some(group)) => Some(PublicSubject::Group(group)),
        (None, None) => None,
    };
    let mut open = Vec::new();
    for lane in ask::lanes(&api.running) {
        let (subject, detector) = (subject.clone(), filter.detector.clone());
        let work = move |lane: &Lane| Some(open_in(lane, severity, subject.as_ref(), detector.as_deref()));
        open.extend(ask::ask(&api.running, &lane, work).await?.unwrap_or_default());
    }
    open.sort_by(|a, b| (b.severity, b.since, &a.key).cmp(&(a.severity, a.since, &b.key)));
    let page = Page::of(open, start, limit);
    let last = last_of(&api);
    let items = page.items.into_iter().map(|open| of(open, &last)).collect();
    Ok(Json(Page { items, next: page.next, total: page.total }))
}

struct Open {
    lane: String,
    detector: String,
    key: EpisodeKey,
    since: i64,
    severity: Severity,
}

fn open_in(
    lane: &Lane,
    severity: Option<Severity>,
    subject: Option<&PublicSubject>,
    detector: Option<&str>,
) -> Vec<Open> {
    let is_chosen = |key: &EpisodeKey, episode: &OpenEpisode| {
        severity.is_none_or(|severity| severity == episode.severity)
            && subject.is_none_or(|subject| *subject == key.subject)
    };
    let of_detectors =
        lane.open_episodes().filter(|(name, _)| detector.is_none_or(|detector| detector == *name));
    let open = of_detectors.flat_map(|(name, episodes)| {
        let chosen = episodes.iter().filter(|(key, episode)| is_chosen(key, episode));
        chosen.map(|(key, episode)| Open {
            lane: lane.name().to_owned(),
            detector: name.to_owned(),
            key: key.clone(),
            since: episode.since,
            severity: episode.severity,
        })
    });
    open.take(EPISODES_MAX).collect()
}

/// By episode: the last anomaly's id and explanation.
type Last = HashMap<String, (String, Option<String>)>;

fn last_of(api: &Api) -> Last {
    let mut last = Last::new();
    for entry in api.seen.anomalies.newest_first() {
        if let Some(index) = entry.index().filter(|index| index.phase != Phase::Single) {
            let of = || (index.id.clone(), index.explanation.clone());
            last.entry(index.episode.clone()).or_insert_with(of);
        }
    }
    last
}

fn of(open: Open, last: &Last) -> Episode {
    let Open { lane, detector, key, since, severity } = open;
    let episode = episode_id(&detector, &lane, &key, since);
    let (last, explanation) = last.get(&episode).cloned().unzip();
    let (sensor_id, group) = match key.subject {
        PublicSubject::Sensor(id) => (Some(id), None),
        PublicSubject::Group(name) => (None, Some(name)),
    };
    Episode {
        episode,
        detector,
        sensor_id,
        group,
        quantity: key.quantity,
        kind: key.kind,
        severity: severity.name(),
        since: rfc3339(since),
        last,
        explanation: explanation.flatten(),
        lane,
    }
}
