//! The hardened subject contains no decisions, and what it proves rests on the core's guards.
//!
//! Goal: nobody can say that the simulator, and not the core, keeps the promises. Method: all that went into the
//! processes of a run is fed to fresh hooks of the core, translated here and not by the simulator, and each must put
//! out the same, message by message. And a core without one of its guards turns the incident red that the guard is
//! there for.

use std::collections::BTreeSet;

use hookproof_core::admission::VisitToken;
use hookproof_core::delivery::AttemptId;
use hookproof_core::hook::{self, Hook};
use hookproof_core::identity::UserHandle;
use hookproof_core::lineage::Lineage;
use hookproof_core::protection::{Protection, Protections};
use hookproof_core::time::Instant;
use hookproof_sim::outcome::{Outcome, Verdict};
use hookproof_sim::scenario::{HookKind, Scenario, decode};
use hookproof_sim::subject::Input;
use hookproof_sim::{Recording, Recordings, Setting, run_with};

use super::shipped;

fn incident(name: &str) -> Scenario {
    shipped(&format!("incidents/{name}.toml"))
}

fn decoded(source: &[u8]) -> Scenario {
    decode("replay", "replay.toml", source).unwrap_or_else(|error| panic!("{error}"))
}

/// Processes that crash at every moment of a request's life, lost replies, and a store that fails.
const CRASHES: &str = r#"
schema   = 1
title    = "Crashes at every moment"
duration = "5m"
[experiment]
id = "quota-experiment"
[[experiment.variant]]
name   = "control"
weight = 50
[[experiment.variant]]
name   = "extra-quota"
weight = 50
grant  = 25
[users]
population = 1_000
[[traffic]]
kind = "steady"
rate = "20/s"
[fleet]
instances = 3
[[fault]]
kind = "process.crash"
name = "claimed"
when = "claimed"
at   = "0s"
for  = "5m"
probability = 0.01
[[fault]]
kind = "process.crash"
name = "sent"
when = "sent"
at   = "0s"
for  = "5m"
probability = 0.01
[[fault]]
kind = "process.crash"
name = "applied"
when = "applied"
at   = "0s"
for  = "5m"
probability = 0.01
[[fault]]
kind = "quota.lost-reply"
name = "lost-replies"
at   = "0s"
for  = "5m"
probability = 0.2
[[fault]]
kind = "store.error"
name = "store-errors"
at   = "0s"
for  = "5m"
probability = 0.02
[[fault]]
kind = "store.outage"
name = "store-outage"
at   = "2m"
for  = "10s"
"#;

/// What was compared.
#[derive(Clone, Copy, Debug, Default)]
struct Compared {
    processes: usize,
    inputs: usize,
    outputs: usize,
    /// Inputs after which the core put out something else than was recorded.
    differences: usize,
}

/// Replays all processes of a run; the lineage is the recorded one unless another is given.
fn replay(scenario: &Scenario, recordings: &[Recordings], other: Option<&Lineage>) -> Compared {
    let mut compared = Compared { processes: recordings.len(), ..Compared::default() };
    for recording in recordings {
        let lineage = other.unwrap_or(&recording.lineage).clone();
        let mut hook = Hook::new(lineage, scenario.hook_config()).expect("the settings are those of the run");
        for entry in &recording.entries {
            feed(&mut hook, entry.mono, &entry.input);
            let outputs: Vec<hook::Output> = std::iter::from_fn(|| hook.poll_output()).collect();
            compared.inputs += 1;
            compared.outputs += outputs.len();
            compared.differences += usize::from(outputs != entry.outputs);
        }
    }
    compared
}

fn feed(hook: &mut Hook, mono: Instant, input: &Input) {
    match input.clone() {
        Input::Started { draw } => hook.handle_input(mono, hook::Input::Started { draw }),
        Input::Visit { visit, user, .. } => {
            let user_id = format!("user-{user}");
            let (visit, user, user_id) = (VisitToken(visit), UserHandle(user.into()), user_id.as_bytes());
            hook.handle_input(mono, hook::Input::Visit { visit, user, user_id });
        }
        Input::Answered { token, answer, draw } => {
            let attempt = AttemptId::from_bits(token);
            hook.handle_input(mono, hook::Input::Answered { attempt, answer, draw });
        }
        Input::Stored { ticket, reply, draw } => hook.handle_input(mono, hook::Input::Stored { ticket, reply, draw }),
        Input::Timer { .. } => hook.handle_timeout(mono),
    }
}

fn recorded(scenario: &Scenario, seed: u64) -> (Outcome, Vec<Recordings>) {
    let setting = Setting {
        hook: HookKind::Hardened,
        protections: Protections::ALL,
        sabotage: None,
        recording: Recording::On,
        seed,
    };
    run_with(scenario, setting, &mut |_| {})
}

/// The run of the hardened hook without `missing`.
fn unguarded(scenario: &Scenario, missing: Protection, seed: u64) -> Outcome {
    let protections = Protections::ALL.without(missing);
    let setting = Setting { hook: HookKind::Hardened, protections, sabotage: None, recording: Recording::Off, seed };
    run_with(scenario, setting, &mut |_| {}).0
}

#[test]
fn recorded_inputs_fed_to_the_core_alone_give_the_recorded_outputs() {
    // (scenario, processes, inputs and outputs at least)
    let scenarios = [
        (incident("over-allocation"), 4 * 4, 60_000),
        (incident("retry-storm"), 4, 50_000),
        (incident("clock-step"), 4 + 1, 30_000),
        (decoded(CRASHES.as_bytes()), 10, 10_000),
    ];
    for (scenario, processes, messages) in scenarios {
        let (outcome, recordings) = recorded(&scenario, 1);
        assert_eq!(outcome.verdict, Verdict::Pass, "{}: {:#?}", scenario.title, outcome.invariants);
        for fault in &outcome.faults {
            assert!(fault.effects > 0, "{}: {fault:?}", scenario.title);
        }
        let compared = replay(&scenario, &recordings, None);
        assert_eq!(compared.differences, 0, "{}: {compared:?}", scenario.title);
        assert!(compared.processes >= processes, "{}: {compared:?}", scenario.title);
        assert!(compared.inputs >= messages && compared.outputs >= messages, "{}: {compared:?}", scenario.title);
    }
}

#[test]
fn a_recording_does_not_change_the_run() {
    let scenario = decoded(CRASHES.as_bytes());
    assert_eq!(recorded(&scenario, 3).0, hookproof_sim::run(&scenario, HookKind::Hardened, 3, &mut |_| {}));
}

#[test]
fn a_replay_with_another_experiment_is_told_apart() {
    let scenario = decoded(CRASHES.as_bytes());
    let other = decoded(CRASHES.replace("id = \"quota-experiment\"", "id = \"another\"").as_bytes()).experiment;
    let other = Lineage::new(other, Vec::new()).expect("one version is a lineage");
    let (_, recordings) = recorded(&scenario, 1);
    assert!(replay(&scenario, &recordings, Some(&other)).differences > 1_000);
}

/// The names of the invariants that are violated.
fn violated_invariants(outcome: &Outcome) -> BTreeSet<&'static str> {
    let violated = outcome.invariants.iter().filter(|invariant| invariant.violations > 0);
    violated.map(|invariant| invariant.id).collect()
}

/// The metrics, with their stretches, whose expectations are violated.
fn violated_expectations(outcome: &Outcome) -> BTreeSet<(&'static str, &str)> {
    let violated = outcome.expectations.iter().filter(|expectation| expectation.verdict == Verdict::Violated);
    violated.map(|expectation| (expectation.metric.name(), expectation.during.as_str())).collect()
}

/// A metric, and the stretch it is expected of.
type Expected<'s> = (&'s str, &'s str);

/// A guard's absence violates exactly these invariants and at least these expectations under each of some seeds. Returns
/// what else it violates under some of them.
fn assert_red_without(
    missing: Protection,
    scenario: &Scenario,
    invariants: &[&'static str],
    always: &[Expected<'_>],
) -> BTreeSet<(String, String)> {
    let mut sometimes = BTreeSet::new();
    for seed in 1..=3 {
        let guarded = hookproof_sim::run(scenario, HookKind::Hardened, seed, &mut |_| {});
        assert_eq!(guarded.verdict, Verdict::Pass, "seed {seed}: {:#?}", guarded.invariants);
        let outcome = unguarded(scenario, missing, seed);
        assert_eq!(outcome.verdict, Verdict::Violated, "seed {seed}");
        assert_eq!(violated_invariants(&outcome), invariants.iter().copied().collect(), "seed {seed}");
        let mut violated = violated_expectations(&outcome);
        for expected in always {
            assert!(violated.remove(expected), "seed {seed}: {expected:?} holds");
        }
        sometimes.extend(violated.into_iter().map(|(metric, during)| (metric.to_owned(), during.to_owned())));
    }
    sometimes
}

#[test]
fn without_the_stable_key_the_over_allocation_incident_is_red() {
    let always = [
        ("over-allocation.worst-ratio", "run"),
        ("over-allocation.users", "run"),
        ("over-allocation.monthly-cost-usd", "run"),
        ("over-allocation.max-grants", "run"),
        ("over-allocation.users", "lost-replies"),
        ("over-allocation.users", "resets"),
        ("over-allocation.users", "day-17-lost-replies"),
        ("over-allocation.users", "day-17-failures"),
    ];
    let else_violated = assert_red_without(Protection::StableKey, &incident("over-allocation"), &["GRANT-1"], &always);
    assert!(else_violated.is_empty(), "{else_violated:?}");
}

/// Replies are lost for five minutes, and the service forgets a key after 100 s.
const LOST_FOR_LONGER_THAN_THE_KEY: &str = r#"
schema   = 1
title    = "Lost replies outlast the key"
duration = "6m"
[experiment]
id = "quota-experiment"
[[experiment.variant]]
name   = "control"
weight = 50
[[experiment.variant]]
name   = "extra-quota"
weight = 50
grant  = 25
[users]
population = 200
[[traffic]]
kind = "steady"
rate = "10/s"
for  = "1m"
[upstream]
key-ttl = "100s"
[[fault]]
kind = "quota.lost-reply"
name = "lost-replies"
at   = "0s"
for  = "5m"
[[expect]]
metric = "over-allocation.users"
equals = 0
[[expect]]
metric  = "over-allocation.max-grants"
at-most = 1
[[expect]]
metric = "undelivered.users"
equals = 0
"#;

#[test]
fn without_the_window_guard_replies_that_are_lost_for_longer_than_a_key_lasts_are_red() {
    let scenario = decoded(LOST_FOR_LONGER_THAN_THE_KEY.as_bytes());
    let always = [("over-allocation.users", "run"), ("over-allocation.max-grants", "run")];
    let else_violated = assert_red_without(Protection::WindowGuard, &scenario, &["GRANT-1", "GRANT-4"], &always);
    assert!(else_violated.is_empty(), "{else_violated:?}");
    for seed in 1..=3 {
        // With the guard, what may have been applied is asked for again while the key lasts, and then parked.
        let guarded = hookproof_sim::run(&scenario, HookKind::Hardened, seed, &mut |_| {});
        assert!(guarded.faults[0].effects > 0, "{:?}", guarded.faults);
        for name in ["doubts", "duplicate-sends", "key-replays", "parked"] {
            assert!(guarded.reached[name] > 0, "{name}: {:?}", guarded.reached);
        }
        let without = unguarded(&scenario, Protection::WindowGuard, seed);
        assert_eq!(without.reached["parked"], 0, "nothing else parks");
    }
}

#[test]
fn without_the_adaptive_limit_the_retry_storm_is_red() {
    // More requests are out than the fleet may have. They wait in the service's queue until their attempts are over,
    // and what is worked off then is wanted by nobody. Nobody is granted twice: the keys hold. But the store never hears of it all.
    // The breaker alone ends the storm later than is allowed, or not at all: then the late goodput is red as well.
    let always = [("upstream.recovery-seconds", "run"), ("upstream.amplification", "run")];
    let else_violated = assert_red_without(
        Protection::AdaptiveLimit,
        &incident("retry-storm"),
        &["GRANT-3", "LOAD-1", "LOAD-3"],
        &always,
    );
    assert_eq!(else_violated, BTreeSet::from([("upstream.goodput-ratio".to_owned(), "late".to_owned())]));
}
