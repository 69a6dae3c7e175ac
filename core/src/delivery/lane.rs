//! The lane to one destination: everything that may hold a send back, whichever grant it is for.
//!
//! Owns pause, breaker, limit and effect cap, and feeds them with what answers say about the service's health. It knows
//! no grant. The order of the gates is: pause, breaker, cap, free slots.
//!
//! * `LOAD-1`: `in_flight` never exceeds the limit at the moment of sending.

use std::time::Duration;

use super::breaker::{Breaker, Change, Gate};
use super::config::DeliveryConfig;
use super::limiter::Limiter;
use crate::classify::AnswerClass;
use crate::protection::Protection;
use crate::time::{Instant, nanos};

/// The effect cap counts by whole minutes of the process's monotonic clock.
const MINUTE: Duration = Duration::from_secs(60);

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
    limiter: Limiter,
    in_flight: u16,
    cap: EffectCap,
    is_limited: bool,
}

/// Sends in the current minute, against this instance's share of the fleet's cap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct EffectCap {
    minute_start: Instant,
    sent: u32,
    sent_max: u32,
}

impl Lane {
    /// An open lane with nothing in flight.
    pub fn new(config: &DeliveryConfig) -> Self {
        Self {
            paused_until: Instant::ORIGIN,
            breaker: Breaker::new(config.breaker),
            limiter: Limiter::new(config.initial_in_flight, config.max_in_flight, config.instances),
            in_flight: 0,
            cap: EffectCap {
                minute_start: Instant::ORIGIN,
                sent: 0,
                sent_max: (config.effects_per_minute / u32::from(config.instances)).max(1),
            },
            is_limited: config.protections.has(Protection::AdaptiveLimit),
        }
    }

    /// What may be sent at `now`.
    pub fn room(&self, now: Instant) -> Room {
        if now < self.paused_until {
            return Room::ClosedUntil(self.paused_until);
        }
        if let Some(until) = self.capped_until(now) {
            return Room::ClosedUntil(until);
        }
        let cap_left = self.cap_left(now);
        let free = self.free().min(u16::try_from(cap_left).unwrap_or(u16::MAX));
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

    /// Until when the effect cap holds everything back, if it does so at `now`.
    pub fn capped_until(&self, now: Instant) -> Option<Instant> {
        if self.cap_left(now) == 0 { Some(self.cap.minute_start + MINUTE) } else { None }
    }

    /// Requests in flight.
    pub const fn in_flight(&self) -> u16 {
        self.in_flight
    }

    /// A request goes out.
    pub fn on_send(&mut self, now: Instant) {
        self.in_flight += 1;
        if now.since(self.cap.minute_start) >= MINUTE {
            let minute = nanos(MINUTE);
            self.cap.minute_start = Instant::from_nanos(now.as_nanos() / minute * minute);
            self.cap.sent = 0;
        }
        self.cap.sent += 1;
        self.breaker.on_send(now);
    }

    /// An answer of class `class` came; one request less is in flight.
    pub fn on_answer(&mut self, now: Instant, class: AnswerClass) -> Change {
        let in_flight = self.in_flight;
        self.in_flight -= 1;
        match class {
            AnswerClass::Timeout => {
                self.limiter.on_timeout();
                self.breaker.on_failure(now)
            }
            AnswerClass::NotSent | AnswerClass::Broken | AnswerClass::Unavailable | AnswerClass::ServerError => {
                self.breaker.on_failure(now)
            }
            AnswerClass::Throttled | AnswerClass::InProgress | AnswerClass::Unauthorised => {
                self.breaker.on_neutral(now);
                Change::None
            }
            AnswerClass::Receipt
            | AnswerClass::Unproven
            | AnswerClass::Redirect
            | AnswerClass::BadRequest
            | AnswerClass::Exists
            | AnswerClass::KeyMismatch
            | AnswerClass::Refused => {
                self.limiter.on_success(in_flight);
                let change = self.breaker.on_success(now);
                if change == Change::Closed {
                    self.limiter.slow_start();
                }
                change
            }
        }
    }

    /// Nothing goes out before `until`.
    pub fn pause(&mut self, until: Instant) {
        self.paused_until = self.paused_until.max(until);
    }

    fn free(&self) -> u16 {
        if self.is_limited { self.limiter.slots().saturating_sub(self.in_flight) } else { u16::MAX - self.in_flight }
    }

    fn cap_left(&self, now: Instant) -> u32 {
        if now.since(self.cap.minute_start) >= MINUTE { self.cap.sent_max } else { self.cap.sent_max - self.cap.sent }
    }
}
