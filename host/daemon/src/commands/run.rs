//! `gridwatch run`.

use std::time::Instant;

use gridwatch_engine::pipeline::{LaneSnapshot, Snapshot};

use crate::account;
use crate::cli::{Failure, Out, RunArgs};
use crate::config::{self, Config, Source};
use crate::http::Ports;
use crate::service::{Service, Started, Work};
use crate::wiring::{self, LaneBase};

pub fn run(args: &RunArgs, process_start: Instant) -> Result<(), Failure> {
    let config = config::load(&args.config)?;
    let Some(source) = &config.source else {
        return Err(Failure::Arguments(format!(
            "{}: [source] is missing: say where readings come from (kind = \"kafka\", \"file\" or \"simulator\")",
            config.file.display()
        )));
    };
    let _held = wiring::hold(&config)?;
    let mut service = Service::open(&config, Ports::Exactly)?;
    let instance = args.instance.as_deref();
    let started = service.start(Work {
        instance: instance.or(config.engine.instance.as_deref()).unwrap_or("only"),
        store: wiring::store(&config)?,
        // Where lanes come and go, a store that is away is waited for.
        is_patient: matches!(source, Source::Kafka(_)),
        ends: |base: &LaneBase<'_>| wiring::ends(&config, source, instance, base),
        checkpoint_interval: config.checkpoints.interval,
        state: match &config.checkpoints.place {
            config::Place::Directory(directory) => Some(directory),
            config::Place::S3(_) => None,
        },
        observer: None,
    })?;
    say_ready(&config, &started, &service, process_start);
    let since = Instant::now();
    let ended = service.wait(|_| !wiring::is_over(since, args.duration));
    say_nothing_new(&ended.snapshot);
    say_account(&ended.snapshot, args.json)?;
    match ended.result {
        Err(error) if wiring::reader_gone(&error) => Err(Failure::ReaderGone),
        Err(error) => Err(Failure::Ended(wiring::explained(&error, &config))),
        Ok(()) if ended.is_stopped => Ok(()),
        Ok(()) => some_judged(&ended.snapshot, &config),
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

fn say_ready(config: &Config, started: &Started, service: &Service<'_>, start: Instant) {
    let refused = started.refused.join(",");
    if !refused.is_empty() {
        tracing::warn!(
            refused,
            "running without detectors that were refused (their state is kept); /readyz says so, too"
        );
    }
    tracing::info!(
        after_ms = start.elapsed().as_millis() as u64,
        detectors = started.running.join(","),
        api = %service.servers.api,
        metrics = %service.servers.metrics,
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
