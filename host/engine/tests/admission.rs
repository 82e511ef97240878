//! What a module must show before it judges: an honest one passes with its cost, each broken promise is named.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::sync::Arc;

use gridwatch_core::Timestamp;
use gridwatch_core::batch::{BatchView, Sensor};
use gridwatch_core::finding::{Descriptor, Finding};
use gridwatch_core::judge::{Fault, GuestLog, Judge, Limits, Module, Saved, States, Traces};
use gridwatch_core::reading::Quantity;
use gridwatch_engine::foundry::{Budget, Candidate, Evidence, Proof, Property, Unproven, Why, prove};
use support::judge::{NativeModule, NoLog, POISON};

fn evidence() -> Evidence {
    Evidence::synthetic(1, 40, 8, &[])
}

fn tried(module: &dyn Module, evidence: &Evidence, budget: &Budget) -> Result<Proof, Unproven> {
    let candidate = Candidate { module, parameters: "{}", limits: Limits::default(), log: Arc::new(NoLog) };
    prove(&candidate, None, evidence, budget)
}

#[test]
fn an_honest_module_is_proven_and_its_cost_shown() {
    let (module, evidence) = (NativeModule::new("honest", "volt"), evidence());
    let proof = tried(&module, &evidence, &Budget::default()).unwrap();
    assert_eq!(proof.readings, evidence.rows() as u64);
    assert_eq!(proof.quantities, ["voltage", "voltage_l1", "voltage_l2", "voltage_l3"]);
    assert!(proof.findings > 0 && proof.cost.reading_ns > 0.0 && proof.state_bytes > 0, "{proof:?}");
    assert_eq!(proof.cost.reading_fuel, None);
}

#[test]
fn what_is_made_up_is_the_same_for_the_same_seed_and_has_every_mark() {
    // Values that are not there are NaN, which equals nothing: as text they compare.
    assert_eq!(format!("{:?}", evidence()), format!("{:?}", evidence()));
    let rows: Vec<_> = evidence().stretches.into_iter().flat_map(|stretch| stretch.rows).collect();
    for bit in [1, 2, 4, 8] {
        assert!(rows.iter().any(|row| row.mark & bit != 0), "no row has mark {bit}");
    }
}

#[test]
fn more_than_a_reading_may_cost() {
    let budget = Budget::of_ns(0);
    let refusal = tried(&NativeModule::new("dear", ""), &evidence(), &budget).unwrap_err();
    assert_eq!(refusal.why, Why::TooDear { unit: "ns", max: 0 });
    let told = refusal.to_string();
    assert!(told.contains("cost_ns_per_reading_max") && told.contains("it costs "), "{told}");
}

#[test]
fn a_fault_says_where() {
    let mut evidence = evidence();
    evidence.stretches[5].rows[3].values[0] = POISON;
    let refusal = tried(&NativeModule::new("fragile", ""), &evidence, &Budget::default()).unwrap_err();
    assert_eq!(refusal.label(), "trap");
    assert!(refusal.to_string().contains("observe: trapped: poison"), "{refusal}");
}

#[test]
fn a_module_that_does_not_take_up_its_state() {
    let module = Forgetful(NativeModule::new("forgetful", ""));
    let refusal = tried(&module, &evidence(), &Budget::default()).unwrap_err();
    assert!(matches!(refusal.why, Why::Differs { property: Property::RestoreInvariant, .. }), "{refusal}");
    assert!(refusal.to_string().contains("`save`"), "{refusal}");
}

/// Says yes to a state, and passes it over.
struct Forgetful(NativeModule);

impl Module for Forgetful {
    fn descriptor(&self) -> &Descriptor {
        self.0.descriptor()
    }
    fn digest(&self) -> &str {
        self.0.digest()
    }
    fn instantiate(&self, limits: Limits, log: Arc<dyn GuestLog>) -> Result<Box<dyn Judge>, Fault> {
        Ok(Box::new(ForgetfulJudge(self.0.instantiate(limits, log)?)))
    }
}

struct ForgetfulJudge(Box<dyn Judge>);

impl Judge for ForgetfulJudge {
    fn configure(&mut self, parameters: &str, available: &[Quantity]) -> Result<Vec<u32>, Fault> {
        self.0.configure(parameters, available)
    }
    fn set_sensors(&mut self, first: u32, sensors: &[Sensor]) -> Result<(), Fault> {
        self.0.set_sensors(first, sensors)
    }
    fn remove_sensors(&mut self, sensors: &[u32]) -> Result<(), Fault> {
        self.0.remove_sensors(sensors)
    }
    fn observe(&mut self, batch: BatchView<'_>) -> Result<Vec<Finding>, Fault> {
        self.0.observe(batch)
    }
    fn advance(&mut self, watermark: Timestamp) -> Result<Vec<Finding>, Fault> {
        self.0.advance(watermark)
    }
    fn trace(&mut self, batch: BatchView<'_>) -> Result<Traces, Fault> {
        self.0.trace(batch)
    }
    fn save(&mut self, sensors: &[u32]) -> Result<States, Fault> {
        self.0.save(sensors)
    }
    fn save_shared(&mut self) -> Result<Vec<u8>, Fault> {
        self.0.save_shared()
    }
    fn begin_restore(&mut self, _: &Saved) -> Result<(), Fault> {
        Ok(())
    }
    fn restore(&mut self, _: &[u32], _: &States) -> Result<(), Fault> {
        Ok(())
    }
    fn memory_bytes(&self) -> usize {
        self.0.memory_bytes()
    }
}
