//! `[sink]`, `[dead_letters]`, `[api]`, `[metrics]`: where things go, and where gridwatch listens.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use super::kafka;
use super::section::Section;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sink {
    /// Anomalies as JSON lines in a file.
    File(PathBuf),
    Stdout,
    Kafka {
        topic: String,
    },
}

/// Where anomalies go if nobody says otherwise.
pub const TOPIC: &str = "anomalies";

pub fn read_sink(mut section: Section<'_, '_>) -> Sink {
    #[derive(Clone, Copy)]
    enum Kind {
        File,
        Stdout,
        Kafka,
    }
    let kind =
        section.choice("kind", &[("file", Kind::File), ("stdout", Kind::Stdout), ("kafka", Kind::Kafka)]);
    let topic_offset = section.written("topic");
    let topic = kafka::topic(&mut section);
    let path = section.string("path");
    let path_offset = section.written("path");
    let kind = kind.map(|at| at.value);
    if let Some(offset) = topic_offset.filter(|_| !matches!(kind, Some(Kind::Kafka))) {
        section.document().mistake(offset, "topic: belongs to kind = \"kafka\"");
    }
    let sink = match (kind, path) {
        (Some(Kind::Stdout | Kind::Kafka), Some(path)) => {
            section.document().mistake(path.offset, "path: belongs to kind = \"file\"");
            Sink::Stdout
        }
        (Some(Kind::Kafka), None) => Sink::Kafka { topic: topic.unwrap_or(TOPIC.to_owned()) },
        (Some(Kind::Stdout), None) => Sink::Stdout,
        (_, Some(path)) => {
            let resolved = section.document().resolve(&path.value);
            if resolved.is_dir() {
                section.document().mistake(path.offset, format!("path: {} is a directory", path.value));
            }
            Sink::File(resolved)
        }
        (Some(Kind::File), None) => {
            if path_offset.is_none() {
                section
                    .document()
                    .mistake(section.offset(), "path is missing in [sink]: name the file to write");
            }
            Sink::Stdout
        }
        (None, None) => Sink::Stdout,
    };
    section.close();
    sink
}

/// The file that keeps what was no reading, and the topic that does it for Kafka.
pub fn read_dead_letters(mut section: Section<'_, '_>) -> (PathBuf, Option<String>) {
    let topic = kafka::topic(&mut section);
    let path = section.string("path");
    if let Some(path) = &path
        && section.document().resolve(&path.value).is_dir()
    {
        section.document().mistake(path.offset, format!("path: {} is a directory", path.value));
    }
    let resolved = section.document().resolve(path.as_ref().map_or("dead-letters.jsonl", |path| &path.value));
    section.close();
    (resolved, topic)
}

pub const API_PORT: u16 = 8081;
pub const METRICS_PORT: u16 = 9249;

/// `[api]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Api {
    pub listen: SocketAddr,
    /// What is in it lets somebody change what runs.
    pub token_file: Option<PathBuf>,
    /// Names by which it may be called, beside addresses and `localhost`.
    pub hosts: Vec<String>,
}

pub fn read_api(mut section: Section<'_, '_>) -> Api {
    let token_file = section.file("token_file").map(|at| at.value);
    let hosts = section.strings("hosts").unwrap_or_default();
    for host in &hosts {
        if host.value.is_empty() || host.value.contains(['/', ':', ' ', '*']) {
            let what =
                format!("hosts: \"{}\" is no name of a host; write it without scheme and port", host.value);
            section.document().mistake(host.offset, what);
        }
    }
    let hosts = hosts.into_iter().map(|at| at.value).collect();
    Api { listen: read_listen(section, API_PORT), token_file, hosts }
}

/// Loopback unless told otherwise.
pub fn read_listen(mut section: Section<'_, '_>, port: u16) -> SocketAddr {
    let usual = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let listen = match section.string("listen") {
        None => usual,
        Some(text) => text.value.parse().unwrap_or_else(|_| {
            let what = format!(
                "listen: \"{}\" is no address with a port; write for example \"{usual}\" (port 0: any free one)",
                text.value
            );
            section.document().mistake(text.offset, what);
            usual
        }),
    };
    section.close();
    listen
}
