//! `fuzz` with `SEED=n` and `MESSAGES=n` from the environment: the long form of what `make test` runs in short.
#![allow(clippy::print_stdout, clippy::panic)]

use std::process::ExitCode;

use gridwatch_tests::fuzz;

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

fn main() -> ExitCode {
    let messages = number("MESSAGES").and_then(|number| usize::try_from(number).ok()).unwrap_or(200_000);
    let account = fuzz::play(number("SEED").unwrap_or(1), messages);
    println!("{account}");
    if account.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
