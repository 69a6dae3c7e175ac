//! What this process knows of users who were exposed: why a repeated visit needs no I/O.
//!
//! A recorded assignment never changes (`ASSIGN-1`), so it may be remembered; only a change of the store's epoch, which may have lost it,
//! makes the whole memory void. A grant's state does change: what is shown is the latest that *this* process has heard.
//!
//! Sharded, so visits on several cores don't wait for each other. Whom it forgets is the library's choice; that costs a
//! look into the store.

use std::sync::Arc;

use hookproof_core::experiment::VariantIndex;
use hookproof_core::identity::GrantId;
use hookproof_core::store::{Admitted, First, GrantState};
use quick_cache::sync::Cache;

/// A user's record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) variant: VariantIndex,
    pub(crate) generation: u8,
    pub(crate) grant: Option<(GrantId, GrantState)>,
}

impl Record {
    /// As if the store had found it.
    pub(crate) fn found(self) -> Admitted {
        let grant = self.grant.map(|(_, state)| state);
        Admitted { variant: self.variant, first: First::Known, generation: self.generation, grant }
    }
}

/// The records of some users.
#[derive(Debug)]
pub(crate) struct Known {
    records: Cache<Arc<str>, Record>,
}

impl Known {
    /// Room for `users_max` of them.
    pub(crate) fn new(users_max: usize) -> Self {
        Self { records: Cache::new(users_max) }
    }

    pub(crate) fn get(&self, id: &str) -> Option<Record> {
        self.records.get(id)
    }

    pub(crate) fn remember(&self, id: Arc<str>, record: Record) {
        self.records.insert(id, record);
    }

    /// A grant came into another state.
    pub(crate) fn on_state(&self, id: &Arc<str>, state: GrantState) {
        if let Some(record) = self.records.get(id) {
            let grant = record.grant.map(|(grant, _)| (grant, state));
            self.records.insert(Arc::clone(id), Record { grant, ..record });
        }
    }

    pub(crate) fn forget(&self, id: &str) {
        self.records.remove(id);
    }

    pub(crate) fn forget_all(&self) {
        self.records.clear();
    }
}
