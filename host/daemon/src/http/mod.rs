//! `/healthz` and `/readyz` on the API's port, `/metrics` on its own.

mod probe;
mod readiness;
mod server;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;
use tokio::sync::watch;

pub use probe::Probe;
pub use readiness::{Latch, Readiness, State};
pub use server::BindError;

/// Each listener to events has one.
const API_CONNECTIONS_MAX: usize = 512;
const METRICS_CONNECTIONS_MAX: usize = 64;

/// The text of `/metrics`, made when asked for.
pub type MetricsPage = Arc<dyn Fn() -> String + Send + Sync>;

/// Both servers, running; they stop when this is dropped.
#[derive(Debug)]
pub struct Servers {
    pub api: SocketAddr,
    pub metrics: SocketAddr,
    _stop: watch::Sender<bool>,
}

/// What orchestrators ask for.
#[derive(Debug, Clone, Default)]
pub struct Probes {
    /// Where one of these fails, nothing but a restart helps.
    pub alive: Readiness,
    pub ready: Readiness,
}

/// What to do where a port is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ports {
    /// It is an error.
    Exactly,
    /// The next free one does as well.
    NextFree,
}

/// Binds both ports before anything is served, so that a port in use ends the start at once. Needs a
/// tokio runtime.
/// `listen`: for the API and for metrics.
pub async fn start(
    [api_listen, metrics_listen]: [SocketAddr; 2],
    ports: Ports,
    probes: Probes,
    routes: Router,
    page: MetricsPage,
) -> Result<Servers, BindError> {
    let api = server::bind("api", api_listen, ports)?;
    let metrics = server::bind("metrics", metrics_listen, ports)?;
    let (stop, stopped) = watch::channel(false);
    let servers = Servers {
        api: api.local_addr().unwrap_or(api_listen),
        metrics: metrics.local_addr().unwrap_or(metrics_listen),
        _stop: stop,
    };
    let answers = api_router(probes).merge(routes);
    tokio::spawn(server::serve(api, answers, API_CONNECTIONS_MAX, stopped.clone()));
    tokio::spawn(server::serve(metrics, metrics_router(page), METRICS_CONNECTIONS_MAX, stopped));
    Ok(servers)
}

fn api_router(probes: Probes) -> Router {
    let Probes { alive, ready } = probes;
    Router::new()
        .route("/healthz", get(move || async move { state(&alive, "alive", "stuck") }))
        .route("/readyz", get(move || async move { state(&ready, "ready", "not ready") }))
}

fn state(conditions: &Readiness, good: &str, bad: &str) -> Response {
    let missing = conditions.missing();
    if missing.is_empty() {
        axum_json(StatusCode::OK, &json!({"status": good}))
    } else {
        axum_json(StatusCode::SERVICE_UNAVAILABLE, &json!({"status": bad, "missing": missing}))
    }
}

fn metrics_router(page: MetricsPage) -> Router {
    let metrics = move || async move {
        ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], page()).into_response()
    };
    Router::new().route("/metrics", get(metrics))
}

fn axum_json(status: StatusCode, body: &serde_json::Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], format!("{body}\n")).into_response()
}
