//! What cannot be true is told; what is merely unusual for other sensors is not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use gridwatch_sdk::kit::{Bench, Found, Phase, Rng, Row, check, row};
use gridwatch_sdk::math;
use physics::Physics;
use physics::balance::Balance;
use physics::phases::Phases;
use physics::state::Sensor;

const SINGLE: [&str; 7] =
    ["voltage", "current", "power", "reactive_power", "apparent_power", "power_factor", "frequency"];
const THREE: [&str; 9] = [
    "voltage_l1",
    "voltage_l2",
    "voltage_l3",
    "current_l1",
    "current_l2",
    "current_l3",
    "power",
    "power_factor",
    "frequency",
];
const MINUTE: i64 = 60_000;
const POWER: usize = 2;

/// Readings of an honest single-phase meter of class 0.5 whose power has a constant error; `bend` changes the
/// values of a reading.
fn meter(seed: u64, count: usize, power_gain: f64, mut bend: impl FnMut(usize, &mut [f64; 7])) -> Vec<Row> {
    let mut rng = Rng::new(seed);
    (0..count)
        .map(|index| {
            let mut noise = |part: f64| 1.0 + part * (rng.unit() + rng.unit() + rng.unit() - 1.5) * 2.0;
            let (volts, amperes, factor) =
                (230.0 * noise(0.01), (8.0 * noise(0.5)).max(0.3), (0.95 * noise(0.02)).min(1.0));
            let apparent = volts * amperes;
            let (watts, vars) = (apparent * factor, apparent * (1.0 - factor * factor).sqrt());
            let mut values = [
                (volts * noise(0.001) * 10.0).round() / 10.0,
                (amperes * noise(0.0015) * 100.0).round() / 100.0,
                (watts * power_gain * noise(0.0015)).round(),
                (vars * noise(0.0015)).round(),
                (apparent * noise(0.0015)).round(),
                (factor * 1000.0).round() / 1000.0,
                50.0 + 0.02 * (noise(0.5) - 1.0),
            ];
            bend(index, &mut values);
            row(0, index as i64 * MINUTE, &values)
        })
        .collect()
}

fn bench_of(quantities: &[&str], role: &str) -> Bench<Physics> {
    let mut bench = Bench::new("{}", quantities);
    bench.sensor("meter-1", &[("role", role)]);
    bench
}

fn find(quantities: &[&str], rows: &[Row]) -> Vec<(usize, &'static str, Phase)> {
    let mut bench = bench_of(quantities, "meter");
    bench.push(rows);
    bench.take().iter().map(|f: &Found| (f.reading.unwrap() as usize, f.kind, f.phase)).collect()
}

#[test]
fn an_honest_meter_is_left_alone_even_one_with_a_constant_error() {
    for seed in 0..6 {
        for gain in [1.0, 0.97, 1.04] {
            assert_eq!(find(&SINGLE, &meter(seed, 5_000, gain, |_, _| {})), [], "seed {seed}, gain {gain}");
        }
    }
}

#[test]
fn a_gain_an_offset_or_a_unit_error_in_one_channel_is_told_within_ten_readings_and_ends() {
    type Bend = fn(&mut [f64; 7]);
    let cases: [(&str, Bend); 7] = [
        ("voltage 5 % low", |v| v[0] *= 0.95),
        ("current 5 % low", |v| v[1] *= 0.95),
        ("power 5 % low", |v| v[2] *= 0.95),
        ("power 3 % of usual high", |v| v[2] += 52.0),
        ("kW", |v| v[2] /= 1000.0),
        ("phase to phase", |v| v[0] *= 1.732),
        ("power factor in per cent", |v| v[5] *= 100.0),
    ];
    for seed in 0..4 {
        for (name, bend) in cases {
            let found = find(
                &SINGLE,
                &meter(seed, 700, 1.0, |index, v| {
                    if (500..560).contains(&index) {
                        bend(v)
                    }
                }),
            );
            let raised =
                found.iter().find(|(_, kind, phase)| *kind == "power_balance" && *phase == Phase::Raised);
            let cleared =
                found.iter().rfind(|(_, kind, phase)| *kind == "power_balance" && *phase == Phase::Cleared);
            assert!(raised.is_some_and(|(at, ..)| (500..510).contains(at)), "seed {seed}, {name}: {found:?}");
            assert!(
                cleared.is_some_and(|(at, ..)| (560..590).contains(at)),
                "seed {seed}, {name}: {found:?}"
            );
        }
    }
}

#[test]
fn a_drift_of_half_a_percent_an_hour_is_told_within_six_hours() {
    for seed in 0..4 {
        let drift =
            |index: usize, v: &mut [f64; 7]| v[1] *= 1.0 + 0.005 / 60.0 * (index.max(2_000) - 2_000) as f64;
        let found = find(&SINGLE, &meter(seed, 2_360, 1.0, drift));
        assert!(found.iter().any(|(at, ..)| (2_000..2_360).contains(at)), "seed {seed}: {found:?}");
    }
}

#[test]
fn reactive_and_apparent_power_are_held_against_each_other() {
    let found = find(
        &SINGLE,
        &meter(3, 600, 1.0, |index, v| {
            if index >= 500 {
                v[3] *= 2.0
            }
        }),
    );
    assert_eq!(found.iter().map(|f| f.1).collect::<Vec<_>>(), ["apparent_power"], "{found:?}");
}

#[test]
fn a_change_that_stays_becomes_usual() {
    let mut bench = Bench::<Physics>::new(r#"{"accept_readings": 300}"#, &SINGLE);
    bench.sensor("meter-1", &[]);
    bench.push(&meter(5, 2_000, 1.0, |index, v| {
        if index >= 500 {
            v[2] *= 0.9
        }
    }));
    let found: Vec<_> = bench.take().iter().map(|f| (f.reading.unwrap(), f.kind, f.phase)).collect();
    let balance: Vec<_> = found.iter().filter(|(_, kind, _)| *kind == "power_balance").collect();
    assert_eq!(balance.len(), 2, "{balance:?}");
    assert_eq!((balance[0].0, balance[0].2), (500, Phase::Raised));
    assert_eq!((balance[1].0, balance[1].2), (799, Phase::Cleared));
}

#[test]
fn a_load_that_feeds_in_is_told_and_a_roof_is_not() {
    for bent in [vec![POWER], vec![1], vec![POWER, 5]] {
        let rows = meter(2, 600, 1.0, |index, v| {
            if index >= 500 {
                bent.iter().for_each(|&at| v[at] = -v[at])
            }
        });
        let found = find(&SINGLE, &rows);
        assert_eq!(found, [(501, "power_sign", Phase::Raised)], "{bent:?}");
        let mut roof = bench_of(&SINGLE, "solar");
        roof.push(&rows);
        assert_eq!(roof.take(), [], "{bent:?}");
    }
}

#[test]
fn a_roof_that_nobody_told_of_becomes_usual() {
    let rows = meter(4, 30_000, 1.0, |index, v| {
        if index % 1440 > 1000 {
            v[POWER] = -v[POWER]
        }
    });
    let found = find(&SINGLE, &rows);
    assert_eq!(found.len(), 2, "told once, then usual: {found:?}");
}

/// Three phases of unequal load; `swap` exchanges the currents of the first two at the meter's terminals.
fn three_phase(seed: u64, count: usize, swap_from: usize, bend: impl Fn(usize, &mut [f64; 9])) -> Vec<Row> {
    let mut rng = Rng::new(seed);
    (0..count)
        .map(|index| {
            let volts = [0.0; 3].map(|_| 230.0 * rng.between(0.98, 1.02));
            let amperes = [20.0, 12.0, 9.0].map(|usual| usual * rng.between(0.5, 1.5));
            let (angle, third) = (0.3_f64, std::f64::consts::TAU / 3.0);
            let swapped = index >= swap_from;
            let mut watts = volts[2] * amperes[2] * math::cos(angle);
            let mut currents = amperes;
            if swapped {
                currents.swap(0, 1);
                watts += volts[0] * currents[0] * math::cos(angle + third)
                    + volts[1] * currents[1] * math::cos(angle - third);
            } else {
                watts += (volts[0] * amperes[0] + volts[1] * amperes[1]) * math::cos(angle);
            }
            let apparent: f64 = (0..3).map(|phase| volts[phase] * currents[phase]).sum();
            let mut values = [
                volts[0],
                volts[1],
                volts[2],
                currents[0],
                currents[1],
                currents[2],
                watts,
                watts / apparent,
                50.0,
            ];
            bend(index, &mut values);
            row(0, index as i64 * MINUTE, &values)
        })
        .collect()
}

#[test]
fn exchanged_phases_are_told() {
    for seed in 0..10 {
        let found = find(&THREE, &three_phase(seed, 300, 200, |_, _| {}));
        assert!(
            found.iter().any(|f| f.1 == "phase_swap" && (200..203).contains(&f.0)),
            "seed {seed}: {found:?}"
        );
        assert!(found.iter().all(|f| f.0 >= 200), "seed {seed}: {found:?}");
    }
}

#[test]
fn unbalance_is_told_above_five_percent_and_not_when_the_supply_is_dead() {
    let found = find(
        &THREE,
        &three_phase(1, 300, usize::MAX, |index, v| {
            if index >= 200 {
                v[0] *= 0.9;
                v[6] = v[7] * (v[0] * v[3] + v[1] * v[4] + v[2] * v[5]);
            }
        }),
    );
    let kinds: Vec<_> = found.iter().map(|f| (f.1, f.2)).collect();
    assert_eq!(kinds, [("voltage_unbalance", Phase::Raised)], "{found:?}");
    let dead = find(
        &THREE,
        &three_phase(1, 300, usize::MAX, |index, v| {
            if index >= 200 {
                *v = [30.0, 22.0, 37.0, 0.0, 0.0, 0.0, 0.0, 0.0, 50.0];
            }
        }),
    );
    assert!(dead.iter().all(|f| f.1 != "voltage_unbalance"), "{dead:?}");
}

#[test]
fn one_sensor_off_its_areas_frequency_is_told_and_a_common_swing_is_not() {
    let mut bench = Bench::<Physics>::new("{}", &SINGLE);
    for sensor in 0..8 {
        bench.sensor(&format!("meter-{sensor}"), &[("area", "north")]);
    }
    let seed = 9;
    let mut rng = Rng::new(seed);
    let mut rows = Vec::new();
    for round in 0..400_i64 {
        // The whole area swings by 300 mHz; meter 3 is 30 mHz off from round 300 on.
        let swing = if round % 100 < 50 { 0.0 } else { 0.3 };
        for sensor in 0..8_u32 {
            let own = if sensor == 3 && round >= 300 { 0.03 } else { 0.0 };
            let hertz = 50.0 + swing + own + rng.between(-0.002, 0.002);
            let mut values = [f64::NAN; 7];
            values[6] = hertz;
            rows.push(row(sensor, round * MINUTE + i64::from(sensor) * 1_000, &values));
        }
    }
    bench.push(&rows);
    let found: Vec<_> =
        bench.take().into_iter().map(|f| (f.sensor.unwrap(), f.reading.unwrap() / 8, f.kind)).collect();
    assert_eq!(found, [("meter-3".to_owned(), 301, "frequency_apart")], "seed {seed}");
}

#[test]
fn parameters_that_do_not_fit_are_refused_in_words() {
    for (parameters, part) in
        [(r#"{"reading_min": 0}"#, "reading_min"), (r#"{"memory_readings": 3}"#, "memory_readings")]
    {
        let quantities = [gridwatch_sdk::contract::Quantity { name: "power".into(), unit: None }];
        let refused = gridwatch_sdk::runtime::Runtime::<Physics>::configure(parameters, &quantities)
            .err()
            .expect("refused");
        assert!(refused.contains(part), "{parameters}: {refused}");
    }
}

#[test]
fn state_is_small() {
    assert!(size_of::<Sensor>() <= 80, "{}", size_of::<Sensor>());
    assert!(size_of::<Balance>() <= 32, "{}", size_of::<Balance>());
    assert!(size_of::<Phases>() <= 40, "{}", size_of::<Phases>());
    // All of it, by the quantities of a three-phase meter.
    assert!(size_of::<Sensor>() + 2 * size_of::<Balance>() + size_of::<Phases>() <= 4 * 128);
}

/// Readings of three sensors, right and wrong, with repeats, stragglers and nonsense.
fn wild(seed: u64, count: usize) -> Vec<Row> {
    let mut rng = Rng::new(seed);
    let mut now = 1_700_000_000_000;
    (0..count)
        .map(|index| {
            now += rng.below(3_000) as i64;
            let (volts, amperes, factor) =
                (rng.between(210.0, 250.0), rng.between(0.0, 20.0), rng.between(0.8, 1.0));
            let broken = if index % 200 > 150 { 0.9 } else { 1.0 };
            let mut values = vec![
                volts * broken,
                rng.between(200.0, 250.0),
                rng.between(210.0, 250.0),
                amperes,
                amperes,
                rng.between(0.0, 9.0),
                volts * amperes * factor,
                factor,
                50.0 + rng.between(-0.03, 0.03),
                volts,
                amperes,
                volts * amperes * (1.0 - factor * factor).sqrt(),
            ];
            let wrong = [f64::NAN, 0.0, -1.0, 1e300, -1e300, 5e-324, 1e9];
            if rng.below(6) == 0 {
                values[rng.below(12) as usize] = wrong[rng.below(7) as usize];
            }
            let time = match rng.below(40) {
                0 => now - rng.below(10_000_000) as i64,
                1 => i64::MIN / 2 + rng.below(1 << 40) as i64,
                _ => now,
            };
            let row = row(rng.below(5) as u32, time, &values);
            if rng.below(50) == 0 { row.ahead() } else { row }
        })
        .collect()
}

fn five() -> Bench<Physics> {
    let quantities = [&THREE[..], &["voltage", "current", "reactive_power"]].concat();
    let mut bench = Bench::new("{}", &quantities);
    for sensor in 0..5 {
        let attributes: &[(&str, &str)] = if sensor == 4 { &[] } else { &[("area", "north")] };
        bench.sensor(&format!("meter-{sensor}"), attributes);
    }
    bench
}

#[test]
fn cuts_and_restarts_carry_no_meaning() {
    for seed in 0..30 {
        check(five, &wild(seed, 500), seed);
    }
}

#[test]
fn wild_input_never_panics_nor_gives_a_score_that_is_none() {
    for seed in 100..140 {
        let mut bench = five();
        bench.push(&wild(seed, 3_000));
        let found = bench.take();
        assert!(!found.is_empty(), "seed {seed}: nothing found");
        for f in found {
            assert!((0.0..=1.0).contains(&f.score), "seed {seed}: {f:?}");
        }
    }
}
