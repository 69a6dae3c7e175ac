//! Settings of delivery, their defaults and what they must satisfy together.

use std::time::Duration;

use thiserror::Error;

use super::breaker::BreakerConfig;
use crate::grant::Terms;
use crate::protection::{Protection, Protections};
use crate::store::FleetLimits;
use crate::upstream::Upstream;

/// What a lease must leave at least for the store's reply to the claim, beside the attempt and the clock's error: with less, no store is quick
/// enough, and grants are claimed and released without end.
const CLAIM_REPLY_MIN: Duration = Duration::from_millis(100);

/// Settings of delivery.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DeliveryConfig {
    /// What the hook believes of its quota service.
    pub upstream: Upstream,
    /// Bound of the error of the store's clock, to either side of the true time; the store's operator declares it.
    pub clock_error: Duration,
    /// What all processes together may do. Defaults: 4 requests in flight at first, 64 at most, and 6,000 a minute as the last
    /// net. That one counts by whole minutes of the store's clock: any 60 seconds touch two of them, so at most twice as many
    /// fall into them.
    pub fleet: FleetLimits,
    /// How long a claim keeps others away; default 30 s. What is left of it beside an attempt and twice the clock's error is the time
    /// within which the store must have replied: a claim that it replies to later is given back unsent.
    pub lease: Duration,
    /// How long a connection may take; default 1 s.
    pub connect_timeout: Duration,
    /// How long an attempt may take in all, connecting included; default 5 s.
    pub attempt_timeout: Duration,
    /// First bound of the backoff; default 100 ms.
    pub backoff_base: Duration,
    /// First bound of the backoff after a throttle; default 1 s.
    pub backoff_base_throttled: Duration,
    /// Largest bound of the backoff; default 60 s.
    pub backoff_cap: Duration,
    /// Longest `Retry-After` that is believed; default 1 h.
    pub retry_after_cap: Duration,
    /// How long the lane pauses when the service refuses our credentials; default 60 s.
    pub credentials_pause: Duration,
    /// Tokens of the retry budget; default 500.
    pub retry_budget: u32,
    /// The circuit breaker.
    pub breaker: BreakerConfig,
    /// What is switched on; all of it outside experiments with the hook itself.
    pub protections: Protections,
}

impl DeliveryConfig {
    /// The defaults, for what the hook believes of its quota service and of its store's clock.
    pub const fn new(upstream: Upstream, clock_error: Duration) -> Self {
        Self {
            upstream,
            clock_error,
            fleet: FleetLimits { initial_in_flight: 4, max_in_flight: 64, effects_per_minute: 6_000 },
            lease: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(1),
            attempt_timeout: Duration::from_secs(5),
            backoff_base: Duration::from_millis(100),
            backoff_base_throttled: Duration::from_secs(1),
            backoff_cap: Duration::from_secs(60),
            retry_after_cap: Duration::from_secs(3_600),
            credentials_pause: Duration::from_secs(60),
            retry_budget: 500,
            breaker: BreakerConfig {
                window: Duration::from_secs(30),
                min_calls: 20,
                failure_ppm: 500_000,
                open: Duration::from_secs(5),
                open_cap: Duration::from_secs(60),
            },
            protections: Protections::ALL,
        }
    }

    /// What a single grant's step rests on.
    pub const fn terms(&self) -> Terms {
        Terms {
            upstream: self.upstream,
            lease: self.lease,
            attempt: self.attempt_timeout,
            clock_error: self.clock_error,
        }
    }

    /// The fleet's limits as each claim carries them: without [`Protection::AdaptiveLimit`], as many as there are.
    pub fn fleet_limits(&self) -> FleetLimits {
        if self.protections.has(Protection::AdaptiveLimit) {
            self.fleet
        } else {
            FleetLimits { initial_in_flight: u16::MAX, max_in_flight: u16::MAX, ..self.fleet }
        }
    }

    /// When the breaker opens: without [`Protection::Breaker`], after more calls than there are.
    pub fn breaker_limits(&self) -> BreakerConfig {
        if self.protections.has(Protection::Breaker) {
            self.breaker
        } else {
            BreakerConfig { min_calls: u32::MAX, ..self.breaker }
        }
    }

    /// Whether the settings fit together.
    ///
    /// # Errors
    /// The first of [`ConfigError`] that holds.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.fleet.initial_in_flight == 0 || self.fleet.max_in_flight == 0 {
            return Err(ConfigError::NoSlots);
        }
        if self.attempt_timeout.is_zero() || self.connect_timeout > self.attempt_timeout {
            return Err(ConfigError::Timeouts);
        }
        let taken = self.attempt_timeout.saturating_add(self.clock_error.saturating_mul(2));
        if self.lease < taken.saturating_add(CLAIM_REPLY_MIN) {
            return Err(ConfigError::Lease);
        }
        if self.fleet.effects_per_minute == 0 {
            return Err(ConfigError::EffectCap);
        }
        Ok(())
    }
}

/// Why settings do not fit together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// Nothing could ever be in flight; raise the number that is 0.
    #[error("limits in flight must be at least 1")]
    NoSlots,
    /// The attempt's deadline includes connecting; lower `connect-timeout`.
    #[error("connect-timeout must not exceed attempt-timeout, which must not be zero")]
    Timeouts,
    /// What a claim leaves after the store's reply must outlast the attempt, by a clock that may be wrong; raise `lease`.
    #[error("lease must be at least 100 ms longer than attempt-timeout and twice clock-error together")]
    Lease,
    /// Nothing could ever be sent; raise `effects-per-minute`.
    #[error("effects-per-minute must be at least 1")]
    EffectCap,
}
