//! Detectors that fail on readings, on ticks, or by bad luck, while the lane lives, is killed and lives again.
//!
//! Who fails on a reading is not shown it any more, and says of all others what one says that never saw it: a lane that
//! is told beforehand what was decided, and is never disturbed, says the same, however either cuts its batches.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use gridwatch_connectors::memory::{MemoryFeed, MemorySink, MemoryStore};
use gridwatch_core::capsule::{Capsule, name_of};
use gridwatch_core::decision::{Decision, What};
use gridwatch_core::judge::Module;
use gridwatch_core::sink::{Delivery, Outgoing, Sink, Store, Stream};
use gridwatch_engine::capsule::reproduce;
use gridwatch_engine::deployment::Deployment;
use gridwatch_engine::history::{History, Patience};
use gridwatch_engine::lane::{Lane, LaneParts, Resume};
use gridwatch_engine::settings::PaceSettings;
use gridwatch_engine::worker::{Parcel, Step, Worker};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use support::judge::{BOMB, NativeModule, NoLog};
use support::life::{Decider, assert_same, lines, once_each, pace, undisturbed};
use support::readings::records;
use support::{deployment, open, parts};

const SEEDS: u64 = 600;

fn modules() -> [NativeModule; 2] {
    [NativeModule::new("every", ""), NativeModule::new("voltage", "voltage")]
}

fn deployments(faults_max: usize) -> Vec<Arc<Deployment>> {
    let deploy = |module| Arc::new(Deployment { faults_max, ..(*deployment(module, 0)).clone() });
    modules().map(deploy).into()
}

fn history(feed: &MemoryFeed, store: &MemoryStore) -> History {
    let rebuild_max = Duration::from_secs(60);
    History { source: Arc::new(feed.clone()), store: Arc::new(store.clone()), rebuild_max }
}

/// Some voltages make the detector fail at a later tick.
fn with_bombs(random: &mut ChaCha8Rng, records: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let lay = |record: Vec<u8>| {
        let text = String::from_utf8_lossy(&record).into_owned();
        let Some(at) = text.find("\"voltage\":").filter(|_| random.random_range(0..30) == 0) else {
            return record;
        };
        let from = at + "\"voltage\":".len();
        let to = text[from..].find([',', '}']).map_or(text.len(), |length| from + length);
        format!("{}{BOMB}{}", &text[..from], &text[to..]).into_bytes()
    };
    records.into_iter().map(lay).collect()
}

/// One life of the process, and what of its decisions is final.
struct Life<'s> {
    decider: Decider,
    store: &'s MemoryStore,
}

impl Life<'_> {
    fn do_chores(&mut self) {
        for chore in self.decider.outlet.take_chores() {
            if let Some(stored) = chore.run(self.store) {
                self.decider.worker.lane_mut().set_durable(stored.result.clone().unwrap().name);
                self.decider.outlet.stored(stored);
            }
        }
    }

    /// Now and then a quarantine ends.
    fn release(&mut self, random: &mut ChaCha8Rng) {
        let lane = self.decider.worker.lane_mut();
        let out: Vec<String> = lane.quarantined().map(|out| out.detector).collect();
        for detector in out {
            if lane.may_change() && random.random_range(0..4) == 0 {
                assert!(lane.release(&detector).unwrap(), "{detector} cannot go on");
            }
        }
    }
}

struct Told {
    sink: MemorySink,
    store: MemoryStore,
    decisions: Vec<Decision>,
    kills: u32,
}

fn disturbed(seed: u64, sink: MemorySink, records: &[Vec<u8>], faults_max: usize, kills_max: u32) -> Told {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let store = MemoryStore::default();
    let (mut decisions, mut kills) = (Vec::new(), 0);
    loop {
        let feed = MemoryFeed::new(records.to_vec());
        let parts = LaneParts {
            deployments: deployments(faults_max),
            history: Some(history(&feed, &store)),
            ..parts(random.random_range(1..40))
        };
        let feed = feed.chunks_of(random.random_range(1..30));
        let (worker, outlet) = open(parts, &sink, &store, Box::new(feed), pace());
        let outlet = outlet.keeping(Duration::from_secs(1 << 33));
        let mut life = Life { decider: Decider::new((worker, outlet), &sink), store: &store };
        let mut now = 0;
        let ended = loop {
            now += random.random_range(0..3);
            let step = life.decider.step(now, random.random_range(0..12) == 0, &mut decisions);
            if step == Step::Ended {
                break true;
            }
            life.release(&mut random);
            if random.random_range(0..3) == 0 {
                life.do_chores();
            }
            if random.random_range(0..5) == 0 {
                life.decider.settle(&mut decisions);
            }
            if kills < kills_max && random.random_range(0..10) == 0 {
                break false;
            }
        };
        if ended {
            life.do_chores();
            life.decider.settle(&mut decisions);
            life.do_chores();
            return Told { sink, store, decisions, kills };
        }
        kills += 1;
        drop(life);
        sink.crash();
    }
}

/// A lane that is told all decisions beforehand, in one life.
fn foretold(told: &Told, records: &[Vec<u8>], faults_max: usize) -> [Vec<String>; 2] {
    let (feed, store) = (MemoryFeed::new(records.to_vec()), MemoryStore::new());
    let parts = LaneParts {
        deployments: deployments(faults_max),
        history: Some(history(&feed, &store)),
        // Where messages come again, those that follow from a decision are said with it.
        delivery: Delivery::AtLeastOnce,
        ..parts(64)
    };
    let checkpoint = Lane::cold(parts.clone(), 0).unwrap().checkpoint().unwrap();
    store.put("first", checkpoint.clone().encode().unwrap()).unwrap();
    let resume = Resume { checkpoint, committed: 0, decisions: told.decisions.clone() };
    let mut lane = Lane::resume(parts, resume).unwrap();
    lane.set_durable("first".to_owned());
    let mut worker = Worker::new(lane, Box::new(feed), PaceSettings::default(), Duration::ZERO).unwrap();
    let mut said = [Vec::new(), Vec::new()];
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

fn counts_of(decisions: &[Decision]) -> BTreeMap<&'static str, u32> {
    let mut counts = BTreeMap::new();
    for decision in decisions {
        let what = match decision.what {
            What::Skip { .. } => "skip",
            What::Suspend { .. } => "suspend",
            What::Release { .. } => "release",
            What::Quarantine { .. } => "quarantine",
            _ => "other",
        };
        *counts.entry(what).or_insert(0) += 1;
    }
    counts
}

fn compare(
    seeds: std::ops::Range<u64>,
    sink: fn() -> MemorySink,
    faults_max: usize,
    bombs: bool,
) -> BTreeMap<&'static str, u32> {
    let mut sum = BTreeMap::new();
    for seed in seeds {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut records = records(&mut random, 150, true);
        if bombs {
            records = with_bombs(&mut random, records);
        }
        let told = disturbed(seed, sink(), &records, faults_max, 12);
        let expected = foretold(&told, &records, faults_max);
        for (stream, expected) in [Stream::Anomalies, Stream::DeadLetters].into_iter().zip(&expected) {
            let what = format!("seed {seed} after {} kills: {stream:?}", told.kills);
            let seen = lines(&told.sink, stream);
            let seen = if told.sink.delivery() == Delivery::ExactlyOnce { seen } else { once_each(seen) };
            assert_same(&what, expected, &seen);
        }
        *sum.entry("kill").or_insert(0) += told.kills;
        for (what, count) in counts_of(&told.decisions) {
            *sum.entry(what).or_insert(0) += count;
        }
    }
    sum
}

fn assert_enough(counts: &BTreeMap<&'static str, u32>, whats: &[&str]) {
    let is_enough = |what: &&str| counts.get(what).is_some_and(|count| *count > 50);
    assert!(whats.iter().all(is_enough), "{counts:?}");
}

#[test]
fn a_poison_reading_is_as_if_it_had_never_been() {
    let counts = compare(0..SEEDS, MemorySink::new, usize::MAX, false);
    assert_enough(&counts, &["kill", "skip"]);
    assert_eq!(counts.get("quarantine").or(counts.get("suspend")), None, "{counts:?}");
}

#[test]
fn a_poison_reading_is_sent_at_least_once_and_is_no_other_then() {
    let counts = compare(1_000_000..1_000_000 + SEEDS / 2, MemorySink::at_least_once, usize::MAX, false);
    assert_enough(&counts, &["kill", "skip"]);
}

#[test]
fn who_fails_too_often_is_out_and_comes_back_with_what_it_knew() {
    let counts = compare(2_000_000..2_000_000 + SEEDS, MemorySink::new, 1, true);
    assert_enough(&counts, &["kill", "skip", "suspend", "release"]);
    assert_eq!(counts.get("quarantine"), None, "what it knew was not kept: {counts:?}");
}

/// Undisturbed, and without kills.
#[test]
fn how_batches_are_cut_does_not_show() {
    for seed in 0..SEEDS / 3 {
        let records = records(&mut ChaCha8Rng::seed_from_u64(seed), 150, true);
        let one = disturbed(seed, MemorySink::new(), &records, usize::MAX, 0);
        let other = disturbed(seed + 1_000_000, MemorySink::new(), &records, usize::MAX, 0);
        let positions = |told: &Told| {
            let skips = told.decisions.iter().filter(|decision| matches!(decision.what, What::Skip { .. }));
            let skips = skips.map(|skip| (skip.position, skip.what.detector().unwrap().to_owned()));
            skips.collect::<std::collections::BTreeSet<_>>()
        };
        assert_eq!(positions(&one), positions(&other), "seed {seed}");
        let (one, other) = (lines(&one.sink, Stream::Anomalies), lines(&other.sink, Stream::Anomalies));
        assert_same(&format!("seed {seed}"), &one, &other);
    }
}

/// The dead letter has the record as it was, and names a capsule in which the detector fails the same way.
#[test]
fn a_dead_letter_names_a_capsule_that_fails_again() {
    let mut opened = 0;
    for seed in 0..60 {
        let records = records(&mut ChaCha8Rng::seed_from_u64(seed), 150, true);
        let told = disturbed(seed, MemorySink::new(), &records, usize::MAX, 0);
        let letters = told.sink.committed().into_iter().filter_map(|message| match message {
            Outgoing::DeadLetter(letter) if letter.reason.name() == "poison" => Some(letter),
            _ => None,
        });
        let letters: Vec<_> = letters.collect();
        for decision in &told.decisions {
            let What::Skip { detector, capsule, .. } = &decision.what else { continue };
            let ours = |letter: &&Box<_>| is_about(letter, decision.position, detector);
            let letter = letters.iter().find(ours).unwrap_or_else(|| panic!("seed {seed}: {decision:?}"));
            assert_eq!(letter.record, records[decision.position as usize]);
            assert!(letter.detail.contains(capsule.as_str()), "{}", letter.detail);
            let names = told.store.list(&name_of("0", None, "")[..11]).unwrap();
            let name = names.iter().find(|name| name.ends_with(capsule.as_str())).unwrap();
            let capsule = Capsule::open(&told.store.get(name).unwrap()).unwrap();
            let module = modules().into_iter().find(|module| module.descriptor().name == *detector).unwrap();
            let steps = reproduce(&capsule, &module, Arc::new(NoLog)).unwrap();
            assert!(steps.len() == capsule.steps.len() && steps.iter().all(|step| step.is_same()));
            assert!(steps.last().unwrap().is.is_err());
            opened += 1;
        }
    }
    assert!(opened > 20, "only {opened}");
}

fn is_about(letter: &gridwatch_core::dead_letter::DeadLetter, position: u64, detector: &str) -> bool {
    letter.meta.position == position && letter.detail.starts_with(&format!("detector {detector}:"))
}

/// A fault that does not come again costs no reading, and nothing is decided.
#[test]
fn bad_luck_leaves_no_trace() {
    for seed in 0..100 {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let records = records(&mut random, 150, false);
        let expected = undisturbed(parts(64), &records);
        let (sink, store, feed) = (MemorySink::new(), MemoryStore::new(), MemoryFeed::new(records));
        let modules = modules();
        let hiccups = modules.each_ref().map(|module| module.hiccups.clone());
        let parts = LaneParts {
            deployments: modules.map(|module| deployment(module, 0)).into(),
            history: Some(history(&feed, &store)),
            ..parts(random.random_range(1..40))
        };
        let feed = feed.chunks_of(random.random_range(1..30));
        let opened = open(parts, &sink, &store, Box::new(feed), pace());
        let mut life = Life { decider: Decider::new(opened, &sink), store: &store };
        let (mut decisions, mut left) = (Vec::new(), 4);
        while life.decider.step(0, random.random_range(0..6) == 0, &mut decisions) == Step::Again {
            life.do_chores();
            if left > 0 && random.random_range(0..3) == 0 {
                hiccups[random.random_range(0..2)].store(1, Ordering::Relaxed);
                left -= 1;
            }
        }
        life.decider.settle(&mut decisions);
        assert_eq!(decisions, [], "seed {seed}");
        for stream in [Stream::Anomalies, Stream::DeadLetters] {
            assert_same(&format!("seed {seed}"), &lines(&expected, stream), &lines(&sink, stream));
        }
    }
}

/// Where there is no history, who fails is out from its batch on, and what it knew is gone.
#[test]
fn without_a_history_it_is_out_and_may_begin_anew_only_where_that_is_allowed() {
    let records = vec![
        br#"{"sensor_id":"a","timestamp":1767225600000,"voltage":230}"#.to_vec(),
        br#"{"sensor_id":"a","timestamp":1767225601000,"voltage":666}"#.to_vec(),
        br#"{"sensor_id":"a","timestamp":1767225602000,"voltage":230}"#.to_vec(),
    ];
    let mut lane = Lane::cold(parts(1), 0).unwrap();
    let mut feed = MemoryFeed::new(records);
    let mut chunk = Default::default();
    gridwatch_core::record::Feed::poll(&mut feed, &mut chunk, Duration::ZERO).unwrap();
    chunk.iter().for_each(|record| lane.accept(&record).unwrap());
    let out: Vec<String> = lane.quarantined().map(|out| out.detector).collect();
    assert_eq!(out, ["every", "voltage"]);
    assert!(!lane.release("every").unwrap(), "it would have to begin anew");
    assert_eq!(lane.account().skipped["every"], 2);
}

/// An explanation is what was published, to the last byte, and its capsule says the same.
#[test]
fn every_anomaly_can_be_explained() {
    let mut explained = 0;
    for seed in 0..40 {
        let records = records(&mut ChaCha8Rng::seed_from_u64(seed), 150, true);
        let told = disturbed(seed, MemorySink::new(), &records, usize::MAX, 2);
        let feed = MemoryFeed::new(records);
        let history = history(&feed, &told.store);
        let parts = LaneParts { deployments: deployments(usize::MAX), ..parts(16) };
        for message in told.sink.committed() {
            let Outgoing::Anomaly(anomaly) = message else { continue };
            let json: serde_json::Value = serde_json::from_slice(&anomaly.payload).unwrap();
            let (detector, position) =
                (json["detector"].as_str().unwrap(), json["source"]["offset"].as_u64().unwrap());
            if position % 3 > 0 {
                continue;
            }
            let which = (anomaly.id().unwrap(), position);
            let found =
                history.explain(parts.clone(), detector, which, Patience::of(Duration::from_secs(60)));
            let found = match found {
                Err(gridwatch_engine::history::HistoryError::Beyond { .. }) => continue,
                found => found.unwrap_or_else(|error| panic!("seed {seed}: {json}: {error}")),
            };
            assert_eq!(found.anomaly, anomaly, "seed {seed}");
            assert!(found.capsule.anomalies.iter().any(|id| Some(id.as_str()) == anomaly.id()));
            let module = modules().into_iter().find(|module| module.descriptor().name == detector).unwrap();
            let steps = reproduce(&found.capsule, &module, Arc::new(NoLog)).unwrap();
            assert!(!steps.is_empty() && steps.iter().all(|step| step.is_same()), "seed {seed}: {steps:?}");
            explained += 1;
        }
    }
    assert!(explained > 200, "only {explained}");
}
