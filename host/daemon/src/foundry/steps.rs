//! What was done about files in the directory, counted by detector.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::admission::is_name;

/// Of detectors that come and go under ever new names the first are told apart.
const NAMES_MAX: usize = 1_024;
/// What stands for the others, and for names that are none.
const OTHERS: &str = "";

/// Handles are copies of one thing.
#[derive(Clone, Default)]
pub struct Steps {
    counts: Arc<Mutex<BTreeMap<(String, &'static str), u64>>>,
}

impl Steps {
    pub fn note(&self, name: &str, outcome: &'static str) {
        let mut counts = self.lock();
        let is_known =
            is_name(name) && (counts.len() < NAMES_MAX || counts.keys().any(|(known, _)| known == name));
        let name = if is_known { name } else { OTHERS };
        *counts.entry((name.to_owned(), outcome)).or_default() += 1;
    }

    /// By detector and outcome.
    pub fn counts(&self) -> Vec<(String, &'static str, u64)> {
        self.lock().iter().map(|((name, outcome), count)| (name.clone(), *outcome, *count)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(String, &'static str), u64>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_without_end_are_counted_together() {
        let steps = Steps::default();
        (0..NAMES_MAX + 10).for_each(|n| steps.note(&format!("n{n}"), "proposed"));
        steps.note("no name at all", "refused");
        let counts = steps.counts();
        assert_eq!(counts.len(), NAMES_MAX + 2);
        assert_eq!(counts[..2], [(String::new(), "proposed", 10), (String::new(), "refused", 1)]);
    }
}
