//! Capability: processes that share one limit in the store load the service as one would, and recover as one would.
//!
//! Goal: after a ten-second trigger in front of a deep queue, goodput is back at arrivals with 1, 4, 16 and 32 instances, at
//! no more than 1.05 calls a grant; without the limit it is not. The cap on effects and a `Retry-After` hold for all
//! processes together, and sharing costs the store no more than is stated. Method: `scenarios/fleet/recovery.toml`, whose
//! parameters and tolerances, each with its reason, stand in `docs/fleet.md`; here it runs with other numbers of instances,
//! seeds and protections. Nothing was fitted.

use hookproof_core::protection::{Protection, Protections};
use hookproof_sim::metrics::Metric;
use hookproof_sim::outcome::{Outcome, Value, Verdict};
use hookproof_sim::scenario::{HookKind, decode};
use hookproof_sim::{Recording, Setting, run_with};

const RECOVERY: &str = include_str!("../../../scenarios/fleet/recovery.toml");
const INSTANCES: [u16; 4] = [1, 4, 16, 32];
const SEEDS: std::ops::RangeInclusive<u64> = 1..=3;
/// Claims that find nothing, for each grant; see `docs/fleet.md`.
const EMPTY_CLAIMS_MAX: f64 = 1.0;

/// The run of `source`, which is written for 32 instances, with another number of them.
fn outcome(source: &str, instances: u16, protections: Protections, seed: u64) -> Outcome {
    let source = source.replace("instances = 32", &format!("instances = {instances}"));
    let scenario = decode("fleet", "fleet.toml", source.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
    let setting = Setting { hook: HookKind::Hardened, protections, sabotage: None, recording: Recording::Off, seed };
    run_with(&scenario, setting, &mut |_| {}).0
}

/// What a test asks of the processes and the service of [`RECOVERY`].
#[derive(Clone, Copy)]
struct Trial {
    duration: &'static str,
    calm: &'static str,
    load: &'static str,
    trouble: &'static str,
}

/// 40 visits a second, none of whose grants waits for the cap on effects.
const STEADY: &str = r#"
[[traffic]]
kind = "steady"
rate = "40/s"
[hardened]
effects-per-minute = 60_000
"#;

/// Whatever goes wrong, all are granted in the end.
const ALL_GRANTED: &str = r#"
[[expect]]
metric = "undelivered.users"
equals = 0
"#;

/// A run with all protections.
fn tried(trial: Trial, instances: u16, seed: u64) -> Outcome {
    let between = |from: &str, to: &str| {
        let (_, after) = RECOVERY.split_once(from).expect("the file has this table");
        let (table, _) = after.split_once(to).expect("and another one after it");
        format!("{from}{table}")
    };
    let Trial { duration, calm, load, trouble } = trial;
    let run =
        format!("schema = 1\ntitle = 'A fleet'\nhooks = ['hardened']\nduration = '{duration}'\ncalm = '{calm}'\n");
    let model = between("[experiment]", "[[traffic]]") + &between("[fleet]", "[hardened]");
    outcome(&format!("{run}{model}{load}{trouble}{ALL_GRANTED}"), instances, Protections::ALL, seed)
}

fn metric(outcome: &Outcome, metric: Metric) -> f64 {
    number(metric, outcome.metrics.get(&metric).copied())
}

/// The value of an expectation's metric in its stretch.
fn during(outcome: &Outcome, metric: Metric, stretch: &str) -> f64 {
    let mut expected = outcome.expectations.iter();
    let found = expected.find(|expected| expected.metric == metric && expected.during == stretch);
    number(metric, found.and_then(|expected| expected.value))
}

fn number(metric: Metric, value: Option<Value>) -> f64 {
    match value {
        Some(Value::Number(number)) => number,
        Some(Value::Never) => f64::INFINITY,
        None => panic!("{} is absent", metric.name()),
    }
}

/// What the store was asked in vain, for each grant.
fn empty_claims(outcome: &Outcome) -> f64 {
    outcome.reached["empty-claims"] as f64 / outcome.series.counts["entitlements"].iter().sum::<u64>() as f64
}

fn assert_pass(outcome: &Outcome, case: &str, empty_claims_max: f64) {
    let (expectations, invariants) = (&outcome.expectations, &outcome.invariants);
    assert_eq!(outcome.verdict, Verdict::Pass, "{case}: {expectations:#?} {invariants:#?}");
    let empty_claims = empty_claims(outcome);
    assert!(empty_claims <= empty_claims_max, "{case}: {empty_claims} empty claims a grant");
}

#[test]
fn every_fleet_recovers_from_a_ten_second_trigger() {
    for instances in INSTANCES {
        for seed in SEEDS {
            let outcome = outcome(RECOVERY, instances, Protections::ALL, seed);
            assert_pass(&outcome, &format!("{instances} instances, seed {seed}"), EMPTY_CLAIMS_MAX);
            assert!(outcome.reached["abandoned-calls"] > 0, "the trigger was not felt");
        }
    }
}

const NO_LIMIT: Protections = Protections::ALL.without(Protection::AdaptiveLimit);
/// The policies that are no substitute for the limit.
const BASELINES: [(&str, Protections); 3] = [
    ("jitter only", NO_LIMIT.without(Protection::RetryBudget).without(Protection::Breaker)),
    ("budget only", NO_LIMIT.without(Protection::Breaker)),
    ("breaker only", NO_LIMIT.without(Protection::RetryBudget)),
];

#[test]
fn without_the_limit_no_other_policy_alone_serves_half_of_those_who_come_late_and_all_call_more() {
    for (policy, protections) in BASELINES {
        for instances in [1, 32] {
            for seed in SEEDS {
                let outcome = outcome(RECOVERY, instances, protections, seed);
                let case = format!("{policy}, {instances} instances, seed {seed}");
                let late = during(&outcome, Metric::UpstreamGoodputRatio, "late");
                assert!(late < 0.5, "{case}: {late}");
                let calls = metric(&outcome, Metric::UpstreamAmplification);
                assert!(calls > 1.4, "{case}: {calls} calls a grant");
                let recovery = metric(&outcome, Metric::UpstreamRecoverySeconds);
                let is_budget = protections.has(Protection::RetryBudget);
                assert!(is_budget || recovery.is_infinite(), "{case}: recovered after {recovery} s");
            }
        }
    }
}

/// A service that refuses every connection for a minute: all grants of that minute wait for their next attempt.
const OUTAGE: Trial = Trial {
    duration: "240s",
    calm: "120s",
    load: STEADY,
    trouble: r#"
[[fault]]
kind = "quota.outage"
name = "outage"
at   = "30s"
for  = "60s"
[[expect]]
metric   = "upstream.attempts"
at-least = 1
during   = "outage"
[[expect]]
metric  = "store.writes-per-grant"
at-most = 2.3
"#,
};

#[test]
fn waiting_for_a_retry_costs_the_store_little_more_with_many_processes() {
    // A breaker that has seen 30 s of successes, 40 of them if there are 32 processes, opens at as many failures: at most
    // 2 · (1 + 32 · 40 ÷ 9,600) rows a grant.
    for instances in INSTANCES {
        for seed in SEEDS {
            let outcome = tried(OUTAGE, instances, seed);
            assert_pass(&outcome, &format!("{instances} instances, seed {seed}"), EMPTY_CLAIMS_MAX);
        }
    }
}

/// A service that fails three times in ten, which opens no breaker: a retry is always waited for.
const FLAKY: Trial = Trial {
    duration: "120s",
    calm: "120s",
    load: STEADY,
    trouble: r#"
[[fault]]
kind = "quota.error-before"
name = "errors"
at   = "0s"
for  = "120s"
probability = 0.3
[[expect]]
metric   = "upstream.attempts"
at-least = 1
during   = "errors"
"#,
};

#[test]
fn processes_that_all_hear_of_the_next_retry_do_not_all_ask_for_it() {
    // 0.43 retries a grant: if each of 32 processes asked for each of them, 13 claims a grant would find nothing.
    for instances in INSTANCES {
        for seed in SEEDS {
            let outcome = tried(FLAKY, instances, seed);
            let case = format!("{instances} instances, seed {seed}");
            assert_pass(&outcome, &case, 4.0);
        }
    }
}

/// Ten minutes' worth of grants come at once.
const AVALANCHE: Trial = Trial {
    duration: "15m",
    calm: "5m",
    load: r#"
[[traffic]]
kind = "steady"
rate = "100/s"
for  = "6s"
[hardened]
effects-per-minute = 60
"#,
    trouble: "",
};

#[test]
fn the_effect_cap_holds_for_all_processes_together_and_says_so() {
    for seed in SEEDS {
        let outcome = tried(AVALANCHE, 4, seed);
        assert_pass(&outcome, &format!("seed {seed}"), EMPTY_CLAIMS_MAX);
        assert_eq!(outcome.series.bin.as_secs(), 5, "twelve bins are a minute of the store's clock");
        let minutes: Vec<u64> = outcome.series.counts["calls"].chunks(12).map(|bins| bins.iter().sum()).collect();
        assert!(minutes.iter().all(|calls| *calls <= 60), "{minutes:?}");
        assert!(minutes[..9].iter().all(|calls| *calls == 60), "{minutes:?}");
        assert!(outcome.reached["effect-cap-holds"] > 0);
    }
}

/// One process is asked to wait for 20 s.
const RETRY_AFTER: Trial = Trial {
    duration: "120s",
    calm: "60s",
    load: STEADY,
    trouble: r#"
[[fault]]
kind = "quota.throttle"
name = "throttle"
on   = ["app-1"]
at   = "60s"
for  = "1s"
retry-after = "20s"
[[window]]
name = "held"
at   = "62s"
for  = "18s"
[[expect]]
metric = "upstream.calls"
equals = 0
during = "held"
[[expect]]
metric   = "exposure.logged"
at-least = 500
during   = "held"
[[expect]]
metric   = "upstream.attempts"
at-least = 1
during   = "throttle"
"#,
};

#[test]
fn a_retry_after_that_one_process_hears_holds_all_of_them() {
    for seed in SEEDS {
        let outcome = tried(RETRY_AFTER, 4, seed);
        assert_pass(&outcome, &format!("seed {seed}"), EMPTY_CLAIMS_MAX);
        assert!(outcome.reached["lane-pauses"] > 0);
    }
}

/// A settlement that comes when its claim is forgotten. What the store cannot know of is over at 30 s, a lease and an attempt after its
/// loss.
///
/// 1. app-1 or app-2 claims a grant, at 10 s, and its request hangs.
/// 2. A replica takes over that has not heard of the claim, and nothing says so.
/// 3. It is full, and takes no settlement.
/// 4. Once it has room, at 33 s, app-2 starts and claims the grant.
/// 5. The settlement arrives that app-1 has held back since 15 s.
const LOST_UNAWARES: &str = r#"
schema   = 1
title    = "A store loses a claim unawares, and its settlement is late"
duration = "60s"
calm     = "10m"
hooks    = ["hardened"]
[experiment]
id = "quota-experiment"
[[experiment.variant]]
name   = "control"
weight = 0
[[experiment.variant]]
name   = "extra-quota"
weight = 1
grant  = 25
[fleet]
instances = 2
[upstream]
capability   = "put-by-id"
workers      = 8
service-time = "4s"
[[traffic]]
kind = "steady"
rate = "8/s"
for  = "3s"
[hardened]
max-in-flight   = 1
lease           = "12s"
attempt-timeout = "5s"
[[fault]]
kind = "quota.throttle"
at   = "0s"
for  = "5s"
retry-after = "10s"
[[fault]]
kind = "quota.outage"
mode = "hang"
at   = "9s"
for  = "7s"
[[fault]]
kind = "store.failover"
at   = "13s"
lost = "6s"
silent = true
[[fault]]
kind = "store.full"
at   = "13100ms"
for  = "20s"
[[fault]]
kind = "process.crash"
at   = "32500ms"
downtime = "700ms"
on   = ["app-2"]
"#;

#[test]
fn a_settlement_under_a_claim_that_the_store_lost_unawares_frees_no_place() {
    // In half of the seeds it is app-2 that claims first; its crash takes the settlement with it.
    for seed in 1..=8 {
        let outcome = outcome(LOST_UNAWARES, 2, Protections::ALL, seed);
        let load = outcome.invariants.iter().find(|invariant| invariant.id == "LOAD-1").expect("a named invariant");
        assert!(load.checked > 0 && load.violations == 0, "seed {seed}: {load:?}");
        assert_eq!(outcome.verdict, Verdict::Pass, "seed {seed}: {:#?}", outcome.invariants);
        assert_eq!((outcome.reached["store-failovers"], outcome.reached["restarts"]), (1, 1));
    }
}

#[test]
fn many_processes_keep_within_a_limit_that_is_smaller_than_their_number() {
    for seed in SEEDS {
        let few = RECOVERY.replace("[hardened]", "[hardened]\nmax-in-flight = 4").replace("80/s", "15/s");
        let outcome = outcome(&few, 32, Protections::ALL, seed);
        let load = outcome.invariants.iter().find(|invariant| invariant.id == "LOAD-1").expect("a named invariant");
        assert!(load.checked > 2_000 && load.violations == 0, "seed {seed}: {load:?}");
        assert_pass(&outcome, &format!("seed {seed}"), EMPTY_CLAIMS_MAX);
    }
}
