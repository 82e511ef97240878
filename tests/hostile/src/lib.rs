//! Behaves until its `after`-th reading, then sins once in the way that `sin` names.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::hint::black_box;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use gridwatch_sdk::prelude::*;

gridwatch_sdk::parameters!(pub Hostile {
    /// none, loop, memory, findings, log, trap, stack; and what only WASI gives a guest: files, environment,
    /// clock, random, sleep, print, exit.
    sin: String = "none".to_owned(),
    /// Readings before it.
    after: u64 = 100,
});

thread_local! {
    static READINGS: Cell<u64> = const { Cell::new(0) };
}

impl Rule for Hostile {
    const INFO: Info = gridwatch_sdk::info!(["voltage"], noise: "said for no reason");
    type State = ();

    fn judge(&self, _reading: &Reading, _state: &mut (), out: &mut Findings) {
        let readings = READINGS.get() + 1;
        READINGS.set(readings);
        if readings != self.after {
            return;
        }
        match self.sin.as_str() {
            "loop" => loop {
                black_box(readings);
            },
            "memory" => {
                let mut hoard: Vec<Vec<u8>> = Vec::new();
                loop {
                    hoard.push(vec![1; 1 << 20]);
                    black_box(&hoard);
                }
            }
            "findings" => (0..1_000_000).for_each(|_| out.single(Severity::Critical, || Finding::new(0))),
            "log" => (0..100_000).for_each(|n| gridwatch_sdk::log::error(format!("{n} {}", "noise ".repeat(100)))),
            "trap" => panic!("as told"),
            "files" => {
                let opened = std::fs::File::open("/etc/passwd").is_ok() || std::fs::File::create("here").is_ok();
                answer(out, f64::from(u8::from(opened)));
            }
            "environment" => answer(out, (std::env::vars().count() + std::env::args().count()) as f64),
            "clock" => {
                let (wall, steady) = (SystemTime::now(), Instant::now());
                let elapsed = steady.elapsed().as_secs_f64();
                answer(out, elapsed + wall.duration_since(UNIX_EPOCH).map_or(-1.0, |since| since.as_secs_f64()));
            }
            "random" => answer(out, (RandomState::new().hash_one(7) >> 12) as f64),
            "sleep" => {
                std::thread::sleep(Duration::from_secs(3600));
                answer(out, 0.0);
            }
            "print" => {
                println!("printed");
                answer(out, 0.0);
            }
            "exit" => std::process::exit(3),
            "stack" => {
                black_box(dive(black_box(1)));
            }
            _ => {}
        }
    }
}

/// What was learnt of the world.
fn answer(out: &mut Findings, observed: f64) {
    out.single(Severity::Info, || Finding::new(0).observed(observed));
}

fn dive(depth: u64) -> u64 {
    let here = black_box([depth; 64]);
    if depth == 0 { 0 } else { dive(depth + 1) + here[depth as usize % 64] }
}

gridwatch_sdk::export!(Hostile);
