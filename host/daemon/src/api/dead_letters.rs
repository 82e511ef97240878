//! Dead letters: how many of each reason, and some of them.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use gridwatch_core::time::rfc3339;
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::seen::Sample;
use crate::wiring;

/// Records that were no readings.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeadLetters {
    pub total: u64,
    pub by_reason: BTreeMap<&'static str, u64>,
    /// Some of the last ones, the newest first.
    pub samples: Vec<Letter>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Letter {
    pub at: String,
    pub reason: &'static str,
    pub detail: String,
    /// Lane and position.
    pub source: String,
    /// The record, or its beginning: as text, or as base64 where it is no UTF-8.
    pub bytes: String,
    pub is_base64: bool,
    /// Of the whole record.
    pub bytes_total: usize,
}

/// What was no reading and why, with samples of the last ones. All of them are in the dead letters' topic or file.
#[utoipa::path(get, path = "/dead-letters", tag = "pipeline", responses((status = 200, body = DeadLetters)))]
pub async fn dead_letters(State(api): State<Api>) -> Json<DeadLetters> {
    let account = wiring::account_of(&api.running.snapshot());
    Json(DeadLetters {
        total: account.dead_lettered(),
        by_reason: account.dead_letters,
        samples: api.seen.letters.newest_first().into_iter().map(of).collect(),
    })
}

fn of(sample: Sample) -> Letter {
    let cut = sample.bytes.len() < sample.bytes_total;
    let text = match std::str::from_utf8(&sample.bytes) {
        Ok(text) => Some(text),
        // Cut in the midst of a character.
        Err(error) if cut && error.error_len().is_none() => {
            std::str::from_utf8(&sample.bytes[..error.valid_up_to()]).ok()
        }
        Err(_) => None,
    };
    Letter {
        at: rfc3339(sample.at),
        reason: sample.reason,
        detail: sample.detail,
        source: format!("{}@{}", sample.lane, sample.position),
        is_base64: text.is_none(),
        bytes: text.map_or_else(|| BASE64.encode(&sample.bytes), str::to_owned),
        bytes_total: sample.bytes_total,
    }
}
