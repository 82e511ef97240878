//! The simulation as a source: JSON records, one feed a lane, as fast as it goes or at a multiple of
//! real time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gridwatch_core::Timestamp;
use gridwatch_core::record::{Chunk, Feed, FeedStatus, Position, RecordMeta, SourceError};

use super::reading::SimReading;
use super::run::{Simulation, World};
use super::scenario::{After, ScenarioError};

/// Handed over at once at most.
const CHUNK_RECORDS_MAX: usize = 4_096;
const CHUNK_BYTES_MAX: usize = 1 << 20;

/// Time as a feed sees it: since some moment of the clock's choice. Given from outside, so that tests and whole
/// simulations may have their own.
pub trait Clock: Send {
    fn now(&mut self) -> Duration;
    /// Returns when `wait` has passed, or earlier.
    fn wait(&mut self, wait: Duration);
}

/// The machine's clock. Nothing else in the simulator looks at it.
#[derive(Debug)]
pub struct SystemClock {
    since: Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self { since: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now(&mut self) -> Duration {
        self.since.elapsed()
    }

    fn wait(&mut self, wait: Duration) {
        std::thread::sleep(wait);
    }
}

/// How fast event time goes by.
pub enum Pace {
    /// As fast as the reader reads.
    Free,
    /// `speed` seconds of event time a second. 1 is real time; must be a finite number above 0. What arrives before
    /// `free_until` is not waited for.
    Times { speed: f64, clock: Box<dyn Clock>, free_until: Timestamp },
}

/// Where event time and the clock were tied together: at the first poll, and anew after a seek.
struct Tie {
    clock: Duration,
    event_ms: i64,
}

/// One lane of a simulation. The position of a record is its number among the lane's, from 0.
pub struct SimulatorFeed {
    world: Arc<World>,
    lane: u32,
    lanes: u32,
    after: After,
    simulation: Simulation,
    pace: Pace,
    tie: Option<Tie>,
    /// Taken from the simulation but not due yet.
    held: Option<SimReading>,
    position: Position,
}

impl SimulatorFeed {
    /// Lane `lane` of `lanes`: the feeders whose number leaves `lane` when divided by `lanes`.
    pub fn new(
        world: Arc<World>,
        lane: u32,
        lanes: u32,
        after: After,
        pace: Pace,
    ) -> Result<Self, ScenarioError> {
        if let Pace::Times { speed, .. } = pace
            && !(speed.is_finite() && speed > 0.0)
        {
            return Err(ScenarioError::Field { field: "speed", rule: "must be a number above 0".into() });
        }
        let simulation = start(&world, lane, lanes, after)?;
        Ok(Self { world, lane, lanes, after, simulation, pace, tie: None, held: None, position: 0 })
    }

    fn next(&mut self) -> Option<SimReading> {
        self.held.take().or_else(|| self.simulation.next())
    }

    /// How long until `reading` is due; zero if it is.
    fn early(&mut self, reading: &SimReading) -> Duration {
        let Pace::Times { speed, clock, free_until } = &mut self.pace else {
            return Duration::ZERO;
        };
        if reading.arrived < *free_until {
            return Duration::ZERO;
        }
        let now = clock.now();
        let tie = self.tie.get_or_insert(Tie { clock: now, event_ms: reading.arrived });
        let due_s = (reading.arrived - tie.event_ms).max(0) as f64 / 1000.0 / *speed;
        // A speed near 0 asks for more than a duration holds.
        let due = Duration::try_from_secs_f64(due_s).unwrap_or(Duration::MAX);
        tie.clock.saturating_add(due).saturating_sub(now)
    }

    fn append(&mut self, reading: &SimReading, chunk: &mut Chunk) {
        self.world.write_json(reading, &mut chunk.bytes);
        chunk.records.push(RecordMeta {
            position: self.position,
            next: self.position + 1,
            stored: Some(reading.arrived),
            line: 0,
            end: chunk.bytes.len(),
            truncated: false,
        });
        self.position += 1;
    }
}

fn start(world: &Arc<World>, lane: u32, lanes: u32, after: After) -> Result<Simulation, ScenarioError> {
    Ok(Simulation::lane(world.clone(), lane, lanes)?.then(after))
}

impl Feed for SimulatorFeed {
    /// Simulates up to `position` (from the beginning, if that lies behind): some tenths of a microsecond a reading. A position
    /// beyond the end is the end.
    fn seek(&mut self, position: Position) -> Result<(), SourceError> {
        if position < self.position {
            self.simulation = start(&self.world, self.lane, self.lanes, self.after)
                .map_err(|error| SourceError::Read { place: "simulator".into(), what: error.to_string() })?;
            self.held = None;
            self.position = 0;
        }
        self.tie = None;
        while self.position < position && self.next().is_some() {
            self.position += 1;
        }
        Ok(())
    }

    fn poll(&mut self, chunk: &mut Chunk, wait: Duration) -> Result<FeedStatus, SourceError> {
        let mut left = wait;
        while chunk.records.len() < CHUNK_RECORDS_MAX && chunk.bytes.len() < CHUNK_BYTES_MAX {
            let Some(reading) = self.next() else {
                return Ok(FeedStatus::End);
            };
            let early = self.early(&reading);
            if early.is_zero() {
                self.append(&reading, chunk);
                continue;
            }
            self.held = Some(reading);
            let pause = early.min(left);
            if !chunk.records.is_empty() || pause.is_zero() {
                return Ok(FeedStatus::Idle);
            }
            left -= pause;
            if let Pace::Times { clock, .. } = &mut self.pace {
                clock.wait(pause);
            }
        }
        Ok(FeedStatus::More)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use std::sync::Mutex;

    use super::*;
    use crate::simulator::Scenario;

    fn world() -> Arc<World> {
        let scenario =
            Scenario { days: 0.25, faults_per_kind: 0, learning_days: 0.0, seed: 11, ..Scenario::default() };
        World::new(scenario).unwrap()
    }

    fn drain(feed: &mut SimulatorFeed) -> Vec<(Position, Vec<u8>)> {
        let mut all = Vec::new();
        let mut chunk = Chunk::default();
        loop {
            chunk.clear();
            let status = feed.poll(&mut chunk, Duration::ZERO).unwrap();
            all.extend(chunk.iter().map(|record| (record.meta.position, record.bytes.to_vec())));
            if status == FeedStatus::End {
                return all;
            }
        }
    }

    #[test]
    fn seeking_is_skipping() {
        let mut feed = SimulatorFeed::new(world(), 1, 2, After::End, Pace::Free).unwrap();
        let all = drain(&mut feed);
        assert!(all.len() > 10_000);
        assert!(all.iter().enumerate().all(|(n, (position, _))| *position == n as u64));
        for position in [0, 1, 4_095, 4_096, 9_999, 500, all.len() as u64 - 1, all.len() as u64 + 5] {
            feed.seek(position).unwrap();
            let rest = drain(&mut feed);
            assert_eq!(rest, all[(position as usize).min(all.len())..], "from {position}");
        }
    }

    /// Shared, so that the test moves it while the feed holds it.
    #[derive(Clone, Default)]
    struct HandClock(Arc<Mutex<Duration>>);

    impl Clock for HandClock {
        fn now(&mut self) -> Duration {
            *self.0.lock().unwrap()
        }

        fn wait(&mut self, wait: Duration) {
            *self.0.lock().unwrap() += wait;
        }
    }

    #[test]
    fn a_paced_feed_gives_what_is_due_and_no_more() {
        let clock = HandClock::default();
        let pace = Pace::Times { speed: 60.0, clock: Box::new(clock.clone()), free_until: 0 };
        let mut feed = SimulatorFeed::new(world(), 0, 1, After::Quiet, pace).unwrap();
        let mut chunk = Chunk::default();
        assert_eq!(feed.poll(&mut chunk, Duration::ZERO).unwrap(), FeedStatus::Idle);
        assert_eq!(chunk.records.len(), 1, "only the first is due at once");
        // Ten seconds at sixty times are ten intervals of 84 sensors.
        *clock.0.lock().unwrap() = Duration::from_secs(10);
        chunk.clear();
        assert_eq!(feed.poll(&mut chunk, Duration::ZERO).unwrap(), FeedStatus::Idle);
        assert!((825..=850).contains(&chunk.records.len()), "{}", chunk.records.len());
        let last = chunk.records[chunk.records.len() - 1].stored.unwrap();
        let first = world().scenario().start;
        assert!(last - first < 602_000 + 60_000, "{}", last - first);
        // It waits for the first, but not longer than it may.
        chunk.clear();
        assert_eq!(feed.poll(&mut chunk, Duration::from_secs(1)).unwrap(), FeedStatus::Idle);
        assert!(!chunk.records.is_empty());
        assert!(*clock.0.lock().unwrap() < Duration::from_secs(11));
    }

    #[test]
    fn an_endless_feed_goes_on_where_a_bounded_one_ends() {
        let bounded = drain(&mut SimulatorFeed::new(world(), 0, 1, After::End, Pace::Free).unwrap());
        let mut feed = SimulatorFeed::new(world(), 0, 1, After::Quiet, Pace::Free).unwrap();
        feed.seek(bounded.len() as u64).unwrap();
        let mut chunk = Chunk::default();
        assert_eq!(feed.poll(&mut chunk, Duration::ZERO).unwrap(), FeedStatus::More);
        assert_eq!(chunk.records[0].position, bounded.len() as u64);
    }

    #[test]
    fn what_lies_before_is_not_waited_for() {
        let from = world().scenario().start + 3_600_000;
        let pace = Pace::Times { speed: 1.0, clock: Box::new(HandClock::default()), free_until: from };
        let mut feed = SimulatorFeed::new(world(), 0, 1, After::End, pace).unwrap();
        let (mut chunk, mut arrived) = (Chunk::default(), Vec::new());
        while feed.poll(&mut chunk, Duration::ZERO).unwrap() == FeedStatus::More {
            arrived.extend(chunk.records.iter().filter_map(|record| record.stored));
            chunk.clear();
        }
        arrived.extend(chunk.records.iter().filter_map(|record| record.stored));
        assert!(arrived.len() > 5_000, "an hour of 84 sensors: {}", arrived.len());
        let waited = arrived.iter().filter(|arrived| **arrived >= from).count();
        assert!((1..=3).contains(&waited), "only the first, and what comes in the same moment: {waited}");
    }

    #[test]
    fn a_speed_or_lane_that_cannot_be_is_refused() {
        for speed in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let pace = Pace::Times { speed, clock: Box::new(HandClock::default()), free_until: 0 };
            assert!(SimulatorFeed::new(world(), 0, 1, After::End, pace).is_err(), "{speed}");
        }
        assert!(SimulatorFeed::new(world(), 2, 2, After::End, Pace::Free).is_err());
    }
}
