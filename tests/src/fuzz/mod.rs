//! Messages of all kinds through the real broker and the real binary: each is judged or lies in the
//! dead-letter topic with the reason that it must have, as it was, and once.
//!
//! - `sending`  real messages changed from a seed, under odd keys, with odd headers, with and without a schema's id
//! - `oracle`   what must become of each: serde_json's decoder, the schema, the clock
//! - `account`  what became of them, against that
//!
//! The changes are those that the decoder alone is fuzzed with.

mod account;
mod oracle;
mod sending;

#[path = "../../../host/core/tests/fuzz_decode/mutate.rs"]
mod mutate;
#[allow(dead_code)]
#[path = "../../../host/core/tests/fuzz_decode/shapes.rs"]
mod shapes;
#[allow(dead_code)]
#[path = "../../../host/core/tests/fuzz_decode/twins.rs"]
mod twins;

use std::time::{SystemTime, UNIX_EPOCH};

use gridwatch_core::schema::READING;
use serde_json::{Value, json};

use crate::chaos::{Offsets, Stage};
use crate::servers::{Kafka, Registry};

pub use account::Account;
use oracle::Oracle;

const NAME: &str = "fuzz";
/// A longer record is refused, and only its beginning kept.
const RECORD_BYTES_MAX: usize = 16 << 10;

/// Sends so many messages through a broker of its own, and settles the account. The seed gives the same
/// messages again.
pub fn play(seed: u64, messages: usize) -> Account {
    let stage = Stage::new(NAME, seed, Kafka::setup());
    let registry = Registry::setup().compatibility("NONE").start();
    let mut strict: Value = serde_json::from_str(READING).unwrap();
    strict["properties"]["voltage"] = json!({"type": "number", "minimum": 200, "maximum": 250});
    strict["required"] = json!(["sensor_id", "timestamp", "voltage"]);
    let schemas = [serde_json::from_str(READING).unwrap(), strict];
    let known: Vec<(i32, &Value)> =
        schemas.iter().map(|schema| (registry.register("readings-value", schema), schema)).collect();
    // Tables of TOML stand in any order: these two come behind that of the engine.
    let deployment = stage.deployment(NAME).engine(&format!(
        "[registry]\nurl = \"{}\"\n[decode]\nrecord_bytes_max = \"{RECORD_BYTES_MAX}B\"\n",
        registry.url(),
    ));
    let bootstrap = stage.kafka.bootstrap();
    let mut process = deployment.process("a");
    process.start();
    let now_ms = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
    let sent = sending::send(&bootstrap, seed, messages, now_ms);
    Offsets::of(&deployment, &bootstrap).until_all_is_judged(&mut [&mut process]);
    let mut account = Account::new(seed, messages);
    let oracle = || Oracle::new(&known, now_ms);
    account.expect(sent.iter().map(|lane| oracle().of_lane(lane)).collect());
    account.compare_letters(&bootstrap, &deployment.dead_letters(), &sent, now_ms);
    account.compare_metrics(&process);
    account.look_at_anomalies(&bootstrap, &deployment.anomalies());
    process.stop();
    account.peak_mib = process.peak_mib();
    account.require(process.logged("panicked") == 0, || "something panicked; see the log".to_owned());
    if account.is_good() {
        stage.clear();
    }
    account
}
