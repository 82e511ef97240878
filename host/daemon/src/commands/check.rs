//! `gridwatch config check FILE`.

use std::path::Path;

use crate::cli::{Failure, Out};
use crate::config;

/// Says what the file amounts to, or every mistake in it.
pub fn check(file: &Path) -> Result<(), Failure> {
    let config = config::load(file)?;
    let mut out = Out::new();
    let source = match &config.source {
        None => "no source (replay takes files from the command line)".to_owned(),
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
    out.flush()?;
    Ok(())
}
