//! Millions of messages made of real ones: every one is a reading or is refused with a reason, and the
//! templates, serde_json and the reference say the same of it.
//!
//! `GRIDWATCH_FUZZ_MESSAGES` says how many, `GRIDWATCH_FUZZ_SEED` repeats them: a round's messages follow from the
//! seed and the round's number alone, whichever thread takes it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use gridwatch_core::decode::{DecodeSettings, IdSource, Mapping};
use gridwatch_core::schema::{Framing, unframe};

use crate::check::{Pair, mapped};
use crate::mutate::Random;
use crate::shapes::{CHANGES, DAMAGES, Members, framed, members_of, shape, written};
use crate::twins::Twins;
use crate::{seed, setting};

/// Decoders live for a round: quantities that were invented fill them up.
const ROUND: u64 = 2_000;
/// Of messages, those that come in a frame.
const FRAMED_ONE_IN: usize = 8;

/// Messages of one kind of producer, and how they are read.
struct Family {
    settings: DecodeSettings,
    real: Vec<Members>,
}

fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}

/// Rows of an example's file as a producer of JSON would send them; `time` turns the time's text into JSON.
fn rows(file: &str, time_column: &str, time: impl Fn(usize, &str) -> String) -> Vec<Members> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(file);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap().split(',').collect();
    let member = |at: usize, (name, value): (&&str, &str)| {
        let value = match value {
            text if *name == time_column => time(at, text),
            "NaN" => quoted("NaN"),
            number => number.to_owned(),
        };
        (quoted(name), value)
    };
    let row = |(at, line): (usize, &str)| {
        names.iter().zip(line.split(',')).map(|column| member(at, column)).collect::<Members>()
    };
    lines.take(2_000).enumerate().map(row).collect()
}

fn families() -> [Family; 4] {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz_decode");
    let simulated = fs::read_to_string(folder.join("simulated.jsonl")).unwrap();
    let simulated: Vec<Members> = simulated.lines().map(members_of).collect();
    let nested = |members: &Members| -> Members {
        let of = |name: &str| {
            let found = members.iter().find(|(key, _)| key.trim_matches('"') == name);
            found.map_or("null", |(_, value)| value.as_str()).to_owned()
        };
        let meta = format!(
            "{{\"device\":{},\"time\":{},\"feeder\":{},\"temperature\":21.5}}",
            of("sensor_id"),
            of("timestamp"),
            of("location"),
        );
        let values = format!("[{},{}]", of("power"), of("current"));
        vec![("\"meta\"".into(), meta), ("\"U\"".into(), of("voltage")), ("\"values\"".into(), values)]
    };
    let nested = simulated.iter().map(nested).collect();
    let fixed = |timestamp: &str, mappings: &[(&str, &str)]| DecodeSettings {
        id: IdSource::Fixed("one".into()),
        timestamp: timestamp.into(),
        mappings: mappings
            .iter()
            .map(|(path, name)| Mapping {
                path: (*path).into(),
                name: (*name).into(),
                factor: 1.0,
                unit: None,
            })
            .collect(),
        ..DecodeSettings::default()
    };
    let voltages = [("AnalyzerL1PhaseVoltage", "voltage_l1"), ("AnalyzerL1Frequency", "frequency")];
    // Readings of every two seconds, from 28 April 2025 11:00 in Madrid on, in milliseconds.
    let epoch = |at: usize, _: &str| (1_745_830_800_000 + 2_000 * at as u64).to_string();
    let utc = |_: usize, text: &str| quoted(&format!("{}Z", text.replace(' ', "T")));
    [
        Family { settings: DecodeSettings::default(), real: simulated },
        Family { settings: mapped(), real: nested },
        Family {
            settings: fixed("time", &voltages),
            real: rows("blackout/toledo_blackout_2025-04-28.csv", "time", epoch),
        },
        Family {
            settings: fixed("date", &[("OT", "temperature")]),
            real: rows("transformer/ETTh1.csv", "date", utc),
        },
    ]
}

/// By what was done to messages: how often each outcome came.
type Table = BTreeMap<&'static str, BTreeMap<&'static str, u64>>;

fn round(families: &[Family], seed: u64, number: u64, table: &mut Table) {
    // Mixed once: neighbouring states of this generator give the same numbers, one later.
    let mut random = Random::new(Random::new(seed.wrapping_add(number)).next());
    let family = &families[usize::try_from(number).unwrap() % families.len()];
    let mut pair = Pair::new(family.settings.clone());
    let mut twins = Twins::new(family.settings.clone());
    for _ in 0..ROUND {
        let real = random.pick(&family.real);
        let (mut name, mut record) = shape(&mut random, real);
        if random.below(FRAMED_ONE_IN) == 0 {
            (name, record) = ("frame", framed(&mut random, &record));
        }
        let by_hand = match record.first() {
            Some(0) if record.len() < 5 => None,
            Some(0) => Some(&record[5..]),
            _ => Some(&record[..]),
        };
        let outcome = match unframe(&record) {
            Framing::Truncated => {
                assert_eq!(by_hand, None, "{record:?}");
                "truncated_frame"
            }
            Framing::Plain | Framing::Framed { .. } if by_hand.is_none() => {
                panic!("half a frame: {record:?}")
            }
            Framing::Plain => said(&mut pair, &mut twins, &record),
            Framing::Framed { id, body } => {
                assert_eq!((&id.to_be_bytes()[..], Some(body)), (&record[1..5], by_hand));
                said(&mut pair, &mut twins, body)
            }
        };
        *table.entry(name).or_default().entry(outcome).or_default() += 1;
    }
}

fn said(pair: &mut Pair, twins: &mut Twins, record: &[u8]) -> &'static str {
    twins.agree(record);
    match pair.agree(record) {
        Ok(_) => "judged",
        Err(reason) => reason.name(),
    }
}

fn print(table: &Table) -> BTreeMap<&'static str, u64> {
    let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
    for (outcome, count) in table.values().flatten() {
        *sums.entry(outcome).or_default() += count;
    }
    let row = |name: &str, of: &BTreeMap<&str, u64>| {
        let counts = sums.keys().map(|outcome| of.get(outcome).copied().unwrap_or(0));
        println!("{name:12}{}", counts.map(|count| format!("{count:>17}")).collect::<String>());
    };
    println!("{:12}{}", "", sums.keys().map(|outcome| format!("{outcome:>17}")).collect::<String>());
    table.iter().for_each(|(name, outcomes)| row(name, outcomes));
    row("all", &sums);
    sums
}

#[test]
fn real_messages_changed() {
    let families = families();
    for family in &families {
        let mut pair = Pair::new(family.settings.clone());
        for real in &family.real {
            pair.agree(&written(real)).expect("a real message is a reading");
        }
    }
    let seed = seed();
    let rounds = setting("GRIDWATCH_FUZZ_MESSAGES").unwrap_or(200_000).div_ceil(ROUND);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let next = AtomicU64::new(0);
    let work = || {
        let mut table = Table::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= rounds {
                return table;
            }
            round(&families, seed, number, &mut table);
        }
    };
    let mut table = Table::new();
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for thread in running {
            for (name, outcomes) in thread.join().expect("a message is read differently; see above") {
                let row = table.entry(name).or_default();
                outcomes.into_iter().for_each(|(outcome, count)| *row.entry(outcome).or_default() += count);
            }
        }
    });
    let sums = print(&table);
    assert_eq!(sums.values().sum::<u64>(), rounds * ROUND, "a message has no answer");
    assert_eq!(table.len(), CHANGES.len() + DAMAGES.len() + 1, "a change never came");
    let reasons = ["not_json", "no_sensor_id", "no_timestamp", "bad_timestamp", "no_quantities"];
    for outcome in reasons.iter().chain(&["truncated_frame", "judged"]) {
        assert!(sums.get(outcome).is_some_and(|count| *count > 0), "no message is {outcome}");
    }
    assert!(sums["judged"] * 3 > rounds * ROUND, "what is always refused shows little");
}
