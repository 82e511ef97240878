//! A relation between quantities that should hold, the disagreement that is usual for a sensor, and
//! departures from that.
//!
//! Disagreement is relative to the size of the quantities (see `power.rs`). What is usual is learnt as a gain, since
//! honest meters differ by factors (accuracy class, another convention for the power factor), by least squares
//! that forget, with a mean absolute distance from it. Readings that are departures teach nothing, so that
//! a fault is not learnt. A departure shows in one reading (a spike, a unit error) or, when small, in an exponential
//! mean of the distances (EWMA after Roberts: an offset, a slow drift).

use gridwatch_sdk::prelude::*;

use crate::parameters::Parameters;

/// Weight of a reading in the exponential mean; its standard deviation is a third of a reading's.
const WEIGHT: f64 = 0.2;
const WEIGHT_DEVIATION: f64 = 1.0 / 3.0;
/// Standard deviation by mean absolute distance, for a normal distribution.
const DEVIATION_PER_SPREAD: f64 = 1.2533;
/// So many ordinary readings in a row end an episode.
const QUIET_READINGS: u8 = 5;
/// Disagreements beyond this tell no more.
const APART_MAX: f64 = 1e3;

/// Squares of expected parts below this say nothing of a gain.
const WEIGHT_MIN: f64 = 1e-6;

/// What is remembered of one relation; 32 bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Balance {
    /// Observed by expected, less 1.
    gain: f32,
    /// Sum of the squares that the gain was learnt from, with forgetting.
    weight: f32,
    /// Mean absolute distance.
    spread: f32,
    /// Exponential mean of the distances from the usual.
    lasting: f32,
    /// Readings learnt from, up to `memory_readings`.
    learnt: u16,
    /// Readings of the open episode, up to `accept_readings`.
    told: u16,
    quiet: u8,
    episode: Episode,
}

/// Both sides of the relation in one reading, neither negative, and what their distance is relative to.
#[derive(Debug, Clone, Copy)]
pub struct Sides {
    pub observed: f64,
    pub expected: f64,
    pub full: f64,
}

/// What a reading shows.
#[derive(Debug, Clone, Copy)]
pub struct Departure {
    /// Relative disagreement, and what the usual gain makes of it.
    pub apart: f64,
    pub usual: f64,
    /// Distance that would have been ordinary.
    pub limit: f64,
    pub is_lasting: bool,
    /// What is held against the limit.
    pub distance: f64,
}

impl Departure {
    /// 0.5 at the limit.
    fn score(&self) -> f64 {
        (1.0 - 0.5 * self.limit / self.distance.abs()).clamp(0.0, 1.0)
    }
}

/// What `Balance::see` found worth telling.
#[derive(Debug, Clone, Copy)]
pub enum Verdict {
    /// The end of an episode.
    Ordinary(Departure),
    Departs(Departure),
    /// It has lasted for so long that it is the usual now.
    Accepted(Departure),
}

/// What the parameters say of balances, worked out once: a division takes as long as ten multiplications.
#[derive(Debug, Clone)]
pub struct Rules {
    reading_min: f64,
    reading_per_spread: f64,
    lasting_min: f64,
    lasting_per_spread: f64,
    learning_readings: u16,
    memory_readings: u16,
    accept_readings: u16,
    /// Once `memory_readings` were learnt from: what is kept at each further one, and what it adds.
    keep: f64,
    share: f64,
}

impl Rules {
    pub fn of(p: &Parameters) -> Self {
        let share = 1.0 / f64::from(p.memory_readings);
        Rules {
            reading_min: p.reading_min,
            reading_per_spread: p.reading_deviations * DEVIATION_PER_SPREAD,
            lasting_min: p.lasting_min,
            lasting_per_spread: p.lasting_deviations * WEIGHT_DEVIATION * DEVIATION_PER_SPREAD,
            learning_readings: p.learning_readings,
            memory_readings: p.memory_readings,
            accept_readings: p.accept_readings,
            keep: 1.0 - share,
            share,
        }
    }
}

impl Balance {
    /// Takes a reading in. An ordinary one with no episode open comes through without a call.
    #[inline(always)]
    pub fn see(&mut self, rules: &Rules, sides: Sides) -> Option<Verdict> {
        let per_full = 1.0 / sides.full;
        let part = smaller(sides.expected * per_full, 1.0);
        let apart = ((sides.observed - sides.expected) * per_full).clamp(-APART_MAX, APART_MAX);
        let usual = f64::from(self.gain) * part;
        let distance = apart - usual;
        if self.learnt < rules.learning_readings {
            self.begin(rules, part, distance);
            return None;
        }
        let spread = f64::from(self.spread);
        let reading_limit = larger(rules.reading_min, rules.reading_per_spread * spread);
        let lasting_limit = larger(rules.lasting_min, rules.lasting_per_spread * spread);
        let is_wild = distance.abs() > reading_limit;
        // One wild reading must not look like a lasting change afterwards.
        let held = larger(-reading_limit, smaller(distance, reading_limit));
        let lasting = f64::from(self.lasting) + WEIGHT * (held - f64::from(self.lasting));
        self.lasting = lasting as f32;
        let is_lasting = lasting.abs() > lasting_limit;
        let departure = || Departure {
            apart,
            usual,
            limit: if is_wild { reading_limit } else { lasting_limit },
            is_lasting: is_lasting && !is_wild,
            distance: if is_wild { distance } else { lasting },
        };
        if is_wild | is_lasting {
            return Some(self.depart(rules, departure()));
        }
        // Nothing is learnt on the way into a fault or out of it.
        if lasting.abs() < 0.5 * lasting_limit {
            self.learn(rules, part, distance);
        }
        self.quiet = self.quiet.saturating_add(1);
        if self.quiet >= QUIET_READINGS {
            self.told = 0;
            if self.episode.is_open() {
                return Some(Verdict::Ordinary(departure()));
            }
        }
        None
    }

    #[cold]
    #[inline(never)]
    fn depart(&mut self, rules: &Rules, departure: Departure) -> Verdict {
        self.quiet = 0;
        self.told = self.told.saturating_add(1);
        if self.told >= rules.accept_readings {
            let episode = self.episode;
            *self = Balance { episode, ..Balance::default() };
            return Verdict::Accepted(departure);
        }
        Verdict::Departs(departure)
    }

    #[cold]
    #[inline(never)]
    fn begin(&mut self, rules: &Rules, part: f64, distance: f64) {
        self.learn(rules, part, distance);
    }

    #[inline(always)]
    fn learn(&mut self, rules: &Rules, part: f64, distance: f64) {
        let (keep, share) = if self.learnt < rules.memory_readings {
            self.learnt += 1;
            (1.0, 1.0 / f64::from(self.learnt))
        } else {
            (rules.keep, rules.share)
        };
        let weight = keep * f64::from(self.weight) + part * part;
        self.weight = weight as f32;
        if weight > WEIGHT_MIN {
            let gain = f64::from(self.gain) + distance * part / weight;
            self.gain = gain.clamp(-APART_MAX, APART_MAX) as f32;
        }
        // The first reading fits by itself.
        let rest = if self.learnt == 1 { 0.0 } else { distance.abs() };
        self.spread += (share * (rest - f64::from(self.spread))) as f32;
    }

    /// Tells the verdict as an episode.
    pub fn tell(
        &mut self,
        verdict: Verdict,
        severity: Severity,
        out: &mut Findings<'_>,
        finding: impl Fn(Departure) -> Finding,
    ) {
        let scored = |departure: Departure| finding(departure).score(departure.score());
        match verdict {
            Verdict::Departs(departure) => out.raise(&mut self.episode, severity, || scored(departure)),
            Verdict::Ordinary(departure) => out.clear(&mut self.episode, || scored(departure)),
            Verdict::Accepted(departure) => {
                out.clear(&mut self.episode, || scored(departure).detail("taken_as", "usual from now on"))
            }
        }
    }
}

/// Of two numbers: `f64::max` and `f64::min` look for NaNs besides, which WebAssembly does one after the other.
#[inline(always)]
fn larger(one: f64, other: f64) -> f64 {
    if one > other { one } else { other }
}

#[inline(always)]
fn smaller(one: f64, other: f64) -> f64 {
    if one < other { one } else { other }
}
