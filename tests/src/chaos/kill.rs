//! `kill -9` at random under load, restarted each time.

use std::time::Duration;

use rand::RngExt;

use super::{Length, Load, Offsets, Order, Output, Promise, Stage, Verdict, Watch, calm, pass};
use crate::servers::Kafka;

/// Records a second.
const RATE: u64 = 8_000;

pub fn exactly_once(order: &Order) -> Verdict {
    kills("kill", order, Promise::ExactlyOnce)
}

pub fn at_least_once(order: &Order) -> Verdict {
    kills("kill-at-least", order, Promise::AtLeastOnce)
}

fn kills(name: &'static str, order: &Order, promise: Promise) -> Verdict {
    let kills = order.count(5, 100);
    let stage = Stage::new(name, order.seed, Kafka::setup());
    let bootstrap = stage.kafka.bootstrap();
    let mut deployment = stage.deployment(name);
    if promise == Promise::AtLeastOnce {
        deployment = deployment.at_least_once();
    }
    let offsets = Offsets::of(&deployment, &bootstrap);
    let mut random = order.random();
    let load = Load::start(&bootstrap, order.seed, RATE);
    let mut process = deployment.process("a");
    process.start();
    process.until_it_has_lanes();
    let watch = Watch::start(&deployment, &bootstrap);
    let longest = if order.length == Length::Short { 1_200 } else { 2_000 };
    for _ in 0..kills {
        // From a start that is not over yet to a life of many commits and checkpoints.
        pass(Duration::from_millis(random.random_range(20..longest)));
        process.kill();
        process.start();
    }
    process.until_it_has_lanes();
    load.stop();
    offsets.until_all_is_judged(&mut [&mut process]);
    let gap = watch.longest_gap();
    process.stop();
    let peak = process.peak_mib();
    let expected = calm(&stage, &deployment);
    let seen = Output::of(&deployment, &bootstrap);
    Verdict::of(name, order.seed, promise, &expected, &seen)
        .disturbed(format!("{kills} kills"), offsets.readings())
        .note(format!("longest gap for a reader {:.1} s", gap.as_secs_f64()))
        .note(format!("peak {peak} MiB"))
        .end(&stage)
}
