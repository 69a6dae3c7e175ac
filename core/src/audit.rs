//! What the hook says about itself: one event for each thing that an operator or an auditor may ask about.
//!
//! Events are outputs, so they cost no I/O and have one order. They never decide anything.
//!
//! * `AUDIT-1`: each [`AuditEvent::Sent`] is followed by exactly one [`AuditEvent::Answered`] of the same attempt, or by
//!   the process's end.

use crate::classify::{AnswerClass, Doubt, ParkReason};
use crate::experiment::VariantIndex;
use crate::identity::{GrantId, UserHandle};
use crate::time::{Instant, WallTime};
use crate::upstream::Ask;

/// One event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AuditEvent {
    /// A first exposure became durable, as far as this process was told: one whose acknowledgement is lost or late is in the
    /// store's record alone.
    Exposed {
        /// Who.
        user: UserHandle,
        /// To what.
        variant: VariantIndex,
    },
    /// A visit was answered without a durable record.
    Provisional {
        /// Who.
        user: UserHandle,
        /// What was shown.
        variant: VariantIndex,
    },
    /// A request goes out.
    Sent {
        /// For what.
        ask: Ask,
        /// Whose grant.
        user: UserHandle,
        /// Which grant.
        grant: GrantId,
        /// Sends so far, this one included.
        attempt: u32,
        /// Whether an earlier send may have been applied: then this is a duplicate on purpose.
        doubt: Doubt,
    },
    /// An attempt ended.
    Answered {
        /// What was asked.
        ask: Ask,
        /// Whose grant.
        user: UserHandle,
        /// Which grant.
        grant: GrantId,
        /// Which attempt.
        attempt: u32,
        /// How it ended.
        answer: AnswerClass,
    },
    /// A receipt was recorded.
    Delivered {
        /// Whose grant.
        user: UserHandle,
        /// Which grant.
        grant: GrantId,
    },
    /// The service refused for good.
    Rejected {
        /// Whose grant.
        user: UserHandle,
        /// Which grant.
        grant: GrantId,
    },
    /// A human must look.
    Parked {
        /// Whose grant.
        user: UserHandle,
        /// Which grant.
        grant: GrantId,
        /// Why.
        reason: ParkReason,
    },
    /// A read has proved that no attempt was applied.
    Absent {
        /// Whose grant.
        user: UserHandle,
        /// Which grant.
        grant: GrantId,
    },
    /// Nothing with an effect was sent under a claim: the lane had closed, the lease was over, it is too early for a read to
    /// prove anything, or a read told nothing.
    Released {
        /// Whose grant.
        user: UserHandle,
        /// Which grant.
        grant: GrantId,
    },
    /// Nothing is sent before this time: the service said so.
    LanePaused {
        /// Until when.
        until: Instant,
    },
    /// The breaker opened.
    BreakerOpened,
    /// The breaker closed.
    BreakerClosed,
    /// The cap on effects a minute holds the whole fleet back until this time.
    EffectCapReached {
        /// Until when, by the store's clock.
        until: WallTime,
    },
    /// The store belongs to another lineage, or to another mode or secret of this one: nothing is admitted or sent.
    StoreRefused,
}
