//! Means over contiguous windows aligned to the clock of the readings, as EN 50160 wants them.

use gridwatch_sdk::prelude::*;

/// 10 minutes, in milliseconds.
pub const TEN_MINUTES: i64 = 600_000;
/// 10 seconds, in milliseconds.
pub const TEN_SECONDS: i64 = 10_000;
/// So many late readings in a row mean that the clock went back, not that they are stragglers.
const LATE_MAX: u8 = 10;
/// Values beyond this many times nominal tell no more, and would spoil the sum.
const DEVIATION_MAX: f64 = 1000.0;

/// A window being filled; 12 bytes. The sum is of deviations in parts of nominal, so that an `f32` is precise enough.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Window {
    index: u32,
    sum: f32,
    samples: u16,
    late: u8,
}

/// A window that the readings have left.
#[derive(Debug, Clone, Copy)]
pub struct Closed {
    /// Its first millisecond.
    pub start: i64,
    /// Mean deviation in parts of nominal.
    pub mean: f64,
}

impl Window {
    /// Adds a deviation if the reading is of the window being filled, as most are: says whether it was. Otherwise nothing
    /// has changed, and it is for `add`. Seen without a division.
    #[inline(always)]
    pub fn add_within(&mut self, timestamp: i64, length: i64, deviation: f64) -> bool {
        let into = timestamp.wrapping_sub(i64::from(self.index) * length);
        let is_within = (into as u64) < length as u64 && self.samples != 0 && self.samples != u16::MAX;
        if is_within {
            self.take(deviation);
        }
        is_within
    }

    #[inline(always)]
    fn take(&mut self, deviation: f64) {
        self.late = 0;
        self.samples += 1;
        self.sum += deviation.clamp(-DEVIATION_MAX, DEVIATION_MAX) as f32;
    }

    /// Adds a deviation; gives the window before if this reading is the first one beyond it and it
    /// held enough readings. Readings older than the window are left out: their mean has been judged.
    #[inline(always)]
    pub fn add(&mut self, timestamp: i64, length: i64, deviation: f64, samples_min: u16) -> Option<Closed> {
        let mut closed = None;
        let index = timestamp.div_euclid(length).clamp(0, i64::from(u32::MAX)) as u32;
        if self.samples > 0 && index < self.index {
            self.late += 1;
            if self.late < LATE_MAX {
                return None;
            }
            *self = Window::default();
        } else if index > self.index && self.samples >= samples_min {
            let mean = f64::from(self.sum) / f64::from(self.samples);
            closed = Some(Closed { start: i64::from(self.index) * length, mean });
        }
        if index != self.index || self.samples == 0 {
            *self = Window { index, ..Window::default() };
        }
        // A full count keeps the mean of the readings so far.
        if self.samples < u16::MAX {
            self.take(deviation);
        }
        self.late = 0;
        closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_are_of_whole_windows_of_the_clock() {
        let mut window = Window::default();
        let closed: Vec<Closed> = (0..40)
            .filter_map(|i| window.add(300_000 + i * 60_000, TEN_MINUTES, (i / 5) as f64, 3))
            .collect();
        let found: Vec<(i64, f64)> = closed.iter().map(|c| (c.start, c.mean)).collect();
        assert_eq!(found, vec![(0, 0.0), (600_000, 1.5), (1_200_000, 3.5), (1_800_000, 5.5)]);
    }

    #[test]
    fn stragglers_are_left_out_and_a_clock_set_back_is_followed() {
        let mut window = Window::default();
        for i in 0..5 {
            assert!(window.add(3_600_000 + i, TEN_MINUTES, 0.0, 3).is_none());
        }
        for i in 0..9 {
            assert!(window.add(i, TEN_MINUTES, 9.0, 3).is_none());
        }
        let closed = window.add(3_600_000 + TEN_MINUTES, TEN_MINUTES, 0.0, 3);
        assert_eq!(closed.map(|c| c.mean), Some(0.0));
        for i in 0..14 {
            assert!(window.add(i, TEN_MINUTES, 2.0, 3).is_none());
        }
        let closed = window.add(TEN_MINUTES, TEN_MINUTES, 0.0, 3);
        assert_eq!(closed.map(|c| (c.start, c.mean)), Some((0, 2.0)));
    }

    #[test]
    fn too_few_readings_are_no_mean() {
        let mut window = Window::default();
        assert!(window.add(0, TEN_SECONDS, 1.0, 3).is_none());
        assert!(window.add(5_000, TEN_SECONDS, 1.0, 3).is_none());
        assert!(window.add(10_000, TEN_SECONDS, 1.0, 3).is_none());
    }
}
