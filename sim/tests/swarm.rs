//! Capability: whatever a swarm draws, the hardened hook keeps its promise, and the swarm draws everything.
//!
//! Method: seeds that nobody has looked at (they start at a million; the swarm was written with others), each a scenario of its
//! own, run and judged from outside. Every kind of fault must have had effects in at least one seed of a hundred, or the swarm
//! proves nothing about it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hookproof_core::promise::{Hazard, Verdict as Promise, promise};
use hookproof_sim::outcome::{Outcome, Verdict};
use hookproof_sim::run;
use hookproof_sim::scenario::{
    Capability, Fault, FaultKind, HookKind, Profile, Scenario, Target, Targets, TrafficKind, decode,
};
use hookproof_sim::swarm::vary;

const FIRST_SEED: u64 = 1_000_000;
const RUNS: u64 = 2_000;
/// Share of the seeds in which each kind must have had effects.
const EFFECTS_PERCENT: u64 = 1;

/// Every kind of the contract, and `store.lost-ack`.
const KINDS: [&str; 34] = [
    "clock.offset",
    "clock.drift",
    "clock.step",
    "clock.freeze",
    "clock.strobe",
    "process.crash",
    "process.pause",
    "process.rolling-restart",
    "process.deploy",
    "network.latency",
    "network.loss",
    "network.lost-reply",
    "network.duplicate",
    "network.reorder",
    "network.partition",
    "network.reset",
    "quota.outage",
    "quota.error-before",
    "quota.error-after",
    "quota.lost-reply",
    "quota.throttle",
    "quota.slow",
    "quota.restart",
    "quota.key-lag",
    "quota.replay",
    "quota.false-ack",
    "quota.malformed",
    "store.latency",
    "store.error",
    "store.outage",
    "store.lost-ack",
    "store.read-only",
    "store.failover",
    "store.full",
];

fn base() -> Scenario {
    let source = include_bytes!("../../scenarios/swarm.toml");
    decode("swarm", "scenarios/swarm.toml", source).unwrap_or_else(|error| panic!("{error}"))
}

/// What the seeds add up to.
#[derive(Default)]
struct Sum {
    /// By kind: seeds in which it was drawn, had an opportunity, had an effect.
    kinds: BTreeMap<&'static str, [u64; 3]>,
    reached: BTreeMap<&'static str, u64>,
    failures: Vec<String>,
}

impl Sum {
    fn add(&mut self, scenario: &Scenario, outcome: &Outcome) {
        let mut seen: BTreeMap<&'static str, [bool; 3]> = BTreeMap::new();
        for fault in &outcome.faults {
            let [drawn, could, did] = seen.entry(fault.kind).or_default();
            (*drawn, *could, *did) = (true, *could || fault.opportunities > 0, *did || fault.effects > 0);
        }
        for (kind, seen) in seen {
            let counts = self.kinds.entry(kind).or_default();
            counts.iter_mut().zip(seen).for_each(|(count, seen)| *count += u64::from(seen));
        }
        for (name, count) in &outcome.reached {
            *self.reached.entry(name).or_default() += count;
        }
        if outcome.verdict != Verdict::Pass {
            let broken: Vec<_> =
                outcome.invariants.iter().filter(|rule| rule.violations + rule.inconclusive > 0).collect();
            self.failures.push(format!("seed {}: {broken:#?} {:#?}", outcome.seed, outcome.expectations));
        }
        if rests_on_lifetime(scenario) && outcome.reached["late-executions"] > 0 {
            self.failures.push(format!("SWARM-2: seed {}: a request outlived its declared lifetime", outcome.seed));
        }
    }

    fn merge(mut self, other: Self) -> Self {
        for (kind, counts) in other.kinds {
            self.kinds.entry(kind).or_default().iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
        for (name, count) in other.reached {
            *self.reached.entry(name).or_default() += count;
        }
        self.failures.extend(other.failures);
        self
    }
}

/// Whether the hook's promise rests on how long a request may take. What a proxy sends again later has its own bound.
fn rests_on_lifetime(scenario: &Scenario) -> bool {
    let has_window = matches!(scenario.upstream.believed.capability, Capability::IdempotencyKey | Capability::ReadBack);
    has_window && !scenario.faults.iter().any(|fault| matches!(fault.kind, FaultKind::QuotaReplay { .. }))
}

fn sum_of(seeds: std::ops::Range<u64>) -> Sum {
    let (base, next) = (base(), AtomicU64::new(seeds.start));
    let worker = || {
        let mut sum = Sum::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return sum;
            }
            let scenario = vary(&base, seed);
            sum.add(&scenario, &run(&scenario, HookKind::Hardened, seed, &mut |_| {}));
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let started: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        started
            .into_iter()
            .map(|thread| thread.join().expect("a worker does not panic"))
            .fold(Sum::default(), Sum::merge)
    })
}

/// A ramp down leaves two newly entitled users in the last minute, both served at once: the first 30 s that anything can be
/// told by begin later than the stated time ends.
#[test]
fn goodput_is_not_late_where_nobody_is_newly_entitled() {
    let outcome = run(&vary(&base(), 1_001_734), HookKind::Hardened, 1_001_734, &mut |_| {});
    let recovery = outcome.invariants.iter().find(|invariant| invariant.id == "LOAD-3").expect("a named invariant");
    assert_eq!((recovery.checked, recovery.violations), (0, 0), "{recovery:?}");
}

#[test]
fn no_seed_breaks_the_hardened_hook_and_every_kind_of_fault_has_effects() {
    let sum = sum_of(FIRST_SEED..FIRST_SEED + RUNS);
    println!("{:24} {:>7} {:>13} {:>7}   of {RUNS} seeds", "kind", "drawn", "opportunities", "effects");
    for (kind, [drawn, could, did]) in &sum.kinds {
        println!("{kind:24} {drawn:7} {could:13} {did:7}");
    }
    println!("{:?}", sum.reached);
    assert!(sum.failures.is_empty(), "{} failures, the first: {}", sum.failures.len(), sum.failures[0]);
    for kind in KINDS {
        let [drawn, _, did] = sum.kinds.get(kind).copied().unwrap_or_default();
        assert!(did * 100 >= RUNS * EFFECTS_PERCENT, "{kind} had effects in {did} seeds only");
        assert!(drawn < RUNS, "{kind} is in every seed: its weight is never zero");
    }
    // What the zeros stand beside.
    for name in ["doubts", "duplicate-sends", "receipts", "parked", "releases", "breaker-openings", "reads-absent"] {
        assert!(sum.reached[name] >= RUNS / 20, "{name}: {}", sum.reached[name]);
    }
    for name in ["excused-users", "excused-receipts"] {
        assert!(sum.reached[name] > 0, "{name}: nobody was lied to");
    }
}

/// The most by which a fault puts a clock wrong, in nanoseconds.
#[expect(clippy::wildcard_enum_match_arm, reason = "the other kinds move no clock")]
fn moved(fault: &Fault, storm: Duration) -> u128 {
    let times = fault.starts(storm).count() as u128;
    match &fault.kind {
        FaultKind::ClockOffset { by } | FaultKind::ClockStrobe { by, .. } => by.nanos.unsigned_abs().into(),
        FaultKind::ClockStep { by } => u128::from(by.nanos.unsigned_abs()) * times,
        FaultKind::ClockDrift { ppm } => fault.length.as_nanos() * times * u128::from(ppm.unsigned_abs()) / 1_000_000,
        FaultKind::ClockFreeze => fault.length.as_nanos() * times,
        _ => 0,
    }
}

/// What the drawn faults and settings are to the promise, read off the scenario itself and not off the tables of the swarm.
#[expect(clippy::wildcard_enum_match_arm, reason = "the other kinds are borne by every offer")]
fn hazards(scenario: &Scenario) -> BTreeSet<Hazard> {
    let (upstream, store) = (&scenario.upstream, &scenario.store);
    let mut hazards = BTreeSet::new();
    if upstream.profile == Profile::KeysIgnored || upstream.believed.key_ttl > upstream.truth.key_ttl {
        hazards.insert(Hazard::KeyLost);
    }
    if upstream.believed.read_back_lag < upstream.truth.read_back_lag {
        hazards.insert(Hazard::ReadLag);
    }
    for fault in &scenario.faults {
        let aims_at = |target| matches!(&fault.on, Targets::Only(targets) if targets.contains(&target));
        let moved = moved(fault, scenario.duration);
        if aims_at(Target::Store) {
            let is_declared = moved <= store.clock_error.as_nanos();
            hazards.insert(if is_declared { Hazard::ClockError } else { Hazard::ClockBeyondBound });
        }
        let spare = upstream.truth.key_ttl.saturating_sub(upstream.believed.key_ttl);
        if aims_at(Target::Quota) && moved > spare.as_nanos() {
            hazards.insert(Hazard::KeyLost);
        }
        match fault.kind {
            // Where there is no key, no replay is within its window.
            FaultKind::QuotaReplay { delay } if delay > spare || upstream.truth.capability == Capability::PutById => {
                hazards.insert(Hazard::Replay);
            }
            FaultKind::NetworkDuplicate | FaultKind::QuotaReplay { .. } => drop(hazards.insert(Hazard::Duplicate)),
            FaultKind::QuotaRestart => drop(hazards.insert(Hazard::KeyLost)),
            FaultKind::QuotaKeyLag { .. } if upstream.truth.capability == Capability::IdempotencyKey => {
                hazards.insert(Hazard::KeyLost);
            }
            FaultKind::QuotaKeyLag { lag } if upstream.truth.read_back_lag + lag > upstream.believed.read_back_lag => {
                hazards.insert(Hazard::ReadLag);
            }
            FaultKind::ProcessPause { .. } if fault.length > upstream.believed.request_lifetime => {
                hazards.insert(Hazard::OverlongStall);
            }
            FaultKind::NetworkReorder if upstream.truth.request_lifetime > upstream.believed.request_lifetime => {
                hazards.insert(Hazard::OverlongStall);
            }
            FaultKind::StoreFailover { silent: true, .. } => drop(hazards.insert(Hazard::SilentRollback)),
            FaultKind::StoreFailover { .. } => drop(hazards.insert(Hazard::StoreRollback)),
            _ => {}
        }
    }
    hazards
}

#[test]
fn nothing_is_drawn_that_the_matrix_calls_impossible() {
    let base = base();
    let mut met: BTreeSet<(Hazard, Capability)> = BTreeSet::new();
    for seed in 0..20_000 {
        let scenario = vary(&base, seed);
        for hazard in hazards(&scenario) {
            let (truth, believed) = (scenario.upstream.truth.capability, scenario.upstream.believed.capability);
            // A declared lifetime is the hook's affair: who believes in no window rests on none.
            let offers = if hazard == Hazard::OverlongStall { [believed; 2] } else { [truth, believed] };
            for offer in offers {
                assert_ne!(promise(offer, hazard), Promise::Impossible, "seed {seed}: {hazard:?} under {offer:?}");
            }
            met.insert((hazard, scenario.upstream.truth.capability));
        }
    }
    // And it is not for want of drawing them where they are borne.
    for (hazard, offer) in [
        (Hazard::Duplicate, Capability::IdempotencyKey),
        (Hazard::Replay, Capability::PutById),
        (Hazard::KeyLost, Capability::ReadBack),
        (Hazard::OverlongStall, Capability::PutById),
        (Hazard::SilentRollback, Capability::PutById),
        (Hazard::StoreRollback, Capability::IdempotencyKey),
        (Hazard::ClockError, Capability::None),
    ] {
        assert!(met.contains(&(hazard, offer)), "{hazard:?} under {offer:?} is never drawn");
    }
}

#[test]
fn a_drawn_scenario_is_one_that_a_file_could_hold() {
    let base = base();
    for seed in 0..5_000 {
        let scenario = vary(&base, seed);
        scenario.hook_config().check().unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        let mut names: Vec<&str> = scenario.faults.iter().map(|fault| fault.name.as_str()).collect();
        names.extend(scenario.traffic.iter().map(|traffic| traffic.name.as_str()));
        let count = names.len();
        assert_eq!(names.into_iter().collect::<BTreeSet<_>>().len(), count, "seed {seed}: names are unique");
        for fault in &scenario.faults {
            let starts: Vec<_> = fault.starts(scenario.duration).collect();
            let expected = fault
                .every
                .map_or(1, |every| scenario.duration.saturating_sub(fault.at).as_nanos().div_ceil(every.as_nanos()));
            assert_eq!(starts.len() as u128, expected, "seed {seed}: {} ends within the storm", fault.name);
            assert!(fault.every.is_none_or(|every| fault.lasts() <= every), "seed {seed}: {}", fault.name);
        }
        let longest_pause = |kind: &FaultKind| matches!(kind, FaultKind::ProcessPause { .. });
        let pauses = scenario.faults.iter().filter(|fault| longest_pause(&fault.kind)).map(|fault| fault.length);
        assert!(pauses.chain([scenario.caller.deadline, scenario.caller.pause_to]).all(|it| it <= scenario.calm));
    }
}

#[test]
fn a_swarm_keeps_what_is_asked_of_the_hook_and_is_a_function_of_its_seed() {
    let base = base();
    let one = vary(&base, 7);
    assert_eq!(one, vary(&base, 7));
    assert_ne!(one.faults, vary(&base, 8).faults);
    assert_eq!(
        (&one.experiment, &one.quota, &one.users, &one.duration),
        (&base.experiment, &base.quota, &base.users, &base.duration)
    );
    assert_eq!(one.expects.len(), base.expects.len());
    assert_eq!(one.hooks, base.hooks);
}

#[test]
fn most_seeds_leave_kinds_out_and_some_strike_with_restart_step_and_spike_at_one_moment() {
    let base = base();
    let mut bursts = 0;
    let mut kinds: BTreeMap<usize, u64> = BTreeMap::new();
    for seed in 0..1_000 {
        let scenario = vary(&base, seed);
        let drawn: BTreeSet<&str> =
            scenario.faults.iter().map(|fault| hookproof_sim::fault::kind_name(&fault.kind)).collect();
        *kinds.entry(drawn.len()).or_default() += 1;
        let spike_at = |at| {
            scenario
                .traffic
                .iter()
                .any(|traffic| matches!(traffic.kind, TrafficKind::Spike { at: from, .. } if from == at))
        };
        let crash_at = |at| {
            let is_crash = |kind: &FaultKind| matches!(kind, FaultKind::ProcessCrash { when: None, .. });
            scenario.faults.iter().any(|fault| fault.at == at && is_crash(&fault.kind))
        };
        let is_burst = |fault: &Fault| {
            matches!(fault.kind, FaultKind::ClockStep { .. }) && crash_at(fault.at) && spike_at(fault.at)
        };
        bursts += u64::from(scenario.faults.iter().any(is_burst));
    }
    assert!((400..800).contains(&bursts), "bursts in {bursts} of 1000 seeds");
    assert!(kinds.keys().all(|count| *count < KINDS.len()), "no seed draws all kinds: {kinds:?}");
    assert!(kinds.keys().any(|count| *count <= 2) && kinds.keys().any(|count| *count >= 12), "{kinds:?}");
}
