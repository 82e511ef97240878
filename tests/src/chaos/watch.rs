//! A reader of committed records that takes the time: how long nothing new was to be seen.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::Offset;

use super::Deployment;
use super::output::reader;

pub struct Watch {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Vec<Instant>>>,
}

impl Watch {
    /// Dead letters come as steadily as readings.
    pub fn start(deployment: &Deployment, bootstrap: &str) -> Watch {
        let consumer = reader(bootstrap, &deployment.dead_letters(), Offset::Beginning);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut seen = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                if let Some(Ok(_)) = consumer.poll(Duration::from_millis(20)) {
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
    /// From a kill to the first new record, sorted; kills that others followed before that are left out.
    pub gaps: Vec<Duration>,
    /// Without anything new, however many kills there were meanwhile.
    pub longest: Duration,
}

/// So long after a kill a reader may still see what was committed before it.
const UNDER_WAY: Duration = Duration::from_millis(100);

impl Cost {
    fn of(seen: &[Instant], kills: &[Instant]) -> Cost {
        let longest = seen.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default();
        let ends = kills.iter().skip(1).map(Some).chain([None]);
        let gap = |(kill, end): (&Instant, Option<&Instant>)| {
            let first = seen[seen.partition_point(|at| *at < *kill + UNDER_WAY)..].first()?;
            end.is_none_or(|end| first < end).then(|| *first - *kill)
        };
        let mut gaps: Vec<Duration> = kills.iter().zip(ends).filter_map(gap).collect();
        gaps.sort();
        Cost { gaps, longest }
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
    fn a_kill_costs_until_the_next_record_unless_another_follows() {
        let start = Instant::now();
        let at = |ms: &[u64]| ms.iter().map(|ms| start + Duration::from_millis(*ms)).collect::<Vec<_>>();
        let cost = Cost::of(&at(&[0, 90, 2_000, 2_050, 7_000]), &at(&[80, 2_040, 3_000, 6_000]));
        assert_eq!(cost.gaps, [Duration::from_secs(1), Duration::from_millis(1_920)]);
        assert_eq!(cost.longest, Duration::from_millis(4_950));
        assert_eq!((cost.median(), cost.max()), (cost.gaps[1], cost.gaps[1]));
    }
}
