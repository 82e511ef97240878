//! What a shadow finds, held against what the live one finds on the same readings.
//!
//! Two findings are the same where subject, quantity, kind, phase and timestamp are, and the same batch or tick
//! brought them about: how sure a build is, and in which words it says so, may differ.

use std::collections::{BTreeMap, HashMap, VecDeque};

use gridwatch_core::Timestamp;
use gridwatch_core::finding::{Finding, Phase, Severity, Subject};
use gridwatch_core::sensors::SensorTable;
use gridwatch_core::time::rfc3339;
use serde::{Serialize, Serializer};

use super::builder::Builder;
use super::seat::{Seat, Usage};

/// Sensors and groups that are counted apart. Beyond that those are forgotten on whom both agree most.
const SUBJECTS_MAX: usize = 1_000;
/// Sensors and groups that are told, those with the most differences.
const SUBJECTS_TOLD: usize = 20;
/// Findings of one side alone that are kept to be looked at, the last ones of each side.
const EXAMPLES_MAX: usize = 10;
const EXPLANATION_BYTES_MAX: usize = 300;

/// How a shadow compares, since it came or the live one changed. Only what was lived counts, not what was lived again.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    pub candidate: Identity,
    /// None: nobody is live under the name.
    pub incumbent: Option<Identity>,
    /// Event time.
    #[serde(serialize_with = "as_rfc3339_or_null")]
    pub since: Option<Timestamp>,
    /// That both have judged.
    pub readings: u64,
    #[serde(flatten)]
    pub counts: Counts,
    pub by_kind: Vec<OfKind>,
    /// Those with the most differences.
    pub by_sensor: Vec<OfSubject>,
    pub examples: Vec<Example>,
    pub cost: Cost,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Identity {
    pub version: String,
    pub digest: String,
    pub generation: u64,
}

/// Findings of both, and of one alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub both: u64,
    pub only_new: u64,
    pub only_old: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OfKind {
    pub kind: String,
    #[serde(flatten)]
    pub counts: Counts,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OfSubject {
    #[serde(flatten)]
    pub subject: Named,
    #[serde(flatten)]
    pub counts: Counts,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Named {
    #[serde(rename = "sensor_id")]
    Sensor(String),
    #[serde(rename = "group")]
    Group(String),
}

/// Who has found what the other has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    OnlyNew,
    OnlyOld,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Example {
    pub side: Side,
    #[serde(flatten)]
    pub subject: Named,
    pub kind: String,
    pub quantity: Option<String>,
    pub phase: Phase,
    pub severity: Severity,
    #[serde(serialize_with = "as_rfc3339")]
    pub timestamp: Timestamp,
    pub score: f64,
    pub value: Option<f64>,
    pub explanation: Option<String>,
}

/// Nanoseconds a reading.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Cost {
    pub candidate_ns: Option<f64>,
    pub incumbent_ns: Option<f64>,
    /// What is behind them, so that lanes can be added up.
    #[serde(skip)]
    pub candidate: Usage,
    #[serde(skip)]
    pub incumbent: Usage,
}

fn as_rfc3339<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339(*time))
}

fn as_rfc3339_or_null<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => as_rfc3339(time, serializer),
        None => serializer.serialize_none(),
    }
}

impl Counts {
    pub fn add(&mut self, other: Counts) {
        self.both += other.both;
        self.only_new += other.only_new;
        self.only_old += other.only_old;
    }

    pub fn differences(&self) -> u64 {
        self.only_new + self.only_old
    }

    /// Those that differ most come first.
    fn rank(&self) -> std::cmp::Reverse<(u64, u64)> {
        std::cmp::Reverse((self.differences(), self.both))
    }

    fn count(&mut self, side: Option<Side>) {
        match side {
            None => self.both += 1,
            Some(Side::OnlyNew) => self.only_new += 1,
            Some(Side::OnlyOld) => self.only_old += 1,
        }
    }
}

impl Named {
    pub fn name(&self) -> &str {
        match self {
            Named::Sensor(name) | Named::Group(name) => name,
        }
    }
}

impl Identity {
    pub fn of(seat: &Seat) -> Identity {
        let (version, digest) = seat.identity();
        Identity { version, digest, generation: seat.deployment.generation }
    }
}

impl Cost {
    fn of(candidate: Usage, incumbent: Usage) -> Cost {
        let ns = |usage: Usage| (usage.rows > 0).then(|| usage.busy_ns as f64 / usage.rows as f64);
        Cost { candidate_ns: ns(candidate), incumbent_ns: ns(incumbent), candidate, incumbent }
    }
}

impl Comparison {
    /// Of who has not begun yet.
    pub fn none(candidate: Identity, incumbent: Option<Identity>) -> Comparison {
        Comparison {
            candidate,
            incumbent,
            since: None,
            readings: 0,
            counts: Counts::default(),
            by_kind: Vec::new(),
            by_sensor: Vec::new(),
            examples: Vec::new(),
            cost: Cost::default(),
        }
    }

    /// The same over several lanes; None where there are none. Lanes that compare other generations are on their way
    /// and do not count.
    pub fn over(lanes: impl Iterator<Item = Comparison>) -> Option<Comparison> {
        let mut lanes: Vec<Comparison> = lanes.collect();
        let newest = lanes.iter().map(|lane| lane.candidate.generation).max()?;
        lanes.retain(|lane| lane.candidate.generation == newest);
        let mut sum = lanes.pop()?;
        lanes.into_iter().for_each(|lane| sum.merge(lane));
        sum.by_sensor.sort_by(most_different);
        sum.by_sensor.truncate(SUBJECTS_TOLD);
        sum.examples.sort_by_key(|example| std::cmp::Reverse(example.timestamp));
        sum.examples.truncate(2 * EXAMPLES_MAX);
        Some(sum)
    }

    fn merge(&mut self, other: Comparison) {
        self.since = [self.since, other.since].into_iter().flatten().min();
        self.readings += other.readings;
        self.counts.add(other.counts);
        for of in other.by_kind {
            match self.by_kind.iter_mut().find(|known| known.kind == of.kind) {
                Some(known) => known.counts.add(of.counts),
                None => self.by_kind.push(of),
            }
        }
        // Groups of one name in two lanes are two groups, told as one.
        for of in other.by_sensor {
            match self.by_sensor.iter_mut().find(|known| known.subject == of.subject) {
                Some(known) => known.counts.add(of.counts),
                None => self.by_sensor.push(of),
            }
        }
        self.examples.extend(other.examples);
        let sum = |mut usage: Usage, more: Usage| {
            usage.rows += more.rows;
            usage.busy_ns += more.busy_ns;
            usage
        };
        let (mine, others) = (self.cost, other.cost);
        self.cost = Cost::of(sum(mine.candidate, others.candidate), sum(mine.incumbent, others.incumbent));
    }
}

fn most_different(a: &OfSubject, b: &OfSubject) -> std::cmp::Ordering {
    a.counts.rank().cmp(&b.counts.rank()).then_with(|| a.subject.cmp(&b.subject))
}

/// What a shadow's findings have come to so far.
#[derive(Default)]
pub struct Tally {
    incumbent: Option<Identity>,
    since: Option<Timestamp>,
    readings: u64,
    counts: Counts,
    by_kind: BTreeMap<String, Counts>,
    by_subject: HashMap<Told, Counts>,
    examples: [VecDeque<Example>; 2],
    /// What both had cost when it began.
    candidate_before: Usage,
    incumbent_before: Usage,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Told {
    Sensor(u32),
    Group(String),
}

/// What a finding is the same by. In the order of the fields.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key<'a> {
    timestamp: Timestamp,
    sensor: Option<u32>,
    group: Option<&'a str>,
    /// The lane's index.
    quantity: Option<u32>,
    kind: &'a str,
    phase: Phase,
}

/// What a batch or a tick has brought about, of one seat.
pub struct Found<'a> {
    pub seat: &'a Seat,
    pub findings: Vec<&'a Finding>,
}

/// Where it was found.
pub struct Where<'a> {
    /// None in a tick.
    pub batch: Option<&'a Builder>,
    pub sensors: &'a SensorTable,
    /// Names of the lane's quantities.
    pub quantity: &'a dyn Fn(u32) -> String,
    pub time: Option<Timestamp>,
}

impl<'a> Found<'a> {
    fn sorted(&self, place: &Where<'_>) -> Vec<(Key<'a>, &'a Finding)> {
        let kinds = &self.seat.deployment.module.descriptor().kinds;
        let mut keys: Vec<(Key<'a>, &'a Finding)> = Vec::with_capacity(self.findings.len());
        for &finding in &self.findings {
            let (sensor, group) = match &finding.subject {
                Subject::Reading => (place.batch.map(|batch| batch.sensor(finding.row as usize)), None),
                Subject::Sensor(sensor) => (Some(*sensor), None),
                Subject::Group(name) => (None, Some(name.as_str())),
            };
            let quantity = finding.quantity.map(|chosen| self.seat.chosen[chosen as usize]);
            let (kind, phase) = (kinds[finding.kind as usize].name.as_str(), finding.phase);
            keys.push((Key { timestamp: finding.timestamp, sensor, group, quantity, kind, phase }, finding));
        }
        keys.sort_by(|(a, _), (b, _)| a.cmp(b));
        keys
    }
}

impl Tally {
    /// Counts what both have found in a batch, or a tick. It begins anew where the live one is another than before.
    pub fn compare(&mut self, new: &Found<'_>, old: Option<&Found<'_>>, place: &Where<'_>) {
        self.begin(new, old, place);
        self.readings += place.batch.map_or(0, |batch| batch.rows() as u64);
        let (new, old) = (new.sorted(place), old.map(|old| old.sorted(place)).unwrap_or_default());
        let (mut new, mut old) = (new.iter().peekable(), old.iter().peekable());
        loop {
            let (side, (key, finding)) = match (new.peek(), old.peek()) {
                (None, None) => return,
                (Some((ours, _)), Some((theirs, _))) if ours == theirs => {
                    old.next();
                    let Some(both) = new.next() else { return };
                    (None, both)
                }
                (ours, theirs) => {
                    let is_ours = match (ours, theirs) {
                        (Some((ours, _)), Some((theirs, _))) => ours < theirs,
                        (ours, _) => ours.is_some(),
                    };
                    let (side, next) =
                        if is_ours { (Side::OnlyNew, new.next()) } else { (Side::OnlyOld, old.next()) };
                    let Some(one) = next else { return };
                    (Some(side), one)
                }
            };
            self.count(side, key, finding, place);
        }
    }

    fn begin(&mut self, new: &Found<'_>, old: Option<&Found<'_>>, place: &Where<'_>) {
        let incumbent = old.map(|old| &old.seat.deployment);
        let known = self.incumbent.as_ref().map(|known| (known.generation, known.digest.as_str()));
        let is_same = known == incumbent.map(|live| (live.generation, live.module.digest()));
        if is_same && self.since.is_some() {
            return;
        }
        *self = Tally {
            incumbent: old.map(|old| Identity::of(old.seat)),
            since: place.time,
            candidate_before: new.seat.usage,
            incumbent_before: old.map(|old| old.seat.usage).unwrap_or_default(),
            ..Tally::default()
        };
    }

    fn count(&mut self, side: Option<Side>, key: &Key<'_>, finding: &Finding, place: &Where<'_>) {
        self.counts.count(side);
        self.by_kind.entry(key.kind.to_owned()).or_default().count(side);
        let told = match (key.sensor, key.group) {
            (Some(sensor), _) => Told::Sensor(sensor),
            (None, group) => Told::Group(group.unwrap_or_default().to_owned()),
        };
        if let Some(side) = side {
            let examples = &mut self.examples[usize::from(side == Side::OnlyOld)];
            if examples.len() >= EXAMPLES_MAX {
                examples.pop_front();
            }
            examples.push_back(Example {
                side,
                subject: told.named(place.sensors),
                kind: key.kind.to_owned(),
                quantity: key.quantity.map(place.quantity),
                phase: finding.phase,
                severity: finding.severity,
                timestamp: finding.timestamp,
                score: finding.score,
                value: finding.observed.filter(|value| value.is_finite()),
                explanation: finding.explanation.as_deref().map(shortened),
            });
        }
        self.by_subject.entry(told).or_default().count(side);
        if self.by_subject.len() > SUBJECTS_MAX {
            let mut ranks: Vec<_> = self.by_subject.values().map(Counts::rank).collect();
            let (_, &mut median, _) = ranks.select_nth_unstable(SUBJECTS_MAX / 2);
            self.by_subject.retain(|_, of| of.rank() < median);
        }
    }

    pub fn report(&self, candidate: &Seat, incumbent: Option<&Seat>, sensors: &SensorTable) -> Comparison {
        let mut most: Vec<(&Told, &Counts)> = self.by_subject.iter().collect();
        most.sort_unstable_by(|a, b| a.1.rank().cmp(&b.1.rank()).then_with(|| a.0.cmp(b.0)));
        let most = most.into_iter().take(SUBJECTS_TOLD);
        let by_sensor =
            most.map(|(told, counts)| OfSubject { subject: told.named(sensors), counts: *counts });
        let by_kind = self.by_kind.iter();
        // What both cost before they were compared is left out, also where they are not yet.
        let cost = match self.since {
            None => Cost::default(),
            Some(_) => Cost::of(
                since(candidate.usage, self.candidate_before),
                incumbent.map_or_else(Usage::default, |live| since(live.usage, self.incumbent_before)),
            ),
        };
        Comparison {
            candidate: Identity::of(candidate),
            incumbent: self.incumbent.clone(),
            since: self.since,
            readings: self.readings,
            counts: self.counts,
            by_kind: by_kind.map(|(kind, counts)| OfKind { kind: kind.clone(), counts: *counts }).collect(),
            by_sensor: by_sensor.collect(),
            examples: self.examples.iter().flatten().cloned().collect(),
            cost,
        }
    }
}

fn since(usage: Usage, before: Usage) -> Usage {
    Usage {
        rows: usage.rows.saturating_sub(before.rows),
        busy_ns: usage.busy_ns.saturating_sub(before.busy_ns),
        ..Usage::default()
    }
}

impl Told {
    fn named(&self, sensors: &SensorTable) -> Named {
        match self {
            Told::Sensor(sensor) => Named::Sensor(sensors.id(*sensor).to_owned()),
            Told::Group(name) => Named::Group(name.clone()),
        }
    }
}

fn shortened(text: &str) -> String {
    text[..text.floor_char_boundary(EXPLANATION_BYTES_MAX)].to_owned()
}
