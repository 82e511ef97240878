//! `gridwatch detectors`: what would run, and why not what does not. Status 0 where all is well, 1 where
//! one is refused.

use std::path::Path;

use gridwatch_core::judge::Module;
use gridwatch_core::roster::Mode;
use gridwatch_engine::foundry::Proof;
use gridwatch_sandbox::Form;
use serde_json::{Value, json};

use crate::admission::{self, Admitted, Candidate, Verdict};
use crate::cli::{DetectorsArgs, Failure, Out};
use crate::config;

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
    let mut out = Out::new();
    if args.json {
        let list: Vec<Value> = candidates.iter().map(as_json).collect();
        out.line(serde_json::to_string_pretty(&list).unwrap_or_default())?;
    } else {
        for line in table(&config.detectors.dir, &candidates) {
            out.line(line)?;
        }
    }
    out.flush()?;
    match candidates.iter().filter(|candidate| candidate.refused().is_some()).count() {
        0 => Ok(()),
        refused => Err(Failure::Verdict(format!("{refused} of {} refused", candidates.len()))),
    }
}

fn as_json(candidate: &Candidate) -> Value {
    let mut value = json!({"name": candidate.name, "file": candidate.file});
    let more = match &candidate.verdict {
        Verdict::Disabled => json!({"state": "disabled"}),
        Verdict::Refused(refused) => {
            json!({"state": "refused", "refusal": refused.label, "reason": refused.reason, "cost": refused.cost})
        }
        Verdict::Admitted(admitted) => admitted_json(admitted),
    };
    if let (Value::Object(value), Value::Object(more)) = (&mut value, more) {
        value.extend(more);
    }
    value
}

fn admitted_json(admitted: &Admitted) -> Value {
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
        "mode": settings.mode,
        "on_fault": settings.on_fault,
        "on_new_state": settings.on_new_state,
        "cost_ns_per_reading_max": settings.cost_ns_per_reading_max,
        "cost_ns_per_reading": admitted.proof.cost.reading_ns.round(),
        "tried_on": admitted.proof,
    })
}

fn form_name(form: Form) -> &'static str {
    match form {
        Form::Component => "component",
        Form::Core => "core",
    }
}

fn table(dir: &Path, candidates: &[Candidate]) -> Vec<String> {
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
    for candidate in candidates {
        match &candidate.verdict {
            Verdict::Admitted(admitted) => lines.extend(rows(candidate, admitted)),
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

fn rows(candidate: &Candidate, admitted: &Admitted) -> Vec<String> {
    let (module, limits) = (&admitted.module, &admitted.settings.limits);
    let descriptor = module.descriptor();
    let digest = module.digest().trim_start_matches("sha256:");
    let cost = format!("{:.0} ns", admitted.proof.cost.reading_ns);
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
        format!("    tried on    {}", tried(&admitted.proof)),
    ];
    if admitted.settings.mode == Mode::Shadow {
        rows.push(
            "    mode        shadow: judges beside what runs under this name, and is not heard".to_owned(),
        );
    }
    rows
}

fn tried(proof: &Proof) -> String {
    let sees = match proof.quantities.as_slice() {
        [] => "chose none of their quantities, so was not seen at work".to_owned(),
        chosen => format!("of {}", chosen.join(", ")),
    };
    format!(
        "{} readings {sees}: {} findings, {}, {} KiB of memory, {} KiB of state",
        proof.readings,
        proof.findings,
        proof.cost,
        proof.memory_bytes >> 10,
        proof.state_bytes >> 10,
    )
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
