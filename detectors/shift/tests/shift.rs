//! What changes is told, what merely varies is not, and an anomaly is not learnt.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use gridwatch_sdk::kit::{Bench, Found, Phase, Rng, Row, Severity, check, row};
use gridwatch_sdk::math;
use shift::{Cell, Sensor, Shift};

const MINUTE: i64 = 60_000;
const DAY: usize = 1440;

fn normal(rng: &mut Rng) -> f64 {
    (0..12).map(|_| rng.unit()).sum::<f64>() - 6.0
}

/// A voltage as a meter shows it: a daily course, slow wander, noise of 0.2 V, a resolution of 0.1 V.
fn voltage(seed: u64, count: usize, mut bend: impl FnMut(usize, f64, f64) -> f64) -> Vec<Row> {
    let mut rng = Rng::new(seed);
    let mut wander = 0.0;
    (0..count)
        .map(|index| {
            wander = 0.99 * wander + 0.15 * normal(&mut rng);
            let day = 2.0 * math::sin(index as f64 / DAY as f64 * std::f64::consts::TAU);
            let noise = 0.2 * normal(&mut rng);
            let value = bend(index, 230.0 + day + wander, noise);
            row(0, index as i64 * MINUTE, &[(value * 10.0).round() / 10.0])
        })
        .collect()
}

fn bench(quantity: &str) -> Bench<Shift> {
    let mut bench = Bench::new("{}", &[quantity]);
    bench.sensor("meter-1", &[]);
    bench
}

fn found(quantity: &str, rows: &[Row]) -> Vec<Found> {
    let mut bench = bench(quantity);
    bench.push(rows);
    bench.take()
}

fn brief(found: &[Found]) -> Vec<(&str, Phase, usize)> {
    found.iter().map(|one| (one.kind, one.phase, (one.timestamp / MINUTE) as usize)).collect()
}

#[test]
fn a_sensor_takes_no_more_memory_than_it_may() {
    assert!(size_of::<Cell>() <= 64, "{}", size_of::<Cell>());
    assert!(size_of::<Sensor>() + size_of::<Cell>() <= 128, "{}", size_of::<Sensor>());
}

#[test]
fn ten_quiet_days_bring_nothing() {
    for seed in 0..5 {
        let rows = voltage(seed, 10 * DAY, |_, value, noise| value + noise);
        assert_eq!(brief(&found("voltage", &rows)), [], "seed {seed}");
    }
}

#[test]
fn a_step_is_a_shift_until_it_is_undone() {
    let rows = voltage(1, 4 * DAY, |index, value, noise| {
        value + noise + if (3000..3200).contains(&index) { 9.0 } else { 0.0 }
    });
    let found = found("voltage", &rows);
    let brief = brief(&found);
    assert!(matches!(brief[0], ("level_shift", Phase::Raised, 3002)), "{brief:?}");
    assert!(matches!(brief[1], ("level_shift", Phase::Cleared, 3200..=3204)), "{brief:?}");
    assert_eq!(brief.len(), 2, "{brief:?}");
    let (observed, expected) = (found[0].observed.unwrap(), found[0].expected.unwrap());
    assert!((observed - expected - 9.0).abs() < 2.0, "{observed} {expected}");
}

#[test]
fn a_step_that_stays_is_the_new_normal_after_the_stated_time() {
    let rows =
        voltage(2, 4 * DAY, |index, value, noise| value + noise + if index >= 3000 { 12.0 } else { 0.0 });
    let found = found("voltage", &rows);
    let brief = brief(&found);
    assert!(matches!(brief[0], ("level_shift", Phase::Raised, 3002)), "{brief:?}");
    assert!(matches!(brief[1], ("level_shift", Phase::Cleared, 3590..=3610)), "{brief:?}");
    assert!(found[1].explanation.as_deref().unwrap().contains("new level"), "{:?}", found[1]);
    assert_eq!(brief.len(), 2, "{brief:?}");
}

#[test]
fn one_value_far_off_is_a_spike() {
    let rows =
        voltage(3, 3 * DAY, |index, value, noise| value + noise + if index == 4000 { -20.0 } else { 0.0 });
    let found = found("voltage", &rows);
    assert_eq!(brief(&found), [("spike", Phase::Single, 4001)]);
    assert!(found[0].observed.unwrap() < 220.0);
}

#[test]
fn noise_is_told_and_its_end() {
    for seed in 0..5 {
        let rows = voltage(seed, 4 * DAY, |index, value, noise| {
            value + noise * if (3000..3300).contains(&index) { 5.0 } else { 1.0 }
        });
        let found = found("voltage", &rows);
        let spread: Vec<_> = brief(&found).into_iter().filter(|one| one.0 == "spread_change").collect();
        assert!(matches!(spread[0], (_, Phase::Raised, 3000..=3040)), "seed {seed}: {spread:?}");
        assert!(matches!(spread[1], (_, Phase::Cleared, 3300..=3360)), "seed {seed}: {spread:?}");
        assert_eq!(spread.len(), 2, "seed {seed}: {spread:?}");
    }
}

#[test]
fn a_ramp_of_small_steps_is_told_before_the_level_is_unusual() {
    let rows = voltage(4, 3 * DAY, |index, value, noise| {
        value + noise + 0.3 * (index.saturating_sub(4000).min(40)) as f64
    });
    let found = found("voltage", &rows);
    let first = &found[0];
    assert_eq!((first.kind, first.phase), ("course", Phase::Raised), "{:?}", brief(&found));
    assert!((4000..4030).contains(&((first.timestamp / MINUTE) as usize)), "{:?}", brief(&found));
    assert!(first.severity >= Severity::Warning);
    assert!(
        found.iter().any(|one| one.kind == "course" && one.phase == Phase::Cleared),
        "{:?}",
        brief(&found)
    );
}

#[test]
fn a_load_that_is_switched_is_no_anomaly() {
    for seed in 0..5 {
        let mut rng = Rng::new(seed);
        let mut on = [false; 3];
        let rows: Vec<Row> = (0..7 * DAY)
            .map(|index| {
                let busy = if (360..1380).contains(&(index % DAY)) { 1.0 } else { 0.15 };
                for (appliance, on) in on.iter_mut().enumerate() {
                    let chance = if *on { 0.1 } else { 0.04 * busy / (1.0 + appliance as f64) };
                    *on ^= rng.unit() < chance;
                }
                let base = 150.0 + 100.0 * busy + 8.0 * normal(&mut rng);
                let watts: f64 = on
                    .iter()
                    .zip([90.0, 700.0, 2200.0])
                    .map(|(on, watts)| if *on { watts } else { 0.0 })
                    .sum();
                row(0, index as i64 * MINUTE, &[(base + watts).round()])
            })
            .collect();
        let found = found("power", &rows);
        assert!(found.len() <= 2, "seed {seed}: {:?}", brief(&found));
    }
}

#[test]
fn late_rows_are_not_compared_with_their_neighbours() {
    let mut rows = voltage(5, 3 * DAY, |_, value, noise| value + noise);
    let quiet = found("voltage", &rows);
    for late in 0..20 {
        rows.insert(4000 + late, row(0, late as i64 * MINUTE, &[100.0]));
    }
    assert_eq!(quiet, []);
    assert_eq!(brief(&found("voltage", &rows)), []);
}

/// Readings as no grid sends them.
fn wild(seed: u64, sensors: u32) -> Vec<Row> {
    const VALUES: [f64; 12] =
        [0.0, -0.0, 1.0, -1.0, 1e308, -1e308, 5e-324, 1e-30, 230.0, 230.1, f64::MAX, f64::MIN_POSITIVE];
    let mut rng = Rng::new(seed);
    let mut time = 0_i64;
    (0..900)
        .map(|_| {
            time = match rng.below(20) {
                0 => time,
                1 => time.saturating_sub(rng.below(7_200_000) as i64),
                2 => time.saturating_add(rng.below(7_200_000) as i64),
                3 => rng.next_u64() as i64,
                _ => time.saturating_add(1000),
            };
            let mut value = || match rng.below(4) {
                0 => VALUES[rng.below(VALUES.len() as u64) as usize],
                1 => f64::NAN,
                2 => (rng.unit() - 0.5) * 1e6,
                _ => 230.0 + rng.unit(),
            };
            let values = [value(), value(), value()];
            let made = row(rng.below(u64::from(sensors)) as u32, time, &values);
            if rng.below(15) == 0 { made.malformed(1) } else { made }
        })
        .collect()
}

#[test]
fn whatever_comes_scores_are_scores_and_cuts_and_restarts_mean_nothing() {
    for seed in 0..12 {
        // Judged from the eighth reading on, so that every path is walked.
        let bench = || {
            let parameters = r#"{"learn_readings": 8, "learn_hours": 0, "relearn_readings": 40, "spread_min": 3, "course_min": 2, "level_min": 2}"#;
            let mut bench = Bench::<Shift>::new(parameters, &["voltage", "power", "frequency"]);
            for sensor in 0..3 {
                bench.sensor(&format!("s{sensor}"), &[]);
            }
            bench
        };
        let rows = wild(seed, 3);
        check(bench, &rows, seed);
        let mut once = bench();
        once.push(&rows);
        let found = once.take();
        assert!(!found.is_empty(), "seed {seed}: nothing was walked");
        for one in &found {
            assert!((0.0..=1.0).contains(&one.score), "seed {seed}: {one:?}");
        }
    }
}

#[test]
fn ordinary_readings_may_be_cut_and_restored_anywhere() {
    let rows = voltage(9, 2 * DAY, |index, value, noise| {
        value + noise * if index > 2000 { 5.0 } else { 1.0 } + if index > 2500 { 15.0 } else { 0.0 }
    });
    check(|| bench("voltage"), &rows, 9);
}
