//! One request and its answer, told apart by what went wrong.

use std::error::Error;
use std::io;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Response, StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::error::RegistryError;
use super::{Credentials, Settings};

/// A schema of this size is no schema of a message.
const BODY_BYTES_MAX: usize = 1 << 20;
/// Of what is no answer, so much is quoted.
const QUOTE_BYTES_MAX: usize = 200;
/// A connection is kept for the next of a row of questions, and no longer: between calls nobody would
/// notice that the other end has closed it.
const IDLE: Duration = Duration::from_secs(1);
const MEDIA_TYPE: &str = "application/vnd.schemaregistry.v1+json";

/// The protocol's codes for a subject, a version and a schema that are not there.
const ABSENT_CODES: [u32; 3] = [40401, 40402, 40403];

/// Speaks to one registry.
#[derive(Debug)]
pub(super) struct Wire {
    http: Client,
    base: Url,
    place: String,
    timeout: Duration,
}

#[derive(Deserialize)]
struct ErrorBody {
    error_code: u32,
    #[serde(default)]
    message: String,
}

impl Wire {
    pub fn new(settings: &Settings) -> Result<Wire, RegistryError> {
        let wrong = |what: String| RegistryError::Settings { what };
        let base = base_url(&settings.url).map_err(wrong)?;
        let mut headers = HeaderMap::new();
        headers.insert(
            ACCEPT,
            HeaderValue::from_static("application/vnd.schemaregistry.v1+json, application/json"),
        );
        if let Some(credentials) = &settings.credentials {
            let text = match credentials {
                Credentials::Basic { user, password } => {
                    format!("Basic {}", BASE64.encode(format!("{user}:{password}")))
                }
                Credentials::Token(token) => format!("Bearer {token}"),
            };
            let mut value = HeaderValue::try_from(text)
                .map_err(|_| wrong("the token has characters that no HTTP header may have".into()))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let http = Client::builder()
            .default_headers(headers)
            .timeout(settings.timeout)
            .pool_max_idle_per_host(1)
            .pool_idle_timeout(IDLE)
            // Credentials go where the configuration says, and nowhere else.
            .redirect(Policy::none())
            .no_proxy()
            .build()
            .map_err(|error| wrong(format!("cannot make an HTTP client: {}", causes(&error))))?;
        let place = base.as_str().trim_end_matches('/').to_owned();
        Ok(Wire { http, base, place, timeout: settings.timeout })
    }

    pub fn place(&self) -> String {
        self.place.clone()
    }

    pub async fn get<T: DeserializeOwned>(&self, path: &[&str]) -> Result<T, RegistryError> {
        self.ask(Method::GET, path, None, None).await
    }

    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &serde_json::Value,
    ) -> Result<T, RegistryError> {
        self.ask(Method::POST, path, None, Some(body.to_string())).await
    }

    /// The same, where the reasons for a "no" are wanted.
    pub async fn post_verbose<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &serde_json::Value,
    ) -> Result<T, RegistryError> {
        self.ask(Method::POST, path, Some("verbose=true"), Some(body.to_string())).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        query: Option<&str>,
        body: Option<String>,
    ) -> Result<T, RegistryError> {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url.set_query(query);
        let mut request = self.http.request(method, url);
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, MEDIA_TYPE).body(body);
        }
        let response = request.send().await.map_err(|error| self.failed(error))?;
        let status = response.status();
        let bytes = self.body(response).await?;
        if !status.is_success() {
            return Err(self.refused(status, &bytes));
        }
        serde_json::from_slice(&bytes)
            .map_err(|error| self.garbage(format!("{error}; it begins with `{}`", quoted(&bytes))))
    }

    async fn body(&self, mut response: Response) -> Result<Vec<u8>, RegistryError> {
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.failed(error))? {
            if bytes.len() + chunk.len() > BODY_BYTES_MAX {
                return Err(self.garbage(format!("it has more than {BODY_BYTES_MAX} bytes")));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    /// Only a 404 with one of the protocol's codes says that something is not there. Any other comes
    /// from a wrong path or from a proxy, and says nothing about schemas.
    fn refused(&self, status: StatusCode, bytes: &[u8]) -> RegistryError {
        let body: Option<ErrorBody> = serde_json::from_slice(bytes).ok();
        let code = body.as_ref().map(|body| body.error_code);
        let said = match body {
            Some(body) => cut(&body.message, 4 * QUOTE_BYTES_MAX).to_owned(),
            None => format!("it says `{}`", quoted(bytes)),
        };
        if status == StatusCode::NOT_FOUND && code.is_some_and(|code| ABSENT_CODES.contains(&code)) {
            return RegistryError::Absent { place: self.place(), message: said };
        }
        let message = match status.as_u16() {
            401 | 403 => format!("refuses the credentials: {said}"),
            404 => format!("has no such page; does its URL need another path? {said}"),
            300..=399 => format!(
                "answers with a redirect, which is not followed; give the URL that it leads to: {said}"
            ),
            500.. => format!("has failed: {said}"),
            _ => said,
        };
        RegistryError::Refused { place: self.place(), status: status.as_u16(), code, message }
    }

    fn garbage(&self, what: String) -> RegistryError {
        RegistryError::Garbage { place: self.place(), what }
    }

    fn failed(&self, error: reqwest::Error) -> RegistryError {
        if error.is_timeout() {
            return RegistryError::Slow { place: self.place(), timeout: self.timeout };
        }
        let what = causes(&error);
        if error.is_connect() || sources(&error).any(|source| source.is::<io::Error>()) {
            return RegistryError::Unreachable { place: self.place(), what };
        }
        self.garbage(what)
    }
}

/// What is wrong with a registry's base URL, if anything.
pub fn check_url(text: &str) -> Result<(), String> {
    base_url(text).map(|_| ())
}

fn base_url(text: &str) -> Result<Url, String> {
    // What may hold a password is not repeated.
    let shown = if text.contains('@') { "it".to_owned() } else { format!("\"{text}\"") };
    let url = Url::parse(text).map_err(|error| {
        format!("{shown} is no URL ({error}); write for example \"http://127.0.0.1:8080\"")
    })?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("the URL holds a user or a password; give them apart from it".into());
    }
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("{shown} is no URL with http or https"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(format!("{shown} has a query or a fragment, which a base URL cannot have"));
    }
    Ok(url)
}

fn sources<'a>(error: &'a reqwest::Error) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(error.source(), |error| (*error).source())
}

/// What lies below an error of the HTTP client, whose own text is only where it happened.
fn causes(error: &reqwest::Error) -> String {
    let mut said: Vec<String> = sources(error).map(ToString::to_string).collect();
    said.dedup();
    if said.is_empty() { error.to_string() } else { said.join(": ") }
}

fn quoted(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(QUOTE_BYTES_MAX)]);
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}
