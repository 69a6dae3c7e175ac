//! The lane to one destination: everything in one process that may hold a send back, whichever grant it is for.
//!
//! Owns pause, breaker and slow start, and feeds them with what answers say about the service's health. It knows no grant.
//! How many requests the *fleet* may have under way is the store's to say, at each claim. The order of the gates is: pause,
//! breaker, slow start.

use super::breaker::{Breaker, Change, Gate};
use super::config::DeliveryConfig;
use crate::classify::AnswerClass;
use crate::protection::Protection;
use crate::store::Load;
use crate::time::Instant;

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

    /// An answer of class `class` came; one request less is in flight.
    pub fn on_answer(&mut self, now: Instant, class: AnswerClass) -> Change {
        self.in_flight -= 1;
        match class {
            AnswerClass::Timeout
            | AnswerClass::NotSent
            | AnswerClass::Broken
            | AnswerClass::Unavailable
            | AnswerClass::ServerError => self.breaker.on_failure(now),
            AnswerClass::Throttled | AnswerClass::InProgress | AnswerClass::Unauthorised => {
                self.breaker.on_neutral(now);
                Change::None
            }
            AnswerClass::Receipt
            | AnswerClass::Unproven
            | AnswerClass::Redirect
            | AnswerClass::BadRequest
            | AnswerClass::NotFound
            | AnswerClass::Exists
            | AnswerClass::KeyMismatch
            | AnswerClass::Refused => {
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
