//! Each invariant that is judged from outside is broken on purpose, and found: by the two references here, by hooks that are
//! broken one thing at a time in `sabotage.rs`. And what an invariant leaves out is left out for a reason, and no longer.

use std::collections::BTreeSet;

use hookproof_core::protection::Protections;
use hookproof_sim::metrics::Metric;
use hookproof_sim::oracle::Rule;
use hookproof_sim::outcome::{Invariant, Outcome, Value, Verdict};
use hookproof_sim::sabotage::Sabotage;
use hookproof_sim::scenario::{HookKind, decode};
use hookproof_sim::{Recording, Setting, run, run_with};

const OVER_ALLOCATION: &str = include_str!("../../../scenarios/incidents/over-allocation.toml");
const RETRY_STORM: &str = include_str!("../../../scenarios/incidents/retry-storm.toml");

fn outcome(source: &str, hook: HookKind) -> Outcome {
    let scenario = decode("sabotage", "sabotage.toml", source.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
    run(&scenario, hook, scenario.seed, &mut |_| {})
}

fn sabotaged(source: &str, sabotage: Sabotage) -> Outcome {
    let scenario = decode("sabotage", "sabotage.toml", source.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
    let setting = Setting {
        hook: HookKind::Hardened,
        protections: Protections::ALL,
        sabotage: Some(sabotage),
        recording: Recording::Off,
        seed: scenario.seed,
    };
    run_with(&scenario, setting, &mut |_| {}).0
}

fn invariant(outcome: &Outcome, rule: Rule) -> &Invariant {
    outcome.invariants.iter().find(|invariant| invariant.id == rule.id()).expect("a named invariant")
}

fn assert_found(outcome: &Outcome, ids: &[&str]) {
    for id in ids {
        let invariant = outcome.invariants.iter().find(|invariant| invariant.id == *id).expect("a named invariant");
        assert!(invariant.violations > 0, "{id} was not found broken: {invariant:?}");
        assert!(invariant.first.is_some(), "{id} has no evidence");
    }
}

#[test]
fn a_hook_that_redraws_and_repeats_breaks_assignment_and_grants() {
    let original = outcome(OVER_ALLOCATION, HookKind::Original);
    assert_found(&original, &["ASSIGN-1", "GRANT-1", "GRANT-2", "GRANT-3"]);
}

#[test]
fn a_hook_without_a_limit_that_calls_in_the_visit_breaks_load_and_path() {
    // Long enough for the service to work off what had gathered by the spike's end: the stated time counts that in.
    let long = RETRY_STORM.replace("duration = \"480s\"", "duration = \"1500s\"");
    assert_found(&outcome(&long, HookKind::Published), &["LOAD-1", "LOAD-3", "PATH-1"]);
}

#[test]
fn every_invariant_is_what_some_broken_hook_is_found_by() {
    let finders = Sabotage::ALL.into_iter().flat_map(|sabotage| sabotage.about().found_by);
    let finders: BTreeSet<&str> = finders.copied().collect();
    for rule in Rule::ALL {
        assert!(finders.contains(rule.id()), "no broken hook is there for {}", rule.id());
    }
}

#[test]
fn a_receipt_without_an_effect_is_found_in_the_books() {
    let lie = "[[fault]]\nkind = \"quota.false-ack\"\nname = \"lie\"\nat = \"10s\"\nfor = \"10s\"\n";
    assert_found(&outcome(&format!("{RETRY_STORM}\n{lie}"), HookKind::Hardened), &["AUDIT-1"]);
}

/// One grant at a time. An instance claims it and stands still before it sends; the other one takes it over when the lease is
/// over, and the first wakes up while a request of the other is under way.
const OVERTAKEN: &str = r#"
schema = 1
title = "A process sleeps through its lease"
duration = "60s"
calm = "5m"
hooks = ["hardened"]
[experiment]
id = "e"
[[experiment.variant]]
name = "control"
weight = 0
[[experiment.variant]]
name = "extra"
weight = 1
grant = 25
[users]
population = 40
visits = { mean = 2, per = "1m" }
[fleet]
instances = 2
[store]
clock-error = "100ms"
[upstream]
workers = 8
service-time = "1500ms"
[hardened]
max-in-flight = 1
lease = "2s"
attempt-timeout = "1600ms"
connect-timeout = "300ms"
[[fault]]
kind = "process.pause"
name = "asleep"
at = "3s"
for = "14s"
when = "claimed"
on = ["app-1"]
[[fault]]
kind = "process.pause"
name = "asleep-as-well"
at = "25s"
for = "14s"
when = "claimed"
on = ["app-2"]
"#;

#[test]
fn a_process_that_sleeps_through_its_lease_may_overtake_the_limit_once_it_wakes() {
    let outcome = outcome(OVERTAKEN, HookKind::Hardened);
    assert!(outcome.reached["limit-overtaken"] > 0, "{:?}", outcome.reached);
    assert_eq!(outcome.verdict, Verdict::Pass, "{:#?}", outcome.invariants);
    assert!(invariant(&outcome, Rule::Load1).checked > 0, "the limit holds before the pause and after it");
}

#[test]
fn the_limit_holds_again_after_the_pause() {
    let outcome = sabotaged(OVERTAKEN, Sabotage::LimitPerInstance);
    let load = invariant(&outcome, Rule::Load1);
    assert!(load.violations > 0, "{load:?}");
    assert!(outcome.reached["process-pauses"] > 0, "{:?}", outcome.reached);
}

/// A process sleeps while the store replies to its claim.
///
/// 1. app-1 claims, and stands still before it has heard of it.
/// 2. It wakes up while its lease still holds, but not for as long as an attempt takes.
/// 3. Had it sent, app-2 would take the grant over and send beside it.
const HEARD_LATE: &str = r#"
schema = 1
title = "A process hears of its claims late"
duration = "60s"
calm = "10m"
hooks = ["hardened"]
[experiment]
id = "e"
[[experiment.variant]]
name = "control"
weight = 0
[[experiment.variant]]
name = "extra"
weight = 1
grant = 25
[users]
population = 40
visits = { mean = 4, per = "1m" }
[fleet]
instances = 2
[store]
latency-commit = "900ms"
clock-error = "100ms"
[upstream]
workers = 8
service-time = "4800ms"
[hardened]
max-in-flight = 4
lease = "8s"
attempt-timeout = "5s"
[[fault]]
kind = "process.pause"
name = "asleep"
at = "2s"
for = "6500ms"
every = "10s"
on = ["app-1"]
"#;

#[test]
fn a_process_that_hears_of_its_claim_late_sends_nothing_that_could_outlast_the_lease() {
    let scenario = decode("late", "late.toml", HEARD_LATE.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
    let mut given_back = 0;
    for seed in 1..=8 {
        let outcome = run(&scenario, HookKind::Hardened, seed, &mut |_| {});
        assert_eq!(outcome.verdict, Verdict::Pass, "seed {seed}: {:#?}", outcome.invariants);
        assert_eq!(outcome.reached["limit-overtaken"], 0, "no pause here excuses anything");
        given_back += outcome.reached["releases"];
    }
    assert!(given_back > 0, "in no seed was a claim's reply late");
}

/// Nobody is newly entitled for three minutes after the outage, then two users are, and are served at once.
const DESERTED: &str = r#"
schema = 1
title = "Nobody comes any more"
duration = "4m"
calm = "5m"
hooks = ["hardened"]
[experiment]
id = "e"
[[experiment.variant]]
name = "control"
weight = 0
[[experiment.variant]]
name = "extra"
weight = 1
grant = 25
[hardened]
breaker-open = "1s"
breaker-open-cap = "5s"
backoff-cap = "5s"
lease = "7s"
[[traffic]]
name = "early"
kind = "steady"
rate = "1/s"
for = "14s"
[[traffic]]
name = "late"
kind = "steady"
rate = "0.2/s"
spacing = "even"
at = "225s"
for = "10s"
[[fault]]
kind = "quota.outage"
at = "5s"
for = "10s"
"#;

/// The first 30 s that anything can be told by begin later than the stated time ends.
#[test]
fn goodput_is_not_late_where_nobody_is_newly_entitled() {
    let deserted = outcome(DESERTED, HookKind::Hardened);
    assert!(matches!(deserted.metrics[&Metric::UpstreamRecoverySeconds], Value::Number(after) if after > 150.0));
    assert_eq!((invariant(&deserted, Rule::Load3).checked, invariant(&deserted, Rule::Load3).violations), (0, 0));
    let busy =
        outcome(&DESERTED.replace("at = \"225s\"\nfor = \"10s\"", "at = \"15s\"\nfor = \"220s\""), HookKind::Hardened);
    assert_eq!((invariant(&busy, Rule::Load3).checked, invariant(&busy, Rule::Load3).violations), (1, 0));
}

/// One request in 150 takes longer than the client waits, with no trigger near. Half a minute has 15 new entitlements, so one such request is more
/// than the 5 % that goodput may lack.
#[test]
fn goodput_is_not_late_for_a_request_that_is_slow_by_itself() {
    let service = "[upstream]\nservice-time = { mean = \"50ms\", distribution = \"exponential\" }\n";
    let busy = DESERTED
        .replace("rate = \"0.2/s\"", "rate = \"0.5/s\"")
        .replace("at = \"225s\"\nfor = \"10s\"", "at = \"15s\"\nfor = \"220s\"")
        .replace("for = \"14s\"", "for = \"4s\"");
    let hurried = busy.replace(
        "[hardened]\n",
        "[hardened]\nmax-in-flight = 16\nattempt-timeout = \"250ms\"\nconnect-timeout = \"250ms\"\n",
    );
    let scenario =
        decode("slow", "slow.toml", format!("{hurried}{service}").as_bytes()).unwrap_or_else(|error| panic!("{error}"));
    let mut late = 0;
    for seed in 1..=300 {
        let outcome = run(&scenario, HookKind::Hardened, seed, &mut |_| {});
        let recovery = invariant(&outcome, Rule::Load3);
        assert_eq!((recovery.checked, recovery.violations), (1, 0), "seed {seed}: {:?}", recovery.first);
        late += u32::from(
            matches!(outcome.metrics[&Metric::UpstreamRecoverySeconds], Value::Number(after) if after > 25.0),
        );
    }
    assert!(late > 0, "in no seed was there one at the wrong moment");
}

/// One instance's wall clock is an hour behind. The store's is not, so what rests on it is judged.
#[test]
fn a_clock_fault_that_names_no_target_leaves_the_stores_clock_to_be_relied_on() {
    let step = "[[fault]]\nkind = \"clock.step\"\nat = \"1s\"\nby = \"-1h\"\n";
    let of = |on: &str| {
        let outcome = sabotaged(&format!("{OVERTAKEN}\n{step}{on}"), Sabotage::SendsTwice);
        invariant(&outcome, Rule::Grant5).violations
    };
    assert!(of("") > 0, "requests that overlap are found");
    assert_eq!(of("on = [\"store\"]\n"), 0, "beyond its declared bound nothing can be said");
}

/// After a failover everything is in doubt, and under `read-back` nothing is sent until a read is proof: that is part of the
/// stated time, however long it is.
#[test]
fn recovery_by_reading_may_take_until_a_read_is_proof() {
    let read_back = "[upstream]\ncapability = \"read-back\"\nrequest-lifetime = \"60s\"\nread-back-lag = \"5s\"\n";
    let failover = "[[fault]]\nkind = \"store.failover\"\nat = \"14s\"\nlost = \"0s\"\n";
    let busy = DESERTED.replace("at = \"225s\"\nfor = \"10s\"", "at = \"15s\"\nfor = \"220s\"");
    let outcome = outcome(&format!("{busy}{failover}{read_back}"), HookKind::Hardened);
    assert!(matches!(outcome.metrics[&Metric::UpstreamRecoverySeconds], Value::Number(after) if after > 40.0));
    assert_eq!((invariant(&outcome, Rule::Load3).checked, invariant(&outcome, Rule::Load3).violations), (1, 0));
}

/// Half of the answers are lost, so half of the grants are in doubt.
const DOUBTFUL: &str = r#"
schema = 1
title = "Lost answers"
duration = "60s"
calm = "5m"
hooks = ["hardened"]
[experiment]
id = "e"
[[experiment.variant]]
name = "control"
weight = 0
[[experiment.variant]]
name = "extra"
weight = 1
grant = 25
[fleet]
instances = 2
[[traffic]]
kind = "steady"
rate = "2/s"
[[fault]]
kind = "quota.lost-reply"
at = "5s"
for = "40s"
probability = 0.5
[upstream]
key-ttl = "1h"
request-lifetime = "5s"
"#;

fn offering(capability: &str) -> String {
    format!("{DOUBTFUL}capability = \"{capability}\"\n")
}

#[test]
fn a_repetition_that_no_window_could_forbid_is_none_that_the_window_was_kept_for() {
    let [keys, ids] = ["idempotency-key", "put-by-id"].map(|offer| outcome(&offering(offer), HookKind::Hardened));
    assert!(keys.reached["windowed-sends"] > 20 && ids.reached["windowed-sends"] == 0);
    assert!(keys.reached["sends-in-doubt"] > 20 && ids.reached["sends-in-doubt"] > 20);
    assert!(invariant(&keys, Rule::Grant4).checked > 20 && invariant(&ids, Rule::Grant4).checked == 0);
    assert_eq!((keys.verdict, ids.verdict), (Verdict::Pass, Verdict::Pass));
}

#[test]
fn a_doubt_that_a_repetition_or_a_read_would_end_is_no_reason_to_park() {
    for offer in ["idempotency-key", "put-by-id", "read-back"] {
        let parked = sabotaged(&offering(offer), Sabotage::ParksInDoubt);
        assert!(invariant(&parked, Rule::Grant3).violations > 20, "{offer}: {:?}", invariant(&parked, Rule::Grant3));
    }
    let parked = sabotaged(&offering("none"), Sabotage::ParksInDoubt);
    assert_eq!((invariant(&parked, Rule::Grant3).violations, parked.verdict), (0, Verdict::Pass));
    assert!(parked.reached["parked"] > 20, "where nothing ends it, it is");
}

#[test]
fn a_failover_is_a_reason_to_park_only_where_the_service_cannot_be_asked() {
    let failover = "[[fault]]\nkind = \"store.failover\"\nat = \"20s\"\nlost = \"0s\"\n";
    for (offer, is_found) in [("idempotency-key", false), ("put-by-id", true), ("read-back", true), ("none", false)] {
        let source = format!("{}{failover}", offering(offer));
        let (held, parked) = (outcome(&source, HookKind::Hardened), sabotaged(&source, Sabotage::ParksAfterFailover));
        assert_eq!(held.verdict, Verdict::Pass, "{offer}: {:?}", invariant(&held, Rule::Grant3));
        assert_eq!(invariant(&parked, Rule::Grant3).violations > 20, is_found, "{offer}");
        assert!(parked.grants_parked > 20, "{offer}");
    }
}

#[test]
fn an_assignment_by_one_process_alone_says_nothing_of_what_another_one_would_have_drawn() {
    let one = DOUBTFUL.replace("instances = 2", "instances = 1");
    assert_eq!(outcome(&one, HookKind::Hardened).reached["recorded-elsewhere"], 0);
    assert!(outcome(DOUBTFUL, HookKind::Hardened).reached["recorded-elsewhere"] > 20);
}

#[test]
fn a_run_in_which_no_wall_clock_of_an_instance_moves_is_not_run_twice() {
    assert_eq!(invariant(&outcome(RETRY_STORM, HookKind::Hardened), Rule::Time1).checked, 0);
    let step = "[[fault]]\nkind = \"clock.step\"\nat = \"10s\"\nby = \"-1h\"\non = [\"app-1\"]\n";
    let stepped = outcome(&format!("{OVERTAKEN}\n{step}"), HookKind::Hardened);
    assert_eq!((invariant(&stepped, Rule::Time1).checked, invariant(&stepped, Rule::Time1).violations), (1, 0));
    assert!(stepped.reached["wall-clock-changes"] > 0);
}

#[test]
fn the_document_names_the_partner_of_each_invariant() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
    let text = std::fs::read_to_string(path).expect("a document of the repository");
    for rule in Rule::ALL {
        let row = text.lines().find(|line| line.starts_with(&format!("| `{}` |", rule.id()))).expect("each has a row");
        let partner = rule.partner().map_or_else(|| "| |".to_owned(), |partner| format!("| `{}` |", partner.name()));
        assert!(row.ends_with(&partner), "docs/metrics.md: {row}");
    }
}
