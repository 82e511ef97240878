#![allow(clippy::unwrap_used, clippy::panic)]

use proptest::prelude::*;

use crate::contract::{Columns, Quantity, Saved, SensorInfo, States, Subject};
use crate::kit::{Bench, Phase, Row, check, row};
use crate::prelude::*;
use crate::runtime::{Runtime, descriptor};
use crate::state;

/// Uses everything there is: facts, sensor, cells, group, ticks.
struct Meter;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Sums {
    count: u32,
    latest: i64,
    silent: Episode,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Mean {
    sum: f64,
    above: Episode,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Feeder {
    total: f64,
    readings: u32,
}

impl Detector for Meter {
    const INFO: Info = Info {
        name: "meter",
        version: "0.1.0",
        state_version: 2,
        kinds: &[
            Kind { name: "above", description: "above its limit" },
            Kind { name: "silent", description: "no reading" },
            Kind { name: "total", description: "the feeder's total is odd" },
            Kind { name: "malformed", description: "no number" },
        ],
        wanted: Wanted::Any,
    };
    const ADVANCES: bool = true;
    type Parameters = ();
    type Facts = f64;
    type Sensor = Sums;
    type Cell = Mean;
    type Group = Feeder;

    fn new(_parameters: (), _quantities: &[Quantity]) -> Result<Self, String> {
        Ok(Meter)
    }

    fn facts(&self, sensor: &SensorInfo) -> f64 {
        sensor.attribute("limit").and_then(|limit| limit.parse().ok()).unwrap_or(5.0)
    }

    fn group_of(&self, sensor: &SensorInfo) -> Option<String> {
        sensor.attribute("feeder").map(str::to_owned)
    }

    fn judge(&self, reading: &Reading<'_>, memory: Memory<'_, Self>, out: &mut Findings<'_>) {
        memory.sensor.count += 1;
        memory.sensor.latest = memory.sensor.latest.max(reading.timestamp);
        out.clear(&mut memory.sensor.silent, || Finding::new(1));
        for &index in reading.malformed() {
            out.single(Severity::Info, || Finding::new(3).quantity(index as usize));
        }
        for (index, cell) in memory.cells.iter_mut().enumerate() {
            let value = reading.value(index);
            if value.is_nan() {
                continue;
            }
            cell.sum += value;
            let finding = || Finding::new(0).quantity(index).observed(cell.sum);
            if value > *memory.facts {
                out.raise(&mut cell.above, Severity::Warning, finding);
            } else {
                out.clear(&mut cell.above, finding);
            }
        }
        if let Some(feeder) = memory.group {
            feeder.total += reading.values().iter().filter(|value| !value.is_nan()).sum::<f64>();
            feeder.readings += 1;
            if feeder.readings % 7 == 0 {
                let total = feeder.total;
                out.single(Severity::Info, || Finding::new(2).own_group().observed(total));
            }
        }
    }

    fn advance(&self, watermark: i64, memory: Memory<'_, Self>, out: &mut Findings<'_>) {
        if watermark > memory.sensor.latest {
            out.raise(&mut memory.sensor.silent, Severity::Warning, || {
                Finding::new(1).since(memory.sensor.latest)
            });
        }
    }

    fn advance_group(&self, _watermark: i64, name: &str, group: &mut Feeder, out: &mut Findings<'_>) {
        if group.total > 50.0 {
            group.total = 0.0;
            out.single(Severity::Info, || Finding::new(2).detail("feeder", name));
        }
    }

    fn migrate(from_version: u32, sensor: &[u8], cells: &[&[u8]]) -> Result<(Sums, Vec<Mean>), String> {
        if from_version != 1 {
            return Err(format!("version {from_version} is not known"));
        }
        // Version 1 kept a count alone, and sums in single precision.
        let sensor = Sums { count: state::decode(sensor)?, ..Sums::default() };
        let cell =
            |bytes: &&[u8]| Ok(Mean { sum: f64::from(state::decode::<f32>(bytes)?), ..Mean::default() });
        Ok((sensor, cells.iter().map(cell).collect::<Result<_, String>>()?))
    }

    fn traced(&self) -> Vec<usize> {
        vec![0]
    }

    fn band(&self, _reading: &Reading<'_>, memory: &Memory<'_, Self>, quantity: usize) -> Option<Band> {
        let expected = memory.cells[quantity].sum;
        (memory.sensor.count > 0).then_some(Band {
            score: 0.5,
            expected,
            lower: f64::NAN,
            upper: *memory.facts,
        })
    }
}

/// Wants two by name.
struct Pair;

impl Detector for Pair {
    const INFO: Info = Info {
        name: "pair",
        wanted: Wanted::Named(&["current", "voltage", "power"]),
        state_version: 1,
        ..Meter::INFO
    };
    type Parameters = ();
    type Facts = ();
    type Sensor = ();
    type Cell = f64;
    type Group = ();

    fn new(_parameters: (), quantities: &[Quantity]) -> Result<Self, String> {
        assert_eq!(quantities.len(), 3);
        Ok(Pair)
    }

    fn judge(&self, reading: &Reading<'_>, memory: Memory<'_, Self>, out: &mut Findings<'_>) {
        for (index, cell) in memory.cells.iter_mut().enumerate() {
            // Also of those that are not there: how often they were missed.
            *cell += if reading.value(index).is_nan() { 0.25 } else { reading.value(index) };
            out.single(Severity::Info, || Finding::new(0).quantity(index).observed(*cell));
        }
    }
}

fn named(names: &[&str]) -> Vec<Quantity> {
    names.iter().map(|name| Quantity { name: (*name).into(), unit: None }).collect()
}

fn sensors(count: usize) -> Vec<SensorInfo> {
    (0..count).map(|index| SensorInfo { id: format!("s{index}"), attributes: Vec::new() }).collect()
}

fn observed<D: Detector>(bench: &mut Bench<D>) -> Vec<(Option<String>, f64)> {
    bench.take().into_iter().map(|found| (found.quantity, found.observed.unwrap())).collect()
}

#[test]
fn named_quantities_keep_their_places() {
    let mut bench = Bench::<Pair>::new("{}", &["frequency", "voltage", "current"]);
    let sensor = bench.sensor("s", &[]);
    bench.read(sensor, 0, &[50.0, 230.0, 4.0]);
    let one = |name: &str, value| (Some(name.to_owned()), value);
    assert_eq!(observed(&mut bench), [one("current", 4.0), one("voltage", 230.0), (None, 0.25)]);
    assert_eq!(bench.runtime().chosen(), [2, 1]);

    // A quantity that turns up takes its place; the cells of the others, and its own, go on.
    bench.add_quantity("power");
    bench.read(sensor, 1000, &[50.0, 1.0, 1.0, 900.0]);
    assert_eq!(observed(&mut bench), [one("current", 5.0), one("voltage", 231.0), one("power", 900.25)]);
}

/// In batches of any length, also of more rows than are laid out at once.
#[test]
fn a_lane_with_none_of_the_wanted_quantities_is_judged_all_the_same() {
    for rows in 1..=40 {
        let mut bench = Bench::<Pair>::new("{}", &["temperature"]);
        let sensor = bench.sensor("s", &[]);
        let rows: Vec<Row> = (0..rows).map(|at| row(sensor, at, &[20.0])).collect();
        bench.push(&rows);
        let missed = 0.25 * rows.len() as f64;
        assert_eq!(
            observed(&mut bench).split_off(3 * (rows.len() - 1)),
            [(None, missed), (None, missed), (None, missed)]
        );
    }
}

#[test]
fn cells_follow_the_names_of_their_quantities() {
    let mut bench = Bench::<Meter>::new("", &["a", "b"]);
    let sensor = bench.sensor("s", &[]);
    bench.read(sensor, 0, &[1.0, 3.0]);
    let (saved, live, states) = bench.save();
    assert_eq!(saved.quantities, ["a", "b"]);

    let mut other = Bench::<Meter>::new("", &["c", "b"]);
    let sensor = other.sensor("s", &[]);
    other.restore(&saved, &live, &states).unwrap();
    other.read(sensor, 1, &[20.0, 20.0]);
    assert_eq!(observed(&mut other), [(Some("c".into()), 20.0), (Some("b".into()), 23.0)]);
}

#[test]
fn a_removed_sensor_leaves_nothing_and_its_group_goes_with_it() {
    let mut bench = Bench::<Meter>::new("", &["a"]);
    let one = bench.sensor("one", &[("feeder", "f")]);
    let two = bench.sensor("two", &[("feeder", "f")]);
    for second in 0..6 {
        bench.read(one, second, &[1.0]);
    }
    bench.remove(one);
    assert!(bench.runtime().save(&[one]).is_err());
    // The feeder had six readings; of the members that had any, none is left.
    bench.read(two, 7, &[1.0]);
    assert!(bench.take().is_empty());
    bench.restart();
    for second in 8..14 {
        bench.read(two, second, &[1.0]);
    }
    let found = bench.take();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].group.as_deref(), found[0].observed), (Some("f"), Some(7.0)));
}

#[test]
fn attributes_change_facts_and_group_but_not_state() {
    let mut bench = Bench::<Meter>::new("", &["a"]);
    let sensor = bench.sensor("s", &[("feeder", "f"), ("limit", "1")]);
    bench.read(sensor, 0, &[2.0]);
    bench.attributes(sensor, &[("feeder", "g"), ("limit", "3")]);
    bench.read(sensor, 1, &[2.0]);
    let phases: Vec<_> = bench.take().iter().map(|found| (found.phase, found.observed)).collect();
    assert_eq!(phases, [(Phase::Raised, Some(2.0)), (Phase::Cleared, Some(4.0))]);
    let (saved, _, _) = bench.save();
    let shared = state::Shared::from_bytes(&saved.shared).unwrap();
    assert_eq!(
        shared.groups,
        [("g".to_owned(), state::encode(&Feeder { total: 2.0, readings: 1 }).unwrap())]
    );

    // An empty attribute is no group.
    bench.attributes(sensor, &[("feeder", "")]);
    bench.read(sensor, 2, &[2.0]);
    let shared = state::Shared::from_bytes(&bench.save().0.shared).unwrap();
    assert_eq!(shared.groups, []);
}

#[test]
fn an_unseen_sensor_saves_nothing_and_is_not_advanced() {
    let mut runtime = Runtime::<Meter>::configure("", &named(&["a"])).unwrap();
    runtime.set_sensors(0, &sensors(600)).unwrap();
    let columns = Columns { sensors: &[599], timestamps: &[5], values: &[1.0], ..Columns::default() };
    assert_eq!(runtime.observe(columns).unwrap(), []);
    let states = runtime.save(&[3, 599]).unwrap();
    assert_eq!(states.ends[0], 0);
    assert!(states.ends[1] > 0);
    let found = runtime.advance(60_000).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((&found[0].subject, found[0].since), (&Subject::Sensor(599), Some(5)));
}

#[test]
fn what_is_malformed_is_handed_to_its_row() {
    let mut bench = Bench::<Meter>::new("", &["a", "b"]);
    let sensor = bench.sensor("s", &[]);
    bench.push(&[
        row(sensor, 0, &[1.0, 1.0]),
        row(sensor, 1, &[1.0, f64::NAN]).malformed(1),
        row(sensor, 2, &[]).malformed(1).malformed(0),
    ]);
    let found: Vec<_> =
        bench.take().into_iter().map(|found| (found.reading.unwrap(), found.quantity.unwrap())).collect();
    assert_eq!(found, [(1, "b".to_owned()), (2, "a".to_owned()), (2, "b".to_owned())]);
}

#[test]
fn an_older_state_is_migrated_or_refused() {
    let shared = state::Shared { quantities: vec!["gone".into(), "a".into()], groups: Vec::new() };
    let saved = |state_version| Saved {
        state_version,
        quantities: vec!["gone".into(), "a".into()],
        parameters: "{}".into(),
        shared: shared.to_bytes().unwrap(),
    };
    let mut blob = Vec::new();
    state::Part::<u32>::new().unwrap().encode(&41, &mut blob).unwrap();
    for sum in [8.0, 1.5] {
        state::Part::<f32>::new().unwrap().encode(&sum, &mut blob).unwrap();
    }
    let states = States { ends: vec![blob.len() as u32], bytes: blob };

    let mut bench = Bench::<Meter>::new("", &["a", "new"]);
    let sensor = bench.sensor("s", &[]);
    bench.restore(&saved(1), &[sensor], &states).unwrap();
    bench.read(sensor, 0, &[10.0, 10.0]);
    assert_eq!(observed(&mut bench), [(Some("a".into()), 11.5), (Some("new".into()), 10.0)]);

    let refused = bench.restore(&saved(9), &[sensor], &states);
    assert_eq!(refused, Err("state of sensor 0: version 9 is not known".into()));
    let mut pair = Bench::<Pair>::new("", &["voltage"]);
    let sensor = pair.sensor("s", &[]);
    let refused = pair.restore(&saved(7), &[sensor], &states);
    let text = "state of sensor 0: pair 0.1.0 keeps state of version 1 and has no migration from version 7";
    assert_eq!(refused, Err(text.into()));
}

#[test]
fn damaged_state_is_refused_with_words() {
    let mut bench = Bench::<Meter>::new("", &["a"]);
    let sensor = bench.sensor("s", &[]);
    bench.read(sensor, 0, &[1.0]);
    let (saved, live, states) = bench.save();
    for cut in 0..states.bytes.len() {
        let damaged = States { ends: vec![cut as u32], bytes: states.bytes[..cut].to_vec() };
        let restored = bench.restore(&saved, &live, &damaged);
        assert_eq!(restored.is_err(), cut > 0, "cut after {cut} bytes: {restored:?}");
    }
    let nothing = Saved { shared: Vec::new(), ..saved };
    assert_eq!(
        bench.restore(&nothing, &[], &States::default()),
        Err("saved state lacks its shared part".into())
    );
}

#[test]
fn a_trace_moves_the_state_as_observe_does() {
    let configured = || {
        let mut runtime = Runtime::<Meter>::configure("", &named(&["a", "b"])).unwrap();
        runtime.set_sensors(0, &sensors(1)).unwrap();
        runtime
    };
    let (mut traced, mut plain) = (configured(), configured());
    let columns = Columns {
        sensors: &[0, 0, 0],
        timestamps: &[1, 2, 3],
        values: &[1.0, 2.0, 4.0, f64::NAN, f64::NAN, 9.0],
        ..Columns::default()
    };
    let traces = traced.trace(columns).unwrap();
    plain.observe(columns).unwrap();
    assert_eq!(traced.save(&[0]).unwrap(), plain.save(&[0]).unwrap());
    assert_eq!(traces.quantities, [0]);
    let column = |index: usize| &traces.rows[index * 3..][..3];
    assert_eq!(column(0)[1..], [0.5, 0.5]);
    assert_eq!(column(1)[1..], [1.0, 3.0]);
    assert!(column(0)[0].is_nan() && column(2).iter().all(|lower| lower.is_nan()));
    assert_eq!(column(3)[1..], [5.0, 5.0]);
}

#[test]
fn columns_that_do_not_fit_are_refused() {
    let mut runtime = Runtime::<Meter>::configure("", &named(&["a"])).unwrap();
    runtime.set_sensors(0, &sensors(1)).unwrap();
    let columns = Columns { sensors: &[0], timestamps: &[1], ..Columns::default() };
    let text = "columns do not fit: 1 sensors, 1 timestamps, 0 marks, 0 values of 1 quantities";
    assert_eq!(runtime.observe(columns), Err(text.into()));
    let stranger = Columns { sensors: &[7], timestamps: &[1], values: &[0.0], ..Columns::default() };
    assert!(runtime.observe(stranger).unwrap_err().starts_with("row 0: sensor 7 has not been announced"));
}

#[test]
fn the_descriptor_says_it_all() {
    let told = descriptor::<Meter>();
    assert_eq!((told.name.as_str(), told.state_version, told.kinds.len()), ("meter", 2, 4));
    let schema: serde_json::Value = serde_json::from_str(&told.parameters).unwrap();
    assert_eq!((&schema["type"], &schema["additionalProperties"]), (&"object".into(), &false.into()));
}

/// Bytes of today; a change of them must still read yesterday's.
#[test]
fn saved_bytes_are_those_of_the_golden_file() {
    let golden = include_str!("../../tests/golden/state-layout-1.txt");
    let mut bench = Bench::<Meter>::new("", &["a", "b"]);
    bench.sensor("one", &[("feeder", "f")]);
    bench.sensor("unseen", &[]);
    bench.sensor("two", &[("limit", "1")]);
    bench.push(&[row(0, 1_700_000_000_000, &[1.5]), row(2, 1_700_000_001_000, &[f64::NAN, -2.25])]);
    let (saved, live, states) = bench.save();
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let text =
        format!("shared {}\nends {:?}\nbytes {}\n", hex(&saved.shared), states.ends, hex(&states.bytes));
    assert_eq!(text, golden);

    let mut again = Bench::<Meter>::new("", &["a", "b"]);
    again.sensor("one", &[("feeder", "f")]);
    again.sensor("unseen", &[]);
    again.sensor("two", &[("limit", "1")]);
    again.restore(&saved, &live, &states).unwrap();
    assert_eq!(again.save(), (saved, live, states));
}

#[test]
fn the_packaged_contract_is_the_repositorys() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../wit/detector.wit");
    assert_eq!(std::fs::read_to_string(path).unwrap(), include_str!("../../wit/detector.wit"));
}

fn feeders() -> Bench<Meter> {
    let mut bench = Bench::new("", &["a", "b"]).with_clock(2_000, 3_000);
    for index in 0..6 {
        let feeder = if index % 2 == 0 { "even" } else { "odd" };
        bench.sensor(&format!("s{index}"), &[("feeder", feeder)]);
    }
    bench
}

fn any_row() -> impl Strategy<Value = Row> {
    let value = prop_oneof![4 => -10.0..10.0_f64, 1 => Just(f64::NAN)];
    (0..6_u32, 0..60_000_i64, [value.clone(), value], 0..10_u8).prop_map(
        |(sensor, timestamp, values, odd)| {
            let reading = row(sensor, timestamp, &values);
            match odd {
                0 => reading.malformed(1),
                1 => reading.ahead(),
                _ => reading,
            }
        },
    )
}

proptest! {
    #[test]
    fn cuts_and_restarts_carry_no_meaning(rows in prop::collection::vec(any_row(), 0..120), seed: u64) {
        check(feeders, &rows, seed);
    }

    #[test]
    fn every_bit_of_a_float_survives(bits: u64) {
        let value = f64::from_bits(bits);
        let read: f64 = state::decode(&state::encode(&value).unwrap()).unwrap();
        // The default, and what equals no other bytes, are told apart by bytes, so -0.0 stays, too.
        prop_assert_eq!(read.to_bits(), bits);
    }
}
