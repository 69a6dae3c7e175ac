//! Capability: the difference of two versions is found to be operations or refused, and each operation moves only the
//! users it may move.
//!
//! Method: one version and what is changed of it, as tables; then drawn versions, users and records, whose assignments
//! are compared one by one with what the counts say.

use std::collections::BTreeSet;

use hookproof_core::assignment::UserId;
use hookproof_core::experiment::change::{
    Effect, Misnaming, Operation, Record, Recorded, Refusal, Unexposed, between, effect, naming,
};
use hookproof_core::experiment::{
    Experiment, Exposed, Field, GrantSpec, HashSpec, Phase, Spec, VariantIndex, VariantSpec,
};
use proptest::prelude::*;

fn variant(name: &str, weight: u32, grant: Option<u32>) -> VariantSpec {
    let grant = grant.map(|units| GrantSpec { units, effect: "quota-increase".to_owned() });
    VariantSpec { name: name.to_owned(), weight, grant }
}

fn old() -> Spec {
    Spec {
        id: "quota".to_owned(),
        namespace: "production".to_owned(),
        lineage: None,
        version: "1".to_owned(),
        hash: HashSpec::HmacSha256V1 { secret: b"secret".to_vec() },
        salt: None,
        coverage_ppm: 500_000,
        variants: vec![variant("control", 50, None), variant("extra", 50, Some(25))],
        generation: 0,
        exposed: Exposed::Keep,
        phase: Phase::Running,
        operations: BTreeSet::new(),
    }
}

type Edit = fn(&mut Spec);

/// The next version with something changed.
fn next(old: &Spec, change: impl FnOnce(&mut Spec)) -> Spec {
    let mut spec = Spec { version: format!("{}+", old.version), ..old.clone() };
    change(&mut spec);
    spec
}

fn experiment(spec: &Spec) -> Experiment {
    Experiment::new(spec.clone()).expect("the spec is permitted")
}

fn user(id: &str) -> UserId<'_> {
    UserId::new(id.as_bytes()).expect("the id is permitted")
}

fn operations(old: &Spec, new: &Spec) -> Vec<Operation> {
    between(&experiment(old), &experiment(new)).expect("the change is permitted").operations.into_iter().collect()
}

fn refusals(old: &Spec, new: &Spec) -> Vec<Refusal> {
    between(&experiment(old), &experiment(new)).expect_err("the change is refused")
}

fn reshuffle(spec: &mut Spec) {
    spec.salt = Some("another".to_owned());
    spec.generation += 1;
}

fn block(spec: &mut Spec) {
    spec.exposed = Exposed::Block;
    spec.generation += 1;
}

#[test]
fn each_operation_is_found_by_what_it_changes() {
    let cases: [(Edit, &[Operation]); 14] = [
        (|_| (), &[]),
        (|spec| spec.id = "renamed, lineage and salt kept".to_owned(), &[]),
        (|spec| spec.variants[1].grant.as_mut().unwrap().units = 30, &[]),
        (|spec| spec.variants.iter_mut().for_each(|variant| variant.weight = 1), &[]),
        (|spec| spec.operations = Operation::ALL.into(), &[]),
        (|spec| spec.coverage_ppm = 600_000, &[Operation::Ramp]),
        (|spec| spec.coverage_ppm = 0, &[Operation::Ramp]),
        (|spec| spec.variants[1].weight = 51, &[Operation::Reweight]),
        (|spec| spec.variants.push(variant("more", 50, Some(50))), &[Operation::AddArm]),
        (
            |spec| {
                spec.variants = vec![variant("control", 0, None), variant("extra", 0, Some(25)), variant("c", 1, None)];
            },
            &[Operation::Reweight, Operation::AddArm],
        ),
        (reshuffle, &[Operation::Reshuffle]),
        (block, &[Operation::BlockExposed]),
        (|spec| spec.phase = Phase::Ended, &[Operation::End]),
        (
            |spec| {
                block(spec);
                reshuffle(spec);
                spec.coverage_ppm = 1;
                spec.phase = Phase::Ended;
            },
            &[Operation::Ramp, Operation::Reshuffle, Operation::BlockExposed, Operation::End],
        ),
    ];
    let explicit = Spec { lineage: Some("quota".to_owned()), salt: Some("quota".to_owned()), ..old() };
    for (index, (change, expected)) in cases.into_iter().enumerate() {
        assert_eq!(operations(&explicit, &next(&explicit, change)), expected, "case {index}");
    }
    assert_eq!(operations(&old(), &next(&explicit, |_| ())), [], "a default written out changes nothing");
}

#[test]
fn an_ended_experiment_that_runs_again_is_a_ramp() {
    let ended = Spec { phase: Phase::Ended, ..old() };
    assert_eq!(operations(&ended, &next(&ended, |spec| spec.phase = Phase::Running)), [Operation::Ramp]);
}

#[test]
fn while_exposed_users_are_blocked_each_generation_blocks_those_before_it() {
    let blocking = next(&old(), block);
    assert_eq!(operations(&blocking, &next(&blocking, |_| ())), []);
    let again = next(&blocking, reshuffle);
    assert_eq!(operations(&blocking, &again), [Operation::Reshuffle, Operation::BlockExposed]);
}

#[test]
fn other_units_are_told_and_are_no_operation() {
    let new = next(&old(), |spec| spec.variants[1].grant.as_mut().unwrap().units = 30);
    let change = between(&experiment(&old()), &experiment(&new)).unwrap();
    assert_eq!((change.operations.len(), change.units), (0, vec![VariantIndex::new(1)]));
}

#[test]
fn what_would_grant_twice_or_change_what_records_mean_is_refused_at_its_field() {
    let cases: [(Edit, Field); 15] = [
        (|spec| spec.namespace = "staging".to_owned(), Field::Namespace),
        (|spec| spec.lineage = Some("other".to_owned()), Field::Lineage),
        (|spec| spec.hash = HashSpec::Sha256V1, Field::Hash),
        (|spec| spec.hash = HashSpec::HmacSha256V1 { secret: b"other".to_vec() }, Field::Secret),
        (|spec| spec.variants.swap(0, 1), Field::VariantName(0)),
        (|spec| spec.variants[1].name = "extra quota".to_owned(), Field::VariantName(1)),
        (|spec| spec.variants[0].grant = spec.variants[1].grant.clone(), Field::VariantGrant(0)),
        (|spec| spec.variants[1].grant = None, Field::VariantGrant(1)),
        (|spec| spec.variants[1].grant.as_mut().unwrap().effect = "other".to_owned(), Field::VariantEffect(1)),
        (|spec| spec.generation = 1, Field::Generation),
        (|spec| spec.salt = Some("other".to_owned()), Field::Salt),
        (|spec| spec.id = "the default of the salt".to_owned(), Field::Lineage),
        (|spec| spec.exposed = Exposed::Keep, Field::Exposed),
        (|spec| spec.version = "1".to_owned(), Field::Version),
        (|spec| spec.variants.truncate(2), Field::Variants),
    ];
    let mut before = next(&old(), block);
    before.generation = 2;
    before.version = "1".to_owned();
    before.variants.push(variant("more", 1, Some(50)));
    for (index, (change, field)) in cases.into_iter().enumerate() {
        let mut new = next(&before, |spec| spec.coverage_ppm += 1);
        change(&mut new);
        let refusals = refusals(&before, &new);
        assert_eq!(refusals[0].field(), field, "case {index}: {refusals:?}");
        assert!(!refusals[0].remedy().is_empty() && !refusals[0].to_string().is_empty());
    }
    let idle = next(&old(), |spec| spec.generation = 1);
    assert_eq!(refusals(&old(), &idle), [Refusal::GenerationWithoutCause { from: 0, to: 1 }]);
    let late = next(&old(), |spec| spec.exposed = Exposed::Block);
    assert_eq!(refusals(&old(), &late), [Refusal::BlockWithoutGeneration { generation: 0 }]);
}

#[test]
fn a_block_in_generation_0_touched_nobody_and_may_go() {
    let idle = Spec { exposed: Exposed::Block, ..old() };
    assert_eq!(operations(&idle, &next(&idle, |spec| spec.exposed = Exposed::Keep)), []);
}

#[test]
fn a_version_that_is_deployed_again_changes_nothing() {
    let named = Spec { operations: [Operation::Ramp].into(), ..old() };
    assert_eq!(operations(&old(), &named), []);
}

#[test]
fn names_are_held_against_what_happens() {
    for operation in Operation::ALL {
        assert_eq!(Operation::from_name(operation.name()), Some(operation));
    }
    assert_eq!(Operation::from_name("Ramp"), None);
    let found = BTreeSet::from([Operation::Ramp, Operation::Reshuffle]);
    assert_eq!(naming(&found, &found), []);
    let misnamed = naming(&found, &BTreeSet::from([Operation::Ramp, Operation::End]));
    assert_eq!(misnamed, [Misnaming::Unnamed(Operation::Reshuffle), Misnaming::Absent(Operation::End)]);
    assert_eq!(misnamed[0].to_string(), "the operation `reshuffle` is not named");
}

const USERS: u64 = 20_000;

fn ids() -> Vec<String> {
    (0..USERS).map(|number| format!("user-{number}")).collect()
}

/// Counts users, of whom those with a number divisible by `every` were exposed by `old`, if it enrols them.
fn counted(old: &Spec, new: &Spec, every: usize) -> Effect {
    let (old, new, ids) = (experiment(old), experiment(new), ids());
    let users = ids.iter().enumerate().map(|(number, id)| {
        let user = user(id);
        let assignment = old.assign(user);
        let is_recorded = assignment.enrolled && number % every == 0;
        (user, is_recorded.then_some(Record { variant: assignment.variant, generation: old.generation() }))
    });
    effect(&old, &new, users)
}

fn assert_share(count: u64, share: f64) {
    let expected = share * USERS as f64;
    assert!(
        (count as f64 - expected).abs() < 5.0 * expected.sqrt().max(1.0),
        "{count} of {USERS}, expected {expected}"
    );
}

#[test]
fn each_operation_has_its_effect_on_recorded_and_unexposed_users() {
    let change = |change: &dyn Fn(&mut Spec)| counted(&old(), &next(&old(), change), 2);

    let up = change(&|spec| spec.coverage_ppm = 1_000_000);
    assert_eq!((up.recorded.held, up.unexposed.moved, up.unexposed.unreachable, up.unexposed.outside), (0, 0, 0, 0));
    assert_share(up.unexposed.enrolled, 0.5);

    let down = change(&|spec| spec.coverage_ppm = 250_000);
    assert_eq!((down.recorded.held, down.recorded.blocked, down.unexposed.moved), (0, 0, 0));
    assert_share(down.recorded.unchanged, 0.25);
    assert_share(down.unexposed.unreachable, 0.125);

    let heavier = change(&|spec| spec.variants[1].weight = 150);
    assert_share(heavier.recorded.held, 0.25 * 0.25);
    assert_share(heavier.unexposed.moved, 0.25 * 0.25);

    let shuffled = change(&reshuffle);
    assert_share(shuffled.recorded.held, 0.25 * 0.5);
    assert_share(shuffled.unexposed.moved, 0.25 * 0.25);
    assert_share(shuffled.unexposed.unreachable, 0.25 * 0.5);

    let blocked = change(&block);
    assert_eq!(blocked.recorded, Recorded { blocked: blocked.recorded.total(), ..Recorded::default() });
    assert_share(blocked.recorded.blocked, 0.25);

    let ended = change(&|spec| spec.phase = Phase::Ended);
    assert_eq!(ended.recorded, Recorded { unchanged: ended.recorded.total(), ..Recorded::default() });
    let Unexposed { unreachable, outside, .. } = ended.unexposed;
    assert_eq!(unreachable + outside, ended.unexposed.total());
}

#[test]
fn users_who_were_blocked_before_are_not_blocked_again() {
    let blocking = experiment(&next(&old(), block));
    let record = |generation| Some(Record { variant: VariantIndex::new(0), generation });
    let users = [(user("alice"), record(0)), (user("bob"), record(1))];
    let counts = effect(&blocking, &blocking, users);
    assert_eq!((counts.recorded.blocked_before, counts.recorded.blocked, counts.recorded.total()), (1, 0, 2));
}

/// Versions that may follow each other: of two and more variants, with any shares, coverage and phase.
fn successors() -> impl Strategy<Value = (Spec, Spec)> {
    let weights = || prop::collection::vec(0..100_u32, 2..5);
    let coverage = || prop_oneof![Just(0), Just(1_000_000), 0..=1_000_000_u32];
    let phase = || prop_oneof![3 => Just(Phase::Running), 1 => Just(Phase::Ended)];
    let drawn = (weights(), weights(), coverage(), coverage(), phase(), phase(), any::<bool>(), any::<bool>());
    drawn.prop_map(|(first, second, from, to, phase, phase_after, is_reshuffled, is_blocked)| {
        let variants = |weights: &[u32]| -> Vec<_> {
            let numbered = weights.iter().zip(0..);
            numbered.map(|(weight, n): (_, u32)| variant(&n.to_string(), weight + u32::from(n == 0), None)).collect()
        };
        let before = Spec { coverage_ppm: from, variants: variants(&first), phase, ..old() };
        let mut after = next(&before, |spec| {
            spec.coverage_ppm = to;
            spec.phase = phase_after;
        });
        after.variants = variants(if second.len() < first.len() { &first } else { &second });
        if is_reshuffled {
            reshuffle(&mut after);
        }
        if is_blocked {
            block(&mut after);
        }
        (before, after)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_user_moves_only_by_an_operation_that_moves(
        (before, after) in successors(),
        ids in prop::collection::vec("[a-z]{1,8}", 1..40),
    ) {
        let found: BTreeSet<_> = operations(&before, &after).into_iter().collect();
        let has = |operation| found.contains(&operation);
        let redraws = has(Operation::Reweight) || has(Operation::AddArm) || has(Operation::Reshuffle);
        let (before, after) = (experiment(&before), experiment(&after));
        for id in &ids {
            let user = user(id);
            let (old, new) = (before.assign(user), after.assign(user));
            prop_assert!(old.variant == new.variant || redraws, "{id} moved by {found:?}");
            let is_kept = !(has(Operation::Ramp) || has(Operation::End) || has(Operation::Reshuffle));
            prop_assert!(old.enrolled == new.enrolled || !is_kept, "{id} came or went by {found:?}");
            let grows = after.coverage_ppm() >= before.coverage_ppm() && !after.is_ended() && !has(Operation::Reshuffle);
            prop_assert!(new.enrolled || !old.enrolled || !grows, "{id} fell out by {found:?}");
        }
    }

    #[test]
    fn a_record_is_kept_by_every_operation_but_a_block(
        (before, after) in successors(),
        ids in prop::collection::vec("[a-z]{1,8}", 1..40),
    ) {
        let blocks = operations(&before, &after).contains(&Operation::BlockExposed);
        let (before, after) = (experiment(&before), experiment(&after));
        let users = ids.iter().zip(0..).map(|(id, number): (_, usize)| {
            let user = user(id);
            let record = Record { variant: before.assign(user).variant, generation: before.generation() };
            (user, (number % 2 == 0).then_some(record))
        });
        let Effect { recorded, unexposed } = effect(&before, &after, users);
        prop_assert_eq!(recorded.total(), ids.len().div_ceil(2) as u64);
        prop_assert_eq!(recorded.total() + unexposed.total(), ids.len() as u64);
        prop_assert_eq!(recorded.blocked, if blocks { recorded.total() } else { 0 });
        prop_assert_eq!(recorded.blocked_before, 0);
    }

    #[test]
    fn shares_written_otherwise_move_nobody(
        weights in prop::collection::vec(0..1_000_u32, 2..6),
        factor in 1..1_000_u32,
        ids in prop::collection::vec("[a-z]{1,8}", 1..40),
    ) {
        prop_assume!(weights.iter().any(|weight| *weight > 0));
        let with = |factor: u32| {
            let numbered = weights.iter().zip(0..);
            let variants = numbered.map(|(weight, n): (_, u32)| variant(&n.to_string(), weight * factor, None));
            Spec { variants: variants.collect(), ..old() }
        };
        let (before, after) = (with(1), next(&with(factor), |_| ()));
        prop_assert_eq!(operations(&before, &after), []);
        for id in &ids {
            let user = user(id);
            prop_assert_eq!(experiment(&before).assign(user), experiment(&after).assign(user));
        }
    }
}
