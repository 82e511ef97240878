//! What metrics cost at full load: a file through the real binary on one core, with and without somebody who scrapes
//! `/metrics` every second and listens to events (Prometheus asks every 15 s); and what is measured on a reading's way.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::hint::black_box;
use std::net::TcpListener;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use gridwatch_core::durations::Durations;
use gridwatch_tests::bench::process::{Cores, get};
use gridwatch_tests::bench::{DETECTORS, median, spread, write_result};
use gridwatch_tests::house::{House, simulated};
use serde_json::json;

const READINGS: usize = 2_000_000;
const RUNS: usize = 9;
const SCRAPE_INTERVAL: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(120);

/// Seconds of CPU that one run takes, from start to end, and how often it was scraped.
fn run(cores: &Cores, house: &House, port: u16, is_scraped: bool) -> (f64, u64) {
    for output in ["anomalies.jsonl", "anomalies.jsonl.commit", "dead-letters.jsonl"] {
        let _ = std::fs::remove_file(house.path(output));
    }
    let _ = std::fs::remove_dir_all(house.path(".gridwatch/checkpoints"));
    let mut command = house.command(&["run", "-c", "gridwatch.toml"]);
    let process = cores.measured().spawn(command.stdout(Stdio::null()).stderr(Stdio::null()));
    let (ended, scrapes) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let scraper = is_scraped.then(|| {
        let (ended, scrapes) = (ended.clone(), scrapes.clone());
        std::thread::spawn(move || {
            while !ended.load(Ordering::Acquire) {
                let until = Instant::now() + SCRAPE_INTERVAL;
                scrapes.fetch_add(u64::from(get(port, "/metrics").is_some()), Ordering::AcqRel);
                while Instant::now() < until && !ended.load(Ordering::Acquire) {
                    std::thread::sleep(Duration::from_millis(10));
                }
            }
        })
    });
    let (status, cpu_s, _) = process.finish(PATIENCE);
    assert!(status.success());
    ended.store(true, Ordering::Release);
    if let Some(scraper) = scraper {
        scraper.join().unwrap();
    }
    (cpu_s, scrapes.load(Ordering::Acquire))
}

/// Nanoseconds of noting one duration, with the look at the clock.
fn note_ns() -> f64 {
    const NOTES: u32 = 2_000_000;
    let mut durations = Durations::default();
    let start = Instant::now();
    for _ in 0..NOTES {
        durations.note(black_box(start).elapsed());
    }
    black_box(durations.count());
    start.elapsed().as_nanos() as f64 / f64::from(NOTES)
}

fn main() {
    let cores = Cores::all();
    cores.others().take();
    let house = House::with(&DETECTORS);
    house.write("readings.jsonl", simulated(7, READINGS));
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    house.configure("kind = \"file\"\npaths = [\"readings.jsonl\"]", "");
    let metrics = "[metrics]\nlisten = \"127.0.0.1:";
    let config =
        house.text("gridwatch.toml").replace(&format!("{metrics}0\""), &format!("{metrics}{port}\""));
    house.write("gridwatch.toml", config);
    // The first one warms the caches.
    run(&cores, &house, port, true);
    let per_million = 1e6 / READINGS as f64;
    let (mut with, mut without, mut ratios) = (vec![], vec![], vec![]);
    for pair in 0..RUNS {
        // Whichever is first: what changes in the meantime falls on both alike.
        let scraped_first = pair % 2 == 0;
        let first = run(&cores, &house, port, scraped_first);
        let second = run(&cores, &house, port, !scraped_first);
        let (scraped, plain) = if scraped_first { (first, second) } else { (second, first) };
        println!(
            "CPU seconds a million: {:.3} with {} scrapes, {:.3} without",
            scraped.0 * per_million,
            scraped.1,
            plain.0 * per_million
        );
        with.push(scraped.0 * per_million);
        without.push(plain.0 * per_million);
        ratios.push(scraped.0 / plain.0);
    }
    // Of a batch each detector's time, and of each chunk that is read when it came and when it was committed.
    let batches_per_million = 1e6 / 1024.0;
    let notes_s = note_ns() * 1e-9 * batches_per_million * (DETECTORS.len() as f64 + 2.0);
    let (ratio, noise) = (median(ratios.clone()), spread(ratios));
    let noted_share = notes_s / median(without.clone());
    println!(
        "scraped every second: ratio {ratio:.4} (noise {:.1} %); noted on a reading's way: {:.3} %",
        noise * 100.0,
        noted_share * 100.0
    );
    write_result(
        "metrics",
        &json!({"ratio": ratio, "noise": noise, "noted_share": noted_share, "scraped_cpu_s_per_million": median(with),
            "plain_cpu_s_per_million": median(without)}),
    );
}
