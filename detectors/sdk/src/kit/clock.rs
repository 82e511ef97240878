//! When the host calls `advance`, and how it marks readings.

use std::collections::BTreeMap;

use crate::contract::mark;
use crate::detector::Timestamp;

/// A lane's clock as the host keeps it.
#[derive(Debug, Clone)]
pub struct Clock {
    lateness_ms: i64,
    tick_ms: i64,
    /// Greatest event time seen.
    latest: Option<Timestamp>,
    /// By sensor: its greatest event time.
    sensors: BTreeMap<u32, Timestamp>,
}

impl Clock {
    pub fn new(lateness_ms: i64, tick_ms: i64) -> Self {
        Clock { lateness_ms, tick_ms, latest: None, sensors: BTreeMap::new() }
    }

    /// The marks of a reading, and the watermark that it moves the lane to, if that is past a tick.
    ///
    /// The first reading sets the clock without a tick. (The host waits for a second sensor to agree
    /// with it, or a third reading, and finds out by itself what is ahead.)
    pub fn read(&mut self, sensor: u32, timestamp: Timestamp, ahead: bool) -> (u8, Option<Timestamp>) {
        let marks = match self.sensors.get(&sensor) {
            Some(&latest) if timestamp == latest => mark::REPEATED,
            Some(&latest) if timestamp < latest => mark::BACKWARD,
            _ => 0,
        };
        if ahead {
            return (marks | mark::AHEAD, None);
        }
        if marks == 0 {
            self.sensors.insert(sensor, timestamp);
        }
        let before = self.latest;
        if before.is_some_and(|before| timestamp <= before) {
            return (marks, None);
        }
        self.latest = Some(timestamp);
        let tick = |time: Timestamp| (time - self.lateness_ms).div_euclid(self.tick_ms);
        let passed = before.is_some_and(|before| tick(timestamp) > tick(before));
        (marks, passed.then(|| tick(timestamp) * self.tick_ms))
    }

    pub fn forget(&mut self, sensor: u32) {
        self.sensors.remove(&sensor);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_and_marks_as_the_host_sets_them() {
        let mut clock = Clock::new(60_000, 60_000);
        assert_eq!(clock.read(0, 59_000, false), (0, None), "the first reading sets the clock");
        assert_eq!(clock.read(0, 60_000, false), (0, Some(0)));
        assert_eq!(clock.read(0, 60_000, false), (mark::REPEATED, None));
        assert_eq!(clock.read(0, 59_999, false), (mark::BACKWARD, None));
        assert_eq!(clock.read(1, 59_999, false), (0, None), "late, but the sensor's first");
        assert_eq!(clock.read(1, 400_000, false), (0, Some(300_000)), "one call for a jump");
        assert_eq!(clock.read(1, 9_000_000, true), (mark::AHEAD, None));
        assert_eq!(clock.read(1, 400_001, false), (0, None));
    }
}
