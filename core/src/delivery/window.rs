//! When a request may still go out: the key's window and the claim's lease.
//!
//! A guard bounds *sending*, not *execution*: a pause between guard and write, a retransmission or the service's own queue
//! all execute later. Hence the request lifetime in the rule, and the upper bound of the store's clock for "now".
//!
//! * `GRANT-4`: no send in doubt that could execute after the window.
//! * `GRANT-5`: nothing is sent under a lease that may be over.

use crate::classify::Doubt;
use crate::store::ClaimedGrant;
use crate::time::{Now, WallTime};
use crate::upstream::{Capability, Upstream};

/// Whether a request sent now is certain to execute while its key is remembered, where that matters.
pub fn window_allows(now: Now, upstream: Upstream, grant: &ClaimedGrant) -> bool {
    match (grant.doubt, upstream.capability) {
        (Doubt::Clear, _) | (Doubt::InDoubt, Capability::PutById) => true,
        (Doubt::InDoubt, Capability::IdempotencyKey { ttl }) => {
            now.store_upper + upstream.request_lifetime < grant.first_sent_at + ttl
        }
        (Doubt::InDoubt, Capability::ReadBack { .. } | Capability::None) => false,
    }
}

/// Whether the claim is certain to hold: the store's clock has not reached the lease's end.
pub fn lease_holds(now: Now, lease_until: WallTime) -> bool {
    now.store_upper < lease_until
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::identity::{GrantId, UserHandle};
    use crate::store::Fence;
    use crate::time::Instant;

    fn now(seconds: u64) -> Now {
        Now { mono: Instant::ORIGIN, store_upper: WallTime::from_unix_nanos(seconds * 1_000_000_000) }
    }

    fn grant(doubt: Doubt) -> ClaimedGrant {
        ClaimedGrant {
            user: UserHandle(0),
            grant: GrantId::from_bytes([7; 16]),
            units: 25,
            fence: Fence(2),
            attempts: 2,
            doubt,
            first_sent_at: WallTime::from_unix_nanos(1_000 * 1_000_000_000),
            lease_until: WallTime::MAX,
        }
    }

    #[test]
    fn in_doubt_the_last_execution_must_fall_inside_the_window() {
        let ttl = Duration::from_secs(600);
        let upstream = |capability| Upstream { capability, request_lifetime: Duration::from_secs(60) };
        let key = upstream(Capability::IdempotencyKey { ttl });
        assert!(window_allows(now(1_539), key, &grant(Doubt::InDoubt)));
        assert!(!window_allows(now(1_540), key, &grant(Doubt::InDoubt)));
        assert!(window_allows(now(9_999), key, &grant(Doubt::Clear)));
        assert!(window_allows(now(9_999), upstream(Capability::PutById), &grant(Doubt::InDoubt)));
        assert!(!window_allows(now(1_000), upstream(Capability::None), &grant(Doubt::InDoubt)));
    }

    #[test]
    fn a_lease_that_may_be_over_does_not_hold() {
        assert!(lease_holds(now(9), now(10).store_upper));
        assert!(!lease_holds(now(10), now(10).store_upper));
    }
}
