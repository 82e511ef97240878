//! Kafka's offsets and groups for Prometheus: our own small program under the names of the usual exporter, which is
//! to be had as a container alone.

use std::path::Path;

use super::place::{Folder, installed};
use super::server::Recipe;
use super::{Failure, Server, http};

/// Starts one; it needs a broker to be ready.
pub struct Exporter;

impl Exporter {
    /// In a folder that is kept, or a temporary one.
    pub fn try_start(bootstrap: &str, port: u16, folder: Option<&Path>) -> Result<Server, Failure> {
        let program = installed("kafka-exporter/bin/kafka-exporter")?;
        let listen = format!("127.0.0.1:{port}");
        let arguments = ["-brokers", bootstrap, "-listen", &listen].map(str::to_owned).to_vec();
        let recipe = Recipe { program, arguments, environment: Vec::new() };
        let ready = move || http::is_ok(port, "/metrics");
        Server::start("kafka-exporter", recipe, Folder::at(folder)?, ready)
    }
}
