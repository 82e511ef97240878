//! The binary `gridwatch`: command line, configuration, wiring, HTTP.
//!
//! The only crate that reads arguments, the environment and configuration files. `cli` says what may be
//! asked for, `config` turns a file into checked types, `commands` has one file for each command, `http`
//! and `metrics` show what runs, `account` says at the end what became of every reading.

mod account;
mod cli;
mod commands;
mod config;
mod http;
mod logging;
mod metrics;

use std::process::ExitCode;

use clap::Parser;

use cli::{Arguments, Command, ConfigCommand, Failure};

fn main() -> ExitCode {
    // Clap prints help and mistakes itself, and ends with status 0 or 2.
    let arguments = Arguments::parse();
    logging::start();
    match perform(arguments.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn perform(command: Command) -> Result<(), Failure> {
    match command {
        Command::Config {
            command: ConfigCommand::Check { file },
        } => commands::check(&file),
        Command::Simulate(args) => commands::simulate(&args),
        _ => Err(Failure::Start("not wired yet".to_owned())),
    }
}
