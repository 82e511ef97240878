//! Where the voltage is going: told before a limit is passed, while there is time to act.
//!
//! Level and rate come from two exponential means in a row (Brown's double exponential smoothing), over
//! the mean of the phases in parts of nominal. A trend counts if the voltage leaves the band of EN 50160
//! within the horizon, and if it is a trend at all: over one time constant it moves three times as
//! far as readings scatter about it, which a step, a swing or noise does not.

use gridwatch_sdk::math;
use gridwatch_sdk::prelude::*;

use crate::kinds;
use crate::parameters::Parameters;
use crate::state::Sensor;

/// Readings closer together than this, in ms, say nothing new about the rate.
const STEP_MIN_MS: i64 = 1_000;
/// Parts of a time constant between readings: up to the first a trend is told of, since fewer readings look like a
/// trend by chance; beyond the second (a reading lost) it starts anew.
const STEP_TELL: f64 = 0.25;
const STEP_KEEP: f64 = 0.5;
/// Movement over one time constant against scatter, for a trend to begin, and to go on.
const SIGNAL_MIN: f64 = 3.0;
const SIGNAL_KEEP: f64 = 1.0;
/// An episode goes on until the limit is so many horizons away.
const HORIZONS_KEEP: f64 = 2.0;
/// Parts of nominal beyond this are no voltage.
const PART_MAX: f64 = 100.0;
/// Time constants to watch before anything is said.
const WARM_UP: f32 = 2.0;

/// 40 bytes, for sensors that read often enough.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Trend {
    /// Parts of nominal: the mean, and the mean of the mean.
    fast: f32,
    slow: f32,
    /// Mean square of the readings' distance from the level.
    scatter: f32,
    /// Time constants seen since the start, up to `WARM_UP`.
    seen: f32,
    episode: Episode,
}

#[derive(Debug, Clone, Copy)]
struct Course {
    /// Parts of nominal.
    level: f64,
    /// Parts of nominal a second.
    rate: f64,
    /// Movement over a time constant against scatter.
    signal: f64,
    /// Readings are close enough together to tell.
    is_dense: bool,
    /// Seconds until the band is left at this rate; infinite where it is not, or has been, left.
    left_s: f64,
}

/// Takes in the mean of the voltages of one reading, in parts of nominal.
#[inline(always)]
pub fn judge(
    p: &Parameters,
    nominal: f64,
    part: f64,
    reading: &Reading<'_>,
    sensor: &mut Sensor,
    out: &mut Findings<'_>,
) {
    if p.trend_horizon_s <= 0.0 || part.abs() > PART_MAX || reading.is_ahead() {
        return;
    }
    let step = reading.timestamp.saturating_sub(sensor.voltage_at);
    if (0..STEP_MIN_MS).contains(&step) {
        return;
    }
    sensor.voltage_at = reading.timestamp;
    if step < 0 || step as f64 > p.trend_time_constant_s * (STEP_KEEP * 1000.0) {
        if sensor.trend.is_some() {
            forget(sensor, out);
        }
    } else {
        go_on(p, nominal, part, step as f64 / 1000.0, sensor, out);
    }
}

#[cold]
#[inline(never)]
fn forget(sensor: &mut Sensor, out: &mut Findings<'_>) {
    if let Some(mut trend) = sensor.trend.take() {
        out.clear(&mut trend.episode, || {
            Finding::new(kinds::VOLTAGE_TREND).explain("readings are too far apart to go on")
        });
    }
}

#[inline(never)]
fn go_on(p: &Parameters, nominal: f64, part: f64, step_s: f64, sensor: &mut Sensor, out: &mut Findings<'_>) {
    let trend = sensor
        .trend
        .get_or_insert_with(|| Box::new(Trend { fast: part as f32, slow: part as f32, ..Trend::default() }));
    let course = trend.follow(p, part, step_s);
    trend.tell(p, nominal, part, course, out);
}

impl Trend {
    fn follow(&mut self, p: &Parameters, part: f64, step_s: f64) -> Course {
        let a = 1.0 - math::exp(-step_s / p.trend_time_constant_s);
        let fast = f64::from(self.fast) + a * (part - f64::from(self.fast));
        let slow = f64::from(self.slow) + a * (fast - f64::from(self.slow));
        let level = 2.0 * fast - slow;
        let rate = a / (1.0 - a) * (fast - slow) / step_s;
        let miss = part - level;
        let scatter = f64::from(self.scatter) + a * (miss * miss - f64::from(self.scatter));
        self.fast = fast as f32;
        self.slow = slow as f32;
        self.scatter = scatter as f32;
        self.seen = (self.seen + (step_s / p.trend_time_constant_s) as f32).min(WARM_UP);
        let limit = if rate > 0.0 { 1.0 + p.voltage_mean_band } else { 1.0 - p.voltage_mean_band };
        let left_s = (limit - level) / rate;
        Course {
            level,
            rate,
            signal: rate.abs() * p.trend_time_constant_s / scatter.sqrt().max(1e-6),
            is_dense: step_s <= p.trend_time_constant_s * STEP_TELL,
            left_s: if left_s > 0.0 { left_s } else { f64::INFINITY },
        }
    }

    fn tell(&mut self, p: &Parameters, nominal: f64, part: f64, course: Course, out: &mut Findings<'_>) {
        let is_fast = course.rate.abs() * 60.0 >= p.trend_rate_min;
        let finding = || {
            Finding::new(kinds::VOLTAGE_TREND)
                .observed(part * nominal)
                .expected(nominal)
                .band((1.0 - p.voltage_mean_band) * nominal, (1.0 + p.voltage_mean_band) * nominal)
                .score((1.0 - 0.5 * course.left_s / p.trend_horizon_s).clamp(0.0, 1.0))
        };
        let is_far = (course.level - 1.0) * course.rate.signum() >= p.trend_band_used * p.voltage_mean_band;
        let is_near = is_far && course.left_s <= p.trend_horizon_s;
        if self.seen >= WARM_UP && course.is_dense && is_fast && is_near && course.signal >= SIGNAL_MIN {
            out.raise(&mut self.episode, Severity::Critical, || {
                finding().explain(format!(
                    "at {:+.1} % a minute and {:.1} % of nominal {nominal:.0} V, the voltage leaves ±{:.0} % (EN 50160) in {:.0} s",
                    6000.0 * course.rate,
                    100.0 * course.level,
                    100.0 * p.voltage_mean_band,
                    course.left_s
                ))
            });
        } else if !(is_fast
            && course.left_s <= HORIZONS_KEEP * p.trend_horizon_s
            && course.signal >= SIGNAL_KEEP)
        {
            out.clear(&mut self.episode, || {
                finding().explain(format!(
                    "{:+.1} % a minute at {:.1} % of nominal",
                    6000.0 * course.rate,
                    100.0 * course.level
                ))
            });
        }
    }
}
