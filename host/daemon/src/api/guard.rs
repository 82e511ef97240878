//! Who may ask at all. A page from elsewhere, open in somebody's browser, must neither drive nor read what listens
//! on loopback: names that are no addresses are refused unless they are known (a page may make its own name point
//! here), and so is what a browser says comes from another origin.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Api;
use super::problem::Problem;

pub const BODY_BYTES_MAX: u64 = 64 << 10;
/// Requests that may come at once, and so many more each second.
const REQUESTS_AT_ONCE: f64 = 600.0;
const REQUESTS_PER_SECOND: f64 = 200.0;
/// The same for what changes something.
const CHANGES_AT_ONCE: f64 = 10.0;
const CHANGES_PER_SECOND: f64 = 0.5;

pub struct Guard {
    /// Names by which this may be called, beside addresses and `localhost`.
    hosts: Vec<String>,
    requests: Bucket,
    changes: Bucket,
}

impl Guard {
    pub fn new(hosts: Vec<String>) -> Guard {
        Guard {
            hosts,
            requests: Bucket::new(REQUESTS_AT_ONCE, REQUESTS_PER_SECOND),
            changes: Bucket::new(CHANGES_AT_ONCE, CHANGES_PER_SECOND),
        }
    }

    /// `is_trusted`: who asks has the token, and does not wait because others ask too much.
    fn check(&self, request: &Request, is_trusted: bool) -> Result<(), Problem> {
        let headers = request.headers();
        let mut hosts = headers.get_all(header::HOST).iter();
        let named = hosts.next().and_then(|host| host.to_str().ok()).unwrap_or("");
        // Of two names somebody on the way may have looked at the other one; one in the target stands above the header.
        if hosts.next().is_some() {
            return Err(Problem::bad("there are two Host headers"));
        }
        let host = request.uri().authority().map_or(named, |authority| authority.as_str());
        if !self.is_ours(host) {
            let detail = format!(
                "the name \"{}\" is not one of this server's; call it by its address or as localhost, or add the name \
                 to [api] hosts",
                name_of(host).unwrap_or("")
            );
            return Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, detail));
        }
        // A link from elsewhere may lead to the dashboard; what that asks for comes from itself.
        let is_page = !request.uri().path().starts_with("/api/");
        if is_foreign(headers, host) && !(is_page && request.method() == Method::GET) {
            return Err(Problem::forbidden("pages of other origins have no business here"));
        }
        let length =
            headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if length.is_some_and(|length| length > BODY_BYTES_MAX) {
            let detail = format!("a body has at most {BODY_BYTES_MAX} bytes");
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail));
        }
        if is_trusted || self.requests.take() { Ok(()) } else { Err(too_many()) }
    }

    /// Whether one more change is taken now.
    pub fn admits_change(&self) -> Result<(), Problem> {
        if self.changes.take() { Ok(()) } else { Err(too_many()) }
    }

    fn is_ours(&self, host: &str) -> bool {
        let Some(name) = name_of(host) else { return false };
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        bare.parse::<IpAddr>().is_ok()
            || name.eq_ignore_ascii_case("localhost")
            || self.hosts.iter().any(|ours| ours.eq_ignore_ascii_case(name))
    }
}

fn too_many() -> Problem {
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "too many at once; wait for a few seconds")
}

/// Without the port.
fn name_of(host: &str) -> Option<&str> {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    (!name.is_empty()).then_some(name)
}

/// Whether a browser says that another origin's page asks.
fn is_foreign(headers: &HeaderMap, host: &str) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("null"));
    let is_cross = text("sec-fetch-site").is_some_and(|site| site == "cross-site" || site == "same-site");
    let other = text("origin").is_some_and(|origin| {
        let of = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        !of.is_some_and(|of| of.eq_ignore_ascii_case(host))
    });
    is_cross || other
}

/// Before everything else but the probes.
pub async fn guard(State(api): State<Api>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let is_trusted = headers.contains_key(header::AUTHORIZATION) && api.token().check(headers).is_ok();
    match api.guard.check(&request, is_trusted) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

/// Fills with time, and is emptied by requests.
struct Bucket {
    size: f64,
    per_second: f64,
    level: Mutex<(f64, Instant)>,
}

impl Bucket {
    fn new(size: f64, per_second: f64) -> Bucket {
        Bucket { size, per_second, level: Mutex::new((size, Instant::now())) }
    }

    fn take(&self) -> bool {
        let mut level = self.level.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let gained = now.duration_since(level.1).as_secs_f64() * self.per_second;
        *level = ((level.0 + gained).min(self.size), now);
        let is_there = level.0 >= 1.0;
        if is_there {
            level.0 -= 1.0;
        }
        is_there
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use axum::body::Body;

    use super::*;

    fn status(method: &str, path: &str, headers: &[(&str, &str)]) -> u16 {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let guard = Guard::new(vec!["grid.example".to_owned()]);
        guard
            .check(&request.body(Body::empty()).unwrap(), false)
            .map_or_else(|problem| problem.status, |()| 200)
    }

    #[test]
    fn names_that_are_not_ours_are_refused() {
        for host in
            ["localhost", "localhost:8081", "127.0.0.1:8081", "[::1]:8081", "10.0.0.7", "GRID.example:80"]
        {
            assert_eq!(status("GET", "/api/v1/overview", &[("host", host)]), 200, "{host}");
        }
        for host in [
            "",
            ":8081",
            "evil.example",
            "localhost.evil.example:8081",
            "127.0.0.1.evil.example",
            "x@127.0.0.1",
        ] {
            assert_eq!(status("GET", "/", &[("host", host)]), 421, "{host}");
        }
        assert_eq!(status("GET", "/", &[]), 421);
        let ours = ("host", "localhost:8081");
        assert_eq!(status("GET", "/", &[ours, ("host", "evil.example")]), 400);
        assert_eq!(status("GET", "http://evil.example/", &[ours]), 421, "what the target says counts");
        assert_eq!(status("GET", "http://localhost:8081/", &[ours]), 200);
    }

    #[test]
    fn a_page_from_elsewhere_neither_drives_nor_reads() {
        let host = ("host", "localhost:8081");
        let ours = ("origin", "http://localhost:8081");
        assert_eq!(status("POST", "/api/v1/detectors/a/rollback", &[host, ours]), 200);
        for foreign in ["http://evil.example", "http://localhost:9999", "null", "https://localhost"] {
            for method in ["GET", "POST", "DELETE"] {
                let status = status(method, "/api/v1/overview", &[host, ("origin", foreign)]);
                assert_eq!(status, 403, "{method} {foreign}");
            }
        }
        let cross = ("sec-fetch-site", "cross-site");
        assert_eq!(status("GET", "/api/v1/events", &[host, cross]), 403, "as an image, without an origin");
        assert_eq!(status("GET", "/", &[host, cross]), 200, "a link to the dashboard");
        assert_eq!(status("POST", "/", &[host, cross]), 403);
    }

    #[test]
    fn changes_come_one_after_the_other() {
        let bucket = Bucket::new(CHANGES_AT_ONCE, 0.0);
        assert_eq!((0..100).filter(|_| bucket.take()).count(), 10);
    }
}
