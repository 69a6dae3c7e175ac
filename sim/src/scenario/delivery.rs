//! What a scenario's `[hardened]` and `[upstream]` tables mean to the core and to the service.

use std::time::Duration;

use hookproof_core::committer::CommitterConfig;
use hookproof_core::delivery::config::DeliveryConfig;
use hookproof_core::hook::HookConfig;
use hookproof_core::upstream;

use super::{Capability, Hardened, HookFile, Latency, Scenario, Upstream, UpstreamFacts};

impl Scenario {
    /// The core's settings: its defaults, with what `[hardened]` replaces, and what the hook believes of its upstream and of
    /// its store.
    pub fn hook_config(&self) -> HookConfig {
        self.hardened.hook_config(self.upstream.believed, self.store.clock_error)
    }
}

impl HookFile {
    /// The core's settings, as of a scenario.
    pub fn hook_config(&self) -> HookConfig {
        self.hardened.hook_config(self.upstream.facts, self.clock_error)
    }
}

impl Hardened {
    fn hook_config(&self, believed: UpstreamFacts, clock_error: Duration) -> HookConfig {
        let mut delivery = DeliveryConfig::new(believed.to_core(), clock_error);
        self.apply(&mut delivery);
        let mut committer = CommitterConfig::default();
        committer.patience = self.store_patience.unwrap_or(committer.patience);
        if let Some(batch_max) = self.commit_batch {
            committer.batch_max = u16::try_from(batch_max).unwrap_or(u16::MAX);
        }
        HookConfig { delivery, committer }
    }

    fn apply(&self, config: &mut DeliveryConfig) {
        let set = |from: Option<_>, to: &mut _| *to = from.unwrap_or(*to);
        set(self.lease, &mut config.lease);
        set(self.attempt_timeout, &mut config.attempt_timeout);
        // The attempt's deadline includes connecting, so a short one shortens the default.
        config.connect_timeout = self.connect_timeout.unwrap_or(config.connect_timeout.min(config.attempt_timeout));
        set(self.backoff_base, &mut config.backoff_base);
        set(self.backoff_cap, &mut config.backoff_cap);
        set(self.retry_after_cap, &mut config.retry_after_cap);
        set(self.breaker_window, &mut config.breaker.window);
        set(self.breaker_open, &mut config.breaker.open);
        set(self.breaker_open_cap, &mut config.breaker.open_cap);
        let set = |from: Option<u32>, to: &mut u32| *to = from.unwrap_or(*to);
        set(self.retry_budget, &mut config.retry_budget);
        set(self.breaker_min_calls, &mut config.breaker.min_calls);
        set(self.effects_per_minute, &mut config.fleet.effects_per_minute);
        set(self.breaker_failure_ratio.map(super::Probability::ppm), &mut config.breaker.failure_ppm);
        if let Some(limit) = self.max_in_flight {
            config.fleet.max_in_flight = u16::try_from(limit).unwrap_or(u16::MAX);
        }
    }
}

impl UpstreamFacts {
    fn to_core(self) -> upstream::Upstream {
        let capability = match self.capability {
            Capability::PutById => upstream::Capability::PutById,
            Capability::IdempotencyKey => upstream::Capability::IdempotencyKey { ttl: self.key_ttl },
            Capability::ReadBack => upstream::Capability::ReadBack { lag: self.read_back_lag },
            Capability::None => upstream::Capability::None,
        };
        upstream::Upstream { capability, request_lifetime: self.request_lifetime }
    }
}

impl Upstream {
    /// Requests a second that all workers together can work off; infinite where the service takes no time.
    pub fn capacity_per_second(&self) -> f64 {
        f64::from(self.workers) / self.service_time.mean_seconds()
    }
}

/// The standard deviation of the logarithm; the divisor is the 99th percentile of the standard normal.
fn lognormal_sigma(p50: Duration, p99: Duration) -> f64 {
    libm::log(p99.as_secs_f64() / p50.as_secs_f64()) / 2.326_347_874_040_841
}

impl Latency {
    /// The distribution's mean.
    pub fn mean_seconds(self) -> f64 {
        match self {
            Self::Constant(duration) | Self::Exponential { mean: duration } => duration.as_secs_f64(),
            Self::Lognormal { p50, p99 } => {
                let sigma = lognormal_sigma(p50, p99);
                p50.as_secs_f64() * libm::exp(sigma * sigma / 2.0)
            }
        }
    }

    /// The share of its draws that are longer than `bound`.
    pub fn share_beyond(self, bound: Duration) -> f64 {
        match self {
            Self::Constant(duration) => f64::from(duration > bound),
            Self::Exponential { mean } => libm::exp(-bound.as_secs_f64() / mean.as_secs_f64()),
            Self::Lognormal { p50, p99 } => {
                let beyond = libm::log(bound.as_secs_f64() / p50.as_secs_f64());
                libm::erfc(beyond / lognormal_sigma(p50, p99) / std::f64::consts::SQRT_2) / 2.0
            }
        }
    }
}
