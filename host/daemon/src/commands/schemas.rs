//! `gridwatch schemas register`.

use gridwatch_connectors::registry::{Registered, Registry, RegistryError};
use gridwatch_core::schema;
use serde_json::{Value, json};

use crate::cli::{Failure, Out, RegisterArgs};
use crate::config::{self, Config, Sink, Source};

/// Makes sure that the registry has the schemas of both messages under their topics' subjects. What is
/// there already is left alone; what does not fit those before it is refused before anything changes.
pub fn register_schemas(args: &RegisterArgs) -> Result<(), Failure> {
    let config = args.config.as_ref().map(|file| config::load(file)).transpose()?;
    let registry = connect(args, config.as_ref())?;
    let (readings, anomalies) = topics(args, config.as_ref());
    if readings == anomalies {
        return Err(Failure::Arguments("readings and anomalies need a topic each".into()));
    }
    let wanted =
        [(format!("{readings}-value"), schema::READING), (format!("{anomalies}-value"), schema::ANOMALY)];
    let mut plans = Vec::new();
    for (subject, text) in &wanted {
        let there = there(&registry, subject, text)?;
        if there.is_none() {
            check_compatible(&registry, subject, text)?;
        }
        plans.push((subject, text, there));
    }
    let mut out = Out::new();
    let mut list = Vec::new();
    for (subject, text, there) in plans {
        let new = there.is_none();
        let registered = match there {
            Some(registered) => registered,
            None => register(&registry, subject, text)?,
        };
        if args.json {
            list.push(as_json(&registered, new));
        } else {
            let state = if new { "registered" } else { "was there" };
            out.line(format!(
                "{:<28} id {:<6} version {:<4} {state}",
                registered.subject, registered.id, registered.version
            ))?;
        }
    }
    if args.json {
        out.line(serde_json::to_string_pretty(&list).unwrap_or_default())?;
    }
    out.flush()?;
    Ok(())
}

/// Of readings and of anomalies: those that are named, else the configuration's, else the usual ones.
fn topics(args: &RegisterArgs, config: Option<&Config>) -> (String, String) {
    let readings = match config.and_then(|config| config.source.as_ref()) {
        Some(Source::Kafka(kafka)) => kafka.topic.clone(),
        _ => config::READINGS_TOPIC.to_owned(),
    };
    let anomalies = match config.map(|config| &config.sink) {
        Some(Sink::Kafka { topic }) => topic.clone(),
        _ => config::ANOMALIES_TOPIC.to_owned(),
    };
    (args.readings_topic.clone().unwrap_or(readings), args.anomalies_topic.clone().unwrap_or(anomalies))
}

fn connect(args: &RegisterArgs, config: Option<&Config>) -> Result<Registry, Failure> {
    let registry = match (config, &args.registry) {
        (_, Some(url)) => config::Registry::at(url),
        (Some(config), None) => config.registry.clone().ok_or_else(|| {
            Failure::Arguments(format!(
                "{} has no [registry]; add one, or give --registry URL",
                config.file.display()
            ))
        })?,
        (None, None) => return Err(Failure::Arguments("give --registry URL or --config FILE".into())),
    };
    let settings = registry.settings().map_err(|what| Failure::Start(format!("schema registry: {what}")))?;
    Registry::new(&settings).map_err(|error| Failure::Arguments(error.to_string()))
}

fn there(registry: &Registry, subject: &str, text: &str) -> Result<Option<Registered>, Failure> {
    match registry.find(subject, text) {
        Ok(registered) => Ok(Some(registered)),
        Err(RegistryError::Absent { .. }) => Ok(None),
        Err(error) => Err(failed(subject, &error)),
    }
}

fn check_compatible(registry: &Registry, subject: &str, text: &str) -> Result<(), Failure> {
    let answer = registry.compatibility(subject, text).map_err(|error| failed(subject, &error))?;
    if answer.compatible {
        return Ok(());
    }
    let said = match answer.messages.as_slice() {
        [] => "the registry gives no reason".to_owned(),
        messages => messages.join("\n  "),
    };
    Err(Failure::Verdict(format!(
        "{subject}: the schema does not fit the latest one there; nothing was registered:\n  {said}"
    )))
}

fn register(registry: &Registry, subject: &str, text: &str) -> Result<Registered, Failure> {
    let registered = registry.register(subject, text).and_then(|_| registry.find(subject, text));
    registered.map_err(|error| failed(subject, &error))
}

fn failed(subject: &str, error: &RegistryError) -> Failure {
    Failure::Ended(format!("{subject}: {error}"))
}

fn as_json(registered: &Registered, new: bool) -> Value {
    json!({
        "subject": registered.subject,
        "id": registered.id,
        "version": registered.version,
        "registered": new,
    })
}
