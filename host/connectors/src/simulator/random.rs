//! Randomness with a seed: the same numbers on every machine, so transcendental functions come
//! from `libm`.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// What a stream of randomness is for: streams of one seed do not touch each other, so that a feeder
/// draws the same numbers whatever lane it is in, and whether or not there are faults.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose {
    Layout(u32),
    Area(u32),
    Feeder(u32),
    Plan,
    Fault(u32),
}

impl Purpose {
    fn stream(self) -> u64 {
        let (family, index) = match self {
            Purpose::Layout(index) => (1, index),
            Purpose::Area(index) => (2, index),
            Purpose::Feeder(index) => (3, index),
            Purpose::Plan => (4, 0),
            Purpose::Fault(index) => (5, index),
        };
        (family << 32) | u64::from(index)
    }
}

/// One independent stream of random numbers.
#[derive(Debug, Clone)]
pub(super) struct Stream(ChaCha8Rng);

impl Stream {
    pub fn new(seed: u64, purpose: Purpose) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(purpose.stream());
        Self(rng)
    }

    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Uniform in (0, 1), never either end.
    pub fn uniform(&mut self) -> f64 {
        unit(self.0.next_u64())
    }

    /// Uniform between `low` and `high`.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// Uniform in 0..count; 0 for a count of 0.
    pub fn below(&mut self, count: usize) -> usize {
        ((self.uniform() * count as f64) as usize).min(count.saturating_sub(1))
    }

    pub fn chance(&mut self, probability: f64) -> bool {
        self.uniform() < probability
    }

    /// Standard normal.
    pub fn normal(&mut self) -> f64 {
        normal_quantile(self.uniform())
    }
}

fn unit(bits: u64) -> f64 {
    ((bits >> 11) as f64 + 0.5) / 9_007_199_254_740_992.0
}

/// A uniform number in (0, 1) that belongs to (seed, sensor, slot) and needs no state: the labels must know
/// times before the run. SplitMix64's finalizer (Steele, Lea, Flood 2014).
pub(super) fn hashed(seed: u64, sensor: u32, slot: u64, purpose: u64) -> f64 {
    let mut x = seed ^ purpose.wrapping_mul(0xd1b5_4a32_d192_ed03);
    for word in [u64::from(sensor), slot] {
        x = x.wrapping_add(word).wrapping_add(0x9e37_79b9_7f4a_7c15);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^= x >> 31;
    }
    unit(x)
}

/// Inverse of the normal distribution function, to seven digits: algorithm AS 241, PPND7
/// (Wichura 1988). One draw a number, true tails, and `ln` for only 15 % of the draws.
fn normal_quantile(p: f64) -> f64 {
    let q = p - 0.5;
    if q.abs() <= 0.425 {
        let r = 0.180_625 - q * q;
        let numerator = ((59.109_374_720 * r + 159.291_132_02) * r + 50.434_271_938) * r + 3.387_132_717_9;
        let denominator = ((67.187_563_600 * r + 78.757_757_664) * r + 17.895_169_469) * r + 1.0;
        return q * numerator / denominator;
    }
    let r = libm::sqrt(-libm::log(if q < 0.0 { p } else { 1.0 - p }));
    let x = if r <= 5.0 {
        let r = r - 1.6;
        let numerator =
            ((0.170_238_211_03 * r + 1.306_728_481_6) * r + 2.756_815_390_0) * r + 1.423_437_277_7;
        numerator / ((0.120_211_329_75 * r + 0.737_001_642_50) * r + 1.0)
    } else {
        let r = r - 5.0;
        let numerator =
            ((0.017_337_203_997 * r + 0.428_682_943_37) * r + 3.081_226_386_0) * r + 6.657_905_115_0;
        numerator / ((0.012_258_202_635 * r + 0.241_978_942_25) * r + 1.0)
    };
    if q < 0.0 { -x } else { x }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn normal_has_the_moments_and_tails_of_a_normal() {
        let seed = 7;
        let mut stream = Stream::new(seed, Purpose::Plan);
        let draws: Vec<f64> = (0..200_000).map(|_| stream.normal()).collect();
        let count = draws.len() as f64;
        let mean = draws.iter().sum::<f64>() / count;
        let variance = draws.iter().map(|x| x * x).sum::<f64>() / count;
        let beyond_three = draws.iter().filter(|x| x.abs() > 3.0).count() as f64 / count;
        assert!(mean.abs() < 0.01, "seed {seed}: mean {mean}");
        assert!((variance - 1.0).abs() < 0.02, "seed {seed}: variance {variance}");
        assert!((0.0020..0.0034).contains(&beyond_three), "seed {seed}: {beyond_three} beyond 3");
    }

    #[test]
    fn normal_quantile_agrees_with_the_table() {
        for (p, x) in [(0.5, 0.0), (0.975, 1.959_964), (0.001, -3.090_232), (1e-9, -5.997_807)] {
            assert!((normal_quantile(p) - x).abs() < 1e-5, "{p}: {}", normal_quantile(p));
        }
    }

    #[test]
    fn streams_of_one_seed_differ() {
        let mut first = Stream::new(1, Purpose::Feeder(0));
        let mut second = Stream::new(1, Purpose::Feeder(1));
        assert_ne!(first.bits(), second.bits());
        assert_ne!(hashed(1, 2, 3, 0), hashed(1, 2, 4, 0));
    }
}
