//! The API and the dashboard, on the port where Flink's job manager was: what runs, what was found, and who may change
//! it.
//!
//! - `guard`, `token`         who may ask, and who may change something
//! - `seen`                   what went by, the last of it
//! - `ask`                    questions to lanes, which answer between two batches; `aside` what takes longer
//! - `overview`, `lanes`, `detectors`, `anomalies`, `episodes`, `sensors`, `window`, `dead_letters`  a file for each answer
//! - `events`                 what changes, as it changes
//! - `changes`                rollback; `course` what lanes make of it
//! - `dashboard`              the page and its files
//! - `problem`, `paging`, `text`  what answers have in common

mod anomalies;
mod aside;
mod ask;
mod changes;
mod course;
mod dashboard;
mod dead_letters;
mod detectors;
mod episodes;
mod events;
mod guard;
mod lanes;
mod overview;
mod paging;
mod problem;
mod seen;
mod sensors;
mod text;
mod token;
mod window;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{any, get};
use gridwatch_core::sink::Delivery;
use gridwatch_engine::foundry::rosters::Rosters;
use gridwatch_engine::outlet::Observer;
use tokio::sync::Semaphore;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use token::Token;

use crate::foundry::History;
use crate::http::Readiness;
use crate::metrics::HttpSample;
use crate::wiring::Running;
use course::Course;
use events::Hub;
use guard::Guard;
use problem::Problem;
use seen::{Pulse, Seen};

/// Searches through all sensors at a time.
const SEARCHES_MAX: usize = 4;
/// Stretches of the past that are lived again at a time: each takes a core.
const WINDOWS_MAX: usize = 1;

/// Handles are copies of one thing.
#[derive(Clone)]
pub struct Api(Arc<Inner>);

impl std::ops::Deref for Api {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

/// What answers are made of.
pub struct Inner {
    running: Running,
    readiness: Readiness,
    seen: Seen,
    pulse: Pulse,
    course: Mutex<Course>,
    /// What lanes said last of their open episodes.
    open: Mutex<BTreeMap<String, ask::BySeverity>>,
    pub history: History,
    hub: Hub,
    guard: Guard,
    searches: Semaphore,
    windows: Semaphore,
    requests: Mutex<BTreeMap<(String, &'static str), u64>>,
    begun: OnceLock<Begun>,
}

/// What is known once it is clear what runs.
pub struct Begun {
    pub about: About,
    pub token: Token,
    pub rosters: Rosters,
}

/// What a process is.
#[derive(Debug, Clone)]
pub struct About {
    pub instance: String,
    /// In words.
    pub source: String,
    pub delivery: Delivery,
}

impl Api {
    /// `hosts`: names by which it may be called, beside addresses and `localhost`.
    pub fn new(running: Running, readiness: Readiness, hosts: Vec<String>) -> Api {
        Api(Arc::new(Inner {
            running,
            readiness,
            seen: Seen::default(),
            pulse: Pulse::default(),
            course: Mutex::default(),
            open: Mutex::default(),
            history: History::default(),
            hub: Hub::default(),
            guard: Guard::new(hosts),
            searches: Semaphore::new(SEARCHES_MAX),
            windows: Semaphore::new(WINDOWS_MAX),
            requests: Mutex::default(),
            begun: OnceLock::new(),
        }))
    }

    pub fn begin(&self, begun: Begun) {
        // Once: whoever runs begins once.
        let _ = self.begun.set(begun);
    }

    /// Listens to what goes out.
    pub fn observer(&self) -> Box<dyn Observer> {
        self.seen.observer()
    }

    /// To be run as long as it answers.
    pub fn work(&self) -> impl Future<Output = ()> + Send + use<> {
        events::work(self.clone())
    }

    pub fn sample(&self) -> HttpSample {
        HttpSample {
            requests: self.requests().clone(),
            event_streams: self.hub.listeners() as u64,
            events_skipped: self.hub.skipped(),
        }
    }

    /// All that is answered here, but for the probes.
    pub fn routes(&self) -> Router {
        let (routes, document) = described();
        let document = serde_json::to_string(&document).unwrap_or_default();
        let openapi = move || async move { ([(header::CONTENT_TYPE, "application/json")], document) };
        routes
            .route("/api/v1/openapi.json", get(openapi))
            .route("/api/{*rest}", any(nothing_there))
            .fallback(dashboard::dashboard)
            .method_not_allowed_fallback(wrong_method)
            .layer(DefaultBodyLimit::max(guard::BODY_BYTES_MAX as usize))
            .layer(middleware::from_fn_with_state(self.clone(), guard::guard))
            .layer(middleware::from_fn_with_state(self.clone(), counted))
            .with_state(self.clone())
    }

    fn look(&self) {
        let snapshot = self.running.snapshot();
        self.pulse.look(&snapshot);
        let mut course = self.course.lock().unwrap_or_else(PoisonError::into_inner);
        course.look(&snapshot, &self.history);
    }

    fn about(&self) -> About {
        let unknown = About {
            instance: "only".to_owned(),
            source: "not begun".to_owned(),
            delivery: Delivery::ExactlyOnce,
        };
        self.begun.get().map_or(unknown, |begun| begun.about.clone())
    }

    fn token(&self) -> Token {
        self.begun
            .get()
            .map_or_else(|| Token::none("this process has not begun"), |begun| begun.token.clone())
    }

    fn rosters(&self) -> Option<Rosters> {
        self.begun.get().map(|begun| begun.rosters.clone())
    }

    fn requests(&self) -> MutexGuard<'_, BTreeMap<(String, &'static str), u64>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(OpenApi)]
#[openapi(
    info(title = "gridwatch", description = "What a gridwatch process does, what it has found, and what runs in it. \
        Times are RFC 3339, in UTC. What changes something needs the token."),
    modifiers(&WithToken),
    tags(
        (name = "pipeline", description = "The process as a whole, its lanes, what was no reading"),
        (name = "detectors", description = "What judges readings"),
        (name = "changes", description = "What needs the token"),
        (name = "anomalies", description = "What was found"),
        (name = "sensors", description = "Whose readings they are"),
        (name = "events", description = "What changes, as it changes"),
    )
)]
struct Document;

struct WithToken;

impl Modify for WithToken {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}

/// Routes, and the document that describes them: one list of both.
fn described() -> (Router<Api>, utoipa::openapi::OpenApi) {
    let routes = OpenApiRouter::new()
        .routes(routes!(overview::overview))
        .routes(routes!(lanes::lanes))
        .routes(routes!(dead_letters::dead_letters))
        .routes(routes!(detectors::detectors))
        .routes(routes!(detectors::detector))
        .routes(routes!(detectors::logs))
        .routes(routes!(changes::rollback))
        .routes(routes!(changes::release))
        .routes(routes!(changes::mode))
        .routes(routes!(anomalies::anomalies))
        .routes(routes!(anomalies::anomaly))
        .routes(routes!(episodes::episodes))
        .routes(routes!(sensors::sensors))
        .routes(routes!(sensors::sensor))
        .routes(routes!(window::window))
        .routes(routes!(events::events));
    OpenApiRouter::with_openapi(Document::openapi()).nest("/api/v1", routes).split_for_parts()
}

async fn nothing_there(request: Request) -> Problem {
    Problem::missing(format!(
        "there is nothing at {}; /api/v1/openapi.json says what there is",
        request.uri().path()
    ))
}

pub async fn wrong_method(method: Method, request: Request) -> Problem {
    let detail = format!("{method} means nothing at {}", request.uri().path());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail)
}

/// Counts answers, and says on each what a browser may do with it.
async fn counted(State(api): State<Api>, request: Request, next: Next) -> Response {
    let route =
        request.extensions().get::<MatchedPath>().map_or("(dashboard)", MatchedPath::as_str).to_owned();
    let is_api = request.uri().path().starts_with("/api/");
    let mut response = next.run(request).await;
    let class = match response.status().as_u16() {
        ..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        _ => "5xx",
    };
    *api.requests().entry((route, class)).or_default() += 1;
    for (name, value) in dashboard::security_headers() {
        response.headers_mut().insert(name, axum::http::HeaderValue::from_static(value));
    }
    if is_api {
        response
            .headers_mut()
            .insert(header::CACHE_CONTROL, axum::http::HeaderValue::from_static("no-store"));
    }
    response
}
