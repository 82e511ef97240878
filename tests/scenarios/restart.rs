//! `kill -9` at random: what the sink holds in the end is what an undisturbed run writes, byte for byte.

use std::time::Instant;

use gridwatch_tests::house::{House, simulated};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// More than three days: the first has no faults.
const READINGS: usize = 400_000;
const KILLS: usize = 8;

fn house(readings: &str) -> House {
    let house = House::with(&["limits", "physics", "shift", "vitals"]);
    house.write("readings.jsonl", readings);
    let often = "[engine]\ncommit_interval = \"20ms\"\n[checkpoints]\ninterval = \"100ms\"\n";
    house.configure("kind = \"file\"\npath = \"readings.jsonl\"", often);
    house
}

#[test]
fn killed_at_random_the_sink_is_the_undisturbed_one() {
    let seed = 20_260_101;
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut readings = simulated(3, READINGS);
    readings.push_str("{\"sensor_id\":\n");
    let undisturbed = house(&readings);
    // Once to warm the code cache, and once to see how long a life is here.
    house(&readings).run();
    let start = Instant::now();
    undisturbed.run();
    let life = start.elapsed();

    let disturbed = house(&readings);
    let whole = undisturbed.text("anomalies.jsonl").len();
    let (mut kills, mut midway) = (0, 0);
    while kills < KILLS {
        let mut process = disturbed.spawn();
        // Long enough to get somewhere, short enough not to reach the end.
        let death = Instant::now() + life.mul_f64(random.random_range(0.15..0.35));
        while Instant::now() < death {
            if process.try_wait().unwrap().is_some() {
                break;
            }
            std::thread::yield_now();
        }
        let _ = process.kill();
        process.wait().unwrap();
        kills += 1;
        let written = disturbed.text("anomalies.jsonl").len();
        midway += usize::from(written > 0 && written < whole);
    }
    assert!(midway > 0, "seed {seed}: no kill came in the middle");
    disturbed.run();
    for file in ["anomalies.jsonl", "dead-letters.jsonl"] {
        let (expected, seen) = (undisturbed.text(file), disturbed.text(file));
        assert!(!expected.is_empty(), "{file} is empty");
        let differs = expected.lines().zip(seen.lines()).find(|(a, b)| a != b);
        assert!(expected == seen, "seed {seed}, {file} after {kills} kills; first difference: {differs:#?}");
    }
}
