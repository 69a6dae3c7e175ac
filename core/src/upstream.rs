//! The quota service as its client sees it: what it offers, what is asked of it, what it answers.
//!
//! Owns the vocabulary only. What an answer *means* is `classify`'s business, what is done about it `delivery`'s.
//! Durations here are the hook's *beliefs* about the service; where they are wrong, the promise that rests on them
//! falls, and the promise matrix says which.

use std::time::Duration;

use crate::identity::{GrantId, UserHandle};

/// What a quota service offers against doubles. Each has its own safe policy; see the promise matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Capability {
    /// `PUT /grants/{id}` with `If-None-Match: *` (RFC 9110, section 13.1.2): the id itself makes the request idempotent,
    /// for ever.
    PutById,
    /// A key in the `Idempotency-Key` field (IETF httpapi draft) is remembered for `ttl` after its first use.
    IdempotencyKey {
        /// How long a key is remembered.
        ttl: Duration,
    },
    /// What was applied can be read, at most `lag` late.
    ReadBack {
        /// How far a read may lie behind.
        lag: Duration,
    },
    /// Nothing: a request that may have been applied can never be repeated.
    None,
}

/// What the hook believes of its quota service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Upstream {
    /// What it offers.
    pub capability: Capability,
    /// Longest time from a request's sending to its execution, wherever it waits: in our socket, in a proxy, in the
    /// service's queue.
    pub request_lifetime: Duration,
}

/// What a request asks of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ask {
    /// To raise the quota: `POST /increase_quota`, or `PUT /grants/{id}`.
    Apply,
    /// Whether the grant was applied: `GET /grants/{id}`. It has no effect.
    Read,
}

/// One request for a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Request {
    /// To do what.
    pub ask: Ask,
    /// Whose quota.
    pub user: UserHandle,
    /// Which promise.
    pub grant: GrantId,
    /// By how much, as promised at the exposure: a retry's body is the first one's to the byte, whatever version is deployed
    /// meanwhile.
    pub units: u32,
    /// The idempotency key or the id in the path: the grant id itself.
    pub key: GrantId,
    /// Sends of this grant so far, this one included; from 1.
    pub attempt: u32,
}

/// How an attempt ended, as the client saw it. Every attempt has exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// No byte of the request left: the service cannot have seen it.
    NotSent(NotSent),
    /// The request may have arrived and no complete answer came back.
    Lost(Lost),
    /// A complete HTTP answer.
    Status {
        /// The status code.
        code: u16,
        /// Whether the body is what the protocol says.
        body: Body,
        /// `Retry-After` (RFC 9110, section 10.2.3), already as a duration.
        retry_after: Option<Duration>,
    },
}

/// Why no byte of a request left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NotSent {
    /// The name did not resolve.
    Dns,
    /// The connection was refused.
    Refused,
    /// No connection in time.
    ConnectTimeout,
    /// The TLS handshake failed.
    Tls,
}

/// How an answer was lost after the first byte of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lost {
    /// Nothing, or not all, within the attempt's deadline.
    Timeout,
    /// The connection closed or was reset.
    Reset,
    /// The answer broke off.
    Truncated,
}

/// Whether an answer's body is what the protocol says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Body {
    /// It is.
    WellFormed,
    /// It is not; only in a 2xx does that matter.
    Malformed,
    /// A problem (RFC 9457) that says that the user's hard limit is reached. In a 403 it tells a refusal of this grant from one of
    /// our credentials.
    LimitReached,
}
