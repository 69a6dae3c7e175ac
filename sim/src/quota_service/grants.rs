//! The ledger's index of grants: which id was applied, and when.
//!
//! Owns what `put-by-id` and `read-back` offer. It is part of the ledger and as durable: no restart loses an entry, and none
//! is ever forgotten. It is kept only where the capability needs it.

use hookproof_core::time::Instant;

use super::{Begun, ByKey, RequestKey, Status, Work};

/// A grant by its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Grant {
    /// A worker is at it.
    InProgress,
    /// The ledger holds it since then.
    Applied(Instant),
    /// The user's hard limit stood against it. Nothing is ever taken back, so it always will.
    Refused,
}

/// The grants by id.
#[derive(Clone, Debug, Default)]
pub(super) struct Grants {
    by_id: ByKey<Grant>,
}

impl Grants {
    /// When a grant was first applied, if it was.
    pub(super) fn applied_at(&self, id: RequestKey) -> Option<Instant> {
        match self.by_id.get(&id)? {
            Grant::Applied(at) => Some(*at),
            Grant::InProgress | Grant::Refused => None,
        }
    }

    /// A worker begins to create a grant: it does so at most once, whoever else tries.
    pub(super) fn begin(&mut self, id: RequestKey) -> Begun {
        match self.by_id.get(&id) {
            None => {
                self.by_id.insert(id, Grant::InProgress);
                Begun::Working(Work::Execute)
            }
            Some(Grant::InProgress) => Begun::Answered(Status::IN_PROGRESS),
            Some(Grant::Applied(_)) => Begun::Working(Work::Replay(Status::EXISTS)),
            Some(Grant::Refused) => Begun::Working(Work::Replay(Status::LIMIT_REACHED)),
        }
    }

    /// The creation that began ends: `executed` is the answer to what it did, if it did anything.
    pub(super) fn finish(&mut self, id: RequestKey, now: Instant, executed: Option<Status>) {
        match executed {
            Some(status) if status.is_success() => self.by_id.insert(id, Grant::Applied(now)),
            Some(_) => self.by_id.insert(id, Grant::Refused),
            None => self.by_id.remove(&id),
        };
    }

    /// The ledger moved in the name of a grant, maybe once more.
    pub(super) fn note(&mut self, id: RequestKey, now: Instant) {
        self.by_id.entry(id).or_insert(Grant::Applied(now));
    }
}
