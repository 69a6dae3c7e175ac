//! Capability: whatever a swarm draws, the hardened hook keeps its promise, and the swarm draws everything.
//!
//! Method: seeds that nobody has looked at (they start at a million; the swarm was written with others), each a scenario of its
//! own, run and judged from outside. Every kind of fault must have had effects in at least one seed of a hundred, or the swarm
//! proves nothing about it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hookproof_core::promise::{Hazard, Verdict as Promise, promise};
use hookproof_sim::hazards::key_window;
use hookproof_sim::metrics::Metric;
use hookproof_sim::outcome::{Outcome, Value, Verdict};
use hookproof_sim::run;
use hookproof_sim::scenario::{
    Capability, Fault, FaultKind, HookKind, Latency, OutageMode, Profile, Quota, Scenario, Target, Targets,
    TrafficKind, decode,
};
use hookproof_sim::swarm::vary;

const FIRST_SEED: u64 = 1_000_000;
const RUNS: u64 = 2_000;
/// Share of the seeds in which each kind must have had effects.
const EFFECTS_PERCENT: u64 = 1;
/// Share of the seeds in which recovery (`LOAD-3`) must have been judged: the storm has to outlast the stated time.
const RECOVERY_PERCENT: u64 = 5;

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
    let source = include_bytes!("../../../scenarios/swarm.toml");
    decode("swarm", "scenarios/swarm.toml", source).unwrap_or_else(|error| panic!("{error}"))
}

/// What the seeds add up to.
#[derive(Default)]
struct Sum {
    /// By kind: seeds in which it was drawn, had an opportunity, had an effect.
    kinds: BTreeMap<&'static str, [u64; 3]>,
    reached: BTreeMap<&'static str, u64>,
    /// By invariant: seeds in which it was checked.
    judged: BTreeMap<&'static str, u64>,
    /// By what must be met now and then beside the kinds of fault: seeds in which it was.
    met: BTreeMap<&'static str, u64>,
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
        for invariant in &outcome.invariants {
            *self.judged.entry(invariant.id).or_default() += u64::from(invariant.checked > 0);
        }
        for (name, is_met) in met(scenario, outcome) {
            *self.met.entry(name).or_default() += u64::from(is_met);
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
        for (id, count) in other.judged {
            *self.judged.entry(id).or_default() += count;
        }
        for (name, count) in other.met {
            *self.met.entry(name).or_default() += count;
        }
        self.failures.extend(other.failures);
        self
    }
}

/// What a kind of fault does not tell, or tells of only one of its modes.
fn met(scenario: &Scenario, outcome: &Outcome) -> [(&'static str, bool); 5] {
    let is_reached = |name: &str| outcome.reached[name] > 0;
    let is_about_credentials =
        |kind: &FaultKind| matches!(kind, FaultKind::QuotaOutage { mode: OutageMode::Unauthorised });
    let are_credentials_refused = scenario
        .faults
        .iter()
        .zip(&outcome.faults)
        .any(|(fault, did)| is_about_credentials(&fault.kind) && did.effects > 0);
    let is_rejected =
        matches!(outcome.metrics.get(&Metric::GrantRejected), Some(Value::Number(rejected)) if *rejected > 0.0);
    let is_lognormal = matches!(scenario.upstream.service_time, Latency::Lognormal { .. });
    [
        ("refusals at the hard limit", is_reached("hard-limit-refusals")),
        ("rejected grants", is_rejected),
        ("refused credentials", are_credentials_refused),
        ("blocked users", is_reached("blocked")),
        ("lognormal service, and doubt", is_lognormal && is_reached("doubts")),
    ]
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
    println!("{:?}", sum.met);
    for (name, count) in &sum.met {
        assert!(count * 100 >= RUNS * EFFECTS_PERCENT, "{name} in {count} seeds only");
    }
    let recovery = sum.judged["LOAD-3"];
    assert!(recovery * 100 >= RUNS * RECOVERY_PERCENT, "LOAD-3 was judged in {recovery} seeds only");
    assert!(sum.judged.values().all(|count| *count * 50 >= RUNS), "hardly ever judged: {:?}", sum.judged);
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
    for seed in 0..200 {
        let drawn = vary(&base, seed);
        let quota = Quota { hard_limit: None, ..drawn.quota };
        assert_eq!((&drawn.experiment, &quota), (&base.experiment, &base.quota));
        assert!(drawn.users == base.users && drawn.duration == base.duration || drawn.duration > base.duration);
        assert!(drawn.calm >= base.calm);
        assert_eq!((drawn.expects.len(), &drawn.hooks), (base.expects.len(), &base.hooks));
    }
}

/// After a lull nothing is left to do but to see that goodput came back: no fault, no spike, no restart, the same arrivals.
#[test]
fn in_some_seeds_the_storm_outlasts_all_trouble() {
    let base = base();
    let lulls: Vec<Scenario> =
        (0..1_000).map(|seed| vary(&base, seed)).filter(|drawn| drawn.duration > base.duration).collect();
    assert!((80..180).contains(&lulls.len()), "{} of 1000", lulls.len());
    for drawn in &lulls {
        assert!(hookproof_sim::fault::last_end(drawn).is_none_or(|end| end <= base.duration), "seed {}", drawn.seed);
        assert_eq!(drawn.fleet.restart, None);
        for traffic in &drawn.traffic {
            let (at, length) = traffic.kind.stretch();
            let end = if traffic.kind.is_open() { drawn.duration } else { base.duration };
            assert!(at + length <= end && (!traffic.kind.is_open() || at + length == end), "seed {}", drawn.seed);
        }
    }
    assert!(lulls.iter().any(|drawn| drawn.faults.len() > 5), "trouble comes before it");
}

/// What is declared must be true, but a bound that no key outlasts would leave nothing to be sent again, and nothing to be parked
/// when a key's window closes.
#[test]
fn most_keys_outlast_the_declared_lifetime_of_a_request_however_slow_the_service_is() {
    let base = base();
    let is_slow = |drawn: &Scenario| drawn.faults.iter().any(|fault| matches!(fault.kind, FaultKind::QuotaSlow { .. }));
    for slow in [false, true] {
        let windows: Vec<Duration> = (0..10_000)
            .map(|seed| vary(&base, seed))
            .filter(|drawn| is_slow(drawn) == slow)
            .filter_map(|drawn| key_window(&drawn))
            .collect();
        let open = windows.iter().filter(|window| !window.is_zero()).count();
        let short = windows.iter().filter(|window| !window.is_zero() && **window < base.duration).count();
        println!("slow: {slow}: {open} of {} windows open, {short} for less than the storm", windows.len());
        assert!(open * 10 >= windows.len() * 7 && open < windows.len(), "{open} of {} are open", windows.len());
        assert!(short * 4 >= windows.len(), "{short} of {} close in time", windows.len());
    }
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
