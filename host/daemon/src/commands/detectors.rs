//! `gridwatch detectors`: what would run, and why not what does not. Status 0 where all is well, 1 where
//! one is refused.

use std::path::Path;
use std::sync::Arc;

use gridwatch_connectors::files::{FileSink, FileSinkOptions, Output};
use gridwatch_connectors::memory::MemoryStore;
use gridwatch_connectors::simulator::{Pace, Scenario, World};
use gridwatch_core::judge::Module;
use gridwatch_engine::deployment::Deployment;
use gridwatch_engine::pipeline::{Pipeline, Plan};
use gridwatch_engine::settings::OnMissing;
use gridwatch_sandbox::Form;
use serde_json::{Value, json};

use crate::admission::{self, Admitted, Candidate, Verdict};
use crate::cli::{DetectorsArgs, Failure, Out};
use crate::config::{self, Config, OnFault, OnNewState};
use crate::wiring::{self, Running};

/// 84 sensors for four hours: 20 thousand readings.
const TRIAL_DAYS: f64 = 4.0 / 24.0;

pub fn detectors(args: &DetectorsArgs) -> Result<(), Failure> {
    let mut config = match &args.config {
        Some(file) => config::load(file)?,
        None => config::read(Path::new("gridwatch.toml"), "")?,
    };
    if args.config.is_none() {
        config.detectors.dir = args.dir.clone().unwrap_or_else(super::usual_dir);
    }
    let found = admission::scan(&config.detectors.dir).map_err(|error| Failure::Start(error.to_string()))?;
    let sandbox = admission::sandbox().map_err(|error| Failure::Start(error.to_string()))?;
    let candidates = admission::admit(&sandbox, found);
    let costs = candidates
        .iter()
        .map(|candidate| trial(&config, candidate))
        .collect::<Result<Vec<Trial>, Failure>>()?;
    let mut out = Out::new();
    if args.json {
        let list: Vec<Value> =
            candidates.iter().zip(&costs).map(|(candidate, cost)| as_json(candidate, cost)).collect();
        out.line(serde_json::to_string_pretty(&list).unwrap_or_default())?;
    } else {
        for line in table(&config.detectors.dir, &candidates, &costs) {
            out.line(line)?;
        }
    }
    out.flush()?;
    match candidates.iter().filter(|candidate| candidate.refused().is_some()).count() {
        0 => Ok(()),
        refused => Err(Failure::Verdict(format!("{refused} of {} refused", candidates.len()))),
    }
}

/// What became of a detector on simulated readings.
enum Trial {
    /// Nanoseconds a reading.
    Cost(f64),
    Failed(String),
    NotRun,
}

fn trial(config: &Config, candidate: &Candidate) -> Result<Trial, Failure> {
    let Some(deployment) = candidate.deployment() else {
        return Ok(Trial::NotRun);
    };
    let deployments: [Arc<Deployment>; 1] = [deployment];
    let scenario =
        Scenario { days: TRIAL_DAYS, learning_days: 0.0, faults_per_kind: 0, ..Scenario::default() };
    let world = World::new(scenario).map_err(|error| Failure::Start(error.to_string()))?;
    // The simulator's own shape of readings, whatever the configuration reads.
    let plain = config::read(Path::new("trial"), "")?;
    let base = wiring::LaneBase { engine: &config.engine, ..wiring::settings_of(&plain, &deployments, &[]) };
    let lanes = wiring::simulator_lanes(&world, 1, false, |_| Pace::Free, &base)?;
    let sink = FileSink::open(FileSinkOptions {
        anomalies: Output::Discard,
        dead_letters: Output::Discard,
        commit: None,
        lanes: Vec::new(),
    })
    .map_err(|error| Failure::Start(error.to_string()))?;
    let plan = Plan {
        intake: lanes.intake,
        template: lanes.template,
        sink: Box::new(sink),
        store: Arc::new(MemoryStore::new()),
        pace: wiring::pace(&config.engine, config.checkpoints.interval),
        on_missing: OnMissing::Halt,
        observer: None,
    };
    let running = Running::default();
    match Pipeline::start(plan) {
        Err(error) => return Ok(Trial::Failed(error.to_string())),
        Ok(pipeline) => running.started(pipeline),
    }
    let (snapshot, ended) = running.wait(|_| true);
    if let Err(error) = ended {
        return Ok(Trial::Failed(error.to_string()));
    }
    let seats = snapshot.lanes.iter().flat_map(|lane| &lane.detectors);
    if let Some(reason) = seats.filter_map(|seat| seat.quarantine.clone()).next() {
        return Ok(Trial::Failed(reason));
    }
    let cost = wiring::cost_ns(&snapshot).get(&candidate.name).copied();
    Ok(cost.map_or(Trial::NotRun, Trial::Cost))
}

fn as_json(candidate: &Candidate, trial: &Trial) -> Value {
    let mut value = json!({"name": candidate.name, "file": candidate.file});
    let more = match &candidate.verdict {
        Verdict::Disabled => json!({"state": "disabled"}),
        Verdict::Refused(refused) => {
            json!({"state": "refused", "refusal": refused.label, "reason": refused.reason})
        }
        Verdict::Admitted(admitted) => admitted_json(admitted, trial),
    };
    if let (Value::Object(value), Value::Object(more)) = (&mut value, more) {
        value.extend(more);
    }
    value
}

fn admitted_json(admitted: &Admitted, trial: &Trial) -> Value {
    let (module, settings) = (&admitted.module, &admitted.settings);
    let descriptor = module.descriptor();
    let kinds: Vec<Value> = descriptor
        .kinds
        .iter()
        .map(|kind| json!({"name": kind.name, "description": kind.description}))
        .collect();
    let parse = |text: &str| serde_json::from_str::<Value>(text).unwrap_or(Value::Null);
    json!({
        "state": "admitted",
        "module": descriptor.name,
        "version": descriptor.version,
        "state_version": descriptor.state_version,
        "digest": module.digest(),
        "contract": module.contract_version(),
        "form": form_name(module.form()),
        "size_bytes": module.size_bytes(),
        "imports": module.imports(),
        "exports": module.exports(),
        "kinds": kinds,
        "parameters": parse(&admitted.parameters),
        "parameters_schema": parse(&descriptor.parameters),
        "metadata": descriptor.metadata.iter().cloned().collect::<std::collections::BTreeMap<String, String>>(),
        "limits": settings.limits,
        "on_fault": match settings.on_fault {
            OnFault::Quarantine => "quarantine",
            OnFault::Halt => "halt",
        },
        "on_new_state": match settings.on_new_state {
            OnNewState::Refuse => "refuse",
            OnNewState::Cold => "cold",
        },
        "cost_ns_per_reading": match trial {
            Trial::Cost(ns) => Some(ns.round()),
            _ => None,
        },
        "trial_failure": match trial {
            Trial::Failed(reason) => Some(reason),
            _ => None,
        },
    })
}

fn form_name(form: Form) -> &'static str {
    match form {
        Form::Component => "component",
        Form::Core => "core",
    }
}

fn table(dir: &Path, candidates: &[Candidate], trials: &[Trial]) -> Vec<String> {
    if candidates.is_empty() {
        return vec![format!(
            "no detectors in {}; make the built-in ones with `detectors/build.sh all`",
            dir.display()
        )];
    }
    let mut lines = vec![format!(
        "{:<16} {:<9} {:<8} {:<9} {:>8}  {:<12}  {:>10}  limits",
        "name", "version", "contract", "form", "size", "digest", "cost"
    )];
    for (candidate, trial) in candidates.iter().zip(trials) {
        match &candidate.verdict {
            Verdict::Admitted(admitted) => lines.extend(rows(candidate, admitted, trial)),
            Verdict::Disabled => lines.push(format!(
                "{:<16} disabled in {}",
                candidate.name,
                shown(&candidate.file.with_extension("toml"))
            )),
            Verdict::Refused(refused) => {
                lines.push(format!("{:<16} REFUSED ({})", candidate.name, refused.label));
                lines.extend(refused.reason.lines().map(|line| format!("    {line}")));
            }
        }
    }
    lines
}

fn rows(candidate: &Candidate, admitted: &Admitted, trial: &Trial) -> Vec<String> {
    let (module, limits) = (&admitted.module, &admitted.settings.limits);
    let descriptor = module.descriptor();
    let digest = module.digest().trim_start_matches("sha256:");
    let cost = match trial {
        Trial::Cost(ns) => format!("{ns:.0} ns"),
        Trial::Failed(_) => "failed".to_owned(),
        Trial::NotRun => "-".to_owned(),
    };
    let kinds: Vec<&str> = descriptor.kinds.iter().map(|kind| kind.name.as_str()).collect();
    let mut rows = vec![
        format!(
            "{:<16} {:<9} {:<8} {:<9} {:>4} KiB  {:<12}  {cost:>10}  {} MiB, {} ms a call",
            candidate.name,
            descriptor.version,
            module.contract_version(),
            form_name(module.form()),
            module.size_bytes() >> 10,
            digest.get(..12).unwrap_or(digest),
            limits.memory_bytes_max >> 20,
            limits.call_deadline_ms,
        ),
        format!("    kinds       {}", kinds.join(", ")),
        format!("    imports     {}", module.imports().join(", ")),
        format!("    parameters  good: {}", admitted.parameters),
    ];
    if let Trial::Failed(reason) = trial {
        rows.push(format!("    on simulated readings: {reason}"));
    }
    rows
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
