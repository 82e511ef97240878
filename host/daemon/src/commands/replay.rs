//! `gridwatch replay`: history, as fast as it goes, without a trace on disk.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gridwatch_connectors::files::{FileSink, FileSinkOptions, Output};
use gridwatch_connectors::memory::MemoryStore;
use gridwatch_engine::deployment::Deployment;
use gridwatch_engine::pipeline::{Pipeline, Plan, Snapshot};
use gridwatch_engine::settings::{OnMissing, PaceSettings};
use serde_json::json;

use crate::account::{self, grouped};
use crate::admission::{self, Candidate};
use crate::cli::{Failure, ReplayArgs, say};
use crate::config::{self, Config, FileSource, Format, Source};
use crate::wiring::{self, Lanes, MappingWatch, Registered, Running};

/// Nothing is to be resumed, so nothing is saved after the beginning.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(365 * 86_400);

pub fn replay(args: &ReplayArgs) -> Result<(), Failure> {
    let config = configuration(args)?;
    let source = source(args, &config)?;
    check_places(args, &source)?;
    let candidates = detectors(args, &config)?;
    let deployments: Vec<Arc<Deployment>> = candidates.iter().filter_map(Candidate::deployment).collect();
    let base = wiring::settings_of(&config, &deployments, &[]);
    let lanes = wiring::of_source(&source, &base, true)?;
    let lanes = match Registered::of(&config)? {
        Some(registered) => registered.gate(lanes),
        None => lanes,
    };
    let started = Instant::now();
    let (snapshot, ended) = stream(args, &config, lanes)?;
    match ended {
        Err(error) if wiring::reader_gone(&error) => return Err(Failure::ReaderGone),
        Err(error) => {
            summary(&snapshot, started.elapsed(), args.json);
            return Err(Failure::Ended(error.to_string()));
        }
        Ok(()) => summary(&snapshot, started.elapsed(), args.json),
    }
    let account = wiring::account_of(&snapshot);
    if account.received > 0 && account.judged == 0 {
        // A wrong key or pattern of time: nothing to be proud of, whatever the account says.
        let what = "no record could be judged; `--dead-letters FILE` shows why, `[decode]` says how records are read";
        return Err(Failure::Ended(what.to_owned()));
    }
    Ok(())
}

/// Without a file: every default.
fn configuration(args: &ReplayArgs) -> Result<Config, Failure> {
    match &args.config {
        Some(file) => Ok(config::load(file)?),
        None => {
            let mut config = config::read(Path::new("gridwatch.toml"), "")?;
            config.detectors.dir = super::usual_dir();
            Ok(config)
        }
    }
}

/// Files named by hand come first. What a configuration says of their format holds for them, too.
fn source(args: &ReplayArgs, config: &Config) -> Result<Source, Failure> {
    if !args.files.is_empty() {
        let (format, delimiter) = match &config.source {
            Some(Source::Files(files)) => (files.format, files.delimiter),
            _ => (Format::Auto, None),
        };
        let paths = args.files.clone();
        return Ok(Source::Files(FileSource { paths, format, delimiter, follow: false }));
    }
    config.source.clone().ok_or_else(|| {
        Failure::Arguments("nothing to replay: name files, or a configuration with a [source]".to_owned())
    })
}

fn detectors(args: &ReplayArgs, config: &Config) -> Result<Vec<Candidate>, Failure> {
    let sandbox = admission::sandbox().map_err(|error| Failure::Start(error.to_string()))?;
    if args.detectors.is_empty() {
        return super::detectors_in(&sandbox, &config.detectors.dir);
    }
    let found = args.detectors.iter().map(|file| admission::one_file(file));
    let candidates = admission::admit(&sandbox, found.collect());
    for (at, candidate) in candidates.iter().enumerate() {
        if let Some(refused) = candidate.refused() {
            return Err(Failure::Start(format!("{}: {}", candidate.file.display(), refused.reason)));
        }
        if at > 0 && candidates[at - 1].name == candidate.name {
            return Err(Failure::Arguments(format!("two detectors would be named {}", candidate.name)));
        }
    }
    Ok(candidates)
}

type Ended = (Snapshot, Result<(), gridwatch_engine::pipeline::PipelineError>);

fn stream(args: &ReplayArgs, config: &Config, lanes: Lanes) -> Result<Ended, Failure> {
    let dead_letters = match &args.dead_letters {
        None => Output::Discard,
        Some(path) => {
            wiring::make_folder(path)?;
            Output::File(path.clone())
        }
    };
    let sink = FileSinkOptions {
        anomalies: Output::Stdout,
        dead_letters,
        commit: None,
        sources: std::collections::BTreeMap::new(),
    };
    // A replay's dead letters are its own: what an older file of that name had is dropped, once nobody else writes it.
    let sink = FileSink::open(sink).and_then(|mut sink| sink.start_anew().map(|()| sink));
    let sink = sink.map_err(|error| Failure::Start(error.to_string()))?;
    let bar = wiring::show_progress(lanes.progress.as_ref());
    let plan = Plan {
        intake: lanes.intake,
        template: lanes.template,
        sink: Box::new(sink),
        store: Arc::new(MemoryStore::new()),
        past: lanes.past,
        pace: PaceSettings {
            checkpoint_interval: CHECKPOINT_INTERVAL,
            history_window: Duration::ZERO,
            ..wiring::pace(&config.engine, &config.checkpoints)
        },
        on_missing: OnMissing::Halt,
        observers: Vec::new(),
    };
    let running = Running::default();
    running.started(Pipeline::start(plan).map_err(|error| Failure::Start(error.to_string()))?);
    let mut mappings = MappingWatch::default();
    Ok(running.wait(|running| {
        if bar.is_some() || mappings.is_due() {
            let account = wiring::account_of(&running.snapshot());
            mappings.look(&account);
            if let Some(bar) = &bar {
                bar.update(format!("{} readings", grouped(account.received)));
            }
        }
        true
    }))
}

/// Dead letters are not written over what is read.
fn check_places(args: &ReplayArgs, source: &Source) -> Result<(), Failure> {
    let (Some(letters), Source::Files(files)) = (&args.dead_letters, source) else { return Ok(()) };
    match files.paths.iter().find(|path| config::is_same_file(path, letters)) {
        None => Ok(()),
        Some(path) => Err(Failure::Arguments(format!(
            "--dead-letters {}: is a file that is read ({}); name another one, which is written anew",
            letters.display(),
            path.display()
        ))),
    }
}

fn summary(snapshot: &Snapshot, took: Duration, as_json: bool) {
    let account = wiring::account_of(snapshot);
    let cost_ns = wiring::cost_ns(snapshot);
    let rate = account.received as f64 / took.as_secs_f64().max(1e-9);
    if as_json {
        let summary = json!({
            "account": account::json(&account),
            "seconds": took.as_secs_f64(),
            "readings_per_second": rate.round(),
            "detector_ns_per_reading": cost_ns,
        });
        say(&format!("{summary}\n"));
        return;
    }
    let mut text = account::text(&account);
    text.push_str(&format!("{} readings/s, {:.2} s\n", grouped(rate as u64), took.as_secs_f64()));
    for (detector, ns) in cost_ns {
        text.push_str(&format!("  {detector:10} {ns:>8.0} ns a reading\n"));
    }
    say(&text);
}
