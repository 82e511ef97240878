//! The command line: what may be asked for, and how an answer ends.

mod args;
mod failure;
mod out;

#[cfg(test)]
mod tests;

pub use args::{
    Arguments, CapsuleCommand, CapsuleReplayArgs, Command, ConfigCommand, DEMO_STATE, DeadLettersCommand,
    DemoArgs, DetectorsArgs, Edge, ExplainArgs, HealthArgs, KafkaArgs, Key, RegisterArgs, ReleaseArgs,
    ReplayArgs, ReplayLettersArgs, RollbackArgs, RunArgs, SchemasCommand, SimulateArgs,
};
pub use failure::Failure;
pub use out::{Out, say};
