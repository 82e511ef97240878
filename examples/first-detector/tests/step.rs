//! The detector natively: no WebAssembly, no host.

use first_detector::Step;
use gridwatch_sdk::kit::{Bench, Rng, check, row};

fn bench() -> Bench<Step> {
    let mut bench = Bench::new("{}", &["voltage", "current"]);
    bench.sensor("meter-1", &[("location", "feeder-07")]);
    bench.sensor("meter-2", &[("location", "feeder-07")]);
    bench
}

#[test]
fn a_step_is_found_once() {
    let mut bench = bench();
    for (second, volts) in [230.1, 229.8, 215.0, 214.9].into_iter().enumerate() {
        bench.read(0, second as i64 * 1000, &[volts, 5.0]);
        bench.read(1, second as i64 * 1000, &[231.0, 5.0]);
    }
    let found = bench.take();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(
        (found[0].kind, found[0].sensor.as_deref()),
        ("step", Some("meter-1"))
    );
    assert_eq!(
        (found[0].observed, found[0].expected),
        (Some(215.0), Some(229.8))
    );
}

#[test]
fn cuts_and_restarts_carry_no_meaning() {
    let seed = 7;
    let mut rng = Rng::new(seed);
    let rows: Vec<_> = (0..500)
        .map(|second| {
            row(
                rng.below(2) as u32,
                second * 1000,
                &[rng.between(215.0, 245.0), 5.0],
            )
        })
        .collect();
    check(bench, &rows, seed);
}
