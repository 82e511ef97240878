//! `gridwatch release NAME`: a quarantined detector is to judge again, on all lanes of all processes.

use gridwatch_core::roster::Proposal;
use gridwatch_engine::foundry::rosters::{RosterLogError, Rosters};
use serde_json::json;

use crate::cli::{Failure, Out, ReleaseArgs};
use crate::config;
use crate::wiring;

/// It needs no running process: whoever runs follows the roster in the store.
pub fn release(args: &ReleaseArgs) -> Result<(), Failure> {
    let config = config::load(&args.config)?;
    let rosters = Rosters::new(wiring::store(&config)?);
    let proposal = Proposal::Release { name: args.name.clone() };
    let roster = rosters.propose(&proposal).map_err(|error| match error {
        RosterLogError::Unmoved(unmoved) => Failure::Arguments(unmoved.to_string()),
        error => Failure::Start(error.to_string()),
    })?;
    let mut out = Out::new();
    if args.json {
        out.line(json!({"detector": args.name, "generation": roster.generation}).to_string())?;
    } else {
        out.line(format!(
            "{} is to judge again with what it knew, where it is quarantined (generation {}); the log says when lanes have, or \
             why one cannot",
            args.name, roster.generation
        ))?;
    }
    out.flush()?;
    Ok(())
}
