//! The tables' words for what the core's types mean.

use std::time::Duration;

use hookproof_core::classify::{Action, AnswerClass, Applied, Classification, ParkReason};
use hookproof_core::promise::Offer;
use hookproof_core::upstream::Capability;

/// A capability of that column. No row of a table depends on its duration.
pub(super) const fn capability(offer: Offer) -> Capability {
    match offer {
        Offer::PutById => Capability::PutById,
        Offer::IdempotencyKey => Capability::IdempotencyKey { ttl: Duration::from_secs(86_400) },
        Offer::ReadBack => Capability::ReadBack { lag: Duration::ZERO },
        Offer::None => Capability::None,
    }
}

/// What answers of a class look like.
pub(super) const fn answer(class: AnswerClass) -> &'static str {
    match class {
        AnswerClass::NotSent => "not sent: DNS, refused, connect timeout, TLS",
        AnswerClass::Timeout => "timeout, 408, 504",
        AnswerClass::Broken => "reset or truncated",
        AnswerClass::Receipt => "200, 201, 204",
        AnswerClass::Unproven => "other or malformed 2xx",
        AnswerClass::Redirect => "1xx, 3xx",
        AnswerClass::BadRequest => "400",
        AnswerClass::NotFound => "404",
        AnswerClass::Unauthorised => "401, 403",
        AnswerClass::InProgress => "409",
        AnswerClass::Exists => "412",
        AnswerClass::KeyMismatch => "422",
        AnswerClass::Throttled => "429",
        AnswerClass::Refused => "other 4xx, 403 at the user's limit",
        AnswerClass::Unavailable => "503",
        AnswerClass::ServerError => "other 5xx, undefined",
    }
}

/// A class's name in JSON.
pub(super) const fn class(class: AnswerClass) -> &'static str {
    match class {
        AnswerClass::NotSent => "not-sent",
        AnswerClass::Timeout => "timeout",
        AnswerClass::Broken => "broken",
        AnswerClass::Receipt => "receipt",
        AnswerClass::Unproven => "unproven",
        AnswerClass::Redirect => "redirect",
        AnswerClass::BadRequest => "bad-request",
        AnswerClass::NotFound => "not-found",
        AnswerClass::Unauthorised => "unauthorised",
        AnswerClass::InProgress => "in-progress",
        AnswerClass::Exists => "exists",
        AnswerClass::KeyMismatch => "key-mismatch",
        AnswerClass::Throttled => "throttled",
        AnswerClass::Refused => "refused",
        AnswerClass::Unavailable => "unavailable",
        AnswerClass::ServerError => "server-error",
    }
}

/// What an answer says about the effect.
pub(super) const fn applied(applied: Applied) -> &'static str {
    match applied {
        Applied::No => "no",
        Applied::Maybe => "maybe",
        Applied::Yes => "yes",
    }
}

/// What follows from an answer.
pub(super) const fn action(action: Action) -> &'static str {
    match action {
        Action::Deliver => "deliver",
        Action::Retry => "retry",
        Action::PauseLane => "pause the lane",
        Action::Reject => "reject",
        Action::ReadBack => "read back",
        Action::Park(_) => "park",
    }
}

/// Why an action parks, if it does.
pub(super) const fn reason(action: Action) -> Option<&'static str> {
    match action {
        Action::Park(reason) => Some(match reason {
            ParkReason::WindowClosed => "window-closed",
            ParkReason::NotRepeatable => "not-repeatable",
            ParkReason::RefusedInDoubt => "refused-in-doubt",
            ParkReason::KeyMismatch => "key-mismatch",
            ParkReason::HistoryLost => "history-lost",
            ParkReason::NotReadable => "not-readable",
        }),
        Action::Deliver | Action::Retry | Action::PauseLane | Action::Reject | Action::ReadBack => None,
    }
}

/// A row of the classification in one table cell.
pub(super) fn classification(row: Classification) -> String {
    format!("{}: {}", applied(row.applied), action(row.action))
}
