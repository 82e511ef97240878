//! A host that is asked over HTTP while a test feeds it.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use gridwatch_tests::house::{House, simulated};
use serde_json::Value;

use crate::live::following;

pub const PATIENCE: Duration = Duration::from_secs(60);
pub const READINGS: usize = 200_000;

/// A host that judges readings, waits for more, and answers.
pub struct Host {
    pub house: House,
    child: Child,
    pub address: String,
}

/// What came back.
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// A problem that says what to do.
    pub fn problem(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{}\n{}", self.head, self.body);
        assert!(self.head.contains("content-type: application/problem+json"), "{}", self.head);
        let problem = self.json();
        assert_eq!(problem["status"], status);
        problem["detail"].as_str().unwrap().to_owned()
    }
}

impl Host {
    /// With the built-in detectors, which have judged so many readings.
    pub fn start() -> Host {
        let house = following(&["limits", "physics", "shift", "vitals"]);
        house.write("readings.jsonl", simulated(41, READINGS) + "no reading\n");
        let host = Host::of(house);
        host.until("/api/v1/overview", |overview| {
            overview["readings_total"] == READINGS + 1 && overview["lag_readings"].as_u64().unwrap_or(0) == 0
        });
        // What was found of them is told once it is committed.
        let found = host.get("/api/v1/overview").json()["anomalies_total"].clone();
        host.until("/api/v1/anomalies?limit=1", |page| page["total"] == found);
        host
    }

    /// Of a house that follows its readings, once it answers.
    pub fn of(house: House) -> Host {
        if !house.path("readings.jsonl").exists() {
            house.write("readings.jsonl", "");
        }
        let log = File::create(house.path("log")).unwrap();
        let mut command = house.command(&["run", "-c", "gridwatch.toml"]);
        let child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let mut host = Host { house, child, address: String::new() };
        let deadline = Instant::now() + PATIENCE;
        while host.address.is_empty() {
            assert!(Instant::now() < deadline, "is not ready: {}", host.house.text("log"));
            let log = host.house.text("log");
            let ready = log.lines().find(|line| line.contains("metrics="));
            let address = ready.and_then(|line| line.split("api=").nth(1)?.split_whitespace().next());
            host.address = address.unwrap_or_default().to_owned();
            std::thread::sleep(Duration::from_millis(2));
        }
        host
    }

    pub fn until(&self, path: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = self.get(path).json();
            if is_so(&answer) {
                return answer;
            }
            assert!(Instant::now() < deadline, "{path}: {answer}\n{}", self.house.text("log"));
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], "")
    }

    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut request = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            request += &format!("Host: {}\r\n", self.address);
        }
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        if !body.is_empty() {
            request += &format!("Content-Length: {}\r\n", body.len());
        }
        self.raw(&(request + "\r\n" + body))
    }

    /// As it stands, and then the connection is closed.
    pub fn raw(&self, request: &str) -> Answer {
        let mut stream = self.connect();
        // It may answer and hang up before all is sent.
        let _ = stream.write_all(request.as_bytes());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8(answer).unwrap();
        let asked = request.lines().next().unwrap_or_default();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{asked}: {answer}"));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// A stream of events, from its first byte on.
    pub fn listen(&self, headers: &str) -> TcpStream {
        let mut stream = self.connect();
        let request = format!("GET /api/v1/events HTTP/1.1\r\nHost: {}\r\n{headers}\r\n", self.address);
        stream.write_all(request.as_bytes()).unwrap();
        stream
    }

    pub fn token(&self) -> String {
        format!("Bearer {}", self.house.text(".gridwatch/api-token").trim())
    }

    pub fn feed(&self, lines: &str) {
        let mut file = OpenOptions::new().append(true).open(self.house.path("readings.jsonl")).unwrap();
        file.write_all(lines.as_bytes()).unwrap();
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads a stream until it has said something.
pub fn heard(stream: &mut TcpStream, until: impl Fn(&str) -> bool) -> String {
    let (mut all, mut piece) = (Vec::new(), [0; 16 << 10]);
    loop {
        let text = String::from_utf8_lossy(&all).into_owned();
        if until(&text) {
            return text;
        }
        let read = stream.read(&mut piece).unwrap_or_else(|error| panic!("{error}, after {text}"));
        assert!(read > 0, "it was hung up, after {text}");
        all.extend_from_slice(&piece[..read]);
    }
}
