//! The protocol's guards, and how each is broken.
//!
//! Owns the sabotages. The subject stays as it is shipped: a guard is broken at its border, by a transformation of what goes
//! into the decision or comes out of it, so that the decision is the one that a program without the guard would take. A check
//! that still passes then would prove nothing.

use std::time::Duration;

use hookproof_core::classify::{AnswerClass, Doubt};
use hookproof_core::grant::Terms;
use hookproof_core::store::{ClaimedGrant, Fence, Settle, Settlement};
use hookproof_core::time::WallTime;
use hookproof_core::upstream::{Capability, Upstream};

/// Longer than any run.
const FOREVER: Duration = Duration::from_secs(1_000_000);

/// A guard of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Guard {
    /// Every attempt carries the same key.
    StableKey,
    /// In doubt, nothing is sent after the key's window.
    Window,
    /// The window counts from the first attempt, not from the last.
    WindowFromFirst,
    /// The window's guard counts the request's lifetime.
    LifetimeInWindow,
    /// The window's guard counts the error of the store's clock.
    ClockErrorInWindow,
    /// Nothing is sent under a lease that may be over.
    Lease,
    /// A stale fence schedules nothing.
    Fence,
    /// A receipt counts under any fence.
    StaleReceipt,
    /// A lease that ends with the intent to send still open leaves doubt.
    DoubtAtLapse,
    /// What may have been applied is recorded as such.
    DoubtIsStored,
    /// 409 is doubt: another request with our key is under way.
    ConflictIsDoubt,
    /// 429 answers a request that was seen, so the key's window has begun.
    ThrottledIsSeen,
    /// In doubt and without any help of the service, nothing is repeated.
    NotRepeatable,
    /// Absence is believed only after the request's lifetime.
    AbsenceAfterLifetime,
    /// Absence is believed only after the read's lag.
    AbsenceAfterLag,
    /// What an earlier epoch may have sent is in doubt.
    Epoch,
    /// The claim is durable before anything is sent.
    DurableClaim,
    /// A grant in doubt is never rejected.
    DoubtIsNeverRejected,
}

impl Guard {
    /// Its name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::StableKey => "stable-key",
            Self::Window => "window",
            Self::WindowFromFirst => "window-from-first",
            Self::LifetimeInWindow => "lifetime-in-window",
            Self::ClockErrorInWindow => "clock-error-in-window",
            Self::Lease => "lease",
            Self::Fence => "fence",
            Self::StaleReceipt => "stale-receipt",
            Self::DoubtAtLapse => "doubt-at-lapse",
            Self::DoubtIsStored => "doubt-is-stored",
            Self::ConflictIsDoubt => "conflict-is-doubt",
            Self::ThrottledIsSeen => "throttled-is-seen",
            Self::NotRepeatable => "not-repeatable",
            Self::AbsenceAfterLifetime => "absence-after-lifetime",
            Self::AbsenceAfterLag => "absence-after-lag",
            Self::Epoch => "epoch",
            Self::DurableClaim => "durable-claim",
            Self::DoubtIsNeverRejected => "doubt-is-never-rejected",
        }
    }

    /// What the program does without it.
    pub const fn broken_says(self) -> &'static str {
        match self {
            Self::StableKey => "every attempt carries a key of its own",
            Self::Window => "a grant in doubt is sent again however old its key is",
            Self::WindowFromFirst => "the window is counted from the last attempt",
            Self::LifetimeInWindow => "the window's guard forgets that a request may execute late",
            Self::ClockErrorInWindow => "the window's guard trusts the store's clock to the second",
            Self::Lease => "a worker sends although its lease may be over",
            Self::Fence => "a settlement of an earlier claim is taken for one of the present claim",
            Self::StaleReceipt => "a receipt that arrives under an earlier claim is dropped",
            Self::DoubtAtLapse => "a claim whose lease has ended is taken for one that sent nothing",
            Self::DoubtIsStored => "an attempt that may have been applied is recorded as not applied",
            Self::ConflictIsDoubt => "409 is taken for a request that nobody has seen",
            Self::ThrottledIsSeen => "429 is taken for a request that nobody has seen",
            Self::NotRepeatable => "a request in doubt is repeated without any help of the service",
            Self::AbsenceAfterLifetime => "a read is believed while a request may still execute",
            Self::AbsenceAfterLag => "a read is believed before the service must show the effect",
            Self::Epoch => "a change of the store's epoch is ignored",
            Self::DurableClaim => "a request is sent before its claim is committed",
            Self::DoubtIsNeverRejected => "a refusal rejects a grant that may have been applied",
        }
    }
}

/// What a worker believes of its service and its store, with this guard broken.
pub(crate) fn believed(broken: Option<Guard>, terms: Terms) -> Terms {
    let upstream = terms.upstream;
    let with = |capability| Terms { upstream: Upstream { capability, ..upstream }, ..terms };
    let at_once = Terms { upstream: Upstream { request_lifetime: Duration::ZERO, ..upstream }, ..terms };
    match (broken, upstream.capability) {
        (Some(Guard::Window), Capability::IdempotencyKey { .. }) | (Some(Guard::NotRepeatable), Capability::None) => {
            with(Capability::IdempotencyKey { ttl: FOREVER })
        }
        (Some(Guard::AbsenceAfterLag), Capability::ReadBack { .. }) => {
            with(Capability::ReadBack { lag: Duration::ZERO })
        }
        (Some(Guard::LifetimeInWindow | Guard::AbsenceAfterLifetime), _) => at_once,
        (Some(Guard::ClockErrorInWindow), _) => Terms { clock_error: Duration::ZERO, ..terms },
        _ => terms,
    }
}

/// The claimed grant as the guards see it.
pub(crate) fn seen_at_claim(broken: Option<Guard>, grant: ClaimedGrant, is_takeover: bool) -> ClaimedGrant {
    match broken {
        Some(Guard::Lease) => ClaimedGrant { lease_until: WallTime::MAX, ..grant },
        Some(Guard::WindowFromFirst) => ClaimedGrant { first_sent_at: grant.claimed_at, ..grant },
        Some(Guard::DoubtAtLapse) if is_takeover => ClaimedGrant { doubt: Doubt::Clear, ..grant },
        _ => grant,
    }
}

/// The claimed grant as the classification of its answer sees it.
pub(crate) fn seen_at_answer(broken: Option<Guard>, grant: ClaimedGrant, is_takeover: bool) -> ClaimedGrant {
    match broken {
        Some(Guard::DoubtIsNeverRejected) => ClaimedGrant { doubt: Doubt::Clear, ..grant },
        _ => seen_at_claim(broken, grant, is_takeover),
    }
}

/// The answer as the classification sees it.
pub(crate) fn class(broken: Option<Guard>, class: AnswerClass) -> AnswerClass {
    match (broken, class) {
        (Some(Guard::ConflictIsDoubt), AnswerClass::InProgress)
        | (Some(Guard::ThrottledIsSeen), AnswerClass::Throttled) => AnswerClass::NotSent,
        _ => class,
    }
}

/// The key of an attempt: 0 is the grant's own.
pub(crate) fn key(broken: Option<Guard>, attempts: u32) -> u32 {
    if broken == Some(Guard::StableKey) { attempts } else { 0 }
}

/// The settlement as the store gets it; `present` is the grant's last fence there.
pub(crate) fn settle(broken: Option<Guard>, settle: Settle, present: Fence) -> Option<Settle> {
    match (broken, settle.settlement) {
        (Some(Guard::Fence), _) => Some(Settle { fence: present, ..settle }),
        (Some(Guard::StaleReceipt), Settlement::Delivered) if settle.fence != present => None,
        (Some(Guard::DoubtIsStored), Settlement::Again { after, .. }) => {
            Some(Settle { settlement: Settlement::Again { after, doubt: Doubt::Clear }, ..settle })
        }
        _ => Some(settle),
    }
}
