//! `kill -9` at random under load, restarted each time.

use std::time::{Duration, Instant};

use rand::RngExt;

use super::{Length, Load, Offsets, Order, Output, PEAK_MIB_MAX, Promise, Stage, Verdict, Watch, calm, pass};
use crate::servers::Kafka;

/// Records a second.
const RATE: u64 = 8_000;
/// What any kill may cost readers, however many follow: after so long the broker ends a transaction that nobody
/// does, and it looks for such ones twice a second.
const GAP_MAX: Duration = Duration::from_millis(10_500);
/// What it normally costs: the restart, on a machine that is busy with other things, too.
const GAP_MEDIAN_MAX: Duration = Duration::from_secs(5);

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
    let mut killed = Vec::new();
    for _ in 0..kills {
        // From a start that is not over yet to a life of many commits and checkpoints.
        pass(Duration::from_millis(random.random_range(20..longest)));
        killed.push(Instant::now());
        process.kill();
        process.start();
    }
    process.until_it_has_lanes();
    load.stop();
    offsets.until_all_is_judged(&mut [&mut process]);
    let cost = watch.end(&killed);
    process.stop();
    let peak = process.peak_mib();
    let expected = calm(&stage, &deployment);
    let seen = Output::of(&deployment, &bootstrap);
    Verdict::of(name, order.seed, promise, &expected, &seen)
        .disturbed(format!("{kills} kills"), offsets.readings())
        .note(format!(
            "from a kill to a new record {:.1} s, at most {:.1} s",
            cost.median().as_secs_f64(),
            cost.max().as_secs_f64(),
        ))
        .note(format!("peak {peak} MiB"))
        .require(cost.without_end == 0, "readers saw nothing new after a kill")
        .require(cost.max() <= GAP_MAX, "a kill costs readers more than a transaction's time")
        .require(cost.median() <= GAP_MEDIAN_MAX, "a kill normally costs readers more than a restart")
        .require(peak <= PEAK_MIB_MAX, "memory is not bounded")
        .end(&stage)
}
