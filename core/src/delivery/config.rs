//! Settings of delivery, their defaults and what they must satisfy together.

use std::time::Duration;

use thiserror::Error;

use super::breaker::BreakerConfig;
use crate::protection::Protections;
use crate::upstream::Upstream;

/// Settings of delivery. Limits named "fleet" are divided by [`DeliveryConfig::instances`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DeliveryConfig {
    /// What the hook believes of its quota service.
    pub upstream: Upstream,
    /// Processes that share the fleet's limits.
    pub instances: u16,
    /// Requests in flight at first, for the fleet; default 4.
    pub initial_in_flight: u16,
    /// Requests in flight at most, for the fleet; default 64.
    pub max_in_flight: u16,
    /// How long a claim keeps others away; default 30 s.
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
    /// Requests that are never exceeded in a whole minute of the process's clock, for the fleet: the last net; default
    /// 6,000. Any 60 seconds touch two such minutes, so at most twice as many fall into them. An instance's share is at
    /// least 1.
    pub effects_per_minute: u32,
    /// What is switched on; all of it outside experiments with the hook itself.
    pub protections: Protections,
}

impl DeliveryConfig {
    /// The defaults, for what the hook believes of its quota service and for a fleet of `instances`.
    pub const fn new(upstream: Upstream, instances: u16) -> Self {
        Self {
            upstream,
            instances,
            initial_in_flight: 4,
            max_in_flight: 64,
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
            effects_per_minute: 6_000,
            protections: Protections::ALL,
        }
    }

    /// Whether the settings fit together, and with a store's clock that may be wrong by `clock_error`.
    ///
    /// # Errors
    /// The first of [`ConfigError`] that holds.
    pub fn check(&self, clock_error: Duration) -> Result<(), ConfigError> {
        if self.instances == 0 || self.initial_in_flight == 0 || self.max_in_flight == 0 {
            return Err(ConfigError::NoSlots);
        }
        if self.attempt_timeout.is_zero() || self.connect_timeout > self.attempt_timeout {
            return Err(ConfigError::Timeouts);
        }
        if self.lease <= self.attempt_timeout.saturating_add(clock_error) {
            // The lease could be over before anything is sent: claimed and released without end.
            return Err(ConfigError::Lease);
        }
        if self.effects_per_minute == 0 {
            return Err(ConfigError::EffectCap);
        }
        Ok(())
    }
}

/// Why settings do not fit together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// Nothing could ever be in flight; raise the number that is 0.
    #[error("instances and limits in flight must be at least 1")]
    NoSlots,
    /// The attempt's deadline includes connecting; lower `connect-timeout`.
    #[error("connect-timeout must not exceed attempt-timeout, which must not be zero")]
    Timeouts,
    /// A claim must outlive the attempt that is made under it, by a clock that may be wrong; raise `lease`.
    #[error("lease must be longer than attempt-timeout and clock-error together")]
    Lease,
    /// Nothing could ever be sent; raise `effects-per-minute`.
    #[error("effects-per-minute must be at least 1")]
    EffectCap,
}
