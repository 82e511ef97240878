//! The proof: every target is up, every rule is evaluated, and every query of a board and every selector of an alert
//! has data in a real Prometheus.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::boards::{filled_in, queries};
use super::events;
use super::parts::Stack;
use super::promql::selectors;
use crate::servers::{Failure, PrometheusClient};

/// From the last event to the last query with data: scrapes, evaluations, and a minute's rates.
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What was asked, by kind, for the report.
#[derive(Debug, Default)]
pub struct Report {
    pub targets: usize,
    pub rules: usize,
    pub by_source: BTreeMap<String, usize>,
}

/// Something that must have data.
struct Wanted {
    source: String,
    place: String,
    expression: String,
}

/// Makes everything happen, and waits until all of it shows; else says what does not.
pub fn check(stack: &Stack) -> Result<Report, Failure> {
    let client = stack.prometheus.client();
    let detectors = stack.detectors.path();
    // Before the readings, of which it is to fail at one, once it has seen ten thousand in a lane.
    events::deploy_hostile(detectors);
    events::deploy_broken(detectors);
    stack.generate()?;
    events::ask(&stack.places);
    events::dead_letters(&stack.places);
    events::swap(detectors);
    until(|| swapped(client))?;
    events::roll_back(stack, "limits");

    let targets = until(|| targets_that_are_up(client))?;
    let (rules, alerts) = until(|| evaluated_rules(client))?;
    let mut wanted: Vec<Wanted> = Vec::new();
    for query in queries() {
        let expression = filled_in(&query.expression);
        wanted.push(Wanted { source: query.board, place: query.place, expression });
    }
    for (alert, expression) in alerts {
        for selector in selectors(&expression) {
            wanted.push(Wanted { source: "alerts".into(), place: alert.clone(), expression: selector });
        }
    }
    let mut report = Report { targets, rules, ..Report::default() };
    for one in &wanted {
        *report.by_source.entry(one.source.clone()).or_default() += 1;
    }
    until(|| all_with_data(client, &mut wanted))?;
    Ok(report)
}

/// Looks until there is what is looked for; `Err` says what is missing.
fn until<T>(mut look: impl FnMut() -> Result<T, String>) -> Result<T, Failure> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match look() {
            Ok(found) => return Ok(found),
            Err(why) if Instant::now() > deadline => return Err(Failure(why)),
            Err(_) => std::thread::sleep(LOOK_EVERY),
        }
    }
}

fn swapped(client: PrometheusClient) -> Result<(), String> {
    let expression = "sum(gridwatch_swaps_total{detector=\"limits\",outcome=\"swapped\"}) >= 4";
    match client.has_data(expression)? {
        true => Ok(()),
        false => Err("limits was not swapped in all of its lanes".to_owned()),
    }
}

fn targets_that_are_up(client: PrometheusClient) -> Result<usize, String> {
    let file = super::read("prometheus/targets.yml");
    let expected = file.lines().filter(|line| line.starts_with("- targets")).count();
    let data = client.ask("targets", &[])?;
    let targets = data["activeTargets"].as_array().cloned().unwrap_or_default();
    let down: Vec<&Value> = targets.iter().filter(|target| target["health"] != "up").collect();
    if targets.len() == expected && down.is_empty() {
        return Ok(expected);
    }
    Err(format!("{} of {expected} targets; not up: {down:#?}", targets.len()))
}

/// How many rules are evaluated, and each alert's expression.
fn evaluated_rules(client: PrometheusClient) -> Result<(usize, Vec<(String, String)>), String> {
    let data = client.ask("rules", &[])?;
    let groups = data["groups"].as_array().cloned().unwrap_or_default();
    let rules: Vec<&Value> = groups.iter().filter_map(|group| group["rules"].as_array()).flatten().collect();
    let ill: Vec<&&Value> = rules.iter().filter(|rule| rule["health"] != "ok").collect();
    if rules.is_empty() || !ill.is_empty() {
        return Err(format!("rules that are not evaluated: {ill:#?}"));
    }
    let text = |rule: &Value, key: &str| rule[key].as_str().unwrap_or_default().to_owned();
    let alerts = rules.iter().filter(|rule| rule["type"] == "alerting");
    Ok((rules.len(), alerts.map(|rule| (text(rule, "name"), text(rule, "query"))).collect()))
}

/// What has no data yet. Each is asked until it has had some once: a rate over some seconds has none where nothing
/// happens.
fn all_with_data(client: PrometheusClient, wanted: &mut Vec<Wanted>) -> Result<(), String> {
    let mut said = Vec::new();
    wanted.retain(|one| {
        let why = match client.has_data(&one.expression) {
            Ok(true) => return false,
            Ok(false) => "no data".to_owned(),
            Err(why) => why,
        };
        said.push(format!("{}: {}: {why}: {}", one.source, one.place, one.expression));
        true
    });
    if said.is_empty() {
        Ok(())
    } else {
        Err(format!("{} queries without data:\n{}", said.len(), said.join("\n")))
    }
}
