//! What is to be simulated: a plain description, checked before anything is built from it.

use gridwatch_core::Timestamp;
use serde::{Deserialize, Serialize};

use super::fault::FaultKind;

/// 2026-01-05T00:00:00Z, a Monday.
pub const START_DEFAULT: Timestamp = 1_767_571_200_000;

const HOUR_MS: i64 = 3_600_000;
pub const DAY_MS: i64 = 24 * HOUR_MS;

/// More sensors than any test of the host asks for; each costs some 600 bytes here.
const SENSORS_MAX: u64 = 4_000_000;
const DAYS_MAX: f64 = 36_500.0;
const FAULTS_MAX: usize = 100_000;

/// A network, a span of time, and what goes wrong in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scenario {
    pub seed: u64,
    /// Synchronous areas: one frequency and one weather each.
    pub areas: u32,
    pub feeders_per_area: u32,
    /// Meters along each feeder. Beside them each feeder has a meter at its transformer, where
    /// `feeder_heads` is set.
    pub meters_per_feeder: u32,
    pub feeder_heads: bool,
    /// Share of the meters with three phases.
    pub three_phase_share: f64,
    /// Event time of the first reporting interval, milliseconds since the epoch.
    pub start: Timestamp,
    /// Length of the simulated time. Faults lie within it, also where a feed goes on without an end.
    pub days: f64,
    /// Each sensor reports once in this time.
    pub interval_ms: u32,
    /// Share of messages that are lost as messages are; no fault.
    pub lost_share: f64,
    /// Faults of each kind in `kinds`; 0 for none.
    pub faults_per_kind: u32,
    pub kinds: Vec<FaultKind>,
    /// Time at the beginning without faults: a detector that learns each sensor's own day needs to
    /// see one before it can be asked what is unusual. The time counts for false alarms.
    pub learning_days: f64,
    /// Least time between two faults of one sensor, from the end of one to the start of the next.
    pub recovery_hours: f64,
}

impl Default for Scenario {
    /// 84 sensors for a week, 588 sensor-days, 850 thousand readings, ten faults of each kind.
    fn default() -> Self {
        Self {
            seed: 1,
            areas: 2,
            feeders_per_area: 3,
            meters_per_feeder: 13,
            feeder_heads: true,
            three_phase_share: 0.25,
            start: START_DEFAULT,
            days: 7.0,
            interval_ms: 60_000,
            lost_share: 0.0005,
            faults_per_kind: 10,
            kinds: FaultKind::ALL.to_vec(),
            learning_days: 1.0,
            recovery_hours: 6.0,
        }
    }
}

/// What comes after a scenario's time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum After {
    #[default]
    End,
    /// It goes on without faults.
    Quiet,
    /// It goes on, and the faults that followed the learning days come again and again.
    Recurring,
}

/// Why a scenario cannot be simulated, in words that say what to change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScenarioError {
    #[error("simulator: `{field}` {rule}")]
    Field { field: &'static str, rule: String },
    #[error(
        "simulator: no room for fault {number} of kind `{kind}`: take more days or feeders, or fewer faults_per_kind \
         (on the command line: --no-faults, or fewer --faults-per-kind); faults begin after the first day"
    )]
    NoRoom { kind: &'static str, number: u32 },
    #[error("simulator: lane {lane} of {lanes}: a lane's number must be less than their count")]
    Lane { lane: u32, lanes: u32 },
}

impl Scenario {
    /// The same scenario without faults: what would have been read.
    pub fn without_faults(&self) -> Self {
        Self { faults_per_kind: 0, ..self.clone() }
    }

    pub fn feeders(&self) -> u32 {
        self.areas * self.feeders_per_area
    }

    pub fn sensors(&self) -> u32 {
        self.feeders() * (self.meters_per_feeder + u32::from(self.feeder_heads))
    }

    pub fn sensor_days(&self) -> f64 {
        f64::from(self.sensors()) * self.days
    }

    /// Whole reporting intervals in the scenario's time.
    pub fn slots(&self) -> u64 {
        (self.days * DAY_MS as f64 / f64::from(self.interval_ms)) as u64
    }

    /// From a fault to the same one again, where they recur: all but the learning days. Whole days where those are.
    pub fn recurrence_ms(&self) -> i64 {
        self.recurrence_slots() as i64 * i64::from(self.interval_ms)
    }

    pub(super) fn recurrence_slots(&self) -> u64 {
        (self.slots() - self.slots_of_hours(self.learning_days * 24.0).min(self.slots())).max(1)
    }

    pub(super) fn slots_of_hours(&self, hours: f64) -> u64 {
        (hours * HOUR_MS as f64 / f64::from(self.interval_ms)) as u64
    }

    fn check_times(&self) -> Result<(), ScenarioError> {
        let times = [("learning_days", self.learning_days), ("recovery_hours", self.recovery_hours)];
        for (field, value) in times {
            if !(0.0..=DAYS_MAX).contains(&value) {
                return Err(ScenarioError::Field { field, rule: "must be 0 or more".into() });
            }
        }
        Ok(())
    }

    /// Checks every field; everything in this room that takes a scenario calls it first.
    pub fn check(&self) -> Result<(), ScenarioError> {
        let sensors = u64::from(self.areas)
            .saturating_mul(u64::from(self.feeders_per_area))
            .saturating_mul(u64::from(self.meters_per_feeder) + u64::from(self.feeder_heads));
        let share = 0.0..=1.0;
        let rules: [(&'static str, bool, String); 10] = [
            ("areas", (1..=1000).contains(&self.areas), "must be 1 to 1000".into()),
            ("feeders_per_area", self.feeders_per_area >= 1, "must be at least 1".into()),
            ("meters_per_feeder", self.meters_per_feeder >= 1, "must be at least 1".into()),
            (
                "meters_per_feeder",
                sensors <= SENSORS_MAX,
                format!("gives {sensors} sensors in all; at most {SENSORS_MAX}"),
            ),
            ("three_phase_share", share.contains(&self.three_phase_share), "must be 0 to 1".into()),
            ("lost_share", (0.0..=0.5).contains(&self.lost_share), "must be 0 to 0.5".into()),
            (
                "days",
                self.days > 0.0 && self.days <= DAYS_MAX && self.slots() >= 1,
                format!("must be at least one interval and at most {DAYS_MAX}"),
            ),
            (
                "interval_ms",
                (100..=3_600_000).contains(&self.interval_ms),
                "must be 100 to 3600000 (an hour)".into(),
            ),
            (
                "start",
                (0..=4_000_000_000_000).contains(&self.start),
                "must be after 1970 and before 2096".into(),
            ),
            (
                "faults_per_kind",
                self.faults_per_kind as usize * self.kinds.len() <= FAULTS_MAX,
                format!("gives more than {FAULTS_MAX} faults"),
            ),
        ];
        for (field, holds, rule) in rules {
            if !holds {
                return Err(ScenarioError::Field { field, rule });
            }
        }
        self.check_times()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn the_default_is_valid_and_as_large_as_it_says() {
        let scenario = Scenario::default();
        scenario.check().unwrap();
        assert_eq!(scenario.sensors(), 84);
        assert_eq!(scenario.slots(), 7 * 1440);
        assert!((scenario.sensor_days() - 588.0).abs() < 1e-9);
    }

    #[test]
    fn nonsense_is_refused_by_the_name_of_its_field() {
        type Change = fn(&mut Scenario);
        let cases: [(&str, Change); 8] = [
            ("areas", |s| s.areas = 0),
            ("meters_per_feeder", |s| s.meters_per_feeder = u32::MAX),
            ("three_phase_share", |s| s.three_phase_share = f64::NAN),
            ("days", |s| s.days = f64::INFINITY),
            ("days", |s| s.days = 1e-9),
            ("interval_ms", |s| s.interval_ms = 0),
            ("start", |s| s.start = i64::MAX),
            ("learning_days", |s| s.learning_days = -1.0),
        ];
        for (name, change) in cases {
            let mut scenario = Scenario::default();
            change(&mut scenario);
            match scenario.check() {
                Err(ScenarioError::Field { field, .. }) => assert_eq!(field, name),
                other => panic!("{name}: {other:?}"),
            }
        }
    }
}
