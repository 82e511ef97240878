//! Real messages, changed in ways that producers change them: values, types, keys, nesting, order, times,
//! texts, whitespace, frames, and what a bad line or a full disk does to bytes.

use super::mutate::{Random, mutate};
use super::twins::{number, vary};

/// An object's members, both as they stand in the text.
pub type Members = Vec<(String, String)>;

/// A change of a message's members.
pub type Change = fn(&mut Random, &mut Members);

/// By name, for the table.
pub const CHANGES: [(&str, Change); 10] = [
    ("none", |_, _| ()),
    ("value", value),
    ("type", other_type),
    ("key", key),
    ("duplicate", duplicate),
    ("order", order),
    ("nesting", nesting),
    ("text", text),
    ("time", time),
    ("more", more),
];

/// A change of a message's bytes.
pub type Damage = fn(&mut Random, Vec<u8>) -> Vec<u8>;

/// By name, for the table.
pub const DAMAGES: [(&str, Damage); 5] = [
    ("digits", |random, bytes| vary(random, &bytes)),
    ("whitespace", whitespace),
    ("truncation", |random, bytes| bytes[..random.below(bytes.len() + 1)].to_vec()),
    ("bytes", |random, bytes| mutate(random, &[bytes])),
    ("encoding", encoding),
];

/// What was done to a message, for the table, and what became of it.
pub fn shape(random: &mut Random, real: &Members) -> (&'static str, Vec<u8>) {
    let mut members = real.clone();
    // Half of them look like the ones before, as nearly all do outside of tests: so templates are learnt.
    if random.below(2) == 0 {
        return ("digits", vary(random, &written(&members)));
    }
    if random.below(3) == 0 {
        let (name, damage) = *random.pick(&DAMAGES);
        return (name, damage(random, written(&members)));
    }
    let (name, change) = *random.pick(&CHANGES);
    change(random, &mut members);
    for _ in 0..random.below(3) {
        random.pick(&CHANGES).1(random, &mut members);
    }
    let bytes = written(&members);
    match random.below(4) {
        0 => (name, random.pick(&DAMAGES).1(random, bytes)),
        _ => (name, bytes),
    }
}

/// Now and then a record comes behind the id of its schema, or behind what is left of it.
pub fn framed(random: &mut Random, body: &[u8]) -> Vec<u8> {
    let id = match random.below(4) {
        0 => random.next() as u32,
        _ => random.below(4) as u32,
    };
    let mut record = vec![0];
    record.extend_from_slice(&id.to_be_bytes());
    match random.below(12) {
        0 => record.truncate(1 + random.below(4)),
        1 => {}
        2 => {
            let frame = record.clone();
            record.extend(frame);
            record.extend_from_slice(body);
        }
        3 => {
            record[0] = 1 + random.below(255) as u8;
            record.extend_from_slice(body);
        }
        _ => record.extend_from_slice(body),
    }
    record
}

pub fn written(members: &Members) -> Vec<u8> {
    let members: Vec<String> = members.iter().map(|(key, value)| format!("{key}:{value}")).collect();
    format!("{{{}}}", members.join(",")).into_bytes()
}

/// The simulator's messages and other flat ones, whose texts hold neither commas nor braces.
pub fn members_of(line: &str) -> Members {
    let inner = line.trim().trim_start_matches('{').trim_end_matches('}');
    let members = inner.split(',').map(|member| member.split_once(':').expect("a member"));
    members.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// One to write over; none where all were removed.
fn one<'a>(random: &mut Random, members: &'a mut Members) -> Option<&'a mut (String, String)> {
    let at = random.below(members.len());
    members.get_mut(at)
}

const EDGES: [&str; 24] = [
    "0",
    "-0",
    "-0.0",
    "1e308",
    "1.7976931348623157e308",
    "1.7976931348623159e308",
    "-1.7976931348623159e308",
    "1e309",
    "-1e999",
    "5e-324",
    "2.4703282292062327e-324",
    "1e-999",
    "9007199254740993",
    "9223372036854775807",
    "-9223372036854775809",
    "18446744073709551615",
    "18446744073709551616",
    "0.1e1",
    "1E+0",
    "230.120000000000004547473508864641189575195312",
    "00",
    "1.",
    "-",
    "NaN",
];

fn value(random: &mut Random, members: &mut Members) {
    let with = if random.below(2) == 0 { (*random.pick(&EDGES)).to_owned() } else { number(random) };
    if let Some((_, value)) = one(random, members) {
        *value = with;
    }
}

fn other_type(random: &mut Random, members: &mut Members) {
    const TYPES: [&str; 12] =
        ["null", "true", "false", "{}", "[]", "[1]", "\"\"", "\"NaN\"", "\"230.1\"", "nul", "Infinity", ""];
    let with = *random.pick(&TYPES);
    if let Some((_, value)) = one(random, members) {
        *value = with.to_owned();
    }
}

fn key(random: &mut Random, members: &mut Members) {
    let other = members.get(random.below(members.len())).map(|(key, _)| key.clone()).unwrap_or_default();
    let kind = random.below(8);
    if kind == 0 && !members.is_empty() {
        members.remove(random.below(members.len()));
        return;
    }
    let length = 126 + random.below(5);
    let Some((key, _)) = one(random, members) else { return };
    *key = match kind {
        1 => key.to_uppercase(),
        2 => key.replacen('e', "\\u0065", 1),
        3 => other,
        4 => format!("\"{}\"", "k".repeat(length)),
        5 => "\"\"".to_owned(),
        6 => format!("\"{} \"", key.trim_matches('"')),
        _ => key.replace('"', ""),
    };
}

/// Of equal keys the last one wins, whatever it holds.
fn duplicate(random: &mut Random, members: &mut Members) {
    let Some((key, mut value)) = members.get(random.below(members.len())).cloned() else { return };
    match random.below(3) {
        0 => {}
        1 => value = (*random.pick(&EDGES)).to_owned(),
        _ => value = members[random.below(members.len())].1.clone(),
    }
    members.insert(random.below(members.len() + 1), (key, value));
}

fn order(random: &mut Random, members: &mut Members) {
    for at in (1..members.len()).rev() {
        members.swap(at, random.below(at + 1));
    }
}

fn nesting(random: &mut Random, members: &mut Members) {
    // serde_json reads 128 levels, and one more is an error to it.
    let depth = if random.below(2) == 0 { 1 + random.below(3) } else { 120 + random.below(12) };
    let whole = String::from_utf8_lossy(&written(members)).into_owned();
    let kind = random.below(4);
    let Some((key, value)) = one(random, members) else { return };
    *value = match kind {
        0 => format!("{}{value}{}", "[".repeat(depth), "]".repeat(depth)),
        1 => format!("{}{value}{}", format!("{{{key}:").repeat(depth), "}".repeat(depth)),
        2 => whole,
        _ => format!("{}{value}{}", "[".repeat(depth), "]".repeat(depth.saturating_sub(1))),
    };
}

fn text(random: &mut Random, members: &mut Members) {
    const PIECES: [&str; 16] = [
        "a",
        "\u{e9}",
        "\u{20ac}",
        "\u{1f50c}",
        "\\u00e9",
        "\\ud83d\\udd0c",
        "\\ud83d",
        "\\n",
        "\\\"",
        "\\/",
        "\\x",
        "\u{0}",
        "\u{7f}",
        "\\u0000",
        "\u{202e}",
        "\u{feff}",
    ];
    let times = if random.below(8) == 0 { 120 + random.below(140) } else { 1 + random.below(4) };
    let mut piece = || *random.pick(&PIECES);
    // The same one over and over, so that lengths meet the limits of names and ids.
    let words = if times > 4 { piece().repeat(times) } else { (0..times).map(|_| piece()).collect() };
    let in_key = random.below(4) == 0;
    if let Some((key, value)) = one(random, members) {
        *(if in_key { key } else { value }) = format!("\"{words}\"");
    }
}

fn time(random: &mut Random, members: &mut Members) {
    const TIMES: [&str; 28] = [
        "\"2026-01-01T00:00:00Z\"",
        "\"2026-01-01t00:00:00z\"",
        "\"2026-01-01 00:00:00Z\"",
        "\"2026-01-01T00:00:00\"",
        "\"2026-01-01T00:00Z\"",
        "\"2026-01-01\"",
        "\"2026-01-01T24:00:00Z\"",
        "\"2026-12-31T23:59:60Z\"",
        "\"2024-02-29T12:00:00Z\"",
        "\"2026-02-29T12:00:00Z\"",
        "\"2026-01-01T00:00:00.000000001Z\"",
        "\"2026-01-01T00:00:00,5Z\"",
        "\"2026-01-01T00:00:00+14:00\"",
        "\"2026-01-01T00:00:00-00:00\"",
        "\"2026-01-01T00:00:00+25:00\"",
        "\"2099-06-01T00:00:00Z\"",
        "\"9999-12-31T23:59:59.999Z\"",
        "\"0000-01-01T00:00:00Z\"",
        "\"-000001-01-01T00:00:00Z\"",
        "1767225600",
        "1767225600000",
        "1767225600000000",
        "1767225600.5",
        "1.7672256e9",
        "-1",
        "\"1767225600123\"",
        "\"2026-01-01T00:00:00Z[Europe/Madrid]\"",
        "\" 2026-01-01T00:00:00Z\"",
    ];
    let with = (*random.pick(&TIMES)).to_owned();
    let is_time = |(key, _): &&mut (String, String)| key.contains("time") || key.contains("date");
    if let Some((_, value)) = members.iter_mut().find(is_time) {
        *value = with;
    }
}

/// More quantities than there is room for, or than one message usually has.
fn more(random: &mut Random, members: &mut Members) {
    let from = random.below(200);
    for at in 0..random.below(80) {
        members.push((format!("\"quantity_{}\"", from + at), number(random)));
    }
}

fn whitespace(random: &mut Random, bytes: Vec<u8>) -> Vec<u8> {
    // The last two are none to JSON.
    const SPACES: [&str; 6] = [" ", "\t", "\r\n", "\n", "\u{c}", "\u{a0}"];
    let mut spaced = Vec::with_capacity(bytes.len() + 16);
    for byte in bytes {
        let is_joint = b"{}[]:,".contains(&byte);
        if is_joint && random.below(4) == 0 {
            spaced.extend_from_slice(random.pick(&SPACES[..4]).as_bytes());
        }
        spaced.push(byte);
        if is_joint && random.below(8) == 0 {
            let kinds = if random.below(32) == 0 { SPACES.len() } else { 4 };
            spaced.extend_from_slice(random.pick(&SPACES[..kinds]).as_bytes());
        }
    }
    spaced
}

/// The same text as other programs would write it, or a producer that thinks in Latin-1 or UTF-16.
fn encoding(random: &mut Random, bytes: Vec<u8>) -> Vec<u8> {
    match random.below(5) {
        0 => [&b"\xef\xbb\xbf"[..], &bytes].concat(),
        1 => bytes.iter().flat_map(|byte| [*byte, 0]).collect(),
        2 => {
            let mut bytes = bytes;
            let at = random.below(bytes.len() + 1);
            bytes.splice(at..at, [*random.pick(&[0xff, 0xc0, 0xe9, 0x80, 0xed])]);
            bytes
        }
        3 => [&bytes[..], &bytes].concat(),
        _ => [&bytes[..], b"\0"].concat(),
    }
}
