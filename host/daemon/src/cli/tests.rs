#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use clap::{CommandFactory, Parser};

use super::*;

fn parse(line: &str) -> Result<Arguments, clap::Error> {
    Arguments::try_parse_from(std::iter::once("gridwatch").chain(line.split_whitespace()))
}

#[test]
fn the_command_line_is_consistent() {
    Arguments::command().debug_assert();
}

#[test]
fn commands_of_the_readme_are_understood() {
    for line in [
        "run -c gridwatch.toml",
        "run --config gridwatch.toml --duration 20s",
        "demo",
        "demo --seed 7 --duration 20s --json --state /tmp/x",
        "simulate --seed 7 --readings 1000 --labels l.jsonl --assets a.csv",
        "simulate --no-faults --duration 1d",
        "replay a.csv b.jsonl.gz -c gridwatch.toml --detector x.wasm --detector y.wasm --json",
        "replay -c gridwatch.toml",
        "detectors",
        "detectors --dir detectors --json",
        "schemas register --registry http://127.0.0.1:8080",
        "schemas register -c gridwatch.toml --readings-topic a --anomalies-topic b --json",
        "simulate --kafka localhost:9092",
        "simulate --kafka localhost:9092 --registry http://127.0.0.1:8080 --framed --speed 600 --key feeder",
        "simulate --kafka a:1 --endless --rate 100 --property a=b --property-file sasl.password=secret",
        "simulate --readings 5 --start 2026-01-05T00:00:00Z",
        "dead-letters replay -c gridwatch.toml",
        "dead-letters replay -c a --reason poison --reason not_json --from 5 --to 2026-01-05T00:00:00Z",
        "dead-letters replay -c a --dry-run --limit 10 --force --json",
        "config check gridwatch.toml",
    ] {
        if let Err(error) = parse(line) {
            panic!("{line}: {error}");
        }
    }
}

#[test]
fn wrong_arguments_are_refused() {
    for line in [
        "",
        "rnu",
        "run",
        "run -c a.toml --duration soon",
        "demo --seed minus-one",
        "simulate --areas minus-one",
        "simulate --no-faults --labels l.jsonl",
        "simulate --rate 5",
        "simulate --framed --kafka localhost:9092",
        "simulate --kafka localhost:9092 --rate 5 --speed 5",
        "dead-letters replay",
        "dead-letters replay -c a --from yesterday",
        "dead-letters replay -c a --from -5",
        "detectors -c a.toml --dir b",
        "schemas",
        "schemas register",
        "schemas register -c a.toml --registry http://127.0.0.1:8080",
        "config check",
    ] {
        assert!(parse(line).is_err(), "{line}");
    }
}

#[test]
fn durations_are_read_as_in_the_configuration() {
    let Command::Run(run) = parse("run -c a --duration 1m30s").unwrap().command else { panic!() };
    assert_eq!(run.duration, Some(Duration::from_secs(90)));
}

#[test]
fn a_reader_that_went_away_is_no_failure() {
    let gone = Failure::from(std::io::Error::from(std::io::ErrorKind::BrokenPipe));
    assert_eq!(gone.status(), 0);
    let full = Failure::from(std::io::Error::from(std::io::ErrorKind::StorageFull));
    assert_eq!(full.status(), 1);
    assert_eq!(Failure::Arguments(String::new()).status(), 2);
}

fn commands_below(command: &clap::Command) -> Vec<clap::Command> {
    let deeper = command.get_subcommands().flat_map(commands_below);
    std::iter::once(command.clone()).chain(deeper).collect()
}

#[test]
fn the_readme_names_every_command_and_option_and_each_says_what_it_does() {
    let readme = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let section = readme.split("\n## Commands\n").nth(1).unwrap().split("\n## ").next().unwrap();
    for command in commands_below(&Arguments::command()) {
        let name = command.get_name();
        let row = |text: &str| section.lines().any(|line| line.contains(name) && line.contains(text));
        assert!(row("gridwatch"), "the README does not name {name}");
        for argument in command.get_arguments() {
            assert!(
                argument.get_help().is_some() || name == "check",
                "{name}: {} has no help",
                argument.get_id()
            );
            let Some(long) = argument.get_long().filter(|long| !["help", "version", "config"].contains(long))
            else {
                continue;
            };
            assert!(row(&format!("--{long}")), "the README does not name --{long} of {name}");
        }
    }
}
