//! The account at the end: what became of every reading, for people and for programs.

use std::collections::BTreeMap;
use std::fmt::Write;

use gridwatch_core::account::Account;
use gridwatch_core::finding::{Phase, Severity};
use gridwatch_core::reading::Reason;
use gridwatch_core::unfound::Unfound;
use serde_json::{Value, json};

/// What anomalies say of episodes.
const PHASES: [(Phase, &str); 4] = [
    (Phase::Raised, "episodes raised"),
    (Phase::Updated, "episodes grown worse"),
    (Phase::Cleared, "episodes cleared"),
    (Phase::Single, "single events"),
];

/// A table of a screen's width, each line ended.
pub fn text(account: &Account) -> String {
    let mut text = String::new();
    let mut row = |indent: usize, name: &str, count: u64| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{:indent$}{name:width$}{:>16}", "", grouped(count), width = 44 - indent);
    };
    row(0, "readings in", account.received);
    row(2, "judged", account.judged);
    row(2, "dead letters", account.dead_lettered());
    for (reason, count) in &account.dead_letters {
        row(4, reason, *count);
    }
    row(2, "pending", account.pending);
    if account.given_up > 0 {
        row(2, "given up with their lanes", account.given_up);
    }
    if account.replayed > 0 {
        row(0, "replayed in silence", account.replayed);
    }
    if account.quantities_left_out > 0 {
        row(0, "values left out (quantities_max)", account.quantities_left_out);
    }
    if account.poison > 0 {
        row(0, "readings a detector fails on (poison)", account.poison);
    }
    for (detector, count) in &account.skipped {
        row(0, &format!("skipped for {detector}"), *count);
    }
    row(0, "anomalies out", account.anomalies.values().sum());
    for (phase, words) in PHASES {
        match account.anomalies_of(phase) {
            0 => {}
            count => row(2, words, count),
        }
    }
    text.push_str(&by_kind(account));
    for unfound in unfound(account) {
        let _ = writeln!(text, "NEVER FOUND: {unfound}");
    }
    if !account.adds_up() {
        let _ = writeln!(
            text,
            "THE ACCOUNT DOES NOT ADD UP: readings in should be judged + dead letters + pending + given up"
        );
    }
    text
}

/// A line for each kind of anomaly: raised (an event without length is, too), of these critical, grown worse,
/// cleared.
fn by_kind(account: &Account) -> String {
    let mut kinds: BTreeMap<(&str, &str), [u64; 4]> = BTreeMap::new();
    for (label, count) in &account.anomalies {
        let counts = kinds.entry((&label.detector, &label.kind)).or_default();
        match label.phase {
            Phase::Raised | Phase::Single => {
                counts[0] += count;
                counts[1] += if label.severity == Severity::Critical { *count } else { 0 };
            }
            Phase::Updated => counts[2] += count,
            Phase::Cleared => counts[3] += count,
        }
    }
    let mut text = String::new();
    let mut row = |detector: &str, kind: &str, cells: [String; 4]| {
        let [raised, critical, worse, cleared] = cells;
        // Writing to a string cannot fail.
        let _ = writeln!(text, "    {detector:9}{kind:20}{raised:>9}{critical:>9}{worse:>9}{cleared:>9}");
    };
    if !kinds.is_empty() {
        row("", "", ["raised", "critical", "worse", "cleared"].map(str::to_owned));
    }
    for ((detector, kind), counts) in kinds {
        row(detector, kind, counts.map(grouped));
    }
    text
}

/// Each mapping that has not matched, in words. Where no record was one otherwise, that is the news, not this.
pub fn unfound(account: &Account) -> Vec<String> {
    let no_quantities = account.dead_letters.get(Reason::NoQuantities.name()).copied().unwrap_or_default();
    let records = account.judged + no_quantities;
    if records == 0 {
        return Vec::new();
    }
    let words = |(name, unfound): (&String, &Unfound)| {
        let nearest = match &unfound.nearest[..] {
            [] => String::new(),
            places => format!("; nearest in a record: `{}`", places.join("`, `")),
        };
        format!(
            "quantity `{name}` ([decode.quantities], `{}`) in {} records{nearest}",
            unfound.path,
            grouped(records)
        )
    };
    account.unfound.iter().map(words).collect()
}

/// The same as one JSON object.
pub fn json(account: &Account) -> Value {
    let anomalies: Vec<Value> = account
        .anomalies
        .iter()
        .map(|(label, count)| {
            json!({
                "detector": label.detector,
                "kind": label.kind,
                "severity": label.severity.name(),
                "phase": label.phase,
                "count": count,
            })
        })
        .collect();
    json!({
        "readings_in": account.received,
        "judged": account.judged,
        "dead_letters": account.dead_letters,
        "dead_lettered": account.dead_lettered(),
        "pending": account.pending,
        "given_up": account.given_up,
        "replayed": account.replayed,
        "quantities_left_out": account.quantities_left_out,
        "skipped": account.skipped,
        "poison": account.poison,
        "anomalies": anomalies,
        "episodes_raised": account.anomalies_of(Phase::Raised),
        "episodes_cleared": account.anomalies_of(Phase::Cleared),
        "unfound": account.unfound,
        "adds_up": account.adds_up(),
    })
}

/// 1,234,567
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use gridwatch_core::account::AnomalyLabel;

    fn account() -> Account {
        let mut account =
            Account { received: 1_234_567, judged: 1_234_560, pending: 4, ..Account::default() };
        account.dead_letter(Reason::BadTimestamp);
        account.dead_letter(Reason::NotJson);
        account.dead_letter(Reason::NotJson);
        for (kind, severity, phase, count) in [
            ("undervoltage", Severity::Critical, Phase::Raised, 12),
            ("undervoltage", Severity::Critical, Phase::Updated, 2),
            ("undervoltage", Severity::Info, Phase::Cleared, 11),
            ("overvoltage", Severity::Warning, Phase::Single, 3),
        ] {
            let label = AnomalyLabel { detector: "limits".into(), kind: kind.into(), severity, phase };
            account.anomalies.insert(label, count);
        }
        let nearest = vec!["/data/voltage".to_owned(), "t".to_owned()];
        account.unfound.insert("voltage".into(), Unfound { path: "/data/volts".into(), nearest });
        account
    }

    #[test]
    fn the_account_is_a_table() {
        expect![[r#"
            readings in                                        1,234,567
              judged                                           1,234,560
              dead letters                                             3
                bad_timestamp                                          1
                not_json                                               2
              pending                                                  4
            anomalies out                                             28
              episodes raised                                         12
              episodes grown worse                                     2
              episodes cleared                                        11
              single events                                            3
                                                raised critical    worse  cleared
                limits   overvoltage                 3        0        0        0
                limits   undervoltage               12       12        2       11
            NEVER FOUND: quantity `voltage` ([decode.quantities], `/data/volts`) in 1,234,560 records; nearest in a record: `/data/voltage`, `t`
        "#]]
        .assert_eq(&text(&account()));
    }

    #[test]
    fn an_account_that_does_not_add_up_says_so() {
        let account = Account { judged: 1, ..account() };
        assert!(text(&account).contains("DOES NOT ADD UP"));
        assert_eq!(json(&account)["adds_up"], false);
    }

    #[test]
    fn the_same_as_json() {
        let json = json(&account());
        assert_eq!(json["readings_in"], 1_234_567);
        assert_eq!(json["dead_letters"]["not_json"], 2);
        assert_eq!((&json["episodes_raised"], &json["episodes_cleared"]), (&12.into(), &11.into()));
        assert_eq!(json["anomalies"][0]["phase"], "single");
        assert_eq!(json["unfound"]["voltage"]["nearest"][0], "/data/voltage");
        assert_eq!(json["adds_up"], true);
    }

    #[test]
    fn numbers_are_grouped() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (12_345_678, "12,345,678")] {
            assert_eq!(grouped(number), text);
        }
    }
}
