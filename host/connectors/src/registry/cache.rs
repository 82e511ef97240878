//! Schemas by id, for feeds and lanes: what is known is there at once, and nobody ever waits here.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use gridwatch_core::schema::{ID_MAX, Schema, Schemas};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;

use super::Settings;
use super::compiled::Compiled;
use super::error::RegistryError;
use super::questions::{Questions, Turn};
use super::shelf::{SCHEMAS_MAX, Shelf};
use super::wire::Wire;

/// How often somebody who waits looks again, however little happens.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// What a feed is told of an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// `find` gives its schema.
    Known,
    /// The registry says that there is no such id.
    Absent,
    /// The registry has not answered. Hold the record back, let those of other ids go on, and ask again.
    Waiting { since: Instant, why: String },
}

/// How often the registry is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheSettings {
    /// After a question that was not answered; doubled each time, up to `pause_max`.
    pub pause_min: Duration,
    pub pause_max: Duration,
    /// What was not there, or could not be checked with, is asked for again after this.
    pub absent_for: Duration,
}

impl Default for CacheSettings {
    fn default() -> Self {
        CacheSettings {
            pause_min: Duration::from_millis(100),
            pause_max: Duration::from_secs(5),
            absent_for: Duration::from_secs(30),
        }
    }
}

/// For metrics and readiness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryStatus {
    /// The last question was answered; also where none was asked so far.
    pub reachable: bool,
    pub known_ids: usize,
    pub absent_ids: usize,
    pub waiting_ids: usize,
    /// Since when the first of them waits.
    pub waiting_since: Option<Instant>,
    /// Questions asked, and those of them that were not answered.
    pub fetches: u64,
    pub failures: u64,
    /// Stays after the registry is back; see `reachable`.
    pub last_error: Option<RegistryError>,
}

/// All schemas that were ever asked for, each compiled once. Dropping it ends its thread.
pub struct SchemaCache {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    settings: CacheSettings,
    shelf: RwLock<Shelf>,
    state: Mutex<State>,
    /// A new id, or the end.
    changed: Condvar,
    /// A question was answered, or not.
    settled: Condvar,
    /// Ends a question in flight.
    ending: Notify,
}

struct State {
    questions: Questions,
    ended: bool,
}

impl SchemaCache {
    /// Asks nothing yet.
    pub fn new(registry: &Settings, settings: CacheSettings) -> Result<SchemaCache, RegistryError> {
        let cannot =
            |error: std::io::Error| RegistryError::Settings { what: format!("cannot start: {error}") };
        let wire = Wire::new(registry)?;
        let runtime = Builder::new_current_thread().enable_all().build().map_err(cannot)?;
        let questions = Questions::new(settings.pause_min, settings.pause_max, settings.absent_for);
        let shared = Arc::new(Shared {
            settings,
            shelf: RwLock::new(Shelf::new(Instant::now())),
            state: Mutex::new(State { questions, ended: false }),
            changed: Condvar::new(),
            settled: Condvar::new(),
            ending: Notify::new(),
        });
        let asker = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("schema-registry".into())
            .spawn(move || {
                asker.ask_on(&wire, &runtime);
                // A name that is being looked up would hold the thread.
                runtime.shutdown_background();
            })
            .map_err(cannot)?;
        Ok(SchemaCache { shared, thread: Some(thread) })
    }

    /// Whether a record of this id can be handed on. Never waits: an unknown id is asked for by another
    /// thread, however often this is called.
    pub fn ensure(&self, id: u32) -> Answer {
        let now = Instant::now();
        if self.shared.shelf().holds(id, now) {
            return Answer::Known;
        }
        if id > ID_MAX {
            return Answer::Absent;
        }
        let mut state = self.shared.state();
        // It may have come between the two locks.
        if self.shared.shelf().holds(id, now) {
            return Answer::Known;
        }
        match state.questions.ask(id, now) {
            Turn::Absent => Answer::Absent,
            Turn::Waiting { since, why } => Answer::Waiting { since, why },
            Turn::New => {
                self.shared.changed.notify_all();
                Answer::Waiting { since: now, why: "the registry is being asked".into() }
            }
            Turn::Full => {
                Answer::Waiting { since: now, why: "too many other ids are waiting for the registry".into() }
            }
        }
    }

    /// The same, waiting up to `wait` for the registry's answer.
    pub fn ensure_within(&self, id: u32, wait: Duration) -> Answer {
        let until = Instant::now() + wait;
        loop {
            let answer = self.ensure(id);
            let now = Instant::now();
            if now >= until || !matches!(answer, Answer::Waiting { .. }) {
                return answer;
            }
            // An answer that came since is seen a little later.
            let pause = (until - now).min(LOOK_INTERVAL);
            let waited = self.shared.settled.wait_timeout(self.shared.state(), pause);
            drop(waited.unwrap_or_else(PoisonError::into_inner));
        }
    }

    pub fn status(&self) -> RegistryStatus {
        let state = self.shared.state();
        let questions = &state.questions;
        RegistryStatus {
            reachable: questions.reachable,
            known_ids: self.shared.shelf().len(),
            absent_ids: questions.absent_len(),
            waiting_ids: questions.len(),
            waiting_since: questions.since(),
            fetches: questions.fetches,
            failures: questions.failures,
            last_error: questions.last_error.clone(),
        }
    }
}

impl Schemas for SchemaCache {
    fn find(&self, id: u32) -> Option<Arc<dyn Schema>> {
        self.shared.shelf().find(id, Instant::now())
    }
}

impl Drop for SchemaCache {
    fn drop(&mut self) {
        self.shared.state().ended = true;
        self.shared.changed.notify_all();
        self.shared.ending.notify_one();
        if let Some(thread) = self.thread.take() {
            // It has panicked or it has not: either way it is gone.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for SchemaCache {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("SchemaCache").field(&self.status()).finish()
    }
}

impl Shared {
    fn shelf(&self) -> std::sync::RwLockReadGuard<'_, Shelf> {
        self.shelf.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread's whole life.
    fn ask_on(&self, wire: &Wire, runtime: &Runtime) {
        while let Some(id) = self.next_due() {
            let fetched = runtime.block_on(async {
                tokio::select! {
                    fetched = wire.definition(id) => Some(fetched),
                    () = self.ending.notified() => None,
                }
            });
            let Some(fetched) = fetched else { return };
            let compiled = fetched.and_then(|definition| {
                let compiled = Compiled::new(&definition).map_err(|error| named(id, error))?;
                let bytes = definition.references.values().map(String::len).sum::<usize>();
                Ok((compiled, bytes + definition.text.len()))
            });
            self.settle(id, compiled, Instant::now());
        }
    }

    /// Waits until an id is due. `None` at the end.
    fn next_due(&self) -> Option<u32> {
        let mut state = self.state();
        loop {
            if state.ended {
                return None;
            }
            let now = Instant::now();
            state = match state.questions.next() {
                Some((id, due)) if due <= now => return Some(id),
                Some((_, due)) => {
                    let waited = self.changed.wait_timeout(state, due - now);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    fn settle(&self, id: u32, fetched: Result<(Compiled, usize), RegistryError>, now: Instant) {
        self.note(id, fetched, now);
        self.settled.notify_all();
    }

    fn note(&self, id: u32, fetched: Result<(Compiled, usize), RegistryError>, now: Instant) {
        let mut state = self.state();
        let questions = &mut state.questions;
        let (schema, bytes, good_until): (Arc<dyn Schema>, usize, _) = match fetched {
            Ok((compiled, bytes)) => (Arc::new(compiled), bytes, None),
            Err(RegistryError::Unusable { what }) => {
                (Arc::new(Unusable(what)), 0, Some(now + self.settings.absent_for))
            }
            Err(RegistryError::Absent { .. }) => {
                self.shelf.write().unwrap_or_else(PoisonError::into_inner).remove(id);
                return questions.is_absent(id, now);
            }
            Err(error) => return questions.failed(id, error, now),
        };
        let mut shelf = self.shelf.write().unwrap_or_else(PoisonError::into_inner);
        if shelf.put(id, schema, bytes, good_until, now) {
            questions.answered(id);
        } else {
            let why = format!(
                "there is no room for another schema: {} of at most {SCHEMAS_MAX} are in use",
                shelf.len()
            );
            questions.no_room(id, why, now);
        }
    }
}

fn named(id: u32, error: RegistryError) -> RegistryError {
    match error {
        RegistryError::Unusable { what } => RegistryError::Unusable { what: format!("schema {id}: {what}") },
        other => other,
    }
}

/// Stands for a schema that cannot be checked with: no record fits it, and each is told why.
struct Unusable(String);

impl Schema for Unusable {
    fn violation(&self, _: &[u8]) -> Option<String> {
        Some(self.0.clone())
    }

    fn unusable(&self) -> Option<&str> {
        Some(&self.0)
    }
}
