//! Detectors that are swapped under load, while processes are killed and lanes move.
//!
//! Each swap is for other limits, which make another deployment of a module that judges as before: so what comes
//! out must be what comes out without any swap, and whatever a swap loses or doubles shows.

use std::time::Duration;

use rand::RngExt;

use super::{
    Load, Offsets, Order, Output, PEAK_MIB_MAX, Process, Promise, Stage, Verdict, calm, pass, until,
};
use crate::servers::Kafka;

const RATE: u64 = 4_000;
const NAME: &str = "swap";
const DETECTORS: [&str; 4] = ["limits", "physics", "shift", "vitals"];
const PATIENCE: Duration = Duration::from_secs(60);
/// What the log says of a lane whose candidate took the seat.
const SWAPPED: &str = " swapped ";
const FAILED: &str = "does not take the seat";

pub fn play(order: &Order) -> Verdict {
    let changes = order.count(12, 250);
    let mut random = order.random();
    let stage = Stage::new(NAME, order.seed, Kafka::setup());
    let bootstrap = stage.kafka.bootstrap();
    let deployment = stage.deployment(NAME);
    let offsets = Offsets::of(&deployment, &bootstrap);
    let load = Load::start(&bootstrap, order.seed, RATE);
    let mut members = [deployment.process("a"), deployment.process("b")];
    members.iter_mut().for_each(Process::start);
    members[0].until_it_has_lanes();
    let (mut kills, mut moves) = (0, 0);
    for change in 0..changes {
        let swapped = count(&members, SWAPPED);
        let name = DETECTORS[random.random_range(0..DETECTORS.len())];
        deployment.settings(name, &format!("[limits]\ncall_deadline = \"{}ms\"\n", 1_000 + change));
        pass(Duration::from_millis(random.random_range(0..900)));
        let member = &mut members[random.random_range(0..2)];
        match random.random_range(0..8) {
            0 | 1 => {
                member.kill();
                member.start();
                kills += 1;
            }
            2 => {
                // In good order: its lanes are the other one's in between.
                member.stop();
                member.start();
                moves += 1;
            }
            // At once the next one.
            3 => continue,
            _ => {}
        }
        until("a swap", PATIENCE, || {
            members.iter_mut().for_each(Process::check);
            count(&members, SWAPPED) > swapped
        });
    }
    load.stop();
    let [a, b] = &mut members;
    offsets.until_all_is_judged(&mut [a, b]);
    members.iter_mut().for_each(Process::stop);
    let (swapped, failed) = (count(&members, SWAPPED), count(&members, FAILED));
    let peak = members.iter_mut().map(Process::peak_mib).max().unwrap_or(0);
    let mut pauses: Vec<f64> =
        members.iter().flat_map(|member| member.figures(SWAPPED, "pause_ms=")).collect();
    pauses.sort_by(f64::total_cmp);
    let at = |share: f64| pauses.get(((pauses.len() - 1) as f64 * share) as usize).copied().unwrap_or(0.0);
    let (median, longest) = (at(0.5), at(1.0));
    let expected = calm(&stage, &deployment);
    let seen = Output::of(&deployment, &bootstrap);
    Verdict::of(NAME, order.seed, Promise::ExactlyOnce, &expected, &seen)
        .disturbed(
            format!("{changes} changes, {swapped} swaps on lanes, {kills} kills, {moves} moves"),
            offsets.readings(),
        )
        .note(format!("pause median {median:.2} ms, longest {longest:.1} ms"))
        .note(format!("peak {peak} MiB"))
        .require(swapped >= changes, "hardly anything was swapped")
        .require(failed == 0, "a lane has refused what others took")
        .require(peak <= PEAK_MIB_MAX, "memory is not bounded")
        .end(&stage)
}

fn count(members: &[Process], what: &str) -> usize {
    members.iter().map(|member| member.logged(what)).sum()
}
