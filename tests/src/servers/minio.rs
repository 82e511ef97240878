//! An S3 store.

use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use super::place::{Folder, installed};
use super::server::{Recipe, retry_ports};
use super::{Failure, Server, http, ports};

/// What a store is to be like.
#[derive(Clone, Debug)]
pub struct MinioSetup {
    port: Option<u16>,
    folder: Option<PathBuf>,
}

impl MinioSetup {
    pub fn port(mut self, port: u16) -> MinioSetup {
        self.port = Some(port);
        self
    }

    /// Data and log go there and stay, and the store may be left running.
    pub fn folder(mut self, folder: &Path) -> MinioSetup {
        self.folder = Some(folder.to_owned());
        self
    }

    pub fn start(self) -> Minio {
        self.try_start().unwrap_or_else(|failure| panic!("{failure}"))
    }

    pub fn try_start(self) -> Result<Minio, Failure> {
        retry_ports(self.port.is_none(), || self.start_once())
    }

    fn start_once(&self) -> Result<Minio, Failure> {
        let program = installed("minio-2026-02-12/bin/minio")?;
        let port = self.port.map_or_else(ports::pick, Ok)?;
        let folder = Folder::at(self.folder.as_deref())?;
        let arguments = ["server", "--quiet", "--address", &format!("127.0.0.1:{port}"), "data"];
        let environment = [
            ("MINIO_ROOT_USER", Minio::USER),
            ("MINIO_ROOT_PASSWORD", Minio::PASSWORD),
            // Else a console listens on a random port of all addresses.
            ("MINIO_BROWSER", "off"),
            ("MINIO_UPDATE", "off"),
            ("MINIO_CI_CD", "on"),
            ("MINIO_CALLHOME_ENABLE", "off"),
            // Prometheus asks without a token.
            ("MINIO_PROMETHEUS_AUTH_TYPE", "public"),
        ];
        let environment = environment.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec();
        let recipe = Recipe { program, arguments: arguments.map(str::to_owned).to_vec(), environment };
        let ready = move || is_ready(port);
        Ok(Minio { port, server: Server::start("minio", recipe, folder, ready)? })
    }
}

/// A running store; see [`Server`] for how it ends.
pub struct Minio {
    port: u16,
    server: Server,
}

impl Minio {
    /// The access key's id, as S3 calls it.
    pub const USER: &str = "gridwatch";
    /// The secret access key.
    pub const PASSWORD: &str = "gridwatch-secret";

    /// One on a free port, in a temporary folder, without buckets.
    pub fn start() -> Minio {
        Minio::setup().start()
    }

    pub fn setup() -> MinioSetup {
        MinioSetup { port: None, folder: None }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Makes a bucket, if it is not there: to a store on one drive a folder is one.
    pub fn create_bucket(&self, name: &str) {
        fs::create_dir_all(self.folder().join("data").join(name)).expect("the store's folder");
    }

    /// For a store in a kept folder: it goes on after this process. Its process id.
    pub fn leave_running(self) -> u32 {
        self.server.leave_running()
    }
}

impl Deref for Minio {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

/// "Ready" of its health page comes before it knows its users: until then every request is refused for that. One
/// that nobody signed tells.
fn is_ready(port: u16) -> Result<(), String> {
    http::is_ok(port, "/minio/health/ready")?;
    match http::request(port, "GET", "/", "")? {
        (403, _) => Ok(()),
        (status, body) => Err(format!("GET /: {status} {body}")),
    }
}
