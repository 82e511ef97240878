//! From `exec` to ready: `gridwatch run` with the four built-in detectors and a warm code cache, until
//! `/readyz` says so.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use gridwatch_tests::bench::{DETECTORS, median, spread, write_result};
use gridwatch_tests::house::House;
use serde_json::json;

const RUNS: usize = 15;
const LIMIT: Duration = Duration::from_secs(60);

fn is_ready(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    let mut answer = String::new();
    let request = "GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).is_ok()
        && stream.read_to_string(&mut answer).is_ok()
        && answer.starts_with("HTTP/1.1 200")
}

fn main() {
    let house = House::with(&DETECTORS);
    house.write("readings.jsonl", "");
    let (api, metrics) = {
        let free = || TcpListener::bind("127.0.0.1:0").unwrap();
        let (a, b) = (free(), free());
        (a.local_addr().unwrap().port(), b.local_addr().unwrap().port())
    };
    house.configure("kind = \"file\"\npath = \"readings.jsonl\"\nfollow = true", "");
    let config = house.text("gridwatch.toml");
    let config = config.replacen("127.0.0.1:0", &format!("127.0.0.1:{api}"), 1);
    house.write("gridwatch.toml", config.replacen("127.0.0.1:0", &format!("127.0.0.1:{metrics}"), 1));
    let mut milliseconds = Vec::new();
    for run in 0..=RUNS {
        let start = Instant::now();
        let mut process = house.spawn();
        while !is_ready(api) {
            assert!(start.elapsed() < LIMIT, "not ready within {LIMIT:?}");
            assert!(process.try_wait().unwrap().is_none(), "it has ended; run it by hand to see why");
            std::thread::yield_now();
        }
        // The first one warms the cache.
        if run > 0 {
            milliseconds.push(start.elapsed().as_secs_f64() * 1e3);
        }
        process.kill().unwrap();
        process.wait().unwrap();
    }
    let worst = milliseconds.iter().copied().fold(0.0, f64::max);
    let (noise, ms) = (spread(milliseconds.clone()), median(milliseconds));
    println!("ready after {ms:.1} ms (median of {RUNS}, noise {:.1} %, worst {worst:.1} ms)", noise * 100.0);
    write_result("start", &json!({"ready_ms": ms, "noise": noise, "worst_ms": worst}));
}
