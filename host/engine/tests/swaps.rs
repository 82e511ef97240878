//! Detectors that are swapped while the lane lives, is killed and lives again.
//!
//! What a lane says is a function of what it read and of its decisions: a lane that is told all of them beforehand and
//! never disturbed says the same. And a swap for the same module changes nothing at all.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gridwatch_connectors::memory::{MemoryFeed, MemorySink, MemoryStore};
use gridwatch_core::decision::{Decision, What};
use gridwatch_core::sink::{Delivery, Sink, Store, Stream};
use gridwatch_engine::deployment::{Deployment, Deployments, GoneDeployment, Mode, OnNewState};
use gridwatch_engine::history::History;
use gridwatch_engine::lane::{
    Apprentice, Base, Counts, Event, Lane, LaneParts, Named, OfKind, OfSubject, Resume, Side,
};
use gridwatch_engine::settings::PaceSettings;
use gridwatch_engine::worker::{Parcel, Step, Worker};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use support::judge::{BOMB, NativeModule, POISON_OF_NEWER};
use support::life::{Decider, assert_same, lines, pace, undisturbed};
use support::readings::records;
use support::{deployment, open, parts};

const SEEDS: u64 = 1_500;
const NAMES: [&str; 3] = ["every", "third", "voltage"];

/// All that ever ran.
#[derive(Default)]
struct Past {
    all: Mutex<BTreeMap<(String, u64), Arc<Deployment>>>,
    /// What lanes have lived can be lived again.
    is_remembered: bool,
}

impl Deployments for Past {
    fn deployment(&self, detector: &str, generation: u64) -> Result<Arc<Deployment>, GoneDeployment> {
        let found = self.all.lock().unwrap().get(&(detector.to_owned(), generation)).cloned();
        found.ok_or_else(|| GoneDeployment::Unknown { what: format!("{detector} of {generation}") })
    }
}

impl Past {
    /// A version of a detector, under the next generation.
    fn bring(&self, name: &str, version: u32) -> Arc<Deployment> {
        self.bring_as(Mode::Live, name, version)
    }

    fn bring_as(&self, mode: Mode, name: &str, version: u32) -> Arc<Deployment> {
        let Past { is_remembered, .. } = self;
        let mut all = self.all.lock().unwrap();
        let generation = all.len() as u64 + 1;
        let prefix = if name == "voltage" { "voltage" } else { "" };
        let deployment = deployment(NativeModule::versioned(name, prefix, version), generation);
        // Without a history nothing is kept of those who fail: who comes after them begins anew.
        let on_new_state = if *is_remembered { OnNewState::Refuse } else { OnNewState::Cold };
        let faults_max = if *is_remembered { (generation % 4) as usize } else { deployment.faults_max };
        let deployment = Arc::new(Deployment { mode, on_new_state, faults_max, ..(*deployment).clone() });
        all.insert((name.to_owned(), generation), deployment.clone());
        deployment
    }
}

fn parts_of(
    past: &Arc<Past>,
    running: &[Arc<Deployment>],
    rows_max: usize,
    feed: &MemoryFeed,
    store: &MemoryStore,
) -> LaneParts {
    let (source, store) = (Arc::new(feed.clone()), Arc::new(store.clone()));
    let history = History { source, store, rebuild_max: Duration::from_secs(60) };
    LaneParts {
        deployments: running.to_vec(),
        past: Some(past.clone()),
        history: past.is_remembered.then_some(history),
        ..parts(rows_max)
    }
}

/// One life of the process, and what of its decisions is final.
struct Life<'s> {
    decider: Decider,
    store: &'s MemoryStore,
    candidate: Option<Apprentice>,
    /// It is to begin at the next checkpoint.
    awaited: Option<Arc<Deployment>>,
    /// Taken of the tape, and not lived by the candidate yet.
    events: Vec<Event>,
}

impl<'s> Life<'s> {
    fn begin(parts: LaneParts, sink: &MemorySink, store: &'s MemoryStore, feed: MemoryFeed) -> Self {
        let (worker, outlet) = open(parts, sink, store, Box::new(feed), pace());
        let outlet = outlet.keeping(Duration::from_secs(1 << 33));
        let decider = Decider::new((worker, outlet), sink);
        Life { decider, store, candidate: None, awaited: None, events: Vec::new() }
    }

    fn step(&mut self, now: u64, checkpoint: bool, made: &mut Vec<Decision>) -> Step {
        let step = self.decider.step(now, checkpoint, made);
        if let Some(base) = self.decider.worker.take_begun() {
            let awaited = self.awaited.take().unwrap();
            self.begin_candidate(awaited, base);
        }
        let worker = &mut self.decider.worker;
        self.events.extend(worker.lane_mut().take_events());
        if !worker.lane().is_preparing() {
            self.candidate = None;
        }
        step
    }

    /// Unless nothing is left that it could begin with.
    fn begin_candidate(&mut self, deployment: Arc<Deployment>, base: Base) {
        self.events.clear();
        self.candidate = Apprentice::new(deployment, base).ok();
        if self.candidate.is_none() {
            self.decider.worker.lane_mut().forget_candidate();
        }
    }

    fn do_chores(&mut self) {
        let Decider { worker, outlet, .. } = &mut self.decider;
        for chore in outlet.take_chores() {
            if let Some(stored) = chore.run(self.store) {
                worker.lane_mut().set_durable(stored.result.clone().unwrap().name);
                outlet.stored(stored);
            }
        }
    }

    /// Where there is one version only, shadows find what the live ones find.
    fn compare(&self) -> u64 {
        let comparisons = self.decider.worker.lane().detectors().filter_map(|detector| detector.comparison);
        comparisons.fold(0, |sum, comparison| {
            assert_eq!(comparison.counts.differences(), 0, "{comparison:?}");
            sum + comparison.counts.both
        })
    }

    /// Something of a swap, if there is something to be done.
    fn change(&mut self, random: &mut ChaCha8Rng, past: &Past, versions: u32) {
        if !self.decider.worker.lane().may_change() || self.awaited.is_some() {
            return;
        }
        let lane = self.decider.worker.lane_mut();
        let name = NAMES[random.random_range(0..NAMES.len())];
        match (self.candidate.take(), random.random_range(0..17)) {
            (Some(mut candidate), 0..9) => {
                let lived = self.events.drain(..).try_for_each(|event| candidate.live(event));
                match lived {
                    Ok(()) => drop(lane.swap(candidate).unwrap()),
                    Err(_) => lane.forget_candidate(),
                }
            }
            (Some(mut candidate), _) => {
                let some = random.random_range(0..=self.events.len());
                match self.events.drain(..some).try_for_each(|event| candidate.live(event)) {
                    Ok(()) => self.candidate = Some(candidate),
                    Err(_) => lane.forget_candidate(),
                }
            }
            (None, 0..3 | 13..16) if versions > 1 => {
                (1..=versions).any(|version| lane.go_back(&past.bring(name, version)).unwrap());
            }
            (None, 3) if versions > 1 => {
                if lane.generations().any(|(running, _)| running == name) {
                    lane.remove(name, random.random_range(0..2) == 0).unwrap();
                }
            }
            (None, 4) if versions > 1 => lane.let_go(name),
            (None, 5 | 12) => lane.unshade(name).unwrap(),
            (None, 8) if versions > 1 => {
                (1..=versions).any(|version| lane.rename(&past.bring(name, version)).unwrap());
            }
            (None, 9) => {
                let out: Vec<String> = lane.quarantined().map(|out| out.detector).collect();
                out.iter()
                    .for_each(|detector| assert!(lane.release(detector).unwrap() || !past.is_remembered));
            }
            (None, 6 | 7) => {
                let Some(name) = lane.shadows().map(|(name, _)| name.to_owned()).next() else { return };
                (1..=versions).any(|version| lane.promote(&past.bring(&name, version)).unwrap());
            }
            (None, _) => {
                // With one version only those that run are swapped, and nothing is added.
                if versions > 1 || name != "third" {
                    let mode = if random.random_range(0..3) == 0 { Mode::Shadow } else { Mode::Live };
                    let deployment = past.bring_as(mode, name, random.random_range(1..=versions));
                    if lane.prepare_time(name).is_some() && random.random_range(0..2) == 0 {
                        self.awaited = Some(deployment.clone());
                        return self.decider.worker.await_checkpoint(deployment);
                    }
                    let base = lane.prepare(&deployment).unwrap();
                    self.begin_candidate(deployment, base);
                }
            }
        }
    }
}

struct Told {
    sink: MemorySink,
    /// Findings of both, of shadows that were of the same version.
    compared: u64,
    decisions: Vec<Decision>,
    kills: u32,
    past: Arc<Past>,
    first: Vec<Arc<Deployment>>,
}

fn disturbed(
    seed: u64,
    sink: MemorySink,
    records: &[Vec<u8>],
    versions: u32,
    rows_max: Option<usize>,
    is_remembered: bool,
) -> Told {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let (store, past) = (MemoryStore::default(), Arc::new(Past { is_remembered, ..Past::default() }));
    let first = vec![past.bring("every", 1), past.bring("voltage", 1)];
    let (mut decisions, mut kills, mut compared) = (Vec::new(), 0, 0);
    loop {
        let feed = MemoryFeed::new(records.to_vec()).chunks_of(random.random_range(1..30));
        let rows_max = rows_max.unwrap_or_else(|| random.random_range(1..40));
        let parts = parts_of(&past, &first, rows_max, &feed, &store);
        let mut life = Life::begin(parts, &sink, &store, feed);
        let mut now = 0;
        let ended = loop {
            now += random.random_range(0..3);
            let step = life.step(now, random.random_range(0..12) == 0, &mut decisions);
            if step == Step::Ended {
                break true;
            }
            if random.random_range(0..6) > 0 {
                life.change(&mut random, &past, versions);
            }
            if random.random_range(0..3) == 0 {
                life.do_chores();
            }
            if random.random_range(0..5) == 0 {
                life.decider.settle(&mut decisions);
            }
            if kills < 12 && random.random_range(0..10) == 0 {
                break false;
            }
        };
        if versions == 1 {
            compared += life.compare();
        }
        if ended {
            life.do_chores();
            life.decider.settle(&mut decisions);
            return Told { sink, compared, decisions, kills, past, first };
        }
        kills += 1;
        drop(life);
        sink.crash();
    }
}

/// A lane that is told all decisions beforehand, in one life.
fn foretold(told: &Told, records: &[Vec<u8>], rows_max: usize) -> Vec<Vec<String>> {
    let (feed, store) = (MemoryFeed::new(records.to_vec()), MemoryStore::default());
    let mut parts = parts_of(&told.past, &told.first, rows_max, &feed, &store);
    // Where messages come again, those that follow from a decision are said with it.
    parts.delivery = Delivery::AtLeastOnce;
    let checkpoint = Lane::cold(parts.clone(), 0).unwrap().checkpoint().unwrap();
    store.put("first", checkpoint.clone().encode().unwrap()).unwrap();
    let resume = Resume { checkpoint, committed: 0, decisions: told.decisions.clone() };
    let mut lane = Lane::resume(parts, resume).unwrap();
    lane.set_durable("first".to_owned());
    let mut worker = Worker::new(lane, Box::new(feed), PaceSettings::default(), Duration::ZERO).unwrap();
    let mut said = vec![Vec::new(), Vec::new()];
    let mut hear = |parcel: Parcel| {
        let Parcel::Output { output, .. } = parcel else { return };
        for message in output.messages {
            let line = String::from_utf8_lossy(&message.json()).into_owned();
            said[usize::from(message.stream() == Stream::DeadLetters)].push(line);
        }
    };
    while worker.step(Duration::ZERO, Duration::ZERO, false, &mut hear).unwrap() == Step::Again {}
    said
}

/// Some voltages are poison to some versions, or at a later tick.
fn with_harm(random: &mut ChaCha8Rng, record: Vec<u8>) -> Vec<u8> {
    let text = String::from_utf8_lossy(&record).into_owned();
    let Some(at) = text.find("\"voltage\":").filter(|_| random.random_range(0..50) == 0) else {
        return record;
    };
    let from = at + "\"voltage\":".len();
    let to = text[from..].find([',', '}']).map_or(text.len(), |length| from + length);
    let harm = if random.random_range(0..8) == 0 { BOMB } else { POISON_OF_NEWER };
    format!("{}{harm}{}", &text[..from], &text[to..]).into_bytes()
}

/// How often what was done. With poison and without a history there is one row a batch, as who fails is out from the
/// batch's first row on.
fn compare(
    seeds: std::ops::Range<u64>,
    sink: fn() -> MemorySink,
    poison: bool,
    is_remembered: bool,
) -> BTreeMap<&'static str, u32> {
    let rows_max = (poison && !is_remembered).then_some(1);
    let mut counts = BTreeMap::new();
    for seed in seeds {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut records = records(&mut random, if is_remembered { 300 } else { 150 }, poison);
        if poison && is_remembered {
            records = records.into_iter().map(|record| with_harm(&mut random, record)).collect();
        }
        let told = disturbed(seed, sink(), &records, 3, rows_max, is_remembered);
        let expected = foretold(&told, &records, rows_max.unwrap_or(64));
        for (stream, expected) in [Stream::Anomalies, Stream::DeadLetters].into_iter().zip(&expected) {
            let what = format!("seed {seed} after {} kills: {stream:?}", told.kills);
            let seen = lines(&told.sink, stream);
            if told.sink.delivery() == Delivery::ExactlyOnce {
                assert_same(&what, expected, &seen);
                continue;
            }
            // What was out and not committed when a life ended is judged again, and a swap may have come before it by
            // then: nothing is lost, but what is seen again may have been judged by another version.
            let seen: HashSet<&String> = seen.iter().collect();
            let lost: Vec<&String> = expected.iter().filter(|line| !seen.contains(line)).collect();
            assert!(lost.is_empty(), "{what}: lost {lost:?}");
        }
        *counts.entry("kill").or_insert(0) += told.kills;
        for decision in told.decisions {
            let what = match decision.what {
                What::Swap { .. } => "swap",
                What::Back { .. } => "back",
                What::Remove { .. } => "remove",
                What::Shadow { .. } => "shadow",
                What::Promote { .. } => "promote",
                What::Quarantine { .. } => "quarantine",
                What::Unshade { .. } => "unshade",
                What::Skip { .. } => "skip",
                What::Suspend { .. } => "suspend",
                What::Release { .. } => "release",
                What::Rename { .. } => "rename",
                What::Recall { .. } => "recall",
                What::FallBack { .. } => "fall back",
                _ => "other",
            };
            *counts.entry(what).or_insert(0) += 1;
        }
    }
    counts
}

fn assert_enough(counts: &BTreeMap<&'static str, u32>, whats: &[&str]) {
    let is_enough = |what: &&str| counts.get(what).is_some_and(|count| *count > 25);
    assert!(whats.iter().all(is_enough), "{counts:?}");
}

#[test]
fn whatever_is_swapped_it_says_what_its_decisions_imply() {
    let counts = compare(0..SEEDS, MemorySink::new, false, false);
    assert_enough(&counts, &["kill", "swap", "back", "remove", "shadow", "promote"]);
}

#[test]
fn whatever_is_swapped_around_faults_it_says_what_its_decisions_imply() {
    let counts = compare(1_000_000..1_000_000 + SEEDS, MemorySink::new, true, false);
    assert_enough(&counts, &["kill", "swap", "remove", "shadow", "unshade", "promote", "quarantine"]);
}

#[test]
fn whatever_is_swapped_around_faults_that_are_searched_it_says_what_its_decisions_imply() {
    let counts = compare(3_000_000..3_000_000 + SEEDS, MemorySink::new, true, true);
    assert_enough(&counts, &["kill", "swap", "back", "fall back", "skip", "suspend", "release", "rename"]);
    assert_enough(&counts, &["remove", "shadow", "unshade", "promote"]);
}

#[test]
fn whatever_is_swapped_at_least_once_loses_nothing() {
    let counts = compare(2_000_000..2_000_000 + SEEDS, MemorySink::at_least_once, false, false);
    assert_enough(&counts, &["kill", "swap", "back", "remove"]);
}

#[test]
fn a_swap_for_the_same_module_changes_nothing() {
    let (mut swaps, mut promotions, mut compared) = (0, 0, 0);
    for seed in 0..SEEDS / 2 {
        let records = records(&mut ChaCha8Rng::seed_from_u64(seed), 150, false);
        let told = disturbed(5_000_000 + seed, MemorySink::new(), &records, 1, None, false);
        let expected = undisturbed(parts(64), &records);
        for stream in [Stream::Anomalies, Stream::DeadLetters] {
            assert_same(
                &format!("seed {seed}: {stream:?}"),
                &lines(&expected, stream),
                &lines(&told.sink, stream),
            );
        }
        let count = |is: fn(&What) -> bool| told.decisions.iter().filter(|made| is(&made.what)).count();
        swaps += count(|what| matches!(what, What::Swap { .. }));
        promotions += count(|what| matches!(what, What::Promote { .. }));
        compared += told.compared;
    }
    assert!(
        swaps > 200 && promotions > 25 && compared > 1_000,
        "only {swaps} swaps, {promotions} promotions, {compared} findings compared"
    );
}

/// The second version finds values above 90 high, the first above 100.
#[test]
fn a_shadow_is_held_against_the_live_one_finding_by_finding() {
    let past = Arc::new(Past::default());
    let readings = [(0, 80), (60, 95), (120, 105), (180, 80), (240, 110)];
    let record = |(second, volts): (i64, i64)| {
        let time = 1_767_225_600_000 + second * 1_000;
        format!(r#"{{"sensor_id":"s0","timestamp":{time},"voltage":{volts}}}"#).into_bytes()
    };
    let feed = MemoryFeed::new(readings.map(record).to_vec());
    let parts = parts_of(&past, &[past.bring("every", 1)], 64, &feed, &MemoryStore::default());
    let mut worker =
        Worker::new(Lane::cold(parts, 0).unwrap(), Box::new(feed), PaceSettings::default(), Duration::ZERO)
            .unwrap();
    let shadow = past.bring_as(Mode::Shadow, "every", 2);
    let base = worker.lane_mut().prepare(&shadow).unwrap();
    worker.lane_mut().swap(Apprentice::new(shadow, base).unwrap()).unwrap().unwrap();
    let mut heard = 0;
    let mut hear = |parcel: Parcel| {
        if let Parcel::Output { output, .. } = parcel {
            heard += output.messages.len();
        }
    };
    while worker.step(Duration::ZERO, Duration::ZERO, false, &mut hear).unwrap() == Step::Again {}
    assert_eq!(heard, 3, "the live one raises, clears and raises, and nobody else is heard");
    let comparison = worker.lane().detectors().find_map(|detector| detector.comparison).unwrap();
    // Both clear at 180 s and raise at 240 s; the shadow raises at 60 s what the live one raises at 120 s.
    let counts = Counts { both: 2, only_new: 1, only_old: 1 };
    assert_eq!((comparison.readings, comparison.counts), (5, counts));
    assert_eq!(comparison.by_kind, [OfKind { kind: "high".into(), counts }]);
    assert_eq!(comparison.by_sensor, [OfSubject { subject: Named::Sensor("s0".into()), counts }]);
    let examples: Vec<(Side, Option<f64>)> =
        comparison.examples.iter().map(|example| (example.side, example.value)).collect();
    assert_eq!(examples, [(Side::OnlyNew, Some(95.0)), (Side::OnlyOld, Some(105.0))]);
    let json = serde_json::to_value(&comparison).unwrap();
    assert_eq!(
        (&json["by_sensor"][0]["sensor_id"], &json["only_new"], &json["examples"][0]["timestamp"]),
        (&"s0".into(), &1.into(), &"2026-01-01T00:01:00.000Z".into())
    );
}
