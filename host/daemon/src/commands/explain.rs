//! `gridwatch explain ANOMALY-ID`: its detector lives again up to the anomaly's reading; what it makes of that is shown,
//! and put in a capsule.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gridwatch_connectors::kafka;
use gridwatch_core::anomaly::Origin;
use gridwatch_core::capsule::{Capsule, StepCall, name_of};
use gridwatch_core::intake::{Change, Opening};
use gridwatch_core::record::{Past, Position, RecordFormat};
use gridwatch_core::sink::{LaneId, Store};
use gridwatch_engine::foundry::rosters::Rosters;
use gridwatch_engine::history::{Explained, History, Patience};
use gridwatch_engine::lane::LaneParts;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::admission;
use crate::cli::{ExplainArgs, Failure, Out};
use crate::config::{self, Config, Source};
use crate::foundry;
use crate::wiring::{self, LaneBase, Registered};

/// How long it may take to live up to the anomaly.
const PATIENCE: Duration = Duration::from_secs(600);
/// Of the line that is given.
const LINE_BYTES_MAX: u64 = 1 << 20;

/// What of an anomaly leads to it.
#[derive(Deserialize)]
struct Line {
    id: String,
    detector: String,
    source: Place,
}

#[derive(Deserialize)]
struct Place {
    #[serde(flatten)]
    origin: Origin,
    offset: Position,
}

pub fn explain(args: &ExplainArgs) -> Result<(), Failure> {
    let config = config::load(&args.config)?;
    let Some(source) = &config.source else {
        return Err(Failure::Arguments(format!("{}: [source] is missing", config.file.display())));
    };
    let line = find(&args.anomaly, &config)?;
    let store = wiring::store(&config)?;
    let sandbox = Arc::new(admission::sandbox().map_err(|error| Failure::Start(error.to_string()))?);
    let (parts, past) = lane_of(&line, &config, source, &store, &sandbox)?;
    let history = History { source: past, store: store.clone(), rebuild_max: PATIENCE };
    let explained = history
        .explain(parts, &line.detector, (&line.id, line.source.offset), Patience::of(PATIENCE))
        .map_err(|error| Failure::Ended(error.to_string()))?;
    let kept = keep(&explained, args.output.as_deref(), &store)?;
    let mut out = Out::new();
    if args.json {
        out.line(as_json(&explained, &kept).to_string())?;
    } else {
        out.line(in_words(&explained, &kept))?;
    }
    out.flush()?;
    Ok(())
}

/// By its id in the file of anomalies, or as a line in a file or on standard input.
fn find(anomaly: &str, config: &Config) -> Result<Line, Failure> {
    let parse = |text: &str| {
        serde_json::from_str::<Line>(text).map_err(|error| {
            Failure::Arguments(format!("this is no anomaly as it was published, one line of JSON: {error}"))
        })
    };
    let one = |reader: &mut dyn Read| {
        let mut text = String::new();
        reader.take(LINE_BYTES_MAX).read_to_string(&mut text).map(|_| text)
    };
    if anomaly == "-" {
        let text = one(&mut std::io::stdin().lock())
            .map_err(|error| Failure::Arguments(format!("standard input: {error}")))?;
        return parse(&text);
    }
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| Failure::File { path, source }
    };
    let path = Path::new(anomaly);
    if path.is_file() {
        let mut file = std::fs::File::open(path).map_err(failed(path))?;
        return parse(&one(&mut file).map_err(failed(path))?);
    }
    let config::Sink::File(path) = &config.sink else {
        return Err(Failure::Arguments(
            "anomalies do not go into a file here, so give the anomaly itself, as it was published: its line of JSON \
             in a file, or on standard input with \"-\""
                .to_owned(),
        ));
    };
    let file = std::fs::File::open(path).map_err(failed(path))?;
    for line in BufReader::new(file).lines() {
        let line = line.map_err(failed(path))?;
        if line.contains(anomaly) {
            let found = parse(&line)?;
            if found.id == anomaly {
                return Ok(found);
            }
        }
    }
    Err(Failure::Arguments(format!("{}: has no anomaly of the id {anomaly}", path.display())))
}

/// The lane that the anomaly is of, and what its source has given.
fn lane_of(
    line: &Line,
    config: &Config,
    source: &Source,
    store: &Arc<dyn Store>,
    sandbox: &Arc<gridwatch_sandbox::Sandbox>,
) -> Result<(LaneParts, Arc<dyn Past>), Failure> {
    let rosters = Rosters::new(store.clone());
    let past = foundry::archive(rosters, sandbox.clone());
    let base = LaneBase { past: Some(past), ..wiring::settings_of(config, &[], &[]) };
    let opening = |lanes: &mut wiring::Lanes| -> Result<Option<Opening>, Failure> {
        let changes = lanes.intake.poll(Duration::ZERO).map_err(|error| Failure::Start(error.to_string()))?;
        let openings = changes.into_iter().filter_map(|change| match change {
            Change::Opened(opening) => Some(opening),
            Change::Revoked { .. } => None,
        });
        let mut openings = openings.filter(|opening| opening.origin == line.source.origin);
        Ok(openings.next())
    };
    let (mut lanes, found) = match (source, &line.source.origin) {
        (Source::Kafka(topic), Origin::Topic { topic: of, partition }) if topic.topic == *of => {
            let settings = wiring::kafka_settings(config, topic, Some("explain"))?;
            let group = kafka::connect(settings).map_err(|error| Failure::Start(error.to_string()))?;
            let lane = LaneId::only(&format!("{of}-{partition}"));
            let found = (lane, line.source.origin.clone(), group.source_parts(), RecordFormat::Json);
            (wiring::of_group(group, &base), Some(found))
        }
        (Source::Kafka(_), _) => return Err(foreign(line)),
        (source, _) => {
            let mut lanes = wiring::of_source(source, &base, false)?;
            let found = opening(&mut lanes)?;
            let found = found.map(|found| (found.lane, found.origin, found.source, found.format));
            (lanes, found)
        }
    };
    let (lane, origin, parts, format) = found.ok_or_else(|| foreign(line))?;
    if let Some(registered) = Registered::of(config)? {
        lanes = registered.gate(lanes);
    }
    let Some(past) = lanes.past else {
        return Err(Failure::Arguments("what was read from standard input cannot be read again".to_owned()));
    };
    Ok((lanes.template.parts(&lane, origin, parts, format), past))
}

fn foreign(line: &Line) -> Failure {
    let origin = serde_json::to_string(&line.source.origin).unwrap_or_default();
    Failure::Arguments(format!("the anomaly is of {origin}, which is not this configuration's [source]"))
}

/// Into a file with the module, to be carried elsewhere, or into the checkpoint store, which has that already.
fn keep(explained: &Explained, output: Option<&Path>, store: &Arc<dyn Store>) -> Result<String, Failure> {
    let mut capsule = explained.capsule.clone();
    let Some(path) = output else {
        let sealed = capsule.seal().map_err(|error| Failure::Ended(error.to_string()))?;
        let name = name_of(&capsule.lane, time_of(&capsule), &sealed.digest);
        store.put(&name, sealed.bytes).map_err(|error| Failure::Ended(error.to_string()))?;
        return Ok(sealed.digest);
    };
    let module = Rosters::new(store.clone()).module(&capsule.module);
    capsule.module_bytes = Some(module.map_err(|error| Failure::Ended(error.to_string()))?);
    let sealed = capsule.seal().map_err(|error| Failure::Ended(error.to_string()))?;
    std::fs::write(path, sealed.bytes).map_err(|source| Failure::File { path: path.to_owned(), source })?;
    Ok(path.display().to_string())
}

fn time_of(capsule: &Capsule) -> Option<i64> {
    capsule.steps.iter().rev().find_map(|step| match &step.call {
        StepCall::Observe(columns) => columns.timestamps.last().copied(),
        StepCall::Advance(watermark) => Some(*watermark),
    })
}

fn as_json(explained: &Explained, kept: &str) -> Value {
    let anomaly: Value = serde_json::from_slice(&explained.anomaly.payload).unwrap_or_default();
    json!({"anomaly": anomaly, "capsule": kept, "explanation": steps(&explained.capsule)})
}

fn steps(capsule: &Capsule) -> Vec<Value> {
    let shown = capsule.steps.iter().map(|step| {
        let findings = step.outcome.as_ref().ok();
        let fault = step.outcome.as_ref().err().map(ToString::to_string);
        match &step.call {
            StepCall::Observe(columns) => json!({
                "call": "observe",
                "positions": columns.positions,
                "sensors": columns.sensors.iter().map(|at| &capsule.sensors[*at as usize].id).collect::<Vec<_>>(),
                "values": readings(capsule, columns),
                "findings": findings,
                "fault": fault,
            }),
            StepCall::Advance(watermark) => json!({
                "call": "advance",
                "watermark": gridwatch_core::time::rfc3339(*watermark),
                "findings": findings,
                "fault": fault,
            }),
        }
    });
    shown.collect()
}

/// By quantity, the values of the first row.
fn readings(capsule: &Capsule, columns: &gridwatch_core::capsule::Columns) -> Value {
    let (values, rows) = (columns.values(), columns.sensors.len().max(1));
    let names = capsule.before.as_ref().map(|before| before.saved.quantities.as_slice()).unwrap_or_default();
    let first = values.iter().step_by(rows);
    let finite = names.iter().zip(first).filter(|(_, value)| value.is_finite());
    finite.map(|(name, value)| (name.clone(), json!(value))).collect::<serde_json::Map<_, _>>().into()
}

fn in_words(explained: &Explained, kept: &str) -> String {
    let Explained { anomaly, capsule } = explained;
    let mut text = String::from_utf8_lossy(&anomaly.payload).into_owned();
    let states = capsule.before.iter().flat_map(|before| before.states.iter());
    let bytes: usize = states.map(|(_, states)| states.bytes.len()).sum();
    text.push_str(&format!(
        "\n{} ({}) knew {} sensors in {bytes} bytes, and was asked:\n",
        capsule.detector,
        capsule.module,
        capsule.sensors.len()
    ));
    for step in steps(capsule) {
        text.push_str(&format!("  {step}\n"));
    }
    text.push_str(&format!("capsule: {kept}"));
    text
}
