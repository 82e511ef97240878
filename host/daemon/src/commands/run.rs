//! `gridwatch run`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gridwatch_core::sink::{Sink, Store};
use gridwatch_engine::pipeline::{LaneSnapshot, Pipeline, Plan, Snapshot};
use tokio::runtime::Runtime;

use crate::account;
use crate::cli::{Failure, Out, RunArgs};
use crate::config::{self, Config, Source};
use crate::foundry::{Beginning, Foundry};
use crate::http::{self, Latch, Probes, Servers};
use crate::wiring::{self, LaneBase, Lanes, MappingWatch, Registered, Running, Signals};

/// The thread that listens to the source is stuck after so long: the longest that it waits for is half of that.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// What must be so before it counts as alive and as ready.
struct Latches {
    intake: Latch,
    source: Latch,
    store: Latch,
    /// Where there is one.
    registry: Option<Latch>,
}

pub fn run(args: &RunArgs, process_start: Instant) -> Result<(), Failure> {
    let config = config::load(&args.config)?;
    let Some(source) = &config.source else {
        return Err(Failure::Arguments(format!(
            "{}: [source] is missing: say where readings come from (kind = \"kafka\", \"file\" or \"simulator\")",
            config.file.display()
        )));
    };
    let runtime = http_runtime()?;
    let signals = Signals::watch(runtime.handle()).map_err(starting("signals"))?;
    let registered = Registered::of(&config)?;
    let probes = Probes::default();
    let latches = Latches {
        intake: probes.alive.condition("intake"),
        source: probes.ready.condition("source"),
        store: probes.ready.condition("store"),
        registry: registered.is_some().then(|| probes.ready.condition("registry")),
    };
    let admitted = probes.ready.condition("detectors");
    latches.intake.ready();
    let running = Running::default();
    if let Some(registered) = &registered {
        running.checks_by(registered);
    }
    let page = running.clone();
    let servers = runtime.block_on(http::start(
        config.api_listen,
        config.metrics_listen,
        probes,
        Arc::new(move || page.metrics()),
    ))?;
    let instance = args.instance.as_deref();
    let store = wiring::store(&config)?;
    let (foundry, beginning) = begin(&config, instance, source, &store, &signals)?;
    running.relabel(foundry.labels());
    foundry.tell(&admitted);
    let (lanes, sink) = ends(&config, source, instance, beginning)?;
    let lanes = match &registered {
        Some(registered) => registered.gate(lanes),
        None => lanes,
    };
    if let Some(group) = &lanes.group {
        running.reads_from(group.clone());
    }
    running.started(start(&config, lanes, sink, store.clone())?);
    look(&running.snapshot(), &latches, registered.as_ref());
    say_ready(&config, &foundry, &servers, process_start);
    let watch = foundry.watch(store, running.clone(), admitted)?;
    let since = Instant::now();
    let mut mappings = MappingWatch::default();
    let mut stopped = false;
    let (snapshot, ended) = running.wait(|running| {
        let snapshot = running.snapshot();
        look(&snapshot, &latches, registered.as_ref());
        if mappings.is_due() {
            mappings.look(&wiring::account_of(&snapshot));
        }
        stopped = signals.asked() || wiring::is_over(since, args.duration);
        !stopped
    });
    drop((servers, watch));
    say_nothing_new(&snapshot);
    say_account(&snapshot, args.json)?;
    match ended {
        Err(error) if wiring::reader_gone(&error) => Err(Failure::ReaderGone),
        Err(error) => Err(Failure::Ended(wiring::explained(&error, &config))),
        Ok(()) if stopped => Ok(()),
        Ok(()) => some_judged(&snapshot, &config),
    }
}

/// A source that was read to its end without one reading in it is read in a wrong way.
fn some_judged(snapshot: &Snapshot, config: &Config) -> Result<(), Failure> {
    let account = wiring::account_of(snapshot);
    if account.received == 0 || account.judged > 0 {
        return Ok(());
    }
    let reasons: Vec<String> =
        account.dead_letters.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
    Err(Failure::Ended(format!(
        "not one of {} records could be judged ({}): {} has each with its reason, [decode] says how records are read",
        account.received,
        reasons.join(", "),
        config.dead_letters.display()
    )))
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

/// What is to run: the directory's, as far as it changed since this process was last here, and what else is on the
/// roster. None at all is an error.
fn begin(
    config: &Config,
    instance: Option<&str>,
    source: &Source,
    store: &Arc<dyn Store>,
    signals: &Signals,
) -> Result<(Foundry, Beginning), Failure> {
    let instance = instance.or(config.engine.instance.as_deref()).unwrap_or("only");
    // Where lanes come and go, a store that is away is waited for.
    let goes_on = || matches!(source, Source::Kafka(_)) && !signals.asked();
    let dir = config.detectors.dir.clone();
    let (foundry, beginning) = Foundry::begin(dir, instance, store.clone(), goes_on)?;
    if beginning.deployments.is_empty() {
        return Err(super::no_detector(&config.detectors.dir, foundry.refused().count()));
    }
    Ok((foundry, beginning))
}

fn ends(
    config: &Config,
    source: &Source,
    instance: Option<&str>,
    beginning: Beginning,
) -> Result<(Lanes, Box<dyn Sink>), Failure> {
    let Beginning { deployments, dormant, past } = beginning;
    let base = LaneBase { past: Some(past), ..wiring::settings_of(config, &deployments, &dormant) };
    wiring::ends(config, source, instance, &base)
}

fn start(
    config: &Config,
    lanes: Lanes,
    sink: Box<dyn Sink>,
    store: Arc<dyn Store>,
) -> Result<Pipeline, Failure> {
    let plan = Plan {
        intake: lanes.intake,
        template: lanes.template,
        sink,
        store,
        pace: wiring::pace(&config.engine, config.checkpoints.interval),
        on_missing: wiring::on_missing(config.checkpoints.on_missing),
        observer: None,
    };
    Pipeline::start(plan).map_err(|error| Failure::Start(wiring::explained(&error, config)))
}

/// A lane that reads has stored its first checkpoint, or loaded its last one.
fn look(snapshot: &Snapshot, latches: &Latches, registered: Option<&Registered>) {
    if snapshot.assigned && snapshot.opening == 0 {
        latches.source.ready();
        latches.store.ready();
    }
    if snapshot.intake_silence > SILENCE_MAX {
        let seconds = snapshot.intake_silence.as_secs();
        latches
            .intake
            .failed(format!("has not come back from the source for {seconds} s; restart this process"));
    } else {
        latches.intake.ready();
    }
    if let (Some(registered), Some(latch)) = (registered, &latches.registry) {
        match registered.trouble() {
            None => latch.ready(),
            Some(why) => latch.failed(why),
        }
    }
}

fn say_ready(config: &Config, foundry: &Foundry, servers: &Servers, start: Instant) {
    let names = foundry.running();
    let refused: Vec<&str> = foundry.refused().collect();
    if !refused.is_empty() {
        let refused = refused.join(",");
        tracing::warn!(
            refused,
            "running without detectors that were refused (their state is kept); /readyz says so, too"
        );
    }
    tracing::info!(
        after_ms = start.elapsed().as_millis() as u64,
        detectors = names.join(","),
        api = %servers.api,
        metrics = %servers.metrics,
        config = %config.file.display(),
        "{}", if refused.is_empty() { "ready" } else { "running" }
    );
}

/// Files that were read to their end by an earlier run.
fn say_nothing_new(snapshot: &Snapshot) {
    let is_old = |lane: &LaneSnapshot| lane.account.received == 0 && lane.position > 0;
    if snapshot.opening == 0 && !snapshot.lanes.is_empty() && snapshot.lanes.iter().all(is_old) {
        tracing::info!("nothing new: all that there is was read before");
    }
}

fn say_account(snapshot: &Snapshot, as_json: bool) -> Result<(), Failure> {
    let account = wiring::account_of(snapshot);
    if as_json {
        let mut out = Out::new();
        out.line(account::json(&account).to_string())?;
        out.flush()?;
    } else {
        crate::cli::say(&account::text(&account));
    }
    Ok(())
}
