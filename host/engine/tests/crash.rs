//! A lane that is killed anywhere, any number of times, says what an undisturbed one says.
//!
//! Only durable parts survive a kill: what the sink has committed and what the store holds. From a seed
//! come the readings, the sizes of batches, the pace of commits and checkpoints, and the kills.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use gridwatch_connectors::memory::MemorySink;
use gridwatch_core::sink::Stream;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use support::life::{assert_same, disturbed, lines, once_each, undisturbed};
use support::parts;
use support::readings::records;

const SEEDS: u64 = 2_000;

/// Where a detector fails, it is out from the start of the batch that it failed in, so that then the cut
/// shows; with one row a batch there is only one cut.
fn compare_in(sink: MemorySink, repeats: bool, seed: u64, poison: bool) -> u32 {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let records = records(&mut random, 150, poison);
    let rows_max = poison.then_some(1);
    let expected = undisturbed(parts(rows_max.unwrap_or(64)), &records);
    let with = |random: &mut ChaCha8Rng| parts(rows_max.unwrap_or_else(|| random.random_range(1..40)));
    let (seen, kills) = disturbed(&mut random, sink, &records, with, |_| {});
    for stream in [Stream::Anomalies, Stream::DeadLetters] {
        let what = format!("seed {seed} after {kills} kills: {stream:?}");
        // Only at least once does anything come twice.
        let seen = if repeats { once_each(lines(&seen, stream)) } else { lines(&seen, stream) };
        assert_same(&what, &lines(&expected, stream), &seen);
    }
    kills
}

fn compare(seed: u64, poison: bool) -> u32 {
    compare_in(MemorySink::new(), false, seed, poison)
}

/// Where messages are out as soon as they are sent: nothing is lost, and what comes again was seen before.
fn compare_at_least_once(seed: u64, poison: bool) -> u32 {
    compare_in(MemorySink::at_least_once(), true, seed, poison)
}

#[test]
fn killed_anywhere_it_says_the_same() {
    let kills: u32 = (0..SEEDS).map(|seed| compare(seed, false)).sum();
    assert!(kills > 1_000, "only {kills} kills in {SEEDS} seeds");
}

#[test]
fn killed_anywhere_around_a_fault_it_says_the_same() {
    let kills: u32 = (0..SEEDS / 4).map(|seed| compare(1_000_000 + seed, true)).sum();
    assert!(kills > 250, "only {kills} kills");
}

#[test]
fn killed_anywhere_at_least_once_loses_nothing_and_invents_nothing() {
    let kills: u32 = (0..SEEDS / 2).map(|seed| compare_at_least_once(2_000_000 + seed, false)).sum();
    assert!(kills > 500, "only {kills} kills");
    let kills: u32 = (0..SEEDS / 4).map(|seed| compare_at_least_once(3_000_000 + seed, true)).sum();
    assert!(kills > 250, "only {kills} kills");
}
