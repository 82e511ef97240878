//! `gridwatch demo`: a simulated grid with injected faults through everything. Live it goes on until somebody ends it,
//! to be watched and to drop detectors into; with `--duration` a week is scored in that time: what was found of what was
//! injected. Files in reading order: `folder` (where state is kept), `heard` (anomalies beside the truth), `live` (what
//! goes by), `verdict` (the report at the end).

mod folder;
mod heard;
mod live;
mod verdict;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use gridwatch_connectors::files::{FileSink, FileSinkOptions, Output};
use gridwatch_connectors::simulator::{After, Pace, Scenario, SystemClock, World};
use gridwatch_connectors::stores::Objects;
use gridwatch_core::Timestamp;
use gridwatch_core::account::Account;
use gridwatch_core::sink::{Sink, Store};

use crate::account;
use crate::cli::{DemoArgs, Failure, Out, say};
use crate::config::{self, Config};
use crate::http::Ports;
use crate::service::{Ended, Service, Started, Work};
use crate::wiring::{self, LaneBase, Lanes};
use folder::{FreshFolder, LiveFolder};
use heard::Heard;
use live::Live;
use verdict::Verdict;

pub use folder::live_state;

/// Start and end of a scored demo are in its duration, too.
const MARGIN: Duration = Duration::from_secs(2);
/// Of a live demo, event time over real time: a reading of each sensor five times a second, a day in five minutes.
const LIVE_SPEED: f64 = 300.0;
/// Of a live demo, in a week: at its speed a fault begins about every six seconds.
const LIVE_FAULTS_PER_KIND: u32 = 25;
const LIVE_LINES: live::Lines = live::Lines { interval: Duration::from_secs(5), anomalies: 6 };
const SCORED_LINES: live::Lines = live::Lines { interval: Duration::from_secs(1), anomalies: 4 };
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(5);

pub fn demo(args: &DemoArgs) -> Result<(), Failure> {
    match args.duration {
        Some(duration) => scored(args, duration),
        None => live(args),
    }
}

/// Until it is ended.
fn live(args: &DemoArgs) -> Result<(), Failure> {
    // The learning days and a week that comes again and again.
    let scenario = Scenario {
        seed: args.seed,
        days: Scenario::default().learning_days + 7.0,
        faults_per_kind: LIVE_FAULTS_PER_KIND,
        ..Scenario::default()
    };
    let world = world(scenario)?;
    let config = configuration(args)?;
    let folder = LiveFolder::make(&args.state)?;
    let mut service = Service::open(&config, Ports::NextFree)?;
    // Detectors learn each sensor's own day from the first one, for which nobody should have to wait.
    let days_ms = world.scenario().learning_days * 86_400_000.0;
    let free_until = world.scenario().start + days_ms as Timestamp;
    let show = Show { world: &world, speed: LIVE_SPEED, free_until, after: After::Recurring };
    let heard = Heard::new(world.clone());
    let started = show.start(&mut service, &folder.path, &heard)?;
    introduce_live(&world, &config, &service, &started, &folder.path);
    let mut live = Live::new(&world, LIVE_SPEED, free_until, LIVE_LINES);
    let ended = service.wait(|snapshot| {
        live.look(snapshot, &heard);
        heard.forget();
        true
    });
    live.rest(&heard);
    let account = wiring::account_of(&ended.snapshot);
    let mut out = Out::new();
    if args.json {
        out.line(account::json(&account).to_string())?;
    } else {
        out.line(account::text(&account).trim_end())?;
    }
    out.flush()?;
    ended.result.map_err(|error| Failure::Ended(error.to_string()))
}

/// A week in so much time, and what was found.
fn scored(args: &DemoArgs, duration: Duration) -> Result<(), Failure> {
    let world = world(Scenario { seed: args.seed, ..Scenario::default() })?;
    let config = configuration(args)?;
    let mut service = Service::open(&config, Ports::NextFree)?;
    say_addresses(&config, &service);
    // So much event time a second that the scenario is through within the duration.
    let real = duration.saturating_sub(MARGIN).max(Duration::from_secs(1));
    let speed = world.scenario().days * 86_400.0 / real.as_secs_f64();
    let show = Show { world: &world, speed, free_until: world.scenario().start, after: After::End };
    let heard = Heard::new(world.clone());
    let folder = FreshFolder::make(&args.state)?;
    let started = show.start(&mut service, &folder.path, &heard)?;
    introduce_scored(&world, speed, &started);
    let since = Instant::now();
    let mut live = Live::new(&world, speed, world.scenario().start, SCORED_LINES);
    let ended = service.wait(|snapshot| {
        live.look(snapshot, &heard);
        true
    });
    live.rest(&heard);
    report(args, &world, &heard, ended, since.elapsed())
}

fn world(scenario: Scenario) -> Result<Arc<World>, Failure> {
    World::new(scenario).map_err(|error| Failure::Arguments(error.to_string()))
}

fn configuration(args: &DemoArgs) -> Result<Config, Failure> {
    let mut config = config::read(Path::new("demo"), "")?;
    config.detectors.dir = args.dir.clone().unwrap_or_else(super::usual_dir);
    Ok(config)
}

/// What is simulated, and how fast it goes by.
struct Show<'a> {
    world: &'a Arc<World>,
    speed: f64,
    free_until: Timestamp,
    after: After,
}

impl Show<'_> {
    fn start(&self, service: &mut Service<'_>, state: &Path, heard: &Heard) -> Result<Started, Failure> {
        service.start(Work {
            instance: "demo",
            store: store(state)?,
            is_patient: false,
            ends: |base: &LaneBase<'_>| self.ends(base, state),
            checkpoint_interval: CHECKPOINT_INTERVAL,
            state: Some(state),
            observer: Some(Box::new(heard.observer())),
        })
    }

    fn ends(&self, base: &LaneBase<'_>, state: &Path) -> Result<(Lanes, Box<dyn Sink>), Failure> {
        let (speed, free_until) = (self.speed, self.free_until);
        let pace = |_| Pace::Times { speed, clock: Box::new(SystemClock::default()), free_until };
        // One lane, so that every group (a feeder, an area) is whole.
        let lanes = wiring::simulator_lanes(self.world, 1, self.after, pace, base)?;
        let anomalies = state.join("anomalies.jsonl");
        let sink = FileSink::open(FileSinkOptions {
            commit: Some(wiring::commit_file(&anomalies)),
            anomalies: Output::File(anomalies),
            dead_letters: Output::File(state.join("dead-letters.jsonl")),
            sources: std::collections::BTreeMap::new(),
        })
        .map_err(|error| Failure::Start(error.to_string()))?;
        Ok((lanes, Box::new(sink)))
    }
}

/// Of a demo's folder.
pub fn store(state: &Path) -> Result<Arc<dyn Store>, Failure> {
    let opened = Objects::local(state);
    Ok(Arc::new(opened.map_err(|error| Failure::Start(format!("the checkpoint store: {error}")))?))
}

fn say_addresses(config: &Config, service: &Service<'_>) {
    let servers = &service.servers;
    let taken = |wanted: SocketAddr, got: SocketAddr| {
        if wanted == got { String::new() } else { format!("  (port {} is taken)", wanted.port()) }
    };
    say(&format!(
        "dashboard, API  http://{}/{}\nmetrics         http://{}/metrics{}\n",
        servers.api,
        taken(config.api.listen, servers.api),
        servers.metrics,
        taken(config.metrics_listen, servers.metrics),
    ));
}

fn introduce_live(world: &World, config: &Config, service: &Service<'_>, started: &Started, state: &Path) {
    let scenario = world.scenario();
    say(&format!(
        "simulated       {} sensors, seed {}, faults of {} kinds again and again; a day at once, to learn from, then \
         {LIVE_SPEED:.0} × real time\n",
        scenario.sensors(),
        scenario.seed,
        scenario.kinds.len(),
    ));
    say_addresses(config, service);
    say(&format!(
        "detectors       {}: copy a .wasm there, and it goes live ({} run)\n\
         state           {}: anomalies.jsonl, checkpoints; begun anew by the next demo\n\
         token           {}: lets its reader change what runs, by the dashboard or the API\n\
         go back         gridwatch rollback NAME\n\
         end             Ctrl-C\n\n",
        shown_folder(&config.detectors.dir).display(),
        started.running.join(", "),
        state.display(),
        state.join("api-token").display(),
    ));
}

/// `.` for the empty path.
fn shown_folder(path: &Path) -> PathBuf {
    if path.as_os_str().is_empty() { PathBuf::from(".") } else { path.to_owned() }
}

fn introduce_scored(world: &World, speed: f64, started: &Started) {
    let scenario = world.scenario();
    say(&format!(
        "simulated: {} sensors, {} days, seed {}, {} faults of {} kinds; {:.0} × real time\ndetectors: {}\n\n",
        scenario.sensors(),
        scenario.days,
        scenario.seed,
        world.labels().len(),
        scenario.kinds.len(),
        speed,
        started.running.join(", ")
    ));
}

fn report(
    args: &DemoArgs,
    world: &World,
    heard: &Heard,
    ended: Ended,
    took: Duration,
) -> Result<(), Failure> {
    let account: Account = wiring::account_of(&ended.snapshot);
    let verdict = Verdict::new(world, heard, &ended.snapshot, account, took);
    let mut out = Out::new();
    if args.json {
        out.line(verdict.json().to_string())?;
    } else {
        out.line(verdict.text())?;
    }
    out.flush()?;
    if let Err(error) = ended.result {
        return Err(Failure::Ended(error.to_string()));
    }
    if ended.is_stopped {
        return Err(Failure::Verdict("interrupted before the scenario was through".to_owned()));
    }
    match verdict.failures() {
        failures if failures.is_empty() => Ok(()),
        failures => Err(Failure::Verdict(failures.join("; "))),
    }
}
