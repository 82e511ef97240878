//! `gridwatch simulate --kafka`: the simulator's readings as messages.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::Path;
use std::time::{Duration, Instant};

use gridwatch_connectors::kafka::{self, Outbound, Publisher};
use gridwatch_connectors::registry::Registry;
use gridwatch_connectors::simulator::{SimReading, Simulation};
use gridwatch_core::schema;
use indicatif::{ProgressBar, ProgressStyle};

use super::pulse::Pulse;
use crate::account::grouped;
use crate::cli::{Failure, KafkaArgs, Key, SimulateArgs, say};
use crate::config;
use crate::wiring::Signals;

/// Somebody who waits for the next reading looks so often whether all is to end.
const WAIT_MAX: Duration = Duration::from_millis(50);
/// Less than this ahead is on time.
const EARLY_MIN: Duration = Duration::from_millis(1);
const LOOK_EVERY: u64 = 256;

/// How far the topic's records have come, in milliseconds since 1970.
pub fn latest_ms(brokers: &str, args: &KafkaArgs) -> Result<Option<i64>, Failure> {
    kafka::latest_ms(&properties(brokers, args)?, &args.topic).map_err(super::connecting)
}

/// Sends until the simulation ends, or somebody asks for the end. All that was sent is acknowledged then.
pub fn produce(brokers: &str, args: &SimulateArgs, mut simulation: Simulation) -> Result<(), Failure> {
    let runtime = crate::service::http_runtime()?;
    let signals =
        Signals::watch(runtime.handle()).map_err(|error| Failure::Start(format!("signals: {error}")))?;
    let properties = properties(brokers, &args.kafka)?;
    let mut pace = Pace::of(&args.kafka)?;
    let health = args.kafka.health;
    let mut pulse = health.map(|listen| Pulse::start(runtime.handle(), listen, args.interval)).transpose()?;
    let publisher = Publisher::connect(&properties, &args.kafka.topic).map_err(super::connecting)?;
    let prefix = prefix(&args.kafka)?;
    let keys = keys(&simulation, args.kafka.key);
    let bar = bar(args, &simulation);
    let started = Instant::now();
    let mut sent = Sent::default();
    let mut payload = Vec::new();
    let failed = |error: gridwatch_connectors::kafka::ToolError| Failure::Ended(error.to_string());
    while args.readings.is_none_or(|most| sent.readings < most) {
        let Some(reading) = simulation.next() else { break };
        let look = || {
            if let Some(pulse) = &mut pulse {
                pulse.look(publisher.acknowledged());
            }
        };
        if !pace.wait(sent.readings, &reading, &signals, look) {
            break;
        }
        payload.clear();
        payload.extend_from_slice(&prefix);
        simulation.write_json(&reading, &mut payload);
        let key = keys.get(reading.sensor as usize).map(|key| key.as_bytes());
        // What arrived in the past is stored as of then; the wall clock was waited for.
        let time_ms = Some(reading.arrived);
        publisher
            .send(&Outbound { key, payload: &payload, time_ms, ..Outbound::default() })
            .map_err(failed)?;
        sent.count(&reading);
        if let Some(bar) = bar.as_ref().filter(|_| sent.readings.is_multiple_of(LOOK_EVERY)) {
            bar.set_position(sent.readings);
            bar.set_message(rfc3339(reading.arrived));
        }
    }
    let acknowledged = publisher.flush().map_err(failed)?;
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    say(&sent.summary(acknowledged, &args.kafka.topic, publisher.partitions(), started.elapsed()));
    Ok(())
}

/// What was sent, for the last line.
#[derive(Default)]
struct Sent {
    readings: u64,
    first_ms: Option<i64>,
    last_ms: i64,
}

impl Sent {
    fn count(&mut self, reading: &SimReading) {
        self.readings += 1;
        self.first_ms.get_or_insert(reading.arrived);
        self.last_ms = reading.arrived;
    }

    fn summary(&self, acknowledged: u64, topic: &str, partitions: i32, took: Duration) -> String {
        let Some(first_ms) = self.first_ms else { return "no reading was sent\n".to_owned() };
        let seconds = took.as_secs_f64();
        let rate = self.readings as f64 / seconds.max(1e-9);
        format!(
            "{} readings of {} to {} sent to {topic} ({partitions} partitions), {} acknowledged, in {seconds:.1} s, {} a second\n",
            grouped(self.readings),
            rfc3339(first_ms),
            rfc3339(self.last_ms),
            if acknowledged == self.readings { "all".to_owned() } else { grouped(acknowledged) },
            grouped(rate as u64),
        )
    }
}

fn rfc3339(time_ms: i64) -> String {
    jiff::Timestamp::from_millisecond(time_ms).map(|time| format!("{time:.0}")).unwrap_or_default()
}

/// When a reading is due.
struct Pace {
    rate: Option<f64>,
    speed: Option<f64>,
    start: Instant,
    first_ms: Option<i64>,
}

impl Pace {
    fn of(args: &KafkaArgs) -> Result<Pace, Failure> {
        for (name, value) in [("--rate", args.rate), ("--speed", args.speed)] {
            if value.is_some_and(|value| !(value.is_finite() && value > 0.0)) {
                return Err(Failure::Arguments(format!("{name}: must be a number above 0")));
            }
        }
        Ok(Pace { rate: args.rate, speed: args.speed, start: Instant::now(), first_ms: None })
    }

    /// Waits until `reading`, with so many before it, is due by rate or speed, and by the wall clock; looks
    /// meanwhile. False: the end was asked for first.
    fn wait(&mut self, before: u64, reading: &SimReading, signals: &Signals, mut look: impl FnMut()) -> bool {
        let due = self.due(before, reading);
        loop {
            look();
            if signals.asked() {
                return false;
            }
            let by_pace = due.saturating_sub(self.start.elapsed());
            let early = by_pace.max(ahead_of_now(reading.arrived));
            if early < EARLY_MIN {
                return true;
            }
            std::thread::sleep(early.min(WAIT_MAX));
        }
    }

    /// Since the first reading.
    fn due(&mut self, before: u64, reading: &SimReading) -> Duration {
        let first_ms = *self.first_ms.get_or_insert_with(|| {
            self.start = Instant::now();
            reading.arrived
        });
        let seconds = match (self.rate, self.speed) {
            (Some(rate), _) => before as f64 / rate,
            (None, Some(speed)) => (reading.arrived - first_ms).max(0) as f64 / 1000.0 / speed,
            (None, None) => 0.0,
        };
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }
}

fn ahead_of_now(time_ms: i64) -> Duration {
    let ahead_ms = time_ms.saturating_sub(jiff::Timestamp::now().as_millisecond());
    Duration::from_millis(u64::try_from(ahead_ms).unwrap_or(0))
}

/// A message's key by sensor.
fn keys(simulation: &Simulation, key: Key) -> Vec<String> {
    let of = |sensor: &gridwatch_connectors::simulator::Sensor| match key {
        Key::Sensor => sensor.id.clone(),
        Key::Feeder => sensor.location(),
        Key::Area => sensor.area_name(),
    };
    simulation.sensors().iter().map(of).collect()
}

/// What goes before each reading: nothing, or the id of its schema, which is registered for it.
fn prefix(args: &KafkaArgs) -> Result<Vec<u8>, Failure> {
    let mut prefix = Vec::new();
    let Some(url) = &args.registry else { return Ok(prefix) };
    let settings = config::Registry::at(url).settings().map_err(Failure::Start)?;
    let registry = Registry::new(&settings).map_err(|error| Failure::Arguments(error.to_string()))?;
    let subject = format!("{}-value", args.topic);
    let id = registry
        .register(&subject, schema::READING)
        .map_err(|error| Failure::Start(format!("{subject}: {error}")))?;
    tracing::info!(subject, id, "the schema of readings is registered");
    if args.framed {
        schema::frame(id, &mut prefix);
    }
    Ok(prefix)
}

/// librdkafka's, from the command line. A secret's file is named in an error, never its content.
fn properties(brokers: &str, args: &KafkaArgs) -> Result<BTreeMap<String, String>, Failure> {
    let split = |option: &str, text: &str| match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => match config::is_fit_property(name) {
            Ok(()) => Ok((name.to_owned(), value.to_owned())),
            Err(what) => Err(Failure::Arguments(format!("{option} {name}: {what}"))),
        },
        _ => Err(Failure::Arguments(format!("{option} {text}: write NAME=VALUE"))),
    };
    let mut all = BTreeMap::from([("bootstrap.servers".to_owned(), brokers.to_owned())]);
    for text in &args.properties {
        all.extend([split("--property", text)?]);
    }
    for text in &args.property_files {
        let (name, file) = split("--property-file", text)?;
        let value = config::secret_in(&name, Path::new(&file)).map_err(Failure::Arguments)?;
        all.insert(name, value);
    }
    Ok(all)
}

/// `None` where nobody would see it.
fn bar(args: &SimulateArgs, simulation: &Simulation) -> Option<ProgressBar> {
    if !std::io::stderr().is_terminal() {
        return None;
    }
    let scenario = simulation.world().scenario();
    let all = args.readings.or_else(|| {
        (!args.kafka.endless).then(|| scenario.slots().saturating_mul(u64::from(scenario.sensors())))
    });
    let (bar, template) = match all {
        None => (ProgressBar::no_length(), "{spinner} {human_pos} readings, {per_sec}  {msg}"),
        Some(all) => (
            ProgressBar::new(all),
            "{bar:32} {percent:>3} %  {human_pos} readings, {per_sec}, {eta} left  {msg}",
        ),
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    Some(bar)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use clap::Parser;
    use gridwatch_connectors::simulator::{Scenario, Simulation};

    use super::*;
    use crate::cli::{Arguments, Command};

    fn args(line: &str) -> KafkaArgs {
        let words = format!("gridwatch simulate --kafka a:1 {line}");
        match Arguments::try_parse_from(words.split_whitespace()).unwrap().command {
            Command::Simulate(simulate) => simulate.kafka,
            _ => panic!(),
        }
    }

    #[test]
    fn readings_are_due_by_rate_or_by_event_time() {
        let mut simulation = Simulation::new(Scenario::default()).unwrap();
        let first = simulation.next().unwrap();
        let later = simulation.nth(84 * 10 - 1).unwrap();
        let event = Duration::from_millis((later.arrived - first.arrived) as u64);
        for (line, due) in [("", 0.0), ("--rate 50", 2.0), ("--speed 60", event.as_secs_f64() / 60.0)] {
            let mut pace = Pace::of(&args(line)).unwrap();
            assert_eq!(pace.due(0, &first), Duration::ZERO);
            assert!((pace.due(100, &later).as_secs_f64() - due).abs() < 1e-6, "{line}");
        }
        for line in ["--rate 0", "--speed NaN", "--speed inf"] {
            assert_eq!(Pace::of(&args(line)).err().unwrap().status(), 2, "{line}");
        }
    }

    #[test]
    fn properties_are_the_users_but_for_what_is_ours() {
        let all = properties("a:1", &args("--property security.protocol=ssl")).unwrap();
        assert_eq!(all["bootstrap.servers"], "a:1");
        assert_eq!(all["security.protocol"], "ssl");
        for (line, word) in [
            ("--property acks=0", "is set by gridwatch"),
            ("--property nonsense", "NAME=VALUE"),
            (
                "--property-file sasl.password=/nowhere",
                "/nowhere: cannot be read: No such file or directory (os error 2) (for sasl.password)",
            ),
        ] {
            let error = properties("a:1", &args(line)).unwrap_err();
            assert!(error.to_string().contains(word) && error.status() == 2, "{error}");
        }
    }

    #[test]
    fn keys_keep_together_what_they_name() {
        let simulation = Simulation::new(Scenario::default()).unwrap();
        let distinct =
            |key| keys(&simulation, key).into_iter().collect::<std::collections::BTreeSet<_>>().len();
        assert_eq!((distinct(Key::Sensor), distinct(Key::Feeder), distinct(Key::Area)), (84, 6, 2));
    }
}
