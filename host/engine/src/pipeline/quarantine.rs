//! Quarantines end by themselves: after a while it is tried whether a detector goes on, and after a longer while again.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::lane::{Lane, LaneError};
use crate::settings::PaceSettings;

/// The quarantines of a lane, in its thread.
#[derive(Default)]
pub struct Quarantines {
    by_detector: BTreeMap<String, Stay>,
}

struct Stay {
    generation: u64,
    /// None: it was released, and judges.
    due: Option<Instant>,
    /// This time; the next one is twice as long.
    wait: Duration,
    since: Instant,
}

impl Quarantines {
    /// Between two steps of the worker: whether somebody was released, so that the lane should be saved.
    pub fn step(&mut self, lane: &mut Lane, pace: &PaceSettings) -> Result<bool, LaneError> {
        let now = Instant::now();
        let out: Vec<_> = lane.quarantined().collect();
        if out.is_empty() && self.by_detector.is_empty() {
            return Ok(false);
        }
        // Who was replaced or removed, or has judged for long enough, begins again with the shortest.
        self.by_detector.retain(|name, stay| {
            out.iter().any(|out| out.detector == *name)
                || (stay.due.is_none() && now < stay.since + pace.quarantine_max)
        });
        for out in out {
            let fresh = || Stay {
                generation: out.generation,
                due: Some(now + pace.quarantine_min),
                wait: pace.quarantine_min,
                since: now,
            };
            let stay = self.by_detector.entry(out.detector.clone()).or_insert_with(fresh);
            if stay.generation != out.generation {
                *stay = fresh();
            }
            let due = match stay.due {
                Some(due) => due,
                None => stay.longer(now, pace.quarantine_max),
            };
            if now < due || !lane.may_change() {
                continue;
            }
            if lane.release(&out.detector)? {
                tracing::info!(
                    lane = lane.name(),
                    detector = out.detector,
                    position = lane.next(),
                    "is released"
                );
                (stay.due, stay.since) = (None, now);
                return Ok(true);
            }
            stay.longer(now, pace.quarantine_max);
            let (detector, again_s) = (&out.detector, stay.wait.as_secs());
            tracing::warn!(lane = lane.name(), detector, again_s, "stays quarantined");
            // The next one later: what each knew may have to be found out.
            return Ok(false);
        }
        Ok(false)
    }
}

impl Stay {
    fn longer(&mut self, now: Instant, max: Duration) -> Instant {
        self.wait = (self.wait * 2).min(max);
        *self.due.insert(now + self.wait)
    }
}
