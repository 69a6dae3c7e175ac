//! When a request may still go out: the key's window, the claim's lease, and how late a read must be to prove anything.
//!
//! A guard bounds *sending*, not *execution*: a pause between guard and write, a retransmission or the service's own queue
//! all execute later. Hence the request lifetime in both rules.
//!
//! A time that was read from the store's clock lies within its declared error of the true time, to either side; "now" is bounded
//! from above by [`Now::store_upper`]. A rule over two readings therefore allows for the error twice.
//!
//! * `GRANT-4`: no send in doubt that could execute after the window.
//! * `GRANT-5`: nothing is sent under a lease that may end before the attempt does, or somebody else would send beside it.

use std::time::Duration;

use super::Terms;
use crate::classify::Doubt;
use crate::store::ClaimedGrant;
use crate::time::{Now, WallTime};
use crate::upstream::Capability;

/// Whether a request for the effect, sent now, is certain to do no harm: it is the first, or the upstream will know it for a
/// repetition whenever it executes.
pub fn window_allows(now: Now, terms: &Terms, grant: &ClaimedGrant) -> bool {
    match (grant.doubt, terms.upstream.capability) {
        (Doubt::Clear, _) | (Doubt::InDoubt, Capability::PutById) => true,
        (Doubt::InDoubt, Capability::IdempotencyKey { ttl }) => {
            // `store_upper` covers the error of the clock now; the reading at the first send had one of its own.
            now.store_upper + terms.upstream.request_lifetime + terms.clock_error < grant.first_sent_at + ttl
        }
        (Doubt::InDoubt, Capability::ReadBack { .. } | Capability::None) => false,
    }
}

/// Whether the claim is certain to hold for as long as an attempt that begins now: the store's clock cannot reach the lease's end before
/// the attempt's deadline, even if it is ahead.
pub fn lease_holds(now: Now, terms: &Terms, lease_until: WallTime) -> bool {
    now.store_upper + terms.attempt + terms.clock_error < lease_until
}

/// The store's time from which on a read that finds nothing proves that nothing was applied and nothing will be: the last
/// request that can have been sent has executed or never will, and the service shows it.
pub fn absence_is_provable_at(terms: &Terms, lag: Duration, grant: &ClaimedGrant) -> WallTime {
    // Where the store has lost its history, a claim may be among what was lost, and its lease outlives the loss.
    let lost_lease = if grant.first_sent_at == WallTime::UNIX_EPOCH { terms.lease } else { Duration::ZERO };
    grant.sent_until + lost_lease + execution_ends_after(terms) + lag
}

/// How long after its sending a request may execute, by the store's clock: it may have been behind by its error at the
/// sending, and ahead by as much at the end.
pub(super) const fn execution_ends_after(terms: &Terms) -> Duration {
    terms.upstream.request_lifetime.saturating_add(terms.clock_error).saturating_add(terms.clock_error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{GrantId, UserHandle};
    use crate::store::{ClaimNonce, Epoch, Fence};
    use crate::time::Instant;
    use crate::upstream::Upstream;

    fn wall(seconds: u64) -> WallTime {
        WallTime::from_unix_nanos(seconds * 1_000_000_000)
    }

    fn now(seconds: u64) -> Now {
        Now { mono: Instant::ORIGIN, store_upper: wall(seconds) }
    }

    fn terms(capability: Capability) -> Terms {
        let upstream = Upstream { capability, request_lifetime: Duration::from_secs(60) };
        Terms {
            upstream,
            lease: Duration::from_secs(30),
            attempt: Duration::from_secs(5),
            clock_error: Duration::from_secs(1),
        }
    }

    fn grant(doubt: Doubt) -> ClaimedGrant {
        ClaimedGrant {
            user: UserHandle(0),
            grant: GrantId::from_bytes([7; 16]),
            units: 25,
            fence: Fence { epoch: Epoch(0), claim: 2, nonce: ClaimNonce(2) },
            attempts: 2,
            doubt,
            first_sent_at: wall(1_000),
            sent_until: wall(1_010),
            claimed_at: wall(1_020),
            lease_until: WallTime::MAX,
        }
    }

    #[test]
    fn in_doubt_the_last_execution_must_fall_inside_the_window() {
        let key = terms(Capability::IdempotencyKey { ttl: Duration::from_secs(600) });
        assert!(window_allows(now(1_538), &key, &grant(Doubt::InDoubt)));
        assert!(!window_allows(now(1_539), &key, &grant(Doubt::InDoubt)));
        assert!(window_allows(now(9_999), &key, &grant(Doubt::Clear)));
        assert!(window_allows(now(9_999), &terms(Capability::PutById), &grant(Doubt::InDoubt)));
        assert!(!window_allows(now(1_000), &terms(Capability::None), &grant(Doubt::InDoubt)));
    }

    #[test]
    fn a_lease_that_may_end_before_the_attempt_does_not_hold() {
        let terms = terms(Capability::PutById);
        assert!(lease_holds(now(3), &terms, wall(10)));
        assert!(!lease_holds(now(4), &terms, wall(10)));
    }

    #[test]
    fn absence_is_proved_once_the_last_request_has_executed_and_shows() {
        let lag = Duration::from_secs(5);
        let terms = terms(Capability::ReadBack { lag });
        assert_eq!(absence_is_provable_at(&terms, lag, &grant(Doubt::InDoubt)), wall(1_010 + 60 + 2 + 5));
        let undated = ClaimedGrant { first_sent_at: WallTime::UNIX_EPOCH, ..grant(Doubt::InDoubt) };
        assert_eq!(absence_is_provable_at(&terms, lag, &undated), wall(1_010 + 30 + 60 + 2 + 5));
    }
}
