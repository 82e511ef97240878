//! `gridwatch demo`: a simulated grid with injected faults through everything, and what was found of
//! them. Files in reading order: `heard` (anomalies beside the truth), `live` (what goes by), `verdict`
//! (the report at the end).

mod heard;
mod live;
mod verdict;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use gridwatch_connectors::files::{FileSink, FileSinkOptions, Output};
use gridwatch_connectors::simulator::{Pace, Scenario, SystemClock, World};
use gridwatch_connectors::stores::Objects;
use gridwatch_core::account::Account;
use gridwatch_engine::deployment::Deployment;
use gridwatch_engine::pipeline::{Pipeline, PipelineError, Plan, Snapshot};
use tokio::runtime::Runtime;

use super::run::http_runtime;
use crate::admission::{self, Candidate};
use crate::cli::{DemoArgs, Failure, Out, say};
use crate::config::{self, Config};
use crate::http::{self, Probes, Readiness, Servers};
use crate::wiring::{self, Running, Signals};
use heard::Heard;
use live::Live;
use verdict::Verdict;

/// Start and end of the demo are in its duration, too.
const MARGIN: Duration = Duration::from_secs(2);

pub fn demo(args: &DemoArgs) -> Result<(), Failure> {
    let scenario = Scenario { seed: args.seed, ..Scenario::default() };
    let world = World::new(scenario).map_err(|error| Failure::Arguments(error.to_string()))?;
    let config = config::read(Path::new("demo"), "")?;
    let runtime = http_runtime()?;
    let signals =
        Signals::watch(runtime.handle()).map_err(|error| Failure::Start(format!("signals: {error}")))?;
    let running = Running::default();
    let readiness = Readiness::default();
    let ready = readiness.condition("pipeline");
    let _servers = serve(&runtime, &config, readiness, &running)?;
    let dir = args.dir.clone().unwrap_or_else(super::usual_dir);
    let sandbox = admission::sandbox().map_err(|error| Failure::Start(error.to_string()))?;
    let candidates = super::detectors_in(&sandbox, &dir)?;
    running.label(&candidates);

    let speed = speed(&world, args.duration);
    let heard = Heard::new(world.clone());
    let state = FreshFolder::make(&args.state)?;
    let plan = plan(&config, &world, speed, &state.path, &candidates, &heard)?;
    introduce(&world, speed, &candidates);
    let started = Instant::now();
    running.started(Pipeline::start(plan).map_err(|error| Failure::Start(error.to_string()))?);
    ready.ready();
    let mut live = Live::new(&world, speed);
    let (snapshot, ended) = running.wait(|running| {
        live.look(running, &heard);
        !signals.asked()
    });
    live.rest(&heard);
    report(args, &world, &heard, snapshot, ended, started.elapsed(), signals.asked())
}

/// So much event time a second that the scenario is through within `duration`.
fn speed(world: &World, duration: Duration) -> f64 {
    let real = duration.saturating_sub(MARGIN).max(Duration::from_secs(1));
    world.scenario().days * 86_400.0 / real.as_secs_f64()
}

/// A demo does not fail because somebody else has its ports.
fn serve(
    runtime: &Runtime,
    config: &Config,
    readiness: Readiness,
    running: &Running,
) -> Result<Servers, Failure> {
    let start = |api, metrics| {
        let page = running.clone();
        let page: http::MetricsPage = Arc::new(move || page.metrics());
        let probes = Probes { ready: readiness.clone(), ..Probes::default() };
        runtime.block_on(http::start(api, metrics, probes, page))
    };
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let servers = match start(config.api_listen, config.metrics_listen) {
        Ok(servers) => servers,
        Err(error) => {
            let servers = start(any, any)?;
            say(&format!("note: {error}; free ports are taken instead\n"));
            servers
        }
    };
    say(&format!("http://{}/metrics   http://{}/healthz\n", servers.metrics, servers.api));
    Ok(servers)
}

fn plan(
    config: &Config,
    world: &Arc<World>,
    speed: f64,
    state: &Path,
    candidates: &[Candidate],
    heard: &Heard,
) -> Result<Plan, Failure> {
    let deployments: Vec<Arc<Deployment>> = candidates.iter().filter_map(Candidate::deployment).collect();
    let base = wiring::settings_of(config, &deployments, &[]);
    // One lane, so that every group (a feeder, an area) is whole.
    let pace = |_| Pace::Times { speed, clock: Box::new(SystemClock::default()) };
    let lanes = wiring::simulator_lanes(world, 1, false, pace, &base)?;
    let anomalies = state.join("anomalies.jsonl");
    let sink = FileSink::open(FileSinkOptions {
        commit: Some(wiring::commit_file(&anomalies)),
        anomalies: Output::File(anomalies),
        dead_letters: Output::File(state.join("dead-letters.jsonl")),
        sources: std::collections::BTreeMap::new(),
    })
    .map_err(|error| Failure::Start(error.to_string()))?;
    let store =
        Objects::local(state).map_err(|error| Failure::Start(format!("the checkpoint store: {error}")))?;
    Ok(Plan {
        intake: lanes.intake,
        template: lanes.template,
        sink: Box::new(sink),
        store: Arc::new(store),
        pace: wiring::pace(&config.engine, Duration::from_secs(5)),
        on_missing: wiring::on_missing(config.checkpoints.on_missing),
        observer: Some(heard.observer()),
    })
}

fn introduce(world: &World, speed: f64, candidates: &[Candidate]) {
    let scenario = world.scenario();
    let names: Vec<&str> = candidates
        .iter()
        .filter(|candidate| candidate.admitted().is_some())
        .map(|candidate| candidate.name.as_str())
        .collect();
    say(&format!(
        "simulated: {} sensors, {} days, seed {}, {} faults of {} kinds; {:.0} × real time\ndetectors: {}\n\n",
        scenario.sensors(),
        scenario.days,
        scenario.seed,
        world.labels().len(),
        scenario.kinds.len(),
        speed,
        names.join(", ")
    ));
}

fn report(
    args: &DemoArgs,
    world: &World,
    heard: &Heard,
    snapshot: Snapshot,
    ended: Result<(), PipelineError>,
    took: Duration,
    interrupted: bool,
) -> Result<(), Failure> {
    let account: Account = wiring::account_of(&snapshot);
    let verdict = Verdict::new(world, heard, &snapshot, account, took);
    let mut out = Out::new();
    if args.json {
        out.line(verdict.json().to_string())?;
    } else {
        out.line(verdict.text())?;
    }
    out.flush()?;
    if let Err(error) = ended {
        return Err(Failure::Ended(error.to_string()));
    }
    if interrupted {
        return Err(Failure::Verdict("interrupted before the scenario was through".to_owned()));
    }
    match verdict.failures() {
        failures if failures.is_empty() => Ok(()),
        failures => Err(Failure::Verdict(failures.join("; "))),
    }
}

/// A folder of this run's own, gone at its end: a demo starts afresh every time.
struct FreshFolder {
    path: PathBuf,
    /// The folder around it, where that was not there before.
    made: Option<PathBuf>,
}

impl FreshFolder {
    fn make(state: &Path) -> Result<FreshFolder, Failure> {
        let path = state.join(format!("demo-{}", std::process::id()));
        let failed = |source| Failure::File { path: path.clone(), source };
        // Left behind by a run that was killed, under the same number.
        if path.exists() {
            std::fs::remove_dir_all(&path).map_err(failed)?;
        }
        let made = (!state.exists()).then(|| state.to_owned());
        std::fs::create_dir_all(&path).map_err(failed)?;
        Ok(FreshFolder { path, made })
    }
}

impl Drop for FreshFolder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "cannot be removed");
        }
        // Stays where somebody else has put something in.
        let _ = self.made.as_ref().map(std::fs::remove_dir);
    }
}
