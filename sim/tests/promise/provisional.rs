//! Goal: what users see while the store can't record, and across all changes of an experiment: nobody who was exposed ever
//! sees another variant, and nothing is granted on an answer without a record.
//!
//! Method: returning users, a fleet that is being re-weighted in turn, and a store that goes away meanwhile, in each way it
//! can; judged by the oracles. Each zero stands beside the counts that were met, and turns red without its protection.

use hookproof_core::protection::{Protection, Protections};
use hookproof_sim::metrics::Metric;
use hookproof_sim::outcome::{Invariant, Outcome, Value, Verdict};
use hookproof_sim::scenario::{HookKind, decode};
use hookproof_sim::{Recording, Setting, run_with};

const BASE: &str = r#"
schema = 1
title = "Provisional answers"
duration = "120s"
calm = "60s"
hooks = ["hardened"]
[experiment]
id = "e"
[[experiment.variant]]
name = "control"
weight = 50
[[experiment.variant]]
name = "extra"
weight = 50
grant = 25
[users]
population = 600
[[traffic]]
kind = "steady"
rate = "40/s"
[caller]
retries = 3
[fleet]
instances = 4
restart = { every = "10h", downtime = "1s" }
"#;

/// Instances get other weights in turn, twice: the first time mostly before the store goes away, the second time while it is
/// away, so that it has never heard of the third version.
const REWEIGHT: &str = r#"
[[fault]]
kind = "process.deploy"
version = 2
at = "10s"
for = "30s"
[fault.experiment]
variant = [{ name = "control", weight = 80 }, { name = "extra", weight = 20, grant = 25 }]
[[fault]]
kind = "process.deploy"
version = 3
at = "50s"
for = "30s"
[fault.experiment]
variant = [{ name = "control", weight = 5 }, { name = "extra", weight = 95, grant = 25 }]
"#;

/// Each way in which a store can't record, from 35 s to 85 s.
const AWAY: [&str; 5] = [
    "kind = \"store.outage\"",
    "kind = \"store.error\"",
    "kind = \"store.error\"\non = [\"app-1\"]",
    "kind = \"store.read-only\"",
    "kind = \"store.full\"",
];

fn outcome(more: &str, protections: Protections, seed: u64) -> Outcome {
    let source = format!("{BASE}{more}");
    let scenario =
        decode("provisional", "provisional.toml", source.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
    let setting = Setting { hook: HookKind::Hardened, protections, sabotage: None, recording: Recording::Off, seed };
    run_with(&scenario, setting, &mut |_| {}).0
}

fn reweighted_while(away: &str) -> String {
    format!("{REWEIGHT}[[fault]]\nname = \"away\"\nat = \"35s\"\nfor = \"50s\"\n{away}\n")
}

fn invariant<'o>(outcome: &'o Outcome, id: &str) -> &'o Invariant {
    outcome.invariants.iter().find(|invariant| invariant.id == id).expect("a named invariant")
}

/// A metric that counts.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the line before has excluded both")]
fn count(number: f64) -> u64 {
    assert!(number >= 0.0 && number.fract().abs() < f64::EPSILON, "{number} counts nothing");
    number as u64
}

fn number(outcome: &Outcome, metric: Metric) -> u64 {
    match outcome.metrics.get(&metric) {
        Some(Value::Number(number)) => count(*number),
        other => panic!("{}: {other:?}", metric.name()),
    }
}

fn assert_nobody_switched(outcome: &Outcome, context: &str) {
    assert_eq!(outcome.verdict, Verdict::Pass, "{context}: {:#?}", outcome.invariants);
    assert!(invariant(outcome, "ASSIGN-1").checked > 0, "{context}");
    assert_eq!(number(outcome, Metric::GroupSwitchingUsers), 0, "{context}");
    assert_eq!(number(outcome, Metric::OverAllocationUsers), 0, "{context}");
    assert_eq!(number(outcome, Metric::WrongAllocationUsers), 0, "{context}");
    assert!(number(outcome, Metric::OverAllocationMaxGrants) <= 1, "{context}");
}

#[test]
fn a_reweighting_while_the_store_is_away_shows_no_exposed_user_another_variant() {
    for away in AWAY {
        for seed in 1..=8 {
            let outcome = outcome(&reweighted_while(away), Protections::ALL, seed);
            let context = format!("{away}, seed {seed}");
            assert_nobody_switched(&outcome, &context);
            for count in ["provisional", "provisional-agreements", "baseline-fallbacks", "store-failures"] {
                assert!(outcome.reached[count] > 0, "{context}: no {count}");
            }
        }
    }
}

#[test]
fn without_agreement_of_the_versions_exposed_users_see_another_variant() {
    for away in AWAY {
        for seed in 1..=8 {
            let without = Protections::ALL.without(Protection::VersionAgreement);
            let outcome = outcome(&reweighted_while(away), without, seed);
            let found = invariant(&outcome, "ASSIGN-1");
            assert!(found.violations > 0 && found.first.is_some(), "{away}, seed {seed}: {found:?}");
            assert!(number(&outcome, Metric::GroupSwitchingUsers) > 0, "{away}, seed {seed}");
        }
    }
}

/// What a version changes, rolled out over the whole fleet within 3 s.
fn change(version: u32, seconds: u32, keys: &str) -> String {
    format!(
        "[[fault]]\nkind = \"process.deploy\"\nname = \"v{version}\"\nversion = {version}\nat = \"{seconds}s\"\nfor = \"3s\"\n[fault.experiment]\n{keys}\n"
    )
}

/// Every operation that an experiment may go through, one after the other, ten seconds each.
fn all_operations() -> String {
    let arms = "variant = [{ name = \"control\", weight = 50 }, { name = \"extra\", weight = 50, grant = 25 }, { name = \"more\", weight = 50, grant = 40 }]";
    let keys = [
        arms,
        "coverage = 0.2",
        "coverage = 0.7",
        "salt = \"again\"\ngeneration = 1\noperations = [\"reshuffle\"]",
        "phase = \"ended\"",
        "phase = \"running\"",
        "exposed = \"block\"\ngeneration = 2",
        "coverage = 1.0",
    ];
    keys.iter().zip(0..).map(|(keys, step)| change(step + 2, 10 + 10 * step, keys)).collect()
}

#[test]
fn no_operation_on_an_experiment_moves_an_exposed_user_or_grants_twice() {
    for seed in 1..=8 {
        for store in ["", "[[fault]]\nkind = \"store.error\"\nat = \"0s\"\nfor = \"120s\"\nprobability = 0.2\n"] {
            let outcome = outcome(&(all_operations() + store), Protections::ALL, seed);
            assert_nobody_switched(&outcome, &format!("seed {seed}, {store}"));
            assert!(invariant(&outcome, "ASSIGN-2").checked > 300, "{:?}", invariant(&outcome, "ASSIGN-2"));
            assert_eq!(number(&outcome, Metric::AssignmentMismatchUsers), 0);
            assert_eq!(number(&outcome, Metric::ExposureDuplicates), 0);
            assert!(outcome.reached["receipts"] > 100 && outcome.reached["blocked"] > 0, "{:?}", outcome.reached);
        }
    }
    let exposed = |from| during(&all_operations(), Metric::ExposureLogged, from, from + 7);
    let of_versions: Vec<u64> = (3..=83).step_by(10).map(exposed).collect();
    assert!(of_versions.iter().zip(1..).all(|(users, version)| (*users > 0) == (version != 6)), "{of_versions:?}");
}

/// The value of `metric` in `[from, to)` seconds of a run with the changes `more`.
fn during(more: &str, metric: Metric, from: u32, to: u32) -> u64 {
    let window = format!("[[window]]\nname = \"w\"\nat = \"{from}s\"\nfor = \"{}s\"\n", to - from);
    let expect = format!("[[expect]]\nmetric = \"{}\"\nat-least = 0\nduring = \"w\"\n", metric.name());
    let outcome = outcome(&[more, &window, &expect].concat(), Protections::ALL, 1);
    match outcome.expectations[0].value {
        Some(Value::Number(number)) => count(number),
        other => panic!("{}: {other:?}", metric.name()),
    }
}

#[test]
fn an_ended_experiment_exposes_nobody_new_and_forgets_nobody() {
    let end = change(2, 20, "phase = \"ended\"");
    assert!(during(&end, Metric::ExposureLogged, 0, 20) > 100);
    assert_eq!(during(&end, Metric::ExposureLogged, 25, 120), 0);
    let outcome = outcome(&end, Protections::ALL, 1);
    assert_nobody_switched(&outcome, "ended");
}

#[test]
fn after_a_ramp_down_exposed_users_keep_their_variant_and_after_a_ramp_up_the_others_come() {
    let down = change(2, 20, "coverage = 0");
    assert_eq!(during(&down, Metric::ExposureLogged, 25, 120), 0);
    let up = down.clone() + &change(3, 60, "coverage = 1.0");
    assert!(during(&up, Metric::ExposureLogged, 65, 120) > 100);
    for changes in [down, up] {
        assert_nobody_switched(&outcome(&changes, Protections::ALL, 1), &changes);
    }
}

#[test]
fn blocked_users_are_not_exposed_again_and_others_are() {
    let block = change(2, 20, "exposed = \"block\"\ngeneration = 1");
    let outcome = outcome(&block, Protections::ALL, 1);
    assert_nobody_switched(&outcome, "block");
    assert_eq!(number(&outcome, Metric::ExposureDuplicates), 0);
    assert!(outcome.reached["blocked"] > 100, "{:?}", outcome.reached);
    assert!(during(&block, Metric::ExposureLogged, 25, 120) > 50);
}

#[test]
fn an_answer_without_a_record_is_no_exposure_and_grants_nothing() {
    let away = "[[fault]]\nkind = \"store.outage\"\nat = \"20s\"\nfor = \"60s\"\n";
    assert_eq!(during(away, Metric::ExposureLogged, 20, 80), 0);
    assert!(during(away, Metric::HookProvisional, 20, 80) > 2_000);
    assert_eq!(during(away, Metric::AuditUnexposedEffects, 0, 120), 0);
    let outcome = outcome(away, Protections::ALL, 1);
    assert_nobody_switched(&outcome, "away");
    assert_eq!(number(&outcome, Metric::UndeliveredUsers), 0);
    assert_eq!(number(&outcome, Metric::ExposureDuplicates), 0);
}

#[test]
fn processes_that_cannot_open_the_store_show_the_baseline_and_recover_by_themselves() {
    let away = "[[fault]]\nkind = \"store.outage\"\nat = \"0s\"\nfor = \"60s\"\n";
    for seconds in [1, 30] {
        let changes = change(2, seconds, "coverage = 0.9") + away;
        assert_eq!(during(&changes, Metric::ExposureLogged, 0, 60), 0);
        assert_eq!(during(&changes, Metric::UpstreamAttempts, 0, 60), 0);
        assert!(during(&changes, Metric::ExposureLogged, 66, 120) > 100);
        assert_eq!(during(&changes, Metric::HookProvisional, 66, 120), 0, "the fleet has opened its store");
        assert_nobody_switched(&outcome(&changes, Protections::ALL, 1), &changes);
    }
}
