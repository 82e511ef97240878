//! `gridwatch simulate`.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use gridwatch_connectors::simulator::{Scenario, Simulation, World};

use crate::cli::{Failure, Out, SimulateArgs};

/// Writes the truth first, so that it is there however early the reader of the readings goes away.
pub fn simulate(args: &SimulateArgs) -> Result<(), Failure> {
    let scenario = scenario(args);
    let endless = args.duration.is_none() && args.readings.is_some();
    let wrong = |error: gridwatch_connectors::simulator::ScenarioError| Failure::Arguments(error.to_string());
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
        simulation = simulation.endless();
    }
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
    Scenario {
        seed: args.seed,
        areas: args.areas,
        feeders_per_area: args.feeders_per_area,
        meters_per_feeder: args.meters_per_feeder,
        interval_ms: u32::try_from(args.interval.as_millis()).unwrap_or(u32::MAX),
        days: args.duration.map_or(usual.days, |duration| duration.as_secs_f64() / 86_400.0),
        faults_per_kind: if args.no_faults { 0 } else { args.faults_per_kind },
        ..usual
    }
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
