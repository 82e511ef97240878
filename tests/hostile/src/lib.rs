//! Behaves until its `after`-th reading, then sins once in the way that `sin` names.

use std::cell::Cell;
use std::hint::black_box;

use gridwatch_sdk::prelude::*;

gridwatch_sdk::parameters!(pub Hostile {
    /// none, loop, memory, findings, log, trap, stack, refuse (configure).
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
            "stack" => {
                black_box(dive(black_box(1)));
            }
            _ => {}
        }
    }
}

fn dive(depth: u64) -> u64 {
    let here = black_box([depth; 64]);
    if depth == 0 { 0 } else { dive(depth + 1) + here[depth as usize % 64] }
}

gridwatch_sdk::export!(Hostile);
