//! Anything at all into the decoder: it agrees with the reference, with and without templates, and never
//! spoils the next reading.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

#[path = "fuzz_decode/check.rs"]
mod check;
#[path = "fuzz_decode/messages.rs"]
mod messages;
#[path = "fuzz_decode/mutate.rs"]
mod mutate;
#[path = "fuzz_decode/properties.rs"]
mod properties;
#[path = "fuzz_decode/reference.rs"]
mod reference;
#[path = "fuzz_decode/shapes.rs"]
mod shapes;
#[path = "fuzz_decode/twins.rs"]
mod twins;

use std::time::{Duration, Instant};

use check::Everything;
use mutate::{Random, mutate};
use twins::{Twins, any_settings, vary};

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

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// `GRIDWATCH_FUZZ_SEED` repeats a run.
fn seed() -> u64 {
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let seed = setting("GRIDWATCH_FUZZ_SEED").unwrap_or(clock.as_nanos() as u64);
    println!("GRIDWATCH_FUZZ_SEED={seed}");
    seed
}

/// Ten seconds, or `GRIDWATCH_FUZZ_SECONDS`.
fn for_a_while(mut round: impl FnMut(&mut Random, &[Vec<u8>]) -> u64) {
    let time = Duration::from_secs(setting("GRIDWATCH_FUZZ_SECONDS").unwrap_or(10));
    let seed = seed();
    let mut corpus = corpus();
    corpus.retain(|record| record.len() < 10_000);
    let mut random = Random::new(seed);
    let start = Instant::now();
    let mut records = 0_u64;
    while start.elapsed() < time {
        records += round(&mut random, &corpus);
    }
    println!("{records} records");
    assert!(records >= 500);
}

#[test]
fn mutations_of_the_corpus() {
    for_a_while(|random, corpus| {
        let mut everything = Everything::new();
        for _ in 0..500 {
            everything.check(&mutate(random, corpus));
        }
        500
    });
}

/// A few records again and again, each time with other values and now and then damaged, under settings
/// of any kind: what the templates read is what serde_json would have read.
#[test]
fn variations_of_the_corpus() {
    for_a_while(|random, corpus| {
        let mut twins = Twins::new(any_settings(random));
        let few: Vec<Vec<u8>> = (0..1 + random.below(4)).map(|_| random.pick(corpus).clone()).collect();
        for _ in 0..200 {
            let record = random.pick(&few).clone();
            match random.below(16) {
                0 => twins.agree(&mutate(random, &few)),
                1 => twins.agree(&record),
                2 => {
                    let varied = vary(random, &record);
                    twins.agree(&mutate(random, &[varied]));
                }
                3 if random.below(8) == 0 => twins.restart(),
                _ => twins.agree(&vary(random, &record)),
            }
        }
        200
    });
}
