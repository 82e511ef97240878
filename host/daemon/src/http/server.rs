//! A small HTTP/1 server with a limit on everything a stranger could hold on to.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use super::Ports;

/// Beyond the one that was asked for.
const PORTS_TRIED: u16 = 64;
const BODY_BYTES_MAX: usize = 64 << 10;
const HEAD_BYTES_MAX: usize = 16 << 10;
const HEADERS_MAX: usize = 64;
const HEAD_READ_MAX: Duration = Duration::from_secs(10);
const REQUEST_MAX: Duration = Duration::from_secs(10);
/// What the kernel keeps for a client that does not read: unasked it would be megabytes.
const SEND_BYTES_MAX: u32 = 128 << 10;
/// Clients that wait to be accepted.
const BACKLOG: u32 = 1024;
/// A client that wants more opens a new connection. What is being answered then has as long once more.
const CONNECTION_MAX: Duration = Duration::from_secs(300);

/// Why a port cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("[{table}] listen = \"{listen}\": {source}; {advice}")]
pub struct BindError {
    table: &'static str,
    listen: SocketAddr,
    source: io::Error,
    advice: &'static str,
}

/// Listens; `table` is the configuration table to change if that cannot be.
pub fn bind(table: &'static str, listen: SocketAddr, ports: Ports) -> Result<TcpListener, BindError> {
    let mut bound = listener(listen);
    if ports == Ports::NextFree {
        let next = (1..=PORTS_TRIED).filter_map(|step| listen.port().checked_add(step));
        for port in next {
            match &bound {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    bound = listener(SocketAddr::new(listen.ip(), port));
                }
                _ => break,
            }
        }
    }
    bound.map_err(|source| {
        let advice = match source.kind() {
            io::ErrorKind::AddrInUse => {
                "is another gridwatch running? stop it, or choose another port there (0: any free one)"
            }
            io::ErrorKind::PermissionDenied => "choose a port from 1024 on",
            _ => "choose an address of this machine",
        };
        BindError { table, listen, source, advice }
    })
}

fn listener(listen: SocketAddr) -> io::Result<TcpListener> {
    let socket = if listen.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    // Connections have it from here.
    socket.set_send_buffer_size(SEND_BYTES_MAX)?;
    socket.bind(listen)?;
    socket.listen(BACKLOG)
}

/// Serves until `stop` turns true or its sender is gone.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    connections_max: usize,
    mut stop: watch::Receiver<bool>,
) {
    let router = router.layer(middleware::from_fn(limit_time)).layer(DefaultBodyLimit::max(BODY_BYTES_MAX));
    let places = Arc::new(Semaphore::new(connections_max));
    loop {
        // The place is taken before accepting, so that waiting clients wait in the kernel's queue.
        let accepted = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            accepted = async {
                let place = Arc::clone(&places).acquire_owned().await.ok()?;
                Some((listener.accept().await, place))
            } => accepted,
        };
        let Some((accepted, place)) = accepted else {
            return;
        };
        match accepted {
            Ok((stream, _)) => {
                let connection = connection(stream, router.clone());
                tokio::spawn(async move {
                    connection.await;
                    drop(place);
                });
            }
            Err(error) => {
                // Most likely out of file descriptors: that passes, and spinning would not help.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, router: Router) {
    let mut served = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_READ_MAX)
            .max_headers(HEADERS_MAX)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
    );
    let mut ended = timeout(CONNECTION_MAX, served.as_mut()).await;
    if ended.is_err() {
        served.as_mut().graceful_shutdown();
        ended = timeout(CONNECTION_MAX, served).await;
    }
    if let Ok(Err(error)) = ended {
        tracing::debug!(%error, "an HTTP connection ended early");
    }
}

async fn limit_time(request: Request, next: Next) -> Response {
    match timeout(REQUEST_MAX, next.run(request)).await {
        Ok(response) => response,
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "took too long\n").into_response(),
    }
}
