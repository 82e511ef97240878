//! What a person sees go by: now and then a line, and a few of the anomalies since the last one.

use std::time::{Duration, Instant};

use gridwatch_connectors::simulator::World;
use gridwatch_core::Timestamp;
use gridwatch_engine::pipeline::Snapshot;

use super::heard::{Heard, minute};
use crate::account::grouped;
use crate::cli::say;
use crate::wiring;

/// How much is shown.
#[derive(Debug, Clone, Copy)]
pub struct Lines {
    pub interval: Duration,
    /// Of each interval.
    pub anomalies: usize,
}

pub struct Live {
    lines: Lines,
    /// From here on event time goes by at `speed`.
    from: Timestamp,
    speed: f64,
    begun: Instant,
    /// When event time came to `from`.
    since: Option<Instant>,
    last: Sight,
}

/// What was seen when.
struct Sight {
    at: Instant,
    readings: u64,
    event_time: Timestamp,
}

impl Live {
    pub fn new(world: &World, speed: f64, from: Timestamp, lines: Lines) -> Self {
        let now = Instant::now();
        let start = world.scenario().start;
        let since = (from <= start).then_some(now);
        let last = Sight { at: now, readings: 0, event_time: start };
        Live { lines, from, speed, begun: now, since, last }
    }

    /// To be called often; speaks once an interval.
    pub fn look(&mut self, snapshot: &Snapshot, heard: &Heard) {
        if self.since.is_none() {
            self.learn(snapshot);
        }
        if self.last.at.elapsed() < self.lines.interval {
            return;
        }
        let line = self.line(snapshot);
        say(&format!("{line}\n"));
        self.show_some(heard);
    }

    /// What was raised since the last line.
    pub fn rest(&self, heard: &Heard) {
        self.show_some(heard);
        say("\n");
    }

    fn learn(&mut self, snapshot: &Snapshot) {
        let Some(event_time) = event_time(snapshot).filter(|time| *time >= self.from) else { return };
        let (readings, now) = (wiring::account_of(snapshot).received, Instant::now());
        say(&format!(
            "{} the first day is through: {} readings in {:.1} s; from here on at {:.0} × real time\n",
            minute(event_time),
            grouped(readings),
            self.begun.elapsed().as_secs_f64(),
            self.speed
        ));
        self.since = Some(now);
        self.last = Sight { at: now, readings, event_time };
    }

    fn line(&mut self, snapshot: &Snapshot) -> String {
        let account = wiring::account_of(snapshot);
        let event_time = event_time(snapshot).unwrap_or(self.last.event_time);
        let seen = Sight { at: Instant::now(), readings: account.received, event_time };
        let seconds = (seen.at - self.last.at).as_secs_f64().max(1e-9);
        let rate = (seen.readings - self.last.readings) as f64 / seconds;
        let times = (seen.event_time - self.last.event_time) as f64 / 1000.0 / seconds;
        // Event time that should have gone by, in real seconds.
        let due = self.since.map_or(0.0, |since| since.elapsed().as_secs_f64());
        let lag = (due - (event_time - self.from) as f64 / 1000.0 / self.speed).max(0.0);
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

    fn show_some(&self, heard: &Heard) {
        let (lines, beyond) = heard.take_lines();
        let shown = self.lines.anomalies;
        let mut text = String::new();
        for line in lines.iter().take(shown) {
            text.push_str(&format!("    {}\n", line.text));
        }
        let more = lines.len().saturating_sub(shown) as u64 + beyond;
        if more > 0 {
            text.push_str(&format!("    … and {more} more\n"));
        }
        say(&text);
    }
}

fn event_time(snapshot: &Snapshot) -> Option<Timestamp> {
    snapshot.lanes.iter().filter_map(|lane| lane.event_time).max()
}
