use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use gridwatch_core::schema::Schemas;
use serde_json::json;

use super::super::{Answer, CacheSettings, RegistryError, SchemaCache};
use super::listener::{Listener, Reply, Request, json_schema, schema_not_found};
use super::{settings, until};

fn quick() -> CacheSettings {
    CacheSettings {
        pause_min: Duration::from_millis(5),
        pause_max: Duration::from_millis(20),
        absent_for: Duration::from_millis(300),
    }
}

fn cache(url: &str) -> SchemaCache {
    SchemaCache::new(&settings(url), quick()).unwrap()
}

/// What becomes of an id once the registry has answered.
fn settled(cache: &SchemaCache, id: u32) -> Answer {
    until("the registry's answer", || match cache.ensure(id) {
        Answer::Waiting { .. } => None,
        answer => Some(answer),
    })
}

fn answers(request: &Request) -> Reply {
    match request.line.as_str() {
        "GET /schemas/ids/1" => json_schema(&json!({"required": ["sensor_id"]})),
        "GET /schemas/ids/2" => json_schema(&json!({"type": "nonsense"})),
        "GET /schemas/ids/3" => Reply::Json(200, json!({"schema": "\"string\""})),
        _ => schema_not_found(),
    }
}

#[test]
fn a_schema_is_fetched_once_and_known_from_then_on() {
    let listener = Listener::new(answers);
    let cache = cache(&listener.url);
    assert!(cache.find(1).is_none());
    assert!(matches!(cache.ensure(1), Answer::Waiting { .. }), "nobody waits for the network here");
    assert_eq!(settled(&cache, 1), Answer::Known);
    for _ in 0..1_000 {
        assert_eq!(cache.ensure(1), Answer::Known);
        let violation = cache.find(1).unwrap().violation(b"{}").unwrap();
        assert_eq!(violation, r#""sensor_id" is a required property"#);
    }
    assert_eq!(listener.lines(), ["GET /schemas/ids/1"]);
    let status = cache.status();
    assert!(status.reachable);
    assert_eq!((status.known_ids, status.waiting_ids, status.fetches, status.failures), (1, 0, 1, 0));
}

#[test]
fn an_absent_id_is_absent_and_asked_for_again_later() {
    let (listener, asked) = (Listener::new(answers), Instant::now());
    let cache = cache(&listener.url);
    assert_eq!(settled(&cache, 9), Answer::Absent);
    assert!(cache.find(9).is_none());
    assert_eq!(listener.lines().len(), 1);
    until("the answer to age", || matches!(cache.ensure(9), Answer::Waiting { .. }).then_some(()));
    assert!(asked.elapsed() >= quick().absent_for);
    assert_eq!(settled(&cache, 9), Answer::Absent);
    assert_eq!(listener.lines().len(), 2);
    assert_eq!(cache.ensure(u32::MAX), Answer::Absent);
    assert_eq!(listener.lines().len(), 2, "nobody is asked for an id that no registry gives");
}

#[test]
fn a_schema_that_cannot_be_checked_with_refuses_every_record_and_says_why() {
    let listener = Listener::new(answers);
    let cache = cache(&listener.url);
    for (id, word) in [(2, "nonsense"), (3, "AVRO")] {
        assert_eq!(settled(&cache, id), Answer::Known);
        let why = cache.find(id).unwrap().violation(b"{}").unwrap();
        assert!(why.starts_with(&format!("schema {id}")) && why.contains(word), "{why}");
    }
    assert!(cache.status().reachable);
}

#[test]
fn while_the_registry_is_down_known_ids_go_on_and_unknown_ones_wait() {
    let listener = Listener::new(answers);
    let port = listener.port();
    let cache = cache(&listener.url);
    assert_eq!(settled(&cache, 1), Answer::Known);
    drop(listener);
    let Answer::Waiting { since, .. } = cache.ensure(9) else { panic!() };
    let why = until("a failure", || match cache.ensure(9) {
        Answer::Waiting { why, .. } if why.contains("cannot be reached") => Some(why),
        _ => None,
    });
    assert!(why.contains(&port.to_string()), "{why}");
    until("more tries", || (cache.status().failures > 3).then_some(()));
    assert_eq!(cache.ensure(1), Answer::Known);
    assert!(cache.find(1).is_some());
    let status = cache.status();
    assert!(!status.reachable);
    assert_eq!((status.waiting_ids, status.waiting_since), (1, Some(since)));
    assert!(matches!(status.last_error, Some(RegistryError::Unreachable { .. })));

    let _back = Listener::on(port, answers);
    assert_eq!(settled(&cache, 9), Answer::Absent);
    let status = cache.status();
    assert!(status.reachable && status.waiting_ids == 0);
}

#[test]
fn an_answer_that_is_none_is_no_answer() {
    let tries = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&tries);
    let listener = Listener::new(move |request| match count.fetch_add(1, Ordering::SeqCst) {
        0 => Reply::Raw(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n<html>".to_vec()),
        1 => Reply::Json(404, json!({"error": "no route"})),
        2 => Reply::Raw(b"\x15\x03\x01".to_vec()),
        3 => Reply::Json(500, json!({"error_code": 50001, "message": "store"})),
        4 => Reply::Hang,
        _ => answers(request),
    });
    let cache = cache(&listener.url);
    assert_eq!(settled(&cache, 1), Answer::Known);
    assert_eq!(tries.load(Ordering::SeqCst), 6);
    assert_eq!(cache.status().failures, 5);
}

#[test]
fn many_threads_asking_do_not_pile_up() {
    let listener = Listener::new(|request| {
        std::thread::sleep(Duration::from_millis(20));
        answers(request)
    });
    let cache = cache(&listener.url);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert_eq!(settled(&cache, 1), Answer::Known));
        }
    });
    assert_eq!(listener.lines().len(), 1);
}

#[test]
fn it_ends_at_once_while_the_registry_is_silent() {
    let listener = Listener::new(|_| Reply::Hang);
    let patient = super::Settings { timeout: Duration::from_secs(60), ..settings(&listener.url) };
    let cache = SchemaCache::new(&patient, quick()).unwrap();
    cache.ensure(1);
    until("the question", || (!listener.lines().is_empty()).then_some(()));
    let start = Instant::now();
    drop(cache);
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}
