//! What lanes should have said: the same readings, lived again by one lane after the other that is told beforehand
//! where versions took over from each other.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufRead, BufReader};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gridwatch_connectors::simulator::{After, Pace, SimulatorFeed};
use gridwatch_core::anomaly::Origin;
use gridwatch_core::assets::Assets;
use gridwatch_core::checkpoint::Checkpoint;
use gridwatch_core::decision::{Decision, What as Decided};
use gridwatch_core::record::{Chunk, Feed, FeedStatus, Position, SourceError};
use gridwatch_core::sink::Delivery;
use gridwatch_engine::deployment::{Deployment, Deployments, GoneDeployment, Mode, OnFault, OnNewState};
use gridwatch_engine::foundry::rosters::Rosters;
use gridwatch_engine::lane::{Lane, LaneParts, Resume};
use gridwatch_engine::settings::{LaneSettings, PaceSettings};
use gridwatch_engine::worker::{Parcel, Step as Worked, Worker};
use gridwatch_sandbox::{LoadedModule, Sandbox, SandboxSettings};

use super::swaps::{Host, LANES, Plans, Step, What};
use super::{NoLog, root};

/// Of all lanes.
#[derive(Debug, Default)]
pub struct Account {
    pub readings: u64,
    pub expected: u64,
    pub lost: u64,
    pub doubled: u64,
    /// Neither expected nor a repeat.
    pub foreign: u64,
    /// Lanes that have said all of it, but in another order.
    pub disordered: u64,
}

/// Of a host that has stopped.
pub fn audit(host: &Host) -> Account {
    let past = Arc::new(Past::of(host));
    let steps = host.steps();
    let seen = seen(host);
    let next = Mutex::new(0..LANES);
    let account = Mutex::new(Account::default());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(lane) = { next.lock().unwrap().next() } {
                    let name = format!("simulator-{lane}");
                    let steps: Vec<&Step> = steps.iter().filter(|step| step.lane == name).collect();
                    let (expected, readings) = expected(host, &past, lane, &name, &steps);
                    let mut account = account.lock().unwrap();
                    account.readings += readings;
                    account.compare(&expected, seen.get(&lane).map_or(&[][..], Vec::as_slice));
                }
            });
        }
    });
    account.into_inner().unwrap()
}

impl Account {
    fn compare(&mut self, expected: &[u64], seen: &[u64]) {
        let mut counts: HashMap<u64, (u64, u64)> = HashMap::new();
        expected.iter().for_each(|line| counts.entry(*line).or_default().0 += 1);
        seen.iter().for_each(|line| counts.entry(*line).or_default().1 += 1);
        for (expected, seen) in counts.into_values() {
            self.lost += expected.saturating_sub(seen);
            let beyond = seen.saturating_sub(expected);
            if expected > 0 { self.doubled += beyond } else { self.foreign += beyond }
        }
        self.expected += expected.len() as u64;
        let mut sorted = (expected.to_vec(), seen.to_vec());
        sorted.0.sort_unstable();
        sorted.1.sort_unstable();
        self.disordered += u64::from(expected != seen && sorted.0 == sorted.1);
    }

    pub fn is_good(&self) -> bool {
        self.lost + self.doubled + self.foreign + self.disordered == 0
    }
}

/// By lane, what stands for each line, in order.
fn seen(host: &Host) -> BTreeMap<u32, Vec<u64>> {
    let mut seen: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
    for line in BufReader::new(File::open(host.house.path("anomalies.jsonl")).unwrap()).lines() {
        let line = line.unwrap();
        let lane = line.rsplit("\"simulator\":\"simulator-").next().unwrap().split('"').next().unwrap();
        seen.entry(lane.parse().unwrap()).or_default().push(sign_of(line.as_bytes()));
    }
    seen
}

fn sign_of(line: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    line.hash(&mut hasher);
    hasher.finish()
}

/// All that ever ran.
struct Past(BTreeMap<(String, u64), Arc<Deployment>>);

impl Past {
    fn of(host: &Host) -> Past {
        let rosters = Rosters::new(host.store());
        let settings = SandboxSettings {
            cache_dir: Some(root().join("target/bench/cache")),
            ..SandboxSettings::default()
        };
        let sandbox = Sandbox::new(settings).unwrap();
        let plans: &Plans = &host.plans;
        let mut modules: HashMap<String, Arc<LoadedModule>> = HashMap::new();
        let mut all = BTreeMap::new();
        for ((name, generation), plan) in plans {
            let module = modules
                .entry(plan.digest.clone())
                .or_insert_with(|| Arc::new(sandbox.load(&rosters.module(&plan.digest).unwrap()).unwrap()));
            let deployment = Deployment {
                name: name.clone(),
                module: module.clone(),
                parameters: plan.parameters.clone(),
                limits: plan.limits,
                on_fault: OnFault::Halt,
                on_new_state: OnNewState::Refuse,
                faults_max: 5,
                generation: *generation,
                // Who is kept warm says nothing.
                came_ms: None,
                rollback_window: Duration::ZERO,
                mode: plan.mode,
                log: Arc::new(NoLog),
            };
            all.insert((name.clone(), *generation), Arc::new(deployment));
        }
        Past(all)
    }
}

impl Deployments for Past {
    fn deployment(&self, detector: &str, generation: u64) -> Result<Arc<Deployment>, GoneDeployment> {
        let found = self.0.get(&(detector.to_owned(), generation)).cloned();
        found.ok_or_else(|| GoneDeployment::Unknown { what: format!("{detector} of {generation}") })
    }
}

fn decisions(steps: &[&Step]) -> Vec<Decision> {
    let mut decisions = Vec::new();
    for step in steps {
        let (detector, generation) = (step.detector.clone(), step.generation);
        if let Some(position) = step.began {
            let what = Decided::Prepare { detector: detector.clone(), generation };
            decisions.push(Decision { position, what });
        }
        let what = match step.what {
            What::Swapped => Decided::Swap { detector, generation },
            What::Shadows => Decided::Shadow { detector, generation },
            What::Promoted => Decided::Promote { detector, generation },
            What::WentBack => Decided::Back { detector, generation },
        };
        decisions.push(Decision { position: step.position, what });
    }
    decisions
}

/// A lane's lines, and how many readings it has judged.
fn expected(host: &Host, past: &Arc<Past>, lane: u32, name: &str, steps: &[&Step]) -> (Vec<u64>, u64) {
    let store = host.store();
    // The last one was made at the end.
    let last = store.list(&format!("checkpoints/{name}/")).unwrap().pop().unwrap();
    let last = Checkpoint::decode(&store.get(&last).unwrap()).unwrap();
    let settings: LaneSettings = serde_json::from_str(&last.settings).unwrap();
    let assets = Assets::parse(host.world.assets_csv().as_bytes(), "assets").unwrap();
    let live = host.first.iter().filter_map(|of| past.0.get(of)).filter(|of| of.mode == Mode::Live);
    let parts = LaneParts {
        name: name.to_owned(),
        origin: Origin::Simulator { simulator: name.to_owned() },
        settings,
        assets: Arc::new(assets),
        source: Vec::new(),
        // Where messages come again, those that follow from a decision are said with it.
        delivery: Delivery::AtLeastOnce,
        dormant: Vec::new(),
        deployments: live.cloned().collect(),
        batch_rows_max: PaceSettings::default().batch_rows_max,
        schemas: None,
        past: Some(past.clone()),
        history: None,
    };
    let checkpoint = Lane::cold(parts.clone(), 0).unwrap().checkpoint().unwrap();
    let resume = Resume { checkpoint, committed: 0, decisions: decisions(steps) };
    let feed = SimulatorFeed::new(host.world.clone(), lane, LANES, After::Quiet, Pace::Free).unwrap();
    let feed = Box::new(Until { feed, end: last.position });
    let pace = PaceSettings {
        checkpoint_interval: Duration::from_secs(1 << 40),
        checkpoint_records_max: u64::MAX,
        ..PaceSettings::default()
    };
    let mut worker = Worker::new(Lane::resume(parts, resume).unwrap(), feed, pace, Duration::ZERO).unwrap();
    let mut said = Vec::new();
    let mut hear = |parcel: Parcel| {
        let Parcel::Output { output, .. } = parcel else { return };
        said.extend(output.messages.iter().map(|message| sign_of(&message.json())));
    };
    while worker.step(Duration::ZERO, Duration::ZERO, false, &mut hear).unwrap() == Worked::Again {}
    (said, worker.lane().account().judged)
}

/// A feed that ends before a position.
struct Until {
    feed: SimulatorFeed,
    end: Position,
}

impl Feed for Until {
    fn seek(&mut self, position: Position) -> Result<(), SourceError> {
        self.feed.seek(position)
    }

    fn poll(&mut self, chunk: &mut Chunk, wait: Duration) -> Result<FeedStatus, SourceError> {
        let status = self.feed.poll(chunk, wait)?;
        let within = chunk.records.partition_point(|record| record.position < self.end);
        if within == chunk.records.len() {
            return Ok(status);
        }
        chunk.records.truncate(within);
        Ok(FeedStatus::End)
    }
}
