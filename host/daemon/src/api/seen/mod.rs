//! What was seen go by, the last of each, so that somebody who comes later can look at it.

mod anomalies;
mod letters;
mod pulse;

pub use anomalies::{ANOMALIES_MAX, Anomalies, Entry, Index};
pub use letters::{Letters, Sample};
pub use pulse::{Pulse, Timeline};

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use gridwatch_core::Timestamp;
use gridwatch_core::sink::{LaneId, Outgoing};
use gridwatch_engine::outlet::Observer;

/// Handles are copies of one thing.
#[derive(Clone, Default)]
pub struct Seen {
    pub anomalies: Anomalies,
    pub letters: Letters,
}

impl Seen {
    /// Listens in the outlet's thread: what is not final yet is kept back.
    pub fn observer(&self) -> Box<dyn Observer> {
        Box::new(Ear { seen: self.clone(), ..Ear::default() })
    }
}

#[derive(Default)]
struct Ear {
    seen: Seen,
    anomalies: anomalies::Waiting,
    letters: letters::Waiting,
}

impl Observer for Ear {
    fn taken(&mut self, lane: &LaneId, messages: &[Outgoing]) {
        for message in messages {
            match message {
                Outgoing::Anomaly(anomaly) => self.anomalies.take(lane, &anomaly.payload),
                Outgoing::DeadLetter(letter) => self.letters.take(lane, letter),
            }
        }
    }

    fn committed(&mut self, left_out: &[LaneId]) {
        left_out.iter().for_each(|lane| self.forgotten(lane));
        let now = now_ms();
        self.seen.anomalies.add(&mut self.anomalies, now);
        self.seen.letters.add(&mut self.letters, now);
    }

    fn forgotten(&mut self, lane: &LaneId) {
        self.anomalies.forget(lane);
        self.letters.forget(lane);
    }

    fn reset(&mut self) {
        self.anomalies = anomalies::Waiting::default();
        self.letters = letters::Waiting::default();
    }
}

/// Milliseconds since 1970.
pub fn now_ms() -> Timestamp {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

/// What is kept here is whole whoever panicked while holding it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

type Shared<T> = Arc<Mutex<T>>;

#[cfg(test)]
mod tests {
    use gridwatch_core::sink::AnomalyMessage;

    use super::*;

    fn anomaly(id: &str) -> Outgoing {
        let payload = format!("{{\"id\":\"{id}\"}}").into_bytes();
        Outgoing::Anomaly(AnomalyMessage { key: "a".to_owned(), headers: Vec::new(), payload })
    }

    fn ids(seen: &Seen) -> Vec<String> {
        let text = |entry: &Arc<Entry>| String::from_utf8_lossy(entry.payload()).into_owned();
        seen.anomalies.newest_first().iter().map(text).collect()
    }

    #[test]
    fn only_what_was_committed_is_seen_and_only_once() {
        let seen = Seen::default();
        let mut ear = seen.observer();
        let (here, gone) = (LaneId::only("0"), LaneId::only("1"));
        ear.taken(&here, &[anomaly("a")]);
        assert!(ids(&seen).is_empty(), "nobody has acknowledged it");
        ear.committed(&[]);
        ear.committed(&[]);
        assert_eq!(ids(&seen), ["{\"id\":\"a\"}"]);
        ear.taken(&gone, &[anomaly("b")]);
        ear.taken(&here, &[anomaly("c")]);
        ear.forgotten(&gone);
        ear.committed(&[]);
        assert_eq!(ids(&seen), ["{\"id\":\"c\"}", "{\"id\":\"a\"}"], "somebody else says b");
        ear.taken(&here, &[anomaly("d")]);
        ear.committed(std::slice::from_ref(&here));
        ear.taken(&here, &[anomaly("e")]);
        ear.reset();
        ear.committed(&[]);
        assert_eq!(ids(&seen).len(), 2, "what was lost on its way is said again");
    }

    #[test]
    fn the_ring_is_bounded_and_counts_on() {
        let seen = Seen::default();
        let mut ear = seen.observer();
        let many: Vec<Outgoing> = (0..ANOMALIES_MAX + 5).map(|n| anomaly(&n.to_string())).collect();
        ear.taken(&LaneId::only("0"), &many);
        ear.committed(&[]);
        ear.taken(&LaneId::only("0"), &[anomaly("last")]);
        ear.committed(&[]);
        let all = seen.anomalies.newest_first();
        assert_eq!(all.len(), ANOMALIES_MAX);
        assert_eq!(all[0].sequence, ANOMALIES_MAX as u64 + 6, "those that fell out are counted");
        assert_eq!(seen.anomalies.after(ANOMALIES_MAX as u64 + 5).len(), 1);
    }
}
