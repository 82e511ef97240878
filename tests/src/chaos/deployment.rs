//! How the processes of one group are configured.

use std::path::{Path, PathBuf};

use super::process::Process;
use super::stage::READINGS;
use crate::bench::{DETECTORS, root};
use crate::servers::Minio;

#[derive(Clone, Debug)]
pub struct Deployment {
    pub group: String,
    /// Where the processes find the broker: it, or a proxy before it.
    pub brokers: String,
    pub delivery: &'static str,
    /// Detectors that judge; all of the built-in ones unless said otherwise.
    pub detectors: Vec<&'static str>,
    /// The lines of `[checkpoints]` that say where.
    store: String,
    /// Readings come from there.
    pub topic: String,
    /// Further lines of `[engine]`.
    engine: String,
    /// Further lines of `[source.properties]`.
    properties: String,
    /// `[registry]`, where readings are checked.
    registry: String,
    /// Each process has a directory of detectors of its own.
    is_apart: bool,
    folder: PathBuf,
}

impl Deployment {
    /// Exactly once, checkpoints in a directory that all processes share.
    pub fn new(stage: &Path, group: &str, brokers: &str) -> Deployment {
        let folder = stage.join(group);
        std::fs::create_dir_all(folder.join("detectors")).unwrap();
        Deployment {
            group: group.to_owned(),
            brokers: brokers.to_owned(),
            delivery: "exactly-once",
            detectors: DETECTORS.to_vec(),
            store: format!("dir = \"{}\"", folder.join("store").display()),
            topic: READINGS.to_owned(),
            engine: String::new(),
            properties: String::new(),
            registry: String::new(),
            is_apart: false,
            folder,
        }
    }

    pub fn at_least_once(mut self) -> Deployment {
        self.delivery = "at-least-once";
        self
    }

    /// A line of `[engine]`.
    pub fn engine(mut self, line: &str) -> Deployment {
        self.engine.push_str(line);
        self
    }

    /// From another topic.
    pub fn reading(mut self, topic: &str) -> Deployment {
        topic.clone_into(&mut self.topic);
        self
    }

    /// Judges the same readings in the same way.
    pub fn undisturbed_as(&mut self, disturbed: &Deployment) {
        self.detectors.clone_from(&disturbed.detectors);
        self.topic.clone_from(&disturbed.topic);
        self.engine.clone_from(&disturbed.engine);
        self.registry.clone_from(&disturbed.registry);
    }

    /// Processes share no directory of detectors.
    pub fn apart(mut self) -> Deployment {
        self.is_apart = true;
        self
    }

    fn detectors_of(&self, instance: &str) -> PathBuf {
        let folder = if self.is_apart { self.folder.join(instance) } else { self.folder.clone() };
        folder.join("detectors")
    }

    /// A file in a process's directory of detectors, all at once.
    pub fn put(&self, instance: &str, name: &str, bytes: &[u8]) {
        let to = self.detectors_of(instance).join(name);
        let part = to.with_extension("part");
        std::fs::write(&part, bytes).unwrap();
        std::fs::rename(part, to).unwrap();
    }

    /// Through a proxy, for example.
    pub fn through(mut self, brokers: &str) -> Deployment {
        brokers.clone_into(&mut self.brokers);
        self
    }

    /// For librdkafka.
    pub fn property(mut self, name: &str, value: &str) -> Deployment {
        self.properties.push_str(&format!("\"{name}\" = \"{value}\"\n"));
        self
    }

    /// Readings are checked by the schemas of a registry, or of a proxy before it, which has little time to answer.
    pub fn checked_by(mut self, registry: &str) -> Deployment {
        self.registry = format!("[registry]\nurl = \"{registry}\"\ntimeout = \"300ms\"\n");
        self
    }

    /// Checkpoints in a bucket; `endpoint` may be a proxy's.
    pub fn in_bucket(mut self, bucket: &str, endpoint: &str) -> Deployment {
        let file = |name: &str, text: &str| {
            let path = self.folder.join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        self.store = format!(
            "url = \"s3://{bucket}/{}\"\nendpoint = \"{endpoint}\"\naccess_key_file = \"{}\"\n\
             secret_key_file = \"{}\"",
            self.group,
            file("access-key", Minio::USER),
            file("secret-key", Minio::PASSWORD),
        );
        self
    }

    pub fn anomalies(&self) -> String {
        format!("{}.anomalies", self.group)
    }

    pub fn dead_letters(&self) -> String {
        format!("{}.dead-letters", self.group)
    }

    /// A process of the group, not yet started. Commits and checkpoints are far more frequent than anybody
    /// would want, so that every kind of moment is hit.
    pub fn process(&self, instance: &str) -> Process {
        let folder = self.folder.join(instance);
        let detectors = self.detectors_of(instance);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::create_dir_all(&detectors).unwrap();
        for name in &self.detectors {
            let module = Path::new(name).with_extension("wasm");
            std::fs::copy(root().join("detectors").join(&module), detectors.join(&module))
                .unwrap_or_else(|error| panic!("{}: {error}; run `make guests`", module.display()));
        }
        let metrics = crate::servers::free_port().unwrap_or_else(|failure| panic!("{failure}"));
        let text = format!(
            "[source]\nkind = \"kafka\"\nbrokers = \"{}\"\ntopic = \"{}\"\ngroup = \"{}\"\n\
             [source.properties]\n\"reconnect.backoff.max.ms\" = 1000\n{}\
             [sink]\nkind = \"kafka\"\ntopic = \"{}\"\n[dead_letters]\ntopic = \"{}\"\n\
             [engine]\ndelivery = \"{}\"\ncommit_interval = \"50ms\"\ninstance = \"{instance}\"\n{}\
             [checkpoints]\ninterval = \"300ms\"\n{}\n{}[detectors]\ndir = \"{}\"\n\
             [api]\nlisten = \"127.0.0.1:0\"\n[metrics]\nlisten = \"127.0.0.1:{metrics}\"\n",
            self.brokers,
            self.topic,
            self.group,
            self.properties,
            self.anomalies(),
            self.dead_letters(),
            self.delivery,
            self.engine,
            self.store,
            self.registry,
            detectors.display(),
        );
        std::fs::write(folder.join("gridwatch.toml"), text).unwrap();
        let binary = self.folder.parent().unwrap_or(&self.folder).join("gridwatch");
        Process::new(binary, folder, format!("{}/{instance}", self.group), metrics)
    }
}
