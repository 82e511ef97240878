//! What a person sees go by: a line a second, and a few of the anomalies.

use std::time::{Duration, Instant};

use gridwatch_connectors::simulator::World;
use gridwatch_core::Timestamp;
use gridwatch_engine::pipeline::Snapshot;

use super::heard::{Heard, minute};
use crate::account::grouped;
use crate::cli::say;
use crate::wiring::{self, Running};

const INTERVAL: Duration = Duration::from_secs(1);
/// Anomalies shown of each second.
const LINES_SHOWN: usize = 4;

pub struct Live {
    start: Timestamp,
    speed: f64,
    since: Instant,
    last: Sight,
}

/// What was seen when.
struct Sight {
    at: Instant,
    readings: u64,
    event_time: Timestamp,
}

impl Live {
    pub fn new(world: &World, speed: f64) -> Self {
        let now = Instant::now();
        let start = world.scenario().start;
        Live { start, speed, since: now, last: Sight { at: now, readings: 0, event_time: start } }
    }

    /// To be called often; speaks once a second.
    pub fn look(&mut self, running: &Running, heard: &Heard) {
        if self.last.at.elapsed() < INTERVAL {
            return;
        }
        let line = self.line(&running.snapshot());
        say(&format!("{line}\n"));
        show_some(heard);
    }

    /// What was raised since the last line.
    pub fn rest(&self, heard: &Heard) {
        show_some(heard);
        say("\n");
    }

    fn line(&mut self, snapshot: &Snapshot) -> String {
        let account = wiring::account_of(snapshot);
        let event_time = snapshot.lanes.iter().filter_map(|lane| lane.event_time).max().unwrap_or(self.start);
        let seen = Sight { at: Instant::now(), readings: account.received, event_time };
        let seconds = (seen.at - self.last.at).as_secs_f64().max(1e-9);
        let rate = (seen.readings - self.last.readings) as f64 / seconds;
        let times = (seen.event_time - self.last.event_time) as f64 / 1000.0 / seconds;
        // Event time that should have gone by, in real seconds.
        let due = self.since.elapsed().as_secs_f64();
        let lag = (due - (event_time - self.start) as f64 / 1000.0 / self.speed).max(0.0);
        let open: usize = snapshot
            .lanes
            .iter()
            .flat_map(|lane| &lane.detectors)
            .map(|detector| detector.open_episodes)
            .sum();
        let costs: Vec<String> =
            wiring::cost_ns(snapshot).into_iter().map(|(name, ns)| format!("{name} {ns:.0}")).collect();
        self.last = seen;
        format!(
            "{} {:>8} readings/s {:>7} × real time  lag {lag:.1} s  open {open:>2}  ns/reading: {}",
            minute(event_time),
            grouped(rate as u64),
            grouped(times as u64),
            costs.join(", ")
        )
    }
}

fn show_some(heard: &Heard) {
    let (lines, beyond) = heard.take_lines();
    let mut text = String::new();
    for line in lines.iter().take(LINES_SHOWN) {
        text.push_str(&format!("    {}\n", line.text));
    }
    let more = lines.len().saturating_sub(LINES_SHOWN) as u64 + beyond;
    if more > 0 {
        text.push_str(&format!("    … and {more} more\n"));
    }
    say(&text);
}
