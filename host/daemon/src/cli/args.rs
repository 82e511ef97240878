//! Arguments, as clap reads them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::parse_duration;

/// Streams power-grid readings through WebAssembly detectors to anomalies.
#[derive(Debug, Parser)]
#[command(name = "gridwatch", version, arg_required_else_help = true, subcommand_required = true)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "there is one, made once")]
pub enum Command {
    /// Run the service: source, detectors, sink, /metrics, /healthz; ends in good order on SIGTERM or SIGINT
    Run(RunArgs),
    /// Show the whole of it on simulated readings with injected faults, and say how many were found
    Demo(DemoArgs),
    /// Write simulated readings as JSON lines, or send them to Kafka
    Simulate(SimulateArgs),
    /// Send history through the detectors as fast as it goes
    Replay(ReplayArgs),
    /// List what would run, and why not what does not
    Detectors(DetectorsArgs),
    /// Have what ran before under a detector's name run again, with its state
    Rollback(RollbackArgs),
    /// Ask a process whether it is well: status 0 where it says so, else 1
    Health(HealthArgs),
    /// End a detector's quarantine
    Release(ReleaseArgs),
    /// Find an anomaly once more, and show what its detector made of which reading
    Explain(ExplainArgs),
    /// Look into what a detector failed on
    Capsule {
        #[command(subcommand)]
        command: CapsuleCommand,
    },
    /// Look after schemas in a schema registry
    Schemas {
        #[command(subcommand)]
        command: SchemasCommand,
    },
    /// Look after records that were no readings
    DeadLetters {
        #[command(subcommand)]
        command: DeadLettersCommand,
    },
    /// Look after the configuration
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
}

#[derive(Debug, Args)]
pub struct RunArgs {
    /// The configuration file
    #[arg(short, long, value_name = "FILE")]
    pub config: PathBuf,
    /// End in good order after so long (real time), for example "20s"
    #[arg(long, value_parser = parse_duration)]
    pub duration: Option<Duration>,
    /// This process's own name in its group; instead of the configuration's
    #[arg(long, value_name = "NAME")]
    pub instance: Option<String>,
    /// Print the account at the end as JSON on standard output
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct RollbackArgs {
    /// The detector: its file's name without ".wasm"
    #[arg(value_name = "NAME")]
    pub name: String,
    /// The configuration file of the processes that run it; without it, the demo that runs in this directory
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Why; said to who tries the same file again
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// What is live is to go back, and its shadow stays; otherwise a shadow, where there is one, is taken out first
    #[arg(long, conflicts_with = "shadow")]
    pub live: bool,
    /// The shadow is to be taken out, or nothing
    #[arg(long)]
    pub shadow: bool,
    /// Print what was done as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct HealthArgs {
    /// What to ask: its /readyz, or /healthz
    #[arg(value_name = "URL", default_value = "http://127.0.0.1:8081/readyz")]
    pub url: String,
    /// Do not wait longer than this
    #[arg(long, value_parser = parse_duration, default_value = "5s")]
    pub timeout: Duration,
}

/// Where a demo keeps its state unless told otherwise.
pub const DEMO_STATE: &str = ".gridwatch";

#[derive(Debug, Args)]
pub struct ReleaseArgs {
    /// The detector: its file's name without ".wasm"
    #[arg(value_name = "NAME")]
    pub name: String,
    /// The configuration file of the processes that run it
    #[arg(short, long, value_name = "FILE")]
    pub config: PathBuf,
    /// Print what was done as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The anomaly's id, which is looked for in the file of anomalies; or a file with the anomaly as it was published
    /// (a line of JSON), or "-" for one on standard input
    #[arg(value_name = "ANOMALY-ID")]
    pub anomaly: String,
    /// The configuration file of the processes that found it
    #[arg(short, long, value_name = "FILE")]
    pub config: PathBuf,
    /// Write the capsule with its module into this file, to be replayed anywhere; else it goes to the checkpoints
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Print the explanation as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub enum CapsuleCommand {
    /// Have the same module judge the same readings, and say whether the same comes of it
    Replay(CapsuleReplayArgs),
}

#[derive(Debug, Args)]
pub struct CapsuleReplayArgs {
    /// A capsule's file; or, with a configuration, its digest, which a poison reading's dead letter names
    #[arg(value_name = "FILE")]
    pub capsule: String,
    /// The configuration whose checkpoint store has the capsule or its module
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The module's file
    #[arg(long, value_name = "FILE")]
    pub module: Option<PathBuf>,
    /// Print what came of it as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Same seed, same readings
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Show a week in so long (real time), for example "20s", say how many faults were found, and end; without it
    /// the demo goes on until Ctrl-C
    #[arg(long, value_parser = parse_duration)]
    pub duration: Option<Duration>,
    /// Where detectors (*.wasm) lie; "detectors" unless told otherwise
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Keep checkpoints, anomalies and what is to run here
    #[arg(long, value_name = "DIR", default_value = DEMO_STATE)]
    pub state: PathBuf,
    /// Print the result as JSON on standard output
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct SimulateArgs {
    /// Same seed, same bytes
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Synchronous areas: one frequency and one weather each
    #[arg(long, default_value_t = 2)]
    pub areas: u32,
    /// Feeders in each area
    #[arg(long, default_value_t = 3)]
    pub feeders_per_area: u32,
    /// Meters along each feeder
    #[arg(long, default_value_t = 13)]
    pub meters_per_feeder: u32,
    /// Faults of each kind; 0 for none
    #[arg(long, default_value_t = 10)]
    pub faults_per_kind: u32,
    /// How often a meter reports (event time)
    #[arg(long, value_parser = parse_duration, default_value = "60s")]
    pub interval: Duration,
    /// End after so long (event time); without it and without --readings: a week
    #[arg(long, value_parser = parse_duration)]
    pub duration: Option<Duration>,
    /// End after so many readings
    #[arg(long)]
    pub readings: Option<u64>,
    /// Write the faults injected to this file, as JSON lines
    #[arg(long, value_name = "FILE")]
    pub labels: Option<PathBuf>,
    /// Write the asset table to this file, as CSV
    #[arg(long, value_name = "FILE")]
    pub assets: Option<PathBuf>,
    /// Inject no faults
    #[arg(long, conflicts_with_all = ["labels", "faults_per_kind"])]
    pub no_faults: bool,
    /// Event time of the beginning (RFC 3339); with --kafka it is such that the end is now
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub start: Option<i64>,
    #[command(flatten)]
    pub kafka: KafkaArgs,
}

/// Where simulated readings go instead of standard output.
#[derive(Debug, Args)]
pub struct KafkaArgs {
    /// Send readings to these brokers, for example "localhost:9092"
    #[arg(long = "kafka", value_name = "BROKERS")]
    pub brokers: Option<String>,
    /// The topic, which must exist
    #[arg(long, default_value = "sensor-readings", requires = "brokers")]
    pub topic: String,
    /// Register the schema of readings with this schema registry
    #[arg(long, value_name = "URL", requires = "brokers")]
    pub registry: Option<String>,
    /// Put the schema's id before each reading, as Confluent's serializers do
    #[arg(long, requires = "registry")]
    pub framed: bool,
    /// What a message's key is, and so what stays on one partition
    #[arg(long, value_enum, default_value = "sensor", requires = "brokers")]
    pub key: Key,
    /// So many readings a second (real time); as fast as it goes without it
    #[arg(long, value_name = "N", requires = "brokers", conflicts_with = "speed")]
    pub rate: Option<f64>,
    /// So many seconds of event time a second
    #[arg(long, value_name = "X", requires = "brokers")]
    pub speed: Option<f64>,
    /// Go on after the end without faults; never ahead of the wall clock
    #[arg(long, requires = "brokers", conflicts_with = "readings")]
    pub endless: bool,
    /// Answer /healthz there, for example "127.0.0.1:8089": 200 while readings are acknowledged
    #[arg(long, value_name = "ADDRESS", requires = "brokers")]
    pub health: Option<SocketAddr>,
    /// Any property of librdkafka, for example "security.protocol=SASL_SSL"; may be repeated
    #[arg(long = "property", value_name = "NAME=VALUE", requires = "brokers")]
    pub properties: Vec<String>,
    /// A property whose value stands in a file, such as a password; may be repeated
    #[arg(long = "property-file", value_name = "NAME=FILE", requires = "brokers")]
    pub property_files: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Key {
    /// The sensor's id
    Sensor,
    /// Its feeder's name: feeders stay whole
    Feeder,
    /// Its area's name: areas stay whole
    Area,
}

fn parse_time(text: &str) -> Result<i64, String> {
    text.parse::<jiff::Timestamp>().map(jiff::Timestamp::as_millisecond).map_err(|error| error.to_string())
}

#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// Files to read, one after the other: CSV or JSON lines, also gzipped; without: those of the configuration
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The configuration file
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Try this module instead of the detectors directory; may be repeated
    #[arg(long = "detector", value_name = "WASM")]
    pub detectors: Vec<PathBuf>,
    /// Keep the records that are no readings in this file
    #[arg(long, value_name = "FILE")]
    pub dead_letters: Option<PathBuf>,
    /// Print anomalies as JSON lines, and the account as one line of JSON on standard error
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct DetectorsArgs {
    /// The configuration file that names the directory
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The directory itself
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    pub dir: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print every mistake in a configuration file, with its place
    Check {
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub enum SchemasCommand {
    /// Register the schemas of readings and anomalies; what is there already stays as it is
    Register(RegisterArgs),
}

#[derive(Debug, Args)]
pub struct RegisterArgs {
    /// The configuration file that has a [registry]
    #[arg(
        short,
        long,
        value_name = "FILE",
        required_unless_present = "registry",
        conflicts_with = "registry"
    )]
    pub config: Option<PathBuf>,
    /// The registry's base URL
    #[arg(long, value_name = "URL")]
    pub registry: Option<String>,
    /// Register the schema of readings as the value of this topic; else the configuration's, or "sensor-readings"
    #[arg(long, value_name = "TOPIC")]
    pub readings_topic: Option<String>,
    /// Register the schema of anomalies as the value of this topic; else the configuration's, or "anomalies"
    #[arg(long, value_name = "TOPIC")]
    pub anomalies_topic: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub enum DeadLettersCommand {
    /// Send dead letters to their source again, each once: after what was wrong has been repaired
    Replay(ReplayLettersArgs),
}

#[derive(Debug, Args)]
pub struct ReplayLettersArgs {
    /// The configuration file of the service whose dead letters these are
    #[arg(short, long, value_name = "FILE")]
    pub config: PathBuf,
    /// Only those with this reason, for example "schema_violation"; may be repeated. Without any: all but "poison",
    /// which is a reading that all detectors but one have judged, and would judge again
    #[arg(long = "reason", value_name = "REASON")]
    pub reasons: Vec<String>,
    /// Only those from here on: an offset in the dead-letter topic, or when they were put there (RFC 3339)
    #[arg(long, value_name = "OFFSET|TIME")]
    pub from: Option<Edge>,
    /// Only those before this: an offset, or a time
    #[arg(long, value_name = "OFFSET|TIME")]
    pub to: Option<Edge>,
    /// Send so many at most
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
    /// Say what would be sent, and send nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Also send those that came back three times
    #[arg(long)]
    pub force: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// A place in the dead-letter topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edge {
    Offset(i64),
    TimeMs(i64),
}

impl FromStr for Edge {
    type Err = String;

    fn from_str(text: &str) -> Result<Edge, String> {
        match text.parse::<i64>() {
            Ok(offset) if offset >= 0 => Ok(Edge::Offset(offset)),
            Ok(_) => Err("an offset is not negative".to_owned()),
            Err(_) => parse_time(text).map(Edge::TimeMs).map_err(|error| {
                format!("is neither an offset nor a time such as 2026-01-05T12:00:00Z ({error})")
            }),
        }
    }
}
