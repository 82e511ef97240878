//! The broker dies and comes back, or cannot be reached: our process lives through all of it.

use std::time::Duration;

use rand::RngExt;

use super::{Deployment, Load, Offsets, Order, Output, PEAK_MIB_MAX, Promise, Stage, Verdict, calm, pass};
use crate::servers::{Direction, Kafka};

const RATE: u64 = 5_000;
/// After which the broker aborts a transaction that nobody ends.
const TRANSACTION: Duration = Duration::from_secs(10);

pub fn killed(order: &Order) -> Verdict {
    dies("broker", order, Promise::ExactlyOnce)
}

pub fn killed_at_least_once(order: &Order) -> Verdict {
    dies("broker-at-least", order, Promise::AtLeastOnce)
}

pub fn unreachable(order: &Order) -> Verdict {
    is_away("network", order, Promise::ExactlyOnce)
}

pub fn unreachable_at_least_once(order: &Order) -> Verdict {
    is_away("network-at-least", order, Promise::AtLeastOnce)
}

fn dies(name: &'static str, order: &Order, promise: Promise) -> Verdict {
    let kills = order.count(2, 20);
    let mut random = order.random();
    let play = |stage: &Stage| {
        for _ in 0..kills {
            pass(Duration::from_millis(random.random_range(500..3_000)));
            stage.kafka.kill();
            pass(Duration::from_millis(random.random_range(0..2_000)));
            stage.kafka.restart();
        }
        format!("broker killed {kills} times")
    };
    let stage = Stage::new(name, order.seed, Kafka::setup());
    let deployment = stage.deployment(name);
    under_load(&stage, deployment, promise, play)
}

fn is_away(name: &'static str, order: &Order, promise: Promise) -> Verdict {
    let long = order.pick(TRANSACTION + Duration::from_secs(2), Duration::from_secs(30));
    let brief = order.pick(Duration::from_secs(2), Duration::from_secs(15));
    let rounds = order.count(1, 2);
    let play = |stage: &Stage| {
        let proxy = stage.kafka.proxy();
        for _ in 0..rounds {
            pass(brief);
            proxy.cut();
            pass(brief);
            proxy.forward();
            pass(brief);
            proxy.black_hole();
            pass(long);
            proxy.forward();
            pass(brief);
            proxy.half_close(Direction::ToServer);
            pass(brief);
            proxy.half_close(Direction::ToClient);
            pass(brief);
            proxy.delay(Duration::from_millis(150));
            pass(brief);
            proxy.reset();
            pass(brief);
            proxy.forward();
            proxy.cut();
            pass(order.pick(Duration::ZERO, long));
            proxy.forward();
        }
        format!("{rounds} times cut, black-holed for {} s, half-closed, delayed, reset", long.as_secs())
    };
    let stage = Stage::new(name, order.seed, Kafka::setup().proxied());
    let deployment = stage.deployment(name).through(&stage.kafka.proxied_bootstrap());
    under_load(&stage, deployment, promise, play)
}

fn under_load(
    stage: &Stage,
    mut deployment: Deployment,
    promise: Promise,
    disturb: impl FnOnce(&Stage) -> String,
) -> Verdict {
    if promise == Promise::AtLeastOnce {
        deployment = deployment.at_least_once();
    }
    let bootstrap = stage.kafka.bootstrap();
    let offsets = Offsets::of(&deployment, &bootstrap);
    let load = Load::start(&bootstrap, stage.seed, RATE);
    let mut process = deployment.process("a");
    process.start();
    process.until_it_has_lanes();
    let disturbances = disturb(stage);
    process.check();
    load.stop();
    offsets.until_all_is_judged(&mut [&mut process]);
    process.stop();
    let peak = process.peak_mib();
    let resets = process.logged("lanes go back to their last commits");
    let fenced = process.logged("fenced, joins the group anew");
    let expected = calm(stage, &deployment);
    let seen = Output::of(&deployment, &bootstrap);
    Verdict::of(stage.name, stage.seed, promise, &expected, &seen)
        .disturbed(disturbances, offsets.readings())
        .note(format!("lanes went back {resets} times, the consumer was made anew {fenced} times"))
        .note(format!("peak {peak} MiB"))
        .require(peak <= PEAK_MIB_MAX, "memory is not bounded")
        .end(stage)
}
