//! Chaos: the real binary against a real broker, disturbed from a seed, compared with an undisturbed run.
//!
//! - `stage`       a broker, a topic of readings, a folder; `load` readings that keep coming
//! - `deployment`  how the processes of one group are configured; `process` one of them, and what is done to it
//! - `offsets`     what the group has committed, and waiting until that is all
//! - `output`      what readers see of it; `watch` how long they see nothing
//! - `verdict`     the same, lane by lane, or not
//!
//! Each scenario has a short form for `make test` and a long one for `make chaos`. The expectation is what
//! the same binary says of the same topic as another group, undisturbed.

use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

mod broker;
mod clock;
mod deployment;
mod fence;
mod group;
mod kill;
mod load;
mod offsets;
mod output;
mod process;
mod registry;
mod stage;
mod store;
mod swap;
mod verdict;
mod watch;

pub use deployment::Deployment;
pub use load::Load;
pub use offsets::Offsets;
pub use output::Output;
pub use process::Process;
pub use stage::Stage;
pub use verdict::{Promise, Verdict};
pub use watch::Watch;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    Short,
    Long,
}

/// How a scenario is wanted.
#[derive(Clone, Debug)]
pub struct Order {
    pub seed: u64,
    pub length: Length,
    /// Disturbances, instead of the scenario's own number.
    pub disturbances: Option<usize>,
}

impl Order {
    pub fn short(seed: u64) -> Order {
        Order { seed, length: Length::Short, disturbances: None }
    }

    pub fn count(&self, short: usize, long: usize) -> usize {
        self.disturbances.unwrap_or(self.pick(short, long))
    }

    pub fn pick<T>(&self, short: T, long: T) -> T {
        match self.length {
            Length::Short => short,
            Length::Long => long,
        }
    }

    /// What is random in the scenario. When it happens within a process is not: that is the point.
    pub fn random(&self) -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(self.seed)
    }
}

type Scenario = fn(&Order) -> Verdict;

/// All of them, in the order in which they tell most.
pub const SCENARIOS: [(&str, Scenario); 13] = [
    ("kill", kill::exactly_once),
    ("kill-at-least", kill::at_least_once),
    ("group", group::exactly_once),
    ("group-at-least", group::at_least_once),
    ("fence", fence::play),
    ("broker", broker::killed),
    ("broker-at-least", broker::killed_at_least_once),
    ("network", broker::unreachable),
    ("network-at-least", broker::unreachable_at_least_once),
    ("store", store::play),
    ("registry", registry::play),
    ("swap", swap::play),
    ("clock", clock::play),
];

/// What the same readings give undisturbed.
pub fn calm(stage: &Stage, disturbed: &Deployment) -> Output {
    let bootstrap = stage.kafka.bootstrap();
    let mut deployment = stage.deployment(&format!("{}-calm-{}", disturbed.group, disturbed.topic));
    deployment.undisturbed_as(disturbed);
    let mut process = deployment.process("a");
    process.start();
    Offsets::of(&deployment, &bootstrap).until_all_is_judged(&mut [&mut process]);
    process.stop();
    Output::of(&deployment, &bootstrap)
}

/// Resident at most, whatever piles up outside.
const PEAK_MIB_MAX: u64 = 160;

/// The disturbance's own time, which is part of the scenario: nothing is waited for.
pub fn pass(time: Duration) {
    std::thread::sleep(time);
}

/// Waits for something that others bring about.
pub fn until(what: &str, within: Duration, mut is: impl FnMut() -> bool) {
    let deadline = Instant::now() + within;
    while !is() {
        assert!(Instant::now() < deadline, "waited {within:?} in vain for: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
