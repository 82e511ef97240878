//! What must become of a message, said without lanes, templates, threads or a broker.

use std::collections::BTreeMap;

use gridwatch_connectors::registry::{Compiled, Definition};
use gridwatch_core::decode::{DecodeSettings, Decoder};
use gridwatch_core::reading::Reading;
use gridwatch_core::schema::Schema;
use serde_json::Value;

use super::RECORD_BYTES_MAX;
use super::sending::Sent;

/// `time_ahead_reject_max`, unless said otherwise.
const AHEAD_MS_MAX: i64 = 2 * 86_400_000;
pub const JUDGED: &str = "judged";

/// For one lane: which quantities are known follows from its messages so far.
pub struct Oracle {
    schemas: BTreeMap<u32, Compiled>,
    decoder: Decoder,
    reading: Reading,
    stored_ms: i64,
}

impl Oracle {
    /// `known` are the registry's schemas, by id; every record is stored at `stored_ms`.
    pub fn new(known: &[(i32, &Value)], stored_ms: i64) -> Oracle {
        let compiled = |(id, schema): &(i32, &Value)| {
            let definition = Definition { text: schema.to_string(), references: BTreeMap::new() };
            (u32::try_from(*id).unwrap(), Compiled::new(&definition).unwrap())
        };
        let decoder = Decoder::new(&DecodeSettings::default(), Vec::new()).unwrap().without_templates();
        let schemas = known.iter().map(compiled).collect();
        Oracle { schemas, decoder, reading: Reading::default(), stored_ms }
    }

    /// `judged`, or the reason of the dead letter, of each message of the lane.
    pub fn of_lane(mut self, sent: &[Sent]) -> Vec<&'static str> {
        sent.iter().map(|message| self.of(message.bytes())).collect()
    }

    fn of(&mut self, record: &[u8]) -> &'static str {
        if record.len() > RECORD_BYTES_MAX {
            return "too_large";
        }
        let body = match record {
            [0, a, b, c, d, body @ ..] => {
                let Some(schema) = self.schemas.get(&u32::from_be_bytes([*a, *b, *c, *d])) else {
                    return "unknown_schema";
                };
                if schema.violation(body).is_some() {
                    return "schema_violation";
                }
                body
            }
            [0, ..] => return "truncated_frame",
            plain => plain,
        };
        match self.decoder.decode(body, &mut self.reading) {
            Err(rejection) => rejection.reason.name(),
            Ok(()) if self.reading.timestamp - self.stored_ms > AHEAD_MS_MAX => "time_ahead",
            Ok(()) => JUDGED,
        }
    }
}
