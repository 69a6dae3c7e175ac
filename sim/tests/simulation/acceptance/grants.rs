//! Rows about how many grants a user receives.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hookproof_core::hook;
use hookproof_core::time::Instant;
use hookproof_core::upstream::Ask;
use hookproof_sim::metrics::Metric;
use hookproof_sim::outcome::Outcome;
use hookproof_sim::quota_service::{Begun, Mishap, QuotaService, Request, Served, Work};
use hookproof_sim::scenario::HookKind;
use hookproof_sim::subject::{Interpreter, LogSink, Shown};

use super::process::{PYTHON, Process, RESET, call, log, shown, status};
use super::trial::{FEW_SEEDS, SEEDS, Trial, assert_half, assert_near, count, effects, entitled, total};

#[test]
fn the_original_program_sends_no_key_and_the_published_one_a_fresh_key_at_every_call() {
    let trial = Trial::new(
        "60s",
        r#"
        [users]
        population = 200
        [[traffic]]
        kind = "steady"
        rate = "20/s"
        [[fault]]
        kind = "quota.lost-reply"
        at   = "0s"
        for  = "60s"
        probability = 0.5
        [[fault]]
        kind = "process.crash"
        when = "sent"
        at   = "0s"
        for  = "60s"
        probability = 0.01
        downtime = "0s"
        "#,
    );
    let experiment = &trial.scenario().experiment;
    let mut original = Process::original(experiment);
    let mut keyless = (0..1_000).filter_map(|user| original.request(user, 1));
    assert!(keyless.all(|call| call.key.is_none()));

    let mut published = Process::published(experiment, PYTHON);
    let mut keys = BTreeSet::new();
    let mut calls = 0;
    for (user, n) in (0..1_000).flat_map(|user| [(user, 1), (user, 2)]) {
        let Some(first) = published.request(user, n) else { continue };
        published.answered(first.token, RESET);
        let retried = published.feed(hookproof_sim::subject::Input::Timer { token: first.token });
        let retried = retried.iter().find_map(call).expect("it tries again");
        assert_eq!(retried.key, first.key, "the tries of one call share its key");
        // The answer holds a variant and nothing else: a caller that calls again has no key to pass back.
        let outputs = published.answered(first.token, status(200));
        assert_eq!(outputs.iter().find_map(shown).map(Shown::code), Some(0x101));
        keys.insert(first.key.expect("it sends a key"));
        calls += 1;
    }
    assert_eq!(keys.len(), calls, "no two calls share a key, be it for one user or for two");

    // The hardened hook: one key for each user, over attempts, processes and visits.
    let mut sends = 0;
    let mut users_keys: BTreeMap<u64, BTreeSet<[u8; 16]>> = BTreeMap::new();
    let outputs = trial.hardened_outputs(1);
    assert!(outputs.len() > 1, "processes crashed");
    for (_, output) in outputs.into_iter().flatten() {
        if let hook::Output::Send(send) = output {
            users_keys.entry(send.request.user.0).or_default().insert(*send.request.key.as_bytes());
            sends += 1;
        }
    }
    assert!(sends > users_keys.len(), "some users were sent for more than once");
    assert!(users_keys.values().all(|keys| keys.len() == 1), "a user has one key");
    let distinct: BTreeSet<_> = users_keys.values().flatten().collect();
    assert_eq!(distinct.len(), users_keys.len(), "and shares it with nobody");
}

/// Grants a user in runs of one user each.
fn mean_grants(outcomes: &[Outcome]) -> f64 {
    outcomes.iter().map(effects).sum::<u64>() as f64 / outcomes.len() as f64
}

#[test]
fn four_calls_by_one_user_give_two_grants_on_average_and_up_to_four_and_four_in_the_published_program() {
    let trial = Trial::of_one_user(4, "");
    let original = trial.run(HookKind::Original, SEEDS);
    // Each call grants with probability ½: mean 4 · ½, variance 4 · ¼ = 1.
    assert_near("original", mean_grants(&original), 2.0, 1.0 / (original.len() as f64).sqrt());
    // Nobody of 4,000 would have four with probability (15/16)^4000, below 10⁻¹¹².
    assert_eq!(original.iter().map(|outcome| count(outcome, Metric::OverAllocationMaxGrants)).max(), Some(4));

    let published = trial.run(HookKind::Published, SEEDS);
    let treated = published.iter().filter(|outcome| entitled(outcome) == 1).count();
    assert_half("treated by the published program", treated, published.len());
    for outcome in published {
        assert_eq!(effects(&outcome), 4 * entitled(&outcome), "all or nothing");
    }
    trial.assert_hardened_unharmed(FEW_SEEDS, &["receipts"]);
}

#[test]
fn two_concurrent_calls_give_one_grant_on_average_and_two_in_the_published_program() {
    let arrival = "[[traffic]]\nkind = \"steady\"\nrate = \"1/s\"\nspacing = \"even\"\nat = \"1s\"\nfor = \"500ms\"\n";
    let trial = Trial::new("60s", &format!("[users]\npopulation = 1\n{arrival}{arrival}"));
    let original = trial.run(HookKind::Original, SEEDS);
    // Two fair coins: mean 1, variance ½.
    assert_near("original", mean_grants(&original), 1.0, (0.5 / original.len() as f64).sqrt());
    assert_eq!(original.iter().map(|outcome| count(outcome, Metric::OverAllocationMaxGrants)).max(), Some(2));
    for outcome in trial.run_treated(HookKind::Published, SEEDS) {
        assert_eq!(effects(&outcome), 2);
    }
    trial.assert_hardened_unharmed(FEW_SEEDS, &["receipts"]);
}

/// The one visit begins after one second, and its request is served 50 ms after it was sent: whoever sends within 40 ms
/// has the first reply lost. No retry comes that early: the published program waits for one second, and the hardened
/// hook's retry is served at least one service time after the first.
const FIRST_REPLY_LOST: &str = r#"
[[fault]]
kind = "quota.lost-reply"
name = "first-reply"
at   = "1s"
for  = "100ms"
"#;

#[test]
fn a_reply_lost_once_leaves_one_grant_with_an_exception_in_the_original_and_deduplicated_in_the_published_program() {
    let trial = Trial::of_one_user(1, FIRST_REPLY_LOST);
    let original = trial.run_treated(HookKind::Original, FEW_SEEDS);
    for outcome in &original {
        assert_eq!((effects(outcome), count(outcome, Metric::HookErrors)), (1, 1));
        assert_eq!((count(outcome, Metric::UpstreamAttempts), outcome.faults[0].effects), (1, 1));
    }
    for outcome in trial.run_treated(HookKind::Published, FEW_SEEDS) {
        assert_eq!((effects(&outcome), count(&outcome, Metric::HookErrors)), (1, 0));
        assert_eq!((count(&outcome, Metric::UpstreamAttempts), outcome.faults[0].effects), (2, 1));
        assert_eq!(outcome.reached["key-replays"], 1);
    }
    trial.assert_hardened_unharmed(FEW_SEEDS, &["lost-replies", "doubts", "duplicate-sends", "key-replays"]);
}

/// The process dies at `moment` of the first request, is back at once, and the caller runs the hook again.
fn killed_and_run_again(moment: &str) -> Trial {
    Trial::of_one_user(
        1,
        &format!(
            "[caller]\nretries = 1\n[[fault]]\nkind = \"process.crash\"\nname = \"kill\"\nwhen = \"{moment}\"\n\
             at = \"0s\"\ndowntime = \"100ms\"\n"
        ),
    )
}

/// Grants of each user whose process was killed. The first call was treated; the second draws or salts anew.
fn grants_of_the_killed(trial: &Trial, hook: HookKind) -> Vec<u64> {
    let mut outcomes = trial.run(hook, SEEDS);
    outcomes.retain(|outcome| outcome.faults[0].effects == 1);
    assert!(outcomes.iter().all(|outcome| outcome.reached["crashes"] == 1 && outcome.hook_calls == 2));
    outcomes.iter().map(effects).collect()
}

#[test]
fn killed_after_the_post_and_run_again_half_of_the_users_have_two_grants_in_both_programs() {
    let trial = killed_and_run_again("sent");
    for hook in [HookKind::Original, HookKind::Published] {
        let grants = grants_of_the_killed(&trial, hook);
        assert!(grants.iter().all(|grants| [1, 2].contains(grants)));
        assert_half(hook.name(), grants.iter().filter(|grants| **grants == 2).count(), grants.len());
    }
    trial.assert_hardened_unharmed(FEW_SEEDS, &["crashes", "restarts", "duplicate-sends", "key-replays"]);
}

#[test]
fn killed_between_exposure_log_and_post_and_run_again_half_of_the_users_have_no_grant_in_both_programs() {
    let trial = killed_and_run_again("claimed");
    for hook in [HookKind::Original, HookKind::Published] {
        let grants = grants_of_the_killed(&trial, hook);
        assert!(grants.iter().all(|grants| [0, 1].contains(grants)));
        assert_half(hook.name(), grants.iter().filter(|grants| **grants == 0).count(), grants.len());
    }
    trial.assert_hardened_unharmed(FEW_SEEDS, &["crashes", "restarts", "receipts"]);
}

#[test]
fn the_same_key_after_the_services_key_ttl_grants_twice_in_the_published_program() {
    // The published program's retry comes one second after the lost reply: the key of half a second is forgotten by
    // then.
    let upstream = "[upstream]\nkey-ttl = \"500ms\"\n";
    let trial = Trial::of_one_user(1, &format!("{upstream}{FIRST_REPLY_LOST}"));
    for outcome in trial.run_treated(HookKind::Published, FEW_SEEDS) {
        assert_eq!(effects(&outcome), 2);
        assert_eq!((outcome.reached["key-replays"], outcome.faults[0].effects), (0, 1));
    }
    // The hardened hook cannot know whether the first request was applied and may not ask again: it parks the grant.
    let hardened = trial.assert_hardened_unharmed(FEW_SEEDS, &["lost-replies", "doubts", "parked"]);
    assert_eq!(total(&hardened, Metric::GrantParked), total(&hardened, Metric::UpstreamAttempts));
}

#[test]
fn the_same_key_at_a_replica_that_lags_grants_twice_and_no_hook_can_help_it() {
    let lag = "[[fault]]\nkind = \"quota.key-lag\"\nname = \"replica\"\nat = \"1s\"\nfor = \"50s\"\nlag = \"10s\"\n";
    let trial = Trial::of_one_user(1, &format!("{FIRST_REPLY_LOST}{lag}"));
    for outcome in trial.run_treated(HookKind::Published, FEW_SEEDS) {
        assert_eq!((effects(&outcome), outcome.reached["key-replays"], outcome.faults[1].effects), (2, 0, 1));
    }
    for outcome in trial.run(HookKind::Hardened, FEW_SEEDS) {
        assert_eq!(effects(&outcome), 2, "it was told that the service remembers keys for a day");
    }
}

#[test]
fn an_id_in_the_ledger_is_neither_forgotten_nor_lost() {
    // What makes the same key grant twice under `idempotency-key`, all at once; see above.
    let faults = "[[fault]]\nkind = \"quota.restart\"\nname = \"keys\"\nat = \"1080ms\"\n\
                  [[fault]]\nkind = \"clock.step\"\nname = \"year\"\nat = \"1080ms\"\nby = \"365d\"\non = [\"quota\"]\n";
    let upstream = "[upstream]\ncapability = \"put-by-id\"\nkey-ttl = \"10ms\"\nprofile = \"keys-ignored\"\n";
    let trial = Trial::of_one_user(1, &format!("{upstream}{FIRST_REPLY_LOST}{faults}"));
    for outcome in trial.run_treated(HookKind::Published, FEW_SEEDS) {
        assert_eq!((effects(&outcome), outcome.reached["key-replays"]), (1, 1));
    }
    trial.assert_hardened_unharmed(FEW_SEEDS, &["lost-replies", "doubts", "duplicate-sends", "key-replays"]);
}

#[test]
fn while_the_log_sink_is_down_a_caller_with_two_retries_gets_three_grants_from_the_published_program() {
    let trial = Trial::of_one_user(3, "");
    let scenario = trial.scenario();
    for (log_sink, grants) in [(LogSink::Up, 1), (LogSink::Down, 3)] {
        let mut process = Process::published(&scenario.experiment, Interpreter { log_sink, ..PYTHON });
        let user = (0..100).find(|user| process.request(*user, 1).is_some()).expect("half of the users are treated");
        let mut service = QuotaService::new(scenario);
        let (mut effects, mut held, mut keys) = (0, service.base(), BTreeSet::new());
        for n in 1..=3 {
            let sent = process.request(user, n).expect("the process is the same, and so is the variant");
            keys.insert(sent.key.expect("it sends a key"));
            let request = Request { ask: Ask::Apply, user, units: sent.units, key: sent.key };
            let work = Work::Execute;
            assert_eq!(service.begin(Instant::ORIGIN, &request, Duration::ZERO), Begun::Working(work));
            let served = Served { request: &request, work, held, mishap: Mishap::None };
            let finished = service.finish(Instant::ORIGIN, served);
            effects += u32::from(finished.effect.is_some());
            held += finished.effect.unwrap_or(0);
            let outputs = process.answered(sent.token, status(finished.status.0));
            assert_eq!(outputs.iter().filter_map(log).count() > 0, log_sink == LogSink::Up);
            if outputs.iter().find_map(shown) != Some(Shown::Error) {
                break;
            }
        }
        assert_eq!((effects, keys.len()), (grants, grants as usize), "{log_sink:?}");
    }
    // The hardened hook's log is an output that nothing waits for, so a caller has nothing to retry. Should one call it
    // three times all the same, there is one grant.
    trial.assert_hardened_unharmed(FEW_SEEDS, &["receipts"]);
}
