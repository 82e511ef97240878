//! The broker dies and comes back, or cannot be reached: our process lives through all of it.

use std::time::Duration;

use rand::RngExt;

use super::{Load, Offsets, Order, Output, PEAK_MIB_MAX, Promise, Stage, Verdict, calm, pass};
use crate::servers::{Direction, Kafka};

const RATE: u64 = 5_000;
/// After which the broker aborts a transaction that nobody ends.
const TRANSACTION: Duration = Duration::from_secs(10);

pub fn killed(order: &Order) -> Verdict {
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
    with("broker", order, Kafka::setup(), play)
}

pub fn unreachable(order: &Order) -> Verdict {
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
    with("network", order, Kafka::setup().proxied(), play)
}

fn with(
    name: &'static str,
    order: &Order,
    setup: crate::servers::KafkaSetup,
    disturb: impl FnOnce(&Stage) -> String,
) -> Verdict {
    let stage = Stage::new(name, order.seed, setup);
    let bootstrap = stage.kafka.bootstrap();
    let mut deployment = stage.deployment(name);
    if name == "network" {
        deployment = deployment.through(&stage.kafka.proxied_bootstrap());
    }
    let offsets = Offsets::of(&deployment, &bootstrap);
    let load = Load::start(&bootstrap, order.seed, RATE);
    let mut process = deployment.process("a");
    process.start();
    process.until_it_has_lanes();
    let disturbances = disturb(&stage);
    process.check();
    load.stop();
    offsets.until_all_is_judged(&mut [&mut process]);
    process.stop();
    let peak = process.peak_mib();
    let resets = process.logged("lanes go back to their last commits");
    let fenced = process.logged("fenced, joins the group anew");
    let expected = calm(&stage, &deployment);
    let seen = Output::of(&deployment, &bootstrap);
    Verdict::of(name, order.seed, Promise::ExactlyOnce, &expected, &seen)
        .disturbed(disturbances, offsets.readings())
        .note(format!("lanes went back {resets} times, the consumer was made anew {fenced} times"))
        .note(format!("peak {peak} MiB"))
        .require(peak <= PEAK_MIB_MAX, "memory is not bounded")
        .end(&stage)
}
