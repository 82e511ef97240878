#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

fn any_port() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

async fn started(ready: Readiness) -> Servers {
    let probes = Probes { ready, ..Probes::default() };
    start([any_port(); 2], Ports::Exactly, probes, Router::new(), Arc::new(|| "gridwatch_up 1\n".to_owned()))
        .await
        .unwrap()
}

/// Status line and body.
async fn ask(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

#[tokio::test]
async fn readiness_lists_what_is_missing_and_then_is_ready() {
    let readiness = Readiness::default();
    let source = readiness.condition("source");
    let detectors = readiness.condition("detectors");
    let servers = started(readiness).await;
    assert_eq!(ask(servers.api, "/healthz").await, (200, "{\"status\":\"alive\"}\n".to_owned()));

    source.ready();
    detectors.failed("limits.wasm: no component");
    let (status, body) = ask(servers.api, "/readyz").await;
    assert_eq!(status, 503);
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&body).unwrap(),
        json!({"status": "not ready", "missing":
            {"detectors": {"state": "failed", "reason": "limits.wasm: no component"}}})
    );

    detectors.ready();
    assert_eq!(ask(servers.api, "/readyz").await, (200, "{\"status\":\"ready\"}\n".to_owned()));
}

#[tokio::test]
async fn a_process_that_is_stuck_is_not_alive() {
    let probes = Probes::default();
    let intake = probes.alive.condition("intake");
    intake.failed("has not come back for 61 s");
    let servers =
        start([any_port(); 2], Ports::Exactly, probes, Router::new(), Arc::new(String::new)).await.unwrap();
    let (status, body) = ask(servers.api, "/healthz").await;
    assert_eq!(status, 503);
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&body).unwrap(),
        json!({"status": "stuck", "missing":
            {"intake": {"state": "failed", "reason": "has not come back for 61 s"}}})
    );
    intake.ready();
    assert_eq!(ask(servers.api, "/healthz").await.0, 200);
}

#[tokio::test]
async fn metrics_have_a_port_of_their_own() {
    let servers = started(Readiness::default()).await;
    assert_eq!(ask(servers.metrics, "/metrics").await, (200, "gridwatch_up 1\n".to_owned()));
    assert_eq!(ask(servers.api, "/metrics").await.0, 404);
}

#[tokio::test]
async fn a_port_in_use_is_told_with_what_to_change() {
    let servers = started(Readiness::default()).await;
    let error = start(
        [any_port(), servers.metrics],
        Ports::Exactly,
        Probes::default(),
        Router::new(),
        Arc::new(String::new),
    )
    .await
    .unwrap_err()
    .to_string();
    assert!(error.starts_with(&format!("[metrics] listen = \"{}\": ", servers.metrics)), "{error}");
    assert!(error.contains("choose another port"), "{error}");
}

#[tokio::test]
async fn connections_are_limited_and_places_come_back() {
    let servers = started(Readiness::default()).await;
    let mut idle = Vec::new();
    for _ in 0..API_CONNECTIONS_MAX {
        let mut stream = TcpStream::connect(servers.api).await.unwrap();
        // An answer shows that the connection has its place; keep-alive then holds it.
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut byte = [0];
        stream.read_exact(&mut byte).await.unwrap();
        idle.push(stream);
    }
    let waiting = ask(servers.api, "/healthz");
    tokio::pin!(waiting);
    assert!(
        tokio::time::timeout(Duration::from_millis(100), &mut waiting).await.is_err(),
        "one more at once"
    );
    drop(idle);
    assert_eq!(waiting.await.0, 200);
}

#[tokio::test]
async fn too_large_a_head_is_refused() {
    let servers = started(Readiness::default()).await;
    let mut stream = TcpStream::connect(servers.api).await.unwrap();
    let head = format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(40_000));
    // The server may close before all is written.
    let _ = stream.write_all(head.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 431"), "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn the_servers_stop_when_dropped() {
    let servers = started(Readiness::default()).await;
    let api = servers.api;
    drop(servers);
    let refused = async {
        while TcpStream::connect(api).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), refused).await.expect("still listens");
}
