//! The short forms of `make chaos`: the real binary against a real broker, disturbed, is the undisturbed one.
#![allow(clippy::print_stdout)]

use gridwatch_tests::chaos::{Order, SCENARIOS};

fn play(name: &str) {
    let (_, scenario) = SCENARIOS.iter().find(|(known, _)| *known == name).unwrap();
    let verdict = scenario(&Order::short(7));
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

#[test]
fn members_come_and_go_and_zombies_say_nothing() {
    play("group");
}

#[test]
fn at_least_once_members_come_and_go_and_nothing_is_lost() {
    play("group-at-least");
}

#[test]
fn another_of_the_same_name_is_lived_through_once() {
    play("fence");
}

#[test]
fn a_broker_that_dies_costs_nothing() {
    play("broker");
}

#[test]
fn a_network_that_comes_and_goes_costs_nothing() {
    play("network");
}

#[test]
fn at_least_once_a_broker_that_dies_loses_nothing() {
    play("broker-at-least");
}

#[test]
fn at_least_once_a_network_that_comes_and_goes_loses_nothing() {
    play("network-at-least");
}

#[test]
fn without_the_store_lanes_go_on() {
    play("store");
}

#[test]
fn whatever_the_registry_does_readings_are_checked_by_their_schemas() {
    play("registry");
}

#[test]
fn detectors_are_swapped_under_load_and_nothing_is_lost_or_doubled() {
    play("swap");
}

#[test]
fn wrong_clocks_and_a_silent_lane_harm_nobody_else() {
    play("clock");
}
