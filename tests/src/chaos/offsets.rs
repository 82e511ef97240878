//! What the group has committed, and where topics end.

use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use super::process::Process;
use super::stage::PARTITIONS;
use super::{Deployment, until};

const PATIENCE: Duration = Duration::from_secs(10);
/// Without any progress of the group's commits.
const STUCK: Duration = Duration::from_secs(90);

/// A look at one group's commits, from outside.
pub struct Offsets {
    committed: BaseConsumer,
    uncommitted: BaseConsumer,
    deployment: Deployment,
}

/// One lane's commit: the position, and the checkpoint that it names, by its file's name.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Commit {
    pub position: i64,
    pub checkpoint: String,
}

impl Offsets {
    /// `bootstrap` leads straight to the broker.
    pub fn of(deployment: &Deployment, bootstrap: &str) -> Offsets {
        let consumer = |isolation: &str| -> BaseConsumer {
            let mut config = ClientConfig::new();
            config.set("bootstrap.servers", bootstrap).set("group.id", &deployment.group);
            config.set("isolation.level", isolation).set("reconnect.backoff.max.ms", "200").create().unwrap()
        };
        Offsets {
            committed: consumer("read_committed"),
            uncommitted: consumer("read_uncommitted"),
            deployment: deployment.clone(),
        }
    }

    /// By lane; None while the broker cannot tell.
    pub fn commits(&self) -> Option<Vec<Commit>> {
        let mut list = TopicPartitionList::new();
        list.add_partition_range(&self.deployment.topic, 0, i32::try_from(PARTITIONS).unwrap() - 1);
        let found = self.committed.committed_offsets(list, PATIENCE).ok()?;
        let commit = |lane: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| {
            lane.error().ok()?;
            let position = match lane.offset() {
                Offset::Offset(position) => position,
                _ => 0,
            };
            let checkpoint = lane.metadata().split(' ').nth(1).unwrap_or_default().to_owned();
            Some(Commit { position, checkpoint })
        };
        found.elements().iter().map(commit).collect()
    }

    /// Where the topic of readings ends, by lane.
    fn ends(&self) -> Option<Vec<i64>> {
        let partitions = 0..i32::try_from(PARTITIONS).unwrap();
        partitions
            .map(|lane| {
                Some(self.uncommitted.fetch_watermarks(&self.deployment.topic, lane, PATIENCE).ok()?.1)
            })
            .collect()
    }

    /// Readings in the topic.
    pub fn readings(&self) -> i64 {
        self.ends().unwrap_or_default().iter().sum()
    }

    /// No transaction is open on a topic of one partition.
    fn is_final(&self, topic: &str) -> bool {
        let end = |consumer: &BaseConsumer| consumer.fetch_watermarks(topic, 0, PATIENCE).ok();
        let (stable, all) = (end(&self.committed), end(&self.uncommitted));
        stable.is_some() && stable == all
    }

    /// Waits until the group has committed all there is, and readers see all of it. Nobody may die meanwhile.
    pub fn until_all_is_judged(&self, processes: &mut [&mut Process]) {
        let mut last = Vec::new();
        loop {
            let (before, mut seen) = (last.clone(), Vec::new());
            let mut done = false;
            until(&format!("progress of {} beyond {before:?}", self.deployment.group), STUCK, || {
                processes.iter_mut().for_each(|process| process.check());
                let Some(commits) = self.commits() else { return false };
                seen = commits.iter().map(|commit| commit.position).collect();
                done = self.ends().as_ref() == Some(&seen);
                done || seen != before
            });
            if done {
                break;
            }
            last = seen;
        }
        let topics = [self.deployment.anomalies(), self.deployment.dead_letters()];
        until("the end of all transactions", STUCK, || topics.iter().all(|topic| self.is_final(topic)));
    }
}
