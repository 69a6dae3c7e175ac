//! What surrounds the faults: the quota service, the store, the fleet, its settings and its callers.

use std::time::Duration;

use super::chance::{Chance, Stream};
use crate::scenario::{
    Authority, Caller, Capability, Fleet, Hardened, Latency, Probability, Profile, Quota, Restart, RestartMode,
    Scenario, StoreSettings, Upstream, UpstreamFacts,
};

/// Draws all of it. Bounds that depend on the faults are declared later.
pub(super) fn draw(scenario: &mut Scenario, chance: Chance) {
    scenario.upstream = upstream(&mut chance.of("upstream"));
    scenario.store = store(&mut chance.of("store"));
    scenario.fleet = fleet(&mut chance.of("fleet"), scenario.duration);
    scenario.caller = caller(&mut chance.of("caller"));
    scenario.hardened = hardened(&mut chance.of("hardened"));
    scenario.quota.hard_limit = hard_limit(scenario, &mut chance.of("hard limit"));
}

/// In one seed of eight the service refuses some grants for good, or all of them; a limit that leaves room for the largest refuses
/// nobody who is granted once.
fn hard_limit(scenario: &Scenario, stream: &mut Stream) -> Option<u32> {
    let Quota { base, hard_limit, .. } = scenario.quota;
    let largest = scenario.experiment.largest_grant();
    if hard_limit.is_some() || largest == 0 || !stream.chance(12) {
        return hard_limit;
    }
    Some(base.saturating_add(stream.count(0, largest - 1)))
}

fn upstream(stream: &mut Stream) -> Upstream {
    let capability = stream.pick(Capability::ALL);
    let profiles = [Profile::Strict, Profile::StripeV1, Profile::Only2xxCached, Profile::NoBodyCompare];
    let mean = stream.ms(1, 60);
    let service_time = match stream.between(0, 2) {
        0 => Latency::Constant(mean),
        1 => Latency::Exponential { mean },
        // A longer tail would make lifetimes that no key outlasts: `declare` allows for the longest draw of all.
        _ => Latency::Lognormal { p50: mean, p99: mean * stream.count(2, 3) },
    };
    let profile = stream.pick(profiles);
    // A stored 500 is repeated, and asked for, while its key lives: a day of that would make a long run and show nothing more.
    let longest_ttl = if profile == Profile::StripeV1 { 3_600 } else { 86_400 };
    // What it is; `declare` makes what is believed fit.
    let truth = UpstreamFacts {
        capability,
        key_ttl: Duration::from_secs(stream.pick([30, 60, 120, 600, 3_600, 86_400]).min(longest_ttl)),
        read_back_lag: stream.pick([0, 0, 200, 2_000].map(Duration::from_millis)),
        request_lifetime: stream.ms(500, 12_000),
    };
    // Who believes in nothing sends once: always safe, whatever is true.
    let believes_nothing = stream.chance(8);
    let believed = if believes_nothing { Capability::None } else { capability };
    Upstream {
        workers: stream.count(2, 24),
        service_time,
        queue: Some(stream.count(0, 60)),
        truth,
        believed: UpstreamFacts { capability: believed, ..truth },
        profile,
        require_key: stream.chance(25),
    }
}

fn store(stream: &mut Stream) -> StoreSettings {
    let p50 = stream.ms(1, 10);
    let latency = match stream.between(0, 2) {
        0 => Latency::Constant(p50),
        1 => Latency::Exponential { mean: p50 },
        _ => Latency::Lognormal { p50, p99: p50 * stream.count(1, 20) },
    };
    StoreSettings {
        latency,
        latency_commit: stream.ms(0, 20),
        clock_error: stream.ms(0, 500),
        authority: Authority::One,
    }
}

fn fleet(stream: &mut Stream, storm: Duration) -> Fleet {
    let instances = stream.pick([1, 2, 3, 4, 6, 8]);
    let downtime = stream.ms(0, 3_000);
    let mode = stream.pick([RestartMode::AllAtOnce, RestartMode::Rolling]);
    let every = stream.span(storm / 6, storm).max(downtime * u32::from(instances) + Duration::from_secs(1));
    let restart = stream.chance(35).then_some(Restart { every, mode, downtime });
    Fleet { instances, restart }
}

fn caller(stream: &mut Stream) -> Caller {
    let pause_from = stream.ms(100, 1_000);
    Caller {
        deadline: stream.ms(300, 6_000),
        retries: stream.pick([Some(0), Some(1), Some(3), Some(8), None]),
        pause_from,
        pause_to: pause_from + stream.ms(0, 2_000),
        give_up: if stream.chance(50) { Probability::ZERO } else { stream.percent(1, 30) },
    }
}

fn hardened(stream: &mut Stream) -> Hardened {
    let attempt_timeout = stream.ms(200, 3_000);
    let breaker_open = stream.ms(500, 5_000);
    Hardened {
        max_in_flight: Some(stream.pick([1, 2, 4, 16, 64])),
        // The store's bound is added when it is known.
        lease: Some(attempt_timeout + stream.ms(100, 8_000)),
        attempt_timeout: Some(attempt_timeout),
        connect_timeout: Some(attempt_timeout.min(stream.ms(50, 1_000))),
        backoff_base: Some(stream.ms(20, 500)),
        backoff_cap: Some(stream.ms(500, 20_000)),
        retry_after_cap: Some(stream.ms(1_000, 60_000)),
        retry_budget: Some(stream.pick([5, 50, 500])),
        breaker_window: None,
        breaker_min_calls: Some(stream.pick([3, 20, 1_000])),
        breaker_failure_ratio: None,
        breaker_open: Some(breaker_open),
        breaker_open_cap: Some(breaker_open + stream.ms(0, 20_000)),
        effects_per_minute: Some(stream.pick([120, 600, 6_000])),
        store_patience: Some(stream.ms(100, 2_000)),
        commit_batch: Some(stream.pick([1, 4, 128])),
    }
}
