//! The schemas that are known, bounded: what nobody has used for a while makes room.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use gridwatch_core::schema::Schema;

pub(super) const SCHEMAS_MAX: usize = 1_000;
/// Of text; compiled they are some times as large.
const SCHEMAS_BYTES_MAX: usize = 32 << 20;
/// A feed has made sure of an id, and its lane asks for it soon after. What nobody has asked for in this
/// time is in no lane's hands any more.
const UNUSED: Duration = Duration::from_secs(600);

pub(super) struct Shelf {
    start: Instant,
    bytes: usize,
    entries: HashMap<u32, Entry>,
}

struct Entry {
    schema: Arc<dyn Schema>,
    bytes: usize,
    /// Milliseconds from the shelf's start.
    used_ms: AtomicU64,
    /// For what the registry may put right.
    good_until: Option<Instant>,
}

impl Shelf {
    pub fn new(now: Instant) -> Shelf {
        Shelf { start: now, bytes: 0, entries: HashMap::new() }
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn find(&self, id: u32, now: Instant) -> Option<Arc<dyn Schema>> {
        let entry = self.entries.get(&id)?;
        entry.used_ms.store(self.age_ms(now), Ordering::Relaxed);
        Some(Arc::clone(&entry.schema))
    }

    /// Whether it is there and need not be asked for again.
    pub fn holds(&self, id: u32, now: Instant) -> bool {
        let Some(entry) = self.entries.get(&id) else { return false };
        entry.used_ms.store(self.age_ms(now), Ordering::Relaxed);
        entry.good_until.is_none_or(|until| now < until)
    }

    /// `false` where there is no room, since all are in use.
    pub fn put(
        &mut self,
        id: u32,
        schema: Arc<dyn Schema>,
        bytes: usize,
        good_until: Option<Instant>,
        now: Instant,
    ) -> bool {
        self.remove(id);
        while self.entries.len() >= SCHEMAS_MAX || self.bytes + bytes > SCHEMAS_BYTES_MAX {
            match self.unused(now) {
                Some(unused) => self.remove(unused),
                None => return false,
            }
        }
        let used_ms = AtomicU64::new(self.age_ms(now));
        self.bytes += bytes;
        self.entries.insert(id, Entry { schema, bytes, used_ms, good_until });
        true
    }

    pub fn remove(&mut self, id: u32) {
        if let Some(entry) = self.entries.remove(&id) {
            self.bytes -= entry.bytes;
        }
    }

    /// The one that was not used for longest, if that is long.
    fn unused(&self, now: Instant) -> Option<u32> {
        let used = self.entries.iter().map(|(id, entry)| (entry.used_ms.load(Ordering::Relaxed), *id));
        let (used_ms, id) = used.min()?;
        let idle_ms = self.age_ms(now).saturating_sub(used_ms);
        (u128::from(idle_ms) >= UNUSED.as_millis()).then_some(id)
    }

    fn age_ms(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.start).as_millis() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Any;
    impl Schema for Any {
        fn violation(&self, _: &[u8]) -> Option<String> {
            None
        }
    }

    #[test]
    fn only_what_is_out_of_use_makes_room() {
        let start = Instant::now();
        let mut shelf = Shelf::new(start);
        for id in 0..SCHEMAS_MAX as u32 {
            assert!(shelf.put(id, Arc::new(Any), 1_000, None, start));
        }
        let soon = start + UNUSED / 2;
        assert!(!shelf.put(5_000, Arc::new(Any), 1_000, None, soon), "all are in use");
        let late = start + UNUSED;
        (1..SCHEMAS_MAX as u32).for_each(|id| assert!(shelf.find(id, soon).is_some()));
        assert!(shelf.put(5_000, Arc::new(Any), 1_000, None, late));
        assert!(shelf.find(0, late).is_none(), "the only one that was out of use");
        assert!(!shelf.put(5_001, Arc::new(Any), 1_000, None, late));
        assert_eq!(shelf.len(), SCHEMAS_MAX);
    }

    #[test]
    fn bytes_are_bounded_and_given_back() {
        let start = Instant::now();
        let mut shelf = Shelf::new(start);
        for again in 0..100 {
            assert!(shelf.put(again % 2, Arc::new(Any), SCHEMAS_BYTES_MAX / 2, None, start));
        }
        assert!(!shelf.put(2, Arc::new(Any), 1, None, start));
        assert!(shelf.put(2, Arc::new(Any), 1, None, start + UNUSED));
    }

    #[test]
    fn what_may_be_put_right_is_asked_for_again_and_found_until_then() {
        let start = Instant::now();
        let later = start + Duration::from_secs(1);
        let mut shelf = Shelf::new(start);
        shelf.put(1, Arc::new(Any), 1, Some(later), start);
        assert!(shelf.holds(1, start));
        assert!(!shelf.holds(1, later));
        assert!(shelf.find(1, later).is_some());
    }
}
