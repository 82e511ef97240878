//! What a proxy says in a server's place, and as much HTTP as that takes.

use std::io::Read;
use std::net::TcpStream;

/// The bytes of an answer to an HTTP request; the connection is closed after it.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer(Vec<u8>);

impl Answer {
    /// An error with a short text in its body: 500, 503, 404.
    pub fn status(code: u16) -> Answer {
        Answer::body(code, "text/plain", "disturbed on purpose")
    }

    /// 200 and a body that is neither JSON nor XML.
    pub fn garbage() -> Answer {
        Answer::body(200, "application/json", "{\"id\": 1, \"schema\": \u{1}<<<>>> garbage")
    }

    pub fn body(code: u16, content_type: &str, body: &str) -> Answer {
        let head =
            format!("HTTP/1.1 {code} Disturbed\r\nContent-Type: {content_type}\r\nConnection: close\r\n");
        Answer(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes())
    }

    /// Any bytes, HTTP or not.
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Answer {
        Answer(bytes.into())
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        self.0.clone()
    }
}

/// Reads a request with its body, so that closing does not take the answer from the client's hands.
pub(super) fn read_request(client: &mut TcpStream) -> bool {
    let mut request = Vec::new();
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let text = String::from_utf8_lossy(&request).to_ascii_lowercase();
        if let Some((head, _)) = text.split_once("\r\n\r\n") {
            let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
            let at = request.windows(4).position(|four| four == b"\r\n\r\n").map_or(0, |at| at + 4);
            let length = header("content-length:").and_then(|len| len.parse().ok()).unwrap_or(0);
            let whole = match header("transfer-encoding:") {
                Some(_) => request.ends_with(b"0\r\n\r\n"),
                None => request.len() >= at + length,
            };
            if whole {
                return true;
            }
        }
        match client.read(&mut buffer) {
            Ok(len) if len > 0 => request.extend_from_slice(buffer.get(..len).unwrap_or_default()),
            _ => return false,
        }
    }
}
