//! `[source]`: where readings come from.

use std::path::{Path, PathBuf};
use std::time::Duration;

use gridwatch_connectors::files::FileFormat;
use gridwatch_connectors::simulator::{Scenario, World};

use super::kafka::{self, KafkaSource};
use super::mistake::quoted;
use super::section::{At, Section};

#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    Files(FileSource),
    Simulator(SimulatorSource),
    Kafka(KafkaSource),
}

#[derive(Debug, Clone, PartialEq)]
pub struct FileSource {
    /// Read one after the other, as one stream.
    pub paths: Vec<PathBuf>,
    pub format: Format,
    /// Between the fields of CSV; `None`: by the file's name.
    pub delimiter: Option<u8>,
    /// Goes on reading a file that grows.
    pub follow: bool,
}

impl FileSource {
    /// What a file is, or why nobody can tell.
    pub fn format_of(&self, path: &Path) -> Result<FileFormat, String> {
        let by_name = match (FileFormat::of(path), self.delimiter) {
            (Some(FileFormat::Csv { .. }), Some(delimiter)) => Some(FileFormat::Csv { delimiter }),
            (by_name, _) => by_name,
        };
        match self.format {
            Format::JsonLines => Ok(FileFormat::JsonLines),
            Format::Csv => Ok(match by_name {
                Some(csv @ FileFormat::Csv { .. }) => csv,
                _ => FileFormat::Csv { delimiter: self.delimiter.unwrap_or(b',') },
            }),
            Format::Auto if path == Path::new("-") => Ok(FileFormat::JsonLines),
            Format::Auto => by_name.ok_or_else(|| {
                format!(
                    "{}: its name does not say what it is; rename it (.csv, .tsv, .jsonl, .ndjson, .json, each \
                     also .gz), or give a configuration with [source] format",
                    path.display()
                )
            }),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// By the end of a file's name: `.csv`, `.tsv`, `.jsonl`, `.ndjson`, `.json`, each also with `.gz`.
    Auto,
    JsonLines,
    Csv,
}

#[derive(Debug, Clone, PartialEq)]
pub struct SimulatorSource {
    pub scenario: Scenario,
    /// Goes on without faults after the scenario's time.
    pub endless: bool,
    /// Event time over real time; `None` is as fast as it goes.
    pub speed: Option<f64>,
    /// Feeders are spread over so many lanes.
    pub lanes: u32,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    File,
    Simulator,
    Kafka,
}

const KINDS: [(&str, Kind); 3] =
    [("file", Kind::File), ("simulator", Kind::Simulator), ("kafka", Kind::Kafka)];
const LANES_MAX: u64 = 256;
const DAY: Duration = Duration::from_secs(86_400);

/// `None` where the table is absent or too wrong to be used; the latter is noted.
pub fn read(mut section: Section<'_, '_>) -> Option<Source> {
    if !section.is_present() {
        return None;
    }
    let kind = section.choice("kind", &KINDS);
    if kind.is_none() && section.written("kind").is_none() {
        let words: Vec<&str> = KINDS.iter().map(|(word, _)| *word).collect();
        let what = format!("kind is missing in [source]; known: {}", quoted(&words));
        section.document().mistake(section.offset(), what);
    }
    // All kinds' keys are read whatever the kind: a wrong value is worth a word even then.
    let is_kafka = kind.as_ref().is_some_and(|kind| kind.value == Kind::Kafka);
    let kafka = kafka::read(&mut section, is_kafka);
    let files = read_files(&mut section);
    let simulator = read_simulator(&mut section);
    let source = match kind.as_ref().map(|kind| kind.value)? {
        Kind::File => {
            refuse(&section, "file", "simulator", &SIMULATOR_KEYS);
            refuse(&section, "file", "kafka", &kafka::KEYS);
            if section.written("path").is_none() && section.written("paths").is_none() {
                section
                    .document()
                    .mistake(section.offset(), "path is missing in [source]: name the file to read");
            }
            Source::Files(files)
        }
        Kind::Simulator => {
            refuse(&section, "simulator", "file", &FILE_KEYS);
            refuse(&section, "simulator", "kafka", &kafka::KEYS);
            if section.document().is_clean()
                && let Err(error) = World::new(simulator.scenario.clone())
            {
                section.document().mistake(section.offset(), error.to_string());
            }
            Source::Simulator(simulator)
        }
        Kind::Kafka => {
            refuse(&section, "kafka", "file", &FILE_KEYS);
            refuse(&section, "kafka", "simulator", &SIMULATOR_KEYS);
            Source::Kafka(kafka)
        }
    };
    section.close();
    Some(source)
}

const FILE_KEYS: [&str; 5] = ["path", "paths", "format", "delimiter", "follow"];

fn read_files(section: &mut Section<'_, '_>) -> FileSource {
    let one = section.string("path");
    let many = section.strings("paths");
    if let (Some(_), Some(offset)) = (&one, section.written("paths")) {
        section.document().mistake(offset, "paths: path is given, too; keep one of them");
    }
    let format = section
        .choice("format", &[("auto", Format::Auto), ("json-lines", Format::JsonLines), ("csv", Format::Csv)]);
    let delimiter = read_delimiter(section);
    let follow = section.boolean("follow").unwrap_or(false);
    let written: Vec<At<String>> = one.into_iter().chain(many.into_iter().flatten()).collect();
    if follow && written.len() > 1 {
        section.document().mistake(
            section.written("follow").unwrap_or(section.offset()),
            "follow: only one file can be followed; give one path",
        );
    }
    let paths = written.iter().map(|path| existing_file(section, path)).collect();
    FileSource { paths, format: format.map_or(Format::Auto, |at| at.value), delimiter, follow }
}

fn read_delimiter(section: &mut Section<'_, '_>) -> Option<u8> {
    let written = section.string("delimiter")?;
    match written.value.as_bytes() {
        [byte] if byte.is_ascii_punctuation() && !b"\".+-".contains(byte) => Some(*byte),
        [byte @ (b'\t' | b' ')] => Some(*byte),
        _ => {
            let what = "delimiter: should be one character that no number has, such as \";\" or \"\\t\"";
            section.document().mistake(written.offset, what);
            None
        }
    }
}

fn existing_file(section: &Section<'_, '_>, written: &At<String>) -> PathBuf {
    if written.value == "-" {
        return PathBuf::from("-"); // Standard input.
    }
    let path = section.document().resolve(&written.value);
    if !path.is_file() {
        let what = if path.exists() { "is no file" } else { "no such file" };
        section.document().mistake(written.offset, format!("{}: {what}", path.display()));
    }
    path
}

const SIMULATOR_KEYS: [&str; 9] = [
    "seed",
    "areas",
    "feeders_per_area",
    "meters_per_feeder",
    "interval",
    "speed",
    "duration",
    "faults_per_kind",
    "lanes",
];

fn read_simulator(section: &mut Section<'_, '_>) -> SimulatorSource {
    let mut scenario = Scenario::default();
    let mut count = |key: &'static str, most: u64, target: &mut u32| {
        if let Some(number) = section.integer(key, 1..=most) {
            *target = number as u32;
        }
    };
    count("areas", 1_000, &mut scenario.areas);
    count("feeders_per_area", 100_000, &mut scenario.feeders_per_area);
    count("meters_per_feeder", 100_000, &mut scenario.meters_per_feeder);
    if let Some(seed) = section.integer("seed", 0..=u64::MAX) {
        scenario.seed = seed;
    }
    if let Some(interval) =
        section.duration("interval", Duration::from_millis(100)..=Duration::from_secs(3_600))
    {
        scenario.interval_ms = interval.as_millis() as u32;
    }
    let duration = section.duration("duration", Duration::from_secs(1)..=DAY * 36_500);
    if let Some(duration) = duration {
        scenario.days = duration.as_secs_f64() / DAY.as_secs_f64();
    }
    if let Some(faults) = section.integer("faults_per_kind", 0..=10_000) {
        scenario.faults_per_kind = faults as u32;
    }
    SimulatorSource {
        scenario,
        endless: duration.is_none(),
        speed: section.number("speed", 1e-3..=1e9),
        lanes: section.integer("lanes", 1..=LANES_MAX).unwrap_or(1) as u32,
    }
}

fn refuse(section: &Section<'_, '_>, kind: &str, other: &str, keys: &[&str]) {
    for key in keys {
        if let Some(offset) = section.written(key) {
            let what = format!("{key}: belongs to kind = \"{other}\", but kind is \"{kind}\"");
            section.document().mistake(offset, what);
        }
    }
}
