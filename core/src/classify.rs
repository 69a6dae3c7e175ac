//! The classification table: what an answer says about the effect, and what follows.
//!
//! Owns one total function over capability × answer × doubt, and a second one for answers to reads. It knows no lane, no
//! clock and no retry counter; the caller adds those. Doubt is sticky: once an attempt may have been applied, only a receipt
//! (or a read-back) clears it, so
//!
//! * a grant in doubt is never rejected: `GRANT-3` asks for parking with evidence;
//! * 401 and 403 say something about our token, not about the grant: the lane pauses, nothing is rejected;
//! * 422 means that we sent another body under a known key, which is our bug: it is parked, never given another key.
//!
//! `tests/machines/classification.rs` walks the whole table.

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
    /// 400: refused before execution.
    BadRequest,
    /// 404: refused before execution; to a read it says that there is no such grant.
    NotFound,
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
    pub const ALL: [Self; 16] = [
        Self::NotSent,
        Self::Timeout,
        Self::Broken,
        Self::Receipt,
        Self::Unproven,
        Self::Redirect,
        Self::BadRequest,
        Self::NotFound,
        Self::Unauthorised,
        Self::InProgress,
        Self::Exists,
        Self::KeyMismatch,
        Self::Throttled,
        Self::Refused,
        Self::Unavailable,
        Self::ServerError,
    ];

    /// The name in records and tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotSent => "not-sent",
            Self::Timeout => "timeout",
            Self::Broken => "broken",
            Self::Receipt => "receipt",
            Self::Unproven => "unproven",
            Self::Redirect => "redirect",
            Self::BadRequest => "bad-request",
            Self::NotFound => "not-found",
            Self::Unauthorised => "unauthorised",
            Self::InProgress => "in-progress",
            Self::Exists => "exists",
            Self::KeyMismatch => "key-mismatch",
            Self::Throttled => "throttled",
            Self::Refused => "refused",
            Self::Unavailable => "unavailable",
            Self::ServerError => "server-error",
        }
    }

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
                (400, _) => Self::BadRequest,
                (404, _) => Self::NotFound,
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

impl Doubt {
    /// Both values.
    pub const ALL: [Self; 2] = [Self::Clear, Self::InDoubt];
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
    /// The request goes out (again) later; [`RetryCause::of`] its class tells how much later.
    Retry,
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

impl RetryCause {
    /// Why a request is repeated whose answer was of class `answer`.
    pub const fn of(answer: AnswerClass) -> Self {
        match answer {
            AnswerClass::Throttled => Self::Throttled,
            AnswerClass::InProgress => Self::InProgress,
            AnswerClass::NotSent
            | AnswerClass::Timeout
            | AnswerClass::Broken
            | AnswerClass::Receipt
            | AnswerClass::Unproven
            | AnswerClass::Redirect
            | AnswerClass::BadRequest
            | AnswerClass::NotFound
            | AnswerClass::Unauthorised
            | AnswerClass::Exists
            | AnswerClass::KeyMismatch
            | AnswerClass::Refused
            | AnswerClass::Unavailable
            | AnswerClass::ServerError => Self::Transient,
        }
    }
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
    /// It is in doubt, and the store has forgotten since when (its epoch has changed, or a claim was outlived), so no window
    /// is certain to be open.
    HistoryLost,
    /// It is in doubt, and the service refuses to be read for good.
    NotReadable,
}

impl ParkReason {
    /// All reasons.
    pub const ALL: [Self; 6] = [
        Self::WindowClosed,
        Self::NotRepeatable,
        Self::RefusedInDoubt,
        Self::KeyMismatch,
        Self::HistoryLost,
        Self::NotReadable,
    ];

    /// The name in records and tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::WindowClosed => "window-closed",
            Self::NotRepeatable => "not-repeatable",
            Self::RefusedInDoubt => "refused-in-doubt",
            Self::KeyMismatch => "key-mismatch",
            Self::HistoryLost => "history-lost",
            Self::NotReadable => "not-readable",
        }
    }

    /// What a human should look up, and what follows from it.
    pub const fn look_up(self) -> &'static str {
        match self {
            Self::WindowClosed | Self::NotRepeatable => {
                "the service's ledger: an effect for this user between the first send and the last one plus the request's \
                 lifetime means delivered; none means that it may be applied once, by hand"
            }
            Self::RefusedInDoubt => {
                "the service's ledger: an effect for this user since the first send means delivered; none means that the \
                 service has refused it, and why is in its answer"
            }
            Self::KeyMismatch => {
                "the request that the service knows under this grant's id, and who changed user or units under it: a \
                 grant's body never changes"
            }
            Self::HistoryLost => {
                "the service's ledger: an effect for this user at any time means delivered; none means that it may be \
                 applied once, by hand; and what the store has lost when its epoch changed"
            }
            Self::NotReadable => {
                "why the service refuses to be read, then its ledger: an effect for this user means delivered; none, that \
                 it may be applied once, by hand"
            }
        }
    }
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
        AnswerClass::NotSent | AnswerClass::Throttled => not_applied(capability, doubt),
        AnswerClass::BadRequest | AnswerClass::NotFound | AnswerClass::Refused => refused(doubt),
        AnswerClass::Unauthorised => Classification { applied: Applied::No, action: Action::PauseLane },
        AnswerClass::KeyMismatch => {
            Classification { applied: Applied::No, action: Action::Park(ParkReason::KeyMismatch) }
        }
        // At 409 this attempt was not executed, but another request with our key is: the grant is in doubt until that one's fate is
        // known. Without this, a duplicate made by a proxy and a forgotten key would make two effects.
        AnswerClass::InProgress
        | AnswerClass::Timeout
        | AnswerClass::Broken
        | AnswerClass::Unproven
        | AnswerClass::Redirect
        | AnswerClass::Unavailable
        | AnswerClass::ServerError => Classification { applied: Applied::Maybe, action: resolve_doubt(capability) },
    }
}

/// The table's second part: what the answer to a *read* says of a grant in doubt. The read is made so late that absence is
/// proof; see [`crate::grant`].
pub const fn classify_read(answer: AnswerClass) -> Classification {
    match answer {
        AnswerClass::Receipt => Classification { applied: Applied::Yes, action: Action::Deliver },
        AnswerClass::NotFound => Classification { applied: Applied::No, action: Action::Retry },
        AnswerClass::Unauthorised => Classification { applied: Applied::Maybe, action: Action::PauseLane },
        AnswerClass::NotSent
        | AnswerClass::Timeout
        | AnswerClass::Broken
        | AnswerClass::Unproven
        | AnswerClass::Redirect
        | AnswerClass::InProgress
        | AnswerClass::Throttled
        | AnswerClass::Unavailable
        | AnswerClass::ServerError => Classification { applied: Applied::Maybe, action: Action::ReadBack },
        AnswerClass::BadRequest | AnswerClass::Exists | AnswerClass::KeyMismatch | AnswerClass::Refused => {
            Classification { applied: Applied::Maybe, action: Action::Park(ParkReason::NotReadable) }
        }
    }
}

/// The attempt was not applied and may be repeated, unless an earlier one is in doubt and cannot be.
const fn not_applied(capability: Capability, doubt: Doubt) -> Classification {
    let action = match doubt {
        Doubt::Clear => Action::Retry,
        Doubt::InDoubt => resolve_doubt(capability),
    };
    Classification { applied: Applied::No, action }
}

/// What a grant in doubt may do.
const fn resolve_doubt(capability: Capability) -> Action {
    match capability {
        Capability::PutById | Capability::IdempotencyKey { .. } => Action::Retry,
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
