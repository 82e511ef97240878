//! The ids that the registry is asked for: one after the other, by one thread, with longer and longer
//! pauses while it does not answer.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

use super::error::RegistryError;

/// Ids beyond these wait for their turn with the feed.
pub(super) const WAITING_MAX: usize = 1_000;
/// Of ids that are not there, so many are remembered; then the oldest is forgotten.
const ABSENT_MAX: usize = 10_000;

/// What is asked and was answered. Knows no registry and no clock, so that every turn can be tested.
pub(super) struct Questions {
    pauses: ExponentialBuilder,
    absent_for: Duration,
    waiting: HashMap<u32, Waiting>,
    absent: HashMap<u32, Instant>,
    /// By the time of the answer, for the oldest.
    absent_since: BTreeSet<(Instant, u32)>,
    /// While the registry is away nothing is asked before this, and the next pause is longer.
    away: Option<(Instant, ExponentialBackoff)>,
    pub fetches: u64,
    pub failures: u64,
    pub reachable: bool,
    pub last_error: Option<RegistryError>,
}

struct Waiting {
    since: Instant,
    due: Instant,
    pauses: Option<ExponentialBackoff>,
    why: String,
}

/// What an unknown id is told.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Absent,
    Waiting {
        since: Instant,
        why: String,
    },
    /// It waits from now on: the thread should look.
    New,
    Full,
}

impl Questions {
    pub fn new(pause_min: Duration, pause_max: Duration, absent_for: Duration) -> Questions {
        let pauses =
            ExponentialBuilder::new().with_min_delay(pause_min).with_max_delay(pause_max).without_max_times();
        Questions {
            pauses,
            absent_for,
            waiting: HashMap::new(),
            absent: HashMap::new(),
            absent_since: BTreeSet::new(),
            away: None,
            fetches: 0,
            failures: 0,
            reachable: true,
            last_error: None,
        }
    }

    pub fn ask(&mut self, id: u32, now: Instant) -> Turn {
        if let Some(answered) = self.absent.get(&id).copied() {
            if now < answered + self.absent_for {
                return Turn::Absent;
            }
            self.forget_absent(id);
        }
        if let Some(waiting) = self.waiting.get(&id) {
            return Turn::Waiting { since: waiting.since, why: waiting.why.clone() };
        }
        if self.waiting.len() >= WAITING_MAX {
            return Turn::Full;
        }
        let why = match (&self.away, &self.last_error) {
            (Some(_), Some(error)) => error.to_string(),
            _ => "the registry is being asked".to_owned(),
        };
        self.waiting.insert(id, Waiting { since: now, due: now, pauses: None, why });
        Turn::New
    }

    /// The id that is due first, and when.
    pub fn next(&self) -> Option<(u32, Instant)> {
        let (id, waiting) =
            self.waiting.iter().min_by_key(|(id, waiting)| (waiting.due, waiting.since, **id))?;
        let due = self.away.as_ref().map_or(waiting.due, |(until, _)| waiting.due.max(*until));
        Some((*id, due))
    }

    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    pub fn absent_len(&self) -> usize {
        self.absent.len()
    }

    pub fn since(&self) -> Option<Instant> {
        self.waiting.values().map(|waiting| waiting.since).min()
    }

    /// The registry has answered: the schema is there, whatever it is worth.
    pub fn answered(&mut self, id: u32) {
        self.fetches += 1;
        self.waiting.remove(&id);
        self.back();
    }

    /// The registry has answered that there is no such id.
    pub fn is_absent(&mut self, id: u32, now: Instant) {
        self.answered(id);
        self.absent.insert(id, now);
        self.absent_since.insert((now, id));
        if self.absent.len() > ABSENT_MAX
            && let Some((_, oldest)) = self.absent_since.pop_first()
        {
            self.absent.remove(&oldest);
        }
    }

    /// There is a schema and no room for it.
    pub fn no_room(&mut self, id: u32, why: String, now: Instant) {
        self.fetches += 1;
        self.back();
        self.put_off(id, why, now);
    }

    /// No answer. Where the registry is away nobody is asked for a while; where it stumbles over one id
    /// the others need not wait for that.
    pub fn failed(&mut self, id: u32, error: RegistryError, now: Instant) {
        self.fetches += 1;
        self.failures += 1;
        self.reachable = false;
        let why = error.to_string();
        if matches!(error, RegistryError::Unreachable { .. } | RegistryError::Slow { .. }) {
            let mut pauses = self.away.take().map_or_else(|| self.pauses.build(), |(_, pauses)| pauses);
            let until = now + pauses.next().unwrap_or_default();
            self.away = Some((until, pauses));
            if let Some(waiting) = self.waiting.get_mut(&id) {
                waiting.due = until; // The next one to try is another.
            }
            self.waiting.values_mut().for_each(|waiting| waiting.why.clone_from(&why));
        } else {
            self.away = None;
            self.put_off(id, why, now);
        }
        self.last_error = Some(error);
    }

    fn put_off(&mut self, id: u32, why: String, now: Instant) {
        if let Some(waiting) = self.waiting.get_mut(&id) {
            let pauses = waiting.pauses.get_or_insert_with(|| self.pauses.build());
            waiting.due = now + pauses.next().unwrap_or_default();
            waiting.why = why;
        }
    }

    fn back(&mut self) {
        self.reachable = true;
        self.away = None;
    }

    fn forget_absent(&mut self, id: u32) {
        if let Some(answered) = self.absent.remove(&id) {
            self.absent_since.remove(&(answered, id));
        }
    }
}
