//! The house stands: who may know what. A crate that reaches past its floor fails here, by file and line.

use std::fs;
use std::path::{Path, PathBuf};

/// Words that only certain places may say, with why.
struct Rule {
    words: &'static [&'static str],
    /// Paths (from the root) that may.
    allowed: &'static [&'static str],
    why: &'static str,
}

const RULES: &[Rule] = &[
    Rule { words: &["wasmtime"], allowed: &["host/sandbox/"], why: "only the sandbox knows wasmtime" },
    Rule {
        words: &["rdkafka"],
        allowed: &["host/connectors/src/kafka"],
        why: "only connectors/kafka knows rdkafka",
    },
    Rule {
        words: &["std::env", "env::var", "env::args"],
        allowed: &["host/daemon/", "tests/"],
        why: "only the daemon reads arguments and the environment",
    },
    Rule {
        words: &["Instant::now", "SystemTime::now", "Timestamp::now", "Zoned::now"],
        allowed: &[
            "host/daemon/",
            "host/connectors/",
            "host/sandbox/",
            "host/engine/src/pipeline/",
            "host/engine/src/stopwatch.rs",
            // How long somebody waits for the past, and nothing of what is found in it.
            "host/engine/src/history/patience.rs",
            // A roster says when each build came.
            "host/engine/src/foundry/rosters.rs",
            "tests/",
        ],
        why: "core and lanes are told the time; detectors have none but their readings'",
    },
    Rule {
        words: &["unsafe {", "unsafe fn", "unsafe impl"],
        allowed: &["host/sandbox/src/cache.rs", "host/connectors/src/kafka", "tests/"],
        why: "unsafe code has its rooms",
    },
    Rule {
        words: &["std::fs", "std::net", "thread::spawn", "thread::sleep", "thread::Builder", "tokio"],
        allowed: &[
            "host/daemon/",
            "host/connectors/",
            "host/sandbox/",
            "host/engine/src/pipeline/",
            "host/engine/src/history/patience.rs",
            "tests/",
        ],
        why: "core and detectors do no I/O",
    },
];

/// Which crates of ours a crate may depend on, outside its tests.
const FLOORS: &[(&str, &[&str])] = &[
    ("host/core", &[]),
    ("host/sandbox", &["gridwatch-core"]),
    ("host/connectors", &["gridwatch-core"]),
    ("host/engine", &["gridwatch-core"]),
    ("host/daemon", &["gridwatch-core", "gridwatch-sandbox", "gridwatch-connectors", "gridwatch-engine"]),
    ("detectors/sdk", &[]),
    ("detectors/limits", &["gridwatch-sdk"]),
    ("detectors/vitals", &["gridwatch-sdk"]),
    ("detectors/shift", &["gridwatch-sdk"]),
    ("detectors/physics", &["gridwatch-sdk"]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let is_dir = fs::metadata(&path).is_ok_and(|meta| meta.is_dir());
        if is_dir && !path.ends_with("target") {
            rust_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// Code without comments, and without what is only compiled for tests.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate();
    lines
        .take_while(|(_, line)| !line.starts_with("#[cfg(test)]"))
        .map(|(at, line)| (at + 1, line.split("//").next().unwrap_or("")))
}

fn sources() -> Vec<(String, String)> {
    let mut files = Vec::new();
    for folder in ["host", "detectors"] {
        rust_files(&root().join(folder), &mut files);
    }
    let in_tests =
        |path: &str| path.contains("/tests/") || path.ends_with("/tests.rs") || path.contains("/examples/");
    files
        .into_iter()
        .map(|path| {
            (path.strip_prefix(root()).unwrap().display().to_string(), fs::read_to_string(&path).unwrap())
        })
        .filter(|(path, _)| !in_tests(path))
        .collect()
}

#[test]
fn words_stay_in_their_rooms() {
    let sources = sources();
    assert!(sources.len() > 50, "only {} files found", sources.len());
    let mut wrong = Vec::new();
    for (path, text) in &sources {
        for rule in RULES.iter().filter(|rule| !rule.allowed.iter().any(|place| path.starts_with(place))) {
            for (line, code) in code(text) {
                if rule.words.iter().any(|word| code.contains(word)) {
                    wrong.push(format!("{path}:{line}: {} ({})", code.trim(), rule.why));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn crates_depend_downwards_only() {
    for (folder, allowed) in FLOORS {
        let manifest = fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap();
        let dependencies = manifest.split("[dev-dependencies]").next().unwrap();
        let ours = dependencies.lines().filter_map(|line| line.split(['.', ' ', '=']).next());
        for name in ours.filter(|name| name.starts_with("gridwatch-")) {
            assert!(allowed.contains(&name), "{folder} depends on {name}");
        }
    }
}

/// Files that nobody can take in at a glance are where houses begin to rot.
#[test]
fn files_stay_short() {
    const LINES_MAX: usize = 500;
    for (path, text) in sources() {
        let lines = code(&text).count();
        assert!(lines <= LINES_MAX, "{path} has {lines} lines, more than {LINES_MAX}");
    }
}
