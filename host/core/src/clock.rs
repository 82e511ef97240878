//! A lane's clock: how far event time has come, by the lane's own readings.
//!
//! Bad clocks must not poison a lane, nor hide. A reading far past the lane's clock moves nothing until
//! enough sensors have agreed with it and none has spoken against it in between; so a gap that is common
//! to all passes, and a meter that lives in 2099, or two whose hour changed alike, stay alone with it.

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// Readings of one sensor after which it is believed although nobody agrees: the lane's only sensor.
const LONE_SENSOR_READINGS: u8 = 3;

/// Sensors that must agree on a time far ahead, of so many that the lane knows: an eighth, within bounds.
fn quorum(sensors: usize) -> usize {
    (sensors / 8).clamp(2, 16)
}

/// The greatest event time that is believed, and who last claimed another.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneClock {
    /// None until two sensors agree, or one has spoken three times.
    time: Option<Timestamp>,
    /// Of a time far ahead.
    claim: Option<Claim>,
    /// Of a time far behind: the clock itself may be the bad one, where it was set by few.
    denial: Option<Claim>,
}

/// What a reading's time is to the lane's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    Usual,
    /// Far ahead, and not believed.
    Ahead,
    /// So many sensors in a row spoke of an earlier time that the clock went back to it.
    SetBack,
}

/// A time that not enough have confirmed yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Claim {
    time: Timestamp,
    /// Who has claimed it, each once; at most a quorum.
    sensors: Vec<u32>,
    /// Readings in a row of the first of them.
    readings: u8,
}

impl Claim {
    fn new(sensor: u32, time: Timestamp) -> Self {
        Claim { time, sensors: vec![sensor], readings: 1 }
    }

    /// Takes one more reading. Of two times that disagree, the earlier is the less absurd one.
    fn take(&mut self, sensor: u32, time: Timestamp, ahead_max: i64) {
        if self.sensors.as_slice() == [sensor] {
            self.readings = self.readings.saturating_add(1);
            self.time = time;
        } else if time.abs_diff(self.time) <= ahead_max.unsigned_abs() {
            self.time = self.time.max(time);
            if !self.sensors.contains(&sensor) {
                self.sensors.push(sensor);
            }
        } else if time < self.time {
            *self = Claim::new(sensor, time);
        }
    }
}

impl LaneClock {
    pub fn time(&self) -> Option<Timestamp> {
        self.time
    }

    /// Takes a reading's time. Ahead is by more than `ahead_max` (ms). `sensors` is how many the lane knows.
    pub fn observe(&mut self, sensor: u32, timestamp: Timestamp, sensors: usize, ahead_max: i64) -> Seen {
        match self.time {
            Some(time) if timestamp < time.saturating_sub(ahead_max) => {
                self.deny(sensor, timestamp, ahead_max, sensors)
            }
            Some(time) if timestamp <= time.saturating_add(ahead_max) => {
                self.time = Some(time.max(timestamp));
                self.claim = None;
                self.denial = None;
                Seen::Usual
            }
            // Far ahead: true unless with this reading the clock has followed.
            Some(_) => {
                let enough = quorum(sensors);
                let confirmed = self.claim(sensor, timestamp, ahead_max, enough, sensors == 1);
                if confirmed { Seen::Usual } else { Seen::Ahead }
            }
            // The first claim may itself be the bad clock, so here, too, one is not enough.
            None => {
                self.claim(sensor, timestamp, ahead_max, 2, true);
                Seen::Usual
            }
        }
    }

    /// Late readings are usual and change nothing, unless nobody speaks of the clock's time any more: half of
    /// the sensors (within bounds) in a row, none of them near the clock.
    fn deny(&mut self, sensor: u32, timestamp: Timestamp, ahead_max: i64, sensors: usize) -> Seen {
        match &mut self.denial {
            Some(denial) => denial.take(sensor, timestamp, ahead_max),
            None => self.denial = Some(Claim::new(sensor, timestamp)),
        }
        let enough = (sensors / 2).clamp(3, 16);
        match &self.denial {
            Some(denial) if denial.sensors.len() >= enough => {
                self.time = Some(denial.time);
                self.denial = None;
                self.claim = None;
                Seen::SetBack
            }
            _ => Seen::Usual,
        }
    }

    /// Event time has passed although nothing was read (an idle tick).
    pub fn advance_to(&mut self, time: Timestamp) {
        if self.time.is_some_and(|now| now < time) {
            self.time = Some(time);
        }
    }

    /// True if with this reading the claim is confirmed and the clock has followed.
    fn claim(&mut self, sensor: u32, time: Timestamp, ahead_max: i64, enough: usize, lone: bool) -> bool {
        match &mut self.claim {
            Some(claim) => claim.take(sensor, time, ahead_max),
            None => self.claim = Some(Claim::new(sensor, time)),
        }
        let Some(claim) = &self.claim else { return false };
        let confirmed = claim.sensors.len() >= enough || (lone && claim.readings >= LONE_SENSOR_READINGS);
        if confirmed {
            self.follow(claim.time);
        }
        confirmed
    }

    fn follow(&mut self, time: Timestamp) {
        self.time = Some(self.time.map_or(time, |now| now.max(time)));
        self.claim = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AHEAD_MAX: i64 = 300_000;
    const YEAR_2099: i64 = 4_070_908_800_000;

    fn run(readings: &[(u32, i64)], sensors: usize) -> (LaneClock, Vec<bool>) {
        let mut clock = LaneClock::default();
        let seen = |(s, t): &(u32, i64)| clock.observe(*s, *t, sensors, AHEAD_MAX) == Seen::Ahead;
        let ahead = readings.iter().map(seen).collect();
        (clock, ahead)
    }

    #[test]
    fn two_sensors_set_it() {
        let (clock, ahead) = run(&[(0, 1_000), (1, 2_000)], 2);
        assert_eq!(clock.time(), Some(2_000));
        assert_eq!(ahead, [false, false]);
    }

    #[test]
    fn a_lone_sensor_sets_it_with_its_third_reading() {
        let (clock, _) = run(&[(0, 1_000), (0, 2_000)], 1);
        assert_eq!(clock.time(), None);
        let (clock, _) = run(&[(0, 1_000), (0, 2_000), (0, 3_000)], 1);
        assert_eq!(clock.time(), Some(3_000));
    }

    #[test]
    fn a_clock_in_2099_moves_nothing_whenever_it_comes() {
        let (clock, _) = run(&[(0, YEAR_2099), (1, 1_000), (2, 1_500)], 3);
        assert_eq!(clock.time(), Some(1_500));
        let (clock, ahead) =
            run(&[(1, 1_000), (2, 1_500), (0, YEAR_2099), (1, 2_000), (0, YEAR_2099 + 1)], 3);
        assert_eq!(clock.time(), Some(2_000));
        assert_eq!(ahead, [false, false, true, false, true]);
    }

    #[test]
    fn a_clock_that_was_set_in_2099_comes_back() {
        let mut readings = vec![(0, YEAR_2099), (0, YEAR_2099 + 1), (0, YEAR_2099 + 2)];
        readings.extend((1..11).map(|sensor| (sensor, 1_000)));
        let (clock, _) = run(&readings, 11);
        assert_eq!(clock.time(), Some(1_000));
        // A few late ones, with others on time between, change nothing.
        let day = 86_400_000;
        let mut late = vec![(0, day), (1, day)];
        late.extend((0..20).map(|at| (at % 10, if at % 3 == 0 { day } else { 1_000 })));
        let (clock, _) = run(&late, 10);
        assert_eq!(clock.time(), Some(day));
    }

    #[test]
    fn a_gap_common_to_all_passes() {
        let day = 86_400_000;
        let (clock, ahead) = run(&[(0, 1_000), (1, 1_000), (0, day), (1, day + 5)], 2);
        assert_eq!(clock.time(), Some(day + 5));
        assert_eq!(ahead, [false, false, true, false]);
    }

    #[test]
    fn two_of_many_do_not_carry_the_clock_away() {
        let hour = 3_600_000;
        let readings = [(0, 1_000), (1, 1_000), (2, hour + 1_000), (3, hour + 1_000), (4, 2_000)];
        let (clock, ahead) = run(&readings, 84);
        assert_eq!(clock.time(), Some(2_000));
        assert_eq!(ahead, [false, false, true, true, false]);
        // Ten of 84 in a row are a gap that is common to all.
        let common: Vec<(u32, i64)> =
            (0..12).map(|s| (s, if s < 2 { 1_000 } else { hour + 1_000 })).collect();
        let (clock, _) = run(&common, 84);
        assert_eq!(clock.time(), Some(hour + 1_000));
    }

    #[test]
    fn a_lone_sensor_passes_its_own_gap_with_the_third_reading() {
        let day = 86_400_000;
        let (clock, ahead) = run(&[(0, 1), (0, 2), (0, 3), (0, day), (0, day + 1), (0, day + 2)], 1);
        assert_eq!(clock.time(), Some(day + 2));
        assert_eq!(ahead, [false, false, false, true, true, false]);
    }
}
