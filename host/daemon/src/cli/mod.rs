//! The command line: what may be asked for, and how an answer ends.

mod args;
mod failure;
mod out;

#[cfg(test)]
mod tests;

pub use args::{
    Arguments, Command, ConfigCommand, DEMO_STATE, DeadLettersCommand, DemoArgs, DetectorsArgs, Edge,
    HealthArgs, KafkaArgs, Key, RegisterArgs, ReplayArgs, ReplayLettersArgs, RollbackArgs, RunArgs,
    SchemasCommand, SimulateArgs,
};
pub use failure::Failure;
pub use out::{Out, say};
