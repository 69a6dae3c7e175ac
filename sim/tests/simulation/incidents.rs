//! The post-mortem's incidents, reproduced by its two programs and absent in the hardened hook, over the seeds that
//! `docs/calibration.md` names. The scenario files hold the tolerances of one seed; here are those of the means.

use hookproof_sim::metrics::Metric;
use hookproof_sim::outcome::{Outcome, Value, Verdict};
use hookproof_sim::run;
use hookproof_sim::scenario::{HookKind, Scenario};

use super::shipped;

fn outcome(scenario: &Scenario, hook: HookKind, seed: u64) -> Outcome {
    let outcome = run(scenario, hook, seed, &mut |_| {});
    let broken: Vec<_> =
        outcome.expectations.iter().filter(|expectation| expectation.verdict != Verdict::Pass).collect();
    assert!(broken.is_empty(), "{} seed {seed}: {broken:#?}", hook.name());
    outcome
}

fn number(outcome: &Outcome, metric: Metric) -> f64 {
    match outcome.metrics.get(&metric) {
        Some(Value::Number(number)) => *number,
        other => panic!("{}: {other:?}", metric.name()),
    }
}

/// Invariants that are checked only where there is something to check: a grant in doubt that is sent again, a retry that is put
/// off, a storm that outlasts its last trigger by far, a wall clock that moves.
const CHECKED_WHERE_MET: [&str; 4] = ["GRANT-4", "LOAD-2", "LOAD-3", "TIME-1"];

/// The hardened hook shows none of the harm, and was tried: each named count is above 0.
fn is_clean(outcome: &Outcome, reached: &[&str], unchecked: &[&str]) {
    assert_eq!(outcome.verdict, Verdict::Pass, "{:#?}", outcome.invariants);
    for invariant in &outcome.invariants {
        let is_rare = CHECKED_WHERE_MET.contains(&invariant.id);
        assert!(is_rare || (invariant.checked == 0) == unchecked.contains(&invariant.id), "{invariant:#?}");
        assert_eq!((invariant.violations, invariant.inconclusive), (0, 0), "{invariant:#?}");
    }
    for name in reached {
        assert!(outcome.reached[name] > 0, "{name}: {:?}", outcome.reached);
    }
    for fault in &outcome.faults {
        assert!(fault.opportunities > 0 && fault.effects > 0, "{fault:?}");
    }
}

#[test]
fn over_allocation_is_reproduced_and_absent_in_the_hardened_hook() {
    let scenario = shipped("incidents/over-allocation.toml");
    let (mut switching, mut cost) = (0.0, 0.0);
    for seed in 1..=8 {
        let original = outcome(&scenario, HookKind::Original, seed);
        switching += number(&original, Metric::GroupSwitchingRestartRate) / 8.0;
        cost += number(&original, Metric::OverAllocationMonthlyCostUsd) / 8.0;
        let worst = number(&original, Metric::OverAllocationWorstCapRatio);
        assert!([2.2, 2.4].contains(&worst), "seed {seed}: {worst}");
        outcome(&scenario, HookKind::Published, seed);
        let hardened = outcome(&scenario, HookKind::Hardened, seed);
        is_clean(&hardened, &["doubts", "duplicate-sends", "key-replays", "restarts", "lost-replies"], &[]);
    }
    assert!((switching - 0.125).abs() <= 0.004, "mean restart switching {switching}");
    assert!((cost - 13_800.0).abs() <= 400.0, "mean cost {cost}");
}

#[test]
fn the_retry_storm_is_reproduced_and_absent_in_the_hardened_hook() {
    let scenario = shipped("incidents/retry-storm.toml");
    for seed in 1..=5 {
        outcome(&scenario, HookKind::Original, seed);
        outcome(&scenario, HookKind::Published, seed);
        let hardened = outcome(&scenario, HookKind::Hardened, seed);
        // Every visitor is new and none of them has to try again, so nobody can switch.
        is_clean(&hardened, &["receipts"], &["ASSIGN-1"]);
    }
}

#[test]
fn clock_steps_and_drift_move_nobody_and_grant_nothing_twice() {
    let scenario = shipped("incidents/clock-step.toml");
    for seed in 1..=3 {
        outcome(&scenario, HookKind::Original, seed);
        outcome(&scenario, HookKind::Published, seed);
        let hardened = outcome(&scenario, HookKind::Hardened, seed);
        is_clean(&hardened, &["doubts", "duplicate-sends", "key-replays", "crashes", "restarts", "clock-changes"], &[]);
    }
}
