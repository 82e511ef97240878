//! `[detectors]`, and the `NAME.toml` that may lie beside `NAME.wasm`.

use std::path::{Path, PathBuf};

use gridwatch_core::judge::Limits;
use gridwatch_core::roster::{FAULTS_MAX_USUAL, Mode, OnFault, OnNewState};
use serde_json::{Map, Value};
use std::time::Duration;
use toml::de::DeValue;

use super::mistake::Mistakes;
use super::section::{Document, Section};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detectors {
    pub dir: PathBuf,
}

pub fn read(mut section: Section<'_, '_>) -> Detectors {
    let dir = section.string("dir");
    if let Some(dir) = &dir
        && !section.document().resolve(&dir.value).is_dir()
    {
        section.document().mistake(dir.offset, format!("dir: no directory \"{}\" here", dir.value));
    }
    let detectors =
        Detectors { dir: section.document().resolve(dir.as_ref().map_or("detectors", |dir| &dir.value)) };
    section.close();
    detectors
}

/// What `NAME.toml` says of a detector.
#[derive(Debug, Clone, PartialEq)]
pub struct DetectorSettings {
    pub enabled: bool,
    pub mode: Mode,
    /// Checked against the module's own schema once the module is known.
    pub parameters: Map<String, Value>,
    pub limits: Limits,
    pub on_fault: OnFault,
    pub on_new_state: OnNewState,
    /// So long after it came, what it took the place of is kept, to go back to.
    pub rollback_window: Duration,
    /// More than this a reading may not cost where it is tried; None: what is generous.
    pub cost_ns_per_reading_max: Option<u64>,
    /// With more faults than this within ten minutes of event time it is quarantined.
    pub faults_max: u32,
}

impl Default for DetectorSettings {
    fn default() -> Self {
        DetectorSettings {
            enabled: true,
            mode: Mode::default(),
            parameters: Map::new(),
            limits: Limits::default(),
            on_fault: OnFault::default(),
            on_new_state: OnNewState::default(),
            rollback_window: Duration::from_secs(3600),
            cost_ns_per_reading_max: None,
            faults_max: FAULTS_MAX_USUAL,
        }
    }
}

/// Reads the text of a `NAME.toml`; `file` is for messages.
pub fn read_settings(file: &Path, text: &str) -> Result<DetectorSettings, Mistakes> {
    let document = Document::new(file, text);
    let tree = document.parse();
    let mut root = document.root(&tree);
    let enabled = root.boolean("enabled").unwrap_or(true);
    let mode = root
        .choice("mode", &[("live", Mode::Live), ("shadow", Mode::Shadow)])
        .map(|at| at.value)
        .unwrap_or_default();
    let on_fault = root
        .choice("on_fault", &[("quarantine", OnFault::Quarantine), ("halt", OnFault::Halt)])
        .map(|at| at.value)
        .unwrap_or_default();
    let on_new_state = root
        .choice("on_new_state", &[("refuse", OnNewState::Refuse), ("cold", OnNewState::Cold)])
        .map(|at| at.value)
        .unwrap_or_default();
    let rollback_window = root
        .duration("rollback_window", Duration::ZERO..=Duration::from_secs(30 * 86_400))
        .unwrap_or(DetectorSettings::default().rollback_window);
    let cost_ns_per_reading_max = root.integer("cost_ns_per_reading_max", 1..=1_000_000_000);
    let (limits, faults_max) = read_limits(root.section("limits"));
    let parameters = read_parameters(&root.section("parameters"));
    root.close();
    document.finish(Some(DetectorSettings {
        enabled,
        mode,
        parameters,
        limits,
        on_fault,
        on_new_state,
        rollback_window,
        cost_ns_per_reading_max,
        faults_max,
    }))
}

/// What one call may use, and how many may fail.
fn read_limits(mut section: Section<'_, '_>) -> (Limits, u32) {
    let usual = Limits::default();
    let deadline = section.duration("call_deadline", Duration::from_millis(1)..=Duration::from_secs(600));
    let limits = Limits {
        memory_bytes_max: section
            .size("memory_max", 64 << 10..=4 << 30)
            .map_or(usual.memory_bytes_max, |bytes| bytes as usize),
        call_deadline_ms: deadline.map_or(usual.call_deadline_ms, |deadline| deadline.as_millis() as u64),
        findings_per_call_max: section
            .integer("findings_per_call_max", 1..=1_000_000)
            .map_or(usual.findings_per_call_max, |number| number as usize),
        output_bytes_per_call_max: section
            .size("output_per_call_max", 1 << 10..=1 << 30)
            .map_or(usual.output_bytes_per_call_max, |bytes| bytes as usize),
        log_lines_per_second_max: section
            .integer("log_lines_per_second_max", 0..=10_000)
            .map_or(usual.log_lines_per_second_max, |number| number as u32),
    };
    let faults_max =
        section.integer("faults_max", 0..=10_000).map_or(FAULTS_MAX_USUAL, |number| number as u32);
    section.close();
    (limits, faults_max)
}

fn read_parameters(section: &Section<'_, '_>) -> Map<String, Value> {
    let mut parameters = Map::new();
    for (key, value) in section.entries() {
        if let Some(json) = to_json(section, &key.value, value.span().start, value.get_ref()) {
            parameters.insert(key.value, json);
        }
    }
    parameters
}

fn to_json(section: &Section<'_, '_>, key: &str, offset: usize, value: &DeValue<'_>) -> Option<Value> {
    let refuse = |what: &str| -> Option<Value> {
        section.document().mistake(offset, format!("{key}: {what}"));
        None
    };
    match value {
        DeValue::String(text) => Some(Value::from(text.as_ref())),
        DeValue::Boolean(answer) => Some(Value::from(*answer)),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Some(Value::from(number)),
            Err(_) => refuse("the number is too large"),
        },
        DeValue::Float(number) => {
            let number = number.as_str().parse().ok().and_then(serde_json::Number::from_f64);
            number.map(Value::Number).or_else(|| refuse("should be a finite number"))
        }
        DeValue::Datetime(_) => refuse("parameters have no dates; write a string"),
        DeValue::Array(items) => {
            let items = items.iter().map(|item| to_json(section, key, item.span().start, item.get_ref()));
            items.collect::<Option<Vec<Value>>>().map(Value::Array)
        }
        DeValue::Table(table) => {
            let mut object = Map::new();
            for (name, value) in table.iter() {
                let inner = format!("{key}.{}", name.get_ref());
                object.insert(
                    name.get_ref().to_string(),
                    to_json(section, &inner, value.span().start, value.get_ref())?,
                );
            }
            Some(Value::Object(object))
        }
    }
}
