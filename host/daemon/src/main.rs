//! The binary `gridwatch`: command line, configuration, wiring, HTTP.
//!
//! The only crate that reads arguments, the environment and configuration files. `cli` says what may be
//! asked for, `config` turns a file into checked types, `admission` turns files into detectors that may run,
//! `wiring` makes lanes of both, `service` is what runs, `commands` has one file for each command, `http`, `api` and `metrics` show what runs, `account` says at the end what became of every reading.

mod account;
mod admission;
mod api;
mod cli;
mod commands;
mod config;
mod foundry;
mod http;
mod logging;
mod metrics;
mod service;
mod wiring;

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;

use cli::{Arguments, CapsuleCommand, Command, ConfigCommand, DeadLettersCommand, Failure, SchemasCommand};

/// As Rust's own where the main thread panics.
const PANIC_STATUS: i32 = 101;

fn main() -> ExitCode {
    // Clap prints help and mistakes itself, and ends with status 0 or 2.
    let process_start = Instant::now();
    let arguments = Arguments::parse();
    logging::start();
    end_on_panic();
    match perform(arguments.command, process_start) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// A thread that is gone leaves a process that looks alive and judges nothing. Ended, it is started again, and what
/// was not committed is read again.
fn end_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::exit(PANIC_STATUS);
    }));
}

fn perform(command: Command, process_start: Instant) -> Result<(), Failure> {
    match command {
        Command::Config { command: ConfigCommand::Check { file } } => commands::check(&file),
        Command::Schemas { command: SchemasCommand::Register(args) } => commands::register_schemas(&args),
        Command::DeadLetters { command: DeadLettersCommand::Replay(args) } => {
            commands::replay_dead_letters(&args)
        }
        Command::Simulate(args) => commands::simulate(&args),
        Command::Run(args) => commands::run(&args, process_start),
        Command::Rollback(args) => commands::rollback(&args),
        Command::Health(args) => commands::health(&args),
        Command::Release(args) => commands::release(&args),
        Command::Explain(args) => commands::explain(&args),
        Command::Capsule { command: CapsuleCommand::Replay(args) } => commands::replay_capsule(&args),
        Command::Replay(args) => commands::replay(&args),
        Command::Detectors(args) => commands::detectors(&args),
        Command::Demo(args) => commands::demo(&args),
    }
}
