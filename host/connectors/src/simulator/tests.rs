#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use super::*;

#[test]
fn it_runs() {
    let simulation = Simulation::new(Scenario::default()).unwrap();
    assert!(simulation.count() > 800_000);
}
