//! Readings as awkward as a grid's, from a seed.

use rand::{Rng, RngExt};

use super::judge::POISON;

const START: i64 = 1_767_225_600_000;

/// JSON records of a few sensors: late, repeated, ahead, malformed, unreadable ones among them, new
/// quantities and new attributes now and then, a gap common to all.
pub fn records(random: &mut impl Rng, count: usize, poison: bool) -> Vec<Vec<u8>> {
    let sensors = random.random_range(1..6u32);
    let mut time = START;
    let mut records = Vec::with_capacity(count);
    for _ in 0..count {
        time += random.random_range(0..8_000);
        if random.random_range(0..150) == 0 {
            time += 3_600_000;
        }
        let record = match random.random_range(0..100) {
            0 => b"{\"sensor_id\":".to_vec(),
            1 => format!(r#"{{"timestamp":{time},"voltage":1}}"#).into_bytes(),
            2 => br#"{"sensor_id":"s0","timestamp":"yesterday","voltage":1}"#.to_vec(),
            3 => vec![0xff, 0xfe],
            _ => reading(random, sensors, time, poison).into_bytes(),
        };
        records.push(record);
    }
    records
}

fn reading(random: &mut impl Rng, sensors: u32, time: i64, poison: bool) -> String {
    let time = match random.random_range(0..40) {
        0 => time - random.random_range(0..600_000),
        1 => 4_070_908_800_000,
        2 => time / 10_000 * 10_000,
        _ => time,
    };
    let sensor = random.random_range(0..sensors);
    let mut fields = format!(r#"{{"sensor_id":"s{sensor}","timestamp":{time}"#);
    for (quantity, odds) in [("voltage", 90), ("current", 60), ("power", 3), ("vibration", 1)] {
        if random.random_range(0..100) >= odds {
            continue;
        }
        let value = match random.random_range(0..60) {
            0 => "\"NaN\"".to_owned(),
            1 => "1e999".to_owned(),
            2 if poison && random.random_range(0..6) == 0 => POISON.to_string(),
            _ => format!("{:.2}", random.random_range(60.0..110.0)),
        };
        fields.push_str(&format!(r#","{quantity}":{value}"#));
    }
    if random.random_range(0..4) > 0 {
        let feeder = if random.random_range(0..30) == 0 { 9 } else { sensor % 2 };
        fields.push_str(&format!(r#","location":"feeder-{feeder}""#));
    }
    fields + "}"
}
