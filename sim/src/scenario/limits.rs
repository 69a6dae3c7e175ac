//! What a scenario will need, worked out before anything is allocated.
//!
//! Owns the estimate of events and memory of one run (one hook, one seed) and its comparison with the limits. It knows
//! no engine: the factors are measured there and rounded up. Arithmetic saturates, so hostile numbers are just large.

use std::time::Duration;

use thiserror::Error;

use super::{Fault, Scenario, TrafficKind};

/// Events of one try: arrival, routing, store round trips, call, answer, timers.
const EVENTS_PER_TRY: f64 = 12.0;

/// Retries that are expected to be used of each visit, however many are allowed.
const RETRIES_EXPECTED_MAX: u32 = 3;

/// Events of one process going down and coming up.
const EVENTS_PER_RESTART: f64 = 8.0;

const BYTES_PER_USER: f64 = 160.0;

/// Counts by second of the run.
const BYTES_PER_SECOND: f64 = 8.0;

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
    /// More memory than allowed. Remedy: a smaller scenario, or a larger `--max-memory`.
    #[error(
        "a run would take about {} MiB of memory, more than the limit of {} MiB; \
         lower the rates, the population or the duration, or raise --max-memory",
        estimate >> 20, limit >> 20
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
        let open = self.open_arrivals();
        let visits = self.own_visits() + open;
        let retries = self.caller.retries.unwrap_or(u32::MAX).min(RETRIES_EXPECTED_MAX);
        let tries = visits * f64::from(1 + retries);
        let events = tries * EVENTS_PER_TRY + self.restarts() * EVENTS_PER_RESTART;

        let population = self.users.as_ref().map_or(open, |users| f64::from(users.population));
        let seconds = (self.duration + self.calm).as_secs_f64();
        let memory = BYTES_CONSTANT + population * BYTES_PER_USER + seconds * BYTES_PER_SECOND;
        Estimate { events: saturated(events), memory_bytes: saturated(memory) }
    }

    /// Compares the estimate with `limits`.
    ///
    /// # Errors
    ///
    /// The first limit that the estimate exceeds, with both numbers and the option that raises it.
    pub fn check_limits(&self, limits: &Limits) -> Result<(), LimitError> {
        let estimate = self.estimate();
        if estimate.events > limits.max_events {
            return Err(LimitError::Events { estimate: estimate.events, limit: limits.max_events });
        }
        if estimate.memory_bytes > limits.max_memory {
            return Err(LimitError::Memory { estimate: estimate.memory_bytes, limit: limits.max_memory });
        }
        Ok(())
    }

    /// Expected visits of the closed population.
    fn own_visits(&self) -> f64 {
        let visits = self.users.as_ref().and_then(|users| Some((users.population, users.visits.as_ref()?)));
        visits.map_or(0.0, |(population, visits)| {
            let per_second = f64::from(population) * visits.mean / visits.per.as_secs_f64();
            per_second * (self.duration.as_secs_f64() + self.multiplied_seconds(Duration::ZERO, self.duration))
        })
    }

    /// Expected arrivals of [[traffic]].
    fn open_arrivals(&self) -> f64 {
        let arrivals = |kind: &TrafficKind| match kind {
            TrafficKind::Steady { rate_per_second, at, length, .. } => {
                rate_per_second * (length.as_secs_f64() + self.multiplied_seconds(*at, *at + *length))
            }
            TrafficKind::Spike { .. } => 0.0,
        };
        self.traffic.iter().map(|traffic| arrivals(&traffic.kind)).sum()
    }

    /// Seconds that spikes add to arrivals of `[from, to)`, at most: overlapping ones multiply each other.
    fn multiplied_seconds(&self, from: Duration, to: Duration) -> f64 {
        let spikes: Vec<(Duration, Duration, f64)> = self
            .traffic
            .iter()
            .filter_map(|traffic| match traffic.kind {
                TrafficKind::Spike { at, length, factor } => Some((at.max(from), (at + length).min(to), factor)),
                TrafficKind::Steady { .. } => None,
            })
            .filter(|(start, end, _)| start < end)
            .collect();
        let mut edges: Vec<Duration> = spikes.iter().flat_map(|(start, end, _)| [*start, *end]).collect();
        edges.sort_unstable();
        let added = |piece: &[Duration]| {
            let active = spikes.iter().filter(|(start, end, _)| *start <= piece[0] && piece[1] <= *end);
            let factor: f64 = active.map(|(_, _, factor)| factor).product();
            piece[1].saturating_sub(piece[0]).as_secs_f64() * (factor - 1.0).max(0.0)
        };
        edges.windows(2).map(added).sum()
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

/// A count that is too large to count is the largest.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` saturates, and no estimate is negative"
)]
fn saturated(count: f64) -> u64 {
    count.ceil() as u64
}
