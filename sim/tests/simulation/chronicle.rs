//! Goal: a run that somebody listens to is the run that nobody listens to, and what is told is whole and in order. Method:
//! library scenarios with every hook; digests of both runs, and the told effects against the ledger's.

use hookproof_core::protection::Protections;
use hookproof_sim::chronicle::{Chronicle, Happening};
use hookproof_sim::outcome::Outcome;
use hookproof_sim::scenario::{HookKind, Scenario};
use hookproof_sim::{Recording, Setting, run, run_telling};

use super::shipped;

fn told(scenario: &Scenario, hook: HookKind, users: &[u32]) -> (Outcome, Chronicle) {
    let (protections, recording) = (Protections::ALL, Recording::Off);
    run_telling(scenario, Setting { hook, protections, sabotage: None, recording, seed: 1 }, users, &mut |_| {})
}

#[test]
fn listening_changes_nothing_and_every_effect_is_told() {
    for name in ["incidents/retry-storm.toml", "faults/process.toml", "faults/store.toml", "faults/network.toml"] {
        let scenario = shipped(name);
        for hook in HookKind::ALL {
            let users: Vec<u32> = (0..50).collect();
            let (outcome, chronicle) = told(&scenario, hook, &users);
            assert_eq!(outcome, run(&scenario, hook, 1, &mut |_| {}), "{name} {}", hook.name());
            let mut effects_all = 0;
            for user in users {
                let story = chronicle.story(user);
                let own = || story.iter().filter(|entry| entry.user == Some(user));
                assert!(story.iter().all(|entry| entry.user.is_none_or(|other| other == user)), "{name}, user {user}");
                assert!(story.is_sorted_by_key(|entry| entry.at), "{name}, user {user}");
                let effects = own().filter(|entry| matches!(entry.what, Happening::Served { units: Some(_), .. }));
                let effects = effects.count();
                assert_eq!(effects, usize::from(chronicle.account(user).effects), "{name}, user {user}");
                effects_all += effects;
                assert!(own().all(|entry| entry.visit.is_some()), "{name}, user {user}");
                // What a hook that promises first sends belongs to the visit of its promise.
                if hook == HookKind::Hardened {
                    let promise = own().find(|entry| matches!(entry.what, Happening::Exposed { .. }));
                    let sent = own().filter(|entry| matches!(entry.what, Happening::Sent { .. }));
                    assert!(sent.clone().all(|entry| entry.visit == promise.and_then(|promise| promise.visit)));
                }
            }
            assert!(effects_all > 0, "{name} {}: nothing was told of", hook.name());
        }
    }
}

#[test]
fn who_is_never_seen_has_no_story() {
    let scenario = shipped("incidents/over-allocation.toml");
    let (outcome, chronicle) = told(&scenario, HookKind::Original, &[0, 1, 2, 3, 4, 5, 6, 7]);
    assert!(outcome.hook_calls > 0);
    let unseen: Vec<u32> = (0..8).filter(|user| chronicle.story(*user).is_empty()).collect();
    assert!(!unseen.is_empty() && unseen.len() < 8, "some of the first eight visit within 28 days: {unseen:?}");
    assert!(unseen.iter().all(|user| chronicle.account(*user).effects == 0 && chronicle.left_out(*user) == 0));
}
