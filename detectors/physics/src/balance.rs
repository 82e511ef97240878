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

/// Both sides of the relation in one reading, and what their distance is relative to.
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

/// What `Balance::see` decided.
#[derive(Debug, Clone, Copy)]
pub enum Verdict {
    Ordinary(Departure),
    Departs(Departure),
    /// It has lasted for so long that it is the usual now.
    Accepted(Departure),
}

impl Balance {
    pub fn see(&mut self, p: &Parameters, sides: Sides) -> Option<Verdict> {
        let part = (sides.expected / sides.full).clamp(0.0, 1.0);
        let apart = ((sides.observed - sides.expected) / sides.full).clamp(-APART_MAX, APART_MAX);
        let usual = f64::from(self.gain) * part;
        let distance = apart - usual;
        if self.learnt < p.learning_readings {
            self.learn(p, part, distance);
            return None;
        }
        let deviation = DEVIATION_PER_SPREAD * f64::from(self.spread);
        let reading_limit = p.reading_min.max(p.reading_deviations * deviation);
        let lasting_limit = p.lasting_min.max(p.lasting_deviations * WEIGHT_DEVIATION * deviation);
        // One wild reading must not look like a lasting change afterwards.
        let held = distance.clamp(-reading_limit, reading_limit);
        let lasting = f64::from(self.lasting) + WEIGHT * (held - f64::from(self.lasting));
        self.lasting = lasting as f32;
        let is_wild = distance.abs() > reading_limit;
        let is_lasting = lasting.abs() > lasting_limit;
        let departure = Departure {
            apart,
            usual,
            limit: if is_wild { reading_limit } else { lasting_limit },
            is_lasting: is_lasting && !is_wild,
            distance: if is_wild { distance } else { lasting },
        };
        Some(if is_wild || is_lasting {
            self.depart(p, departure)
        } else {
            self.settle(p, part, departure, lasting_limit)
        })
    }

    fn depart(&mut self, p: &Parameters, departure: Departure) -> Verdict {
        self.quiet = 0;
        self.told = self.told.saturating_add(1);
        if self.told >= p.accept_readings {
            let episode = self.episode;
            *self = Balance { episode, ..Balance::default() };
            return Verdict::Accepted(departure);
        }
        Verdict::Departs(departure)
    }

    fn settle(&mut self, p: &Parameters, part: f64, departure: Departure, lasting_limit: f64) -> Verdict {
        self.quiet = self.quiet.saturating_add(1);
        // Nothing is learnt on the way into a fault or out of it.
        if f64::from(self.lasting).abs() < 0.5 * lasting_limit {
            self.learn(p, part, departure.apart - departure.usual);
        }
        Verdict::Ordinary(departure)
    }

    fn learn(&mut self, p: &Parameters, part: f64, distance: f64) {
        let keep =
            if self.learnt < p.memory_readings { 1.0 } else { 1.0 - 1.0 / f64::from(p.memory_readings) };
        self.learnt = (self.learnt + 1).min(p.memory_readings);
        let weight = keep * f64::from(self.weight) + part * part;
        self.weight = weight as f32;
        let step = if weight > WEIGHT_MIN { distance * part / weight } else { 0.0 };
        self.gain = (f64::from(self.gain) + step).clamp(-APART_MAX, APART_MAX) as f32;
        // The first reading fits by itself.
        let rest = if self.learnt == 1 { 0.0 } else { distance.abs() };
        self.spread += ((rest - f64::from(self.spread)) / f64::from(self.learnt)) as f32;
    }

    /// Tells the verdict as an episode.
    pub fn tell(
        &mut self,
        verdict: Verdict,
        severity: Severity,
        out: &mut Findings<'_>,
        finding: impl Fn(Departure) -> Finding,
    ) {
        match verdict {
            Verdict::Departs(departure) => {
                out.raise(&mut self.episode, severity, || finding(departure).score(departure.score()))
            }
            Verdict::Ordinary(departure) if self.quiet >= QUIET_READINGS => {
                self.told = 0;
                out.clear(&mut self.episode, || finding(departure).score(departure.score()));
            }
            Verdict::Ordinary(_) => {}
            Verdict::Accepted(departure) => {
                out.clear(&mut self.episode, || {
                    finding(departure).score(departure.score()).detail("taken_as", "usual from now on")
                });
            }
        }
    }
}
