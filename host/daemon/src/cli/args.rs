//! Arguments, as clap reads them.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::config::parse_duration;

/// Streams power-grid readings through WebAssembly detectors to anomalies.
#[derive(Debug, Parser)]
#[command(name = "gridwatch", version, arg_required_else_help = true, subcommand_required = true)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the service: source, detectors, sink, /metrics, /healthz; ends in good order on SIGTERM or SIGINT
    Run(RunArgs),
    /// Show the whole of it on simulated readings with injected faults, and say how many were found
    Demo(DemoArgs),
    /// Write simulated readings as JSON lines
    Simulate(SimulateArgs),
    /// Send history through the detectors as fast as it goes
    Replay(ReplayArgs),
    /// List what would run, and why not what does not
    Detectors(DetectorsArgs),
    /// Look after schemas in a schema registry
    Schemas {
        #[command(subcommand)]
        command: SchemasCommand,
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
pub struct DemoArgs {
    /// Same seed, same readings
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// End after so long (real time)
    #[arg(long, value_parser = parse_duration, default_value = "20s")]
    pub duration: Duration,
    /// Where detectors (*.wasm) lie; "detectors" unless told otherwise
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Keep compiled code here, and checkpoints and anomalies while it runs
    #[arg(long, value_name = "DIR", default_value = ".gridwatch")]
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
    /// Register the schema of readings as the value of this topic
    #[arg(long, value_name = "TOPIC", default_value = "sensor-readings")]
    pub readings_topic: String,
    /// Register the schema of anomalies as the value of this topic
    #[arg(long, value_name = "TOPIC", default_value = "anomalies")]
    pub anomalies_topic: String,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
