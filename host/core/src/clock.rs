//! A lane's clock: how far event time has come, by the lane's own readings.
//!
//! One bad clock must not poison a lane, nor hide. A reading far past the lane's clock moves nothing
//! until a second sensor agrees with it; so a gap that is common to all passes, and a meter that lives
//! in 2099 stays alone with it.

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// Readings of one sensor after which it is believed although nobody agrees: the lane's only sensor.
const LONE_SENSOR_READINGS: u8 = 3;

/// The greatest event time that is believed, and who last claimed more.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneClock {
    /// None until two sensors agree, or one has spoken three times.
    time: Option<Timestamp>,
    claim: Option<Claim>,
}

/// A time that nobody has confirmed yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Claim {
    sensor: u32,
    time: Timestamp,
    readings: u8,
}

impl LaneClock {
    pub fn time(&self) -> Option<Timestamp> {
        self.time
    }

    /// Takes a reading's time; answers whether the reading is ahead of the clock by more than
    /// `ahead_max` (ms), so that it is to be marked. `sensors` is how many the lane knows.
    pub fn observe(&mut self, sensor: u32, timestamp: Timestamp, sensors: usize, ahead_max: i64) -> bool {
        match self.time {
            Some(time) if timestamp <= time.saturating_add(ahead_max) => {
                self.time = Some(time.max(timestamp));
                self.claim = None;
                false
            }
            Some(_) => !self.confirm(sensor, timestamp, ahead_max, sensors == 1),
            None => {
                self.begin(sensor, timestamp, ahead_max);
                false
            }
        }
    }

    /// Event time has passed although nothing was read (an idle tick).
    pub fn advance_to(&mut self, time: Timestamp) {
        if self.time.is_some_and(|now| now < time) {
            self.time = Some(time);
        }
    }

    /// A reading is ahead: true if with it the claim is confirmed and the clock has followed.
    fn confirm(&mut self, sensor: u32, timestamp: Timestamp, ahead_max: i64, lone: bool) -> bool {
        let Some(claim) = self.claim else {
            self.claim = Some(Claim { sensor, time: timestamp, readings: 1 });
            return false;
        };
        if claim.sensor == sensor {
            let readings = claim.readings.saturating_add(1);
            if lone && readings >= LONE_SENSOR_READINGS {
                self.follow(timestamp);
                return true;
            }
            self.claim = Some(Claim { sensor, time: timestamp, readings });
            return false;
        }
        if timestamp.abs_diff(claim.time) <= ahead_max.unsigned_abs() {
            self.follow(timestamp.max(claim.time));
            return true;
        }
        // Two that disagree: the earlier claim is the less absurd one.
        if timestamp < claim.time {
            self.claim = Some(Claim { sensor, time: timestamp, readings: 1 });
        }
        false
    }

    /// The lane's first readings: the first claim may itself be the bad clock.
    fn begin(&mut self, sensor: u32, timestamp: Timestamp, ahead_max: i64) {
        let Some(claim) = self.claim else {
            self.claim = Some(Claim { sensor, time: timestamp, readings: 1 });
            return;
        };
        if claim.sensor == sensor {
            let readings = claim.readings.saturating_add(1);
            self.claim = Some(Claim { sensor, time: timestamp, readings });
            if readings >= LONE_SENSOR_READINGS {
                self.follow(timestamp);
            }
        } else if timestamp.abs_diff(claim.time) <= ahead_max.unsigned_abs() {
            self.follow(timestamp.max(claim.time));
        } else if timestamp < claim.time {
            self.claim = Some(Claim { sensor, time: timestamp, readings: 1 });
        }
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
        let ahead = readings.iter().map(|(s, t)| clock.observe(*s, *t, sensors, AHEAD_MAX)).collect();
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
        let (clock, ahead) = run(&[(1, 1_000), (2, 1_500), (0, YEAR_2099), (1, 2_000), (0, YEAR_2099 + 1)], 3);
        assert_eq!(clock.time(), Some(2_000));
        assert_eq!(ahead, [false, false, true, false, true]);
    }

    #[test]
    fn a_gap_common_to_all_passes() {
        let day = 86_400_000;
        let (clock, ahead) = run(&[(0, 1_000), (1, 1_000), (0, day), (1, day + 5)], 2);
        assert_eq!(clock.time(), Some(day + 5));
        assert_eq!(ahead, [false, false, true, false]);
    }

    #[test]
    fn a_lone_sensor_passes_its_own_gap_with_the_third_reading() {
        let day = 86_400_000;
        let (clock, ahead) = run(&[(0, 1), (0, 2), (0, 3), (0, day), (0, day + 1), (0, day + 2)], 1);
        assert_eq!(clock.time(), Some(day + 2));
        assert_eq!(ahead, [false, false, false, true, true, false]);
    }
}
