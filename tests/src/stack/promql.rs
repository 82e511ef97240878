//! As much of Prometheus's language as finding the selectors in an expression takes.

/// Words that stand before a list of labels.
const LISTS: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];
const OPERATORS: [&str; 6] = ["and", "or", "unless", "bool", "offset", "atan2"];

/// Each instant selector of an expression, such as `up{job="a"}`, once.
pub fn selectors(expression: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some(first) = rest.chars().next() {
        let word: usize = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || "_:".contains(*c)).count();
        match first {
            '"' | '\'' | '`' => rest = after(rest, string(rest)),
            '[' => rest = after(rest, rest.find(']').map_or(rest.len(), |at| at + 1)),
            '{' => rest = take(rest, "", &mut found),
            // A number or a duration.
            '0'..='9' => rest = after(rest, word),
            _ if word > 0 => {
                let (name, behind) = rest.split_at(word);
                let is_call = behind.trim_start().starts_with('(');
                rest = behind;
                if LISTS.contains(&name) {
                    rest = if is_call {
                        after(rest, rest.find(')').map_or(rest.len(), |at| at + 1))
                    } else {
                        rest
                    };
                } else if !is_call && !OPERATORS.contains(&name) && !is_aggregation(behind) {
                    rest = take(rest, name, &mut found);
                }
            }
            _ => rest = after(rest, first.len_utf8()),
        }
    }
    found
}

/// `sum by (lane) (…)`: a word before `by` or `without` is no metric.
fn is_aggregation(behind: &str) -> bool {
    let next: String = behind.trim_start().chars().take_while(char::is_ascii_alphabetic).collect();
    next == "by" || next == "without"
}

/// A name and the matchers behind it, if there are any; what follows them.
fn take<'a>(rest: &'a str, name: &str, found: &mut Vec<String>) -> &'a str {
    let length = if rest.starts_with('{') { braces(rest) } else { 0 };
    let selector = format!("{name}{}", &rest[..length]);
    if !found.contains(&selector) {
        found.push(selector);
    }
    after(rest, length)
}

/// Bytes up to the brace that closes the first one.
fn braces(text: &str) -> usize {
    let mut at = 1;
    while at < text.len() {
        match text.as_bytes()[at] {
            b'}' => return at + 1,
            b'"' | b'\'' | b'`' => at += string(&text[at..]),
            _ => at += 1,
        }
    }
    text.len()
}

/// Bytes of the quoted string that a text begins with.
fn string(text: &str) -> usize {
    let quote = text.as_bytes()[0];
    let mut at = 1;
    while at < text.len() {
        match text.as_bytes()[at] {
            b'\\' if quote != b'`' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

fn after(text: &str, length: usize) -> &str {
    text.get(length..).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_found_and_nothing_else_is() {
        let of = |expression, expected: &[&str]| assert_eq!(selectors(expression), expected, "{expression}");
        of("up == 0", &["up"]);
        of(
            "sum by (job) (rate(a_total{x=\"}\",y=~\"b|c\"}[5m])) / 2 > 1e3",
            &["a_total{x=\"}\",y=~\"b|c\"}"],
        );
        of(
            "min by (lane) (deriv(a:b[2m] offset 1h)) > 0.95 and on (lane) sum without (x) (c) > bool 0",
            &["a:b", "c"],
        );
        of("a / on () group_left () sum(b) unless ignoring (x) group_right c{}", &["a", "b", "c{}"]);
        of("count by (d) (count by (d, e) (i{mode=\"live\"})) > 1", &["i{mode=\"live\"}"]);
        of("{__name__=~\"x.*\"} + vector(1) + a + a", &["{__name__=~\"x.*\"}", "a"]);
        of("label_replace(up, \"a\", \"$1\", \"b\", \"(.*)\")", &["up"]);
        of("histogram_quantile(0.99, sum by (le) (rate(a_bucket[20s])))", &["a_bucket"]);
    }
}
