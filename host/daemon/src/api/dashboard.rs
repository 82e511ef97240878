//! The dashboard's files, as they were built into the binary.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::OnceLock;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;

use super::problem::Problem;

include!(concat!(env!("OUT_DIR"), "/dashboard.rs"));

/// The page and its files come from here, and whatever it asks for, too.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// In the place of a dashboard that was not built.
const NOT_BUILT: &str = include_str!("not-built.html");

/// Smaller ones are sent as they are.
const COMPRESSED_BYTES_MIN: usize = 1024;

/// `/` and the files that it names; everything else is not there.
pub async fn dashboard(request: Request) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return super::wrong_method(request.method().clone(), request).await.into_response();
    }
    let path = match request.uri().path() {
        "/" => "/index.html",
        path => path,
    };
    let file = FILES.iter().find(|(name, _)| *name == path);
    match file {
        Some((name, bytes)) => answer(name, bytes, request.headers()),
        None if path == "/index.html" => answer("/index.html", NOT_BUILT.as_bytes(), request.headers()),
        None => Problem::missing(format!(
            "there is nothing at {path}; the dashboard is at /, the API at /api/v1, and /api/v1/openapi.json says what it has"
        ))
        .into_response(),
    }
}

fn answer(name: &'static str, bytes: &'static [u8], headers: &HeaderMap) -> Response {
    // Files with a hash in their names are never others.
    let cache = if name.starts_with("/assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
    let head: [(HeaderName, &str); 3] = [
        (header::CONTENT_TYPE, content_type(name)),
        (header::CACHE_CONTROL, cache),
        (header::VARY, "accept-encoding"),
    ];
    let is_small = headers
        .get(header::ACCEPT_ENCODING)
        .and_then(|accepted| accepted.to_str().ok())
        .is_some_and(|accepted| accepted.split(',').any(takes_gzip));
    match compressed().get(name).filter(|_| is_small) {
        Some(small) => {
            (StatusCode::OK, head, [(header::CONTENT_ENCODING, "gzip")], small.as_slice()).into_response()
        }
        None => (StatusCode::OK, head, bytes).into_response(),
    }
}

/// One of `Accept-Encoding`: a quality of zero is a refusal.
fn takes_gzip(accepted: &str) -> bool {
    let mut parts = accepted.split(';').map(str::trim);
    let quality = |part: &str| part.strip_prefix("q=").and_then(|quality| quality.parse::<f32>().ok());
    parts.next() == Some("gzip") && !parts.any(|part| quality(part) == Some(0.0))
}

/// Made when first asked for.
fn compressed() -> &'static BTreeMap<&'static str, Vec<u8>> {
    static COMPRESSED: OnceLock<BTreeMap<&'static str, Vec<u8>>> = OnceLock::new();
    COMPRESSED.get_or_init(|| {
        let worth = FILES.iter().filter(|(name, bytes)| bytes.len() >= COMPRESSED_BYTES_MIN && is_text(name));
        worth.filter_map(|(name, bytes)| Some((*name, gzip(bytes)?))).collect()
    })
}

fn gzip(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok()
}

fn is_text(name: &str) -> bool {
    [".html", ".js", ".css", ".svg", ".json"].iter().any(|end| name.ends_with(end))
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, end)| end) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("json" | "webmanifest") => "application/json",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    }
}

/// On everything that this port answers.
pub fn security_headers() -> [(HeaderName, &'static str); 4] {
    [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ]
}
