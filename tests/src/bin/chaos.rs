//! `chaos [SCENARIO]` with `SEED=n` and `KILLS=n` from the environment: the long form of what `make test` runs
//! in short. One line a scenario; fails at any difference.
#![allow(clippy::print_stdout, clippy::panic)]

use std::process::ExitCode;

use gridwatch_tests::chaos::{Length, Order, SCENARIOS};

fn number<T: std::str::FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

fn main() -> ExitCode {
    let wanted = std::env::var("SCENARIO").unwrap_or_default();
    let order =
        Order { seed: number("SEED").unwrap_or(1), length: Length::Long, disturbances: number("KILLS") };
    let chosen = SCENARIOS.iter().filter(|(name, _)| wanted.is_empty() || *name == wanted);
    let (mut ran, mut failed) = (0, 0);
    for (name, scenario) in chosen {
        ran += 1;
        // A scenario that cannot be played to its end has said why, and where its logs are.
        match std::panic::catch_unwind(|| scenario(&order)) {
            Ok(verdict) => {
                println!("{verdict}");
                failed += usize::from(!verdict.is_good());
            }
            Err(_) => {
                println!("FAIL {name:14} seed {}: not played to its end", order.seed);
                failed += 1;
            }
        }
    }
    if ran == 0 {
        let names: Vec<&str> = SCENARIOS.iter().map(|(name, _)| *name).collect();
        println!("no scenario {wanted}; there are {}", names.join(", "));
    }
    if ran > 0 && failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
