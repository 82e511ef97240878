//! The pipeline as a whole without containers: real servers, two gridwatch processes, the data generator, an exporter
//! and Prometheus, from the very files of `compose/`. What differs is where things are, and only that.
//!
//! - `places`  ports, and what each address of `compose/` is here
//! - `compose` what `docker-compose.yml` says of a service
//! - `parts`   each part started, in a folder that is kept or a temporary one
//! - `events`  what boards and alerts speak of, made to happen
//! - `promql`  the selectors in an expression
//! - `boards`  the queries of Grafana's boards
//! - `check`   that every target is up, and every query and selector has data

pub mod boards;
pub mod check;
pub mod compose;
pub mod events;
pub mod parts;
pub mod places;
pub mod promql;

use std::path::Path;

use crate::bench::root;

/// A file of `compose/`.
pub fn read(name: &str) -> String {
    let path = root().join("compose").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Built-in detectors into the folder that is watched, unless they are there: as containers do it.
pub fn deploy_built_in(folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    for name in crate::bench::DETECTORS {
        let to = folder.join(name).with_extension("wasm");
        if !to.exists() {
            let from = root().join("detectors").join(name).with_extension("wasm");
            std::fs::copy(&from, to).unwrap_or_else(|e| panic!("{}: {e}; run `make guests`", from.display()));
        }
    }
}
