//! Configuration: a TOML file in, checked types out, or every mistake at once.

mod assets;
mod checkpoints;
mod columns;
mod decode;
mod detectors;
mod engine;
mod kafka;
mod mistake;
mod outputs;
mod parameters;
mod registry;
mod scalar;
mod secret;
mod section;
mod source;

#[cfg(test)]
mod tests;

use std::fs::Metadata;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use assets::AssetTable;
pub use checkpoints::{Checkpoints, OnMissing, Place};
pub use detectors::{DetectorSettings, Detectors, read_settings};
pub use engine::{Engine, is_instance_name};
pub use kafka::{KafkaSource, TOPIC as READINGS_TOPIC, is_fit as is_fit_property, secret_in};
pub use mistake::{Mistake, Mistakes};
pub use outputs::{Api, Sink, TOPIC as ANOMALIES_TOPIC};
pub use parameters::{ParameterError, ParameterSchema};
pub use registry::{Registry, UnknownSchema};
pub use scalar::duration as parse_duration;
pub use source::{FileSource, Format, SimulatorSource, Source};

use gridwatch_core::decode::DecodeSettings;
use gridwatch_core::sink::Delivery;

use section::{Document, Section};

/// A configuration file is read whole; a larger one is something else by mistake.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// All of `gridwatch.toml`, checked. Paths are resolved against the file's folder.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    pub file: PathBuf,
    /// `replay` takes its files from the command line instead.
    pub source: Option<Source>,
    pub decode: DecodeSettings,
    pub assets: AssetTable,
    pub sink: Sink,
    pub dead_letters: PathBuf,
    /// The topic that takes their place where the sink is Kafka; `None`: the source's, with `.dlq`.
    pub dead_letters_topic: Option<String>,
    pub detectors: Detectors,
    pub engine: Engine,
    pub checkpoints: Checkpoints,
    /// Without it records are plain, and none is checked against a schema.
    pub registry: Option<Registry>,
    pub api: Api,
    pub metrics_listen: SocketAddr,
}

impl Config {
    /// Where the dead letters of this source go.
    pub fn letters_topic(&self, source: &KafkaSource) -> String {
        self.dead_letters_topic.clone().unwrap_or_else(|| format!("{}.dlq", source.topic))
    }
}

/// Reads and checks a file.
pub fn load(file: &Path) -> Result<Config, Mistakes> {
    read(file, &text_of(file)?)
}

/// Checks the text of a file; `file` is for messages and as the base of paths.
pub fn read(file: &Path, text: &str) -> Result<Config, Mistakes> {
    let document = Document::new(file, text);
    let tree = document.parse();
    let mut root = document.root(&tree);
    let source = source::read(root.section("source"));
    let decode = decode::read(root.section("decode"));
    let assets = assets::read(root.section("assets"));
    let sink = outputs::read_sink(root.section("sink"));
    let (dead_letters, dead_letters_topic) = outputs::read_dead_letters(root.section("dead_letters"));
    let detectors = detectors::read(root.section("detectors"));
    let (mut engine, delivery) = engine::read(root.section("engine"));
    let checkpoints = checkpoints::read(root.section("checkpoints"));
    let registry = registry::read(root.section("registry"));
    let api = outputs::read_api(root.section("api"));
    let metrics_listen = outputs::read_listen(root.section("metrics"), outputs::METRICS_PORT);
    check_delivery(&document, &sink, delivery, &mut engine);
    let config = Config {
        file: file.to_owned(),
        source,
        decode,
        assets,
        sink,
        dead_letters,
        dead_letters_topic,
        detectors,
        engine,
        checkpoints,
        registry,
        api,
        metrics_listen,
    };
    check_places(&mut root, &config);
    check_ends(&mut root, &config);
    columns::check(&mut root, &config);
    root.close();
    document.finish(Some(config))
}

/// What stands in the file, or the one mistake that it cannot be read.
pub fn text_of(file: &Path) -> Result<String, Mistakes> {
    let mistake =
        |message: String| Mistakes(vec![Mistake { file: file.to_owned(), line: None, column: 0, message }]);
    let length = std::fs::metadata(file).map_err(|error| mistake(format!("cannot be read: {error}")))?.len();
    if length > FILE_BYTES_MAX {
        return Err(mistake(format!(
            "has {length} bytes, more than {FILE_BYTES_MAX}: is it a configuration?"
        )));
    }
    std::fs::read_to_string(file).map_err(|error| mistake(format!("cannot be read: {error}")))
}

/// Standard output cannot be cut back to the last commit, so nothing on it is exactly-once.
fn check_delivery(document: &Document<'_>, sink: &Sink, written: Option<usize>, engine: &mut Engine) {
    if *sink != Sink::Stdout {
        return;
    }
    match (written, engine.delivery) {
        (Some(offset), Delivery::ExactlyOnce) => document.mistake(
            offset,
            "delivery: standard output cannot be exactly-once; give [sink] a file, or write \"at-least-once\"",
        ),
        _ => engine.delivery = Delivery::AtLeastOnce,
    }
}

/// Well below the time that a broker gives a transaction.
const TRANSACTION_COMMIT_MAX: Duration = Duration::from_secs(5);

/// Positions of a topic are committed with what goes to topics: Kafka is at both ends or at none.
fn check_ends(root: &mut Section<'_, '_>, config: &Config) {
    let Some(source) = &config.source else { return };
    let is_kafka = matches!(source, Source::Kafka(_));
    let document = root.document();
    let sink = root.section("sink");
    match (is_kafka, &config.sink) {
        (true, Sink::File(_) | Sink::Stdout) => {
            let what = "[sink] kind: a source of kind \"kafka\" goes with a sink of kind \"kafka\"";
            document.mistake(sink.written("kind").unwrap_or(sink.offset()), what);
        }
        (false, Sink::Kafka { .. }) => {
            let what = "kind: a sink of kind \"kafka\" goes with a source of kind \"kafka\"";
            document.mistake(sink.written("kind").unwrap_or(sink.offset()), what);
        }
        _ => {}
    }
    let is_long = config.engine.commit_interval > TRANSACTION_COMMIT_MAX;
    if is_kafka && is_long && config.engine.delivery == Delivery::ExactlyOnce {
        let engine = root.section("engine");
        let what = "commit_interval: at most 5s with a Kafka sink and exactly-once, whose transactions end after 10s";
        document.mistake(engine.written("commit_interval").unwrap_or(engine.offset()), what);
    }
    if let Some(offset) = root.section("dead_letters").written("topic").filter(|_| !is_kafka) {
        document.mistake(offset, "topic: belongs to a source of kind \"kafka\"; name a file by path");
    }
    if let Some(offset) = root.section("dead_letters").written("path").filter(|_| is_kafka) {
        document.mistake(offset, "path: the source is of kind \"kafka\"; name a topic by topic");
    }
}

/// By its name, or by what lies there: a link, or another way to the same place.
pub fn is_same_file(one: &Path, other: &Path) -> bool {
    let id =
        |path: &Path| path.metadata().ok().filter(Metadata::is_file).map(|file| (file.dev(), file.ino()));
    one == other || id(one).is_some_and(|one| Some(one) == id(other))
}

/// Two things in one place.
fn check_places(root: &mut Section<'_, '_>, config: &Config) {
    let document = root.document();
    let sink = match &config.sink {
        Sink::File(path) => Some(path),
        Sink::Stdout | Sink::Kafka { .. } => None,
    };
    let commit = |sink: &PathBuf| sink.with_added_extension("commit");
    if sink.is_some_and(|sink| commit(sink) == config.dead_letters) {
        let offset = root.section("dead_letters").written("path").unwrap_or(0);
        document.mistake(offset, "path: is the commit file of [sink]");
    }
    if sink.is_some_and(|sink| is_same_file(sink, &config.dead_letters)) {
        let offset = root.section("dead_letters").written("path").unwrap_or(0);
        document.mistake(offset, "path: anomalies and dead letters cannot share a file");
    }
    if let Some(Source::Files(files)) = &config.source {
        let twice = |at: usize| files.paths[..at].iter().any(|before| is_same_file(before, &files.paths[at]));
        if let Some(at) = (1..files.paths.len()).find(|at| twice(*at)) {
            let offset = root.section("source").written("paths").unwrap_or(0);
            document.mistake(offset, format!("paths: {} would be read twice", files.paths[at].display()));
        }
        for (table, output) in [("sink", sink), ("dead_letters", Some(&config.dead_letters))] {
            if output.is_some_and(|output| files.paths.iter().any(|path| is_same_file(path, output))) {
                let offset = root.section(table).written("path").unwrap_or(0);
                document.mistake(offset, "path: is a file that [source] reads");
            }
        }
    }
    if let (Some(Source::Kafka(kafka)), Sink::Kafka { topic }) = (&config.source, &config.sink) {
        let letters = config.letters_topic(kafka);
        for (table, is_shared, what) in [
            (
                "sink",
                *topic == kafka.topic,
                "topic: is the one that [source] reads: anomalies would come back as readings",
            ),
            (
                "dead_letters",
                letters == kafka.topic,
                "topic: is the one that [source] reads: dead letters would come back for ever",
            ),
            ("dead_letters", letters == *topic, "topic: anomalies and dead letters cannot share a topic"),
        ] {
            if is_shared {
                let section = root.section(table);
                document.mistake(section.written("topic").unwrap_or(section.offset()), what);
            }
        }
    }
    if config.api.listen == config.metrics_listen && config.api.listen.port() != 0 {
        let offset = root.section("metrics").written("listen").or(root.section("api").written("listen"));
        document.mistake(offset.unwrap_or(0), "listen: [api] and [metrics] need a port each");
    }
}
