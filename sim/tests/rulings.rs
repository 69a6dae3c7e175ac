//! Rulings of the contract that no incident touches: what counts as one restart, what a stretch sees, whose invariants are
//! enforced, what is inconclusive. Method: small scenarios whose outcome follows from the rule alone.

use hookproof_sim::metrics::Metric;
use hookproof_sim::outcome::{Outcome, Role, Value, Verdict};
use hookproof_sim::run;
use hookproof_sim::scenario::{HookKind, Scenario, decode};

const BASE: &str = r#"
schema = 1
title = "A ruling"
duration = "200s"
calm = "30s"
[experiment]
id = "e"
[[experiment.variant]]
name = "control"
weight = 1
[[experiment.variant]]
name = "treatment"
weight = 1
grant = 25
[users]
population = 200
[fleet]
instances = 4
"#;

const STEADY: &str = r#"
[[traffic]]
name = "base"
kind = "steady"
rate = "20/s"
"#;

fn scenario(more: &str) -> Scenario {
    let source = format!("{BASE}{more}");
    decode("ruling", "ruling.toml", source.as_bytes()).unwrap_or_else(|error| panic!("{error}"))
}

fn outcome(more: &str, hook: HookKind) -> Outcome {
    run(&scenario(&format!("{STEADY}{more}")), hook, 1, &mut |_| {})
}

fn number(outcome: &Outcome, metric: Metric) -> f64 {
    match outcome.metrics.get(&metric) {
        Some(Value::Number(number)) => *number,
        other => panic!("{}: {other:?}", metric.name()),
    }
}

#[test]
fn a_deploy_is_one_restart_however_long_it_takes() {
    // All 200 users are seen before and after, so a second boundary would make the mean of two ratios about a quarter.
    let deploy = "[[fault]]\nkind = \"process.deploy\"\nversion = 2\nat = \"100s\"\nfor = \"40s\"\n";
    let outcome = outcome(deploy, HookKind::Original);
    assert_eq!(outcome.reached["restarts"], 4);
    let rate = number(&outcome, Metric::GroupSwitchingRestartRate);
    assert!((0.35..0.65).contains(&rate), "{rate}");
    assert_eq!(outcome.faults[0].effects, 1);
}

#[test]
fn a_fault_of_probability_zero_does_nothing() {
    let faults = ["clock.step", "process.rolling-restart", "process.deploy", "quota.restart", "process.crash"];
    let parameters = ["by = \"30s\"", "downtime = \"1s\"", "version = 2", "", "downtime = \"1s\""];
    for (kind, parameter) in faults.into_iter().zip(parameters) {
        let fault = format!("[[fault]]\nkind = \"{kind}\"\nat = \"50s\"\nprobability = 0\n{parameter}\n");
        let with = outcome(&fault, HookKind::Hardened);
        assert!(with.faults[0].opportunities > 0, "{kind}");
        assert_eq!((with.faults[0].effects, with.reached["restarts"]), (0, 0), "{kind}");
        assert_eq!(with.digest, outcome("", HookKind::Hardened).digest, "{kind}");
    }
}

#[test]
fn a_roll_out_touches_the_instances_it_is_aimed_at() {
    let fault = "[[fault]]\nkind = \"process.rolling-restart\"\nat = \"50s\"\non = [\"app-2\", \"app-3\"]\n";
    assert_eq!(outcome(fault, HookKind::Hardened).reached["restarts"], 2);
}

#[test]
fn the_calm_has_its_own_measure_of_allocation() {
    let expect = "[[expect]]\nmetric = \"over-allocation.users\"\nequals = 0\nduring = \"calm\"\n";
    let outcome = outcome(expect, HookKind::Hardened);
    assert_eq!(outcome.expectations[0].value, Some(Value::Number(0.0)));
    assert_eq!(outcome.verdict, Verdict::Pass);
}

#[test]
fn a_hook_that_the_file_does_not_name_is_judged_by_the_default_rule() {
    let only_original = STEADY.to_owned() + "[hardened]\n";
    let scenario = decode("ruling", "ruling.toml", format!("hooks = [\"original\"]\n{BASE}{only_original}").as_bytes())
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(run(&scenario, HookKind::Hardened, 1, &mut |_| {}).role, Role::Judged);
    assert_eq!(run(&scenario, HookKind::Published, 1, &mut |_| {}).role, Role::Reference);
}

#[test]
fn a_run_in_which_nobody_visits_proves_nothing() {
    let scenario = scenario("[[traffic]]\nkind = \"steady\"\nrate = \"0/s\"\n");
    assert_eq!(run(&scenario, HookKind::Hardened, 1, &mut |_| {}).verdict, Verdict::Inconclusive);
}

#[test]
fn what_is_measured_over_the_whole_run_says_so_in_a_stretch() {
    let expect = "[[expect]]\nmetric = \"upstream.amplification\"\nat-most = 2\nduring = \"storm\"\n";
    let outcome = outcome(expect, HookKind::Hardened);
    assert_eq!(outcome.expectations[0].verdict, Verdict::Inconclusive);
    assert_eq!(outcome.expectations[0].note, "it is measured over the whole run only");
}

#[test]
fn a_fault_without_opportunity_is_inconclusive_and_an_unsupported_one_says_why() {
    let expect =
        |name: &str| format!("[[expect]]\nmetric = \"over-allocation.users\"\nequals = 0\nduring = \"{name}\"\n");
    let idle = "[[fault]]\nkind = \"quota.slow\"\nname = \"idle\"\nat = \"199999ms\"\nfor = \"1ms\"\nfactor = 2\n";
    let outcome = outcome(&(idle.to_owned() + &expect("idle")), HookKind::Hardened);
    assert_eq!(outcome.expectations[0].note, "the fault \"idle\" had no opportunity");
    let unsupported = "[[fault]]\nkind = \"store.full\"\nname = \"full\"\nat = \"10s\"\nfor = \"10s\"\n";
    let outcome = self::outcome(&(unsupported.to_owned() + &expect("full")), HookKind::Hardened);
    assert_eq!(outcome.expectations[0].note, "this version does not simulate store.full");
    assert_eq!(outcome.verdict, Verdict::Inconclusive);
}
