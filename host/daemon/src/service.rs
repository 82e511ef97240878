//! A host at work, as `run` and `demo` have it: servers, then what is to run, then lanes, and the watch over the
//! detectors directory as long as they work.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gridwatch_core::sink::{Sink, Store};
use gridwatch_engine::foundry::rosters::Rosters;
use gridwatch_engine::outlet::Observer;
use gridwatch_engine::pipeline::{Pipeline, PipelineError, Plan, Snapshot};
use gridwatch_engine::settings::PaceSettings;
use tokio::runtime::Runtime;

use crate::api::{About, Api, Begun, Token};
use crate::cli::Failure;
use crate::commands::no_detector;
use crate::config::Config;
use crate::foundry::{Answered, Beginning, Conditions, Foundry, Watch};
use crate::http::{self, Latch, Ports, Probes, Servers};
use crate::wiring::{self, LaneBase, Lanes, MappingWatch, Registered, Running, Signals};

/// The thread that listens to the source is stuck after so long: the longest that it waits for is half of that.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// Without any broker for so long it is no passing matter.
const ALONE_MAX: Duration = Duration::from_secs(15);
/// A call to the store that takes so long has found nobody, whatever will come of it.
const HANGS_MAX: Duration = Duration::from_secs(20);

/// What must be so before it counts as alive and as ready.
struct Latches {
    intake: Latch,
    source: Latch,
    store: Latch,
    detectors: Latch,
    /// Where there is one.
    registry: Option<Latch>,
}

/// Answers from the beginning; works from `start` on.
pub struct Service<'a> {
    config: &'a Config,
    pub servers: Servers,
    pub signals: Signals,
    running: Running,
    api: Api,
    latches: Latches,
    registered: Option<Registered>,
    /// By the store, to who follows the roster.
    answered: Answered,
    watch: Option<Watch>,
    /// The servers' and the signals'.
    _runtime: Runtime,
}

/// What a service works with.
pub struct Work<'a, E> {
    /// Tells processes of a group apart.
    pub instance: &'a str,
    pub store: Arc<dyn Store>,
    /// A store that is away at the start is waited for.
    pub is_patient: bool,
    /// Source and sink, once it is known which detectors run.
    pub ends: E,
    pub checkpoint_interval: Duration,
    /// Where a token for the API is kept, if none is configured; `None`: nowhere.
    pub state: Option<&'a Path>,
    /// Sees what goes out.
    pub observer: Option<Box<dyn Observer>>,
}

/// Names of detectors.
pub struct Started {
    pub running: Vec<String>,
    pub refused: Vec<String>,
}

impl<'a> Service<'a> {
    pub fn open(config: &'a Config, ports: Ports) -> Result<Service<'a>, Failure> {
        let runtime = http_runtime()?;
        let signals = Signals::watch(runtime.handle()).map_err(starting("signals"))?;
        signals.starts(true);
        let registered = Registered::of(config)?;
        let probes = Probes::default();
        let latches = Latches {
            intake: probes.alive.condition("intake"),
            source: probes.ready.condition("source"),
            store: probes.ready.condition("store"),
            detectors: probes.ready.condition("detectors"),
            registry: registered.is_some().then(|| probes.ready.condition("registry")),
        };
        latches.intake.ready();
        let running = Running::default();
        if let Some(registered) = &registered {
            running.checks_by(registered);
        }
        let api = Api::new(running.clone(), probes.ready.clone(), config.api.hosts.clone());
        let (page, ready, asked) = (running.clone(), probes.ready.clone(), api.clone());
        let page = move || page.metrics(ready.missing().is_empty(), asked.sample());
        let (listen, routes) = ([config.api.listen, config.metrics_listen], api.routes());
        let servers = runtime.block_on(http::start(listen, ports, probes, routes, Arc::new(page)))?;
        runtime.spawn(api.work());
        let (answered, watch, _runtime) = (Answered::default(), None, runtime);
        Ok(Service { config, servers, signals, running, api, latches, registered, answered, watch, _runtime })
    }

    /// None of the detectors may run: an error.
    pub fn start<E>(&mut self, work: Work<'_, E>) -> Result<Started, Failure>
    where
        E: FnOnce(&LaneBase<'_>) -> Result<(Lanes, Box<dyn Sink>), Failure>,
    {
        let config = self.config;
        let goes_on = || work.is_patient;
        let dir = config.detectors.dir.clone();
        let history = self.api.history.clone();
        let (foundry, beginning) = Foundry::begin(dir, work.instance, work.store.clone(), goes_on, history)?;
        if beginning.deployments.is_empty() {
            return Err(no_detector(&config.detectors.dir, foundry.refused().count()));
        }
        self.running.relabel(foundry.labels());
        self.running.counts(foundry.steps());
        self.running.show(foundry.board());
        foundry.tell(&self.latches.detectors);
        let Beginning { deployments, dormant, past } = beginning;
        let base = LaneBase { past: Some(past), ..wiring::settings_of(config, &deployments, &dormant) };
        let (lanes, sink) = (work.ends)(&base)?;
        let lanes = match &self.registered {
            Some(registered) => registered.gate(lanes),
            None => lanes,
        };
        if let Some(group) = &lanes.group {
            self.running.reads_from(group.clone());
        }
        self.api.begin(Begun {
            about: About {
                instance: work.instance.to_owned(),
                source: wiring::in_words(config.source.as_ref()),
                delivery: sink.delivery(),
            },
            token: token(config, work.state)?,
            rosters: Rosters::new(work.store.clone()),
        });
        let plan = Plan {
            intake: lanes.intake,
            template: lanes.template,
            sink,
            store: work.store.clone(),
            past: lanes.past,
            pace: PaceSettings {
                checkpoint_interval: work.checkpoint_interval,
                ..wiring::pace(&config.engine, &config.checkpoints)
            },
            on_missing: wiring::on_missing(config.checkpoints.on_missing),
            observers: work.observer.into_iter().chain([self.api.observer()]).collect(),
        };
        let pipeline =
            Pipeline::start(plan).map_err(|error| Failure::Start(wiring::explained(&error, config)))?;
        self.running.started(pipeline);
        self.look(&self.running.snapshot());
        let started = Started {
            running: foundry.running().iter().map(|name| (*name).to_owned()).collect(),
            refused: foundry.refused().map(str::to_owned).collect(),
        };
        let conditions = Conditions {
            detectors: self.latches.detectors.clone(),
            store: self.latches.store.clone(),
            answered: self.answered.clone(),
        };
        let watch = foundry.watch(work.store, self.running.clone(), conditions)?;
        self.watch = Some(watch);
        self.signals.starts(false);
        Ok(started)
    }

    /// Until the source has ended, a signal has come, or `look` says no; then what is under way is finished.
    pub fn wait(self, mut look: impl FnMut(&Snapshot) -> bool) -> Ended {
        let mut mappings = MappingWatch::default();
        let mut is_stopped = false;
        let (snapshot, result) = self.running.wait(|running| {
            let snapshot = running.snapshot();
            self.look(&snapshot);
            if mappings.is_due() {
                mappings.look(&wiring::account_of(&snapshot));
            }
            is_stopped |= self.signals.asked() || !look(&snapshot);
            !is_stopped
        });
        Ended { snapshot, result, is_stopped, _runtime: self._runtime }
    }

    /// A lane that reads has stored its first checkpoint, or loaded its last one.
    fn look(&self, snapshot: &Snapshot) {
        let latches = &self.latches;
        let is_open = snapshot.assigned && snapshot.opening == 0;
        // Who follows the roster says how it goes on.
        if is_open && latches.store.is_pending() {
            latches.store.ready();
        }
        if self.watch.is_some() && self.answered.silence() > HANGS_MAX {
            let seconds = self.answered.silence().as_secs();
            latches.store.failed(format!("has not answered for {seconds} s"));
        }
        // Also while lanes are being opened: they wait for the brokers, too.
        match self.running.alone_since() {
            Some(since) if since.elapsed() > ALONE_MAX => {
                let seconds = since.elapsed().as_secs();
                latches.source.failed(format!("no broker is connected, for {seconds} s"));
            }
            _ if is_open => latches.source.ready(),
            None if latches.source.is_failed() => {
                latches
                    .source
                    .failed(format!("the brokers are back; {} lanes are being opened", snapshot.opening));
            }
            _ => {}
        }
        if snapshot.intake_silence > SILENCE_MAX {
            let seconds = snapshot.intake_silence.as_secs();
            latches
                .intake
                .failed(format!("has not come back from the source for {seconds} s; restart this process"));
        } else {
            latches.intake.ready();
        }
        if let (Some(registered), Some(latch)) = (&self.registered, &latches.registry) {
            match registered.trouble() {
                None => latch.ready(),
                Some(why) => latch.failed(why),
            }
        }
    }
}

/// As configured, or as it lies beside the checkpoints.
fn token(config: &Config, state: Option<&Path>) -> Result<Token, Failure> {
    let token = match (&config.api.token_file, state) {
        (Some(file), _) => {
            return Token::configured(file).map_err(|error| Failure::Start(error.to_string()));
        }
        (None, Some(state)) => Token::kept_in(state),
        (None, None) => Token::none("checkpoints are in a bucket, where it cannot be kept"),
    };
    match &token {
        Token::Known { file, .. } => tracing::info!(file = %file.display(), "the API's token"),
        Token::None { why } => tracing::info!("nothing can be changed by way of the API: {why}"),
    }
    Ok(token)
}

/// How it went.
pub struct Ended {
    pub snapshot: Snapshot,
    pub result: Result<(), PipelineError>,
    /// It was asked to; else the source had ended.
    pub is_stopped: bool,
    /// A second signal ends at once, whatever still waits for a reader.
    _runtime: Runtime,
}

/// One thread is plenty for two small servers and signals.
pub fn http_runtime() -> Result<Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("http")
        .enable_all()
        .build()
        .map_err(starting("the HTTP runtime"))
}

fn starting(what: &'static str) -> impl Fn(std::io::Error) -> Failure {
    move |error| Failure::Start(format!("{what}: {error}"))
}
