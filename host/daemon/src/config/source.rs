//! `[source]`: where readings come from.

use std::path::PathBuf;
use std::time::Duration;

use super::mistake::quoted;
use super::section::{At, Section};

#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    Files(FileSource),
    Simulator(SimulatorSource),
}

#[derive(Debug, Clone, PartialEq)]
pub struct FileSource {
    /// Read one after the other, as one stream.
    pub paths: Vec<PathBuf>,
    pub format: Format,
    /// Goes on reading a file that grows.
    pub follow: bool,
    /// Sensors are spread over so many lanes.
    pub lanes: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// By the file's name: `.csv` and `.csv.gz` are CSV, everything else JSON lines.
    Auto,
    JsonLines,
    Csv,
}

#[derive(Debug, Clone, PartialEq)]
pub struct SimulatorSource {
    pub seed: u64,
    pub feeders: u32,
    pub meters_per_feeder: u32,
    /// How often a meter reports, in event time.
    pub interval: Duration,
    /// Event time over real time; `None` is as fast as it goes.
    pub speed: Option<f64>,
    /// Event time after which the simulation ends; `None` is never.
    pub duration: Option<Duration>,
    /// Whether faults are injected.
    pub faults: bool,
    pub lanes: u32,
}

impl Default for SimulatorSource {
    fn default() -> Self {
        SimulatorSource {
            seed: 1,
            feeders: 4,
            meters_per_feeder: 25,
            interval: Duration::from_secs(60),
            speed: None,
            duration: None,
            faults: true,
            lanes: 1,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    File,
    Simulator,
}

const KINDS: [(&str, Kind); 2] = [("file", Kind::File), ("simulator", Kind::Simulator)];
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
    let lanes = section.integer("lanes", 1..=LANES_MAX).unwrap_or(1) as u32;
    // Both kinds' keys are read whatever the kind: a wrong value is worth a word even then.
    let files = read_files(&mut section, lanes);
    let simulator = read_simulator(&mut section, lanes);
    let source = match kind.as_ref().map(|kind| kind.value)? {
        Kind::File => {
            refuse(&section, "file", "simulator", &SIMULATOR_KEYS);
            if section.written("path").is_none() && section.written("paths").is_none() {
                section.document().mistake(
                    section.offset(),
                    "path is missing in [source]: name the file to read",
                );
            }
            Source::Files(files)
        }
        Kind::Simulator => {
            refuse(&section, "simulator", "file", &FILE_KEYS);
            Source::Simulator(simulator)
        }
    };
    section.close();
    Some(source)
}

const FILE_KEYS: [&str; 4] = ["path", "paths", "format", "follow"];

fn read_files(section: &mut Section<'_, '_>, lanes: u32) -> FileSource {
    let one = section.string("path");
    let many = section.strings("paths");
    if let (Some(_), Some(offset)) = (&one, section.written("paths")) {
        section
            .document()
            .mistake(offset, "paths: path is given, too; keep one of them");
    }
    let format = section.choice(
        "format",
        &[
            ("auto", Format::Auto),
            ("json-lines", Format::JsonLines),
            ("csv", Format::Csv),
        ],
    );
    let follow = section.boolean("follow").unwrap_or(false);
    let written: Vec<At<String>> = one.into_iter().chain(many.into_iter().flatten()).collect();
    if follow && written.len() > 1 {
        section.document().mistake(
            section.written("follow").unwrap_or(section.offset()),
            "follow: only one file can be followed; give one path",
        );
    }
    let paths = written
        .iter()
        .map(|path| existing_file(section, path))
        .collect();
    FileSource {
        paths,
        format: format.map_or(Format::Auto, |at| at.value),
        follow,
        lanes,
    }
}

fn existing_file(section: &Section<'_, '_>, written: &At<String>) -> PathBuf {
    let path = section.document().resolve(&written.value);
    if !path.is_file() {
        let what = if path.exists() {
            "is no file"
        } else {
            "no such file"
        };
        section
            .document()
            .mistake(written.offset, format!("{}: {what}", path.display()));
    }
    path
}

const SIMULATOR_KEYS: [&str; 7] = [
    "seed",
    "feeders",
    "meters_per_feeder",
    "interval",
    "speed",
    "duration",
    "faults",
];

fn read_simulator(section: &mut Section<'_, '_>, lanes: u32) -> SimulatorSource {
    let usual = SimulatorSource::default();
    let feeders = section.integer("feeders", 1..=10_000);
    let meters = section.integer("meters_per_feeder", 1..=100_000);
    SimulatorSource {
        seed: section.integer("seed", 0..=u64::MAX).unwrap_or(usual.seed),
        feeders: feeders.map_or(usual.feeders, |number| number as u32),
        meters_per_feeder: meters.map_or(usual.meters_per_feeder, |number| number as u32),
        interval: section
            .duration("interval", Duration::from_millis(100)..=DAY)
            .unwrap_or(usual.interval),
        speed: section.number("speed", 1e-3..=1e9),
        duration: section.duration("duration", Duration::from_secs(1)..=DAY * 36_500),
        faults: section.boolean("faults").unwrap_or(usual.faults),
        lanes,
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
