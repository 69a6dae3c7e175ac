//! The lane to one destination: everything in one process that may hold a send back, whichever grant it is for.
//!
//! Owns pause, breaker and slow start, and feeds them with what answers say about the service's health. It knows no grant.
//! How many requests the *fleet* may have under way is the store's to say, at each claim. The order of the gates is: pause,
//! breaker, slow start.

use super::breaker::{Breaker, Change, Gate};
use super::config::DeliveryConfig;
use crate::classify::{AnswerClass, Doubt};
use crate::protection::Protection;
use crate::store::Load;
use crate::time::Instant;
use crate::upstream::Capability;

/// One process has no bound of its own: the fleet's is enough.
const IN_FLIGHT_MAX: u16 = u16::MAX;

/// What the lane lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Room {
    /// This many sends, at least one.
    Slots(u16),
    /// None before this time.
    ClosedUntil(Instant),
    /// None before something in flight has ended.
    Full,
}

/// What an answer tells of the service's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Health {
    /// It did what it should, or refused for reasons of its own.
    Works,
    /// It failed.
    Fails,
    /// Nothing: it has its own say in how much, or our credentials are at fault, or the answer may be an old one.
    Unknown,
}

/// The lane.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lane {
    paused_until: Instant,
    breaker: Breaker,
    in_flight: u16,
    /// Requests that may be under way; below the maximum only after the breaker has closed, when the upstream is cold.
    in_flight_max: u16,
    is_adaptive: bool,
}

impl Lane {
    /// An open lane with nothing in flight.
    pub fn new(config: &DeliveryConfig) -> Self {
        Self {
            paused_until: Instant::ORIGIN,
            breaker: Breaker::new(config.breaker_limits()),
            in_flight: 0,
            in_flight_max: IN_FLIGHT_MAX,
            is_adaptive: config.protections.has(Protection::AdaptiveLimit),
        }
    }

    /// What may be sent at `now`.
    pub fn room(&self, now: Instant) -> Room {
        if now < self.paused_until {
            return Room::ClosedUntil(self.paused_until);
        }
        let free = self.in_flight_max.saturating_sub(self.in_flight);
        match self.breaker.gate(now) {
            Gate::OpenUntil(Instant::MAX) => Room::Full,
            Gate::OpenUntil(until) => Room::ClosedUntil(until),
            // A probe goes alone: the answer to an older request must not decide for it.
            Gate::Probe if self.in_flight > 0 => Room::Full,
            Gate::Probe => Room::Slots(1),
            Gate::Closed if free == 0 => Room::Full,
            Gate::Closed => Room::Slots(free),
        }
    }

    /// Requests in flight.
    pub const fn in_flight(&self) -> u16 {
        self.in_flight
    }

    /// A request goes out.
    pub fn on_send(&mut self, now: Instant) {
        self.in_flight += 1;
        self.breaker.on_send(now);
    }

    /// An answer came that tells `health`; one request less is in flight.
    pub fn on_answer(&mut self, now: Instant, health: Health) -> Change {
        self.in_flight -= 1;
        match health {
            Health::Fails => self.breaker.on_failure(now),
            Health::Unknown => {
                self.breaker.on_neutral(now);
                Change::None
            }
            Health::Works => {
                let change = self.breaker.on_success(now);
                // Each answer in time makes room for one more: the number doubles with every round trip.
                let grown = self.in_flight_max.saturating_add(1);
                self.in_flight_max = if change == Change::Closed && self.is_adaptive { 1 } else { grown };
                change
            }
        }
    }

    /// Nothing goes out before `until`.
    pub fn pause(&mut self, until: Instant) {
        self.paused_until = self.paused_until.max(until);
    }
}

/// What an answer of class `class` to a grant with `doubt` tells of the health of a service that offers `capability`.
///
/// A service with keys may keep a 5xx under one and repeat it for as long as the key lives (Stripe's does: API reference,
/// "Idempotent requests"). So a 5xx to a grant of which an earlier attempt may have been executed is perhaps the answer of that
/// one, from a trouble that is long over. If it counted as a failure:
///
/// 1. A burst of errors leaves a hundred grants whose keys say 500 for a day.
/// 2. They come up for their retries, and are due before whatever was promised since.
/// 3. Each probe meets one of them, and the breaker stays open for everybody.
///
/// It is no success either: the service may as well be down. The next probe follows at once, so that whatever is due behind such
/// keys is reached, as fast as the retry budget lets them be tried. A service that really answers nothing but 5xx is known by the
/// first attempts of other grants; where only retries are due, the budget and the fleet's limit bound what it gets. A 503 and a
/// lost answer are failures always: neither is an execution's answer, which a key could have kept.
pub const fn health(class: AnswerClass, capability: Capability, doubt: Doubt) -> Health {
    match (class, capability, doubt) {
        (AnswerClass::ServerError, Capability::IdempotencyKey { .. }, Doubt::InDoubt)
        | (AnswerClass::Throttled | AnswerClass::InProgress | AnswerClass::Unauthorised, _, _) => Health::Unknown,
        (
            AnswerClass::Timeout
            | AnswerClass::NotSent
            | AnswerClass::Broken
            | AnswerClass::Unavailable
            | AnswerClass::ServerError,
            _,
            _,
        ) => Health::Fails,
        (
            AnswerClass::Receipt
            | AnswerClass::Unproven
            | AnswerClass::Redirect
            | AnswerClass::BadRequest
            | AnswerClass::NotFound
            | AnswerClass::Exists
            | AnswerClass::KeyMismatch
            | AnswerClass::Refused,
            _,
            _,
        ) => Health::Works,
    }
}

/// What an answer of class `class` tells of the service's load.
pub const fn load(class: AnswerClass) -> Load {
    match class {
        AnswerClass::Timeout => Load::TimedOut,
        AnswerClass::NotSent
        | AnswerClass::Broken
        | AnswerClass::Unavailable
        | AnswerClass::ServerError
        | AnswerClass::Throttled
        | AnswerClass::InProgress
        | AnswerClass::Unauthorised => Load::Unknown,
        AnswerClass::Receipt
        | AnswerClass::Unproven
        | AnswerClass::Redirect
        | AnswerClass::BadRequest
        | AnswerClass::NotFound
        | AnswerClass::Exists
        | AnswerClass::KeyMismatch
        | AnswerClass::Refused => Load::Answered,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_5xx_that_may_have_been_kept_under_its_key_says_nothing_and_any_other_is_a_failure() {
        let keys = Capability::IdempotencyKey { ttl: Duration::from_secs(60) };
        let read_back = Capability::ReadBack { lag: Duration::ZERO };
        for capability in [Capability::PutById, keys, read_back, Capability::None] {
            for doubt in Doubt::ALL {
                let is_kept = capability == keys && doubt == Doubt::InDoubt;
                let expected = if is_kept { Health::Unknown } else { Health::Fails };
                assert_eq!(health(AnswerClass::ServerError, capability, doubt), expected, "{capability:?}, {doubt:?}");
                for class in [AnswerClass::Unavailable, AnswerClass::Timeout, AnswerClass::Broken, AnswerClass::NotSent]
                {
                    assert_eq!(health(class, capability, doubt), Health::Fails, "{class:?}, {capability:?}, {doubt:?}");
                }
            }
        }
    }
}
