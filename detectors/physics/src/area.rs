//! Frequency is one across a synchronous area: a sensor that differs from the others is broken.
//!
//! A group (attribute `area`) keeps the latest frequencies of a few of its sensors. A reading is held
//! against the median of those of the last seconds; what distance is usual is learnt, since the frequency
//! moves between readings that are not of the same moment.

use gridwatch_sdk::prelude::*;

use crate::kinds;
use crate::parameters::Parameters;
use crate::quantities::FREQUENCY;

const PEERS: usize = 9;
/// Others needed for a median to mean something.
const PEERS_MIN: usize = 3;
/// Readings farther apart than this, in ms, are not compared.
const APART_MAX_MS: i64 = 15_000;
/// Readings over which the usual distance is averaged.
const MEMORY: u16 = 500;
/// What is learnt of a reading is at most this part of the limit.
const HELD: f64 = 0.25;
/// Beyond this many limits one reading is enough.
const WILD: f64 = 2.0;

/// State an area: its latest readings, oldest overwritten first. Column by column, so that a median is found without
/// a jump that depends on the data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Area {
    /// Long ago where there is no reading yet.
    at: [i64; PEERS],
    who: [u32; PEERS],
    /// Bits of the frequencies in Hz as `f32`. They are not negative, so that their bits are ordered as they are.
    hertz: [i32; PEERS],
    /// No time of `at` is before the one or after the other; narrowed once a round.
    from: i64,
    to: i64,
    next: u8,
    learnt: u16,
    /// Mean distance from the median in Hz.
    spread: f32,
}

impl Default for Area {
    fn default() -> Self {
        Area {
            at: [i64::MIN; PEERS],
            who: [0; PEERS],
            hertz: [0; PEERS],
            from: i64::MIN,
            to: i64::MAX,
            next: 0,
            learnt: 0,
            spread: 0.0,
        }
    }
}

/// State a sensor; 16 bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Apart {
    recent: u8,
    episode: Episode,
}

impl Apart {
    /// A function of its own: the nine readings of the area want all registers.
    #[inline(never)]
    pub fn judge(
        &mut self,
        p: &Parameters,
        who: u32,
        reading: &Reading<'_>,
        area: &mut Area,
        out: &mut Findings<'_>,
    ) {
        let hertz = reading.value(FREQUENCY);
        if hertz.is_nan() || reading.is_ahead() || reading.is_backward() {
            return;
        }
        let Some(median) = area.swap(who, reading.timestamp, hertz) else {
            return;
        };
        let distance = (hertz - median).abs();
        let usual = p.frequency_apart_spreads * f64::from(area.spread);
        let limit = if usual > p.frequency_apart_hz { usual } else { p.frequency_apart_hz };
        // Held, so that a few broken sensors do not widen what is usual for the rest.
        area.learn(if distance < HELD * limit { distance } else { HELD * limit });
        self.recent = (self.recent << 1) | u8::from(distance > limit);
        if self.recent & 0b111 != 0 || self.episode.is_open() {
            self.tell(hertz, median, limit, out);
        }
    }

    #[cold]
    #[inline(never)]
    fn tell(&mut self, hertz: f64, median: f64, limit: f64, out: &mut Findings<'_>) {
        let distance = (hertz - median).abs();
        let finding = || {
            Finding::new(kinds::FREQUENCY_APART)
                .quantity(FREQUENCY)
                .observed(hertz)
                .expected(median)
                .band(median - limit, median + limit)
                .score((1.0 - 0.5 * limit / distance).clamp(0.0, 1.0))
                .explain(format!(
                    "{:+.0} mHz from the area's other sensors (±{:.0} mHz)",
                    1000.0 * (hertz - median),
                    1000.0 * limit
                ))
        };
        if distance > WILD * limit || (self.recent & 0b111).count_ones() >= 2 {
            out.raise(&mut self.episode, Severity::Warning, finding);
        } else if self.recent & 0b111 == 0 {
            out.clear(&mut self.episode, finding);
        }
    }
}

impl Area {
    /// Median of the others' latest readings, if there are enough; takes the reading in. A sensor has one place, so that
    /// one that reports often is not a majority.
    #[inline(always)]
    fn swap(&mut self, who: u32, now: i64, hertz: f64) -> Option<f64> {
        let is_here = self.who.iter().fold(false, |is_here, other| is_here | (*other == who));
        let are_near = is_near(now, self.from) & is_near(now, self.to);
        // In an area with many sensors all nine are others' and of just now.
        let median =
            if are_near & !is_here { Some(median(self.hertz, 0)) } else { self.median_of_some(who, now) };
        let place = if is_here { self.place(who) } else { usize::from(self.next) };
        if let (Some(at), Some(owner), Some(value)) =
            (self.at.get_mut(place), self.who.get_mut(place), self.hertz.get_mut(place))
        {
            (*at, *owner, *value) = (now, who, (hertz.clamp(0.0, 1e6) as f32).to_bits() as i32);
        }
        self.from = if now < self.from { now } else { self.from };
        self.to = if now > self.to { now } else { self.to };
        if !is_here {
            self.next += 1;
            if usize::from(self.next) >= PEERS {
                self.begin_round();
            }
        }
        median
    }

    /// As it is where some of the nine do not count.
    #[inline(never)]
    fn median_of_some(&self, who: u32, now: i64) -> Option<f64> {
        let mut hertz = self.hertz;
        let mut left_out = 0;
        for ((hertz, other), at) in hertz.iter_mut().zip(&self.who).zip(&self.at) {
            // What does not count goes to either end by turns, and so leaves the middle where it is.
            if (*other == who) | !is_near(now, *at) {
                *hertz = if left_out & 1 == 0 { i32::MAX } else { i32::MIN };
                left_out += 1;
            }
        }
        (PEERS - left_out >= PEERS_MIN).then(|| median(hertz, left_out))
    }

    #[inline(never)]
    fn place(&self, who: u32) -> usize {
        self.who.iter().position(|other| *other == who).unwrap_or(0)
    }

    #[inline(never)]
    fn begin_round(&mut self) {
        self.next = 0;
        self.from = self.at.iter().fold(i64::MAX, |least, &at| least.min(at));
        self.to = self.at.iter().fold(i64::MIN, |most, &at| most.max(at));
    }

    #[inline(always)]
    fn learn(&mut self, distance: f64) {
        let share = if self.learnt < MEMORY {
            self.learnt += 1;
            1.0 / f64::from(self.learnt)
        } else {
            1.0 / f64::from(MEMORY)
        };
        self.spread += (share * (distance - f64::from(self.spread))) as f32;
    }
}

#[inline(always)]
fn is_near(now: i64, at: i64) -> bool {
    now.wrapping_sub(at).wrapping_add(APART_MAX_MS) as u64 <= 2 * APART_MAX_MS as u64
}

/// Of an odd number left out, one more is above the others than below.
#[inline(always)]
fn median(mut hertz: [i32; PEERS], left_out: usize) -> f64 {
    sort(&mut hertz);
    let high = hertz[PEERS / 2];
    let low = if left_out & 1 == 0 { high } else { hertz[PEERS / 2 - 1] };
    let number = |bits: i32| f64::from(f32::from_bits(bits as u32));
    0.5 * (number(low) + number(high))
}

/// Sorts by a network of 25 comparisons in seven layers, which always does the same and so is never mispredicted
/// (the least known; listed by B. Dobbelaere). Written out by a macro, since a loop over a table would stay a loop in
/// WebAssembly. What is not asked for, the compiler leaves out.
#[inline(always)]
fn sort(keys: &mut [i32; PEERS]) {
    macro_rules! order {
        ($($low:literal $high:literal),+) => {
            $((keys[$low], keys[$high]) = (keys[$low].min(keys[$high]), keys[$low].max(keys[$high]));)+
        };
    }
    order!(0 3, 1 7, 2 5, 4 8);
    order!(0 7, 2 4, 3 8, 5 6);
    order!(0 2, 1 3, 4 5, 7 8);
    order!(1 4, 3 6, 5 7);
    order!(0 1, 2 4, 3 5, 6 8);
    order!(2 3, 4 5, 6 7);
    order!(1 2, 3 4, 5 6);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A network that sorts all zeros and ones sorts everything (Knuth, The Art of Computer Programming 3, 5.3.4).
    #[test]
    fn the_network_sorts() {
        for bits in 0..1 << PEERS {
            let mut keys: [i32; PEERS] = std::array::from_fn(|index| bits >> index & 1);
            sort(&mut keys);
            assert!(keys.is_sorted(), "{bits:b}");
        }
    }

    #[test]
    fn the_median_is_of_the_others_of_the_last_seconds() {
        let mut area = Area::default();
        let now = 1_700_000_000_000;
        let mut others: Vec<f64> = Vec::new();
        for who in 1..=9 {
            let hertz = 50.0 + f64::from(who * 5 % 9) / 8.0;
            let median = area.swap(who, now, hertz);
            others.sort_by(f64::total_cmp);
            let expected = (others.len() >= PEERS_MIN)
                .then(|| f64::midpoint(others[(others.len() - 1) / 2], others[others.len() / 2]));
            assert_eq!(median, expected, "of {}", others.len());
            others.push(hertz);
        }
        // The ninth sensor, again: eight others. A tenth: nine, and the first has made room.
        assert_eq!(area.swap(9, now, 60.0), Some(50.5625));
        assert_eq!(area.swap(10, now + 10_000, 50.0), Some(50.625));
        assert_eq!(area.swap(11, now + 15_000, 50.0), Some(50.5));
        assert_eq!(area.swap(12, now + 15_001, 50.0), None);
    }

    #[test]
    fn the_short_way_gives_what_the_long_way_does() {
        let mut area = Area::default();
        let (mut short, mut seed) = (0, 1_u32);
        for step in 0..2_000 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let who = 1 + (seed >> 8) % 40;
            let now = 1_700_000_000_000 + step * 900 + i64::from(seed >> 20) % 7_000;
            let are_near = is_near(now, area.from) && is_near(now, area.to);
            assert!(!are_near || area.at.iter().all(|&at| is_near(now, at)), "step {step}");
            short += u32::from(are_near && !area.who.contains(&who));
            let expected = area.median_of_some(who, now);
            assert_eq!(area.swap(who, now, 50.0 + f64::from(seed % 1000) / 1e4), expected, "step {step}");
        }
        assert!((200..1_800).contains(&short), "both ways are taken: {short}");
    }
}
