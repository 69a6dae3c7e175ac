//! Each invariant that is judged from outside is broken on purpose, and found. `ASSIGN-2` needs a hook that no scenario can
//! ask for: its sabotage is a unit test of the world.

use hookproof_sim::outcome::Outcome;
use hookproof_sim::run;
use hookproof_sim::scenario::{HookKind, decode};

const OVER_ALLOCATION: &str = include_str!("../../scenarios/incidents/over-allocation.toml");
const RETRY_STORM: &str = include_str!("../../scenarios/incidents/retry-storm.toml");

fn outcome(source: &str, hook: HookKind) -> Outcome {
    let scenario = decode("sabotage", "sabotage.toml", source.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
    run(&scenario, hook, scenario.seed, &mut |_| {})
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
fn a_hook_without_a_limit_breaks_the_fleets() {
    assert_found(&outcome(RETRY_STORM, HookKind::Published), &["LOAD-1"]);
}

#[test]
fn a_receipt_without_an_effect_is_found_in_the_books() {
    let lie = "[[fault]]\nkind = \"quota.false-ack\"\nname = \"lie\"\nat = \"10s\"\nfor = \"10s\"\n";
    assert_found(&outcome(&format!("{RETRY_STORM}\n{lie}"), HookKind::Hardened), &["AUDIT-1"]);
}
