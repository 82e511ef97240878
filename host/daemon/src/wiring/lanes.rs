//! The source's lanes: a feed each, and what their output is a function of.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use gridwatch_connectors::files::{FileFeed, FileFeedOptions, FileFormat, FilePast, Part, Progress};
use gridwatch_connectors::kafka::{Group, KafkaIntake, KafkaPast};
use gridwatch_connectors::simulator::{After, Pace, SimulatorFeed, SimulatorPast, SystemClock, World};
use gridwatch_core::anomaly::Origin;
use gridwatch_core::assets::Assets;
use gridwatch_core::decode::DecodeSettings;
use gridwatch_core::digest;
use gridwatch_core::intake::{FixedLanes, Intake, Opening};
use gridwatch_core::record::{Past, RecordFormat};
use gridwatch_core::sink::{Delivery, LaneId};
use gridwatch_engine::deployment::{Deployment, Deployments};
use gridwatch_engine::lane::LaneTemplate;
use gridwatch_engine::settings::LaneSettings;

use crate::cli::Failure;
use crate::config::{self, AssetTable, Config, FileSource, SimulatorSource, Source};

/// A lane's name goes into paths of checkpoints.
const LANE_NAME_BYTES_MAX: usize = 128;

/// Where readings come from, what its lanes have in common, and how far the reading of files is.
pub struct Lanes {
    pub intake: Box<dyn Intake>,
    pub template: LaneTemplate,
    pub progress: Option<Arc<Progress>>,
    /// What was read once more; None where it is gone with the reading.
    pub past: Option<Arc<dyn Past>>,
    /// Where they are a topic's partitions.
    pub group: Option<Group>,
    /// Those that are there from the beginning and stay, and what they are made of; empty where lanes come and go.
    pub sources: BTreeMap<String, Vec<Part>>,
}

/// What a lane's output is a function of, besides source and detectors.
pub struct LaneBase<'a> {
    pub engine: &'a config::Engine,
    pub decode: &'a DecodeSettings,
    pub assets: &'a AssetTable,
    pub deployments: &'a [Arc<Deployment>],
    /// Detectors that are there but are refused or disabled: their states are kept.
    pub dormant: &'a [String],
    /// What ran once, where there is a roster.
    pub past: Option<Arc<dyn Deployments>>,
}

/// The parts that a configuration gives.
pub fn settings_of<'a>(
    config: &'a Config,
    deployments: &'a [Arc<Deployment>],
    dormant: &'a [String],
) -> LaneBase<'a> {
    let (engine, decode, assets) = (&config.engine, &config.decode, &config.assets);
    LaneBase { engine, decode, assets, deployments, dormant, past: None }
}

impl LaneBase<'_> {
    fn template(&self, assets: &AssetTable) -> LaneTemplate {
        let ms = |duration: std::time::Duration| duration.as_millis() as i64;
        LaneTemplate {
            settings: LaneSettings {
                decode: self.decode.clone(),
                format: RecordFormat::Json,
                assets_digest: assets.digest.clone(),
                tick_ms: ms(self.engine.tick),
                lateness_ms: ms(self.engine.lateness),
                time_ahead_max_ms: ms(self.engine.time_ahead_max),
                time_ahead_reject_max_ms: ms(self.engine.time_ahead_reject_max),
                sensors_max: self.engine.sensors_max,
                checks_schemas: false,
            },
            assets: assets.assets.clone(),
            delivery: Delivery::ExactlyOnce,
            dormant: self.dormant.to_vec(),
            deployments: self.deployments.to_vec(),
            batch_rows_max: self.engine.batch_rows_max,
            schemas: None,
            past: self.past.clone(),
            history: None,
        }
    }

    fn fixed(
        &self,
        openings: Vec<Opening>,
        sources: BTreeMap<String, Vec<Part>>,
        assets: &AssetTable,
        progress: Option<Arc<Progress>>,
        past: Option<Arc<dyn Past>>,
    ) -> Lanes {
        let intake = Box::new(FixedLanes::new(openings));
        Lanes { intake, template: self.template(assets), progress, past, group: None, sources }
    }
}

/// `replays` wants an end and no pause: nobody waits for a file to grow, and simulators stop after their
/// scenario and look at no clock.
pub fn of_source(source: &Source, base: &LaneBase<'_>, replays: bool) -> Result<Lanes, Failure> {
    match source {
        Source::Files(files) if replays => {
            let files = FileSource { follow: false, ..files.clone() };
            file_lane(&files, base)
        }
        Source::Files(files) => file_lane(files, base),
        Source::Simulator(simulator) if replays => {
            let simulator = SimulatorSource { endless: false, speed: None, ..simulator.clone() };
            simulated(&simulator, base)
        }
        Source::Simulator(simulator) => simulated(simulator, base),
        Source::Kafka(_) => Err(Failure::Arguments(
            "a topic has no end to replay to: name files, or use `gridwatch run`".to_owned(),
        )),
    }
}

/// A topic's partitions, as the group gives them.
pub fn of_group(group: Group, base: &LaneBase<'_>) -> Lanes {
    let intake = Box::new(KafkaIntake::new(group.clone()));
    let template = base.template(base.assets);
    let past: Option<Arc<dyn Past>> = Some(Arc::new(KafkaPast::of(&group)));
    Lanes { intake, template, progress: None, past, group: Some(group), sources: BTreeMap::new() }
}

/// All files as one lane.
fn file_lane(source: &FileSource, base: &LaneBase<'_>) -> Result<Lanes, Failure> {
    let Some(first) = source.paths.first() else {
        return Err(Failure::Arguments("no file to read".to_owned()));
    };
    let formats = source.paths.iter().map(|path| source.format_of(path).map_err(Failure::Arguments));
    let formats = formats.collect::<Result<Vec<FileFormat>, Failure>>()?;
    if let Some(other) = formats.iter().position(|format| *format != formats[0]) {
        return Err(Failure::Arguments(format!(
            "{}: is of another format than {}; files of one source are all CSV or all JSON lines",
            source.paths[other].display(),
            first.display()
        )));
    }
    let format = formats[0];
    let options = FileFeedOptions {
        record_bytes_max: base.decode.record_bytes_max,
        follow: source.follow,
        columns_required: match format {
            FileFormat::JsonLines => Vec::new(),
            FileFormat::Csv { .. } => base.decode.columns_required(),
        },
        ..FileFeedOptions::new(format)
    };
    let past = FilePast::of(&source.paths, &options).map(|past| Arc::new(past) as Arc<dyn Past>);
    let feed = FileFeed::open(source.paths.clone(), options)
        .map_err(|error| Failure::Arguments(error.to_string()))?;
    let record_format = match feed.header() {
        Some(header) => RecordFormat::Csv(header.clone()),
        None => RecordFormat::Json,
    };
    let name = lane_name(first);
    let origin = Origin::File { file: name.clone() };
    let parts: Vec<Part> = source.paths.iter().map(|path| Part::of_file(lane_name(path), path)).collect();
    let progress = Some(feed.progress());
    let lane = LaneId::only(&name);
    let source = parts.iter().map(Part::in_checkpoint).collect();
    let opening = Opening { lane, origin, source, format: record_format, feed: Box::new(feed) };
    Ok(base.fixed(vec![opening], [(name, parts)].into(), base.assets, progress, past))
}

/// The file's name without its folder, made fit for a path of checkpoints.
fn lane_name(path: &Path) -> String {
    if path == Path::new("-") {
        return "stdin".to_owned();
    }
    path_word(&path.file_name().unwrap_or_default().to_string_lossy())
}

/// Fit to be one step of a path.
pub fn path_word(name: &str) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '_' }
    };
    let name: String = name.chars().map(plain).take(LANE_NAME_BYTES_MAX).collect();
    if name.chars().all(|c| c == '.') {
        return "file".to_owned();
    }
    name
}

fn simulated(source: &SimulatorSource, base: &LaneBase<'_>) -> Result<Lanes, Failure> {
    let world = World::new(source.scenario.clone()).map_err(|error| Failure::Arguments(error.to_string()))?;
    simulator_lanes(
        &world,
        source.lanes,
        if source.endless { After::Quiet } else { After::End },
        |_| match source.speed {
            None => Pace::Free,
            Some(speed) => {
                let clock = Box::new(SystemClock::default());
                Pace::Times { speed, clock, free_until: world.scenario().start }
            }
        },
        base,
    )
}

/// Lanes "simulator-0", … Where the configuration knows nothing of assets, the simulator's own table
/// takes its place: a utility would have one, too.
pub fn simulator_lanes(
    world: &Arc<World>,
    lanes: u32,
    after: After,
    pace: impl Fn(u32) -> Pace,
    base: &LaneBase<'_>,
) -> Result<Lanes, Failure> {
    let own;
    let assets = if *base.assets.assets == Assets::default() {
        own = simulators_assets(world)?;
        &own
    } else {
        base.assets
    };
    let (mut openings, mut sources) = (Vec::new(), BTreeMap::new());
    for lane in 0..lanes {
        let feed = SimulatorFeed::new(world.clone(), lane, lanes, after, pace(lane))
            .map_err(|error| Failure::Arguments(error.to_string()))?;
        let name = format!("simulator-{lane}");
        let origin = Origin::Simulator { simulator: name.clone() };
        let scenario = world.scenario();
        let scenario = digest::sha256(format!("{scenario:?}").as_bytes());
        let part = Part::named(format!("{name} of {lanes}"), &scenario);
        openings.push(Opening {
            lane: LaneId::only(&name),
            origin,
            source: vec![part.in_checkpoint()],
            format: RecordFormat::Json,
            feed: Box::new(feed),
        });
        sources.insert(name, vec![part]);
    }
    let past: Arc<dyn Past> = Arc::new(SimulatorPast::new(world.clone(), lanes, after));
    Ok(base.fixed(openings, sources, assets, None, Some(past)))
}

fn simulators_assets(world: &World) -> Result<AssetTable, Failure> {
    let csv = world.assets_csv();
    let assets = Assets::parse(csv.as_bytes(), "the simulator's assets").map_err(|errors| {
        let all: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Failure::Start(all.join("\n"))
    })?;
    Ok(AssetTable { assets: Arc::new(assets), digest: digest::sha256(csv.as_bytes()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_are_named_by_files_and_fit_for_paths() {
        for (path, name) in [
            ("/data/of/feeder 7.csv", "feeder_7.csv"),
            ("readings.jsonl.gz", "readings.jsonl.gz"),
            ("a/..", "file"),
            ("Übung.csv", "_bung.csv"),
            ("-", "stdin"),
        ] {
            assert_eq!(lane_name(Path::new(path)), name);
        }
    }
}
