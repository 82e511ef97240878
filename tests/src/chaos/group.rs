//! Three processes in one group: they join, leave, are killed, and are frozen for longer than their session, so
//! that they come back as somebody who believes to own lanes that are another's by now.

use std::time::{Duration, Instant};

use rand::RngExt;

use super::{Load, Offsets, Order, Output, PEAK_MIB_MAX, Process, Promise, Stage, Verdict, calm, pass};
use crate::servers::Kafka;

const RATE: u64 = 6_000;
const SESSION: Duration = Duration::from_millis(2_000);

/// What was done to the members.
#[derive(Default)]
struct Done {
    starts: usize,
    stops: usize,
    kills: usize,
    freezes: usize,
}

pub fn exactly_once(order: &Order) -> Verdict {
    play("group", order, Promise::ExactlyOnce)
}

pub fn at_least_once(order: &Order) -> Verdict {
    play("group-at-least", order, Promise::AtLeastOnce)
}

fn play(name: &'static str, order: &Order, promise: Promise) -> Verdict {
    let events = order.count(9, 60);
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
    let mut members: Vec<Member> =
        ["a", "b", "c"].map(|name| Member { process: deployment.process(name), thaw_at: None }).into();
    members[0].process.start();
    members[0].process.until_it_has_lanes();
    let done = disturb(order, &mut members, events);
    for Member { process, .. } in &mut members {
        process.thaw();
        if !process.is_running() {
            process.start();
        }
    }
    for Member { process, .. } in &mut members {
        process.until_it_has_lanes();
    }
    load.stop();
    let mut processes: Vec<&mut Process> = members.iter_mut().map(|member| &mut member.process).collect();
    offsets.until_all_is_judged(&mut processes);
    processes.iter_mut().for_each(|process| process.stop());
    let peak = processes.iter_mut().map(|process| process.peak_mib()).max().unwrap_or_default();
    let count = |what: &str| processes.iter().map(|process| process.logged(what)).sum::<usize>();
    let (assigned, lost) = (count(" assigned "), count("this process was away for too long"));
    let expected = calm(&stage, &deployment);
    let seen = Output::of(&deployment, &bootstrap);
    let Done { starts, stops, kills, freezes } = done;
    Verdict::of(name, order.seed, promise, &expected, &seen)
        .disturbed(
            format!("{starts} starts, {stops} stops, {kills} kills, {freezes} freezes"),
            offsets.readings(),
        )
        .note(format!("{assigned} assignments, {lost} times lanes were lost to others"))
        .note(format!("peak {peak} MiB"))
        .require(peak <= PEAK_MIB_MAX, "memory is not bounded")
        .require(lost > 0 || freezes == 0, "no frozen member lost its lanes")
        .end(&stage)
}

struct Member {
    process: Process,
    thaw_at: Option<Instant>,
}

fn disturb(order: &Order, members: &mut [Member], events: usize) -> Done {
    let mut random = order.random();
    let mut done = Done::default();
    // One of the first events is always the one that matters most.
    for event in 0..events {
        pass(Duration::from_millis(random.random_range(200..2_000)));
        for member in members.iter_mut() {
            if member.thaw_at.is_some_and(|at| Instant::now() >= at) {
                member.thaw_at = None;
                member.process.thaw();
            }
            member.process.check();
        }
        let at_work = members.iter().filter(|member| member.process.is_running() && member.thaw_at.is_none());
        let at_work = at_work.count();
        let chosen = random.random_range(0..members.len());
        let member = &mut members[chosen];
        if !member.process.is_running() {
            member.process.start();
            done.starts += 1;
        } else if member.thaw_at.is_none() && at_work > 1 {
            match if done.freezes == 0 && event > 1 { 2 } else { random.random_range(0..4) } {
                0 => {
                    member.process.stop();
                    done.stops += 1;
                }
                1 => {
                    member.process.kill();
                    done.kills += 1;
                }
                _ => {
                    member.process.until_it_has_lanes();
                    member.process.freeze();
                    let longer = Duration::from_millis(random.random_range(1_000..3_000));
                    member.thaw_at = Some(Instant::now() + SESSION + longer);
                    done.freezes += 1;
                }
            }
        } else if let Some(idle) = members.iter_mut().find(|member| !member.process.is_running()) {
            idle.process.start();
            done.starts += 1;
        }
    }
    for member in members.iter_mut() {
        if let Some(at) = member.thaw_at.take() {
            pass(at.saturating_duration_since(Instant::now()));
            member.process.thaw();
        }
    }
    done
}
