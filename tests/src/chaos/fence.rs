//! Somebody else comes under the process's name: once is lived through, twice within a minute is told.

use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::stage::READINGS;
use super::{Deployment, Load, Offsets, Order, Output, Process, Promise, Stage, Verdict, calm, until};
use crate::servers::Kafka;

const RATE: u64 = 5_000;
const NAME: &str = "fence";
const FENCED: &str = "fenced, joins the group anew";
const TWICE: &str = "another process uses the instance name `a`";
const PATIENCE: Duration = Duration::from_secs(60);

pub fn play(order: &Order) -> Verdict {
    let stage = Stage::new(NAME, order.seed, Kafka::setup());
    let bootstrap = stage.kafka.bootstrap();
    let deployment = stage.deployment(NAME);
    let offsets = Offsets::of(&deployment, &bootstrap);
    let load = Load::start(&bootstrap, order.seed, RATE);
    let mut process = deployment.process("a");
    process.start();
    process.until_it_has_lanes();
    intrude(&deployment, &process, FENCED);
    until("commits by the new consumer", PATIENCE, || {
        process.check();
        process.logged(" assigned ") > 1
    });
    process.until_it_has_lanes();
    let before = positions(&offsets);
    until("progress after it was fenced", PATIENCE, || {
        process.check();
        positions(&offsets) > before + RATE as i64
    });
    intrude(&deployment, &process, TWICE);
    let status = process.until_it_ends();
    process.start();
    process.until_it_has_lanes();
    load.stop();
    offsets.until_all_is_judged(&mut [&mut process]);
    process.stop();
    let expected = calm(&stage, &deployment);
    let seen = Output::of(&deployment, &bootstrap);
    Verdict::of(NAME, order.seed, Promise::ExactlyOnce, &expected, &seen)
        .disturbed("another consumer of the same name, twice", offsets.readings())
        .require(!status.success(), "an end that somebody should know of counts as a success")
        .end(&stage)
}

fn positions(offsets: &Offsets) -> i64 {
    offsets.commits().unwrap_or_default().iter().map(|commit| commit.position).sum()
}

/// A consumer of our name, until the process says that it has noticed.
fn intrude(deployment: &Deployment, process: &Process, until_said: &str) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &deployment.brokers).set("group.id", &deployment.group);
    config.set("group.instance.id", "a").set("partition.assignment.strategy", "cooperative-sticky");
    config.set("enable.auto.commit", "false").set("session.timeout.ms", "10000");
    let intruder: BaseConsumer = config.create().unwrap();
    intruder.subscribe(&[READINGS]).unwrap();
    let before = process.logged(until_said);
    until(until_said, PATIENCE, || {
        // It may be fenced itself by then.
        let _ = intruder.poll(Duration::from_millis(50));
        process.logged(until_said) > before
    });
}
