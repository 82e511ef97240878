//! `/healthz` alone: for a command that is no service and is looked after like one.

use std::io;
use std::net::SocketAddr;

use axum::Router;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::{Readiness, server, state};

/// Of probes there are one or two.
const CONNECTIONS_MAX: usize = 16;

/// Answers while it lives.
#[derive(Debug)]
pub struct Probe {
    _stop: watch::Sender<bool>,
}

impl Probe {
    /// Binds before anything is done, so that a port in use ends the start at once. Needs a tokio runtime.
    pub async fn start(listen: SocketAddr, alive: Readiness) -> io::Result<Probe> {
        let listener = TcpListener::bind(listen).await?;
        let (stop, stopped) = watch::channel(false);
        let router =
            Router::new().route("/healthz", get(move || async move { state(&alive, "alive", "stuck") }));
        tokio::spawn(server::serve(listener, router, CONNECTIONS_MAX, stopped));
        Ok(Probe { _stop: stop })
    }
}
