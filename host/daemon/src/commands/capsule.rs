//! `gridwatch capsule replay`: what a detector made of a reading, once more, anywhere.

use std::path::Path;
use std::sync::Arc;

use gridwatch_core::capsule::{CAPSULES, Capsule, parts_of};
use gridwatch_core::finding::Finding;
use gridwatch_core::judge::{Fault, Module};
use gridwatch_engine::capsule::{Again, reproduce};
use gridwatch_engine::foundry::rosters::Rosters;
use serde_json::{Value, json};

use crate::admission::{self, GuestLines};
use crate::cli::{CapsuleReplayArgs, Failure, Out};
use crate::config::{self, Config};
use crate::wiring;

/// A capsule has the states of a lane's sensors.
const CAPSULE_BYTES_MAX: u64 = 4 << 30;

pub fn replay_capsule(args: &CapsuleReplayArgs) -> Result<(), Failure> {
    let config = args.config.as_deref().map(config::load).transpose()?;
    let bytes = bytes_of(&args.capsule, config.as_ref())?;
    let capsule =
        Capsule::open(&bytes).map_err(|error| Failure::Arguments(format!("{}: {error}", args.capsule)))?;
    let module = module_of(&capsule, args.module.as_deref(), config.as_ref())?;
    let sandbox = admission::sandbox().map_err(|error| Failure::Start(error.to_string()))?;
    let module = sandbox.load(&module).map_err(|refusal| Failure::Start(refusal.to_string()))?;
    if module.digest() != capsule.module {
        return Err(Failure::Arguments(format!(
            "the capsule is of module {}, and this is {}",
            capsule.module,
            module.digest()
        )));
    }
    let log = Arc::new(GuestLines::new(&capsule.detector));
    let steps = reproduce(&capsule, &module, log);
    let is_same = steps
        .as_ref()
        .is_ok_and(|steps| steps.len() == capsule.steps.len() && steps.iter().all(Again::is_same));
    let mut out = Out::new();
    if args.json {
        out.line(as_json(&capsule, &steps, is_same).to_string())?;
    } else {
        out.line(in_words(&capsule, &steps, is_same))?;
    }
    out.flush()?;
    if is_same { Ok(()) } else { Err(Failure::Ended("it does not come out as it was".to_owned())) }
}

/// A file, or, with a configuration, what the checkpoint store has under a digest.
fn bytes_of(capsule: &str, config: Option<&Config>) -> Result<Vec<u8>, Failure> {
    let path = Path::new(capsule);
    let failed = |source| Failure::File { path: path.to_owned(), source };
    let Some(config) = config.filter(|_| !path.exists()) else {
        let bytes = std::fs::metadata(path).map_err(failed)?.len();
        if bytes > CAPSULE_BYTES_MAX {
            return Err(Failure::Arguments(format!("{capsule}: has {bytes} bytes, more than a capsule has")));
        }
        return std::fs::read(path).map_err(failed);
    };
    let store = wiring::store(config)?;
    let away = |error: gridwatch_core::sink::StoreError| Failure::Start(error.to_string());
    let wanted = capsule.trim_start_matches("sha256:");
    let names = store.list(&format!("{CAPSULES}/")).map_err(away)?;
    let mut fitting = names.iter().filter(|name| {
        wanted.len() >= 8 && parts_of(name).is_some_and(|(_, digest)| digest.starts_with(wanted))
    });
    match (fitting.next(), fitting.next()) {
        (Some(name), None) => store.get(name).map_err(away),
        (Some(_), Some(_)) => Err(Failure::Arguments(format!("{capsule}: several capsules begin so"))),
        (None, _) => Err(Failure::Arguments(format!(
            "{capsule}: there is no such file, and no capsule of that digest in the checkpoint store: they are kept \
             for history_window ([checkpoints])"
        ))),
    }
}

/// The module in the capsule, a file, or what the checkpoint store has.
fn module_of(capsule: &Capsule, file: Option<&Path>, config: Option<&Config>) -> Result<Vec<u8>, Failure> {
    if let Some(path) = file {
        return std::fs::read(path).map_err(|source| Failure::File { path: path.to_owned(), source });
    }
    if let Some(bytes) = &capsule.module_bytes {
        return Ok(bytes.clone());
    }
    let Some(config) = config else {
        return Err(Failure::Arguments(format!(
            "the capsule names its module, {}, and does not hold it: give the file with --module, or the store that \
             has it with -c",
            capsule.module
        )));
    };
    let rosters = Rosters::new(wiring::store(config)?);
    rosters.module(&capsule.module).map_err(|error| Failure::Start(error.to_string()))
}

type Steps = Result<Vec<Again>, Fault>;

fn as_json(capsule: &Capsule, steps: &Steps, is_same: bool) -> Value {
    let outcome = |outcome: &Result<Vec<Finding>, Fault>| match outcome {
        Ok(findings) => json!({"findings": findings}),
        Err(fault) => json!({"fault": fault.label(), "what": fault.to_string()}),
    };
    let shown = steps.as_ref().map(|steps| {
        steps
            .iter()
            .map(|step| json!({"same": step.is_same(), "was": outcome(&step.was), "is": outcome(&step.is)}))
            .collect::<Vec<Value>>()
    });
    json!({
        "reproduced": is_same,
        "detector": capsule.detector,
        "lane": capsule.lane,
        "module": capsule.module,
        "anomalies": capsule.anomalies,
        "steps": shown.as_ref().ok(),
        "failed": shown.as_ref().err().map(|fault| fault.to_string()),
    })
}

fn in_words(capsule: &Capsule, steps: &Steps, is_same: bool) -> String {
    let outcome = |outcome: &Result<Vec<Finding>, Fault>| match outcome {
        Ok(findings) => match findings.len() {
            1 => "1 finding".to_owned(),
            count => format!("{count} findings"),
        },
        Err(fault) => fault.to_string(),
    };
    let last = capsule.steps.last().map_or_else(String::new, |step| outcome(&step.outcome));
    match steps {
        _ if is_same => format!("reproduced: {} on lane {}: {last}", capsule.detector, capsule.lane),
        Err(fault) => format!("not reproduced: it does not come to what it was about: {fault}"),
        Ok(steps) => {
            let differs = steps.iter().position(|step| !step.is_same());
            match differs.and_then(|at| Some((at, steps.get(at)?))) {
                Some((at, step)) => format!(
                    "not reproduced: step {} of {} was {}, and is {}",
                    at + 1,
                    capsule.steps.len(),
                    outcome(&step.was),
                    outcome(&step.is)
                ),
                None => "not reproduced: it ends early".to_owned(),
            }
        }
    }
}
