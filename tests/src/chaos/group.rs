//! Three processes in one group: they join, leave, are killed, and are frozen for longer than their session, so
//! that they come back as somebody who believes to own lanes that are another's by now. Some are frozen while
//! they hold their lanes, some while they give one back.

use std::time::{Duration, Instant};

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::stage::PARTITIONS;
use super::{Load, Offsets, Order, Output, PEAK_MIB_MAX, Process, Promise, Stage, Verdict, calm, pass};
use crate::servers::Kafka;

const RATE: u64 = 6_000;
const SESSION: Duration = Duration::from_millis(2_000);
const PATIENCE: Duration = Duration::from_secs(60);
/// From a start to the first lane that somebody is to give back for it.
const ASKED_WITHIN: Duration = Duration::from_secs(10);
/// A member says so before it begins to settle what it is to give back.
const GIVES_BACK: &str = "to be given back";

/// What was done to the members.
#[derive(Default)]
struct Done {
    starts: usize,
    stops: usize,
    kills: usize,
    freezes: usize,
    /// Of these, before the group had the answer of one that was to give back lanes.
    unanswered: usize,
}

pub fn exactly_once(order: &Order) -> Verdict {
    play("group", order, Promise::ExactlyOnce)
}

pub fn at_least_once(order: &Order) -> Verdict {
    play("group-at-least", order, Promise::AtLeastOnce)
}

fn play(name: &'static str, order: &Order, promise: Promise) -> Verdict {
    let events = order.count(9, 110);
    let enough = order.disturbances.map_or(order.pick(5, 50), |events| events / 2);
    let stage = Stage::new(name, order.seed, Kafka::setup());
    let bootstrap = stage.kafka.bootstrap();
    let session = SESSION.as_millis().to_string();
    let mut deployment = stage
        .deployment(name)
        .property("session.timeout.ms", &session)
        .property("heartbeat.interval.ms", "300");
    if promise == Promise::AtLeastOnce {
        deployment = deployment.at_least_once();
    }
    let offsets = Offsets::of(&deployment, &bootstrap);
    let load = Load::start(&bootstrap, order.seed, RATE);
    let members =
        ["a", "b", "c"].map(|name| Member { process: deployment.process(name), thaw_at: None }).into();
    let mut group = Group { members, random: order.random(), stage: &stage, done: Done::default() };
    group.members[0].process.start();
    group.members[0].process.until_it_has_lanes();
    group.disturb(events);
    let Group { mut members, done, .. } = group;
    members
        .iter_mut()
        .filter(|member| !member.process.is_running())
        .for_each(|member| member.process.start());
    members.iter_mut().for_each(|member| member.process.until_it_has_lanes());
    load.stop();
    let mut processes: Vec<&mut Process> = members.iter_mut().map(|member| &mut member.process).collect();
    offsets.until_all_is_judged(&mut processes);
    let (_, rebalances) = stage.kafka.rebalances(name);
    processes.iter_mut().for_each(|process| process.stop());
    let peak = processes.iter_mut().map(|process| process.peak_mib()).max().unwrap_or_default();
    let count = |what: &str| processes.iter().map(|process| process.logged(what)).sum::<usize>();
    let (assigned, revoked) = (count(" assigned "), count(GIVES_BACK));
    let lost = count("this process was away for too long");
    let expected = calm(&stage, &deployment);
    let seen = Output::of(&deployment, &bootstrap);
    let Done { starts, stops, kills, freezes, unanswered } = done;
    Verdict::of(name, order.seed, promise, &expected, &seen)
        .disturbed(
            format!(
                "{rebalances} rebalances by {starts} starts, {stops} stops, {kills} kills, {freezes} freezes \
                 ({unanswered} of them amid giving back)"
            ),
            offsets.readings(),
        )
        .note(format!(
            "{assigned} assignments, {revoked} revocations, {lost} times lanes were lost to others"
        ))
        .note(format!("peak {peak} MiB"))
        .require(peak <= PEAK_MIB_MAX, "memory is not bounded")
        .require(rebalances >= enough, "there were too few rebalances")
        .require(lost > 0 || freezes == 0, "no frozen member lost its lanes")
        .require(
            unanswered >= if events < 9 { 0 } else { order.pick(1, 3) },
            "no member was frozen while it gave lanes back",
        )
        .end(&stage)
}

struct Member {
    process: Process,
    thaw_at: Option<Instant>,
}

impl Member {
    fn is_at_work(&self) -> bool {
        self.process.is_running() && self.thaw_at.is_none()
    }

    /// Lanes that are loaded.
    fn lanes(&self) -> usize {
        self.process.metric("gridwatch_sensors").len()
    }
}

struct Group<'s> {
    members: Vec<Member>,
    random: ChaCha8Rng,
    stage: &'s Stage,
    done: Done,
}

impl Group<'_> {
    fn disturb(&mut self, events: usize) {
        for event in 0..events {
            pass(Duration::from_millis(self.random.random_range(200..2_000)));
            self.tend();
            let chosen = self.random.random_range(0..self.members.len());
            let at_work = self.members.iter().filter(|member| member.is_at_work()).count();
            if !self.members[chosen].process.is_running() {
                self.start(chosen);
            } else if self.members[chosen].is_at_work() && at_work > 1 {
                // Among the first events there are always the two that matter most.
                match self.done {
                    Done { freezes: 0, .. } if event > 1 => self.freeze(chosen),
                    Done { unanswered: 0, .. } if event > 4 => self.freeze_amid_giving_back(chosen),
                    _ => match self.random.random_range(0..5) {
                        0 => self.stop(chosen),
                        1 => {
                            self.members[chosen].process.kill();
                            self.done.kills += 1;
                        }
                        2 | 3 => self.freeze(chosen),
                        _ => self.freeze_amid_giving_back(chosen),
                    },
                }
            } else if let Some(idle) = self.members.iter().position(|member| !member.process.is_running()) {
                self.start(idle);
            }
        }
        while let Some(at) = self.members.iter().filter_map(|member| member.thaw_at).max() {
            pass(at.saturating_duration_since(Instant::now()));
            self.tend();
        }
    }

    /// Wakes whom it is time to wake; whoever recovers does it in one life.
    fn tend(&mut self) {
        for member in &mut self.members {
            if member.thaw_at.is_some_and(|at| Instant::now() >= at) {
                member.thaw_at = None;
                member.process.thaw();
            }
            member.process.check();
        }
    }

    fn start(&mut self, chosen: usize) {
        self.members[chosen].process.start();
        self.done.starts += 1;
    }

    fn stop(&mut self, chosen: usize) {
        self.members[chosen].process.stop();
        self.done.stops += 1;
    }

    /// One that holds lanes.
    fn freeze(&mut self, chosen: usize) {
        self.members[chosen].process.until_it_has_lanes();
        self.freeze_now(chosen);
    }

    fn freeze_now(&mut self, chosen: usize) {
        let longer = Duration::from_millis(self.random.random_range(1_000..3_000));
        let member = &mut self.members[chosen];
        member.process.freeze();
        member.thaw_at = Some(Instant::now() + SESSION + longer);
        self.done.freezes += 1;
    }

    /// Somebody joins those that hold all lanes, so that one of them has to give back some: it is frozen within
    /// the moment in which it settles them.
    fn freeze_amid_giving_back(&mut self, chosen: usize) {
        let joins = self.members.iter().position(|member| !member.process.is_running());
        let joins = joins.unwrap_or_else(|| {
            self.stop(chosen);
            chosen
        });
        self.wait("all lanes to be held", |members| {
            let at_work = members.iter().filter(|member| member.is_at_work());
            at_work.map(Member::lanes).sum::<usize>() == PARTITIONS
        });
        let said = |member: &Member| member.process.logged(GIVES_BACK);
        let before: Vec<usize> = self.members.iter().map(said).collect();
        self.start(joins);
        let deadline = Instant::now() + ASKED_WITHIN;
        let gives = loop {
            let gives = |&at: &usize| self.members[at].is_at_work() && said(&self.members[at]) > before[at];
            match (0..self.members.len()).find(gives) {
                Some(gives) => break gives,
                // The group may have been about to share again, and the one that joins gets what it had.
                None if Instant::now() > deadline => return,
                None => std::thread::sleep(Duration::from_millis(1)),
            }
        };
        let group = self.stage.name;
        let (begun, _) = self.stage.kafka.rebalances(group);
        pass(Duration::from_micros(self.random.random_range(0..20_000)));
        self.freeze_now(gives);
        // Its answer would have been the next rebalance.
        self.done.unanswered += usize::from(self.stage.kafka.rebalances(group).0 == begun);
    }

    /// Frozen ones are woken meanwhile.
    fn wait(&mut self, what: &str, is: impl Fn(&[Member]) -> bool) {
        super::until(what, PATIENCE, || {
            self.tend();
            is(&self.members)
        });
    }
}
