//! `gridwatch rollback NAME`: what ran before is to run again, on all lanes of all processes.

use gridwatch_core::roster::Proposal;
use gridwatch_engine::foundry::rosters::{RosterLogError, Rosters};
use serde_json::json;

use crate::cli::{Failure, Out, RollbackArgs};

/// It needs no running process: whoever runs follows the roster in the store.
pub fn rollback(args: &RollbackArgs) -> Result<(), Failure> {
    let rosters = Rosters::new(super::store_of(args.config.as_deref())?);
    let reason = args.reason.clone().unwrap_or_else(|| "by hand".to_owned());
    let proposal = Proposal::RollBack { name: args.name.clone(), fingerprint: None, reason };
    let roster = rosters.propose(&proposal).map_err(|error| match error {
        RosterLogError::Unmoved(unmoved) => Failure::Arguments(unmoved.to_string()),
        error => Failure::Start(error.to_string()),
    })?;
    let slot = roster.slots.get(&args.name);
    let digest = slot.and_then(|slot| slot.plan.as_ref()).map_or("nothing", |plan| plan.digest.as_str());
    // A shadow that was taken out leaves what runs as it was.
    let is_shadows = slot.is_some_and(|slot| slot.generation != roster.generation);
    let mut out = Out::new();
    if args.json {
        out.line(
            json!({"detector": args.name, "generation": roster.generation, "digest": digest}).to_string(),
        )?;
    } else if is_shadows {
        out.line(format!(
            "the shadow of {} is taken out (generation {}), and {digest} goes on. Its file stays in the directory and \
             is refused until it changes",
            args.name, roster.generation
        ))?;
    } else {
        out.line(format!(
            "{} goes back to {digest} (generation {}). Its file stays in the directory and is refused until it changes",
            args.name, roster.generation
        ))?;
    }
    out.flush()?;
    Ok(())
}
