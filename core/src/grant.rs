//! One grant's step: what its holder does with it after a claim, and what follows from an answer.
//!
//! Owns the decisions about a single grant, apart from everything that concerns the lane (limit, breaker, backoff, budget):
//! two pure functions over the claimed row, small enough to be checked exhaustively (`core/model`). Delivery calls them and
//! adds *when*; they say *whether*. Times are the store's, and no chance enters.
//!
//! * `GRANT-1`: what may have been applied is sent again only where the upstream's capability makes that harmless.
//! * `GRANT-3`: what can be neither sent nor proved is parked with its evidence; a grant in doubt is never rejected.
//! * `GRANT-4`: no send in doubt that could execute after the key's window.
//! * `GRANT-5`: nothing is sent under a lease that may end before the attempt does.
//!
//! Read next: `tests/machines/grant.rs`, and the promise matrix in [`crate::promise`].

mod window;

use std::time::Duration;

pub use self::window::{absence_is_provable_at, lease_holds, window_allows};
use crate::classify::{Action, AnswerClass, Applied, Classification, Doubt, ParkReason, RetryCause};
use crate::classify::{classify, classify_read};
use crate::store::{ClaimedGrant, Settlement};
use crate::time::{Now, WallTime};
use crate::upstream::{Ask, Capability, Upstream};

/// What a grant's step rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Terms {
    /// What the hook believes of its quota service.
    pub upstream: Upstream,
    /// How long a claim lasts.
    pub lease: Duration,
    /// How long an attempt under it takes at most.
    pub attempt: Duration,
    /// Bound of the error of the store's clock.
    pub clock_error: Duration,
}

/// What the holder of a claimed grant does with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// It sends this.
    Send(Ask),
    /// It settles at once, without a request.
    Settle(Settlement),
}

/// What follows from an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Next {
    /// This is all.
    Settle(Settlement),
    /// The grant is due again, `after` this at the earliest; the lane may make it later.
    Again {
        /// Why.
        cause: RetryCause,
        /// At the earliest.
        after: Duration,
        /// Whether any attempt may have been applied.
        doubt: Doubt,
    },
    /// No byte of the request left, and nothing else is in doubt: the grant is due again later.
    Unsent {
        /// Why.
        cause: RetryCause,
    },
    /// The grant is due again later: a read told nothing.
    ReadAgain {
        /// Why.
        cause: RetryCause,
    },
    /// Nobody may send until our credentials are mended; the grant is due again after that.
    PauseLane {
        /// What was asked.
        ask: Ask,
        /// Whether any attempt may have been applied.
        doubt: Doubt,
    },
}

/// What to do with a grant that was just claimed.
pub fn on_claimed(now: Now, terms: &Terms, grant: &ClaimedGrant) -> Step {
    if !lease_holds(now, terms, grant.lease_until) {
        return Step::Settle(Settlement::Released { after: Duration::ZERO });
    }
    if window_allows(now, terms, grant) {
        return Step::Send(Ask::Apply);
    }
    let is_dated = grant.first_sent_at != WallTime::UNIX_EPOCH;
    let reason = match terms.upstream.capability {
        Capability::ReadBack { lag } => {
            let provable_at = absence_is_provable_at(terms, lag, grant);
            return if grant.claimed_at >= provable_at {
                Step::Send(Ask::Read)
            } else {
                Step::Settle(Settlement::Released { after: provable_at.since(grant.claimed_at) })
            };
        }
        Capability::PutById | Capability::IdempotencyKey { .. } | Capability::None if !is_dated => {
            ParkReason::HistoryLost
        }
        Capability::PutById | Capability::IdempotencyKey { .. } => ParkReason::WindowClosed,
        Capability::None => ParkReason::NotRepeatable,
    };
    Step::Settle(Settlement::Parked { reason, answer: None })
}

/// What follows from an answer of class `class` to `ask`.
pub fn on_answered(terms: &Terms, ask: Ask, grant: &ClaimedGrant, class: AnswerClass) -> Next {
    let Classification { applied, action } = match ask {
        Ask::Apply => classify(terms.upstream.capability, class, grant.doubt),
        Ask::Read => classify_read(class),
    };
    let doubt = if applied == Applied::Maybe { Doubt::InDoubt } else { grant.doubt };
    let cause = RetryCause::of(class);
    match (action, ask) {
        (Action::Deliver, _) => Next::Settle(Settlement::Delivered),
        (Action::Retry, Ask::Read) => Next::Settle(Settlement::Absent),
        (Action::ReadBack, Ask::Read) => Next::ReadAgain { cause },
        (Action::Retry, Ask::Apply) if class == AnswerClass::NotSent && doubt == Doubt::Clear => Next::Unsent { cause },
        (Action::Retry | Action::ReadBack, Ask::Apply) => {
            let after = match terms.upstream.capability {
                Capability::ReadBack { lag } if doubt == Doubt::InDoubt => {
                    window::execution_ends_after(terms).saturating_add(lag)
                }
                Capability::ReadBack { .. }
                | Capability::PutById
                | Capability::IdempotencyKey { .. }
                | Capability::None => Duration::ZERO,
            };
            Next::Again { cause, after, doubt }
        }
        (Action::PauseLane, ask) => Next::PauseLane { ask, doubt },
        (Action::Reject, _) => Next::Settle(Settlement::Rejected),
        (Action::Park(reason), _) => Next::Settle(Settlement::Parked { reason, answer: Some(class) }),
    }
}
