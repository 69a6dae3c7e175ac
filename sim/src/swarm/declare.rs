//! What is declared of the service and of the store's clock, made true for the faults that were drawn.
//!
//! The promise rests on declared bounds: how long a request may be on its way, how long a key lives, how far reads lag, how
//! far the store's clock errs. Each bound here is the sum of the worst that the drawn faults can do together, so that a
//! violation is never the fault of a false declaration. The hook may well park more for it; that is not judged.
//!
//! A `put-by-id` is harmless whenever it executes, and who sends once has no window: for these two what is believed of a
//! request's lifetime may be false.

use std::time::Duration;

use super::chance::Chance;
use crate::network::ONE_WAY;
use crate::scenario::{Capability, Fault, FaultKind, Latency, Profile, Scenario, Target, Targets};
use crate::seed::scale;

/// More than rounding and the order of events at one instant can amount to.
const SLACK: Duration = Duration::from_secs(1);

/// A uniform draw of 52 bits is at least 2⁻⁵³, so an exponential one is at most 53 · ln 2 times its mean: 36.8.
const EXPONENTIAL_MOST: u32 = 37;

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
    declare_windows(scenario);

    let error: Duration = drawn(scenario, Target::Store).map(|fault| swing(fault, scenario.duration)).sum();
    scenario.store.clock_error = scenario.store.clock_error.max(error);
    // What was drawn is an attempt, and the time for the store's reply to a claim.
    let lease = scenario.hardened.lease.unwrap_or_default();
    scenario.hardened.lease = Some(lease + 2 * scenario.store.clock_error);
    scenario.calm = scenario.calm.max(longest_settling(scenario));
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
    let (mut pauses, mut way, mut slower) = (Duration::ZERO, ONE_WAY, 1.0f64);
    for fault in &scenario.faults {
        match fault.kind {
            // What is withheld together is sent one after the other, each perhaps after a pause of its own; the last pause
            // begins at the latest when the fault ends.
            FaultKind::ProcessPause { .. } => pauses += 2 * fault.length,
            FaultKind::NetworkLatency { add } => way += add,
            FaultKind::NetworkReorder => way += upstream.truth.request_lifetime,
            FaultKind::NetworkDuplicate => way += ONE_WAY,
            FaultKind::QuotaSlow { factor } => slower = slower.max(factor),
            _ => {}
        }
    }
    let service = scale(longest_service(upstream.service_time), slower);
    // A request waits for at most so many rounds of all workers, its own among them.
    let rounds = upstream.queue.unwrap_or_default() / upstream.workers + 2;
    pauses + way + service * rounds + SLACK
}

fn longest_service(latency: Latency) -> Duration {
    match latency {
        Latency::Constant(duration) => duration,
        Latency::Exponential { mean } => mean * EXPONENTIAL_MOST,
        // The tail of a lognormal has no such bound; swarms draw none.
        Latency::Lognormal { p99, .. } => p99 * EXPONENTIAL_MOST,
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
    // A stored 500 is repeated for as long as the key lives, and only then is the grant parked.
    let stored_error = if scenario.upstream.profile == Profile::StripeV1 { believed.key_ttl } else { Duration::ZERO };
    let waits = [
        stored_error,
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
