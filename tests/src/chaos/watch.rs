//! A reader of committed records that takes the time: how long nothing new was to be seen.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::Offset;

use super::Deployment;
use super::output::{letter_of, reader};

pub struct Watch {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Vec<Instant>>>,
}

impl Watch {
    /// Dead letters come as steadily as readings. One that is repeated is not new.
    pub fn start(deployment: &Deployment, bootstrap: &str) -> Watch {
        let consumer = reader(bootstrap, &deployment.dead_letters(), Offset::Beginning);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let (mut known, mut seen) = (HashSet::new(), Vec::new());
            while !stopped.load(Ordering::Relaxed) {
                if let Some(Ok(letter)) = consumer.poll(Duration::from_millis(20))
                    && known.insert(letter_of(&letter))
                {
                    seen.push(Instant::now());
                }
            }
            seen
        });
        Watch { stop, thread: Some(thread) }
    }

    /// What each of these kills, in their order, has cost.
    pub fn end(mut self, kills: &[Instant]) -> Cost {
        self.stop.store(true, Ordering::Relaxed);
        Cost::of(&self.thread.take().unwrap().join().unwrap(), kills)
    }
}

/// What readers have noticed of kills.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// From each kill to the first new record, sorted. Kills that others followed before that are no exception:
    /// what the next life could not say either is counted in full.
    pub gaps: Vec<Duration>,
    /// Kills after which nothing new was ever seen.
    pub without_end: usize,
}

/// So long after a kill a reader may still see what was committed before it.
const UNDER_WAY: Duration = Duration::from_millis(100);

impl Cost {
    fn of(seen: &[Instant], kills: &[Instant]) -> Cost {
        let gap = |kill: &Instant| {
            let first = seen[seen.partition_point(|at| *at < *kill + UNDER_WAY)..].first()?;
            Some(*first - *kill)
        };
        let mut gaps: Vec<Duration> = kills.iter().filter_map(gap).collect();
        gaps.sort();
        let without_end = kills.len() - gaps.len();
        Cost { gaps, without_end }
    }

    pub fn median(&self) -> Duration {
        self.gaps.get(self.gaps.len() / 2).copied().unwrap_or_default()
    }

    pub fn max(&self) -> Duration {
        self.gaps.last().copied().unwrap_or_default()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kill_costs_until_the_next_record_also_where_another_follows() {
        let start = Instant::now();
        let at = |ms: &[u64]| ms.iter().map(|ms| start + Duration::from_millis(*ms)).collect::<Vec<_>>();
        let cost = Cost::of(&at(&[0, 90, 2_000, 2_050, 7_000]), &at(&[80, 2_040, 3_000, 6_000, 6_950]));
        let ms: Vec<u128> = cost.gaps.iter().map(Duration::as_millis).collect();
        assert_eq!(ms, [1_000, 1_920, 4_000, 4_960]);
        assert_eq!((cost.median(), cost.max()), (cost.gaps[2], cost.gaps[3]));
        assert_eq!(cost.without_end, 1);
    }
}
