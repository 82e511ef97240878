//! A host whose detectors are swapped: four lanes of a simulation, read as fast as it goes.

use std::collections::BTreeMap;
use std::fs::File;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use gridwatch_connectors::simulator::{Scenario, World};
use gridwatch_connectors::stores::Objects;
use gridwatch_core::roster::Plan;
use gridwatch_core::sink::Store;
use gridwatch_engine::foundry::rosters::Rosters;
use rustix::process::Signal;

use super::process::{Cores, Process, get};
use super::{DETECTORS, root};
use crate::house::House;
use crate::servers::free_port;

pub const LANES: u32 = 4;
/// With the meter at its head.
const FEEDER: u32 = 40;
const AREAS: u32 = 4;
const PATIENCE: Duration = Duration::from_secs(180);
const LOOK: Duration = Duration::from_millis(5);
/// Files that are changed for each swap are of three versions in turn, so that none is still warm.
const VERSIONS: usize = 3;

/// What makes versions of a detector say different things of the same readings. `shift` has heard too little here to
/// know what is usual, so it is told to mind only what is far off: else it would hold tens of thousands of episodes
/// open, ten times as many as after a day, and each swap would close and open thousands of them.
fn parameters(detector: &str, version: usize) -> String {
    let pick = |choices: [&str; VERSIONS]| choices[version % VERSIONS].to_owned();
    match detector {
        "limits" => pick(["swell = 1.08", "swell = 1.06", "swell = 1.05"]),
        "shift" => format!(
            "learn_readings = 20\nlearn_hours = 0.0\nspread_min = 60.0\ncourse_min = 60.0\n{}",
            pick(["level_min = 40.0", "level_min = 36.0", "level_min = 32.0"])
        ),
        "vitals" => format!(
            "learn_readings = 20\nlearn_hours = 0.0\n{}",
            pick(["stuck_readings_min = 8", "stuck_readings_min = 6", "stuck_readings_min = 5"])
        ),
        _ => pick(["reading_deviations = 7.0", "reading_deviations = 6.0", "reading_deviations = 5.0"]),
    }
}

/// One change of a lane, as the log tells it.
#[derive(Debug, Clone)]
pub struct Step {
    pub what: What,
    /// Seconds of the day.
    pub at_s: f64,
    pub lane: String,
    pub detector: String,
    pub generation: u64,
    /// Where the candidate began.
    pub began: Option<u64>,
    pub position: u64,
    pub pause_ms: Option<f64>,
    pub after_ms: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    Swapped,
    Shadows,
    Promoted,
    WentBack,
}

const WHATS: [(&str, What); 4] = [
    (" swapped ", What::Swapped),
    (" shadows lane", What::Shadows),
    (" promoted ", What::Promoted),
    (" went back ", What::WentBack),
];

impl Step {
    fn of(line: &str) -> Option<Step> {
        let (_, what) = WHATS.iter().find(|(word, _)| line.contains(word))?;
        let field = |name: &str| {
            let rest = line.split(&format!(" {name}=")).nth(1)?;
            Some(rest.split_whitespace().next()?.trim_matches('"').to_owned())
        };
        let number = |name: &str| field(name).and_then(|text| text.parse::<f64>().ok());
        let whole = |name: &str| field(name).and_then(|text| text.parse::<u64>().ok());
        Some(Step {
            what: *what,
            at_s: seconds_of_day(line)?,
            lane: field("lane")?,
            detector: field("detector")?,
            generation: whole("generation")?,
            began: whole("began"),
            position: whole("position")?,
            pause_ms: number("pause_ms"),
            after_ms: number("after_ms"),
        })
    }
}

/// Of `2026-01-01T12:00:00.5Z …`.
fn seconds_of_day(line: &str) -> Option<f64> {
    let time = line.split('T').nth(1)?.split('Z').next()?;
    let mut parts = time.split(':').map(|part| part.parse::<f64>().ok());
    Some(parts.next()?? * 3600.0 + parts.next()?? * 60.0 + parts.next()??)
}

pub fn now_s() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64() % 86_400.0
}

/// What is known of all that ever ran: by name and generation.
pub type Plans = BTreeMap<(String, u64), Plan>;

pub struct Host {
    pub house: House,
    pub world: Arc<World>,
    pub sensors_per_lane: u32,
    port: u16,
    process: Option<Process>,
    versions: BTreeMap<&'static str, usize>,
    changes: usize,
    pub plans: Plans,
    /// Generations that the first lanes began with.
    pub first: Vec<(String, u64)>,
}

impl Host {
    pub fn start(seed: u64, sensors_per_lane: u32) -> Host {
        let feeders = sensors_per_lane * LANES / FEEDER / AREAS;
        let scenario = Scenario {
            seed,
            areas: AREAS,
            feeders_per_area: feeders,
            meters_per_feeder: FEEDER - 1,
            faults_per_kind: FAULTS,
            ..Scenario::default()
        };
        let house = House::with(&DETECTORS);
        let port = free_port().unwrap_or_else(|failure| panic!("{failure}"));
        house.write(
            "gridwatch.toml",
            format!(
                "[source]\nkind = \"simulator\"\nseed = {seed}\nareas = {AREAS}\nfeeders_per_area = {feeders}\n\
                 meters_per_feeder = {}\nfaults_per_kind = {FAULTS}\nlanes = {LANES}\n\
                 [sink]\nkind = \"file\"\npath = \"anomalies.jsonl\"\n[dead_letters]\npath = \"dead-letters.jsonl\"\n\
                 [detectors]\ndir = \"detectors\"\n[checkpoints]\ndir = \"store\"\n\
                 [api]\nlisten = \"127.0.0.1:0\"\n[metrics]\nlisten = \"127.0.0.1:{port}\"\n",
                FEEDER - 1
            ),
        );
        let mut host = Host {
            house,
            world: World::new(scenario).unwrap(),
            sensors_per_lane,
            port,
            process: None,
            versions: BTreeMap::new(),
            changes: 0,
            plans: Plans::new(),
            first: Vec::new(),
        };
        DETECTORS.iter().for_each(|name| host.settle_version(name, "live"));
        let log = File::create(host.house.path("log")).unwrap();
        let mut command = host.house.command(&["run", "-c", "gridwatch.toml"]);
        command.stdout(Stdio::null()).stderr(log);
        host.process = Some(Cores::all().spawn(&mut command));
        // Each sensor was heard several times: there is state.
        host.until_judged(u64::from(sensors_per_lane * LANES) * 4);
        host.note_plans();
        host.first = host.plans.keys().cloned().collect();
        host
    }

    pub fn store(&self) -> Arc<dyn Store> {
        Arc::new(Objects::local(&self.house.path("store")).unwrap())
    }

    fn note_plans(&mut self) {
        let roster = Rosters::new(self.store()).latest().unwrap();
        for (name, slot) in &roster.slots {
            let shadow = slot.shadow.as_ref().map(|shadow| (&shadow.plan, shadow.generation));
            let live = slot.plan.as_ref().map(|plan| (plan, slot.generation));
            for (plan, generation) in live.into_iter().chain(shadow) {
                self.plans.insert((name.clone(), generation), plan.clone());
            }
        }
    }

    /// The next version's settings, complete at once.
    fn settle_version(&mut self, detector: &'static str, mode: &str) {
        let version = self.versions.entry(detector).or_default();
        *version += 1;
        let text = format!("mode = \"{mode}\"\n[parameters]\n{}\n", parameters(detector, *version));
        self.replace(&format!("detectors/{detector}.toml"), text.as_bytes());
    }

    fn replace(&self, name: &str, bytes: &[u8]) {
        let part = format!("{name}.part");
        self.house.write(&part, bytes);
        std::fs::rename(self.house.path(&part), self.house.path(name)).unwrap();
    }

    /// New builds of these detectors lie in the directory, each of another digest than any before.
    pub fn change(&mut self, detectors: &[&'static str]) {
        for detector in detectors {
            self.changes += 1;
            let bytes = build_of(detector, self.changes);
            // The settings first: they alone are a change, too, and it is taken with the module's.
            self.settle_version(detector, "live");
            self.replace(&format!("detectors/{detector}.wasm"), &bytes);
        }
    }

    /// Another version beside the one that runs.
    pub fn shadow(&mut self, detector: &'static str) {
        self.settle_version(detector, "shadow");
    }

    /// What shadows is to be live.
    pub fn promote(&mut self, detector: &'static str) {
        let name = format!("detectors/{detector}.toml");
        let text = self.house.text(&name).replace("\"shadow\"", "\"live\"");
        self.replace(&name, text.as_bytes());
    }

    /// All changes of lanes so far.
    pub fn steps(&self) -> Vec<Step> {
        self.house.text("log").lines().filter_map(Step::of).collect()
    }

    /// Until so many changes of this kind were made in lanes.
    pub fn until(&mut self, what: What, count: usize) -> Vec<Step> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let steps = self.steps();
            if steps.iter().filter(|step| step.what == what).count() >= count {
                self.note_plans();
                return steps;
            }
            self.check();
            assert!(Instant::now() < deadline, "waited in vain:\n{}", self.log_tail());
            std::thread::sleep(LOOK);
        }
    }

    fn check(&mut self) {
        let ended = self.process.as_mut().and_then(Process::has_ended);
        assert!(ended.is_none(), "the host has ended ({ended:?}):\n{}", self.log_tail());
    }

    fn log_tail(&self) -> String {
        let log = self.house.text("log");
        log[log.floor_char_boundary(log.len().saturating_sub(3_000))..].to_owned()
    }

    /// The sum of a metric over the series whose labels have all of these.
    pub fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let page = get(self.port, "/metrics").unwrap_or_default();
        let series = page.lines().filter(|line| line.starts_with(&format!("{name}{{")));
        let series = series.filter(|line| labels.iter().all(|label| line.contains(label)));
        series.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// The greatest of a metric's series.
    pub fn longest(&self, name: &str) -> f64 {
        let page = get(self.port, "/metrics").unwrap_or_default();
        let series = page.lines().filter(|line| line.starts_with(&format!("{name}{{")));
        series.filter_map(|line| line.rsplit(' ').next()?.parse().ok()).fold(0.0, f64::max)
    }

    pub fn judged(&self) -> u64 {
        self.metric("gridwatch_judged_total", &[]) as u64
    }

    pub fn until_judged(&mut self, count: u64) {
        let deadline = Instant::now() + PATIENCE;
        while self.judged() < count {
            self.check();
            assert!(Instant::now() < deadline, "waited in vain:\n{}", self.log_tail());
            std::thread::sleep(LOOK);
        }
    }

    pub fn peak_mib(&self) -> f64 {
        self.process.as_ref().and_then(Process::peak_mib).unwrap_or_default()
    }

    /// In good order.
    pub fn stop(&mut self) {
        let Some(process) = self.process.take() else { return };
        process.signal(Signal::TERM);
        let (status, _, _) = process.finish(PATIENCE);
        assert!(status.success(), "{status}:\n{}", self.log_tail());
    }
}

/// Of each kind.
const FAULTS: u32 = 20;

/// A build of a built-in detector that judges as the others do and has a digest of its own: it ends in a section that
/// means nothing.
pub fn build_of(detector: &str, number: usize) -> Vec<u8> {
    let file = root().join("detectors").join(detector).with_extension("wasm");
    let mut bytes =
        std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}; run `make guests`", file.display()));
    let name = format!("build-{number:06}");
    let len = u8::try_from(name.len()).unwrap();
    bytes.extend([0, len + 1, len]);
    bytes.extend(name.as_bytes());
    bytes
}
