//! What a scenario will need, worked out before anything is allocated.
//!
//! Owns the estimate of events and memory of one run (one hook, one seed) and its comparison with the limits. It knows
//! no engine: the factors are measured there and rounded up. Arithmetic saturates, so hostile numbers are just large.

use std::time::Duration;

use thiserror::Error;

use super::{Caller, Fault, FaultKind, Probability, Scenario, Selection, Traffic, TrafficKind};
use crate::traffic::Expected;

/// Events of one try: arrival, routing, store round trips, call, answer, timers.
const EVENTS_PER_TRY: f64 = 12.0;

/// Events of one process going down and coming up.
const EVENTS_PER_RESTART: f64 = 8.0;

const BYTES_PER_USER: f64 = 160.0;

/// An open visit with its try and their events, or a request with its place in a queue.
const BYTES_PER_WAITING: f64 = 256.0;

/// An interval of a trace, as it is recorded and as it is played.
const BYTES_PER_INTERVAL: f64 = 40.0;

/// A burst's start and end.
const BYTES_PER_BURST: f64 = 16.0;

/// Who arrived lately.
const BYTES_PER_RECENT: f64 = 4.0;

/// Counts by second of the run.
const BYTES_PER_SECOND: f64 = 8.0;

const MIB: u64 = 1 << 20;

/// The program itself, histograms and buffers.
const BYTES_CONSTANT: f64 = 16.0 * 1024.0 * 1024.0;

/// What one run may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Events.
    pub max_events: u64,
    /// Bytes.
    pub max_memory: u64,
}

impl Default for Limits {
    /// 2,000,000,000 events and 8 GiB.
    fn default() -> Self {
        Self { max_events: 2_000_000_000, max_memory: 8 << 30 }
    }
}

/// What one run of a scenario (one hook, one seed) is estimated to need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// Events.
    pub events: u64,
    /// Bytes.
    pub memory_bytes: u64,
}

/// A scenario that needs more than it may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum LimitError {
    /// More events than allowed. Remedy: a smaller scenario, or a larger `--max-events`.
    #[error(
        "a run would take about {estimate} events, more than the limit of {limit}; \
         lower the rates, the population or the duration, or raise --max-events"
    )]
    Events {
        /// Estimated events.
        estimate: u64,
        /// The limit.
        limit: u64,
    },
    /// More than a number can hold, which no limit allows. Remedy: a smaller scenario.
    #[error(
        "a run would take more events or memory than can be counted; \
         lower the rates, the factors of spikes, the population or the duration"
    )]
    Uncountable,
    /// More memory than allowed. Remedy: a smaller scenario, or a larger `--max-memory`.
    #[error(
        "a run would take about {} MiB of memory, more than the limit of {}; \
         lower the rates, the population or the duration, or raise --max-memory",
        estimate.div_ceil(MIB), size(*limit)
    )]
    Memory {
        /// Estimated bytes.
        estimate: u64,
        /// The limit in bytes.
        limit: u64,
    },
}

impl Scenario {
    /// Estimates what one run (one hook, one seed) needs.
    pub fn estimate(&self) -> Estimate {
        let Expected { operational_seconds, open } = Expected::of(self);
        let visits = self.own_visits(operational_seconds) + open;
        let tries = visits * (1.0 + self.retries_max());
        let events =
            (tries + self.budgeted_retries()) * EVENTS_PER_TRY + self.restarts() * EVENTS_PER_RESTART + self.jumps();

        let population = self.users.as_ref().map_or(open, |users| f64::from(users.population));
        let seconds = (self.duration + self.calm).as_secs_f64();
        let memory = BYTES_CONSTANT
            + population * BYTES_PER_USER
            + seconds * BYTES_PER_SECOND
            + self.waiting(visits, tries) * BYTES_PER_WAITING
            + self.traffic.iter().map(traffic_bytes).sum::<f64>();
        Estimate { events: saturated(events), memory_bytes: saturated(memory) }
    }

    /// Compares the estimate with `limits`.
    ///
    /// # Errors
    ///
    /// The first limit that the estimate exceeds, with both numbers and the option that raises it. An estimate that cannot be
    /// counted exceeds every limit.
    pub fn check_limits(&self, limits: &Limits) -> Result<(), LimitError> {
        let estimate = self.estimate();
        if estimate.events == u64::MAX || estimate.memory_bytes == u64::MAX {
            return Err(LimitError::Uncountable);
        }
        if estimate.events > limits.max_events {
            return Err(LimitError::Events { estimate: estimate.events, limit: limits.max_events });
        }
        if estimate.memory_bytes > limits.max_memory {
            return Err(LimitError::Memory { estimate: estimate.memory_bytes, limit: limits.max_memory });
        }
        Ok(())
    }

    /// Expected visits of the closed population.
    fn own_visits(&self, operational_seconds: f64) -> f64 {
        let visits = self.users.as_ref().and_then(|users| Some((users.population, users.visits.as_ref()?)));
        visits.map_or(0.0, |(population, visits)| {
            f64::from(population) * visits.mean / visits.per.as_secs_f64() * operational_seconds
        })
    }

    /// Retries that the hardened hook has tokens for at the start, in all processes: one costs five tokens or more.
    fn budgeted_retries(&self) -> f64 {
        f64::from(self.hook_config().delivery.retry_budget) / 5.0 * f64::from(self.fleet.instances)
    }

    /// Visits that may be open at once, were every try to fail at its deadline, and requests that may wait for the service:
    /// those beyond what it can do during the storm.
    fn waiting(&self, visits: f64, tries: f64) -> f64 {
        let Caller { deadline, pause_to, .. } = &self.caller;
        let storm = self.duration.as_secs_f64();
        let patience = (*deadline + *pause_to).as_secs_f64() * (1.0 + self.retries_max());
        let queue = self.upstream.queue.map_or(f64::INFINITY, f64::from);
        let queued = (tries - self.upstream.capacity_per_second() * storm).clamp(0.0, queue);
        visits * (patience / storm).min(1.0) + queued
    }

    /// The most retries of a visit that can be expected, should every try fail at once: as many as the caller allows, as fit
    /// into the run with a pause before each, and as a caller makes who may leave before each.
    fn retries_max(&self) -> f64 {
        let Caller { retries, pause_from, pause_to, give_up, .. } = &self.caller;
        let allowed = retries.map_or(f64::INFINITY, f64::from);
        let pause = f64::midpoint(pause_from.as_secs_f64(), pause_to.as_secs_f64());
        let fitting = (self.duration + self.calm).as_secs_f64() / pause;
        let leaving = f64::from(give_up.ppm()) / 1e6;
        let stayed = (1.0 - leaving) / leaving;
        allowed.min(fitting).min(stayed)
    }

    /// Jumps of strobing clocks.
    fn jumps(&self) -> f64 {
        let jumps = |fault: &Fault| {
            let FaultKind::ClockStrobe { period, .. } = fault.kind else { return 0.0 };
            let times = fault.every.map_or(1.0, |every| self.duration.as_secs_f64() / every.as_secs_f64());
            times * fault.length.as_secs_f64() / period.as_secs_f64()
        };
        self.faults.iter().map(jumps).sum()
    }

    /// Restarts of single instances, scheduled and by faults.
    fn restarts(&self) -> f64 {
        let scheduled = |every: Duration| self.duration.as_secs_f64() / every.as_secs_f64();
        let repeated = |fault: &Fault| fault.every.map_or(1.0, scheduled);
        let by_schedule = self.fleet.restart.as_ref().map_or(0.0, |restart| scheduled(restart.every));
        let by_faults: f64 = self.faults.iter().map(repeated).sum();
        (by_schedule + by_faults) * f64::from(self.fleet.instances)
    }
}

/// What a traffic keeps in memory beside its users.
fn traffic_bytes(traffic: &Traffic) -> f64 {
    let Selection { returning, recent, .. } = traffic.selection;
    let kept = if returning == Probability::ZERO { 0.0 } else { f64::from(recent) * BYTES_PER_RECENT };
    kept + match &traffic.kind {
        TrafficKind::Trace { trace, .. } => trace.intervals().len() as f64 * BYTES_PER_INTERVAL,
        TrafficKind::Burst { every, length, .. } => length.as_secs_f64() / every.as_secs_f64() * BYTES_PER_BURST,
        TrafficKind::Steady { .. }
        | TrafficKind::Ramp { .. }
        | TrafficKind::Diurnal { .. }
        | TrafficKind::Spike { .. } => 0.0,
    }
}

/// Bytes in the largest unit of which they are a whole number.
fn size(bytes: u64) -> String {
    let units = [("GiB", 1 << 30), ("MiB", MIB), ("KiB", 1 << 10)];
    let whole = units.into_iter().find(|(_, unit)| bytes >= *unit && bytes.is_multiple_of(*unit));
    match whole {
        Some((name, unit)) => format!("{} {name}", bytes / unit),
        None if bytes == 1 => "1 byte".to_owned(),
        None => format!("{bytes} bytes"),
    }
}

/// A count that is too large to count is the largest.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` saturates, and no estimate is negative"
)]
fn saturated(count: f64) -> u64 {
    // Rounding of a float is not one event more.
    (count * (1.0 - 1e-12)).ceil() as u64
}
