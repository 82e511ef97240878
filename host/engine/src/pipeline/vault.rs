//! The threads that store checkpoints, and capsules beside them.

use std::collections::VecDeque;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use gridwatch_core::sink::Store;

use crate::vault::{Chore, Stored};

/// So many capsules wait to be looked at, and as many for a store that is away, at most 4 MiB each. More are not kept.
pub const CAPSULES_MAX: usize = 8;
/// Between two tries to reach a store that is away.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// A capsule by its name in the store.
pub type Capsule = (String, Vec<u8>);

/// Until nobody has chores any more. The queue is as long as there are lanes: each has one checkpoint and
/// one sweep under way at most.
pub fn run(store: &dyn Store, chores: &Receiver<Chore>, stored: &Sender<Stored>) {
    for chore in chores {
        if let Some(done) = chore.run(store)
            && stored.send(done).is_err()
        {
            return;
        }
    }
}

/// Until nobody makes capsules any more. What the store does not take is offered again; at the end once.
pub fn keep(store: &dyn Store, capsules: &Receiver<Capsule>) {
    let mut waiting: VecDeque<Capsule> = VecDeque::new();
    let mut is_over = false;
    while !is_over {
        let next = match waiting.is_empty() {
            true => capsules.recv().map_err(|_| RecvTimeoutError::Disconnected),
            false => capsules.recv_timeout(RETRY_INTERVAL),
        };
        match next {
            Ok(capsule) => waiting.push_back(capsule),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => is_over = true,
        }
        while let Some((name, bytes)) = waiting.front() {
            if let Err(error) = store.put(name, bytes.clone()) {
                tracing::warn!(name, %error, "a capsule cannot be stored now");
                break;
            }
            waiting.pop_front();
        }
        while waiting.len() > CAPSULES_MAX
            && let Some((name, _)) = waiting.pop_front()
        {
            tracing::warn!(name, "a capsule is not kept: too many wait for the store already");
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crossbeam_channel::unbounded;
    use gridwatch_connectors::memory::MemoryStore;
    use gridwatch_core::sink::StoreError;

    use super::*;

    /// What is stored of so many capsules where the first tries fail.
    fn kept(capsules: usize, failures: usize) -> Vec<String> {
        let store = MemoryStore::new();
        (0..failures)
            .for_each(|_| store.fail(StoreError::Failed { name: String::new(), what: "away".into() }));
        let (made, taken) = unbounded();
        (0..capsules).for_each(|n| made.send((format!("capsules/a/{n:02}"), vec![n as u8])).unwrap());
        drop(made);
        keep(&store, &taken);
        store.list("").unwrap()
    }

    #[test]
    fn a_capsule_that_a_store_does_not_take_is_offered_again() {
        assert_eq!(kept(3, 2), ["capsules/a/00", "capsules/a/01", "capsules/a/02"]);
    }

    #[test]
    fn of_capsules_that_wait_the_last_few_are_kept() {
        let names = kept(CAPSULES_MAX + 4, CAPSULES_MAX + 4);
        assert_eq!(names.len(), CAPSULES_MAX);
        assert_eq!(names[0], "capsules/a/04");
    }
}
