//! SASL over TLS: a certificate of the broker's own, made on the spot, and one user.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::Failure;

/// The user that `tests/servers/install` put into the formatted metadata for SCRAM; PLAIN knows the same.
const USER: &str = "gridwatch";
const PASSWORD: &str = "gridwatch-secret";

/// What a client has to know to come in by the listener with SASL over TLS.
#[derive(Clone, Debug)]
pub struct Secured {
    /// `127.0.0.1:PORT`.
    pub bootstrap: String,
    /// The certificate to trust, PEM: librdkafka's `ssl.ca.location`.
    pub ca: PathBuf,
    pub user: &'static str,
    pub password: &'static str,
    /// Private key and certificate in one file, as the broker reads it.
    keystore: PathBuf,
}

impl Secured {
    /// librdkafka's properties; the mechanism is `SCRAM-SHA-256` or `PLAIN`. For kcat it is `PLAIN`: the
    /// librdkafka 2.0 of Debian 12 fails SCRAM's second message at brokers that check its nonce.
    pub fn properties(&self, mechanism: &str) -> Vec<(String, String)> {
        let pairs = [
            ("security.protocol", "SASL_SSL"),
            ("sasl.mechanism", mechanism),
            ("sasl.username", self.user),
            ("sasl.password", self.password),
            ("ssl.ca.location", self.ca.to_str().expect("a path in UTF-8")),
        ];
        pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    pub(super) fn make(folder: &Path, port: u16) -> Result<Secured, Failure> {
        let (key, ca, keystore) =
            (folder.join("key.pem"), folder.join("ca.pem"), folder.join("keystore.pem"));
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]);
        openssl.args(["-days", "30", "-subj", "/CN=localhost"]);
        openssl.args(["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-keyout"]);
        let output = openssl.arg(&key).arg("-out").arg(&ca).output();
        let output = output.map_err(|error| Failure(format!("openssl: {error}")))?;
        if !output.status.success() {
            return Err(Failure(format!("openssl: {}", String::from_utf8_lossy(&output.stderr))));
        }
        let joined = || std::fs::write(&keystore, [std::fs::read(&key)?, std::fs::read(&ca)?].concat());
        joined().map_err(|error| Failure(format!("{}: {error}", keystore.display())))?;
        Ok(Secured { bootstrap: format!("127.0.0.1:{port}"), ca, user: USER, password: PASSWORD, keystore })
    }
}

/// What the broker has to know of it.
pub fn secured_properties(secured: &Secured) -> String {
    let listener = "listener.name.secured";
    format!(
        "{listener}.sasl.enabled.mechanisms=SCRAM-SHA-256,PLAIN\n\
         {listener}.scram-sha-256.sasl.jaas.config=\
         org.apache.kafka.common.security.scram.ScramLoginModule required;\n\
         {listener}.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
         user_{USER}=\"{PASSWORD}\";\n\
         {listener}.ssl.keystore.type=PEM\n\
         {listener}.ssl.keystore.location={}\n",
        secured.keystore.display(),
    )
}
