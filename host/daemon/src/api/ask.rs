//! Questions to lanes: each answers between two batches, a little at a time.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use gridwatch_core::anomaly::PublicSubject;
use gridwatch_core::finding::Severity;
use gridwatch_engine::lane::Lane;
use gridwatch_engine::pipeline::{Answered, Unasked};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::problem::Problem;
use crate::wiring::Running;

/// A lane that does not answer for so long is in a call that takes longer than it may, or is gone.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// For what is told each second.
const COUNT_MAX: Duration = Duration::from_millis(500);

/// Names of the lanes that are open.
pub fn lanes(running: &Running) -> Vec<String> {
    running.snapshot().lanes.into_iter().map(|lane| lane.lane).collect()
}

/// Puts `work` to the lane again and again until it answers. A lane that is gone meanwhile answers `None`.
pub async fn ask<T: Send + 'static>(
    running: &Running,
    lane: &str,
    mut work: impl FnMut(&Lane) -> Option<T> + Send + 'static,
) -> Result<Option<T>, Problem> {
    let (sender, answer) = oneshot::channel();
    let mut sender = Some(sender);
    let question = move |lane: &Lane| {
        // Whoever asked has gone.
        if sender.as_ref().is_none_or(oneshot::Sender::is_closed) {
            return Answered::Done;
        }
        match work(lane) {
            None => Answered::InPart,
            Some(answer) => {
                // Whoever asked may have gone just now.
                let _ = sender.take().map(|sender| sender.send(answer));
                Answered::Done
            }
        }
    };
    match running.ask(lane, Box::new(question)) {
        Ok(()) => {}
        Err(Unasked::Gone) => return Ok(None),
        Err(error) => return Err(Problem::busy(format!("lane {lane}: {error}"))),
    }
    match timeout(ANSWER_MAX, answer).await {
        Ok(Ok(answer)) => Ok(Some(answer)),
        Ok(Err(_)) => Ok(None),
        Err(_) => {
            Err(Problem::busy(format!("lane {lane} has not answered within {} s", ANSWER_MAX.as_secs())))
        }
    }
}

/// Open episodes by severity.
pub type BySeverity = BTreeMap<Severity, u64>;

/// Open episodes by severity, over all lanes. All are asked at once; of one that has no time for it, `known` is what it
/// said last.
pub async fn open_episodes(running: &Running, known: &Mutex<BTreeMap<String, BySeverity>>) -> BySeverity {
    let lanes = lanes(running);
    let mut asked = JoinSet::new();
    for lane in lanes.clone() {
        let running = running.clone();
        asked.spawn(async move {
            let counted = timeout(COUNT_MAX, ask(&running, &lane, count)).await.ok()?.ok()??;
            Some((lane, counted))
        });
    }
    let counted: Vec<_> = asked.join_all().await.into_iter().flatten().collect();
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
    known.extend(counted);
    known.retain(|lane, _| lanes.contains(lane));
    let mut sum = BySeverity::new();
    for (severity, count) in known.values().flatten() {
        *sum.entry(*severity).or_default() += count;
    }
    sum
}

fn count(lane: &Lane) -> Option<BySeverity> {
    let mut counts = BySeverity::new();
    for (_, episodes) in lane.open_episodes() {
        episodes.values().for_each(|episode| *counts.entry(episode.severity).or_default() += 1);
    }
    Some(counts)
}

/// Episodes that are open on a subject, of all detectors.
pub fn open_on(lane: &Lane, subject: &PublicSubject) -> u64 {
    let first =
        gridwatch_core::anomaly::EpisodeKey { subject: subject.clone(), quantity: None, kind: String::new() };
    let of = |episodes: &BTreeMap<gridwatch_core::anomaly::EpisodeKey, _>| {
        episodes.range(&first..).take_while(|(key, _)| key.subject == *subject).count() as u64
    };
    lane.open_episodes().map(|(_, episodes)| of(episodes)).sum()
}
