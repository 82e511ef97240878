//! Prometheus, with the very configuration and rules of `compose/` but for its file of targets.

use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::Value;

use super::place::Folder;
use super::server::Recipe;
use super::{Failure, Server, http};
use crate::bench::root;

/// A running Prometheus, and what it is asked.
pub struct Prometheus {
    port: u16,
    server: Server,
}

impl Prometheus {
    /// In a folder that is kept, or a temporary one.
    pub fn try_start(port: u16, targets: &str, folder: Option<&Path>) -> Result<Prometheus, Failure> {
        let folder = Folder::at(folder)?;
        let io = |error: std::io::Error| Failure(format!("prometheus: {error}"));
        // It looks for rules and targets beside the name that it was given, not beside what that leads to.
        for name in ["prometheus.yml", "rules"] {
            let link = folder.path().join(name);
            let _ = std::fs::remove_file(&link);
            symlink(root().join("compose/prometheus").join(name), link).map_err(io)?;
        }
        std::fs::write(folder.path().join("targets.yml"), targets).map_err(io)?;
        let listen = format!("--web.listen-address=127.0.0.1:{port}");
        let arguments =
            ["--config.file=prometheus.yml", "--storage.tsdb.path=data", &listen, "--log.level=warn"];
        let arguments = arguments.map(str::to_owned).to_vec();
        let recipe = Recipe { program: "prometheus".into(), arguments, environment: Vec::new() };
        let ready = move || http::is_ok(port, "/-/ready");
        Ok(Prometheus { port, server: Server::start("prometheus", recipe, folder, ready)? })
    }

    /// For one in a kept folder: it goes on after this process. Its process id.
    pub fn leave_running(self) -> u32 {
        self.server.leave_running()
    }

    pub fn client(&self) -> PrometheusClient {
        PrometheusClient { port: self.port }
    }
}

/// Asks a Prometheus at a port of this machine.
#[derive(Clone, Copy, Debug)]
pub struct PrometheusClient {
    pub port: u16,
}

impl PrometheusClient {
    /// `data` of an answer of its API, or what it says against the question.
    pub fn ask(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Value, String> {
        let pairs = parameters.iter().map(|(key, value)| format!("{key}={}", encoded(value)));
        let query = pairs.collect::<Vec<_>>().join("&");
        let (_, body) = http::request(self.port, "GET", &format!("/api/v1/{path}?{query}"), "")?;
        let answer: Value = serde_json::from_str(&body).map_err(|error| format!("{error}: {body}"))?;
        match answer["status"].as_str() {
            Some("success") => Ok(answer["data"].clone()),
            _ => Err(answer["error"].as_str().unwrap_or(&body).to_owned()),
        }
    }

    /// Series that an expression has now, each with its labels, and whether it has a number.
    pub fn query(&self, expression: &str) -> Result<Vec<Value>, String> {
        let data = self.ask("query", &[("query", expression)])?;
        Ok(data["result"].as_array().cloned().unwrap_or_default())
    }

    /// Whether an expression has a number now.
    pub fn has_data(&self, expression: &str) -> Result<bool, String> {
        let is_number = |series: &Value| series["value"][1].as_str().is_some_and(|value| value != "NaN");
        Ok(self.query(expression)?.iter().any(is_number))
    }
}

/// Percent-encoded, but for what may stand in a query as it is.
fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let one = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(one).collect()
}
