//! Detectors that are swapped, shadowed, promoted and rolled back under load, at either of two processes with
//! directories of their own, while processes are killed, lanes move and the checkpoint store is away.
//!
//! Each build is another module that judges as before: so what comes out must be what comes out without any change,
//! and whatever a change loses or doubles shows. Who said it shows in the digests: nobody ever goes back in the order
//! in which the roster had them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gridwatch_connectors::stores::{Objects, S3Settings};
use gridwatch_engine::foundry::rosters::Rosters;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::{
    Deployment, Load, Offsets, Order, Output, PEAK_MIB_MAX, Process, Promise, Stage, Verdict, calm, pass,
    until,
};
use crate::bench::swaps::build_of;
use crate::servers::{Kafka, Minio, Proxy};

const RATE: u64 = 4_000;
const NAME: &str = "swap";
const BUCKET: &str = "gridwatch";
const DETECTORS: [&str; 4] = ["limits", "physics", "shift", "vitals"];
const PATIENCE: Duration = Duration::from_secs(90);
/// What the log says of a lane that has followed.
const SWAPPED: &str = " swapped ";
const SHADOWS: &str = " shadows lane";
const PROMOTED: &str = " promoted ";
const BACK: &str = " went back ";
const FAILED: [&str; 2] = ["does not take the seat", "has failed as a shadow"];

pub fn play(order: &Order) -> Verdict {
    let changes = order.count(12, 250);
    let stage = Stage::new(NAME, order.seed, Kafka::setup());
    let minio = Minio::start();
    minio.create_bucket(BUCKET);
    let proxy = Proxy::to(minio.port());
    let bootstrap = stage.kafka.bootstrap();
    let deployment = stage.deployment(NAME).in_bucket(BUCKET, &proxy.url()).apart();
    let offsets = Offsets::of(&deployment, &bootstrap);
    let load = Load::start(&bootstrap, order.seed, RATE);
    let mut group = Group {
        members: [deployment.process("a"), deployment.process("b")],
        deployment: &deployment,
        proxy: &proxy,
        random: order.random(),
        builds: 0,
        done: Done::default(),
    };
    group.members.iter_mut().for_each(Process::start);
    group.members[0].until_it_has_lanes();
    for change in 0..changes {
        group.change(change);
    }
    load.stop();
    let Group { mut members, done, .. } = group;
    let [a, b] = &mut members;
    offsets.until_all_is_judged(&mut [a, b]);
    members.iter_mut().for_each(Process::stop);
    let said = |what: &str| members.iter().map(|member| member.logged(what)).sum::<usize>();
    let (swapped, failed) = (said(SWAPPED), FAILED.map(said).iter().sum::<usize>());
    let (shadows, promoted, back) = (said(SHADOWS), said(PROMOTED), said(BACK));
    let mut pauses: Vec<f64> =
        members.iter().flat_map(|member| member.figures(SWAPPED, "pause_ms=")).collect();
    pauses.sort_by(f64::total_cmp);
    let at = |share: f64| pauses.get(((pauses.len().saturating_sub(1)) as f64 * share) as usize);
    let [median, longest] = [0.5, 1.0].map(|share| at(share).copied().unwrap_or(0.0));
    let peak = members.iter_mut().map(Process::peak_mib).max().unwrap_or(0);
    let expected = calm(&stage, &deployment).without_digests();
    let seen = Output::of(&deployment, &bootstrap);
    let backward = backward(&seen, &minio);
    let Done { kills, moves, outages, rollbacks } = done;
    let verdict = Verdict::of(NAME, order.seed, Promise::ExactlyOnce, &expected, &seen.without_digests());
    let verdict = backward.into_iter().fold(verdict, |verdict, what| verdict.require(false, &what));
    verdict
        .disturbed(
            format!(
                "{changes} changes, {kills} kills, {moves} moves, {outages} times without the store; on lanes {swapped} \
                 swaps, {shadows} shadows, {promoted} promotions, {back} of {rollbacks} rollbacks at once"
            ),
            offsets.readings(),
        )
        .note(format!("pause median {median:.2} ms, longest {longest:.1} ms"))
        .note(format!("peak {peak} MiB"))
        .require(swapped + promoted >= changes / 2, "hardly anything was swapped")
        .require(failed == 0, "a lane has refused what others took")
        .require(peak <= PEAK_MIB_MAX, "memory is not bounded")
        .end(&stage)
}

#[derive(Default)]
struct Done {
    kills: usize,
    moves: usize,
    outages: usize,
    rollbacks: usize,
}

struct Group<'a> {
    members: [Process; 2],
    deployment: &'a Deployment,
    proxy: &'a Proxy,
    random: ChaCha8Rng,
    builds: usize,
    done: Done,
}

impl Group<'_> {
    /// Something is to run that did not run before, and something happens to those who are to run it.
    fn change(&mut self, change: usize) {
        let name = DETECTORS[self.random.random_range(0..DETECTORS.len())];
        let at = self.random.random_range(0..self.members.len());
        // Among the first ones there is one of each kind.
        match if change < 4 { [0, 8, 6, 0][change] } else { self.random.random_range(0..10) } {
            8 => {
                self.bring(name, at, "shadow");
                self.disturb_until(SHADOWS, name);
                self.settings(name, at, "live");
                self.disturb_until(PROMOTED, name);
            }
            9 => {
                // It is tried, and left where it is until something else comes.
                self.bring(name, at, "shadow");
                self.disturb_until(SHADOWS, name);
            }
            6 | 7 if self.rollback(name, at) => {}
            _ => {
                self.bring(name, at, "live");
                self.disturb_until(SWAPPED, name);
            }
        }
    }

    /// A build that nobody has seen before, in the directory of one of them.
    fn bring(&mut self, name: &str, at: usize, mode: &str) {
        self.builds += 1;
        self.settings(name, at, mode);
        self.deployment.put(instance(at), &format!("{name}.wasm"), &build_of(name, self.builds));
    }

    fn settings(&self, name: &str, at: usize, mode: &str) {
        let text = format!("mode = \"{mode}\"\n");
        self.deployment.put(instance(at), &format!("{name}.toml"), text.as_bytes());
    }

    /// False where there is nothing to go back to.
    fn rollback(&mut self, name: &str, at: usize) -> bool {
        let went = self.members[at].command(&["rollback", name, "-c", "gridwatch.toml"]);
        self.done.rollbacks += usize::from(went);
        went
    }

    /// Kills, moves or cuts off, or not, and waits until lanes have followed, or not.
    fn disturb_until(&mut self, word: &str, detector: &str) {
        let said = self.said(word, detector);
        pass(Duration::from_millis(self.random.random_range(0..900)));
        let at = self.random.random_range(0..self.members.len());
        match self.random.random_range(0..9) {
            0 | 1 => self.kill(at),
            2 => {
                // In good order: its lanes are the other one's in between.
                self.members[at].stop();
                self.members[at].start();
                self.done.moves += 1;
            }
            3 => {
                self.proxy.cut();
                self.done.outages += 1;
                pass(Duration::from_millis(self.random.random_range(200..1_500)));
                if self.random.random_range(0..2) == 0 {
                    self.kill(at);
                    pass(Duration::from_millis(self.random.random_range(0..1_000)));
                }
                self.proxy.forward();
            }
            _ => {}
        }
        until(word, PATIENCE, || {
            self.members.iter_mut().for_each(Process::check);
            self.said(word, detector) > said
        });
    }

    fn kill(&mut self, at: usize) {
        self.members[at].kill();
        self.members[at].start();
        self.done.kills += 1;
    }

    /// The last generation of which some lane says it: after a restart lanes say the same again.
    fn said(&self, word: &str, detector: &str) -> f64 {
        let generation = format!(" detector=\"{detector}\" generation=");
        self.members.iter().flat_map(|member| member.figures(word, &generation)).fold(0.0, f64::max)
    }
}

fn instance(at: usize) -> &'static str {
    ["a", "b"][at]
}

/// Where a lane spoke for a build that the roster had left behind by then, or one that was rolled back came again.
fn backward(seen: &Output, minio: &Minio) -> Vec<String> {
    let settings = S3Settings {
        url: format!("s3://{BUCKET}/{NAME}/{NAME}"),
        endpoint: Some(minio.url()),
        region: Some("us-east-1".to_owned()),
        access_key: Some(Minio::USER.to_owned()),
        secret_key: Some(Minio::PASSWORD.to_owned()),
    };
    let rosters = Rosters::new(Arc::new(Objects::s3(&settings).unwrap()));
    let latest = rosters.latest().unwrap().generation;
    let mut wrong = Vec::new();
    // By detector: the digests that were to be live, one after the other.
    let mut live: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut rejected: Vec<String> = Vec::new();
    for generation in 1..=latest {
        let roster = rosters.of_generation(generation).unwrap().unwrap();
        for (name, slot) in &roster.slots {
            let Some(plan) = slot.plan.as_ref().filter(|_| slot.generation == generation) else { continue };
            let all = live.entry(name.clone()).or_default();
            if slot.rejected.is_some() {
                rejected.extend(all.last().cloned());
            } else if rejected.contains(&plan.digest) {
                wrong.push(format!("{name}: {} was rolled back and came again", plan.digest));
            }
            all.push(plan.digest.clone());
        }
    }
    for ((lane, detector), digests) in seen.digests() {
        let mut roster = live.get(&detector).map_or(&[][..], Vec::as_slice).iter();
        // In the order of the roster, or it is somewhere behind.
        if let Some(digest) = digests.iter().find(|digest| !roster.any(|of| of == *digest)) {
            wrong.push(format!("lane {lane}: {detector} went back to {digest}"));
        }
    }
    wrong
}
