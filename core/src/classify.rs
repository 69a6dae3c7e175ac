//! The classification table: what an answer says about the effect, and what follows.
//!
//! Owns one total function over capability × answer × doubt. It knows no lane, no clock and no retry counter; the caller
//! adds those. Doubt is sticky: once an attempt may have been applied, only a receipt (or a read-back) clears it, so
//!
//! * a grant in doubt is never rejected: `GRANT-3` asks for parking with evidence;
//! * 401 and 403 say something about our token, not about the grant: the lane pauses, nothing is rejected;
//! * 422 means that we sent another body under a known key, which is our bug: it is parked, never given another key.
//!
//! `tests/classification.rs` walks the whole table.

use crate::upstream::{Answer, Body, Capability, Lost};

/// An answer reduced to what the table tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AnswerClass {
    /// No byte left: DNS, refused, connect timeout, TLS.
    NotSent,
    /// No complete answer before the deadline; 408 and 504 say the same.
    Timeout,
    /// Reset, closed or truncated after the first byte.
    Broken,
    /// A well-formed 200, 201 or 204: a receipt, possibly replayed.
    Receipt,
    /// 202, another 2xx, or a malformed 2xx: something happened, but this is no proof.
    Unproven,
    /// 1xx (as a final status) and 3xx: not followed, so nothing is known.
    Redirect,
    /// 400 or 404: refused before execution.
    BadRequest,
    /// 401 or 403: our credentials are at fault.
    Unauthorised,
    /// 409: another execution of this key is under way.
    InProgress,
    /// 412: the id exists.
    Exists,
    /// 422: the key is known with another body.
    KeyMismatch,
    /// 429.
    Throttled,
    /// Any other 4xx, and a 403 whose body says that the user's hard limit is reached.
    Refused,
    /// 503: overloaded or in maintenance.
    Unavailable,
    /// 5xx but 503 and 504, and statuses that HTTP does not define.
    ServerError,
}

impl AnswerClass {
    /// All classes.
    pub const ALL: [Self; 15] = [
        Self::NotSent,
        Self::Timeout,
        Self::Broken,
        Self::Receipt,
        Self::Unproven,
        Self::Redirect,
        Self::BadRequest,
        Self::Unauthorised,
        Self::InProgress,
        Self::Exists,
        Self::KeyMismatch,
        Self::Throttled,
        Self::Refused,
        Self::Unavailable,
        Self::ServerError,
    ];

    /// The class of an answer.
    pub const fn of(answer: Answer) -> Self {
        match answer {
            Answer::NotSent(_) => Self::NotSent,
            Answer::Lost(Lost::Timeout) => Self::Timeout,
            Answer::Lost(Lost::Reset | Lost::Truncated) => Self::Broken,
            Answer::Status { code, body, .. } => match (code, body) {
                (200 | 201 | 204, Body::WellFormed) => Self::Receipt,
                (200..=299, _) => Self::Unproven,
                (100..=199 | 300..=399, _) => Self::Redirect,
                (400 | 404, _) => Self::BadRequest,
                (403, Body::LimitReached) => Self::Refused,
                (401 | 403, _) => Self::Unauthorised,
                (408 | 504, _) => Self::Timeout,
                (409, _) => Self::InProgress,
                (412, _) => Self::Exists,
                (422, _) => Self::KeyMismatch,
                (429, _) => Self::Throttled,
                (405..=499 | 402, _) => Self::Refused,
                (503, _) => Self::Unavailable,
                (0..=99 | 500..=u16::MAX, _) => Self::ServerError,
            },
        }
    }
}

/// Whether an earlier attempt of the grant may have been applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Doubt {
    /// No attempt can have been applied.
    Clear,
    /// At least one may have been.
    InDoubt,
}

/// What an answer says about the grant's effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Applied {
    /// It did not happen.
    No,
    /// It may have happened.
    Maybe,
    /// It happened, now or under the same key before.
    Yes,
}

/// What follows from an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// The receipt is recorded; the grant is delivered.
    Deliver,
    /// The same request goes out again later.
    Retry(RetryCause),
    /// Nobody may send until the credentials are mended; the grant stays as it was.
    PauseLane,
    /// The service will never do it; it did not do it either.
    Reject,
    /// What happened is read from the service before anything is sent again.
    ReadBack,
    /// A human looks at the evidence.
    Park(ParkReason),
}

/// Why a request is repeated; breaker, budget and backoff treat the causes differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RetryCause {
    /// Something broke.
    Transient,
    /// The service asked for less.
    Throttled,
    /// Another execution of the same key is under way.
    InProgress,
}

/// Why a grant waits for a human.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ParkReason {
    /// It is in doubt, and a request sent now could execute after the key's window (`GRANT-4`).
    WindowClosed,
    /// It is in doubt, and the service offers nothing against doubles.
    NotRepeatable,
    /// It is in doubt, and the service refuses the request for good.
    RefusedInDoubt,
    /// The service knows the key with another body: our bug.
    KeyMismatch,
}

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Classification {
    /// What the answer says about the grant's effect.
    pub applied: Applied,
    /// What follows.
    pub action: Action,
}

/// The table. `doubt` is what was known *before* this attempt.
pub const fn classify(capability: Capability, answer: AnswerClass, doubt: Doubt) -> Classification {
    match answer {
        AnswerClass::Receipt => Classification { applied: Applied::Yes, action: Action::Deliver },
        AnswerClass::Exists => match capability {
            Capability::PutById => Classification { applied: Applied::Yes, action: Action::Deliver },
            Capability::IdempotencyKey { .. } | Capability::ReadBack { .. } | Capability::None => refused(doubt),
        },
        AnswerClass::NotSent => not_applied(capability, doubt, RetryCause::Transient),
        AnswerClass::Throttled => not_applied(capability, doubt, RetryCause::Throttled),
        AnswerClass::BadRequest | AnswerClass::Refused => refused(doubt),
        AnswerClass::Unauthorised => Classification { applied: Applied::No, action: Action::PauseLane },
        AnswerClass::KeyMismatch => {
            Classification { applied: Applied::No, action: Action::Park(ParkReason::KeyMismatch) }
        }
        // This attempt was not executed, but another request with our key is: the grant is in doubt until that one's fate is
        // known. Without this, a duplicate made by a proxy and a forgotten key would make two effects.
        AnswerClass::InProgress => {
            Classification { applied: Applied::Maybe, action: resolve_doubt(capability, RetryCause::InProgress) }
        }
        AnswerClass::Timeout
        | AnswerClass::Broken
        | AnswerClass::Unproven
        | AnswerClass::Redirect
        | AnswerClass::Unavailable
        | AnswerClass::ServerError => {
            Classification { applied: Applied::Maybe, action: resolve_doubt(capability, RetryCause::Transient) }
        }
    }
}

/// The attempt was not applied and may be repeated, unless an earlier one is in doubt and cannot be.
const fn not_applied(capability: Capability, doubt: Doubt, cause: RetryCause) -> Classification {
    let action = match doubt {
        Doubt::Clear => Action::Retry(cause),
        Doubt::InDoubt => resolve_doubt(capability, cause),
    };
    Classification { applied: Applied::No, action }
}

/// What a grant in doubt may do.
pub(crate) const fn resolve_doubt(capability: Capability, cause: RetryCause) -> Action {
    match capability {
        Capability::PutById | Capability::IdempotencyKey { .. } => Action::Retry(cause),
        Capability::ReadBack { .. } => Action::ReadBack,
        Capability::None => Action::Park(ParkReason::NotRepeatable),
    }
}

/// The service refuses for good: a rejection, unless an earlier attempt may have been applied.
const fn refused(doubt: Doubt) -> Classification {
    let action = match doubt {
        Doubt::Clear => Action::Reject,
        Doubt::InDoubt => Action::Park(ParkReason::RefusedInDoubt),
    };
    Classification { applied: Applied::No, action }
}
