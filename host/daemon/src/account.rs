//! The account at the end: what became of every reading, for people and for programs.

use std::fmt::Write;

use gridwatch_core::account::Account;
use serde_json::{Value, json};

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
    for (detector, count) in &account.skipped {
        row(0, &format!("skipped for {detector}"), *count);
    }
    row(0, "anomalies out", account.anomalies.values().sum());
    for (label, count) in &account.anomalies {
        row(2, &format!("{:10} {:21} {}", label.detector, label.kind, label.severity.name()), *count);
    }
    if !account.adds_up() {
        let _ = writeln!(
            text,
            "THE ACCOUNT DOES NOT ADD UP: readings in should be judged + dead letters + pending + given up"
        );
    }
    text
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
        "anomalies": anomalies,
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
    use gridwatch_core::finding::Severity;
    use gridwatch_core::reading::Reason;

    fn account() -> Account {
        let mut account =
            Account { received: 1_234_567, judged: 1_234_560, pending: 4, ..Account::default() };
        account.dead_letter(Reason::BadTimestamp);
        account.dead_letter(Reason::NotJson);
        account.dead_letter(Reason::NotJson);
        for (kind, severity, count) in
            [("undervoltage", Severity::Critical, 12), ("overvoltage", Severity::Warning, 3)]
        {
            let label = AnomalyLabel { detector: "limits".into(), kind: kind.into(), severity };
            account.anomalies.insert(label, count);
        }
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
            anomalies out                                             15
              limits     overvoltage           warning                 3
              limits     undervoltage          critical               12
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
        assert_eq!(json["anomalies"][1]["count"], 12);
        assert_eq!(json["adds_up"], true);
    }

    #[test]
    fn numbers_are_grouped() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (12_345_678, "12,345,678")] {
            assert_eq!(grouped(number), text);
        }
    }
}
