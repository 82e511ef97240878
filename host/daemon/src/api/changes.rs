//! What changes what runs. It needs the token, and takes effect by way of the roster, on all lanes of all processes
//! that follow it, as `gridwatch rollback` does.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode};
use gridwatch_core::roster::{Mode, Proposal, Removal, Unmoved, Which};
use gridwatch_engine::foundry::rosters::RosterLogError;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Api;
use super::aside::aside;
use super::paging::Named;
use super::problem::Problem;
use crate::foundry::{By, Entry, What};

/// It is to be so; lanes come to it within a second or two, and events tell of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Proposed {
    /// Of the roster.
    pub generation: u64,
}

/// What came last under the name is taken back: a shadow is taken out; where there is none, what ran before runs again,
/// with its state. The file in the directory is refused until it changes.
#[utoipa::path(post, path = "/detectors/{name}/rollback", tag = "changes", security(("token" = [])),
    params(("name" = String, Path, description = "The detector's name")),
    responses((status = 202, body = Proposed),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "Nothing is live, or nothing ran before it"),
        (status = 429, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json", description = "The store is away")))]
pub async fn rollback(
    State(api): State<Api>,
    Named(name): Named,
    headers: HeaderMap,
) -> Result<(StatusCode, Json<Proposed>), Problem> {
    let reason = "by hand, by way of the API".to_owned();
    propose(&api, &headers, Proposal::RollBack { name, which: Which::Last, reason }).await
}

/// What is to become of what is there under the name.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WantedMode {
    pub mode: ModeName,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ModeName {
    /// It is heard; what shadows is promoted.
    Live,
    /// It judges, and is not heard.
    Shadow,
    /// It does not run.
    Off,
}

/// Whether what is there under the name is heard: a shadow is promoted, what runs is made silent or stopped. Which it is
/// already is a conflict, and so is a shadow where one is.
#[utoipa::path(post, path = "/detectors/{name}/mode", tag = "changes", security(("token" = [])),
    request_body = WantedMode,
    params(("name" = String, Path, description = "The detector's name")),
    responses((status = 202, body = Proposed),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 413, body = Problem, content_type = "application/problem+json"),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json"),
        (status = 429, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json")))]
pub async fn mode(
    State(api): State<Api>,
    Named(name): Named,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<Proposed>), Problem> {
    api.token().check(&headers)?;
    let body = body.map_err(|rejected| Problem::new(rejected.status(), rejected.body_text()))?;
    let wanted: WantedMode = serde_json::from_slice(&body).map_err(|error| {
        Problem::bad(format!("{error}; write for example {{\"mode\": \"live\"}}, or \"shadow\", or \"off\""))
    })?;
    let proposal = match wanted.mode {
        ModeName::Live => Proposal::SetMode { name, mode: Mode::Live },
        ModeName::Shadow => Proposal::SetMode { name, mode: Mode::Shadow },
        ModeName::Off => Proposal::Remove { name, why: Removal::Off },
    };
    propose(&api, &headers, proposal).await
}

/// A quarantined detector is to judge again at once, with what it knew. Where no lane has it quarantined, nothing comes
/// of it but a generation.
#[utoipa::path(post, path = "/detectors/{name}/release", tag = "changes", security(("token" = [])),
    params(("name" = String, Path, description = "The detector's name")),
    responses((status = 202, body = Proposed),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json"),
        (status = 429, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json")))]
pub async fn release(
    State(api): State<Api>,
    Named(name): Named,
    headers: HeaderMap,
) -> Result<(StatusCode, Json<Proposed>), Problem> {
    propose(&api, &headers, Proposal::Release { name }).await
}

async fn propose(
    api: &Api,
    headers: &HeaderMap,
    proposal: Proposal,
) -> Result<(StatusCode, Json<Proposed>), Problem> {
    api.token().check(headers)?;
    api.guard.admits_change()?;
    let Some(rosters) = api.rosters() else {
        return Err(Problem::busy("what is to run cannot be changed yet: this process has not begun"));
    };
    let (name, detail) = (proposal.name().to_owned(), proposal.to_string());
    // The store may be far away.
    match aside(move || rosters.propose(&proposal)).await? {
        Ok(roster) => {
            let generation = roster.generation;
            tracing::info!(generation, "proposed by way of the API: {detail}");
            let entry = Entry::new(&name, By::Api, What::Proposed);
            api.history.note(Entry { generation: Some(generation), detail: Some(detail), ..entry });
            Ok((StatusCode::ACCEPTED, Json(Proposed { generation })))
        }
        Err(RosterLogError::Unmoved(unmoved @ Unmoved::Unknown { .. })) => {
            Err(Problem::missing(unmoved.to_string()))
        }
        Err(RosterLogError::Unmoved(unmoved)) => Err(Problem::new(StatusCode::CONFLICT, unmoved.to_string())),
        Err(error) => Err(Problem::busy(error.to_string())),
    }
}
