//! What may be set. Every limit is relative to what the quantity has shown, so that the defaults serve
//! a feeder sampled every 2 s, a meter every minute and a transformer every hour.

use gridwatch_sdk::prelude::*;

/// Parameters of `shift`; counts are readings of the sensor concerned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Parameters {
    /// Readings of a quantity before it is judged at all.
    pub learn_readings: u16,
    /// Hours of a sensor before jumps are judged, and spread and course of all but the supply's quantities (voltages and
    /// frequency): what follows the sun or people's habits shows its whole range only in a day.
    pub learn_hours: f32,
    /// The limits of spread and course of all but the supply's quantities are this much wider: loads are
    /// switched by people, and a quantity of unknown name may be a load.
    pub load_margin: f32,
    /// Readings after which a lasting change is taken as the new normal and its episode ends.
    pub relearn_readings: u16,
    /// A gap of more than this many usual intervals breaks the comparison with the reading before.
    pub gap_intervals: f32,
    /// What is added to the margins below, divided by the root of the number of blocks of 64 readings seen: a
    /// short past has not seen much.
    pub margin_young: f32,
    /// Least jump from the level, in usual differences between readings (mean absolute).
    pub level_min: f32,
    /// Margin of a jump over the largest that blocks of 64 readings usually show.
    pub level_margin: f32,
    /// Weight of a new reading in the level (Roberts 1959: 0.2 to 0.3 for jumps).
    pub level_weight: f32,
    /// Readings that must stay away before a jump is a shift; fewer are a spike.
    pub level_readings: u8,
    /// Least sum of excessive spread (Page 1954: the decision interval h), in usual differences between readings.
    pub spread_min: f32,
    /// Margin of that sum over its usual peaks.
    pub spread_margin: f32,
    /// Differences between readings count as excessive beyond this many usual ones (Page 1954: the reference value
    /// k; halfway from the usual spread to twice that).
    pub spread_allowance: f32,
    /// Readings with little spread that end an episode of it.
    pub spread_calm_readings: u8,
    /// Least sum of the course (Page 1954: the decision interval h), in standard deviations of a difference.
    pub course_min: f32,
    /// Margin of the course over its usual peaks.
    pub course_margin: f32,
    /// Allowance of the course (Page 1954: the reference value k), in standard deviations of a difference.
    pub course_allowance: f32,
    /// A course this many times beyond its limit is critical.
    pub course_critical: f32,
}

impl Default for Parameters {
    fn default() -> Self {
        Parameters {
            learn_readings: 120,
            learn_hours: 24.0,
            load_margin: 2.0,
            relearn_readings: 600,
            gap_intervals: 8.0,
            margin_young: 4.0,
            level_min: 8.0,
            level_margin: 2.0,
            level_weight: 0.25,
            level_readings: 3,
            spread_min: 28.0,
            spread_margin: 1.5,
            spread_allowance: 1.5,
            spread_calm_readings: 20,
            course_min: 8.0,
            course_margin: 1.25,
            course_allowance: 0.25,
            course_critical: 1.1,
        }
    }
}

impl Parameters {
    /// What the schema cannot say.
    pub fn check(&self) -> Result<(), String> {
        let within = |name: &str, value: f32, least: f32, most: f32| {
            if value >= least && value <= most {
                Ok(())
            } else {
                Err(format!("{name} is {value}; it must be from {least} to {most}"))
            }
        };
        within("learn_readings", f32::from(self.learn_readings), 8.0, 65_000.0)?;
        within("relearn_readings", f32::from(self.relearn_readings), 8.0, 1000.0)?;
        within("gap_intervals", self.gap_intervals, 1.5, 1e6)?;
        within("learn_hours", self.learn_hours, 0.0, 10_000.0)?;
        within("load_margin", self.load_margin, 1.0, 100.0)?;
        within("margin_young", self.margin_young, 0.0, 100.0)?;
        within("level_min", self.level_min, 1.0, 1e6)?;
        within("level_margin", self.level_margin, 1.0, 100.0)?;
        within("level_weight", self.level_weight, 0.001, 1.0)?;
        within("level_readings", f32::from(self.level_readings), 2.0, 100.0)?;
        within("spread_min", self.spread_min, 1.0, 60.0)?;
        within("spread_margin", self.spread_margin, 1.0, 100.0)?;
        within("spread_allowance", self.spread_allowance, 1.0, 6.0)?;
        within("course_min", self.course_min, 1.0, 60.0)?;
        within("course_margin", self.course_margin, 1.0, 100.0)?;
        within("course_allowance", self.course_allowance, 0.0, 2.0)?;
        within("course_critical", self.course_critical, 1.0, 100.0)
    }
}
