//! What is declared of the service and of the store's clock, made true for the faults that were drawn.
//!
//! The promise rests on declared bounds: how long a request may be on its way, how long a key lives, how far reads lag, how
//! far the store's clock errs. Each bound here is the sum of the worst that the drawn faults can do together, so that a
//! violation is never the fault of a false declaration. The hook may well park more for it; that is not judged. But a bound that
//! no key outlasts would hide what happens within a key's window and at its end, so most keys live a little longer than that.
//!
//! A `put-by-id` is harmless whenever it executes, and who sends once has no window: for these two what is believed of a
//! request's lifetime may be false.

use std::time::Duration;

use super::chance::{Chance, Stream};
use crate::network::ONE_WAY;
use crate::scenario::{
    Capability, Fault, FaultKind, Latency, OutageMode, Profile, Scenario, Target, Targets, Upstream,
};
use crate::seed::scale;

/// More than rounding and the order of events at one instant can amount to.
const SLACK: Duration = Duration::from_secs(1);

/// A uniform draw of 52 bits is at least 2⁻⁵³, so an exponential one is at most 53 · ln 2 times its mean: 36.8.
const EXPONENTIAL_MOST: f64 = 37.0;

/// Hence a normal one is at most √(2 · 36.8) = 8.58, which is 3.69 times the 99th percentile, 2.326: a lognormal one is at most its
/// median times this power of p99 ÷ p50.
const LOGNORMAL_MOST: f64 = 3.69;

/// What services add up to together exceeds what is declared with a probability of e to the minus this at most: 10⁻¹⁵.
const UNLIKELY: f64 = 34.6;

/// Fills in the bounds.
pub(super) fn make_true(scenario: &mut Scenario, chance: Chance) {
    let mut stream = chance.of("declared");
    let lifetime = longest_way(scenario);
    let rests_on_it = match scenario.upstream.believed.capability {
        Capability::IdempotencyKey | Capability::ReadBack => true,
        Capability::PutById | Capability::None => false,
    };
    let generous = if stream.chance(50) { Duration::ZERO } else { stream.ms(0, 30_000) };
    scenario.upstream.believed.request_lifetime =
        if rests_on_it { lifetime + generous } else { stream.ms(500, 60_000) };
    if !rests_on_it && stream.chance(50) {
        scenario.upstream.queue = None;
    }
    // Nothing but a reordering takes a request to the end of its true lifetime.
    let truth = &mut scenario.upstream.truth;
    truth.request_lifetime = truth.request_lifetime.min(lifetime);
    let error: Duration = drawn(scenario, Target::Store).map(|fault| swing(fault, scenario.duration)).sum();
    scenario.store.clock_error = scenario.store.clock_error.max(error);
    open_window(scenario, &mut stream);
    declare_windows(scenario);

    // What was drawn is an attempt, and the time for the store's reply to a claim.
    let lease = scenario.hardened.lease.unwrap_or_default();
    scenario.hardened.lease = Some(lease + 2 * scenario.store.clock_error);
    scenario.calm = scenario.calm.max(longest_settling(scenario));
}

/// In three seeds of four a key outlasts the lifetime of a request by something that a run is long enough to reach the end of: some
/// of what is in doubt is sent again, and some is parked.
fn open_window(scenario: &mut Scenario, stream: &mut Stream) {
    let margin = scenario.upstream.believed.request_lifetime + 2 * scenario.store.clock_error;
    let open = margin + stream.ms(2_000, 60_000);
    if stream.chance(75) {
        let ttl = &mut scenario.upstream.truth.key_ttl;
        *ttl = (*ttl).max(open);
    }
}

/// Keys live as long as they are believed to, whatever the service's clock does and however late a proxy sends again; a read
/// sees what is older than believed, whatever replica answers.
#[expect(clippy::wildcard_enum_match_arm, reason = "the other kinds move no bound")]
fn declare_windows(scenario: &mut Scenario) {
    let ahead: Duration = drawn(scenario, Target::Quota).map(|fault| swing(fault, scenario.duration)).sum();
    let (mut replay, mut lag) = (Duration::ZERO, Duration::ZERO);
    for fault in &scenario.faults {
        match fault.kind {
            FaultKind::QuotaReplay { delay } => {
                replay = replay.max(delay + scenario.upstream.believed.request_lifetime);
            }
            FaultKind::QuotaKeyLag { lag: more } => lag = lag.max(more),
            _ => {}
        }
    }
    let upstream = &mut scenario.upstream;
    upstream.believed.key_ttl = upstream.truth.key_ttl;
    upstream.truth.key_ttl += ahead + replay;
    upstream.believed.read_back_lag = upstream.truth.read_back_lag + lag;
}

/// The longest that a request may take from the decision to send it until it has executed.
#[expect(clippy::wildcard_enum_match_arm, reason = "the other kinds move no bound")]
fn longest_way(scenario: &Scenario) -> Duration {
    let upstream = &scenario.upstream;
    let (mut pauses, mut added, mut reordered, mut slower) = (Duration::ZERO, Duration::ZERO, Duration::ZERO, 1.0f64);
    let mut way = ONE_WAY;
    for fault in &scenario.faults {
        match fault.kind {
            // What is withheld together is sent one after the other, each perhaps after a pause of its own; the last pause
            // begins at the latest when the fault ends.
            FaultKind::ProcessPause { .. } => pauses += 2 * fault.length,
            // A kind is drawn once, and its occurrences do not touch each other.
            FaultKind::NetworkLatency { add } => added = added.max(add),
            FaultKind::NetworkReorder => reordered = upstream.truth.request_lifetime,
            FaultKind::NetworkDuplicate => way = 2 * ONE_WAY,
            FaultKind::QuotaSlow { factor } => slower = slower.max(factor),
            _ => {}
        }
    }
    let served = longest_wait(upstream) + longest_service(upstream.service_time);
    pauses + way + added + reordered + scale(served, slower) + SLACK
}

/// The longest that a request is queued. All workers are busy as long as it waits, so they share what lies before it: the services
/// that had begun when it came, and those of the others in a full queue (R. Graham's bound of 1966 for list scheduling).
fn longest_wait(upstream: &Upstream) -> Duration {
    let before = upstream.workers + upstream.queue.unwrap_or_default();
    let sum = match upstream.service_time {
        Latency::Constant(duration) => duration * before,
        Latency::Exponential { mean } => scale(mean, exponential_sum(f64::from(before))),
        Latency::Lognormal { .. } => longest_service(upstream.service_time) * before,
    };
    sum / upstream.workers
}

/// What `count` exponential draws of mean one exceed together with probability e^-[`UNLIKELY`] at most, after H. Chernoff: count · x
/// with count · (x - 1 - ln x) = `UNLIKELY`.
fn exponential_sum(count: f64) -> f64 {
    // The left side grows with x above 1, and is large enough at the upper end: ln x is at most x ÷ 2.
    let (mut low, mut high) = (1.0, 2.0 + 2.0 * UNLIKELY / count);
    for _ in 0..50 {
        let middle = f64::midpoint(low, high);
        if count * (middle - 1.0 - libm::log(middle)) < UNLIKELY {
            low = middle;
        } else {
            high = middle;
        }
    }
    count * high
}

fn longest_service(latency: Latency) -> Duration {
    match latency {
        Latency::Constant(duration) => duration,
        Latency::Exponential { mean } => scale(mean, EXPONENTIAL_MOST),
        Latency::Lognormal { p50, p99 } => {
            let ratio = p99.as_nanos() as f64 / (p50.as_nanos() as f64).max(1.0);
            scale(p50, libm::pow(ratio, LOGNORMAL_MOST))
        }
    }
}

/// The faults that are aimed at one clock.
fn drawn(scenario: &Scenario, target: Target) -> impl Iterator<Item = &Fault> {
    scenario.faults.iter().filter(move |fault| matches!(&fault.on, Targets::Only(targets) if targets.contains(&target)))
}

/// The most by which a fault can put a clock wrong, to either side.
#[expect(clippy::wildcard_enum_match_arm, reason = "the other kinds move no bound")]
fn swing(fault: &Fault, storm: Duration) -> Duration {
    let times = u32::try_from(fault.starts(storm).count()).unwrap_or(u32::MAX);
    match fault.kind {
        FaultKind::ClockOffset { by } | FaultKind::ClockStrobe { by, .. } => {
            Duration::from_nanos(by.nanos.unsigned_abs())
        }
        FaultKind::ClockStep { by } => Duration::from_nanos(by.nanos.unsigned_abs()) * times,
        FaultKind::ClockDrift { ppm } => {
            // More than the rounding of a float.
            (scale(fault.length, f64::from(ppm.unsigned_abs()) / 1e6) + Duration::from_micros(1)) * times
        }
        FaultKind::ClockFreeze => fault.length * times,
        _ => Duration::ZERO,
    }
}

/// When everything that can still be tried has been: the longest waits of the hook, one after the other, and some more.
fn longest_settling(scenario: &Scenario) -> Duration {
    let believed = scenario.upstream.believed;
    let refuses_credentials =
        |kind: &FaultKind| matches!(kind, FaultKind::QuotaOutage { mode: OutageMode::Unauthorised });
    let credentials = if scenario.faults.iter().any(|fault| refuses_credentials(&fault.kind)) {
        scenario.hook_config().delivery.credentials_pause
    } else {
        Duration::ZERO
    };
    // A stored 500 is repeated for as long as the key lives, and only then is the grant parked.
    let stored_error = if scenario.upstream.profile == Profile::StripeV1 { believed.key_ttl } else { Duration::ZERO };
    let waits = [
        stored_error,
        credentials,
        believed.request_lifetime,
        believed.read_back_lag,
        2 * scenario.store.clock_error,
        scenario.hardened.lease.unwrap_or_default(),
        scenario.hardened.backoff_cap.unwrap_or_default(),
        scenario.hardened.retry_after_cap.unwrap_or_default(),
        scenario.hardened.breaker_open_cap.unwrap_or_default(),
    ];
    Duration::from_secs(600) + 2 * waits.into_iter().sum::<Duration>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::{Concern, Draws, latency};

    #[test]
    fn what_services_add_up_to_is_within_the_declared_sum_which_is_no_multiple_of_the_longest_one() {
        let mean = Duration::from_millis(10);
        // The more services there are, the smaller a part of their longest ones they may take together.
        for (count, part) in [(2u32, 1), (20, 4), (84, 16)] {
            let most = scale(mean, exponential_sum(f64::from(count)));
            assert!(most * part < scale(mean, EXPONENTIAL_MOST) * count, "{count}: {most:?}");
            let sum = |run: u64| -> Duration {
                let draw = |n| latency(Latency::Exponential { mean }, || Draws::new(run).draw(Concern::Service, 0, n));
                (0..u64::from(count)).map(draw).sum()
            };
            let largest = (0..5_000).map(sum).max().unwrap_or_default();
            assert!(largest < most && largest > mean * count, "{count}: {largest:?} of {most:?}");
        }
    }

    #[test]
    fn the_largest_draws_there_are_stay_below_the_declared_service() {
        let ms = Duration::from_millis;
        for distribution in [Latency::Exponential { mean: ms(10) }, Latency::Lognormal { p50: ms(10), p99: ms(30) }] {
            let largest = latency(distribution, || [0, u64::MAX]);
            let declared = longest_service(distribution);
            assert!(largest < declared && largest * 2 > declared, "{largest:?} of {declared:?}");
        }
    }
}
