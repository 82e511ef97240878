//! `gridwatch simulate`.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use gridwatch_connectors::simulator::{After, Scenario, ScenarioError, Simulation, World};

use super::produce;
use crate::cli::{Failure, Out, SimulateArgs};

const SECOND_MS: i64 = 1_000;
const MINUTE_MS: i64 = 60_000;

/// Writes the truth first, so that it is there however early the reader of the readings goes away.
pub fn simulate(args: &SimulateArgs) -> Result<(), Failure> {
    let mut scenario = scenario(args);
    // Who sends on and on is started again some day: time goes on then.
    if let (Some(brokers), true, None) = (&args.kafka.brokers, args.kafka.endless, args.start)
        && let Some(latest) = produce::latest_ms(brokers, &args.kafka)?
    {
        scenario.start = scenario.start.max(latest - latest.rem_euclid(SECOND_MS) + SECOND_MS);
    }
    let endless = args.kafka.endless || (args.duration.is_none() && args.readings.is_some());
    let wrong = |error: ScenarioError| Failure::Arguments(error.to_string());
    let world = World::new(scenario).map_err(wrong)?;
    if let Some(path) = &args.labels {
        write_file(path, |file| {
            for label in world.labels() {
                serde_json::to_writer(&mut *file, label)?;
                file.write_all(b"\n")?;
            }
            Ok(())
        })?;
    }
    if let Some(path) = &args.assets {
        write_file(path, |file| file.write_all(world.assets_csv().as_bytes()))?;
    }
    let mut simulation = Simulation::lane(world, 0, 1).map_err(wrong)?;
    if endless {
        simulation = simulation.then(After::Quiet);
    }
    match &args.kafka.brokers {
        Some(brokers) => produce::produce(brokers, args, simulation),
        None => print(args, simulation),
    }
}

fn print(args: &SimulateArgs, mut simulation: Simulation) -> Result<(), Failure> {
    let mut out = Out::new();
    let mut line = Vec::new();
    let mut left = args.readings.unwrap_or(u64::MAX);
    while left > 0 {
        let Some(reading) = simulation.next() else {
            break;
        };
        left -= 1;
        line.clear();
        simulation.write_json(&reading, &mut line);
        out.line(&line)?;
    }
    out.flush()?;
    Ok(())
}

fn scenario(args: &SimulateArgs) -> Scenario {
    let usual = Scenario::default();
    let mut scenario = Scenario {
        seed: args.seed,
        areas: args.areas,
        feeders_per_area: args.feeders_per_area,
        meters_per_feeder: args.meters_per_feeder,
        interval_ms: u32::try_from(args.interval.as_millis()).unwrap_or(u32::MAX),
        days: args.duration.map_or(usual.days, |duration| duration.as_secs_f64() / 86_400.0),
        faults_per_kind: if args.no_faults { 0 } else { args.faults_per_kind },
        ..usual
    };
    if let Some(start) = args.start {
        scenario.start = start;
    } else if args.kafka.brokers.is_some() {
        scenario.start = start_of(args, &scenario, jiff::Timestamp::now().as_millisecond());
    }
    scenario
}

/// So far in the past that the last reading is of now: brokers refuse records that are an hour ahead of
/// their clock, and a watermark ahead of the wall clock would have live readings count as late.
fn start_of(args: &SimulateArgs, scenario: &Scenario, now_ms: i64) -> i64 {
    let interval_ms = i64::from(scenario.interval_ms);
    let slots = match args.readings {
        // Some messages are lost on their way, so these are a few intervals too many.
        Some(readings) if args.duration.is_none() => {
            let sensors = u64::from(scenario.sensors()).max(1);
            (readings.div_ceil(sensors) as f64 / (1.0 - scenario.lost_share)) as u64 + 1
        }
        _ => scenario.slots(),
    };
    let span_ms = i64::try_from(slots).unwrap_or(i64::MAX).saturating_mul(interval_ms);
    let start = now_ms.saturating_sub(span_ms);
    start - start.rem_euclid(MINUTE_MS)
}

fn write_file(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<(), Failure> {
    let written = File::create(path).and_then(|file| {
        let mut file = BufWriter::new(file);
        write(&mut file)?;
        file.flush()
    });
    written.map_err(|source| Failure::File { path: path.to_owned(), source })
}
