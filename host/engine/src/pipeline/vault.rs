//! The thread that stores checkpoints.

use crossbeam_channel::{Receiver, Sender};
use gridwatch_core::sink::Store;

use crate::vault::{Chore, Stored};

/// Until nobody has chores any more. The queue is as long as there are lanes: each has one checkpoint and
/// one sweep under way at most.
pub fn run(store: &dyn Store, chores: &Receiver<Chore>, stored: &Sender<Stored>) {
    for chore in chores {
        if let Some(done) = chore.run(store)
            && stored.send(done).is_err()
        {
            return;
        }
    }
}
