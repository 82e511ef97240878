//! Where a scenario plays: a broker, a topic of readings, and a folder for all that its processes write.

use std::path::{Path, PathBuf};

use super::deployment::Deployment;
use crate::bench::root;
use crate::servers::{Kafka, KafkaSetup};

/// Lanes of a scenario.
pub const PARTITIONS: usize = 4;
/// The topic of readings. The lanes' names, and so the ids of some anomalies, follow from it.
pub const READINGS: &str = "readings";

pub struct Stage {
    pub kafka: Kafka,
    pub seed: u64,
    pub name: &'static str,
    folder: PathBuf,
}

impl Stage {
    /// A broker of its own, the topic, and an empty folder in `target/chaos/`.
    pub fn new(name: &'static str, seed: u64, kafka: KafkaSetup) -> Stage {
        // One tree may run a scenario twice at once.
        let folder = root().join("target/chaos").join(format!("{name}-{seed}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        // The binary as it is now: it may be built anew while a long scenario runs.
        let built = root().join("target/release/gridwatch");
        std::fs::hard_link(&built, folder.join("gridwatch")).unwrap_or_else(|error| {
            panic!("{}: {error}: cargo build --release --workspace", built.display())
        });
        let kafka = kafka.start();
        kafka.topics().create(READINGS, PARTITIONS);
        Stage { kafka, seed, name, folder }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Processes that form one group under that name, with topics of their own for what they say.
    pub fn deployment(&self, group: &str) -> Deployment {
        let deployment = Deployment::new(&self.folder, group, &self.kafka.bootstrap());
        let topics = self.kafka.topics();
        topics.create(&deployment.anomalies(), 1);
        topics.create(&deployment.dead_letters(), 1);
        deployment
    }

    /// All went well: nothing of it is needed any more.
    pub fn clear(&self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if self.folder.exists() {
            let broker = self.folder.join("broker.log");
            let _ = std::fs::copy(self.kafka.log(), broker);
            eprintln!("{}: seed {}, logs in {}", self.name, self.seed, self.folder.display());
        }
    }
}
