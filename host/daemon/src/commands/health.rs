//! `gridwatch health [URL]`: whether a process answers that it is well, for images that have neither a shell nor curl.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use crate::cli::{Failure, HealthArgs, Out};

/// Of an answer; a probe's is much shorter.
const ANSWER_BYTES_MAX: u64 = 64 << 10;

/// One request over plain HTTP, and no more than that.
pub fn health(args: &HealthArgs) -> Result<(), Failure> {
    let url = Url::parse(&args.url)?;
    let until = Instant::now() + args.timeout;
    let (status, body) =
        ask(&url, until).map_err(|error| Failure::Verdict(format!("{}: {error}", args.url)))?;
    let body = body.trim();
    if status == 200 {
        let mut out = Out::new();
        out.line(body)?;
        out.flush()?;
        return Ok(());
    }
    Err(Failure::Verdict(format!("{}: answers {status}: {body}", args.url)))
}

struct Url<'a> {
    /// With its port, if it has one.
    host: &'a str,
    path: &'a str,
}

impl Url<'_> {
    fn parse(url: &str) -> Result<Url<'_>, Failure> {
        let wrong = || {
            Failure::Arguments(format!(
                "\"{url}\" is no URL of plain HTTP; write for example http://127.0.0.1:8081/readyz"
            ))
        };
        let rest = url.strip_prefix("http://").ok_or_else(wrong)?;
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if host.is_empty() || !url.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(wrong());
        }
        Ok(Url { host, path: if path.is_empty() { "/readyz" } else { path } })
    }

    fn address(&self) -> String {
        let has_port = self.host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        if has_port { self.host.to_owned() } else { format!("{}:80", self.host) }
    }
}

fn ask(url: &Url<'_>, until: Instant) -> std::io::Result<(u16, String)> {
    let left = || until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
    let nowhere = || std::io::Error::other("the name leads nowhere");
    let address = url.address().to_socket_addrs()?.next().ok_or_else(nowhere)?;
    let mut stream = TcpStream::connect_timeout(&address, left())?;
    stream.set_write_timeout(Some(left()))?;
    stream.set_read_timeout(Some(left()))?;
    let request = format!("GET {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", url.path, url.host);
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| std::io::Error::other("what answers does not speak HTTP"))?;
    Ok((status, body.to_owned()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn urls_are_told_apart() {
        for (url, host, path, address) in [
            ("http://localhost:8081", "localhost:8081", "/readyz", "localhost:8081"),
            ("http://[::1]:8081/healthz", "[::1]:8081", "/healthz", "[::1]:8081"),
            ("http://gridwatch/", "gridwatch", "/", "gridwatch:80"),
        ] {
            let parsed = Url::parse(url).unwrap_or(Url { host: "", path: "" });
            assert_eq!((parsed.host, parsed.path, parsed.address().as_str()), (host, path, address));
        }
        for url in ["https://localhost/", "localhost:8081", "http://", "http://a b/", "http://a/\r\nX: y"] {
            assert!(Url::parse(url).is_err(), "{url}");
        }
    }
}
