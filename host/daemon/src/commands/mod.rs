//! One file for each command.

mod capsule;
mod check;
mod dead_letters;
mod demo;
mod detectors;
mod explain;
mod health;
mod produce;
mod pulse;
mod release;
mod replay;
mod rollback;
mod run;
mod schemas;
mod simulate;

pub use capsule::replay_capsule;
pub use check::check;
pub use dead_letters::replay_dead_letters;
pub use demo::demo;
pub use detectors::detectors;
pub use explain::explain;
pub use health::health;
pub use release::release;
pub use replay::replay;
pub use rollback::rollback;
pub use run::run;
pub use schemas::register_schemas;
pub use simulate::simulate;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use gridwatch_connectors::kafka::ToolError;
use gridwatch_core::sink::Store;
use gridwatch_sandbox::Sandbox;

use crate::admission::{self, Candidate};
use crate::cli::{DEMO_STATE, Failure};
use crate::config;
use crate::wiring;

/// What went wrong before anything was sent.
fn connecting(error: ToolError) -> Failure {
    match error {
        ToolError::Properties { .. } => Failure::Arguments(error.to_string()),
        error => Failure::Start(error.to_string()),
    }
}

/// What a configuration's processes share; without one, what the demo shares that runs in this directory.
fn store_of(config: Option<&Path>) -> Result<Arc<dyn Store>, Failure> {
    if let Some(file) = config {
        return wiring::store(&config::load(file)?);
    }
    let state = demo::live_state(Path::new(DEMO_STATE));
    if !state.is_dir() {
        return Err(Failure::Arguments(format!(
            "no demo has run in this directory (there is no {}): say which processes are meant with -c FILE, or do this \
             where `gridwatch demo` runs",
            state.display()
        )));
    }
    demo::store(&state)
}

/// Where detectors lie when nobody says: here, or where `make` puts them, seen from the binary
/// (`target/release/gridwatch`), both as it was called and as it is found without links.
fn usual_dir() -> PathBuf {
    let here = PathBuf::from("detectors");
    let called = std::env::args_os().next().map(PathBuf::from);
    let binaries = called.into_iter().chain(std::env::current_exe());
    let beside = binaries
        .filter_map(|binary| Some(binary.parent()?.parent()?.parent()?.join("detectors")))
        .filter(|dir| dir.is_absolute());
    std::iter::once(here.clone()).chain(beside).find(|dir| dir.is_dir()).unwrap_or(here)
}

/// Those of a directory. What is refused is said and left out; none at all is an error.
fn detectors_in(sandbox: &Sandbox, dir: &Path) -> Result<Vec<Candidate>, Failure> {
    let found = admission::scan(dir).map_err(|error| Failure::Start(error.to_string()))?;
    let candidates = admission::admit(sandbox, found);
    for candidate in &candidates {
        if let Some(refused) = candidate.refused() {
            tracing::error!(
                detector = candidate.name,
                file = %candidate.file.display(),
                "not admitted: {}",
                refused.reason
            );
        }
    }
    if candidates.iter().all(|candidate| candidate.admitted().is_none()) {
        let refused = candidates.iter().filter(|candidate| candidate.refused().is_some()).count();
        return Err(no_detector(dir, refused));
    }
    Ok(candidates)
}

pub fn no_detector(dir: &Path, refused: usize) -> Failure {
    Failure::Start(format!(
        "no detector to run in {} ({refused} refused); make the built-in ones with `detectors/build.sh all` (or \
         `make build`), and look at them with `gridwatch detectors --dir {}`",
        dir.display(),
        dir.display()
    ))
}
