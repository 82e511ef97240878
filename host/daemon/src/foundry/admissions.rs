//! Files that are admitted on threads of their own: compiling and trying a module takes seconds, and going back must
//! not wait for it.
//!
//! Of a name only what lay there last counts: what is overtaken while it waits or is tried is not heard of.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// What is to be admitted (`F`, by name), and what has become of it (`C`).
pub struct Admissions<F, C> {
    shared: Mutex<Shared<F, C>>,
    changed: Condvar,
}

struct Shared<F, C> {
    /// Those that have waited longest first.
    waiting: VecDeque<(String, F)>,
    /// Names that are being tried, each with the number of the last try that counts.
    tried: BTreeMap<String, u64>,
    tries: u64,
    done: BTreeMap<String, C>,
    is_over: bool,
}

impl<F, C> Default for Admissions<F, C> {
    fn default() -> Self {
        let shared = Shared {
            waiting: VecDeque::new(),
            tried: BTreeMap::new(),
            tries: 0,
            done: BTreeMap::new(),
            is_over: false,
        };
        Admissions { shared: Mutex::new(shared), changed: Condvar::new() }
    }
}

impl<F, C> Admissions<F, C> {
    /// This lies under the name now.
    pub fn ask(&self, name: &str, found: F) {
        let mut shared = self.lock();
        shared.forget(name);
        shared.waiting.push_back((name.to_owned(), found));
        self.changed.notify_one();
    }

    /// Nothing lies there any more.
    pub fn forget(&self, name: &str) {
        self.lock().forget(name);
    }

    /// What was done since last asked, by name.
    pub fn take(&self) -> BTreeMap<String, C> {
        std::mem::take(&mut self.lock().done)
    }

    /// No more. What is being tried is nobody's.
    pub fn end(&self) {
        self.lock().is_over = true;
        self.changed.notify_all();
    }

    /// One after the other until the end. Several threads may do so: one that takes long holds up none of the others.
    pub fn work(&self, admit: impl Fn(F) -> C) {
        while let Some((name, found, tried)) = self.next() {
            let candidate = admit(found);
            let mut shared = self.lock();
            if shared.tried.get(&name) == Some(&tried) {
                shared.tried.remove(&name);
                shared.done.insert(name, candidate);
            }
        }
    }

    fn next(&self) -> Option<(String, F, u64)> {
        let mut shared = self.lock();
        while !shared.is_over {
            if let Some((name, found)) = shared.waiting.pop_front() {
                shared.tries += 1;
                let tried = shared.tries;
                shared.tried.insert(name.clone(), tried);
                return Some((name, found, tried));
            }
            shared = self.changed.wait(shared).unwrap_or_else(PoisonError::into_inner);
        }
        None
    }

    fn lock(&self) -> MutexGuard<'_, Shared<F, C>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<F, C> Shared<F, C> {
    fn forget(&mut self, name: &str) {
        self.waiting.retain(|(waiting, _)| waiting != name);
        self.tried.remove(name);
        self.done.remove(name);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// What a file is, and who says when it has been tried.
    type File = (u32, Receiver<()>);

    /// So many threads admit; each tells what it begins with.
    fn with(threads: usize, test: impl FnOnce(&Admissions<File, u32>, &Receiver<u32>)) {
        let admissions: Admissions<File, u32> = Admissions::default();
        let (began, begun) = channel();
        std::thread::scope(|scope| {
            for _ in 0..threads {
                let (ours, began) = (&admissions, began.clone());
                scope.spawn(move || {
                    ours.work(|(n, goes_on)| {
                        began.send(n).unwrap();
                        let _ = goes_on.recv();
                        n
                    });
                });
            }
            test(&admissions, &begun);
            admissions.end();
        });
    }

    /// Whose drop ends the try.
    fn ask(admissions: &Admissions<File, u32>, name: &str, n: u32) -> Sender<()> {
        let (go_on, goes_on) = channel();
        admissions.ask(name, (n, goes_on));
        go_on
    }

    fn done(admissions: &Admissions<File, u32>, count: usize) -> Vec<u32> {
        let mut all = Vec::new();
        while all.len() < count {
            all.extend(admissions.take().into_values());
            std::thread::yield_now();
        }
        all
    }

    #[test]
    fn what_is_overtaken_while_it_waits_or_is_tried_is_not_heard_of() {
        with(1, |admissions, begun| {
            let first = ask(admissions, "a", 1);
            assert_eq!(begun.recv(), Ok(1));
            // Nobody who asks waits for what is tried.
            let later = [("a", 2), ("b", 3), ("c", 4), ("c", 5)].map(|(name, n)| ask(admissions, name, n));
            admissions.forget("b");
            assert!(admissions.take().is_empty());
            drop(first);
            assert_eq!(begun.recv(), Ok(2), "of each name the last");
            drop(later);
            assert_eq!(begun.recv(), Ok(5));
            assert_eq!(done(admissions, 2), [2, 5]);
        });
    }

    #[test]
    fn one_that_takes_long_holds_up_none_of_the_others() {
        with(2, |admissions, begun| {
            let long = ask(admissions, "long", 0);
            assert_eq!(begun.recv(), Ok(0));
            for n in 1..=200 {
                drop(ask(admissions, &format!("{n:03}"), n));
            }
            let mut others = done(admissions, 200);
            others.sort_unstable();
            assert_eq!(others, (1..=200).collect::<Vec<u32>>());
            // What lies there by now is tried beside what lay there, and only that counts.
            drop(ask(admissions, "long", 201));
            assert_eq!(done(admissions, 1), [201]);
            drop(long);
            drop(ask(admissions, "last", 202));
            assert_eq!(done(admissions, 1), [202]);
        });
    }

    #[test]
    fn an_end_leaves_what_waits() {
        with(1, |admissions, begun| {
            let first = ask(admissions, "a", 1);
            assert_eq!(begun.recv(), Ok(1));
            drop(ask(admissions, "b", 2));
            admissions.end();
            drop(first);
        });
    }
}
