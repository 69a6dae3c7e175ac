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

fn value(outcome: &Outcome, metric: Metric) -> Option<Value> {
    outcome.metrics.get(&metric).copied()
}

fn number(outcome: &Outcome, metric: Metric) -> f64 {
    match value(outcome, metric) {
        Some(Value::Number(number)) => number,
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
fn the_restart_that_ends_a_downtime_belongs_to_the_fault_that_began_it() {
    // All users are seen on both sides of each restart; the program forgets whom it assigned, so that half of them switch.
    let crash = "[[fault]]\nkind = \"process.crash\"\nname = \"crash\"\nat = \"60s\"\ndowntime = \"3s\"\n";
    let roll_out =
        "[[fault]]\nkind = \"process.rolling-restart\"\nname = \"roll-out\"\nat = \"120s\"\non = [\"app-1\"]\n";
    // A fault that ends when the crash does has no restart of its own.
    let slow = "[[fault]]\nkind = \"quota.slow\"\nname = \"slow\"\nfactor = 2\nat = \"60s\"\nfor = \"3s\"\n";
    let expect = |during: &str| {
        format!("[[expect]]\nmetric = \"group-switching.restart-rate\"\nat-least = 0\nduring = \"{during}\"\n")
    };
    let expects = ["crash", "roll-out", "slow"].map(expect).concat();
    let outcome = outcome(&[crash, roll_out, slow, &expects].concat(), HookKind::Original);
    let rates: Vec<_> = outcome.expectations.iter().map(|expectation| expectation.value).collect();
    let [Some(Value::Number(crash)), Some(Value::Number(roll_out)), None] = rates[..] else { panic!("{rates:?}") };
    assert!((0.35..0.65).contains(&crash) && (0.0..0.65).contains(&roll_out), "{crash} {roll_out}");
    let mean = number(&outcome, Metric::GroupSwitchingRestartRate);
    assert!(f64::abs(mean - f64::midpoint(crash, roll_out)) < 1e-12, "{mean} of {crash} and {roll_out}");
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
    // Nothing is delivered in the storm, everything in the calm.
    let outage = "[[fault]]\nkind = \"quota.outage\"\nat = \"0s\"\nfor = \"200s\"\n[hardened]\nbackoff-cap = \"1s\"\nbreaker-open-cap = \"5s\"\n";
    let expect =
        |during: &str| format!("[[expect]]\nmetric = \"undelivered.users\"\nat-least = 0\nduring = \"{during}\"\n");
    let outcome = outcome(&[outage, &expect("storm"), &expect("calm")].concat(), HookKind::Hardened);
    let values: Vec<_> = outcome.expectations.iter().map(|expectation| expectation.value).collect();
    let entitled = outcome.reached["receipts"] as f64;
    assert!(entitled > 0.0);
    assert_eq!(values, [Some(Value::Number(entitled)), Some(Value::Number(0.0))]);
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
fn a_run_in_which_no_process_is_ever_up_proves_nothing() {
    let down = "[[fault]]\nkind = \"process.crash\"\nname = \"down\"\nat = \"0s\"\ndowntime = \"200s\"\n";
    let outcome = outcome(down, HookKind::Hardened);
    assert!(outcome.hook_calls > 0);
    assert_eq!((outcome.calls_answered, outcome.verdict), (0, Verdict::Inconclusive));
}

#[test]
fn what_is_measured_over_the_whole_run_says_so_in_a_stretch() {
    let expect = "[[expect]]\nmetric = \"upstream.amplification\"\nat-most = 2\nduring = \"storm\"\n";
    let outcome = outcome(expect, HookKind::Hardened);
    assert_eq!(outcome.expectations[0].verdict, Verdict::Inconclusive);
    assert_eq!(outcome.expectations[0].note, "it is measured over the whole run only");
}

#[test]
fn a_fault_without_opportunity_makes_inconclusive_what_names_it_and_says_why() {
    let expect =
        |name: &str| format!("[[expect]]\nmetric = \"over-allocation.users\"\nequals = 0\nduring = \"{name}\"\n");
    let idle = "[[fault]]\nkind = \"quota.slow\"\nname = \"idle\"\nat = \"199999ms\"\nfor = \"1ms\"\nfactor = 2\n";
    let outcome = outcome(&(idle.to_owned() + &expect("idle")), HookKind::Hardened);
    assert_eq!(outcome.expectations[0].note, "the fault \"idle\" had no opportunity");
    assert_eq!(outcome.verdict, Verdict::Inconclusive);
}

#[test]
fn a_metronome_beats_rate_times_length_times() {
    let beat = "[[traffic]]\nname = \"b\"\nkind = \"steady\"\nspacing = \"even\"\nrate = \"1/s\"\nat = \"10s\"\nfor = \"10s\"\n";
    let outcome = run(&scenario(beat), HookKind::Hardened, 1, &mut |_| {});
    assert_eq!(outcome.hook_calls, 10);
}

#[test]
fn rates_of_the_whole_run_are_those_of_the_storm() {
    // A worker takes a second for each of 20 requests a second, so most of them are served in the calm or not at all.
    let slow = "[upstream]\nworkers = 1\nservice-time = \"1s\"\n[[expect]]\nmetric = \"upstream.mean-rps\"\nat-least = 0\nduring = \"storm\"\n";
    let outcome = outcome(slow, HookKind::Hardened);
    assert_eq!(outcome.expectations[0].value, value(&outcome, Metric::UpstreamMeanRps));
    assert!(number(&outcome, Metric::UpstreamMeanRps) <= number(&outcome, Metric::UpstreamPeakRps));
}

#[test]
fn a_point_fault_stands_for_what_follows_it() {
    let expect = |name: &str| format!("[[expect]]\nmetric = \"exposure.logged\"\nat-least = 0\nduring = \"{name}\"\n");
    let crash = "[[fault]]\nname = \"crash\"\nkind = \"process.crash\"\nat = \"50s\"\ndowntime = \"30s\"\n";
    let keys = "[[fault]]\nname = \"keys\"\nkind = \"quota.restart\"\nat = \"150s\"\n";
    let source = [STEADY, crash, keys, &expect("crash"), &expect("keys")].concat();
    let spans: Vec<_> = scenario(&source).expects.into_iter().map(|expect| expect.during.stretches).collect();
    let seconds = std::time::Duration::from_secs;
    assert_eq!(spans, [vec![(seconds(50), seconds(80))], vec![(seconds(150), seconds(200))]]);
}

#[test]
fn entitlement_is_that_of_the_version_that_showed_it() {
    let deploy = "[[fault]]\nkind = \"process.deploy\"\nversion = 2\nat = \"2s\"\n[fault.experiment]\nvariant = [{ name = \"control\", weight = 1 }, { name = \"treatment\", weight = 1, grant = 50 }]\n";
    let outcome = outcome(deploy, HookKind::Hardened);
    assert_eq!(value(&outcome, Metric::OverAllocationWorstRatio), Some(Value::Number(1.0)));
    let cap_ratio = value(&outcome, Metric::OverAllocationWorstCapRatio);
    assert_eq!(cap_ratio, Some(Value::Number(1.0)), "somebody holds the larger grant");
    assert_eq!(outcome.verdict, Verdict::Pass, "{:#?}", outcome.invariants);
}

#[test]
fn a_hard_limit_is_the_grants_affair_and_not_the_lanes() {
    let outcome = outcome("[quota]\nbase = 100\nhard-limit = 110\n", HookKind::Hardened);
    assert_eq!(value(&outcome, Metric::GrantRejected), value(&outcome, Metric::UndeliveredUsers));
    assert!(number(&outcome, Metric::GrantRejected) > 0.0);
    assert_eq!((outcome.reached["lane-pauses"], outcome.verdict), (0, Verdict::Pass), "{:#?}", outcome.invariants);
}

#[test]
fn a_refused_request_is_an_attempt_and_no_call() {
    let refused = "[[fault]]\nkind = \"quota.outage\"\nat = \"0s\"\nfor = \"200s\"\n";
    let outcome = outcome(refused, HookKind::Original);
    assert!(number(&outcome, Metric::UpstreamAttempts) > 0.0);
    assert_eq!(value(&outcome, Metric::UpstreamCalls), Some(Value::Number(0.0)));
    assert_eq!(value(&outcome, Metric::UpstreamAmplification), None);
}

#[test]
fn overlapping_causes_end_one_by_one() {
    let crash = |at: u32, downtime: u32| {
        format!("[[fault]]\nkind = \"process.crash\"\nat = \"{at}s\"\ndowntime = \"{downtime}s\"\n")
    };
    let expect = "[[window]]\nname = \"down\"\nat = \"52s\"\nfor = \"57s\"\n[[expect]]\nmetric = \"exposure.logged\"\nequals = 0\nduring = \"down\"\n";
    let outcome = outcome(&[&crash(50, 60), &crash(51, 5), expect].concat(), HookKind::Hardened);
    assert_eq!(outcome.expectations[0].value, Some(Value::Number(0.0)), "the fleet came up before its time");
}

#[test]
fn a_reordered_request_is_executed_after_its_client_gave_up_and_grants_nothing_twice() {
    let reorder =
        "[[fault]]\nkind = \"network.reorder\"\nname = \"late\"\nat = \"0s\"\nfor = \"100s\"\nprobability = 0.5\n";
    let outcome = outcome(reorder, HookKind::Hardened);
    assert!(outcome.faults[0].effects > 0);
    assert!(outcome.reached["abandoned-calls"] > 0 && outcome.reached["key-replays"] > 0);
    assert_eq!(outcome.verdict, Verdict::Pass, "{:#?}", outcome.invariants);
}

#[test]
fn a_false_belief_about_the_request_lifetime_changes_nothing_and_is_counted() {
    let reorder =
        "[[fault]]\nkind = \"network.reorder\"\nname = \"late\"\nat = \"0s\"\nfor = \"100s\"\nprobability = 0.5\n";
    let right = outcome(reorder, HookKind::Published);
    let wrong =
        outcome(&format!("[upstream]\nbelieved = {{ request-lifetime = \"1s\" }}\n{reorder}"), HookKind::Published);
    assert_eq!(right.digest, wrong.digest);
    assert_eq!(right.reached["late-executions"], 0, "reordering stays within what is true");
    assert!(wrong.reached["late-executions"] > 0);
}

#[test]
fn with_a_base_of_0_the_control_holds_nothing_and_whoever_grants_to_it_is_infinitely_wrong() {
    let base_0 = "[quota]\nbase = 0\n[[expect]]\nmetric = \"over-allocation.worst-ratio\"\nat-most = 1e9\n";
    let hardened = outcome(base_0, HookKind::Hardened);
    assert_eq!(value(&hardened, Metric::OverAllocationWorstRatio), Some(Value::Number(1.0)));
    assert_eq!(hardened.verdict, Verdict::Pass, "{:#?}", hardened.invariants);
    let original = outcome(base_0, HookKind::Original);
    assert_eq!(value(&original, Metric::OverAllocationWorstRatio), Some(Value::Never));
    assert_eq!(original.expectations[0].verdict, Verdict::Violated);
}

#[test]
fn an_experiment_whose_users_change_groups_reports_a_part_of_its_lift() {
    // So large a lift drowns the noise. All 200 users come about 20 times, so that the first program grants to all of them.
    let source = format!("{BASE}{STEADY}").replace("id = \"e\"", "id = \"e\"\ntrue-lift = 1e6");
    let scenario = decode("lift", "lift.toml", source.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
    let bias = |hook| number(&run(&scenario, hook, 1, &mut |_| {}), Metric::ExperimentLiftBias);
    let (hardened, original) = (bias(HookKind::Hardened), bias(HookKind::Original));
    assert!(hardened.abs() < 1e-4, "{hardened}");
    assert!((-1.1..=-0.9).contains(&original), "both groups hold the same: {original}");
}

#[test]
fn the_sample_ratio_is_that_of_the_version_that_showed_the_variant() {
    // Most users are first exposed by the second version, which treats nine in ten. Against equal weights p would be 0.
    let deploy = "[[fault]]\nkind = \"process.deploy\"\nversion = 2\nat = \"2s\"\n[fault.experiment]\nvariant = [{ name = \"control\", weight = 1 }, { name = \"treatment\", weight = 9, grant = 25 }]\n";
    let p = number(&outcome(deploy, HookKind::Hardened), Metric::ExperimentSrmP);
    assert!(p > 1e-3, "{p}");
}

#[test]
fn a_visit_that_is_open_when_the_run_ends_has_waited_until_then() {
    // Everybody is treated and hangs. Whoever tries in the last two seconds leaves off at 228 s and would try again at 230 s, when
    // the run is over.
    let hang = "[[traffic]]\nkind = \"steady\"\nrate = \"1/s\"\nspacing = \"even\"\n[caller]\ndeadline = \"30s\"\nretries = \"unlimited\"\npause = { from = \"2s\", to = \"2s\" }\n[[fault]]\nkind = \"quota.outage\"\nmode = \"hang\"\nat = \"0s\"\nfor = \"200s\"\n";
    let source = format!("{BASE}{hang}").replacen("weight = 1", "weight = 0", 1);
    let scenario = decode("hang", "hang.toml", source.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
    let outcome = run(&scenario, HookKind::Original, 1, &mut |_| {});
    let answered = number(&outcome, Metric::UpstreamCalls) - number(&outcome, Metric::HookErrors);
    assert!(answered < 200.0, "{answered} of 200 visits are answered, so that some are open");
    assert_eq!(outcome.series.counts["visits"].iter().sum::<u64>(), 200);
}
