//! Lanes as the group gives and takes them.

use std::collections::BTreeSet;
use std::time::Duration;

use gridwatch_core::anomaly::Origin;
use gridwatch_core::intake::{Change, Intake, Opening, Revocation};
use gridwatch_core::record::{RecordFormat, SourceError};
use gridwatch_core::sink::LaneId;
use rdkafka::consumer::Consumer;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::{Message, TopicPartitionList};

use super::feed::KafkaFeed;
use super::group::{Connected, Group, Rebalance};
use super::identity::{Identity, grown};
use super::raw;
use super::refusal::Fencing;

pub struct KafkaIntake {
    shared: Group,
    /// `shared` as it is now: nobody else changes it.
    group: Connected,
    is_subscribed: bool,
    /// Lost with a membership, and perhaps ours as the next member: the next rebalance tells.
    in_doubt: BTreeSet<i32>,
    /// Asked for by the group, and not answered yet.
    wanted_back: Vec<i32>,
    /// A generation has come meanwhile, as whose member nothing of these may be committed.
    is_renewal_due: bool,
    fencing: Fencing,
    identity: Identity,
}

impl KafkaIntake {
    pub fn new(shared: Group) -> Self {
        let group = shared.current();
        KafkaIntake {
            shared,
            group,
            is_subscribed: false,
            in_doubt: BTreeSet::new(),
            wanted_back: Vec::new(),
            is_renewal_due: false,
            fencing: Fencing::default(),
            identity: Identity::default(),
        }
    }

    fn failed(&self, what: String) -> SourceError {
        SourceError::Read { place: self.group.place(), what }
    }

    fn open(&self, partition: i32) -> Opening {
        let topic = &self.group.settings.topic;
        let lane = self.group.membership().hold(topic, partition);
        Opening {
            feed: Box::new(KafkaFeed::new(self.group.clone(), lane.clone(), partition)),
            lane,
            origin: Origin::Topic { topic: topic.clone(), partition },
            source: self.group.source_parts(),
            format: RecordFormat::Json,
        }
    }

    /// Messages of these are not fetched any more. librdkafka takes it for the answer to the revocation that it has
    /// asked for, also to one that was not heard yet: the partitions of such a one are answered with.
    fn unassign(&self, partitions: &[i32]) -> Result<Vec<i32>, SourceError> {
        let mut list = TopicPartitionList::new();
        for partition in partitions {
            list.add_partition(&self.group.settings.topic, *partition);
        }
        let consumer = &self.group.consumer;
        consumer.incremental_unassign(&list).map_err(|error| self.failed(error.to_string()))?;
        // What was asked before is in the queue by now.
        while raw::events_waiting(consumer) > 0 {
            self.hear(Duration::ZERO)?;
        }
        Ok(self.group.membership().answered())
    }

    /// Waits at most so long for librdkafka to say something, which the membership notes.
    fn hear(&self, wait: Duration) -> Result<(), SourceError> {
        match self.group.consumer.poll(wait) {
            None => Ok(()),
            Some(Err(error)) => {
                tracing::debug!("{error}");
                Ok(())
            }
            // Its lane would miss it: better to stop than to lose it.
            Some(Ok(message)) => {
                let (offset, partition) = (message.offset(), message.partition());
                Err(self.failed(format!("offset {offset} of partition {partition} came past its lane")))
            }
        }
    }

    /// Lanes whose positions are gone go on elsewhere, once nothing of them is fetched any more. Not while a revocation
    /// is being settled, which that would answer.
    fn stop_fetching(&self) -> Result<(), SourceError> {
        let partitions = self.group.membership().stopping();
        if partitions.is_empty() || !self.wanted_back.is_empty() {
            return Ok(());
        }
        self.unassign(&partitions)?;
        self.group.membership().stopped(&partitions);
        Ok(())
    }

    /// As whom we may commit from now on.
    fn renew(&mut self) {
        self.is_renewal_due = !self.wanted_back.is_empty();
        if self.is_renewal_due {
            return;
        }
        self.group.membership().set_metadata(self.group.consumer.group_metadata());
    }

    fn apply(&mut self, event: Rebalance) -> Result<Vec<Change>, SourceError> {
        let mut changes = self.lost_in_silence();
        match event {
            Rebalance::Assigned(partitions) => {
                self.check_partitions(&partitions)?;
                // Each lane is assigned from its own position once that is known; this is the answer alone.
                let none = TopicPartitionList::new();
                self.group
                    .consumer
                    .incremental_assign(&none)
                    .map_err(|error| self.failed(error.to_string()))?;
                if self.group.membership().is_nobody() {
                    // Of the membership that has ended; as the next member we are told again, and what is not
                    // ours then is taken back first.
                    self.in_doubt.extend(partitions);
                    return Ok(changes);
                }
                // The group would not give what it knows to be ours already: what we have of these is of before.
                let lanes = self.group.membership().take_away(&partitions);
                if !lanes.is_empty() {
                    changes.push(Change::Revoked { lanes, how: Revocation::Lost });
                }
                self.renew();
                tracing::info!(?partitions, "assigned");
                let mut ours = std::mem::take(&mut self.in_doubt);
                ours.extend(partitions);
                changes.extend(ours.into_iter().map(|partition| Change::Opened(self.open(partition))));
            }
            Rebalance::Revoked { partitions } => {
                tracing::info!(?partitions, "to be given back");
                self.in_doubt.retain(|partition| !partitions.contains(partition));
                // They are ours until we answer, and the generation is a new one already.
                self.renew();
                let lanes = self.group.membership().lanes_of(&partitions);
                if !lanes.is_empty() {
                    changes.push(Change::Revoked { lanes, how: Revocation::Asked });
                    self.wanted_back = partitions;
                } else if changes.is_empty() {
                    // None of them was begun: the answer is all there is to do. Where lanes were lost it comes with
                    // these.
                    self.unassign(&[])?;
                }
            }
            Rebalance::Answered { partitions, lanes } => {
                tracing::info!(?partitions, "given back");
                self.in_doubt.retain(|partition| !partitions.contains(partition));
                if lanes.is_empty() {
                    self.unassign(&[])?;
                } else {
                    changes.push(Change::Revoked { lanes, how: Revocation::Lost });
                }
            }
            Rebalance::Lost { lanes } => {
                self.in_doubt.clear();
                let names: Vec<&str> = lanes.iter().map(|lane| &*lane.name).collect();
                tracing::warn!(lanes = names.join(","), "lost: this process was away for too long");
                changes.push(Change::Revoked { lanes, how: Revocation::Lost });
            }
        }
        Ok(changes)
    }

    /// All lanes, where the group does not know us as the member any more that they were given to.
    fn lost_in_silence(&mut self) -> Vec<Change> {
        let lost = self.group.membership().lose_with(raw::member_id(&self.group.consumer));
        if lost.is_empty() {
            return Vec::new();
        }
        tracing::warn!(
            "this process was away for too long, and is a new member: its lanes go back to their commits"
        );
        let (lanes, partitions): (Vec<LaneId>, Vec<i32>) = lost.into_iter().unzip();
        self.in_doubt
            .extend(partitions.into_iter().filter(|partition| !self.wanted_back.contains(partition)));
        vec![Change::Revoked { lanes, how: Revocation::Lost }]
    }

    /// Another consumer has come in our place, which ends ours for good. It may have been this process: out of
    /// reach for longer than its session, it asks to join again and again, and the broker takes a request of
    /// long ago, delivered late, for somebody new. So it joins anew, and its lanes go back to their commits.
    fn rejoin(&mut self, what: &str) -> Result<Vec<Change>, SourceError> {
        // Also where this is the end: nothing of them can be committed any more, so nobody should try.
        let lanes = self.group.membership().close();
        let cut_off = self.group.membership().cut_off();
        if let Some(end) = self.fencing.note(&self.group.settings.instance, cut_off) {
            return Err(self.failed(format!("{end} ({what})")));
        }
        tracing::warn!("fenced, joins the group anew; lanes go back to their commits: {what}");
        self.group = self.shared.renew()?;
        self.is_subscribed = false;
        self.in_doubt.clear();
        self.wanted_back.clear();
        if lanes.is_empty() {
            Ok(Vec::new())
        } else {
            Ok(vec![Change::Revoked { lanes, how: Revocation::Lost }])
        }
    }

    fn check_partitions(&self, partitions: &[i32]) -> Result<(), SourceError> {
        let Some(new) = partitions.iter().find(|partition| **partition >= self.group.partitions) else {
            return Ok(());
        };
        let (topic, before) = (&self.group.settings.topic, self.group.partitions);
        Err(self.failed(grown(topic, before, *new as usize + 1)))
    }
}

impl Intake for KafkaIntake {
    fn poll(&mut self, wait: Duration) -> Result<Vec<Change>, SourceError> {
        let topic = self.group.settings.topic.as_str();
        if !std::mem::replace(&mut self.is_subscribed, true) {
            self.group.consumer.subscribe(&[topic]).map_err(|error| self.failed(error.to_string()))?;
        }
        self.hear(wait)?;
        match self.group.consumer.client().fatal_error() {
            None => {}
            Some((RDKafkaErrorCode::FencedInstanceId, what)) => return self.rejoin(&what),
            Some((code, what)) => return Err(self.failed(format!("{code}: {what}"))),
        }
        self.group.membership().check(&self.group.place())?;
        self.identity.check(&self.group)?;
        self.stop_fetching()?;
        match self.group.membership().next_event() {
            Some(event) => self.apply(event),
            None => Ok(self.lost_in_silence()),
        }
    }

    fn released(&mut self, lanes: &[LaneId]) -> Result<(), SourceError> {
        if !self.group.membership().has_given(lanes) {
            // Of a consumer that is gone: nobody waits for the answer.
            return Ok(());
        }
        self.wanted_back.clear();
        let fetched = self.group.membership().release(lanes);
        if self.is_renewal_due {
            self.renew();
        }
        self.unassign(&fetched)?;
        Ok(())
    }

    fn reopen(&mut self) -> Result<Vec<Opening>, SourceError> {
        let held = self.group.membership().assignment().partitions;
        let (lanes, partitions): (Vec<LaneId>, Vec<i32>) = held.into_iter().unzip();
        let fetched = self.group.membership().release(&lanes);
        // Nobody has asked: with none it would be the answer to a question that is still to be met.
        let gone = if fetched.is_empty() { Vec::new() } else { self.unassign(&fetched)? };
        let ours = partitions.into_iter().filter(|partition| !gone.contains(partition));
        Ok(ours.map(|partition| self.open(partition)).collect())
    }

    fn is_fixed(&self) -> bool {
        false
    }

    /// What was asked and not answered yet would be waited for without end.
    fn close(&mut self) {
        let Connected { consumer, .. } = &self.group;
        let membership = self.group.membership();
        membership.close();
        let none = TopicPartitionList::new();
        while let Some(event) = membership.next_event() {
            let answered = match event {
                Rebalance::Assigned(_) => consumer.incremental_assign(&none),
                _ => consumer.incremental_unassign(&none),
            };
            if let Err(error) = answered {
                tracing::debug!("at the end: {error}");
            }
        }
    }
}
