//! The queries of Grafana's boards, as Grafana would ask them.

use serde_json::Value;

use crate::bench::root;

/// A query of a panel or of a variable.
#[derive(Clone, Debug)]
pub struct Query {
    pub board: String,
    /// The panel's title, or the variable's name.
    pub place: String,
    pub expression: String,
}

/// The boards' files, in order.
pub fn files() -> Vec<std::path::PathBuf> {
    let folder = std::fs::read_dir(root().join("compose/grafana/boards")).expect("the boards' folder");
    let mut files: Vec<_> = folder.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files
}

pub fn read(file: &std::path::Path) -> Value {
    serde_json::from_slice(&std::fs::read(file).expect("a board")).expect("a board in JSON")
}

/// Every query of every panel and variable.
pub fn queries() -> Vec<Query> {
    let mut all = Vec::new();
    for file in files() {
        let board = read(&file);
        let name = board["uid"].as_str().expect("a uid").to_owned();
        for panel in panels(&board) {
            for target in panel["targets"].as_array().into_iter().flatten() {
                let expression = target["expr"].as_str().expect("an expression").to_owned();
                let place = panel["title"].as_str().expect("a title").to_owned();
                all.push(Query { board: name.clone(), place, expression });
            }
        }
        for variable in board["templating"]["list"].as_array().into_iter().flatten() {
            // label_values(SELECTOR, LABEL): there are such series.
            let query = variable["query"]["query"].as_str().expect("a query");
            let inner = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')'));
            let (selector, label) = inner.and_then(|inner| inner.rsplit_once(',')).expect("label_values");
            let expression = format!("count by ({}) ({selector})", label.trim());
            let place = format!("${}", variable["name"].as_str().expect("a name"));
            all.push(Query { board: name.clone(), place, expression });
        }
    }
    all
}

/// Panels, also those in rows.
pub fn panels(board: &Value) -> Vec<&Value> {
    let mut all = Vec::new();
    for panel in board["panels"].as_array().into_iter().flatten() {
        all.push(panel);
        all.extend(panel["panels"].as_array().into_iter().flatten());
    }
    all
}

/// With variables as Grafana fills them in at a board's first sight: all of everything, and five minutes.
pub fn filled_in(expression: &str) -> String {
    let fixed = [("$__rate_interval", "20s"), ("$__interval", "15s"), ("$__range", "5m")];
    let mut text = fixed.iter().fold(expression.to_owned(), |text, (name, value)| text.replace(name, value));
    for name in ["instance", "lane", "detector", "topic", "consumergroup"] {
        text = text.replace(&format!("\"${name}\""), "\".*\"");
    }
    assert!(!text.contains('$'), "a variable of no board: {text}");
    text
}
