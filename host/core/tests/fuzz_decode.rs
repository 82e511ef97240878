//! Anything at all into the decoder: it agrees with the reference and never spoils the next reading.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

#[path = "fuzz_decode/check.rs"]
mod check;
#[path = "fuzz_decode/mutate.rs"]
mod mutate;
#[path = "fuzz_decode/properties.rs"]
mod properties;
#[path = "fuzz_decode/reference.rs"]
mod reference;

use std::time::{Duration, Instant};

use check::Everything;
use mutate::{Random, mutate};

/// The files beside this one, and what is too large or too odd to lie in a file.
fn corpus() -> Vec<Vec<u8>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz_decode/corpus");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 20, "the corpus is gone");
    let mut corpus: Vec<Vec<u8>> = files.iter().map(|path| std::fs::read(path).unwrap()).collect();
    corpus.push(Vec::new());
    corpus.push(b"[".repeat(100_000));
    corpus.push(format!("{{\"x\":{}1{}}}", "{\"a\":".repeat(5000), "}".repeat(5000)).into_bytes());
    corpus.push(format!("{{\"sensor_id\":\"{}\",\"voltage\":1}}", "m".repeat(1_000_000)).into_bytes());
    corpus.push(format!("{{\"voltage\":{}}}", "9".repeat(100_000)).into_bytes());
    corpus
}

#[test]
fn the_corpus_itself() {
    let mut everything = Everything::new();
    for record in corpus() {
        everything.check(&record);
    }
}

#[test]
fn ten_megabytes_are_too_large() {
    let mut everything = Everything::new();
    everything.check(&format!("{{\"x\":\"{}\"}}", "v".repeat(10 << 20)).into_bytes());
}

/// Ten seconds, or `GRIDWATCH_FUZZ_SECONDS`; `GRIDWATCH_FUZZ_SEED` repeats a run.
#[test]
fn mutations_of_the_corpus() {
    let setting = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let time = Duration::from_secs(setting("GRIDWATCH_FUZZ_SECONDS").unwrap_or(10));
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let seed = setting("GRIDWATCH_FUZZ_SEED").unwrap_or(clock.as_nanos() as u64);
    println!("GRIDWATCH_FUZZ_SEED={seed}");
    let mut corpus = corpus();
    corpus.retain(|record| record.len() < 10_000);
    let mut random = Random::new(seed);
    let start = Instant::now();
    let mut records = 0_u64;
    while start.elapsed() < time {
        let mut everything = Everything::new();
        for _ in 0..500 {
            everything.check(&mutate(&mut random, &corpus));
            records += 1;
        }
    }
    println!("{records} records");
    assert!(records >= 500);
}
