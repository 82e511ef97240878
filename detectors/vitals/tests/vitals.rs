//! Each fault of telemetry is told, once, and nothing else is.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use gridwatch_sdk::kit::{Bench, Found, Phase, Rng, Row, Severity, check, row};
use vitals::{Cell, Sensor, Vitals};

const MINUTE: i64 = 60_000;

/// A meter every minute beside a second one that keeps the lane's clock going.
fn meters(seed: u64, count: i64, mut bend: impl FnMut(i64, &mut Row) -> bool) -> Vec<Row> {
    let mut rng = Rng::new(seed);
    let mut rows = Vec::new();
    for index in 0..count {
        let mut values = || {
            [
                ((230.0 + 2.0 * rng.unit()) * 100.0).round() / 100.0,
                (400.0 + 2000.0 * rng.unit()).round(),
                (50.0 + 0.02 * (rng.unit() - 0.5)) * 1000.0_f64,
            ]
        };
        let round = |mut values: [f64; 3]| {
            values[2] = values[2].round() / 1000.0;
            values
        };
        let mut first = row(0, index * MINUTE, &round(values()));
        let second = row(1, index * MINUTE + 30_000, &round(values()));
        if bend(index, &mut first) {
            rows.push(first);
        }
        rows.push(second);
    }
    rows
}

fn bench() -> Bench<Vitals> {
    let mut bench = Bench::new("{}", &["voltage", "power", "frequency"]).with_clock(5_000, 10_000);
    bench.sensor("meter-1", &[]);
    bench.sensor("meter-2", &[]);
    bench
}

fn found(rows: &[Row]) -> Vec<Found> {
    let mut bench = bench();
    bench.push(rows);
    bench.take()
}

fn brief(found: &[Found]) -> Vec<(&str, Phase, i64)> {
    found.iter().map(|one| (one.kind, one.phase, one.timestamp / MINUTE)).collect()
}

#[test]
fn a_sensor_takes_no_more_memory_than_it_may() {
    assert!(size_of::<Cell>() <= 24, "{}", size_of::<Cell>());
    assert!(size_of::<Sensor>() + size_of::<Cell>() <= 128, "{}", size_of::<Sensor>());
}

#[test]
fn a_healthy_sensor_is_left_alone() {
    for seed in 0..5 {
        // One reading in fifty is lost on its way.
        let rows = meters(seed, 5_000, |index, _| (index * 7) % 50 != 3);
        assert_eq!(brief(&found(&rows)), [], "seed {seed}");
    }
}

#[test]
fn silence_is_told_once_and_ends_with_the_next_reading() {
    let rows = meters(1, 600, |index, _| !(300..400).contains(&index));
    let found = found(&rows);
    assert_eq!(brief(&found), [("dropout", Phase::Raised, 304), ("dropout", Phase::Cleared, 400)]);
    assert_eq!(found[0].since, Some(299 * MINUTE));
    assert_eq!(found[0].sensor.as_deref(), Some("meter-1"));
}

#[test]
fn readings_that_are_always_late_are_not_silence_for_ever() {
    // The first meter's readings come 25 minutes after the second one's of the same time.
    let rows = meters(11, 3_000, |_, row| {
        row.timestamp -= 25 * MINUTE;
        true
    });
    let told = found(&rows);
    assert!(told.len() <= 16, "{:?}", brief(&told));
    let end = told.last().unwrap().timestamp;
    assert!(end < 60 * MINUTE, "{:?}", brief(&told));
}

#[test]
fn a_clock_that_stood_for_any_time_leaves_nothing_behind() {
    for minutes in [20, 29, 30, 31, 59, 60, 61] {
        let rows = meters(12, 600, |index, row| {
            if (200..200 + minutes).contains(&index) {
                row.timestamp = 199 * MINUTE;
            }
            true
        });
        let kinds: Vec<_> = found(&rows).iter().map(|one| (one.kind, one.phase)).collect();
        let kind = "repeated_timestamp";
        assert_eq!(
            kinds,
            [(kind, Phase::Raised), (kind, Phase::Updated), (kind, Phase::Cleared)],
            "{minutes}"
        );
    }
}

#[test]
fn a_lone_sensor_tells_of_its_gap_when_it_is_back() {
    let mut bench = Bench::<Vitals>::new("{}", &["voltage"]).with_clock(5_000, 10_000);
    bench.sensor("meter-1", &[]);
    let mut rng = Rng::new(1);
    for index in (0..100).chain(143..200) {
        bench.read(0, index * MINUTE, &[230.0 + rng.unit()]);
    }
    assert_eq!(brief(&bench.take()), [("dropout", Phase::Single, 143)]);
}

#[test]
fn values_that_stand_still_are_stuck() {
    let mut held = Vec::new();
    let rows = meters(2, 2_000, |index, row| {
        if index == 1_700 {
            held = row.values.clone();
        }
        if (1_700..1_800).contains(&index) {
            row.values.clone_from(&held);
        }
        true
    });
    let found = found(&rows);
    assert_eq!(brief(&found), [("stuck", Phase::Raised, 1_707), ("stuck", Phase::Cleared, 1_800)]);
    assert_eq!((found[0].quantity.as_deref(), found[0].severity), (None, Severity::Warning));
}

#[test]
fn one_quantity_that_stands_still_is_stuck_by_itself() {
    let rows = meters(3, 2_000, |index, row| {
        if index >= 1_700 {
            row.values[0] = 231.5;
        }
        true
    });
    let found = found(&rows);
    assert_eq!(brief(&found), [("stuck", Phase::Raised, 1_707)]);
    assert_eq!(found[0].quantity.as_deref(), Some("voltage"));
}

#[test]
fn a_quantised_quantity_may_repeat_itself_as_long_as_it_usually_does() {
    // In runs of up to 40.
    let rows = meters(4, 5_000, |index, row| {
        row.values[2] = 50.0 + 0.01 * ((index / 40) % 3) as f64;
        true
    });
    assert_eq!(brief(&found(&rows)), []);
}

#[test]
fn timestamps_that_repeat_or_run_back_are_one_episode() {
    let repeated = meters(5, 400, |index, row| {
        if (200..230).contains(&index) {
            row.timestamp = 199 * MINUTE;
        }
        true
    });
    let told = found(&repeated);
    let kinds: Vec<_> = told.iter().map(|one| (one.kind, one.phase)).collect();
    assert_eq!(
        kinds,
        [
            ("repeated_timestamp", Phase::Raised),
            ("repeated_timestamp", Phase::Updated),
            ("repeated_timestamp", Phase::Cleared),
        ]
    );
    let backward = meters(6, 400, |index, row| {
        if (200..230).contains(&index) && index % 2 == 0 {
            row.timestamp -= 7 * MINUTE;
        }
        true
    });
    let told = found(&backward);
    let kinds: Vec<_> = told.iter().map(|one| (one.kind, one.phase, one.severity)).collect();
    assert_eq!(kinds[0], ("backward_timestamp", Phase::Raised, Severity::Info));
    assert_eq!(kinds[1], ("backward_timestamp", Phase::Updated, Severity::Warning));
    assert_eq!(kinds.last().unwrap().1, Phase::Cleared);
    assert_eq!(kinds.len(), 3, "{kinds:?}");
}

#[test]
fn a_clock_an_hour_off_is_a_clock_an_hour_off() {
    for (way, observed) in [(60, 3600.0), (-60, -3600.0)] {
        let rows = meters(7, 800, |index, row| {
            if (300..500).contains(&index) {
                row.timestamp += way * MINUTE;
                row.ahead = way > 0;
            }
            true
        });
        let found = found(&rows);
        let kinds: Vec<_> = found.iter().map(|one| (one.kind, one.phase)).collect();
        assert_eq!(kinds, [("clock_shift", Phase::Raised), ("clock_shift", Phase::Cleared)], "{way}");
        assert_eq!(found[0].reading, Some(602), "the second reading confirms");
        assert!((found[0].observed.unwrap() - observed).abs() < 60.0);
    }
}

#[test]
fn two_clocks_that_are_an_hour_ahead_do_not_make_the_others_silent() {
    let mut bench = Bench::<Vitals>::new("{}", &["voltage"]).with_clock(5_000, 10_000);
    let mut rng = Rng::new(13);
    for sensor in 0..6 {
        bench.sensor(&format!("meter-{sensor}"), &[]);
    }
    for index in 0..600 {
        for sensor in 0..6 {
            let wrong = sensor < 2 && (300..450).contains(&index);
            let time = index * MINUTE + i64::from(sensor) * 5_000 + if wrong { 60 * MINUTE } else { 0 };
            // The host's clock has followed them: nothing is marked.
            bench.read(sensor, time, &[230.0 + rng.unit()]);
        }
    }
    let told: Vec<_> =
        bench.take().iter().map(|one| (one.kind, one.sensor.clone().unwrap(), one.phase)).collect();
    assert!(
        told.iter().all(|(kind, sensor, _)| *kind == "clock_shift" && sensor.as_str() < "meter-2"),
        "{told:?}"
    );
    assert_eq!(told.len(), 4, "{told:?}");
}

#[test]
fn another_reporting_rate_is_told_and_learnt() {
    let rows = meters(8, 800, |index, _| index < 400 || index % 3 == 0);
    let found = found(&rows);
    let brief = brief(&found);
    assert!(matches!(brief[0], ("reporting_rate", Phase::Raised, 400..=420)), "{brief:?}");
    assert!(matches!(brief[1], ("reporting_rate", Phase::Cleared, 560..=600)), "{brief:?}");
    assert_eq!(brief.len(), 2, "{brief:?}");
}

#[test]
fn a_value_that_is_no_number_is_for_information_and_many_are_a_warning() {
    let rows = meters(9, 300, |index, row| {
        if index == 100 || (200..210).contains(&index) {
            row.malformed.push(1);
        }
        true
    });
    let told: Vec<_> = found(&rows).iter().map(|one| (one.kind, one.phase, one.severity)).collect();
    assert_eq!(
        told,
        [
            ("malformed", Phase::Raised, Severity::Info),
            ("malformed", Phase::Cleared, Severity::Info),
            ("malformed", Phase::Raised, Severity::Info),
            ("malformed", Phase::Updated, Severity::Warning),
            ("malformed", Phase::Cleared, Severity::Info),
        ]
    );
}

#[test]
fn kilowatts_for_watts_are_a_unit_jump() {
    for factor in [0.001, 1000.0] {
        let rows = meters(10, 600, |index, row| {
            if (300..400).contains(&index) {
                row.values[1] *= factor;
            }
            true
        });
        let found = found(&rows);
        assert_eq!(
            brief(&found),
            [("unit_jump", Phase::Raised, 301), ("unit_jump", Phase::Cleared, 401)],
            "{factor}"
        );
        assert_eq!(found[0].quantity.as_deref(), Some("power"));
    }
}

/// Readings as no sensor should send them.
fn wild(seed: u64) -> Vec<Row> {
    const VALUES: [f64; 8] = [0.0, -0.0, 1e308, -1e308, 5e-324, 230.0, 0.23, 230_000.0];
    let mut rng = Rng::new(seed);
    let mut time = 0_i64;
    (0..900)
        .map(|_| {
            time = match rng.below(24) {
                0 => time,
                1 => time.saturating_sub(rng.below(7_200_000) as i64),
                2 => time.saturating_add(rng.below(7_200_000) as i64),
                3 => time.saturating_add(3_600_000),
                4 => time.saturating_sub(3_600_000),
                5 if rng.below(8) == 0 => rng.next_u64() as i64,
                _ => time.saturating_add(1000),
            };
            let mut value = || match rng.below(4) {
                0 => VALUES[rng.below(VALUES.len() as u64) as usize],
                1 => f64::NAN,
                _ => (230.0 + rng.unit()).round(),
            };
            let values = [value(), value(), value()];
            let mut made = row(rng.below(2) as u32, time, &values);
            made.ahead = rng.below(20) == 0;
            if rng.below(15) == 0 { made.malformed(1) } else { made }
        })
        .collect()
}

#[test]
fn whatever_comes_scores_are_scores_and_cuts_and_restarts_mean_nothing() {
    for seed in 0..12 {
        let bench = || {
            let parameters = r#"{"learn_readings": 8, "learn_hours": 0, "stuck_readings_min": 3}"#;
            let mut bench = Bench::<Vitals>::new(parameters, &["voltage", "power", "frequency"]);
            bench.sensor("a", &[]);
            bench.sensor("b", &[]);
            bench
        };
        let rows = wild(seed);
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
