//! Anomalies that were delivered, the last ones.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use gridwatch_core::Timestamp;
use gridwatch_core::decode::parse_rfc3339;
use gridwatch_core::finding::{Phase, Severity};
use gridwatch_core::time::rfc3339;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::paging::{Named, Page, Params, limit_of, number_of};
use super::problem::Problem;
use super::seen::{ANOMALIES_MAX, Entry, Index};
use super::text::contains;

/// An anomaly as it was published, and when and by whom.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Anomaly {
    /// The same wherever and however often it is found.
    pub id: String,
    /// The same for all of an episode.
    pub episode: String,
    /// `raised`, `updated`, `cleared` or `single`.
    pub phase: String,
    pub detector: String,
    pub detector_version: String,
    pub detector_digest: String,
    /// The subject is a sensor or a group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sensor_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantity: Option<String>,
    pub kind: String,
    /// `info`, `warning` or `critical`.
    pub severity: String,
    pub score: f64,
    pub timestamp: String,
    pub since: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lower: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upper: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explanation: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub details: BTreeMap<String, String>,
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    /// Topic, partition and offset; or the file, or the simulator.
    #[schema(value_type = Object)]
    pub source: serde_json::Value,
    /// Here, not in what was published.
    #[serde(default)]
    pub lane: String,
    /// When it was acknowledged.
    #[serde(default)]
    pub received_at: String,
}

/// One anomaly, and those beside it.
#[derive(Debug, Serialize, ToSchema)]
pub struct OneAnomaly {
    #[serde(flatten)]
    pub anomaly: Anomaly,
    /// The next that was delivered after it; null: it is the last.
    pub newer: Option<String>,
    /// The one before.
    pub older: Option<String>,
}

/// Which anomalies.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    pub detector: Option<String>,
    pub kind: Option<String>,
    /// `info`, `warning`, `critical`; or several, with commas between them.
    pub severity: Option<String>,
    /// `raised`, `updated`, `cleared`, `single`; or several.
    pub phase: Option<String>,
    pub sensor: Option<String>,
    pub group: Option<String>,
    pub episode: Option<String>,
    /// Part of the subject, the kind or the explanation, in any case.
    pub text: Option<String>,
    /// Of the anomaly's own time, RFC 3339; included.
    pub from: Option<String>,
    /// Not included.
    pub to: Option<String>,
    /// Items on the page: 1 to 500; 100 if not said.
    pub limit: Option<usize>,
    /// `next` of the page before.
    pub cursor: Option<String>,
}

/// The last anomalies, the newest first. The last 10,000 are kept.
#[utoipa::path(get, path = "/anomalies", tag = "anomalies", params(Filter),
    responses((status = 200, body = Page<Anomaly>), (status = 400, body = Problem, content_type = "application/problem+json")))]
pub async fn anomalies(
    State(api): State<Api>,
    Params(filter): Params<Filter>,
) -> Result<Json<Page<Anomaly>>, Problem> {
    let limit = limit_of(filter.limit)?;
    let before = number_of(filter.cursor.as_deref())?;
    let chosen = Chosen::of(&filter)?;
    let (mut items, mut total, mut last, mut is_more) = (Vec::new(), 0, 0, false);
    for entry in api.seen.anomalies.newest_first() {
        if !entry.index().is_some_and(|index| chosen.has(index)) {
            continue;
        }
        total += 1;
        if before.is_some_and(|before| entry.sequence >= before) {
            continue;
        }
        if items.len() < limit {
            items.extend(published(&entry));
            last = entry.sequence;
        } else {
            is_more = true;
        }
    }
    Ok(Json(Page { items, next: is_more.then(|| last.to_string()), total }))
}

/// One of the last anomalies.
#[utoipa::path(get, path = "/anomalies/{id}", tag = "anomalies", params(("id" = String, Path, description = "The anomaly's id")),
    responses((status = 200, body = OneAnomaly), (status = 404, body = Problem, content_type = "application/problem+json")))]
pub async fn anomaly(State(api): State<Api>, Named(id): Named) -> Result<Json<OneAnomaly>, Problem> {
    let entries = api.seen.anomalies.newest_first();
    let id_of = |entry: &Arc<Entry>| entry.index().map(|index| index.id.clone());
    let at = entries.iter().position(|entry| entry.index().is_some_and(|index| index.id == id));
    match at.and_then(|at| Some((at, published(&entries[at])?))) {
        Some((at, anomaly)) => Ok(Json(OneAnomaly {
            anomaly,
            newer: at.checked_sub(1).and_then(|at| id_of(&entries[at])),
            older: entries.get(at + 1).and_then(id_of),
        })),
        None => Err(Problem::missing(match entries.last() {
            None => "nothing was found yet since this process started; older anomalies are where they were sent to".to_owned(),
            Some(oldest) => format!(
                "there is no such anomaly among the last {} of this process, which reach back to {} ({ANOMALIES_MAX} are \
                 kept); older ones are where they were sent to",
                entries.len(),
                rfc3339(oldest.received)
            ),
        })),
    }
}

/// The whole of it.
pub fn published(entry: &Entry) -> Option<Anomaly> {
    let anomaly: Anomaly = serde_json::from_slice(entry.payload()).ok()?;
    Some(Anomaly { lane: entry.lane.to_string(), received_at: rfc3339(entry.received), ..anomaly })
}

struct Chosen<'a> {
    filter: &'a Filter,
    /// Any of these; all, where there are none.
    severity: Vec<Severity>,
    phase: Vec<Phase>,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
}

impl Chosen<'_> {
    fn of(filter: &Filter) -> Result<Chosen<'_>, Problem> {
        Ok(Chosen {
            filter,
            severity: words("severity", filter.severity.as_deref(), "info, warning, critical")?,
            phase: words("phase", filter.phase.as_deref(), "raised, updated, cleared, single")?,
            from: time("from", filter.from.as_deref())?,
            to: time("to", filter.to.as_deref())?,
        })
    }

    fn has(&self, index: &Index) -> bool {
        let is = |wanted: &Option<String>, given: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| given == Some(wanted))
        };
        let Filter { detector, kind, sensor, group, episode, text, .. } = self.filter;
        is(detector, Some(&index.detector))
            && is(kind, Some(&index.kind))
            && is(sensor, index.sensor_id.as_deref())
            && is(group, index.group.as_deref())
            && is(episode, Some(&index.episode))
            && (self.severity.is_empty() || self.severity.contains(&index.severity))
            && (self.phase.is_empty() || self.phase.contains(&index.phase))
            && self.from.is_none_or(|from| index.timestamp >= from)
            && self.to.is_none_or(|to| index.timestamp < to)
            && text.as_deref().is_none_or(|text| speaks_of(index, text))
    }
}

fn speaks_of(index: &Index, text: &str) -> bool {
    let parts = [&index.sensor_id, &index.group, &index.explanation];
    contains(&index.kind, text)
        || contains(&index.detector, text)
        || parts.into_iter().flatten().any(|part| contains(part, text))
}

/// Words of a closed list, with commas between them.
fn words<T: serde::de::DeserializeOwned>(
    name: &str,
    given: Option<&str>,
    known: &str,
) -> Result<Vec<T>, Problem> {
    let all = given.into_iter().flat_map(|given| given.split(','));
    all.filter_map(|one| word(name, Some(one.trim()), known).transpose()).collect()
}

/// A word of a closed list.
pub fn word<T: serde::de::DeserializeOwned>(
    name: &str,
    given: Option<&str>,
    words: &str,
) -> Result<Option<T>, Problem> {
    let parse = |given: &str| {
        let value = serde_json::Value::String(given.to_owned());
        serde_json::from_value(value)
            .map_err(|_| Problem::bad(format!("{name}: \"{given}\" is none of {words}")))
    };
    given.map(parse).transpose()
}

pub fn time(name: &str, given: Option<&str>) -> Result<Option<Timestamp>, Problem> {
    let parse = |given: &str| {
        let what = || format!("{name}: \"{given}\" is no time; write for example 2026-01-01T00:00:01.000Z");
        parse_rfc3339(given).ok_or_else(|| Problem::bad(what()))
    };
    given.map(parse).transpose()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn several_words_are_split_at_commas() {
        let of = |given| words::<Severity>("severity", given, "info, warning, critical");
        assert!(of(None).ok().unwrap().is_empty());
        assert_eq!(of(Some("info")).ok().unwrap(), [Severity::Info]);
        assert_eq!(of(Some("critical, warning")).ok().unwrap(), [Severity::Critical, Severity::Warning]);
        for wrong in ["", "critical,", "grave", "info;warning"] {
            assert_eq!(of(Some(wrong)).err().unwrap().status, 400, "{wrong}");
        }
    }
}
