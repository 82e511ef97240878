//! A power grid made up from a seed: readings as meters on radial feeders would send them, faults in
//! that telemetry, and the exact truth about each.
//!
//! Read in this order: [`Scenario`] (what is asked for), `area` (frequency, weather, supply), `load`
//! (customers), `feeder` (the line and the voltage left on it), `sensor` (how it is measured), `plan`, `draw` and
//! `inject` (faults, described in [`fault`]), [`Simulation`] (all of it, slot by slot), [`SimulatorFeed`]
//! (as a source), [`score`] (what was found of what was injected).
//!
//! The same scenario gives the same bytes on every machine: randomness is ChaCha8 by stream, transcendental
//! functions come from `libm`. A power P is V·I·PF exactly before it is measured; see `sensor` for noise
//! and resolution. Loads switch and follow the day, so that current and power move by multiples without anything
//! being wrong; voltage moves within EN 50160.
//!
//! Measured over the default scenario without faults (84 sensors, a week): voltage 214-240 V, differing from
//! minute to minute by 0.45 V (standard deviation over √2; 0.23 V of it the meter's), in steps of up to 6 V
//! where a large load or a tap switches; frequency 50 Hz, standard deviation 19 mHz, and two sensors of an area within a
//! second agree to 20 mHz; power factor 0.78-1.00, and at night near 0.86 with 150-300 W and 0.5-1.5 A a household, where a
//! hundredth of an ampere is a per cent. Local time is UTC. There are no solar roofs: power flows one way.

mod area;
mod draw;
pub mod fault;
mod feed;
mod feeder;
mod inject;
mod load;
mod past;
mod plan;
mod random;
mod reading;
mod run;
mod scenario;
pub mod score;
mod sensor;
#[cfg(test)]
mod tests;

pub use fault::{FaultKind, Label};
pub use feed::{Clock, Pace, SimulatorFeed, SystemClock};
pub use past::SimulatorPast;
pub use reading::{
    APPARENT_POWER, CURRENT, CURRENT_L1, FREQUENCY, POWER, POWER_FACTOR, QUANTITIES, QuantitySet,
    REACTIVE_POWER, SimReading, TEMPERATURE, VOLTAGE, VOLTAGE_L1,
};
pub use run::{Simulation, World};
pub use scenario::{After, START_DEFAULT, Scenario, ScenarioError};
pub use sensor::{Role, Sensor};
