//! A mapping that never matches is said while there is still time to mend it.

use gridwatch_core::account::Account;

use crate::account;

/// So many records without a mapped quantity are no accident.
const RECORDS: u64 = 1_000;

/// Looks once, after enough records, and warns of what was not found in any of them.
#[derive(Debug, Default)]
pub struct MappingWatch {
    looked: bool,
}

impl MappingWatch {
    /// To be called often; true while there is something to look for.
    pub fn is_due(&self) -> bool {
        !self.looked
    }

    pub fn look(&mut self, account: &Account) {
        if self.looked || account.received < RECORDS {
            return;
        }
        self.looked = true;
        for unfound in account::unfound(account) {
            tracing::warn!("never found so far: {unfound}");
        }
    }
}
