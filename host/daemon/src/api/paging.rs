//! Lists come in pages: so many at once, and where to go on.

use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::problem::Problem;

const LIMIT_USUAL: usize = 100;
const LIMIT_MAX: usize = 500;

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// `cursor` of the next page; null: this is the last one.
    pub next: Option<String>,
    /// Items on all pages.
    pub total: u64,
}

/// Which page of a list.
#[derive(Debug, Default, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Paging {
    /// Items on the page: 1 to 500; 100 if not said.
    pub limit: Option<usize>,
    /// `next` of the page before.
    pub cursor: Option<String>,
}

impl Paging {
    pub fn limit(&self) -> Result<usize, Problem> {
        limit_of(self.limit)
    }

    /// The cursor where it is a number.
    pub fn number(&self) -> Result<Option<u64>, Problem> {
        number_of(self.cursor.as_deref())
    }
}

pub fn limit_of(limit: Option<usize>) -> Result<usize, Problem> {
    match limit.unwrap_or(LIMIT_USUAL) {
        limit if (1..=LIMIT_MAX).contains(&limit) => Ok(limit),
        limit => Err(Problem::bad(format!("limit: {limit} is not from 1 to {LIMIT_MAX}"))),
    }
}

pub fn number_of(cursor: Option<&str>) -> Result<Option<u64>, Problem> {
    let wrong = |_| Problem::bad("cursor: is none of ours; give `next` of the page before, or none");
    cursor.map(|cursor| cursor.parse().map_err(wrong)).transpose()
}

impl<T> Page<T> {
    /// All items there are, of which the page begins at `start`.
    pub fn of(all: Vec<T>, start: u64, limit: usize) -> Page<T> {
        let total = all.len() as u64;
        let items: Vec<T> = all.into_iter().skip(start as usize).take(limit).collect();
        let end = start.saturating_add(items.len() as u64);
        Page { items, next: (end < total).then(|| end.to_string()), total }
    }
}

/// The one part of the path that is a name; what is wrong with it is a problem of ours, not of the library's.
pub struct Named(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::<String>::from_request_parts(parts, state).await {
            Ok(Path(name)) => Ok(Named(name)),
            Err(rejection) => Err(Problem::bad(rejection.body_text())),
        }
    }
}

/// The parameters behind the question mark; what is wrong with them is a problem of ours, not of the library's.
pub struct Params<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(params)) => Ok(Params(params)),
            Err(rejection) => Err(Problem::bad(rejection.body_text())),
        }
    }
}
