//! `servers up` starts Kafka, the schema registry and MinIO at the pipeline's ports and leaves them running;
//! `servers down` stops exactly those. `servers hold` starts them on free ports for as long as it lives itself.
#![allow(clippy::print_stdout)]

use std::process::ExitCode;

use gridwatch_tests::house::gridwatch;
use gridwatch_tests::servers::standing::{self, ensure};
use gridwatch_tests::servers::{Failure, Kafka, Minio, Registry};

const KAFKA: u16 = 9092;
const CONTROLLER: u16 = 9093;
const REGISTRY: u16 = 8080;
const MINIO: u16 = 9000;
const BUCKET: &str = "gridwatch";

fn main() -> ExitCode {
    let result = match std::env::args().nth(1).as_deref() {
        Some("up") => up(),
        Some("down") => {
            down();
            Ok(())
        }
        Some("hold") => hold(),
        _ => Err(Failure("servers up | servers down | servers hold".to_owned())),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("servers: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn up() -> Result<(), Failure> {
    ensure("kafka", &[KAFKA, CONTROLLER], |folder| {
        let setup = Kafka::setup().ports(KAFKA, CONTROLLER).for_load().folder(folder);
        setup.try_start().map(Kafka::leave_running)
    })?;
    standing::make_topics(&format!("127.0.0.1:{KAFKA}"));
    ensure("schema-registry", &[REGISTRY], |folder| {
        Registry::setup().port(REGISTRY).folder(folder).try_start().map(Registry::leave_running)
    })?;
    ensure("minio", &[MINIO], |folder| {
        let minio = Minio::setup().port(MINIO).folder(folder).try_start()?;
        minio.create_bucket(BUCKET);
        Ok(minio.leave_running())
    })?;
    print_map();
    register_schemas()
}

/// The registry forgets on every start, so the schemas of readings and anomalies are registered each time;
/// registering what is there changes nothing.
fn register_schemas() -> Result<(), Failure> {
    let url = format!("http://127.0.0.1:{REGISTRY}");
    let output = gridwatch().args(["schemas", "register", "--registry", &url]).output();
    let output = output.map_err(|error| Failure(format!("gridwatch: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    Err(Failure(format!("schemas are not registered:\n{}", String::from_utf8_lossy(&output.stderr))))
}

fn down() {
    standing::stop(&["minio", "schema-registry", "kafka"]);
    println!("what Kafka and MinIO hold stays in {}", standing::folder("").display());
}

/// A line for each server, its process id at the end; then waits until its input ends.
fn hold() -> Result<(), Failure> {
    let (kafka, registry, minio) =
        (Kafka::setup().try_start()?, Registry::setup().try_start()?, Minio::setup().try_start()?);
    let processes =
        [(kafka.bootstrap(), kafka.pid()), (registry.url(), registry.pid()), (minio.url(), minio.pid())];
    for (address, pid) in processes {
        println!("{address} process {}", pid.unwrap_or_default());
    }
    let ended = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
    ended.map(|_| ()).map_err(|error| Failure(error.to_string()))
}

fn print_map() {
    let topics = standing::topics().into_iter().map(|(name, partitions)| format!("{name} ({partitions})"));
    let topics = topics.collect::<Vec<_>>().join(", ");
    println!(
        "\n  Kafka            127.0.0.1:{KAFKA}         topics {topics}\n  \
           schema registry  http://127.0.0.1:{REGISTRY}\n  \
           MinIO            http://127.0.0.1:{MINIO}  bucket {BUCKET}, user {}, password {}\n  \
           logs             {}\n  \
           anomalies        kcat -b 127.0.0.1:{KAFKA} -C -t anomalies\n  \
           stop             make servers-stop",
        Minio::USER,
        Minio::PASSWORD,
        standing::folder("*/log").display(),
    );
}
