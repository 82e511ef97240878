//! What a whole area shares: frequency, weather, the voltage of its supply, the hour of the day.

use gridwatch_core::Timestamp;

use super::random::{Purpose, Stream};
use super::scenario::DAY_MS;

/// Nominal frequency, Hz.
pub(super) const FREQUENCY_NOMINAL: f64 = 50.0;

/// Standard deviations and correlation times of the two parts of the frequency's swing. Together some
/// 20 mHz, as the Continental European grid shows on ordinary days.
const SWING_SLOW_HZ: f64 = 0.017;
const SWING_SLOW_S: f64 = 300.0;
const SWING_FAST_HZ: f64 = 0.009;
const SWING_FAST_S: f64 = 15.0;

/// A tap of the area's regulator, per unit; it moves when the voltage has been further off than
/// `TAP_BAND` for `TAP_WAIT_S`.
const TAP_STEP: f64 = 0.0125;
const TAP_BAND: f64 = 0.015;
const TAP_WAIT_S: f64 = 180.0;

/// A process that forgets: Ornstein and Uhlenbeck's, stepped exactly.
#[derive(Debug, Clone)]
pub(super) struct Swing {
    value: f64,
    keep: f64,
    kick: f64,
}

impl Swing {
    /// `deviation` is the standard deviation in the long run, `memory_s` the correlation time.
    pub fn new(deviation: f64, memory_s: f64, step_s: f64, stream: &mut Stream) -> Self {
        let keep = libm::exp(-step_s / memory_s);
        Self { value: deviation * stream.normal(), keep, kick: deviation * libm::sqrt(1.0 - keep * keep) }
    }

    pub fn step(&mut self, stream: &mut Stream) -> f64 {
        self.value = self.value * self.keep + self.kick * stream.normal();
        self.value
    }
}

/// What the calendar says of a moment. Local time is UTC.
#[derive(Debug, Clone, Copy)]
pub(super) struct Calendar {
    /// 0 to 24.
    hour: f64,
    /// 0 to 1, from New Year; leap days blur.
    year: f64,
    /// Activity of a household, 0 (asleep) to 1 (a weekday's evening).
    pub household: f64,
    /// Activity of a business, 0 to 1.
    pub commercial: f64,
}

impl Calendar {
    pub fn at(time: Timestamp) -> Self {
        let day = time.div_euclid(DAY_MS);
        let years = day as f64 / 365.2425;
        let hour = time.rem_euclid(DAY_MS) as f64 / (DAY_MS as f64 / 24.0);
        let weekend = is_weekend(day);
        Self {
            hour,
            year: years - years.floor(),
            household: household(hour, weekend),
            commercial: commercial(hour, weekend),
        }
    }
}

/// `day` counts from the epoch, which was a Thursday.
fn is_weekend(day: i64) -> bool {
    (day + 3).rem_euclid(7) >= 5
}

fn household(hour: f64, weekend: bool) -> f64 {
    let (morning, midday) = if weekend { (9.5, 0.45) } else { (7.2, 0.2) };
    let bumps =
        0.5 * bump(hour, morning, 1.3) + midday * bump(hour, 13.0, 2.0) + 0.85 * bump(hour, 19.3, 2.3);
    (0.08 + bumps).min(1.0)
}

fn commercial(hour: f64, weekend: bool) -> f64 {
    let open = rise(hour - 7.5, 0.5) * rise(18.0 - hour, 0.7);
    if weekend { 0.12 + 0.15 * open } else { 0.12 + 0.85 * open }
}

/// A hill around `at`, across midnight.
fn bump(hour: f64, at: f64, width: f64) -> f64 {
    let apart = (hour - at).abs();
    let apart = apart.min(24.0 - apart) / width;
    libm::exp(-0.5 * apart * apart)
}

fn rise(x: f64, width: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-x / width))
}

/// One synchronous area with one weather.
#[derive(Debug, Clone)]
pub(super) struct Area {
    stream: Stream,
    interval_ms: f64,
    knot_ms: f64,
    slow: Swing,
    fast: Swing,
    /// Frequency at the start of the slot and every `knot_ms` after, to the end of the slot.
    knots: Vec<f64>,
    weather: Swing,
    supply: Swing,
    tap: f64,
    off_s: f64,
    /// Outdoor temperature, °C.
    pub outdoor: f64,
    /// Voltage that the area's supply gives its feeders, per unit.
    pub supply_pu: f64,
}

impl Area {
    pub fn new(seed: u64, number: u32, interval_ms: u32) -> Self {
        let mut stream = Stream::new(seed, Purpose::Area(number));
        let interval_ms = f64::from(interval_ms);
        let interval_s = interval_ms / 1000.0;
        // About a second between knots, and a whole number of them in a slot.
        let steps = (interval_s.round() as usize).clamp(1, 60);
        let knot_s = interval_s / steps as f64;
        let slow = Swing::new(SWING_SLOW_HZ, SWING_SLOW_S, knot_s, &mut stream);
        let fast = Swing::new(SWING_FAST_HZ, SWING_FAST_S, knot_s, &mut stream);
        let first = FREQUENCY_NOMINAL + slow.value + fast.value;
        let weather = Swing::new(2.0, 43_200.0, interval_s, &mut stream);
        let supply = Swing::new(0.006, 5_400.0, interval_s, &mut stream);
        Self {
            stream,
            interval_ms,
            knot_ms: knot_s * 1000.0,
            slow,
            fast,
            knots: vec![first; steps + 1],
            weather,
            supply,
            tap: 0.0,
            off_s: 0.0,
            outdoor: 0.0,
            supply_pu: 1.0,
        }
    }

    /// Moves to the next slot, which the calendar describes.
    pub fn step(&mut self, calendar: Calendar) {
        let last = self.knots.len() - 1;
        self.knots[0] = self.knots[last];
        for knot in &mut self.knots[1..] {
            *knot = FREQUENCY_NOMINAL + self.slow.step(&mut self.stream) + self.fast.step(&mut self.stream);
        }
        // Coldest in the middle of January and at five in the morning.
        let season = 10.0 - 9.0 * libm::cos(core::f64::consts::TAU * (calendar.year - 0.04));
        let day = -3.5 * libm::cos(core::f64::consts::TAU * (calendar.hour - 5.0) / 24.0);
        self.outdoor = season + day + self.weather.step(&mut self.stream);
        let burden = 0.012 * (0.6 - calendar.household * 0.6 - calendar.commercial * 0.4);
        let raw = 1.0 + burden + self.supply.step(&mut self.stream);
        self.regulate(raw);
    }

    fn regulate(&mut self, raw: f64) {
        let off = raw + self.tap - 1.0;
        self.off_s = if off.abs() > TAP_BAND { self.off_s + self.interval_ms / 1000.0 } else { 0.0 };
        if self.off_s > TAP_WAIT_S {
            self.tap -= TAP_STEP.copysign(off);
            self.off_s = 0.0;
        }
        self.supply_pu = raw + self.tap;
    }

    /// Frequency `after_ms` into the slot, Hz.
    pub fn frequency(&self, after_ms: f64) -> f64 {
        let at = (after_ms / self.knot_ms).clamp(0.0, (self.knots.len() - 1) as f64);
        let before = (at as usize).min(self.knots.len() - 2);
        let share = at - before as f64;
        self.knots[before] * (1.0 - share) + self.knots[before + 1] * share
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::simulator::scenario::START_DEFAULT;

    #[test]
    fn the_calendar_knows_its_weekends() {
        let monday = START_DEFAULT / DAY_MS;
        let weekends: Vec<bool> = (monday..monday + 8).map(is_weekend).collect();
        assert_eq!(weekends, [false, false, false, false, false, true, true, false]);
    }

    #[test]
    fn frequency_and_supply_stay_what_an_ordinary_week_shows() {
        let mut area = Area::new(3, 0, 60_000);
        let (mut squares, mut worst, mut taps) = (0.0, 0.0f64, 0);
        let slots = 7 * 1440;
        for slot in 0..slots {
            let tap = area.tap;
            area.step(Calendar::at(START_DEFAULT + slot * 60_000));
            taps += i32::from(area.tap != tap);
            let off = area.frequency(30_000.0) - FREQUENCY_NOMINAL;
            squares += off * off;
            worst = worst.max(off.abs());
            assert!((0.96..1.04).contains(&area.supply_pu), "{}", area.supply_pu);
            assert!((-20.0..25.0).contains(&area.outdoor), "{}", area.outdoor);
        }
        let deviation = (squares / slots as f64).sqrt();
        assert!((0.015..0.024).contains(&deviation), "{deviation}");
        assert!(worst < 0.15, "{worst}");
        assert!((1..60).contains(&taps), "{taps} tap changes in a week");
    }
}
