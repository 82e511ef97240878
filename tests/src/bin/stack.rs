//! `stack up` starts the pipeline as a whole at its ports and leaves it running; `stack down` stops exactly that.
//! `stack check` starts it at free ports, proves that all of it can be seen, and ends it.
#![allow(clippy::print_stdout)]

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use gridwatch_tests::servers::standing::{self, ensure};
use gridwatch_tests::servers::{Exporter, Failure, Kafka, Minio, Prometheus, Registry, Server, http, left};
use gridwatch_tests::stack::parts::{self, BUCKET, Stack};
use gridwatch_tests::stack::places::Places;
use gridwatch_tests::stack::{check, deploy_built_in};

/// In the order in which they are stopped.
const PARTS: [&str; 8] = [
    "data-generator",
    "gridwatch-1",
    "gridwatch-2",
    "prometheus",
    "kafka-exporter",
    "minio",
    "schema-registry",
    "kafka",
];

fn main() -> ExitCode {
    let result = match std::env::args().nth(1).as_deref() {
        Some("up") => up(),
        Some("down") => {
            standing::stop(&PARTS);
            println!("what they hold stays in {}", standing::folder("").display());
            Ok(())
        }
        Some("check") => prove(),
        _ => Err(Failure("stack up | stack down | stack check".to_owned())),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("stack: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn up() -> Result<(), Failure> {
    let places = Places::usual();
    ensure("kafka", &[places.kafka, places.controller], |folder| {
        let setup = Kafka::setup().ports(places.kafka, places.controller).for_load().folder(folder);
        setup.try_start().map(Kafka::leave_running)
    })?;
    standing::make_topics(&places.bootstrap());
    ensure("schema-registry", &[places.registry], |folder| {
        Registry::setup().port(places.registry).folder(folder).try_start().map(Registry::leave_running)
    })?;
    parts::register_schemas(&places)?;
    ensure("minio", &[places.minio], |folder| {
        let minio = Minio::setup().port(places.minio).folder(folder).try_start()?;
        minio.create_bucket(BUCKET);
        Ok(minio.leave_running())
    })?;
    let detectors = standing::folder("detectors");
    deploy_built_in(&detectors);
    for worker in places.workers {
        ensure(worker.name, &[worker.api, worker.metrics], |folder| {
            parts::worker(&places, worker, &detectors, Some(folder)).map(Server::leave_running)
        })?;
    }
    ensure("kafka-exporter", &[places.exporter], |folder| {
        Exporter::try_start(&places.bootstrap(), places.exporter, Some(folder)).map(Server::leave_running)
    })?;
    ensure("prometheus", &[places.prometheus], |folder| {
        Prometheus::try_start(places.prometheus, &parts::targets(&places), Some(folder))
            .map(Prometheus::leave_running)
    })?;
    ensure("data-generator", &[places.generator], |folder| {
        parts::generator(&places, &[], &[], Some(folder)).map(Server::leave_running)
    })?;
    print_map(&places, &detectors);
    Ok(())
}

/// Where each part is, how it is, and what to look at first.
fn print_map(places: &Places, detectors: &Path) {
    let [first, second] = places.workers;
    let lines: [(&str, u16, &str, &str, &str); 8] = [
        ("gridwatch-1", first.api, "/readyz", "gridwatch-1", "dashboard and API; metrics at 9249"),
        ("gridwatch-2", second.api, "/readyz", "gridwatch-2", "the second worker; metrics at 9250"),
        ("Prometheus", places.prometheus, "/-/ready", "prometheus", "targets, alerts: /alerts"),
        ("schema registry", places.registry, "/health/ready", "schema-registry", "/subjects"),
        ("MinIO", places.minio, "/minio/health/ready", "minio", "checkpoints in the bucket gridwatch"),
        ("Kafka exporter", places.exporter, "/metrics", "kafka-exporter", "offsets and groups"),
        ("data generator", places.generator, "/healthz", "data-generator", "84 meters, ten minutes a second"),
        ("Kafka", places.kafka, "", "kafka", "kcat -b 127.0.0.1:9092 -C -t anomalies"),
    ];
    println!();
    for (name, port, probe, folder, look) in lines {
        let health = match probe {
            "" => left::running(&standing::folder(folder)).map(|_| ()).ok_or_else(|| "gone".to_owned()),
            probe => http::is_ok(port, probe),
        };
        let health = health.map_or_else(|why| why, |()| "healthy".to_owned());
        let address =
            if probe.is_empty() { format!("127.0.0.1:{port}") } else { format!("http://127.0.0.1:{port}") };
        println!("  {name:<16} {address:<24} {health:<8} {look}");
    }
    println!("  {:<16} {}", "detectors", detectors.display());
    println!("  {:<16} {}", "logs", standing::folder("*/log").display());
    println!("  {:<16} make stack-stop", "stop");
}

fn prove() -> Result<(), Failure> {
    let since = Instant::now();
    let stack = Stack::start()?;
    println!("the pipeline is up in {:.1} s", since.elapsed().as_secs_f64());
    let report = check::check(&stack)?;
    println!("  {:<22} {:>3} up", "targets", report.targets);
    println!("  {:<22} {:>3} evaluated", "rules", report.rules);
    for (source, count) in report.by_source {
        let what = if source == "alerts" { "selectors with data" } else { "queries with data" };
        println!("  {source:<22} {count:>3} {what}");
    }
    println!("all of it can be seen; {:.1} s", since.elapsed().as_secs_f64());
    Ok(())
}
