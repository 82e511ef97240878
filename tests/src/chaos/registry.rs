//! The schema registry is away, slow, or answers nonsense, while schemas go on evolving: what is known goes on, what
//! is not waits, and in the end everything is checked by the schema that it names.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use gridwatch_connectors::simulator::FaultKind;
use gridwatch_core::schema::frame;
use rand::RngExt;
use rand::seq::SliceRandom;
use serde_json::{Value, json};

use super::load::Record;
use super::{
    Load, Offsets, Order, Output, PEAK_MIB_MAX, Process, Promise, Stage, Verdict, calm, pass, until,
};
use crate::servers::{Answer, Kafka, Proxy, Registry};

const RATE: u64 = 3_000;
const NAME: &str = "registry";
const SUBJECT: &str = "readings-value";
/// One of so many readings is not as its schema wants it, names a schema that there is not, or is not framed.
const INVALID_EVERY: u64 = 89;
const UNKNOWN_EVERY: u64 = 97;
const PLAIN_EVERY: u64 = 7;
/// No registry gives such an id.
const UNKNOWN: u32 = 900_000;
const HALF: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{\"schema\":";
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone, Copy)]
enum Trouble {
    Away,
    Silent,
    /// Slower than anybody waits for.
    Slow,
    /// An answer that breaks off.
    Half,
    Garbage,
    Broken,
}

const TROUBLES: [Trouble; 6] =
    [Trouble::Away, Trouble::Silent, Trouble::Slow, Trouble::Half, Trouble::Garbage, Trouble::Broken];

impl Trouble {
    fn begin(self, proxy: &Proxy) {
        match self {
            Trouble::Away => proxy.cut(),
            Trouble::Silent => proxy.black_hole(),
            Trouble::Slow => proxy.delay(Duration::from_millis(700)),
            Trouble::Half => proxy.answer(Answer::raw(HALF)),
            Trouble::Garbage => proxy.answer(Answer::garbage()),
            Trouble::Broken => proxy.answer(Answer::status(500)),
        }
    }
}

pub fn play(order: &Order) -> Verdict {
    let rounds = order.count(1, 10);
    let longest_ms = order.pick(500, 5_000);
    let mut random = order.random();
    let stage = Stage::new(NAME, order.seed, Kafka::setup());
    let registry = Registry::start();
    let proxy = Proxy::to(registry.port());
    let bootstrap = stage.kafka.bootstrap();
    let deployment = stage.deployment(NAME).checked_by(&proxy.url());
    let offsets = Offsets::of(&deployment, &bootstrap);
    let versions = Versions::of(&registry);
    let load = Load::shaped(&bootstrap, order.seed, RATE, FaultKind::ALL.to_vec(), versions.shape());
    let mut process = deployment.process("a");
    process.start();
    process.until_it_has_lanes();
    let mut kills = 0;
    for _ in 0..rounds {
        let mut troubles = TROUBLES;
        troubles.shuffle(&mut random);
        for trouble in troubles {
            trouble.begin(&proxy);
            let mut missed = failures(&process);
            versions.evolve(&registry);
            if random.random_bool(0.3) {
                // The next life knows no schema at all.
                process.kill();
                process.start();
                (kills, missed) = (kills + 1, 0.0);
            }
            until("the registry to be missed", PATIENCE, || {
                process.check();
                failures(&process) > missed
            });
            pass(Duration::from_millis(random.random_range(0..longest_ms)));
            proxy.forward();
            until("an answer to all questions", PATIENCE, || {
                process.check();
                process.metric("gridwatch_schemas_waiting").iter().sum::<f64>() == 0.0
                    && !process.metric("gridwatch_schemas_waiting").is_empty()
            });
        }
    }
    load.stop();
    offsets.until_all_is_judged(&mut [&mut process]);
    process.stop();
    let peak = process.peak_mib();
    let expected = calm(&stage, &deployment);
    let seen = Output::of(&deployment, &bootstrap);
    let letters = |reason: &str| {
        let letters = expected.dead_letters.values().flatten();
        letters.filter(|letter| letter.id.ends_with(&format!("/{reason}"))).count()
    };
    let (unknown, invalid) = (letters("unknown_schema"), letters("schema_violation"));
    Verdict::of(NAME, order.seed, Promise::ExactlyOnce, &expected, &seen)
        .disturbed(
            format!(
                "{rounds} x away, silent, slow, half, garbage, 500, with {} versions of a schema and {kills} kills",
                versions.latest()
            ),
            offsets.readings(),
        )
        .note(format!("{unknown} of unknown schemas, {invalid} against theirs"))
        .note(format!("peak {peak} MiB"))
        .require(unknown > 0 && invalid > 0, "no schema was unknown, or none was violated")
        .require(peak <= PEAK_MIB_MAX, "memory is not bounded")
        .end(&stage)
}

fn failures(process: &Process) -> f64 {
    process.metric("gridwatch_registry_failures_total").iter().sum()
}

/// A schema that evolves: version n wants readings to say that their firmware is n.
struct Versions {
    /// The latest version, and the id that the registry has given it.
    latest: Arc<(AtomicU32, AtomicU32)>,
}

impl Versions {
    fn of(registry: &Registry) -> Versions {
        let versions = Versions { latest: Arc::default() };
        versions.evolve(registry);
        registry.set_compatibility(SUBJECT, "NONE");
        versions
    }

    fn latest(&self) -> u32 {
        self.latest.0.load(Ordering::Relaxed)
    }

    /// Whoever sends the next reading names the new version.
    fn evolve(&self, registry: &Registry) {
        let version = self.latest() + 1;
        let id = registry.register(SUBJECT, &schema(version));
        self.latest.1.store(u32::try_from(id).unwrap(), Ordering::Relaxed);
        self.latest.0.store(version, Ordering::Release);
    }

    fn shape(&self) -> impl FnMut(u64, Record) -> Vec<Record> + Send + 'static {
        let latest = self.latest.clone();
        move |number, mut record| {
            if number.is_multiple_of(PLAIN_EVERY) {
                return vec![record];
            }
            let version = latest.0.load(Ordering::Acquire);
            let mut id = latest.1.load(Ordering::Relaxed);
            if number.is_multiple_of(UNKNOWN_EVERY) {
                id = UNKNOWN + (number % 3) as u32;
            }
            let firmware = if number.is_multiple_of(INVALID_EVERY) { 0 } else { version };
            let mut payload = Vec::new();
            frame(id, &mut payload);
            payload.extend(with_firmware(&record.payload, firmware));
            record.payload = payload;
            vec![record]
        }
    }
}

fn schema(version: u32) -> Value {
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "required": ["sensor_id", "timestamp", "firmware"],
        "properties": {"firmware": {"const": format!("v{version}")}},
    })
}

/// What is half a reading stays half of one.
fn with_firmware(json: &[u8], version: u32) -> Vec<u8> {
    match json.strip_suffix(b"}") {
        Some(open) => [open, format!(",\"firmware\":\"v{version}\"}}").as_bytes()].concat(),
        None => json.to_vec(),
    }
}
