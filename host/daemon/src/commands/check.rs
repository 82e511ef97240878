//! `gridwatch config check FILE`.

use std::path::Path;

use crate::cli::{Failure, Out};
use crate::config;

/// Says what the file amounts to, or every mistake in it.
pub fn check(file: &Path) -> Result<(), Failure> {
    let config = config::load(file)?;
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
    out.flush()?;
    Ok(())
}
