//! This process as a member of its group: the consumer, and which lanes are ours under which generation.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use gridwatch_core::record::SourceError;
use gridwatch_core::sink::{LaneCommit, LaneId, SinkError};
use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::statistics::Statistics;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientConfig, TopicPartitionList};

use super::figures::{ClientFigures, Figures};
use super::publish::place_of;
use super::refusal::{is_cut_off, is_no_entry};
use super::settings::KafkaSettings;
use super::{metadata, raw};
use crate::locked;

/// How long one question to the brokers may take.
pub const ASK_WAIT: Duration = Duration::from_secs(5);
/// Between two tries to find a topic at the start.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// How long brokers may be out of reach at the start before it counts as a mistake in the configuration.
const CONNECT_WAIT: Duration = Duration::from_secs(15);

pub type GroupConsumer = BaseConsumer<Membership>;

/// The group as intake and sink share it, while consumers come and go.
#[derive(Clone)]
pub struct Group {
    pub(super) settings: Arc<KafkaSettings>,
    pub(super) producer_figures: Figures,
    consumer_figures: Figures,
    current: Arc<Mutex<Connected>>,
}

/// The group as one consumer sees it. A consumer that was fenced is made anew, with a membership of its own:
/// lanes of the one before are nobody's then.
#[derive(Clone)]
pub struct Connected {
    pub(super) consumer: Arc<GroupConsumer>,
    pub(super) settings: Arc<KafkaSettings>,
    /// So many partitions the topic has, and the id that it keeps for life.
    pub(super) partitions: i32,
    pub(super) topic_id: String,
}

/// Whose lanes are whose, as of the last rebalance that was handled.
pub struct Membership {
    state: Mutex<State>,
    figures: Figures,
}

#[derive(Default)]
struct State {
    held: BTreeMap<LaneId, Held>,
    /// Of the generation that `held` belongs to. Never newer: a process that was away, lost its lanes and
    /// came back must not commit them as a member of the new generation.
    metadata: Option<Arc<ConsumerGroupMetadata>>,
    /// Taken from us, and still to be given up.
    going: BTreeMap<LaneId, Held>,
    events: VecDeque<Rebalance>,
    /// By partition, who reads its queue.
    readers: BTreeMap<i32, Reader>,
    /// What the coordinator calls us.
    member: Option<String>,
    /// Those of this consumer's lanes are greater than `first`.
    first: u64,
    incarnations: u64,
    /// The first error that no waiting will mend.
    fatal: Option<String>,
    /// When brokers were last out of reach.
    cut_off: Option<Instant>,
    is_closing: bool,
}

#[derive(Debug, Clone, Copy)]
struct Held {
    partition: i32,
    fetch: Fetch,
}

/// Whether a partition is in librdkafka's assignment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fetch {
    No,
    Yes,
    /// It is to be taken out.
    Stopping,
}

/// The incarnation of the lane that reads a partition's queue, for as long as it is locked. There is one queue,
/// however often the partition comes and goes: a lane of before that is still waiting at it would take
/// messages away from the one that came after.
pub type Reader = Arc<Mutex<u64>>;

/// What the group's coordinator wants. It waits for our answer.
pub enum Rebalance {
    Assigned(Vec<i32>),
    Revoked {
        partitions: Vec<i32>,
    },
    /// Revoked, and answered before it was heard: these are gone already.
    Answered {
        partitions: Vec<i32>,
        lanes: Vec<LaneId>,
    },
    Lost {
        lanes: Vec<LaneId>,
    },
}

/// What may go into one transaction: these lanes, as this member of the group.
pub struct Assignment {
    pub partitions: BTreeMap<LaneId, i32>,
    pub metadata: Option<Arc<ConsumerGroupMetadata>>,
}

impl ClientContext for Membership {
    fn log(&self, level: rdkafka::config::RDKafkaLogLevel, facility: &str, message: &str) {
        super::producer::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let Some(code) = error.rdkafka_error_code() else { return };
        if is_no_entry(code) {
            self.lock().fatal.get_or_insert(format!("{code}: {reason}"));
        } else {
            if is_cut_off(code) {
                self.lock().cut_off = Some(Instant::now());
            }
            tracing::warn!("{code}: {reason}{}", what_to_do(code));
        }
    }

    fn stats(&self, statistics: Statistics) {
        self.figures.set(&statistics);
    }
}

impl ConsumerContext for Membership {
    /// Only notes what is wanted: the answer comes once lanes are opened or settled, from the intake.
    fn rebalance(&self, consumer: &GroupConsumer, error: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let partitions: Vec<i32> = list.elements().iter().map(|element| element.partition()).collect();
        let mut state = self.lock();
        if state.is_closing {
            drop(state);
            let _ = consumer.incremental_unassign(list);
            return;
        }
        let event = if error == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            Rebalance::Assigned(partitions)
        } else {
            state.revoke(partitions, consumer.assignment_lost())
        };
        state.events.push_back(event);
    }
}

/// About what librdkafka tries again for ever.
fn what_to_do(code: RDKafkaErrorCode) -> &'static str {
    match code {
        RDKafkaErrorCode::InconsistentGroupProtocol => {
            "; the group has members that are no gridwatch: give this one a [source] group of its own"
        }
        RDKafkaErrorCode::InvalidSessionTimeout => {
            "; the brokers do not allow this session.timeout.ms: see their group.min.session.timeout.ms and \
             group.max.session.timeout.ms"
        }
        _ => "",
    }
}

impl State {
    fn partitions(&self) -> BTreeMap<LaneId, i32> {
        self.held.iter().map(|(lane, held)| (lane.clone(), held.partition)).collect()
    }

    fn revoke(&mut self, partitions: Vec<i32>, lost: bool) -> Rebalance {
        if !lost {
            return Rebalance::Revoked { partitions };
        }
        // Before anything else: nobody may commit them any more.
        self.metadata = None;
        Rebalance::Lost {
            lanes: self.lose(|partition| partitions.contains(&partition)).into_keys().collect(),
        }
    }

    /// These are not ours any more, and still to be given up.
    fn lose(&mut self, is_lost: impl Fn(i32) -> bool) -> BTreeMap<LaneId, i32> {
        let lost: Vec<(LaneId, Held)> = self.held.extract_if(.., |_, held| is_lost(held.partition)).collect();
        let lanes = lost.iter().map(|(lane, held)| (lane.clone(), held.partition)).collect();
        self.going.extend(lost);
        lanes
    }
}

impl Membership {
    /// Follows one whose lanes are known by incarnations up to this.
    fn after(first: u64, figures: Figures) -> Self {
        let state = State { first, incarnations: first, ..State::default() };
        Membership { state: Mutex::new(state), figures }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        locked(&self.state)
    }

    pub fn next_event(&self) -> Option<Rebalance> {
        self.lock().events.pop_front()
    }

    /// A new incarnation of the partition's lane, which is ours from now on.
    pub fn hold(&self, topic: &str, partition: i32) -> LaneId {
        let mut state = self.lock();
        state.incarnations += 1;
        let name = format!("{topic}-{partition}").into();
        let lane = LaneId { name, incarnation: state.incarnations };
        state.held.insert(lane.clone(), Held { partition, fetch: Fetch::No });
        lane
    }

    pub fn reader(&self, partition: i32) -> Reader {
        self.lock().readers.entry(partition).or_default().clone()
    }

    pub fn lanes_of(&self, partitions: &[i32]) -> Vec<LaneId> {
        let state = self.lock();
        let ours = state.held.iter().filter(|(_, held)| partitions.contains(&held.partition));
        ours.map(|(lane, _)| lane.clone()).collect()
    }

    /// The lanes are ours no more; of these partitions messages were being fetched.
    pub fn release(&self, lanes: &[LaneId]) -> Vec<i32> {
        let mut state = self.lock();
        let State { held, going, .. } = &mut *state;
        let given = lanes.iter().filter_map(|lane| held.remove(lane).or_else(|| going.remove(lane)));
        given.filter(|held| held.fetch != Fetch::No).map(|held| held.partition).collect()
    }

    /// What we have of these partitions is not ours any more, and still to be given up.
    pub fn take_away(&self, partitions: &[i32]) -> Vec<LaneId> {
        self.lock().lose(|partition| partitions.contains(&partition)).into_keys().collect()
    }

    /// As whom we may commit the lanes that are held now.
    pub fn set_metadata(&self, metadata: Option<ConsumerGroupMetadata>) {
        self.lock().metadata = metadata.map(Arc::new);
    }

    /// Whether the group knows us as another member than the one that was given our lanes. librdkafka does
    /// not always say that a membership was lost: one that ends while a rebalance is being answered is
    /// renewed in silence. All lanes are lost with it then, and answered with.
    pub fn lose_with(&self, member: Option<String>) -> BTreeMap<LaneId, i32> {
        let mut state = self.lock();
        let before = std::mem::replace(&mut state.member, member);
        if before == state.member {
            return BTreeMap::new();
        }
        state.metadata = None;
        state.lose(|_| true)
    }

    /// The group has ended our membership, and has not given us another one yet.
    pub fn is_nobody(&self) -> bool {
        self.lock().member.is_none()
    }

    pub fn assignment(&self) -> Assignment {
        let state = self.lock();
        Assignment { partitions: state.partitions(), metadata: state.metadata.clone() }
    }

    pub fn check(&self, place: &str) -> Result<(), SourceError> {
        match self.lock().fatal.clone() {
            None => Ok(()),
            Some(what) => Err(SourceError::Read { place: place.to_owned(), what }),
        }
    }

    /// When brokers were last out of reach.
    pub fn cut_off(&self) -> Option<Instant> {
        self.lock().cut_off
    }

    /// Whether these are of this consumer, and not of one before it.
    pub fn has_given(&self, lanes: &[LaneId]) -> bool {
        let first = self.lock().first;
        lanes.iter().all(|lane| lane.incarnation > first)
    }

    /// Nothing is ours any more; these lanes were until now.
    pub fn close(&self) -> Vec<LaneId> {
        let mut state = self.lock();
        state.is_closing = true;
        state.metadata = None;
        let held = std::mem::take(&mut state.held);
        held.into_keys().chain(std::mem::take(&mut state.going).into_keys()).collect()
    }

    /// Does `work` while the lane is ours and cannot be taken, or not at all. The lane's messages count as
    /// being fetched from then on.
    pub fn while_held<T>(&self, lane: &LaneId, work: impl FnOnce() -> T) -> Option<T> {
        let mut state = self.lock();
        let held = state.held.get_mut(lane)?;
        held.fetch = Fetch::Yes;
        Some(work())
    }

    /// Asks the intake that the lane's messages are not fetched any more, and whether that is so. None: the lane is
    /// not ours. Nobody else may do it, since librdkafka takes it for an answer to what it has asked.
    pub fn stop(&self, lane: &LaneId) -> Option<bool> {
        let mut state = self.lock();
        let held = state.held.get_mut(lane)?;
        if held.fetch == Fetch::Yes {
            held.fetch = Fetch::Stopping;
        }
        Some(held.fetch == Fetch::No)
    }

    /// Partitions whose lanes have asked for that.
    pub fn stopping(&self) -> Vec<i32> {
        let state = self.lock();
        let stopping = state.held.values().filter(|held| held.fetch == Fetch::Stopping);
        stopping.map(|held| held.partition).collect()
    }

    /// They are not fetched any more.
    pub fn stopped(&self, partitions: &[i32]) {
        for held in self.lock().held.values_mut().filter(|held| partitions.contains(&held.partition)) {
            held.fetch = Fetch::No;
        }
    }

    /// Revocations that wait to be heard were answered by what was done for another reason: nothing of their lanes may
    /// be settled any more, and nothing is committed until the group has told of its next generation.
    pub fn answered(&self) -> Vec<i32> {
        let mut state = self.lock();
        let mut gone = Vec::new();
        for event in std::mem::take(&mut state.events) {
            let event = match event {
                Rebalance::Revoked { partitions } => {
                    state.metadata = None;
                    gone.extend(&partitions);
                    let lanes = state.lose(|partition| partitions.contains(&partition)).into_keys().collect();
                    Rebalance::Answered { partitions, lanes }
                }
                other => other,
            };
            state.events.push_back(event);
        }
        gone
    }

    /// Does `work` while no lane can be taken.
    pub fn while_unchanged<T>(&self, work: impl FnOnce(&BTreeMap<LaneId, i32>) -> T) -> T {
        let state = self.lock();
        work(&state.partitions())
    }
}

/// Reaches the brokers, and makes sure that the topics are there. Errors say what to mend.
pub fn connect(settings: KafkaSettings) -> Result<Group, SourceError> {
    let place = place_of(&settings.properties);
    let failed = |what: String| SourceError::Read { place: place.clone(), what };
    let consumer_figures = Figures::default();
    let consumer = consumer(&settings, Membership::after(0, consumer_figures.clone()))?;
    let until = Instant::now() + CONNECT_WAIT;
    let partitions = wait_for(&consumer, &settings.topic, &place, until)?;
    for topic in [&settings.anomalies_topic, &settings.dead_letters_topic] {
        wait_for(&consumer, topic, &place, until)?;
    }
    let consumer = Arc::new(consumer);
    let topic_id = raw::topic_id(&consumer, &settings.topic, ASK_WAIT)
        .map_err(|code| failed(format!("the topic's id cannot be had: {code}")))?;
    let settings = Arc::new(settings);
    let current = Connected { consumer, settings: settings.clone(), partitions, topic_id };
    let producer_figures = Figures::default();
    Ok(Group { settings, producer_figures, consumer_figures, current: Arc::new(Mutex::new(current)) })
}

fn consumer(settings: &KafkaSettings, membership: Membership) -> Result<GroupConsumer, SourceError> {
    let config: ClientConfig = settings.consumer();
    config.create_with_context(membership).map_err(|error| SourceError::Read {
        place: place_of(&settings.properties),
        what: format!("the Kafka properties do not hold: {error}"),
    })
}

/// The topic's partitions, once the brokers are there and have it.
fn wait_for(consumer: &GroupConsumer, topic: &str, place: &str, until: Instant) -> Result<i32, SourceError> {
    let mut said = None;
    loop {
        let found = partitions_of(consumer, topic);
        // What the brokers have said of the login comes with the consumer's events.
        let next = Instant::now() + if found.is_ok() { Duration::ZERO } else { RETRY_INTERVAL };
        let left = || next.saturating_duration_since(Instant::now());
        while consumer.poll(left()).is_some() || !left().is_zero() {}
        consumer.context().check(place)?;
        match found {
            Ok(partitions) => return Ok(partitions),
            Err(what) if Instant::now() >= until => {
                return Err(SourceError::Read { place: place.to_owned(), what });
            }
            Err(what) if said.as_ref() == Some(&what) => {}
            Err(what) => {
                tracing::warn!("{place}: {what}; tries again");
                said = Some(what);
            }
        }
    }
}

fn partitions_of(consumer: &GroupConsumer, topic: &str) -> Result<i32, String> {
    let metadata = consumer.fetch_metadata(Some(topic), Duration::from_secs(2)).map_err(|error| {
        format!(
            "the brokers do not answer ({error}); are they up, and are address and security settings right?"
        )
    })?;
    match metadata.topics().first().map(|topic| (topic.error(), topic.partitions().len())) {
        Some((None, partitions)) if partitions > 0 => Ok(partitions as i32),
        Some((Some(error), _)) => {
            let code = RDKafkaErrorCode::from(error);
            Err(format!("topic `{topic}`: {code}. Make it first, or name another in the configuration"))
        }
        _ => Err(format!(
            "topic `{topic}` does not exist. Make it first, or name another in the configuration"
        )),
    }
}

impl Group {
    /// By client, what librdkafka last said of itself.
    pub fn figures(&self) -> [(&'static str, ClientFigures); 2] {
        [("consumer", self.consumer_figures.get()), ("producer", self.producer_figures.get())]
    }

    /// As it is now.
    pub(super) fn current(&self) -> Connected {
        locked(&self.current).clone()
    }

    pub(super) fn place(&self) -> String {
        place_of(&self.settings.properties)
    }

    /// Takes part as a new consumer, that knows nothing of the lanes of the one before.
    pub(super) fn renew(&self) -> Result<Connected, SourceError> {
        let before = self.current();
        let incarnations = before.membership().lock().incarnations;
        let membership = Membership::after(incarnations, self.consumer_figures.clone());
        let consumer = Arc::new(consumer(&self.settings, membership)?);
        let renewed = Connected { consumer, ..before };
        *locked(&self.current) = renewed.clone();
        Ok(renewed)
    }
}

impl Connected {
    pub(super) fn place(&self) -> String {
        place_of(&self.settings.properties)
    }

    pub(super) fn membership(&self) -> &Membership {
        self.consumer.context()
    }

    /// What is committed of a lane, once nothing of it is on its way any more.
    pub(super) fn last_commit(&self, lane: &LaneId, partition: i32) -> Result<Option<LaneCommit>, SinkError> {
        let place = lane.to_string();
        let committed =
            raw::committed(&self.consumer, &self.settings.topic, partition, ASK_WAIT).map_err(|code| {
                SinkError::Busy {
                    place: place.clone(),
                    what: format!("the group's commits cannot be read: {code}"),
                }
            })?;
        let Some(committed) = committed else { return Ok(None) };
        let position = committed.offset.max(0) as u64;
        metadata::decode(&lane.name, position, &committed.metadata)
            .map(Some)
            .map_err(|what| SinkError::Recover { place, what: what.to_string() })
    }
}
