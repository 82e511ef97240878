//! Who is asked for when, turn by turn.

use std::time::{Duration, Instant};

use super::super::error::RegistryError;
use super::super::questions::{Questions, Turn, WAITING_MAX};

const MIN: Duration = Duration::from_millis(100);
const MAX: Duration = Duration::from_secs(5);
const ABSENT_FOR: Duration = Duration::from_secs(30);

fn unreachable() -> RegistryError {
    RegistryError::Unreachable { place: "r".into(), what: "refused".into() }
}

fn garbage() -> RegistryError {
    RegistryError::Garbage { place: "r".into(), what: "html".into() }
}

fn questions() -> (Questions, Instant) {
    (Questions::new(MIN, MAX, ABSENT_FOR), Instant::now())
}

#[test]
fn an_absent_id_is_asked_for_again_after_a_while() {
    let (mut questions, now) = questions();
    assert_eq!(questions.ask(1, now), Turn::New);
    questions.is_absent(1, now);
    assert_eq!(questions.ask(1, now + ABSENT_FOR - MIN), Turn::Absent);
    assert_eq!(questions.next(), None);
    assert_eq!(questions.ask(1, now + ABSENT_FOR), Turn::New);
    assert_eq!(questions.absent_len(), 0);
}

#[test]
fn pauses_grow_while_the_registry_is_away_and_ids_take_turns() {
    let (mut questions, start) = questions();
    (1..=3).for_each(|id| assert_eq!(questions.ask(id, start), Turn::New));
    let (mut now, mut asked, mut pauses) = (start, Vec::new(), Vec::new());
    for _ in 0..9 {
        let (id, due) = questions.next().unwrap();
        pauses.push(due.saturating_duration_since(now));
        now = now.max(due);
        asked.push(id);
        questions.failed(id, unreachable(), now);
    }
    assert_eq!(asked, [1, 2, 3, 1, 2, 3, 1, 2, 3]);
    let millis: Vec<u128> = pauses.iter().map(Duration::as_millis).collect();
    assert_eq!(millis, [0, 100, 200, 400, 800, 1600, 3200, 5000, 5000]);
    let Turn::Waiting { since, why } = questions.ask(2, now) else { panic!() };
    assert_eq!(since, start);
    assert!(why.contains("cannot be reached: refused"), "{why}");
    assert!(!questions.reachable);

    let (id, due) = questions.next().unwrap();
    questions.answered(id);
    assert!(questions.reachable);
    assert!(questions.next().unwrap().1 <= due, "once it is back nobody waits for a pause");
}

#[test]
fn one_id_that_fails_does_not_hold_up_others() {
    let (mut questions, now) = questions();
    questions.ask(1, now);
    questions.failed(1, garbage(), now);
    assert_eq!(questions.ask(2, now), Turn::New);
    assert_eq!(questions.next(), Some((2, now)));
    questions.is_absent(2, now);
    assert_eq!(questions.next(), Some((1, now + MIN)));
    assert_eq!((questions.fetches, questions.failures), (2, 1));
}

#[test]
fn what_is_remembered_is_bounded() {
    let (mut questions, now) = questions();
    (0..WAITING_MAX as u32).for_each(|id| assert_eq!(questions.ask(id, now), Turn::New));
    assert_eq!(questions.ask(u32::MAX, now), Turn::Full);
    for id in 0..20_000 {
        questions.is_absent(id, now + Duration::from_millis(id.into()));
    }
    assert_eq!(questions.len(), 0);
    assert_eq!(questions.absent_len(), 10_000);
    assert_eq!(questions.ask(0, now + Duration::from_secs(20)), Turn::New, "the oldest was forgotten");
    assert_eq!(questions.ask(19_999, now + Duration::from_secs(20)), Turn::Absent);
}
