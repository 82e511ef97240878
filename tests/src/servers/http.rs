//! As much HTTP as asking a local server takes.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(10);

/// Status and body of one request to 127.0.0.1, or what went wrong.
pub fn request(port: u16, method: &str, path: &str, json: &str) -> Result<(u16, String), String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).map_err(|error| error.to_string())?;
    let ask = || -> std::io::Result<Vec<u8>> {
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(
            stream,
            "{method} {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\
             Content-Type: application/vnd.schemaregistry.v1+json\r\nContent-Length: {}\r\n\r\n{json}",
            json.len(),
        )?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(answer)
    };
    let answer = { ask }().map_err(|error| error.to_string())?;
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    match (status, answer.split_once("\r\n\r\n")) {
        (Some(status), Some((_, body))) => Ok((status, body.to_owned())),
        _ => Err(format!("no answer in HTTP: {answer:?}")),
    }
}

/// Ok once a GET is answered with 200.
pub fn is_ok(port: u16, path: &str) -> Result<(), String> {
    match request(port, "GET", path, "")? {
        (200, _) => Ok(()),
        (status, body) => Err(format!("GET {path}: {status} {body}")),
    }
}
