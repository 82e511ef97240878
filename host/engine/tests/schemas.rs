//! Records that name a schema, while schemas become known at random moments and the process is killed
//! anywhere: what a lane says is one history, and no replay tells another.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use gridwatch_connectors::memory::{MemoryFeed, MemorySink, MemoryStore};
use gridwatch_core::reading::Reason;
use gridwatch_core::record::{Position, Record, RecordMeta};
use gridwatch_core::schema::{Framing, Schema, Schemas, frame, unframe};
use gridwatch_core::sink::{Outgoing, Stream};
use gridwatch_engine::lane::{Lane, LaneError, LaneParts, OnUnknown, Resume, SchemaSource};
use gridwatch_engine::worker::Step;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use support::life::{Life, assert_same, disturbed, lines, once_each, undisturbed};
use support::readings::records;

const IDS: u32 = 6;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Known,
    Absent,
    Unusable,
}

/// A registry that a test changes; what it does not name is absent.
#[derive(Clone, Default)]
struct Register(Arc<Mutex<BTreeMap<u32, State>>>);

impl Register {
    fn set(&self, id: u32, state: State) {
        self.0.lock().unwrap().insert(id, state);
    }

    fn get(&self, id: u32) -> State {
        self.0.lock().unwrap().get(&id).copied().unwrap_or(State::Absent)
    }

    fn all(state: State) -> Register {
        let register = Register::default();
        (1..=IDS).for_each(|id| register.set(id, state));
        register
    }

    fn random(random: &mut ChaCha8Rng) -> Register {
        let register = Register::default();
        for id in 1..=IDS {
            register.set(id, [State::Known, State::Absent, State::Unusable][random.random_range(0..3)]);
        }
        register
    }

    /// One id's state may change; what is known stays.
    fn change(&self, random: &mut ChaCha8Rng) {
        let id = random.random_range(1..=IDS);
        if random.random_range(0..3) == 0 && self.get(id) != State::Known {
            self.set(id, [State::Known, State::Absent, State::Unusable][random.random_range(0..3)]);
        }
    }

    fn source(&self, on_unknown: OnUnknown) -> Option<SchemaSource> {
        Some(SchemaSource { schemas: Arc::new(self.clone()), on_unknown })
    }
}

impl Schemas for Register {
    fn find(&self, id: u32) -> Option<Arc<dyn Schema>> {
        match self.get(id) {
            State::Known => Some(Arc::new(NoCurrent { usable: true })),
            State::Unusable => Some(Arc::new(NoCurrent { usable: false })),
            State::Absent => None,
        }
    }
}

/// Finds fault with every reading of a certain length.
struct NoCurrent {
    usable: bool,
}

impl Schema for NoCurrent {
    fn violation(&self, json: &[u8]) -> Option<String> {
        json.len().is_multiple_of(9).then(|| "/current: too long".to_owned())
    }

    fn unusable(&self) -> Option<&str> {
        (!self.usable).then_some("of no use")
    }
}

fn parts(rows_max: usize, register: &Register) -> LaneParts {
    let mut parts = support::parts(rows_max);
    parts.settings.checks_schemas = true;
    parts.schemas = register.source(OnUnknown::DeadLetter);
    parts
}

/// Two in three name a schema; some are cut within its id, some name what no registry has.
fn framed(random: &mut ChaCha8Rng, count: usize) -> Vec<Vec<u8>> {
    let mut plain = records(random, count, false);
    for record in &mut plain {
        let mut bytes = Vec::new();
        match random.random_range(0..60) {
            0 => frame(u32::MAX - 1, &mut bytes),
            1..40 => frame(random.random_range(1..=IDS), &mut bytes),
            _ => continue,
        }
        bytes.append(record);
        if random.random_range(0..50) == 0 {
            bytes.truncate(random.random_range(1..5));
        }
        *record = bytes;
    }
    plain
}

fn id_of(record: &[u8]) -> Option<u32> {
    match unframe(record) {
        Framing::Framed { id, .. } => Some(id),
        _ => None,
    }
}

/// Position to reason and detail.
fn refused(sink: &MemorySink) -> BTreeMap<Position, (Reason, String)> {
    let letters = sink.committed().into_iter().filter_map(|message| match message {
        Outgoing::DeadLetter(letter) => Some((letter.meta.position, (letter.reason, letter.detail.clone()))),
        Outgoing::Anomaly(_) => None,
    });
    letters.collect()
}

/// A run without a kill, whose registry answers record by record as it did in the end.
fn retold(records: &[Vec<u8>], refused: &BTreeMap<Position, (Reason, String)>) -> MemorySink {
    let (sink, store, register) = (MemorySink::default(), MemoryStore::default(), Register::default());
    let feed = MemoryFeed::new(records.to_vec()).chunks_of(1);
    let mut life = Life::begin(parts(64, &register), &sink, &store, &feed);
    for (at, record) in records.iter().enumerate() {
        if let Some(id) = id_of(record) {
            let state = match refused.get(&(at as Position)) {
                Some((Reason::UnknownSchema, detail)) if detail.contains("of no use") => State::Unusable,
                Some((Reason::UnknownSchema, _)) => State::Absent,
                _ => State::Known,
            };
            register.set(id, state);
        }
        assert_eq!(life.step(0, false), Step::Again);
    }
    assert_eq!(life.step(0, false), Step::Ended);
    life.store();
    life.settle();
    sink
}

/// Kills, and ids that were refused and then taken.
fn compare(seed: u64) -> (u32, usize) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let records = framed(&mut random, 150);
    let register = Register::random(&mut random);
    let with = |random: &mut ChaCha8Rng| parts(random.random_range(1..40), &register);
    let change = |random: &mut ChaCha8Rng| register.change(random);
    let (seen, kills) = disturbed(&mut random, MemorySink::new(), &records, with, change);
    let refused = refused(&seen);
    let expected = retold(&records, &refused);
    for stream in [Stream::Anomalies, Stream::DeadLetters] {
        let what = format!("seed {seed} after {kills} kills: {stream:?}");
        assert_same(&what, &lines(&expected, stream), &lines(&seen, stream));
    }
    let is_refused = |at: usize| {
        refused.get(&(at as Position)).is_some_and(|(reason, _)| *reason == Reason::UnknownSchema)
    };
    let turns = (1..=IDS).filter(|id| {
        let mut of_id = (0..records.len()).filter(|at| id_of(&records[*at]) == Some(*id));
        of_id.any(is_refused) && of_id.any(|at| !is_refused(at))
    });
    (kills, turns.count())
}

#[test]
fn killed_anywhere_while_schemas_become_known_it_tells_one_history() {
    let (mut kills, mut turns) = (0, 0);
    for seed in 0..1_500 {
        let (killed, turned) = compare(4_000_000 + seed);
        kills += killed;
        turns += turned;
    }
    assert!(kills > 1_000 && turns > 1_000, "only {kills} kills and {turns} turns");
}

#[test]
fn killed_anywhere_at_least_once_what_is_refused_stays_refused() {
    let mut kills = 0;
    for seed in 5_000_000..5_000_500 {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let records = framed(&mut random, 150);
        let register = Register::random(&mut random);
        let expected = undisturbed(parts(64, &register), &records);
        let with = |random: &mut ChaCha8Rng| parts(random.random_range(1..40), &register);
        let (seen, killed) = disturbed(&mut random, MemorySink::at_least_once(), &records, with, |_| {});
        kills += killed;
        for stream in [Stream::Anomalies, Stream::DeadLetters] {
            let what = format!("seed {seed} after {killed} kills: {stream:?}");
            assert_same(&what, &lines(&expected, stream), &once_each(lines(&seen, stream)));
        }
    }
    assert!(kills > 500, "only {kills} kills");
}

/// What was refused and seen, and lost with its position, may be taken the second time: nothing is lost.
#[test]
fn killed_anywhere_at_least_once_while_schemas_become_known_nothing_is_lost() {
    for seed in 6_000_000..6_000_500 {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let records = framed(&mut random, 150);
        let never = refused(&undisturbed(parts(64, &Register::all(State::Known)), &records));
        let register = Register::random(&mut random);
        let with = |random: &mut ChaCha8Rng| parts(random.random_range(1..40), &register);
        let change = |random: &mut ChaCha8Rng| register.change(random);
        let (seen, _) = disturbed(&mut random, MemorySink::at_least_once(), &records, with, change);
        let seen = refused(&seen);
        for position in never.keys() {
            assert!(seen.contains_key(position), "seed {seed}: the record at {position} is lost");
        }
    }
}

fn reading(id: Option<u32>, at: i64) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(id) = id {
        frame(id, &mut bytes);
    }
    let time = 1_767_225_600_000 + at * 1_000;
    bytes.extend(format!(r#"{{"sensor_id":"s","timestamp":{time},"voltage":1}}"#).bytes());
    bytes
}

fn accept(lane: &mut Lane, at: Position, bytes: &[u8]) -> Result<(), LaneError> {
    let meta = RecordMeta { position: at, next: at + 1, stored: None, line: 0, end: 0, truncated: false };
    lane.accept(&Record::plain(meta, bytes))
}

fn reasons(lane: &mut Lane) -> Vec<Reason> {
    lane.flush().unwrap();
    let letters = lane.take_output().unwrap().messages.into_iter().filter_map(|message| match message {
        Outgoing::DeadLetter(letter) => Some(letter),
        Outgoing::Anomaly(_) => None,
    });
    letters.map(|letter| letter.reason).collect()
}

#[test]
fn dead_letters_keep_the_frame_and_say_what_is_wrong() {
    let register = Register::default();
    register.set(1, State::Known);
    let mut wrong = reading(Some(1), 1);
    while !(wrong.len() - 5).is_multiple_of(9) {
        wrong.push(b' ');
    }
    let mut lane = Lane::cold(parts(64, &register), 0).unwrap();
    let records =
        [reading(None, 0), wrong.clone(), reading(Some(2), 2), vec![0, 0], reading(Some(u32::MAX), 3)];
    (0..).zip(&records).for_each(|(at, record)| accept(&mut lane, at, record).unwrap());
    lane.flush().unwrap();
    let output = lane.take_output().unwrap();
    let letters: Vec<_> = output
        .messages
        .iter()
        .filter_map(|message| match message {
            Outgoing::DeadLetter(letter) => {
                Some((letter.reason, letter.detail.as_str(), letter.record.clone()))
            }
            Outgoing::Anomaly(_) => None,
        })
        .collect();
    let detail = "a frame is a zero byte and four bytes of id; 2 bytes are here";
    let expected = [
        (Reason::SchemaViolation, "schema 1: /current: too long", wrong),
        (Reason::UnknownSchema, "schema 2: the registry does not have it", reading(Some(2), 2)),
        (Reason::TruncatedFrame, detail, vec![0, 0]),
        (
            Reason::UnknownSchema,
            "schema 4294967295: registries have none with so great an id",
            reading(Some(u32::MAX), 3),
        ),
    ];
    assert_eq!(letters, expected);
    assert_eq!(output.decisions.len(), 1, "only what the registry said is a decision");
    assert_eq!(lane.account().judged, 1);
}

#[test]
fn without_a_registry_frames_are_taken_off() {
    let mut lane = Lane::cold(support::parts(64), 0).unwrap();
    (0..3).for_each(|at| accept(&mut lane, at, &reading(Some(7), at as i64)).unwrap());
    accept(&mut lane, 3, &[0]).unwrap();
    assert_eq!(reasons(&mut lane), [Reason::TruncatedFrame]);
    assert_eq!(lane.account().judged, 3);
}

#[test]
fn an_unknown_schema_halts_where_it_is_told_to() {
    let mut told = parts(64, &Register::default());
    told.schemas = Register::default().source(OnUnknown::Halt);
    let mut lane = Lane::cold(told, 0).unwrap();
    let error = accept(&mut lane, 0, &reading(Some(3), 0)).unwrap_err();
    assert!(matches!(error, LaneError::UnknownSchema { id: 3, position: 0, .. }), "{error}");
    assert!(error.to_string().contains("unknown_schema = \"dead-letter\""), "{error}");
}

/// What was checked before the restart cannot be checked now: to go on would tell another history.
#[test]
fn a_schema_that_is_gone_after_a_crash_halts_the_replay() {
    let register = Register::all(State::Known);
    let mut lane = Lane::cold(parts(64, &register), 0).unwrap();
    let checkpoint = lane.checkpoint().unwrap();
    accept(&mut lane, 0, &reading(Some(3), 0)).unwrap();
    lane.flush().unwrap();
    let committed = lane.take_output().unwrap().position;
    let resume = Resume { checkpoint, committed, decisions: vec![] };
    let mut without = parts(64, &register);
    without.settings.checks_schemas = false;
    without.schemas = None;
    for (parts, why) in [(parts(64, &Register::default()), "does not have it"), (without, "no [registry]")] {
        let mut lane = Lane::resume(parts, resume.clone()).unwrap();
        let error = accept(&mut lane, 0, &reading(Some(3), 0)).unwrap_err();
        assert!(matches!(error, LaneError::SchemaGone { id: 3, .. }), "{error}");
        assert!(error.to_string().contains(why), "{error}");
    }
}

/// However many ids somebody makes up, a lane remembers a bounded number, and forgets in good order.
#[test]
fn made_up_ids_are_remembered_up_to_a_number() {
    let mut lane = Lane::cold(parts(64, &Register::default()), 0).unwrap();
    let (mut at, mut decided) = (0, 0);
    let mut send = |lane: &mut Lane, id: u32| {
        accept(lane, at, &reading(Some(id), 0)).unwrap();
        at += 1;
        lane.flush().unwrap();
        decided += lane.take_output().unwrap().decisions.len();
        decided
    };
    for id in 1..=1_500 {
        assert_eq!(send(&mut lane, id), id as usize);
    }
    let remembered: Vec<u32> = (501..=1_500).collect();
    assert_eq!(lane.checkpoint().unwrap().schemas_unknown, remembered);
    assert_eq!(send(&mut lane, 501), 1_500, "remembered");
    assert_eq!(send(&mut lane, 500), 1_501, "forgotten, and decided anew");
}
