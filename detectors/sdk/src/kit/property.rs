//! What must hold for every detector: cuts, restarts and announcements carry no meaning.

use crate::detector::Detector;

use super::{Bench, Found, Row};

/// A small seeded generator (SplitMix64, Steele et al. 2014), for cuts and for tests' own data.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Rng(seed)
    }

    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to below `end`, which is more than 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next_u64() % end
    }

    /// From 0 to below 1.
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub fn between(&mut self, lower: f64, upper: f64) -> f64 {
        lower + (upper - lower) * self.unit()
    }
}

/// `check_cuts` and `check_restore`.
pub fn check<D: Detector>(bench: impl Fn() -> Bench<D>, rows: &[Row], seed: u64) {
    check_cuts(&bench, rows, seed);
    check_restore(&bench, rows, seed);
}

/// The same findings from one batch, one row at a time, random cuts, and sensors announced only when
/// their first reading comes. `bench` gives a fresh one with all sensors.
pub fn check_cuts<D: Detector>(bench: impl Fn() -> Bench<D>, rows: &[Row], seed: u64) {
    let mut rng = Rng::new(seed);
    let (undisturbed, state) = run(bench(), rows, |_| false);
    let single = run(bench(), rows, |_| true);
    compare(&undisturbed, &single.0, rows, "one row at a time", seed);
    assert!(state == single.1, "seed {seed}: other saved bytes one row at a time");
    for average in [3, 17] {
        let (cut, cut_state) = run(bench(), rows, |_| rng.below(average) == 0);
        compare(&undisturbed, &cut, rows, &format!("batches of about {average} rows"), seed);
        assert!(state == cut_state, "seed {seed}: other saved bytes in batches of about {average} rows");
    }
    let (late, _) = run(bench().announced_late(), rows, |_| true);
    compare(&undisturbed, &late, rows, "sensors announced with their first reading", seed);
}

/// The same findings, and the same saved bytes, when the detector is saved and restored at random
/// readings, at least once.
pub fn check_restore<D: Detector>(bench: impl Fn() -> Bench<D>, rows: &[Row], seed: u64) {
    let mut rng = Rng::new(seed);
    let (undisturbed, state) = run(bench(), rows, |_| false);
    for average in [2_u64, 10, rows.len() as u64 + 1] {
        let mut bench = bench();
        let mut rest = rows;
        while !rest.is_empty() {
            let count = (1 + rng.below(2 * average) as usize).min(rest.len());
            let (now, later) = rest.split_at(count);
            bench.push(now);
            bench.restart();
            rest = later;
        }
        let how = format!("restored after about {average} rows each");
        compare(&undisturbed, &bench.take(), rows, &how, seed);
        assert!(state == all_bytes(&bench), "seed {seed}: other saved bytes when {how}");
    }
}

type SavedBytes = (Vec<u8>, Vec<u32>, Vec<u8>);

fn run<D: Detector>(
    mut bench: Bench<D>,
    rows: &[Row],
    cut: impl FnMut(usize) -> bool,
) -> (Vec<Found>, SavedBytes) {
    bench.push_cut(rows, cut);
    (bench.take(), all_bytes(&bench))
}

fn all_bytes<D: Detector>(bench: &Bench<D>) -> SavedBytes {
    let (saved, _, states) = bench.save();
    (saved.shared, states.ends, states.bytes)
}

fn compare(expected: &[Found], found: &[Found], rows: &[Row], how: &str, seed: u64) {
    if expected == found {
        return;
    }
    let at = expected.iter().zip(found).take_while(|(expected, found)| expected == found).count();
    panic!(
        "seed {seed}: findings differ with {how} ({} rows)\n{} findings undisturbed, {} so; number {at}:\nundisturbed {:#?}\nso {:#?}",
        rows.len(),
        expected.len(),
        found.len(),
        expected.get(at),
        found.get(at)
    );
}
