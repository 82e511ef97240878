//! Where the parts are: at the pipeline's ports, or at free ones.

use crate::servers::{Failure, free_port};

/// Ports on this machine's loopback address.
#[derive(Clone, Debug)]
pub struct Places {
    pub kafka: u16,
    pub controller: u16,
    pub registry: u16,
    pub minio: u16,
    pub exporter: u16,
    pub prometheus: u16,
    /// Of the data generator's `/healthz`.
    pub generator: u16,
    pub workers: [Worker; 2],
}

/// One gridwatch process.
#[derive(Clone, Copy, Debug)]
pub struct Worker {
    pub name: &'static str,
    pub api: u16,
    pub metrics: u16,
}

impl Places {
    /// As `docker-compose.yml` publishes them; the two that it does not publish are beside them.
    pub fn usual() -> Places {
        Places {
            kafka: 9092,
            controller: 9093,
            registry: 8080,
            minio: 9000,
            exporter: 9308,
            prometheus: 9090,
            generator: 8089,
            workers: [
                Worker { name: "gridwatch-1", api: 8081, metrics: 9249 },
                Worker { name: "gridwatch-2", api: 8082, metrics: 9250 },
            ],
        }
    }

    pub fn free() -> Result<Places, Failure> {
        let worker = |name| -> Result<Worker, Failure> {
            Ok(Worker { name, api: free_port()?, metrics: free_port()? })
        };
        Ok(Places {
            kafka: free_port()?,
            controller: free_port()?,
            registry: free_port()?,
            minio: free_port()?,
            exporter: free_port()?,
            prometheus: free_port()?,
            generator: free_port()?,
            workers: [worker("gridwatch-1")?, worker("gridwatch-2")?],
        })
    }

    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.kafka)
    }

    /// What an address in a file of `compose/` is here.
    fn addresses(&self) -> Vec<(&'static str, String)> {
        let at = |port: u16| format!("127.0.0.1:{port}");
        let [first, second] = self.workers;
        vec![
            ("kafka:29092", at(self.kafka)),
            // Apicurio speaks Confluent's language at a path of its own.
            ("http://schema-registry:8080/apis/ccompat/v7", format!("http://{}", at(self.registry))),
            ("minio:9000", at(self.minio)),
            ("kafka-exporter:9308", at(self.exporter)),
            ("prometheus:9090", at(self.prometheus)),
            ("gridwatch-1:9249", at(first.metrics)),
            ("gridwatch-2:9249", at(second.metrics)),
            ("127.0.0.1:8089", at(self.generator)),
            // A container has a file system of its own; here each process has a folder.
            ("/etc/gridwatch/", String::new()),
        ]
    }

    /// A text of `compose/` with the addresses of this machine.
    pub fn here(&self, text: &str) -> String {
        translated(text, &self.addresses())
    }

    /// One process's configuration: what it listens on is its own.
    pub fn here_for(&self, worker: Worker, text: &str) -> String {
        let listens = [
            ("0.0.0.0:8081", format!("127.0.0.1:{}", worker.api)),
            ("0.0.0.0:9249", format!("127.0.0.1:{}", worker.metrics)),
        ];
        translated(&self.here(text), &listens)
    }
}

fn translated(text: &str, pairs: &[(&'static str, String)]) -> String {
    pairs.iter().fold(text.to_owned(), |text, (there, here)| text.replace(there, here))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::read;

    /// What runs here is what runs in containers, but for addresses: nothing else may differ in any line.
    #[test]
    fn files_of_compose_differ_from_those_here_in_addresses_alone() {
        let places = Places::free().unwrap();
        let worker = places.workers[1];
        for (name, count) in [("gridwatch.toml", 5), ("prometheus/targets.yml", 5)] {
            let there = read(name);
            let here = places.here_for(worker, &there);
            let (before, after): (Vec<&str>, Vec<&str>) = (there.lines().collect(), here.lines().collect());
            assert_eq!(before.len(), after.len());
            let changed: Vec<(&str, &str)> =
                before.into_iter().zip(after).filter(|(there, here)| there != here).collect();
            assert_eq!(changed.len(), count, "{name}: {changed:?}");
            for (there, here) in changed {
                let (start, end) = common(there, here);
                let rest = &here[start..here.len() - end];
                let is_address =
                    |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || b".:".contains(&byte));
                assert!(is_address(rest), "{name}: {there} became {here}");
            }
            assert!(!here.contains("0.0.0.0") && !here.contains("29092"), "{here}");
        }
    }

    /// Bytes that two lines share at their beginnings and at their ends.
    fn common(one: &str, other: &str) -> (usize, usize) {
        let start = one.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count();
        let most = one.len().min(other.len()) - start;
        let end = one.bytes().rev().zip(other.bytes().rev()).take(most).take_while(|(a, b)| a == b).count();
        (start, end)
    }
}
