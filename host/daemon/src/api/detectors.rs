//! Detectors: what runs under each name, how it fares, and what became of it so far.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use gridwatch_core::checkpoint::Role;
use gridwatch_core::finding::Phase;
use gridwatch_core::judge::{Limits, LogLevel, Module};
use gridwatch_core::roster::{Mode, Plan, Slot};
use gridwatch_core::time::rfc3339;
use gridwatch_engine::lane::{Comparison, DetectorSnapshot, Identity};
use gridwatch_engine::pipeline::Snapshot;
use gridwatch_sandbox::LoadedModule;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::Api;
use super::paging::{Named, Page, Paging, Params};
use super::problem::Problem;
use super::seen::now_ms;
use crate::foundry::{Board, By, Entry, What};
use crate::wiring::{self, Label};

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Detector {
    /// Its file's, without `.wasm`.
    pub name: String,
    /// Of the module that runs; null where none does.
    pub version: Option<String>,
    pub digest: Option<String>,
    /// Of the roster, that brought it; of what was switched off, that did so.
    pub generation: Option<u64>,
    /// `live`, `shadow` or `off`.
    pub mode: String,
    pub fate: Fate,
    /// Of a fate other than `running`; and why a newer file does not run.
    pub why: Option<String>,
    pub lanes: InLanes,
    /// Version of the contract that the module was made for.
    pub contract: Option<String>,
    pub imports: Vec<String>,
    pub memory_bytes: u64,
    /// As of the last checkpoints; null before them.
    pub state_bytes: Option<u64>,
    pub cost: Cost,
    pub findings_total: u64,
    pub anomalies: Anomalies,
    /// Readings that it did not see.
    pub skipped_total: u64,
    /// By kind of fault.
    pub faults: BTreeMap<String, u64>,
    pub open_episodes: u64,
    /// What a rollback would bring back; where something shadows it, a rollback takes that out first.
    pub rollback_to: Option<Before>,
    /// Until then that is kept warm, so that going back loses no state.
    pub warm_until: Option<String>,
    /// What its shadow finds against what it finds itself, where it has one: who both are, counts of both, only the new
    /// one, only the old one, by kind and by sensor, examples, and what both cost. All is 0 until lanes have it. Where
    /// it shadows alone, there is no incumbent.
    #[schema(value_type = Option<Object>)]
    pub shadow: Option<Comparison>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    Running,
    /// It judges no more, on any lane.
    Quarantined,
    /// Its file may not run.
    Refused,
    /// No lane runs it yet.
    Starting,
    /// It is not to run.
    Disabled,
    /// Quarantined on some lanes.
    Mixed,
}

/// How many of the lanes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct InLanes {
    pub running: usize,
    pub quarantined: usize,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, ToSchema)]
pub struct Cost {
    /// Null before the first reading.
    pub ns_per_reading: Option<f64>,
    pub seconds_total: f64,
    /// Of the time that all detectors take.
    pub share: f64,
}

/// That were published, by phase.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Anomalies {
    pub raised: u64,
    pub updated: u64,
    pub cleared: u64,
    pub single: u64,
}

/// What ran before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Before {
    /// Where that is still known.
    pub generation: Option<u64>,
    pub version: Option<String>,
    pub digest: String,
}

/// A detector, and all that is known of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct OneDetector {
    #[serde(flatten)]
    pub detector: Detector,
    #[schema(value_type = Object)]
    pub parameters: Value,
    /// A JSON Schema.
    #[schema(value_type = Object)]
    pub parameters_schema: Value,
    pub limits: Option<DetectorLimits>,
    pub kinds: Vec<Kind>,
    /// The newest first, 200 at most.
    pub history: Vec<HistoryEntry>,
    pub logs_total: u64,
}

/// What an instance may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct DetectorLimits {
    pub memory_bytes_max: usize,
    /// CPU time of one call.
    pub call_deadline_ms: u64,
    pub findings_per_call_max: usize,
    pub output_bytes_per_call_max: usize,
    pub log_lines_per_second_max: u32,
}

impl From<Limits> for DetectorLimits {
    fn from(limits: Limits) -> Self {
        DetectorLimits {
            memory_bytes_max: limits.memory_bytes_max,
            call_deadline_ms: limits.call_deadline_ms,
            findings_per_call_max: limits.findings_per_call_max,
            output_bytes_per_call_max: limits.output_bytes_per_call_max,
            log_lines_per_second_max: limits.log_lines_per_second_max,
        }
    }
}

/// Of anomaly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Kind {
    pub name: String,
    pub description: String,
}

/// Something that became of a detector.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct HistoryEntry {
    pub at: String,
    pub by: By,
    pub what: What,
    pub generation: Option<u64>,
    pub version: Option<String>,
    pub digest: Option<String>,
    pub detail: Option<String>,
}

impl From<Entry> for HistoryEntry {
    fn from(entry: Entry) -> Self {
        let Entry { at, by, what, generation, version, digest, detail, .. } = entry;
        HistoryEntry { at: rfc3339(at), by, what, generation, version, digest, detail }
    }
}

/// A line of a detector's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct LogLine {
    pub at: String,
    pub lane: String,
    /// `debug`, `info`, `warn` or `error`.
    pub level: &'static str,
    pub message: String,
}

/// All detectors: those that run, and those that may not.
#[utoipa::path(get, path = "/detectors", tag = "detectors", params(Paging),
    responses((status = 200, body = Page<Detector>), (status = 400, body = Problem, content_type = "application/problem+json")))]
pub async fn detectors(
    State(api): State<Api>,
    Params(paging): Params<Paging>,
) -> Result<Json<Page<Detector>>, Problem> {
    let start = paging.number()?.unwrap_or(0);
    Ok(Json(Page::of(all(&api), start, paging.limit()?)))
}

/// A detector with its parameters, limits, kinds of anomalies and history.
#[utoipa::path(get, path = "/detectors/{name}", tag = "detectors", params(("name" = String, Path, description = "The detector's name")),
    responses((status = 200, body = OneDetector), (status = 404, body = Problem, content_type = "application/problem+json")))]
pub async fn detector(State(api): State<Api>, Named(name): Named) -> Result<Json<OneDetector>, Problem> {
    let look = Look::at(&api);
    let detector = look.names().iter().find(|known| **known == name).map(|name| look.detector(name));
    let Some(detector) = detector else { return Err(unknown(&look, &name)) };
    let (label, plan) = (look.label(&name), look.plan(&name));
    let descriptor = label.map(|label| label.module.descriptor());
    let parse = |text: &str| serde_json::from_str(text).unwrap_or(Value::Null);
    let kind = |kind: &gridwatch_core::finding::Kind| Kind {
        name: kind.name.clone(),
        description: kind.description.clone(),
    };
    Ok(Json(OneDetector {
        parameters: plan.map_or(Value::Null, |plan| parse(&plan.parameters)),
        parameters_schema: descriptor.map_or(Value::Null, |descriptor| parse(&descriptor.parameters)),
        limits: plan.map(|plan| plan.limits.into()),
        kinds: descriptor.map_or_else(Vec::new, |descriptor| descriptor.kinds.iter().map(kind).collect()),
        history: api.history.of(&name).into_iter().map(HistoryEntry::from).collect(),
        logs_total: label.map_or(0, |label| label.log.lines_total()),
        detector,
    }))
}

/// What a detector has logged last, over all lanes, the newest first. The last 500 lines are kept.
#[utoipa::path(get, path = "/detectors/{name}/logs", tag = "detectors",
    params(("name" = String, Path, description = "The detector's name"), Paging),
    responses((status = 200, body = Page<LogLine>),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json")))]
pub async fn logs(
    State(api): State<Api>,
    Named(name): Named,
    Params(paging): Params<Paging>,
) -> Result<Json<Page<LogLine>>, Problem> {
    let (limit, before) = (paging.limit()?, paging.number()?);
    let look = Look::at(&api);
    let Some(label) = look.label(&name) else {
        return if look.names().contains(&name) {
            Ok(Json(Page { items: Vec::new(), next: None, total: 0 }))
        } else {
            Err(unknown(&look, &name))
        };
    };
    let lines = label.log.newest_first();
    let total = lines.len() as u64;
    let older: Vec<_> =
        lines.into_iter().filter(|line| before.is_none_or(|before| line.sequence < before)).collect();
    let next = older.get(limit).and_then(|_| older.get(limit - 1)).map(|line| line.sequence.to_string());
    let items = older.into_iter().take(limit).map(|line| LogLine {
        at: rfc3339(line.at),
        lane: line.thread.trim_start_matches("lane ").to_owned(),
        level: level_name(line.level),
        message: line.message,
    });
    Ok(Json(Page { items: items.collect(), next, total }))
}

pub fn all(api: &Api) -> Vec<Detector> {
    let look = Look::at(api);
    look.names().iter().map(|name| look.detector(name)).collect()
}

fn unknown(look: &Look, name: &str) -> Problem {
    Problem::missing(format!(
        "there is no detector of the name \"{name}\"; there are {}",
        look.names().join(", ")
    ))
}

fn level_name(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Debug => "debug",
        LogLevel::Info => "info",
        LogLevel::Warn => "warn",
        LogLevel::Error => "error",
    }
}

/// All that detectors are told from, of one moment.
struct Look {
    board: std::sync::Arc<Board>,
    labels: Vec<Label>,
    snapshot: Snapshot,
    busy_ns: u64,
}

impl Look {
    fn at(api: &Api) -> Look {
        let snapshot = api.running.snapshot();
        let all = snapshot.lanes.iter().flat_map(|lane| &lane.detectors);
        let busy_ns = all.map(|seat| seat.usage.busy_ns).sum();
        Look { board: api.running.board(), labels: api.running.labels(), snapshot, busy_ns }
    }

    fn names(&self) -> Vec<String> {
        let of_roster = self.board.roster.slots.keys().cloned();
        let others = self.labels.iter().map(|label| label.name.clone());
        let refused = self.board.refused.keys().cloned();
        let mut names: Vec<String> = of_roster.chain(others).chain(refused).collect();
        names.extend(self.board.disabled.iter().cloned());
        names.sort();
        names.dedup();
        names
    }

    fn label(&self, name: &str) -> Option<&Label> {
        self.labels.iter().find(|label| label.name == name)
    }

    fn slot(&self, name: &str) -> Option<&Slot> {
        self.board.roster.slots.get(name)
    }

    fn plan(&self, name: &str) -> Option<&Plan> {
        let slot = self.slot(name)?;
        slot.plan.as_ref().or(slot.shadow.as_ref().map(|shadow| &shadow.plan))
    }

    /// Of who speaks for the name: the live one, or the shadow that is alone.
    fn role(&self, name: &str) -> Role {
        match self.plan(name).map(|plan| plan.mode) {
            Some(Mode::Shadow) => Role::Shadow,
            _ => Role::Live,
        }
    }

    /// How what is to be its shadow compares, over all lanes that have it.
    fn comparison(&self, name: &str) -> Option<Comparison> {
        let (slot, label) = (self.slot(name)?, self.label(name)?);
        let (shadow, module) = (slot.shadow.as_ref()?, label.shadow.as_ref()?);
        let identity = |module: &LoadedModule, generation| Identity {
            version: module.descriptor().version.clone(),
            digest: module.digest().to_owned(),
            generation,
        };
        let all = self.snapshot.lanes.iter().flat_map(|lane| &lane.detectors);
        let of_shadow = all.filter(|seat| seat.detector == name).filter_map(|seat| seat.comparison.clone());
        let of_shadow = of_shadow.filter(|comparison| comparison.candidate.generation == shadow.generation);
        let incumbent = slot.plan.as_ref().map(|_| identity(&label.module, slot.generation));
        Some(match Comparison::over(of_shadow) {
            // Before the first reading nothing is held against anybody.
            Some(comparison) => Comparison { incumbent: comparison.incumbent.or(incumbent), ..comparison },
            None => Comparison::none(identity(module, shadow.generation), incumbent),
        })
    }

    fn seats<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a DetectorSnapshot> {
        let role = self.role(name);
        let all = self.snapshot.lanes.iter().flat_map(|lane| &lane.detectors);
        all.filter(move |seat| seat.detector == name && seat.role == role)
    }

    fn detector(&self, name: &str) -> Detector {
        let (label, slot, plan) = (self.label(name), self.slot(name), self.plan(name));
        let sample = wiring::over_lanes(&self.snapshot, name, self.role(name));
        let lanes = InLanes {
            running: self.seats(name).filter(|seat| seat.quarantine.is_none()).count(),
            quarantined: sample.quarantined_lanes as usize,
        };
        let fate = self.fate(name, lanes);
        let quarantine = self.seats(name).find_map(|seat| seat.quarantine.clone());
        let refused =
            self.board.refused.get(name).map(|refused| format!("its file is refused: {}", refused.reason));
        let account = wiring::account_of(&self.snapshot);
        let of_phase = |phase: Phase| {
            let of = account.anomalies.iter();
            of.filter(|(label, _)| label.detector == name && label.phase == phase)
                .map(|(_, count)| count)
                .sum()
        };
        let busy_ns = sample.seconds * 1e9;
        let is_known = label.is_some() || plan.is_some();
        Detector {
            name: name.to_owned(),
            version: label.map(|label| label.module.descriptor().version.clone()),
            digest: plan
                .map(|plan| plan.digest.clone())
                .or(label.map(|label| label.module.digest().to_owned())),
            generation: slot.map(|slot| match (&slot.plan, &slot.shadow) {
                (None, Some(shadow)) => shadow.generation,
                _ => slot.generation,
            }),
            mode: if is_known { plan.map_or("live".to_owned(), mode_of) } else { "off".to_owned() },
            fate,
            why: quarantine.or(refused).or_else(|| self.rejected(name)),
            lanes,
            contract: label.map(|label| label.module.contract_version().to_owned()),
            imports: label.map_or_else(Vec::new, |label| label.module.imports().to_vec()),
            memory_bytes: sample.memory_bytes,
            state_bytes: Some(sample.state_bytes).filter(|bytes| *bytes > 0),
            cost: Cost {
                ns_per_reading: (sample.readings > 0).then(|| busy_ns / sample.readings as f64),
                seconds_total: sample.seconds,
                share: if self.busy_ns > 0 { busy_ns / self.busy_ns as f64 } else { 0.0 },
            },
            findings_total: self.seats(name).map(|seat| seat.usage.findings).sum(),
            anomalies: Anomalies {
                raised: of_phase(Phase::Raised),
                updated: of_phase(Phase::Updated),
                cleared: of_phase(Phase::Cleared),
                single: of_phase(Phase::Single),
            },
            skipped_total: account.skipped.get(name).copied().unwrap_or(0),
            faults: sample.faults.iter().map(|(fault, count)| ((*fault).to_owned(), *count)).collect(),
            open_episodes: sample.open_episodes,
            rollback_to: slot.and_then(|slot| self.before(slot)),
            warm_until: self.warm_until(name),
            shadow: self.comparison(name),
        }
    }

    fn fate(&self, name: &str, lanes: InLanes) -> Fate {
        let runs = self.plan(name).is_some() || self.label(name).is_some();
        match (lanes.running, lanes.quarantined) {
            (0, 0) if self.board.refused.contains_key(name) && !runs => Fate::Refused,
            (0, 0) if !runs => Fate::Disabled,
            (0, 0) => Fate::Starting,
            (_, 0) => Fate::Running,
            (0, _) => Fate::Quarantined,
            _ => Fate::Mixed,
        }
    }

    /// What was tried last and taken back.
    fn rejected(&self, name: &str) -> Option<String> {
        let slot = self.slot(name)?;
        let rejected = slot.rejected.as_ref()?;
        let became = if slot.is_taken() { "what came last is taken back" } else { "does not run" };
        Some(format!("{became}: {}", rejected.reason))
    }

    fn before(&self, slot: &Slot) -> Option<Before> {
        let previous = slot.previous.as_ref()?;
        // What is kept warm in a lane is known best.
        let all = self.snapshot.lanes.iter().flat_map(|lane| &lane.detectors);
        let warm = all.into_iter().find(|seat| seat.role == Role::Warm && seat.digest == previous.digest);
        Some(Before {
            generation: warm.map(|seat| seat.generation),
            version: warm.map(|seat| seat.version.clone()),
            digest: previous.digest.clone(),
        })
    }

    fn warm_until(&self, name: &str) -> Option<String> {
        let all = self.snapshot.lanes.iter().flat_map(|lane| &lane.detectors);
        all.into_iter().find(|seat| seat.role == Role::Warm && seat.detector == name)?;
        let window = self.plan(name)?.rollback_window_ms as i64;
        let until = self.slot(name)?.came?.at_ms.saturating_add(window);
        (until > now_ms()).then(|| rfc3339(until))
    }
}

/// As the roster writes it.
fn mode_of(plan: &Plan) -> String {
    match serde_json::to_value(plan.mode) {
        Ok(Value::String(mode)) => mode,
        _ => "live".to_owned(),
    }
}

impl Detector {
    /// Whether all that people are told of at once is the same.
    pub fn is_like(&self, other: &Detector) -> bool {
        let of = |detector: &Detector| {
            (
                detector.digest.clone(),
                detector.generation,
                detector.mode.clone(),
                detector.fate,
                detector.why.clone(),
                detector.lanes,
                detector.rollback_to.clone(),
                detector.shadow.as_ref().map(|shadow| shadow.candidate.clone()),
            )
        };
        of(self) == of(other)
    }
}
