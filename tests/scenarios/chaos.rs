//! The short forms of `make chaos`: the real binary against a real broker, disturbed, is the undisturbed one.

use gridwatch_tests::chaos::{Order, SCENARIOS};

fn play(name: &str) {
    let (_, scenario) = SCENARIOS.iter().find(|(known, _)| *known == name).unwrap();
    let verdict = scenario(&Order::short(7));
    println!("{verdict}");
    assert!(verdict.is_good(), "{verdict}");
}

#[test]
fn killed_under_load_everything_is_said_once() {
    play("kill");
}

#[test]
fn killed_under_load_everything_is_said_at_least_once() {
    play("kill-at-least");
}
