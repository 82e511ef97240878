//! The parts that are not servers of others, and the whole, started and held.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::OnceLock;

use tempfile::TempDir;

use super::places::{Places, Worker};
use super::{compose, deploy_built_in, read};
use crate::bench::root;
use crate::house::gridwatch;
use crate::servers::{
    Exporter, Failure, Folder, Kafka, Minio, Prometheus, Recipe, Registry, Server, http, standing,
};

pub const BUCKET: &str = "gridwatch";
/// Of the API; reachable on this machine alone.
const TOKEN: &str = "gridwatch-api-token";

fn failed(what: &str) -> impl Fn(std::io::Error) -> Failure {
    move |error| Failure(format!("{what}: {error}"))
}

/// A gridwatch process, with the configuration of `compose/`, that watches `detectors`.
pub fn worker(
    places: &Places,
    worker: Worker,
    detectors: &Path,
    folder: Option<&Path>,
) -> Result<Server, Failure> {
    let folder = Folder::at(folder)?;
    let path = folder.path();
    let io = failed(worker.name);
    for (secret, value) in
        [("minio/user", Minio::USER), ("minio/password", Minio::PASSWORD), ("gridwatch/token", TOKEN)]
    {
        let file = path.join("secrets").join(secret);
        std::fs::create_dir_all(file.with_file_name("")).map_err(&io)?;
        std::fs::write(file, value).map_err(&io)?;
    }
    std::fs::write(path.join("gridwatch.toml"), places.here_for(worker, &read("gridwatch.toml")))
        .map_err(&io)?;
    for (name, to) in
        [("assets.csv", root().join("examples/kafka/assets.csv")), ("detectors", detectors.to_owned())]
    {
        let _ = std::fs::remove_file(path.join(name));
        symlink(to, path.join(name)).map_err(&io)?;
    }
    let recipe = recipe(places, worker.name);
    Server::start(worker.name, recipe, folder, move || http::is_ok(worker.api, "/readyz"))
}

/// The data generator of `compose/`, with words of its command left out and others put behind.
pub fn generator(
    places: &Places,
    without: &[&str],
    with: &[&str],
    folder: Option<&Path>,
) -> Result<Server, Failure> {
    let mut recipe = recipe(places, "data-generator");
    recipe.arguments.retain(|word| !without.iter().any(|start| word.starts_with(start)));
    recipe.arguments.extend(with.iter().map(|word| (*word).to_owned()));
    let port = places.generator;
    Server::start("data-generator", recipe, Folder::at(folder)?, move || http::is_ok(port, "/healthz"))
}

/// What a container of this service executes.
fn recipe(places: &Places, service: &str) -> Recipe {
    let arguments = compose::command(service).iter().map(|word| places.here(word)).collect();
    Recipe { program: gridwatch().get_program().into(), arguments, environment: Vec::new() }
}

/// The registry forgets on every start, so schemas are registered each time; registering what is there changes nothing.
pub fn register_schemas(places: &Places) -> Result<(), Failure> {
    let words = compose::command("schemas");
    let output = gridwatch().args(words.iter().map(|word| places.here(word))).output();
    let output = output.map_err(failed("gridwatch"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(Failure(format!("schemas are not registered:\n{}", String::from_utf8_lossy(&output.stderr))))
}

/// The whole, at free ports, for as long as this value lives.
pub struct Stack {
    pub places: Places,
    pub prometheus: Prometheus,
    /// The folder that both processes watch.
    pub detectors: TempDir,
    workers: [Server; 2],
    generator: OnceLock<Server>,
    _exporter: Server,
    _minio: Minio,
    _registry: Registry,
    _kafka: Kafka,
}

impl Stack {
    /// All but the data generator.
    pub fn start() -> Result<Stack, Failure> {
        let places = Places::free()?;
        let kafka = Kafka::setup().ports(places.kafka, places.controller);
        let registry = Registry::setup().port(places.registry);
        let minio = Minio::setup().port(places.minio);
        // Three at a time: a broker takes longest, and the others wait for nobody.
        let (kafka, registry, minio) = std::thread::scope(|scope| {
            let registry = scope.spawn(|| registry.try_start());
            let minio = scope.spawn(|| minio.try_start());
            let kafka = kafka.try_start();
            (kafka, registry.join().expect("the registry's start"), minio.join().expect("the store's start"))
        });
        let (kafka, registry, minio) = (kafka?, registry?, minio?);
        minio.create_bucket(BUCKET);
        standing::make_topics(&places.bootstrap());
        register_schemas(&places)?;
        let exporter = Exporter::try_start(&places.bootstrap(), places.exporter, None)?;
        let prometheus = Prometheus::try_start(places.prometheus, &targets(&places), None)?;
        let detectors = tempfile::tempdir().map_err(failed("detectors"))?;
        deploy_built_in(detectors.path());
        let [first, second] = places.workers;
        let workers = [
            worker(&places, first, detectors.path(), None)?,
            worker(&places, second, detectors.path(), None)?,
        ];
        Ok(Stack {
            places,
            prometheus,
            detectors,
            workers,
            generator: OnceLock::new(),
            _exporter: exporter,
            _minio: minio,
            _registry: registry,
            _kafka: kafka,
        })
    }

    /// A folder with a configuration of this group.
    pub fn worker_folder(&self) -> &Path {
        self.workers[0].folder()
    }

    /// The data generator sends four days of history within a minute and a half, with faults after the first of them.
    pub fn generate(&self) -> Result<(), Failure> {
        let with = ["--duration=4d", "--faults-per-kind=2", "--rate=6000"];
        let server = generator(&self.places, &["--speed"], &with, None)?;
        // Once is enough.
        let _ = self.generator.set(server);
        Ok(())
    }
}

/// Prometheus's file of targets.
pub fn targets(places: &Places) -> String {
    places.here(&read("prometheus/targets.yml"))
}
