//! `gridwatch config check FILE`.

use std::path::Path;

use crate::cli::{Failure, Out};
use crate::config;

/// Says what the file amounts to, or every mistake in it.
pub fn check(file: &Path) -> Result<(), Failure> {
    let config = config::load(file)?;
    if let config::Place::Directory(directory) = &config.checkpoints.place {
        try_folder(directory).map_err(|error| {
            Failure::Arguments(format!(
                "{}: [checkpoints] dir: nothing can be written in {}: {error}",
                file.display(),
                directory.display()
            ))
        })?;
    }
    let mut out = Out::new();
    let source = match &config.source {
        None => "none: `replay` takes files from the command line, but `run` needs a [source] with a kind"
            .to_owned(),
        Some(config::Source::Files(files)) => format!("{} file(s)", files.paths.len()),
        Some(config::Source::Simulator(simulator)) => {
            format!("simulator, {} lane(s)", simulator.lanes)
        }
        Some(config::Source::Kafka(kafka)) => {
            format!("topic {} at {} as group {}", kafka.topic, kafka.brokers, kafka.group)
        }
    };
    out.line(format!(
        "{}: good; source: {source}; detectors: {}",
        file.display(),
        config.detectors.dir.display()
    ))?;
    if matches!(config.source, Some(config::Source::Kafka(_))) && config.engine.instance.is_none() {
        out.line("`run` needs --instance NAME, too: there is no instance in [engine]")?;
    }
    if !config.detectors.dir.is_dir() {
        out.line(format!(
            "there is no directory {}: `run` and `replay` need detectors",
            config.detectors.dir.display()
        ))?;
    }
    out.flush()?;
    Ok(())
}

/// Makes a folder where this one is or would be, and takes it away again: nothing else says whether that can be.
fn try_folder(directory: &Path) -> std::io::Result<()> {
    let is_there = |folder: &&Path| folder.as_os_str().is_empty() || folder.exists();
    let nearest = directory.ancestors().find(is_there).unwrap_or(directory);
    let attempt = nearest.join(format!(".gridwatch-check-{}", std::process::id()));
    std::fs::create_dir(&attempt)?;
    std::fs::remove_dir(&attempt)
}
