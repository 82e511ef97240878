//! The foundry's threads: one looks, proposes and follows, others admit; and how they are ended from outside.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use gridwatch_core::sink::Store;
use gridwatch_sandbox::Sandbox;
use notify::{RecursiveMode, Watcher};

use super::admissions::Admissions;
use super::{Foundry, LOOK_INTERVAL, RETRY_INTERVAL, fates};
use crate::admission::{self, Candidate, Round};
use crate::cli::Failure;
use crate::http::Latch;
use crate::wiring::Running;

/// What other processes have proposed is seen after so long.
const FOLLOW_INTERVAL: Duration = Duration::from_secs(1);
/// Lanes say within this what they have just read, or what comes is tried without.
const RECENT_WAIT: Duration = Duration::from_millis(500);
/// Of so many lanes: each costs as much as what is made up.
const RECENT_LANES_MAX: usize = 2;
/// How often the log says how shadows compare.
const COMPARE_INTERVAL: Duration = Duration::from_secs(60);

/// A store that cannot be reached for so long is away.
const AWAY_MAX: Duration = Duration::from_secs(10);

/// Files that come within this of each other are tried on the same readings.
const ROUND_TIME: Duration = Duration::from_secs(2);

type Files = Admissions<admission::Found, Candidate>;

/// What the watch tells of, from when each is fulfilled for the first time.
pub struct Conditions {
    pub detectors: Latch,
    pub store: Latch,
    pub answered: Answered,
}

/// When the store last answered, whatever it was: a call to one that hangs may take a minute.
#[derive(Clone)]
pub struct Answered(Arc<Mutex<Instant>>);

impl Default for Answered {
    fn default() -> Self {
        Answered(Arc::new(Mutex::new(Instant::now())))
    }
}

impl Answered {
    fn now(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    pub fn silence(&self) -> Duration {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }
}

/// Ends with its drop.
pub struct Watch {
    stop: Arc<AtomicBool>,
    files: Arc<Files>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // A module that is being compiled keeps nobody from ending.
        self.files.end();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the foundry's thread has panicked");
        }
    }
}

impl Foundry {
    /// From here on, on threads of its own, until the watch is dropped.
    pub fn watch(
        self,
        store: Arc<dyn Store>,
        running: Running,
        conditions: Conditions,
    ) -> Result<Watch, Failure> {
        let failed = |error: std::io::Error| Failure::Start(format!("the foundry's threads: {error}"));
        conditions.answered.now();
        let (stop, files) = (Arc::new(AtomicBool::new(false)), Arc::new(Files::default()));
        let mut watch = Watch { stop: stop.clone(), files: files.clone(), thread: None };
        let admission = Arc::new(Admission {
            sandbox: self.sandbox.clone(),
            running: running.clone(),
            round: Mutex::default(),
        });
        // One that takes long leaves another one free, on whatever machine.
        for _ in 0..admission::threads().max(2) {
            let (admission, files) = (admission.clone(), files.clone());
            let work = move || files.work(|found| admission.round().admit(&admission.sandbox, &found));
            std::thread::Builder::new().name("admission".to_owned()).spawn(work).map_err(failed)?;
        }
        let work = move || self.work(&*store, &running, &conditions, &stop, &files);
        let thread = std::thread::Builder::new().name("foundry".to_owned()).spawn(work);
        watch.thread = Some(thread.map_err(failed)?);
        Ok(watch)
    }

    fn work(
        mut self,
        store: &dyn Store,
        running: &Running,
        conditions: &Conditions,
        stop: &AtomicBool,
        files: &Files,
    ) {
        let (wake, woken) = std::sync::mpsc::channel();
        // Without a watcher the directory is looked at all the same, a little later.
        let mut watcher = notify::recommended_watcher(move |_| {
            let _ = wake.send(());
        })
        .ok();
        if let Some(watcher) = &mut watcher
            && let Err(error) = watcher.watch(&self.dir, RecursiveMode::NonRecursive)
        {
            tracing::debug!(%error, "the directory is not watched; it is looked at now and then");
        }
        // At once: what has changed while nobody was here is taken up by lanes that begin as they were.
        let (mut followed, mut looked): (Option<Instant>, _) = (None, Instant::now());
        let (mut compared, mut reached) = (Instant::now(), Instant::now());
        while !stop.load(Ordering::Acquire) {
            // A watcher that is gone leaves the wait; what it has seen is seen by looking.
            if woken.recv_timeout(LOOK_INTERVAL).is_err() && watcher.is_none() {
                std::thread::sleep(LOOK_INTERVAL);
            }
            std::thread::sleep(LOOK_INTERVAL.saturating_sub(looked.elapsed()));
            while woken.try_recv().is_ok() {}
            looked = Instant::now();
            if compared.elapsed() >= COMPARE_INTERVAL {
                compared = looked;
                fates::say_comparisons(&self.followed, &running.snapshot());
            }
            // Whatever fails of these, the others are not put off.
            let mut done = vec![self.look(store, files), self.take_back(&running.snapshot())];
            if std::mem::take(&mut self.is_news) {
                self.tell(&conditions.detectors);
                running.show(self.board());
            }
            let is_due = followed.is_none_or(|followed| looked >= followed + FOLLOW_INTERVAL);
            if self.has_proposed || is_due {
                followed = Some(looked);
                done.push(self.follow(running));
            }
            conditions.answered.now();
            let failures: Vec<String> =
                done.into_iter().filter_map(Result::err).map(|of| of.to_string()).collect();
            if failures.is_empty() {
                // Whoever has followed has read in the store.
                if followed == Some(looked) {
                    reached = looked;
                    if !conditions.store.is_pending() {
                        conditions.store.ready();
                    }
                }
            } else {
                let failures = failures.join("; ");
                let seconds = reached.elapsed().as_secs();
                if reached.elapsed() > AWAY_MAX {
                    conditions.store.failed(format!("for {seconds} s: {failures}"));
                }
                tracing::warn!("what is to run cannot be seen or changed now, tries again: {failures}");
                std::thread::sleep(RETRY_INTERVAL);
            }
        }
    }
}

/// What files are tried with.
struct Admission {
    sandbox: Arc<Sandbox>,
    running: Running,
    round: Mutex<Option<(Instant, Arc<Round>)>>,
}

impl Admission {
    /// Lanes are asked once for all that come together.
    fn round(&self) -> Arc<Round> {
        let mut round = self.round.lock().unwrap_or_else(PoisonError::into_inner);
        match &*round {
            Some((since, round)) if since.elapsed() < ROUND_TIME => round.clone(),
            _ => {
                let new = Arc::new(Round::of(self.running.recent(RECENT_WAIT, RECENT_LANES_MAX)));
                *round = Some((Instant::now(), new.clone()));
                new
            }
        }
    }
}
