//! Rows about who sees which variant, and what is logged of it.

use hookproof_core::assignment::UserId;
use hookproof_core::experiment::Experiment;
use hookproof_sim::metrics::Metric;
use hookproof_sim::oracle::specified_variant;
use hookproof_sim::scenario::{FaultKind, HookKind};
use hookproof_sim::subject::Interpreter;

use super::process::{PYTHON, Process};
use super::trial::{FEW_SEEDS, SEEDS, Trial, assert_half, assert_near, count, effects, number, total};

/// Users of a row that calls the program by hand.
const USERS: u32 = 20_000;

/// How many users see another variant in the second process than in the first.
fn switches(mut before: Process, mut after: Process) -> usize {
    (0..USERS).filter(|user| before.exposed(*user, 1) != after.exposed(*user, 2)).count()
}

/// 2,000 users with 4,950 visits before and 4,850 after the 100th second. Nobody comes while processes are restarted.
const VISITS_BEFORE_AND_AFTER: &str = r#"
[users]
population = 2_000
[[traffic]]
name    = "before"
kind    = "steady"
rate    = "50/s"
spacing = "even"
for     = "99s"
[[traffic]]
name    = "after"
kind    = "steady"
rate    = "50/s"
spacing = "even"
at      = "103s"
for     = "97s"
"#;

/// Half of the users switch who are seen both before and after. Each is with probability (1 − e^−2.475)(1 − e^−2.425),
/// which makes 1,673 ± 17 of 2,000.
fn assert_half_of_the_returning_users_switch(trial: &Trial, hook: HookKind) {
    let outcomes = trial.run(hook, 1..=8);
    let rates = outcomes.iter().map(|outcome| number(outcome, Metric::GroupSwitchingRestartRateReturning));
    let mean = rates.sum::<f64>() / 8.0;
    // At least 1,600 users in each of eight runs are 12,800 fair coins.
    assert_near(hook.name(), mean, 0.5, 0.5 / 12_800f64.sqrt());
}

#[test]
fn between_two_processes_half_of_the_users_switch_in_both_programs() {
    let restart = "[fleet]\nrestart = { every = \"100s\", downtime = \"1s\" }\n";
    let trial = Trial::new("200s", &format!("{VISITS_BEFORE_AND_AFTER}{restart}"));
    let experiment = &trial.scenario().experiment;
    let original = || Process::original(experiment);
    assert_half("original", switches(original(), original()), USERS as usize);
    let salted = |hash_seed| Process::published(experiment, Interpreter { hash_seed, ..PYTHON });
    assert_half("published", switches(salted(11), salted(12)), USERS as usize);

    assert_half_of_the_returning_users_switch(&trial, HookKind::Original);
    assert_half_of_the_returning_users_switch(&trial, HookKind::Published);
    trial.assert_hardened_unharmed(1..=8, &["restarts"]);
}

#[test]
fn between_python_3_10_and_3_11_half_of_the_users_of_the_published_program_switch_though_its_hash_seed_is_pinned() {
    let trial = Trial::of_one_user(1, "");
    let experiment = &trial.scenario().experiment;
    let python = |minor| Process::published(experiment, Interpreter { minor, ..PYTHON });
    assert_half("published", switches(python(10), python(11)), USERS as usize);
    assert_eq!(switches(python(11), python(11)), 0, "a pinned seed holds as long as the interpreter stays");

    // The hardened hook's hash is specified to the bit: an implementation written from the specification agrees.
    for user in 0..USERS {
        let id = format!("user-{user}");
        let variant = experiment.assign(UserId::new(id.as_bytes()).unwrap()).variant;
        assert_eq!(variant.index(), usize::from(specified_variant(experiment, user)), "{id}");
    }
}

#[test]
fn between_two_calls_in_one_process_half_of_the_users_of_the_original_program_switch_and_nobody_else() {
    let trial = Trial::of_one_user(2, "");
    let experiment = &trial.scenario().experiment;
    let switched_by_hand = |process: &mut Process| {
        (0..USERS).filter(|user| process.exposed(*user, 1) != process.exposed(*user, 2)).count()
    };
    assert_half("original by hand", switched_by_hand(&mut Process::original(experiment)), USERS as usize);
    assert_eq!(switched_by_hand(&mut Process::published(experiment, PYTHON)), 0);

    let switched = |hook| {
        let outcomes = trial.run(hook, SEEDS);
        (outcomes.iter().filter(|outcome| count(outcome, Metric::GroupSwitchingUsers) == 1).count(), outcomes.len())
    };
    let (hits, trials) = switched(HookKind::Original);
    assert_half("original", hits, trials);
    assert_eq!(switched(HookKind::Published).0, 0);
    trial.assert_hardened_unharmed(FEW_SEEDS, &[]);
}

#[test]
fn a_version_bump_moves_half_of_the_users_of_the_published_program() {
    let tables = "[[fault]]\nkind = \"process.deploy\"\nname = \"bump\"\nat = \"100s\"\nversion = 4\n";
    let trial = Trial::new("200s", &format!("{VISITS_BEFORE_AND_AFTER}{tables}"));
    let bumped: Vec<&Experiment> = trial
        .scenario()
        .faults
        .iter()
        .filter_map(|fault| {
            if let FaultKind::ProcessDeploy { experiment, .. } = &fault.kind { Some(&**experiment) } else { None }
        })
        .collect();
    // The version is hashed: the process is the same one in all but the version.
    let version = |experiment| Process::published(experiment, PYTHON);
    let hits = switches(version(&trial.scenario().experiment), version(bumped[0]));
    assert_half("published, one interpreter", hits, USERS as usize);

    assert_half_of_the_returning_users_switch(&trial, HookKind::Published);
    trial.assert_hardened_unharmed(1..=8, &["restarts"]);
}

#[test]
fn both_programs_log_an_exposure_at_every_call() {
    let trial = Trial::of_one_user(4, "");
    for hook in [HookKind::Original, HookKind::Published] {
        for outcome in trial.run(hook, FEW_SEEDS) {
            assert_eq!(count(&outcome, Metric::ExposureLogged), 4, "{}", hook.name());
            assert_eq!(count(&outcome, Metric::ExposureDuplicates), 3, "{}", hook.name());
        }
    }
    let outcomes = trial.assert_hardened_unharmed(FEW_SEEDS, &["receipts"]);
    assert_eq!(total(&outcomes, Metric::ExposureLogged), 40, "one for each user");
    assert!(outcomes.iter().all(|outcome| effects(outcome) == 1));
}
