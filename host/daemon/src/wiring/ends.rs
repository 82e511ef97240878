//! Both ends of a run and the store between them, as configured.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gridwatch_connectors::files::{FileSink, FileSinkOptions, Output};
use gridwatch_connectors::kafka::{self, KafkaSettings, KafkaSink};
use gridwatch_connectors::stores::Objects;
use gridwatch_core::digest;
use gridwatch_core::sink::{Sink, Store};
use gridwatch_engine::pipeline::PipelineError;
use gridwatch_engine::start::StartError;

use super::lanes::{LaneBase, Lanes, of_group, of_source, path_word};
use crate::cli::Failure;
use crate::config::{self, Config, KafkaSource, Place, Source, is_instance_name};

const LOCK: &str = ".lock";

/// Where readings come from and where anomalies go.
pub fn ends(
    config: &Config,
    source: &Source,
    instance: Option<&str>,
    base: &LaneBase<'_>,
) -> Result<(Lanes, Box<dyn Sink>), Failure> {
    match source {
        Source::Kafka(kafka) => {
            let settings = kafka_settings(config, kafka, instance)?;
            let group = kafka::connect(settings).map_err(|error| Failure::Start(error.to_string()))?;
            Ok((of_group(group.clone(), base), Box::new(KafkaSink::new(group))))
        }
        Source::Files(_) | Source::Simulator(_) => {
            let lanes = of_source(source, base, false)?;
            let sink = file_sink(config, &lanes)?;
            Ok((lanes, Box::new(sink)))
        }
    }
}

pub fn store(config: &Config) -> Result<Arc<dyn Store>, Failure> {
    let opened = match &place_of(config) {
        Place::Directory(directory) => Objects::local(directory),
        Place::S3(s3) => Objects::s3(&s3.settings().map_err(Failure::Start)?),
    };
    Ok(Arc::new(opened.map_err(|error| Failure::Start(format!("the checkpoint store: {error}")))?))
}

/// The directory of checkpoints, for as long as the file is open: without a group it is one process's alone, which
/// sweeps there what it does not need. To be asked for before anything is done in it.
pub fn hold(config: &Config) -> Result<Option<File>, Failure> {
    let (Some(Source::Files(_) | Source::Simulator(_)), Place::Directory(directory)) =
        (&config.source, place_of(config))
    else {
        return Ok(None);
    };
    let failed = |source| Failure::File { path: directory.clone(), source };
    std::fs::create_dir_all(&directory).map_err(failed)?;
    let lock = File::create(directory.join(LOCK)).map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => Ok(Some(lock)),
        Err(TryLockError::WouldBlock) => Err(Failure::Start(format!(
            "{}: another process has its checkpoints there; stop that one, or give this one a place of its own with \
             [checkpoints] dir",
            directory.display()
        ))),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// Two groups that read one topic have each its own checkpoints, also in one bucket.
fn place_of(config: &Config) -> Place {
    match &config.source {
        Some(Source::Kafka(kafka)) => config.checkpoints.place.below(&folder_of(&kafka.group)),
        _ => config.checkpoints.place.clone(),
    }
}

/// A group's name may hold what a path may not.
fn folder_of(group: &str) -> String {
    let plain = path_word(group);
    if plain == group { plain } else { format!("{plain}-{}", digest::short(group.as_bytes())) }
}

pub fn kafka_settings(
    config: &Config,
    kafka: &KafkaSource,
    instance: Option<&str>,
) -> Result<KafkaSettings, Failure> {
    let Some(instance) = instance.map(str::to_owned).or(config.engine.instance.clone()) else {
        return Err(Failure::Arguments(format!(
            "{}: instance is missing in [engine]: give each process of the group a name of its own, there or with \
             --instance; it keeps its lanes through a restart by it",
            config.file.display()
        )));
    };
    if !is_instance_name(&instance) {
        let what = "--instance: use up to 100 letters, digits, '.', '_' and '-'".to_owned();
        return Err(Failure::Arguments(what));
    }
    let anomalies_topic = match &config.sink {
        config::Sink::Kafka { topic } => topic.clone(),
        config::Sink::File(_) | config::Sink::Stdout => {
            return Err(Failure::Arguments("a Kafka source needs a Kafka sink".to_owned()));
        }
    };
    Ok(KafkaSettings {
        dead_letters_topic: config.letters_topic(kafka),
        topic: kafka.topic.clone(),
        anomalies_topic,
        group: kafka.group.clone(),
        instance,
        start: kafka.start,
        on_lost: kafka.on_lost,
        delivery: config.engine.delivery,
        record_bytes_max: config.decode.record_bytes_max,
        properties: kafka.all_properties().map_err(Failure::Start)?,
    })
}

/// The commit lies beside the anomalies; where those go to standard output, beside the dead letters.
fn beside(config: &Config) -> &Path {
    match &config.sink {
        config::Sink::File(path) => path,
        config::Sink::Stdout | config::Sink::Kafka { .. } => &config.dead_letters,
    }
}

/// An error in words; one about a checkpoint with the places where one has to look.
pub fn explained(error: &PipelineError, config: &Config) -> String {
    use StartError::{Damaged, Missing, SetByHand, Unnamed};
    let PipelineError::Start(Missing { .. } | Damaged { .. } | Unnamed { .. } | SetByHand { .. }) = error
    else {
        return error.to_string();
    };
    let store = match place_of(config) {
        Place::Directory(directory) => directory.display().to_string(),
        Place::S3(s3) => s3.url,
    };
    let commit = match &config.source {
        Some(Source::Kafka(kafka)) => format!("those of group {} on topic {}", kafka.group, kafka.topic),
        _ => format!("in {}", commit_file(beside(config)).display()),
    };
    format!("{error}\nCheckpoints are kept in {store} ([checkpoints]), commits are {commit}")
}

fn file_sink(config: &Config, lanes: &Lanes) -> Result<FileSink, Failure> {
    let beside = beside(config);
    let anomalies = match &config.sink {
        config::Sink::File(path) => Output::File(path.clone()),
        config::Sink::Stdout | config::Sink::Kafka { .. } => Output::Stdout,
    };
    let commit = commit_file(beside);
    for file in [beside, config.dead_letters.as_path()] {
        make_folder(file)?;
    }
    FileSink::open(FileSinkOptions {
        anomalies,
        dead_letters: Output::File(config.dead_letters.clone()),
        commit: Some(commit),
        sources: lanes.sources.clone(),
    })
    .map_err(|error| Failure::Start(error.to_string()))
}

/// `anomalies.jsonl` -> `anomalies.jsonl.commit`
pub fn commit_file(beside: &Path) -> PathBuf {
    let mut name = beside.as_os_str().to_owned();
    name.push(".commit");
    PathBuf::from(name)
}

pub fn make_folder(file: &Path) -> Result<(), Failure> {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => std::fs::create_dir_all(folder)
            .map_err(|source| Failure::File { path: folder.to_owned(), source }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_have_folders_of_their_own_whatever_their_names() {
        assert_eq!(folder_of("grid-watch.7"), "grid-watch.7");
        let odd = ["a/b", "a_b", "a:b", "..", ".", "Ü", "file"].map(folder_of);
        for (index, name) in odd.iter().enumerate() {
            assert!(
                name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)),
                "{name}"
            );
            assert!(!odd[..index].contains(name) && name.bytes().any(|byte| byte != b'.'), "{odd:?}");
        }
    }
}
