//! Sensors, as lanes know them: who there is, what is known of each, and who is beside it.

use std::collections::{BTreeMap, BTreeSet};

use axum::Json;
use axum::extract::State;
use gridwatch_core::anomaly::PublicSubject;
use gridwatch_core::sensors::SensorTable;
use gridwatch_core::time::rfc3339;
use gridwatch_engine::lane::Lane;
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::anomalies::{Anomaly, published};
use super::ask;
use super::paging::{Named, Page, Params, limit_of};
use super::problem::Problem;
use super::text::contains;

/// Looked at between two batches of a lane: some tenths of a millisecond.
const SENSORS_AT_ONCE: u32 = 2_048;
const NEIGHBOURS_MAX: usize = 20;
const RECENT_MAX: usize = 20;
/// Whoever shares it with a sensor is its neighbour; the first that the sensor has.
const NEIGHBOURHOODS: [&str; 2] = ["feeder", "location"];

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Sensor {
    pub sensor_id: String,
    pub lane: String,
    /// Time of its latest reading.
    pub last_seen: Option<String>,
    pub attributes: BTreeMap<String, String>,
    pub open_episodes: u64,
}

/// A sensor with what is around it.
#[derive(Debug, Serialize, ToSchema)]
pub struct OneSensor {
    #[serde(flatten)]
    pub sensor: Sensor,
    /// That its lane has read of anybody.
    pub quantities: Vec<Quantity>,
    /// Of the same feeder (or location) in the same lane, 20 at most.
    pub neighbours: Vec<String>,
    /// Its last anomalies, the newest first, 20 at most.
    pub recent_anomalies: Vec<Anomaly>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Quantity {
    pub name: String,
    pub unit: Option<String>,
}

/// Sensors whose id or one of whose attributes has `q` in it, sorted by id. Any attribute may be asked for by
/// `attr.NAME=VALUE`.
#[utoipa::path(get, path = "/sensors", tag = "sensors",
    params(
        ("q" = Option<String>, Query, description = "Part of the id or of an attribute's value, in any case"),
        ("attr.feeder" = Option<String>, Query, description = "Value of the attribute behind `attr.`, whole; any name will do"),
        ("limit" = Option<usize>, Query, description = "Items on the page: 1 to 500; 100 if not said"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
    ),
    responses((status = 200, body = Page<Sensor>),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json")))]
pub async fn sensors(
    State(api): State<Api>,
    Params(params): Params<Vec<(String, String)>>,
) -> Result<Json<Page<Sensor>>, Problem> {
    let wanted = Wanted::of(params)?;
    let _place =
        api.searches.try_acquire().map_err(|_| Problem::busy("too many searches at once; ask again"))?;
    let (mut found, mut total) = (Vec::new(), 0);
    for lane in ask::lanes(&api.running) {
        let mut scan = Scan::new(wanted.clone());
        let work = move |lane: &Lane| scan.go_on(lane);
        if let Some((some, matched)) = ask::ask(&api.running, &lane, work).await? {
            found.extend(some);
            total += matched;
        }
    }
    found.sort_by(|a, b| a.sensor_id.cmp(&b.sensor_id));
    let is_more = found.len() > wanted.limit;
    found.truncate(wanted.limit);
    let next = found.last().filter(|_| is_more).map(|last| last.sensor_id.clone());
    Ok(Json(Page { items: found, next, total }))
}

/// A sensor with what is around it.
#[utoipa::path(get, path = "/sensors/{id}", tag = "sensors", params(("id" = String, Path, description = "The sensor's id")),
    responses((status = 200, body = OneSensor),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json")))]
pub async fn sensor(State(api): State<Api>, Named(id): Named) -> Result<Json<OneSensor>, Problem> {
    let Some((lane, number)) = find(&api, &id).await? else { return Err(unknown(&id)) };
    let work = move |lane: &Lane| {
        let quantities = lane.quantities().iter();
        let quantities = quantities.map(|q| Quantity { name: q.name.clone(), unit: q.unit.clone() });
        Some((of(lane, number), quantities.collect()))
    };
    let Some((sensor, quantities)) = ask::ask(&api.running, &lane, work).await? else {
        return Err(unknown(&id));
    };
    let neighbours = neighbours(&api, &sensor).await?;
    let recent = api
        .seen
        .anomalies
        .newest_first()
        .into_iter()
        .filter(|entry| entry.index().is_some_and(|index| index.sensor_id.as_deref() == Some(&id)));
    let recent_anomalies = recent.take(RECENT_MAX).filter_map(|entry| published(&entry)).collect();
    Ok(Json(OneSensor { sensor, quantities, neighbours, recent_anomalies }))
}

pub fn unknown(id: &str) -> Problem {
    Problem::missing(format!("no lane of this process knows the sensor \"{id}\"; another process may"))
}

/// Its lane and its number there.
pub async fn find(api: &Api, id: &str) -> Result<Option<(String, u32)>, Problem> {
    for lane in ask::lanes(&api.running) {
        let id = id.to_owned();
        let work = move |lane: &Lane| Some(lane.sensor_table().find(&id));
        if let Some(Some(number)) = ask::ask(&api.running, &lane, work).await? {
            return Ok(Some((lane, number)));
        }
    }
    Ok(None)
}

/// Of the same feeder, in its lane.
pub async fn neighbours(api: &Api, sensor: &Sensor) -> Result<Vec<String>, Problem> {
    let shared = NEIGHBOURHOODS
        .iter()
        .find_map(|name| sensor.attributes.get(*name).map(|value| ((*name).to_owned(), value.clone())));
    let Some((name, value)) = shared else { return Ok(Vec::new()) };
    let (own, mut at, mut found) = (sensor.sensor_id.clone(), 0, Vec::new());
    let work = move |lane: &Lane| {
        let table = lane.sensor_table();
        let end = (at + SENSORS_AT_ONCE).min(table.len() as u32);
        while at < end && found.len() < NEIGHBOURS_MAX {
            let is_beside = table.attributes(at).iter().any(|(n, v)| *n == name && *v == value);
            if is_beside && table.id(at) != own {
                found.push(table.id(at).to_owned());
            }
            at += 1;
        }
        let is_done = at >= table.len() as u32 || found.len() >= NEIGHBOURS_MAX;
        is_done.then(|| std::mem::take(&mut found))
    };
    Ok(ask::ask(&api.running, &sensor.lane, work).await?.unwrap_or_default())
}

pub fn of(lane: &Lane, number: u32) -> Sensor {
    let table = lane.sensor_table();
    let id = table.id(number);
    Sensor {
        sensor_id: id.to_owned(),
        lane: lane.name().to_owned(),
        last_seen: table.last_time(number).map(rfc3339),
        attributes: table.attributes(number).iter().cloned().collect(),
        open_episodes: ask::open_on(lane, &PublicSubject::Sensor(id.to_owned())),
    }
}

#[derive(Clone, Default)]
struct Wanted {
    q: String,
    attributes: Vec<(String, String)>,
    /// Ids after this one.
    after: Option<String>,
    limit: usize,
}

impl Wanted {
    fn of(params: Vec<(String, String)>) -> Result<Wanted, Problem> {
        let mut wanted = Wanted { limit: limit_of(None)?, ..Wanted::default() };
        for (name, value) in params {
            match name.as_str() {
                "q" => wanted.q = value,
                "cursor" => wanted.after = Some(value),
                "limit" => {
                    let limit = value
                        .parse()
                        .map_err(|_| Problem::bad(format!("limit: \"{value}\" is no number")))?;
                    wanted.limit = limit_of(Some(limit))?;
                }
                other => match other.strip_prefix("attr.") {
                    Some(attribute) => wanted.attributes.push((attribute.to_owned(), value)),
                    None => {
                        let what = format!("{other}: is no parameter; there are q, attr.NAME, limit, cursor");
                        return Err(Problem::bad(what));
                    }
                },
            }
        }
        Ok(wanted)
    }

    fn has(&self, table: &SensorTable, number: u32) -> bool {
        let attributes = table.attributes(number);
        self.attributes.iter().all(|wanted| attributes.contains(wanted))
            && (self.q.is_empty()
                || contains(table.id(number), &self.q)
                || attributes.iter().any(|(_, value)| contains(value, &self.q)))
    }
}

/// Through a lane's sensors, some at a time, for the first ones of a page.
struct Scan {
    wanted: Wanted,
    at: u32,
    matched: u64,
    /// Ids and numbers of the first ones, one more than asked for.
    first: BTreeSet<(String, u32)>,
}

impl Scan {
    fn new(wanted: Wanted) -> Scan {
        Scan { wanted, at: 0, matched: 0, first: BTreeSet::new() }
    }

    fn go_on(&mut self, lane: &Lane) -> Option<(Vec<Sensor>, u64)> {
        let table = lane.sensor_table();
        let sensors = table.len() as u32;
        let end = (self.at + SENSORS_AT_ONCE).min(sensors);
        for number in self.at..end {
            if !self.wanted.has(table, number) {
                continue;
            }
            self.matched += 1;
            let id = table.id(number);
            let is_later = self.wanted.after.as_deref().is_none_or(|after| id > after);
            let is_among = self.first.len() <= self.wanted.limit
                || self.first.last().is_some_and(|(last, _)| id < last.as_str());
            if is_later && is_among {
                self.first.insert((id.to_owned(), number));
                if self.first.len() > self.wanted.limit + 1 {
                    self.first.pop_last();
                }
            }
        }
        self.at = end;
        let is_done = self.at >= sensors;
        is_done.then(|| (self.first.iter().map(|(_, number)| of(lane, *number)).collect(), self.matched))
    }
}
