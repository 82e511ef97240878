//! Each limit bites where its standard says, and nothing carries meaning that should not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use gridwatch_sdk::kit::{Bench, Found, Phase, Rng, Row, Severity, check, row};
use limits::Limits;
use limits::state::{Cell, Open, Sensor};
use limits::trend::Trend;

const QUANTITIES: [&str; 6] =
    ["voltage", "frequency", "current", "temperature", "power_factor", "voltage_l1"];
const SECOND: i64 = 1_000;
const MINUTE: i64 = 60_000;

fn bench_with(parameters: &str, attributes: &[(&str, &str)]) -> Bench<Limits> {
    let mut bench = Bench::new(parameters, &QUANTITIES);
    bench.sensor("meter-1", attributes);
    bench
}

fn bench() -> Bench<Limits> {
    bench_with("{}", &[("nominal_voltage", "230"), ("nominal_current", "100"), ("role", "transformer")])
}

/// Rows of one quantity at an even distance from time 0 on.
fn series(quantity: usize, step: i64, values: impl IntoIterator<Item = f64>) -> Vec<Row> {
    values
        .into_iter()
        .enumerate()
        .map(|(index, value)| {
            let mut row = row(0, index as i64 * step, &[f64::NAN; 6]);
            row.values[quantity] = value;
            row
        })
        .collect()
}

fn told(bench: &mut Bench<Limits>) -> Vec<(i64, &'static str, Phase, Severity)> {
    bench.take().iter().map(|f: &Found| (f.timestamp, f.kind, f.phase, f.severity)).collect()
}

fn find(rows: &[Row]) -> Vec<(i64, &'static str, Phase, Severity)> {
    let mut bench = bench();
    bench.push(rows);
    told(&mut bench)
}

#[test]
fn a_sag_is_told_at_its_first_reading_and_ends_beyond_the_hysteresis() {
    let found = find(&series(0, 5 * SECOND, [230.0, 200.0, 209.0, 230.0]));
    assert_eq!(
        found,
        [(5_000, "sag", Phase::Raised, Severity::Warning), (15_000, "sag", Phase::Cleared, Severity::Info)]
    );
}

#[test]
fn a_sag_of_more_than_a_minute_is_an_undervoltage_from_its_start() {
    let mut bench = bench();
    bench.push(&series(0, 20 * SECOND, [230.0, 200.0, 200.0, 200.0, 200.0, 200.0, 230.0]));
    let found = bench.take();
    let kinds: Vec<_> = found.iter().map(|f| (f.timestamp, f.kind, f.phase)).collect();
    assert_eq!(
        kinds,
        [
            (20_000, "sag", Phase::Raised),
            (100_000, "sag", Phase::Cleared),
            (100_000, "undervoltage", Phase::Raised),
            (120_000, "undervoltage", Phase::Cleared),
        ]
    );
    assert_eq!(found[2].since, Some(20_000));
}

#[test]
fn a_swell_beyond_15_percent_is_critical_and_an_interruption_always() {
    let found = find(&series(0, 10 * SECOND, [230.0, 254.0, 266.0, 254.0, 230.0, 10.0, 230.0]));
    assert_eq!(
        found,
        [
            (10_000, "swell", Phase::Raised, Severity::Warning),
            (20_000, "swell", Phase::Updated, Severity::Critical),
            (40_000, "swell", Phase::Cleared, Severity::Info),
            (50_000, "interruption", Phase::Raised, Severity::Critical),
            (60_000, "interruption", Phase::Cleared, Severity::Info),
        ]
    );
}

#[test]
fn means_of_ten_minutes_are_held_against_en_50160() {
    // 9 % under in the first window, 10.5 % under (readings beyond the sag's limit, too) in the second.
    let values = (0..40).map(|minute| if (10..20).contains(&minute) { 205.85 } else { 209.3 });
    let means: Vec<_> = find(&series(0, MINUTE, values))
        .into_iter()
        .filter(|(_, kind, ..)| *kind == "voltage_mean")
        .collect();
    assert_eq!(
        means,
        [
            (20 * MINUTE, "voltage_mean", Phase::Raised, Severity::Warning),
            (30 * MINUTE, "voltage_mean", Phase::Cleared, Severity::Info),
        ]
    );
}

#[test]
fn late_and_wildly_early_readings_change_no_mean() {
    let mut rows = series(0, MINUTE, (0..25).map(|_| 230.0));
    rows.insert(12, row(0, 3 * MINUTE, &[400.0]));
    rows.insert(15, row(0, 900_000 * MINUTE, &[400.0]).ahead());
    assert!(find(&rows).iter().all(|(_, kind, ..)| *kind != "voltage_mean"));
}

#[test]
fn a_ramp_is_told_before_the_limit_and_a_step_or_a_swing_is_not() {
    let ramp = (0..160).map(|i| 230.0 + 0.02 * f64::from(i % 2) + 0.25 * f64::from((i - 40).max(0)));
    let found = find(&series(0, 2 * SECOND, ramp));
    let first = found.iter().find(|(_, kind, ..)| *kind == "voltage_trend").expect("a trend");
    assert_eq!((first.2, first.3), (Phase::Raised, Severity::Critical));
    let swell = found.iter().find(|(_, kind, ..)| *kind == "swell").expect("a swell");
    assert!(swell.0 - first.0 >= 60 * SECOND, "trend at {} ms, swell at {} ms", first.0, swell.0);

    for step_ms in [100, 1_000, 2_000, 5_000] {
        let step = (0..200).map(|i| if i < 100 { 230.0 } else { 248.0 });
        assert_eq!(find(&series(0, step_ms, step)), [], "a step read every {step_ms} ms");
        let swing = (0..400).map(|i| 240.0 + 6.0 * f64::from((i / 3) % 3 - 1));
        assert_eq!(find(&series(0, step_ms, swing)), [], "a swing read every {step_ms} ms");
    }
}

#[test]
fn noise_is_no_trend() {
    let seed = 11;
    let mut rng = Rng::new(seed);
    for step_ms in [500, 1_000, 2_000, 5_000] {
        let values: Vec<f64> = (0..50_000).map(|_| 245.0 + rng.between(-2.0, 2.0)).collect();
        assert_eq!(find(&series(0, step_ms, values)), [], "seed {seed}, read every {step_ms} ms");
    }
}

#[test]
fn frequency_is_held_against_entso_e_en_50160_and_its_rate() {
    let values = [50.0, 50.0, 49.9, 49.75, 49.75, 49.19, 49.19, 49.85, 50.0, 50.0];
    let found = find(&series(1, 20 * SECOND, values));
    assert_eq!(
        found,
        [
            (60_000, "frequency_deviation", Phase::Raised, Severity::Warning),
            (100_000, "frequency_deviation", Phase::Updated, Severity::Critical),
            (140_000, "frequency_deviation", Phase::Cleared, Severity::Info),
        ]
    );
    let means: Vec<_> = find(&series(1, 2 * SECOND, (0..40).map(|i| 50.0 - 0.02 * f64::from(i))))
        .into_iter()
        .filter(|(_, kind, ..)| *kind == "frequency_mean")
        .collect();
    assert_eq!(means, [(60_000, "frequency_mean", Phase::Raised, Severity::Warning)]);
    let rates: Vec<_> = find(&series(1, SECOND / 2, [50.0, 49.9, 49.3, 49.2]))
        .into_iter()
        .filter(|(_, kind, ..)| *kind == "frequency_change")
        .collect();
    assert_eq!(rates, [(1_000, "frequency_change", Phase::Raised, Severity::Critical)]);
}

#[test]
fn sixty_hertz_only_where_an_attribute_says_so() {
    let rows = series(1, 20 * SECOND, [60.0; 20]);
    assert!(!find(&rows).is_empty());
    let mut american = bench_with("{}", &[("nominal_frequency", "60")]);
    american.push(&rows);
    assert_eq!(told(&mut american), []);
}

#[test]
fn without_nominal_values_there_are_no_limits() {
    let mut bench = bench_with("{}", &[("nominal_voltage", "unknown"), ("role", "meter")]);
    bench.push(&series(0, MINUTE, (0..60).map(|i| f64::from(i) * 20.0)));
    bench.push(&series(2, MINUTE, (0..60).map(|i| f64::from(i) * 20.0)));
    bench.push(&series(3, MINUTE, (0..60).map(|i| f64::from(i) * 20.0)));
    assert_eq!(told(&mut bench), []);
}

#[test]
fn overload_oil_and_power_factor() {
    let found = find(&series(2, MINUTE, (0..41).map(|i| [80.0, 120.0, 160.0, 80.0, 80.0][i / 10])));
    assert_eq!(
        found,
        [
            (20 * MINUTE, "overload", Phase::Raised, Severity::Warning),
            (30 * MINUTE, "overload", Phase::Updated, Severity::Critical),
            (40 * MINUTE, "overload", Phase::Cleared, Severity::Info),
        ]
    );
    let found = find(&series(3, MINUTE, [90.0, 105.0, 104.0, 116.0, 104.0, 102.0]));
    assert_eq!(
        found,
        [
            (MINUTE, "oil_temperature", Phase::Raised, Severity::Warning),
            (3 * MINUTE, "oil_temperature", Phase::Updated, Severity::Critical),
            (5 * MINUTE, "oil_temperature", Phase::Cleared, Severity::Info),
        ]
    );
    let rows = series(4, MINUTE, [0.7; 25]);
    assert_eq!(find(&rows), []);
    let mut strict = bench_with(r#"{"power_factor_low": 0.8}"#, &[]);
    strict.push(&rows);
    assert_eq!(told(&mut strict), [(10 * MINUTE, "power_factor_low", Phase::Raised, Severity::Info)]);
}

#[test]
fn parameters_that_do_not_fit_together_are_refused_in_words() {
    for (parameters, part) in [
        (r#"{"sag": 1.2}"#, "sag < swell"),
        (r#"{"trend_time_constant_s": 0}"#, "trend_time_constant_s"),
        (r#"{"window_samples_min": 0}"#, "window_samples_min"),
    ] {
        let quantities = [gridwatch_sdk::contract::Quantity { name: "voltage".into(), unit: None }];
        let refused = gridwatch_sdk::runtime::Runtime::<Limits>::configure(parameters, &quantities)
            .err()
            .expect("refused");
        assert!(refused.contains(part), "{parameters}: {refused}");
    }
}

#[test]
fn a_nominal_value_that_is_no_number_is_told() {
    gridwatch_sdk::log::taken();
    bench_with(
        "{}",
        &[("nominal_voltage", "230 V"), ("nominal_current", " 100 "), ("nominal_frequency", "0")],
    );
    let told: Vec<String> = gridwatch_sdk::log::taken().into_iter().map(|(_, line)| line).collect();
    assert_eq!(
        told,
        [
            "meter-1: nominal_voltage is \"230 V\", which is no number above 0: it counts as not given",
            "meter-1: nominal_frequency is \"0\", which is no number above 0: it counts as not given",
        ]
    );
}

#[test]
fn state_is_small() {
    assert!(size_of::<Cell>() <= 24, "{}", size_of::<Cell>());
    assert!(size_of::<Cell>() + size_of::<Open>() <= 64);
    assert!(size_of::<Sensor>() <= 40, "{}", size_of::<Sensor>());
    assert!(size_of::<Trend>() <= 32, "{}", size_of::<Trend>());
}

/// Readings of three sensors that visit every limit, with stragglers, repeats, gaps and nonsense.
fn wild(seed: u64, count: usize) -> Vec<Row> {
    let mut rng = Rng::new(seed);
    let mut now = 1_700_000_000_000;
    let step = [200, 2_000, 60_000][rng.below(3) as usize];
    let mut level = 230.0;
    (0..count)
        .map(|_| {
            now += rng.below(step) as i64;
            level = (level + rng.between(-4.0, 4.0)).clamp(0.0, 300.0);
            let mut values = vec![
                level,
                50.0 + rng.between(-0.3, 0.3),
                rng.between(0.0, 200.0),
                rng.between(90.0, 120.0),
                rng.between(-1.2, 1.2),
                level + rng.between(-9.0, 9.0),
            ];
            let wrong = [f64::NAN, 0.0, -1.0, 1e300, -1e300, 5e-324, 1e9];
            if rng.below(8) == 0 {
                values[rng.below(6) as usize] = wrong[rng.below(7) as usize];
            }
            let time = match rng.below(40) {
                0 => now - rng.below(10_000_000) as i64,
                1 => -(rng.below(1 << 40) as i64),
                _ => now,
            };
            let row = row(rng.below(3) as u32, time, &values);
            if rng.below(50) == 0 { row.ahead() } else { row }
        })
        .collect()
}

fn three() -> Bench<Limits> {
    let mut bench = Bench::new(r#"{"power_factor_low": 0.5}"#, &QUANTITIES);
    bench.sensor("a", &[("nominal_voltage", "230"), ("nominal_current", "90"), ("role", "transformer")]);
    bench.sensor("b", &[("nominal_voltage", "250"), ("nominal_frequency", "50.1")]);
    bench.sensor("c", &[]);
    bench
}

#[test]
fn cuts_and_restarts_carry_no_meaning() {
    for seed in 0..40 {
        check(three, &wild(seed, 300), seed);
    }
}

#[test]
fn wild_input_never_panics_nor_gives_a_score_that_is_none() {
    for seed in 100..160 {
        let mut bench = three();
        bench.push(&wild(seed, 2_000));
        let found = bench.take();
        assert!(!found.is_empty(), "seed {seed}: nothing found");
        for f in found {
            assert!((0.0..=1.0).contains(&f.score), "seed {seed}: {f:?}");
            assert!(f.observed.is_none_or(f64::is_finite), "seed {seed}: {f:?}");
        }
    }
}

/// Who forgets the attribute learns of it, once for all sensors.
#[test]
fn voltages_without_a_nominal_one_are_told_of_once() {
    let mut bench = bench_with("{}", &[]);
    bench.sensor("meter-2", &[]);
    gridwatch_sdk::log::taken();
    bench.push(&series(0, 5 * SECOND, [10.0, 1_000.0, 10.0]));
    assert!(bench.take().is_empty());
    let told = gridwatch_sdk::log::taken();
    assert_eq!(told.iter().filter(|(_, line)| line.contains("nominal_voltage")).count(), 1, "{told:?}");
}
