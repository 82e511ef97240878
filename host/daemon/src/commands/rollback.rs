//! `gridwatch rollback NAME`: what ran before is to run again, on all lanes of all processes.

use gridwatch_core::roster::{Proposal, Slot, Which};
use gridwatch_engine::foundry::rosters::{RosterLogError, Rosters};
use serde_json::json;

use crate::cli::{Failure, Out, RollbackArgs};

/// It needs no running process: whoever runs follows the roster in the store.
pub fn rollback(args: &RollbackArgs) -> Result<(), Failure> {
    let rosters = Rosters::new(super::store_of(args.config.as_deref())?);
    let reason = args.reason.clone().unwrap_or_else(|| "by hand".to_owned());
    let which = match (args.live, args.shadow) {
        (true, _) => Which::Live,
        (false, true) => Which::Shadow,
        (false, false) => Which::Last,
    };
    let proposal = Proposal::RollBack { name: args.name.clone(), which, reason };
    let roster = rosters.propose(&proposal).map_err(|error| match error {
        RosterLogError::Unmoved(unmoved) => Failure::Arguments(unmoved.to_string()),
        error => Failure::Start(error.to_string()),
    })?;
    let slot = roster.slots.get(&args.name).cloned().unwrap_or_default();
    let digest = slot.plan.as_ref().map_or("nothing", |plan| plan.digest.as_str());
    let mut out = Out::new();
    if args.json {
        out.line(
            json!({"detector": args.name, "generation": roster.generation, "digest": digest}).to_string(),
        )?;
    } else {
        out.line(said(&args.name, &slot, roster.generation))?;
    }
    out.flush()?;
    Ok(())
}

/// What was written. Lanes come to it by themselves, where a process runs.
fn said(name: &str, slot: &Slot, generation: u64) -> String {
    let look = "the log and `gridwatch_swaps_total` say when lanes have";
    let stays = "Its file stays in the directory and is refused until it changes";
    match &slot.plan {
        None => format!(
            "the shadow of {name} is to be taken out (generation {generation}); nothing is live under that name, and \
             nothing was. {stays}"
        ),
        // A shadow that is taken out leaves what is live as it was.
        Some(live) if slot.generation != generation => format!(
            "the shadow of {name} is to be taken out (generation {generation}), and {} goes on live; `gridwatch rollback \
             {name} --live` takes that back, too. {stays}",
            live.digest
        ),
        Some(plan) if slot.retracted.is_none() => {
            format!(
                "{name} does not run, and is to run again as {} (generation {generation}); {look}",
                plan.digest
            )
        }
        Some(plan) => {
            format!("{name} is to go back to {} (generation {generation}); {look}. {stays}", plan.digest)
        }
    }
}
