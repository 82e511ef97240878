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
const MEMORY: f64 = 500.0;
/// What is learnt of a reading is at most this part of the limit.
const HELD: f64 = 0.25;
/// Beyond this many limits one reading is enough.
const WILD: f64 = 2.0;

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Peer {
    at: i64,
    who: u32,
    hertz: f32,
}

/// State an area: its latest readings, oldest overwritten first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Area {
    peers: Vec<Peer>,
    next: u8,
    learnt: u16,
    /// Mean distance from the median in Hz.
    spread: f32,
}

/// State a sensor; 16 bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Apart {
    recent: u8,
    episode: Episode,
}

impl Apart {
    pub fn judge(
        &mut self,
        p: &Parameters,
        who: u32,
        reading: &Reading<'_>,
        area: &mut Area,
        out: &mut Findings<'_>,
    ) {
        let hertz = reading.value(FREQUENCY);
        if !hertz.is_finite() || reading.is_ahead() || reading.is_backward() {
            return;
        }
        let median = area.median(who, reading.timestamp);
        area.add(Peer { at: reading.timestamp, who, hertz: hertz.clamp(-1e6, 1e6) as f32 });
        let Some(median) = median else {
            return;
        };
        let distance = (hertz - median).abs().min(1e6);
        let limit = p.frequency_apart_hz.max(p.frequency_apart_spreads * f64::from(area.spread));
        // Held, so that a few broken sensors do not widen what is usual for the rest.
        area.learn(distance.min(HELD * limit));
        let is_apart = distance > limit;
        self.recent = (self.recent << 1) | u8::from(is_apart);
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
    fn median(&self, who: u32, now: i64) -> Option<f64> {
        let mut others = [0.0f32; PEERS];
        let mut count = 0;
        for peer in self.peers.iter().take(PEERS) {
            if peer.who != who && now.saturating_sub(peer.at).saturating_abs() <= APART_MAX_MS {
                others[count] = peer.hertz;
                count += 1;
            }
        }
        let others = &mut others[..count];
        others.sort_unstable_by(f32::total_cmp);
        (count >= PEERS_MIN)
            .then(|| f64::midpoint(f64::from(others[(count - 1) / 2]), f64::from(others[count / 2])))
    }

    /// A sensor has one place, so that one that reports often is not a majority.
    fn add(&mut self, peer: Peer) {
        if let Some(own) = self.peers.iter_mut().find(|other| other.who == peer.who) {
            *own = peer;
        } else if self.peers.len() < PEERS {
            self.peers.push(peer);
        } else {
            let place = usize::from(self.next) % PEERS;
            self.peers[place] = peer;
            self.next = ((place + 1) % PEERS) as u8;
        }
    }

    fn learn(&mut self, distance: f64) {
        self.learnt = self.learnt.saturating_add(1);
        let share = 1.0 / f64::from(self.learnt).min(MEMORY);
        self.spread += (share * (distance - f64::from(self.spread))) as f32;
    }
}
