//! The checkpoint store is away, or answers with errors: lanes go on, and no commit names what is not there.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::offsets::Commit;
use super::stage::{PARTITIONS, READINGS};
use super::{Load, Offsets, Order, Output, PEAK_MIB_MAX, Process, Promise, Stage, Verdict, calm, until};
use crate::servers::{Answer, Kafka, Minio, Proxy};

const RATE: u64 = 5_000;
const NAME: &str = "store";
const BUCKET: &str = "gridwatch";
const PATIENCE: Duration = Duration::from_secs(120);
/// For commits while the store is away: a broker that cannot tell them at once is asked again.
const COMMITS_WAIT: Duration = Duration::from_secs(20);

pub fn play(order: &Order) -> Verdict {
    let away = order.pick(Duration::from_secs(4), Duration::from_secs(60));
    let stage = Stage::new(NAME, order.seed, Kafka::setup());
    let minio = Minio::start();
    minio.create_bucket(BUCKET);
    let proxy = Proxy::to(minio.port());
    let bootstrap = stage.kafka.bootstrap();
    let deployment = stage.deployment(NAME).in_bucket(BUCKET, &proxy.url());
    let offsets = Offsets::of(&deployment, &bootstrap);
    let load = Load::start(&bootstrap, order.seed, RATE);
    let mut look = Look {
        process: deployment.process("a"),
        offsets,
        bucket: minio.folder().join("data").join(BUCKET).join(NAME),
        commits: 0,
    };
    look.process.start();
    look.process.until_it_has_lanes();
    look.for_at_least(Duration::from_secs(1));
    proxy.cut();
    look.outage(away);
    proxy.forward();
    look.until_young();
    proxy.answer(Answer::status(503));
    look.outage(away);
    // A new life cannot load anything yet, and waits.
    look.process.kill();
    look.process.start();
    look.for_at_least(Duration::from_secs(2));
    proxy.forward();
    look.process.until_it_has_lanes();
    look.until_young();
    load.stop();
    look.offsets.until_all_is_judged(&mut [&mut look.process]);
    look.process.stop();
    look.check();
    let peak = look.process.peak_mib();
    let expected = calm(&stage, &deployment);
    let seen = Output::of(&deployment, &bootstrap);
    Verdict::of(NAME, order.seed, Promise::ExactlyOnce, &expected, &seen)
        .disturbed(
            format!("store gone for {} s, 503 for {} s, a kill meanwhile", away.as_secs(), away.as_secs()),
            look.offsets.readings(),
        )
        .note(format!("{} commits looked at, all name a checkpoint that is there", look.commits))
        .note(format!("peak {peak} MiB"))
        .require(peak <= PEAK_MIB_MAX, "memory is not bounded")
        .end(&stage)
}

struct Look {
    process: Process,
    offsets: Offsets,
    bucket: PathBuf,
    commits: usize,
}

impl Look {
    /// No commit names a checkpoint that does not exist. One may be swept between our two looks, but only after
    /// a commit that names another.
    fn check(&mut self) {
        self.process.check();
        let mut missing: Vec<(usize, Commit)> = Vec::new();
        for _ in 0..3 {
            let Some(commits) = self.offsets.commits() else { return };
            let named = commits.into_iter().enumerate().filter(|(_, commit)| !commit.checkpoint.is_empty());
            let named: Vec<_> = named.collect();
            self.commits += named.len();
            let lost = |(lane, commit): &(usize, Commit)| !self.path(*lane, &commit.checkpoint).exists();
            missing = named.into_iter().filter(lost).collect();
            if missing.is_empty() {
                return;
            }
        }
        panic!("commits name checkpoints that are not in {}: {missing:?}", self.bucket.display());
    }

    fn path(&self, lane: usize, name: &str) -> PathBuf {
        self.bucket.join(NAME).join("checkpoints").join(format!("{READINGS}-{lane}")).join(name)
    }

    fn for_at_least(&mut self, time: Duration) {
        let start = Instant::now();
        while start.elapsed() < time {
            self.check();
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn judged(&self) -> f64 {
        self.process.metric("gridwatch_judged_total").iter().sum()
    }

    /// None while the broker cannot tell.
    fn positions(&self) -> Option<i64> {
        Some(self.offsets.commits()?.iter().map(|commit| commit.position).sum())
    }

    fn oldest(&self) -> f64 {
        let ages = self.process.metric("gridwatch_checkpoint_age_seconds");
        if ages.len() < PARTITIONS { f64::INFINITY } else { ages.into_iter().fold(0.0, f64::max) }
    }

    /// While the store is away lanes judge and commit, and the age of checkpoints shows it.
    fn outage(&mut self, time: Duration) {
        let judged = self.judged();
        let mut positions = None;
        until("commits that can be told", COMMITS_WAIT, || {
            positions = self.positions();
            positions.is_some()
        });
        self.for_at_least(time);
        let age = self.oldest();
        assert!(age.is_finite() && age > time.as_secs_f64() * 0.8, "checkpoints are said to be {age} s old");
        assert!(self.judged() > judged + 1_000.0, "lanes stood still without the store");
        until("commits without the store", COMMITS_WAIT, || {
            self.check();
            self.positions() > positions.map(|positions| positions + 1_000)
        });
    }

    /// Checkpoints are stored again.
    fn until_young(&mut self) {
        until("young checkpoints", PATIENCE, || {
            self.check();
            self.oldest() < 1.5
        });
    }
}
