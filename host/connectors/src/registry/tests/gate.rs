use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gridwatch_core::anomaly::Origin;
use gridwatch_core::intake::{Change, FixedLanes, Intake, Opening};
use gridwatch_core::record::{Chunk, Feed, FeedStatus, RecordFormat};
use gridwatch_core::schema::frame;
use gridwatch_core::sink::LaneId;
use serde_json::json;

use super::super::{CacheSettings, GatedIntake, SchemaCache};
use super::listener::{Listener, Reply, json_schema, schema_not_found};
use super::{settings, until};
use crate::memory::MemoryFeed;

/// Knows schema 1 and no schema 2; says nothing of schema 3 before it is told to.
fn registry(speaks: &Arc<AtomicBool>) -> Listener {
    let speaks = speaks.clone();
    Listener::new(move |request| match request.line.as_str() {
        "GET /schemas/ids/1" => json_schema(&json!({})),
        "GET /schemas/ids/3" if speaks.load(Ordering::SeqCst) => json_schema(&json!({})),
        "GET /schemas/ids/3" => Reply::Json(503, json!({})),
        _ => schema_not_found(),
    })
}

fn gated(feed: MemoryFeed, listener: &Listener) -> (Box<dyn Feed>, Arc<SchemaCache>) {
    let pauses = CacheSettings {
        pause_min: Duration::from_millis(5),
        pause_max: Duration::from_millis(20),
        ..CacheSettings::default()
    };
    let schemas = Arc::new(SchemaCache::new(&settings(&listener.url), pauses).unwrap());
    let opening = Opening {
        lane: LaneId::only("0"),
        origin: Origin::File { file: "memory".into() },
        source: Vec::new(),
        format: RecordFormat::Json,
        feed: Box::new(feed),
    };
    let mut intake = GatedIntake::new(Box::new(FixedLanes::new(vec![opening])), schemas.clone());
    let change = intake.poll(Duration::ZERO).unwrap().remove(0);
    let Change::Opened(opening) = change else { panic!("no lane") };
    (opening.feed, schemas)
}

fn record(id: u32, body: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    if id > 0 {
        frame(id, &mut bytes);
    }
    bytes.extend_from_slice(body.as_bytes());
    bytes
}

/// The last byte of each record that one poll gives, and its status.
fn poll(feed: &mut dyn Feed) -> (String, FeedStatus) {
    let mut chunk = Chunk::default();
    let status = feed.poll(&mut chunk, Duration::from_millis(50)).unwrap();
    let last = chunk.iter().map(|record| char::from(*record.bytes.last().unwrap()));
    (last.collect(), status)
}

#[test]
fn a_record_of_a_schema_not_known_yet_waits_and_those_behind_it() {
    let speaks = Arc::new(AtomicBool::new(false));
    let listener = registry(&speaks);
    let list =
        [record(0, "a"), record(1, "b"), record(2, "c"), record(1, "d"), record(3, "e"), record(0, "f")];
    let (mut feed, schemas) = gated(MemoryFeed::new(list.to_vec()), &listener);
    let mut seen = String::new();
    until("what comes before", || {
        let (some, status) = poll(&mut *feed);
        assert_eq!(status, FeedStatus::More, "a lane that is held back is no silent one");
        seen.push_str(&some);
        (seen == "abcd").then_some(())
    });
    // Until it is known for sure that the registry was asked, and more than once.
    until("failures", || (schemas.status().failures > 2).then_some(()));
    assert_eq!(poll(&mut *feed), (String::new(), FeedStatus::More));
    assert_eq!(feed.lag(), Some(2), "held records have not been read");
    speaks.store(true, Ordering::SeqCst);
    until("the rest", || {
        seen.push_str(&poll(&mut *feed).0);
        (seen == "abcdef").then_some(())
    });
    assert_eq!(poll(&mut *feed), (String::new(), FeedStatus::End));
}

#[test]
fn what_is_known_and_what_is_plain_passes_as_it_came() {
    let listener = registry(&Arc::new(AtomicBool::new(false)));
    let list = [record(0, "a"), record(1, "b"), b"\0\0c".to_vec(), record(1, "d")];
    let (mut feed, schemas) = gated(MemoryFeed::new(list.to_vec()), &listener);
    until("schema 1", || schemas.ensure(1).eq(&super::super::Answer::Known).then_some(()));
    assert_eq!(poll(&mut *feed), ("abcd".to_owned(), FeedStatus::More));
    assert_eq!(poll(&mut *feed), (String::new(), FeedStatus::End));
    assert_eq!(listener.lines(), ["GET /schemas/ids/1"]);
}

#[test]
fn seeking_forgets_what_is_held() {
    let listener = registry(&Arc::new(AtomicBool::new(false)));
    let (mut feed, _) = gated(MemoryFeed::new(vec![record(3, "a"), record(0, "b")]), &listener);
    assert_eq!(poll(&mut *feed), (String::new(), FeedStatus::More));
    feed.seek(1).unwrap();
    assert_eq!(poll(&mut *feed), ("b".to_owned(), FeedStatus::More));
    assert_eq!(poll(&mut *feed), (String::new(), FeedStatus::End));
}
